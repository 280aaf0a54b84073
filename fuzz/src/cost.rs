//! Memory and time that are linear in the input.

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
    if std::env::var_os("FUZZ_COSTS").is_some() {
        let per_byte = cost.allocated.saturating_sub(bound.base) / bytes.max(1);
        eprintln!("{what}: {per_byte} bytes allocated for each of {bytes}: {cost:?}");
    }
    assert!(cost.allocated <= most, "{what}: {bytes} bytes cost {cost:?}, the bound is {most} bytes");
    if cfg!(fuzzing) {
        let most =
            std::time::Duration::from_millis(200) + std::time::Duration::from_micros(20) * bytes as u32;
        assert!(cost.time <= most, "{what}: {bytes} bytes cost {cost:?}, the bound is {most:?}");
    }
    result
}
