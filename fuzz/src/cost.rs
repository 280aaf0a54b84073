//! Memory and time that are linear in the input.

use std::time::Duration;

use babelmq::protocol::{Limits, plain_size};

/// Bytes that may be allocated, and as many that may be held at once.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// For any input.
    pub base: usize,
    /// For each byte of it.
    pub per_byte: usize,
}

/// Bytes that decoding may hold beside what it decodes to: what a machine keeps from one pickle to
/// the next, and more of the like.
const HELD: usize = 1 << 20;

/// Decodes `bytes` bytes with `work`, which is given limits with several budgets, and holds what it
/// holds at once to twice the budget, or to twice what a payload without shared references decodes
/// to where that is more.
///
/// # Panics
/// Where it holds more.
pub fn frugal<T>(what: &str, bytes: usize, mut work: impl FnMut(&Limits) -> T) {
    let usual = Limits::default();
    for limits in [usual, usual.decoded_size(plain_size(bytes)), usual.decoded_size(1 << 16)] {
        let (_, cost) = meter::measure(|| work(&limits));
        let budget = limits.decoded_budget(bytes);
        let most = 2 * budget.max(plain_size(bytes)) + HELD;
        assert!(
            cost.held <= most,
            "{what}: {bytes} bytes with a budget of {budget} cost {cost:?}, the bound is {most} \
             bytes"
        );
        println!("{what}: {bytes} bytes hold {} of at most {most}", cost.held);
    }
}

/// Does `work`, which is given `bytes` bytes, and holds it to its bound.
///
/// # Panics
/// Where it costs more. Bytes allocated are the measure, the same in every run. While fuzzing, time
/// of the processor is another one, with a bound so generous that only what is not linear can pass
/// it.
pub fn linear<T>(what: &str, bytes: usize, bound: Bound, work: impl FnOnce() -> T) -> T {
    let (result, cost) = meter::measure(work);
    let most = bound.base + bound.per_byte * bytes;
    assert!(
        cost.allocated <= most,
        "{what}: {bytes} bytes cost {cost:?}, the bound is {most} bytes"
    );
    if cfg!(fuzzing) {
        let most = Duration::from_millis(200)
            + Duration::from_micros(20) * u32::try_from(bytes).unwrap_or(u32::MAX);
        assert!(cost.time <= most, "{what}: {bytes} bytes cost {cost:?}, the bound is {most:?}");
    } else {
        // `cargo test -- --nocapture` shows what is near its bound.
        println!(
            "{what}: {bytes} bytes cost {cost:?}, {}% of the bound",
            cost.allocated * 100 / most
        );
    }
    result
}
