//! Memory and time that are linear in the input.

use std::time::Duration;

/// Bytes that may be allocated, and as many that may be held at once.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// For any input.
    pub base: usize,
    /// For each byte of it.
    pub per_byte: usize,
}

/// Does `work`, which is given `bytes` bytes, and holds it to its bound.
///
/// # Panics
/// Where it costs more. Bytes allocated are the measure, the same in every run. While fuzzing, time of the processor is
/// another one, with a bound so generous that only what is not linear can pass it.
pub fn linear<T>(what: &str, bytes: usize, bound: Bound, work: impl FnOnce() -> T) -> T {
    let (result, cost) = meter::measure(work);
    let most = bound.base + bound.per_byte * bytes;
    assert!(cost.allocated <= most, "{what}: {bytes} bytes cost {cost:?}, the bound is {most} bytes");
    if cfg!(fuzzing) {
        let most =
            Duration::from_millis(200) + Duration::from_micros(20) * u32::try_from(bytes).unwrap_or(u32::MAX);
        assert!(cost.time <= most, "{what}: {bytes} bytes cost {cost:?}, the bound is {most:?}");
    } else {
        // `cargo test -- --nocapture` shows what is near its bound.
        println!("{what}: {bytes} bytes cost {cost:?}, {}% of the bound", cost.allocated * 100 / most);
    }
    result
}
