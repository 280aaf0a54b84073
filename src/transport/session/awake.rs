//! A session that has a thread, and for how long it keeps it while its client is silent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::broker::sync::Instant;
use crate::protocol::LARGEST_BUFFER;
use crate::transport::priority::CROWD;
use crate::transport::shared::Shared;

/// A session whose client has sent nothing for so long is parked.
const PARK_AFTER: Duration = Duration::from_secs(5);
/// The same, where more sessions than the first number have a thread: threads are what the system
/// has fewest of.
const PARK_AFTER_IN_A_CROWD: [(usize, Duration); 2] =
    [(1_024, Duration::from_millis(100)), (256, Duration::from_secs(1))];
/// Where many sessions have a thread, one whose client was silent for so long before it sent
/// something, or has only just come, is parked after a moment: most will be silent again. What
/// threads take of the heap lies between what stays, and cannot be given back after them.
const LONG_SILENCE: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(10);
/// Bytes that all sessions together read at once, about as many as a processor's cache holds, and
/// what each may at least.
const READ_AT_ONCE: usize = 1 << 20;
const SMALLEST_SHARE: usize = 32 << 10;

/// A session that has a thread.
pub(super) struct Awake {
    shared: Arc<Shared>,
    /// Whether its client was silent for long before.
    was_silent: bool,
}

impl Awake {
    /// A session that gets a thread, and when it was parked, if it was.
    pub(super) fn new(shared: Arc<Shared>, parked: Option<Instant>) -> Awake {
        shared.awake.fetch_add(1, Ordering::Relaxed);
        let was_silent = parked.is_none_or(|since| since.elapsed() >= LONG_SILENCE);
        Awake { shared, was_silent }
    }

    /// How many there are.
    fn count(&self) -> usize {
        self.shared.awake.load(Ordering::Relaxed)
    }

    /// Whether so many sessions have a thread that none should keep memory for what comes next.
    pub(super) fn is_crowded(&self) -> bool {
        self.count() > CROWD
    }

    /// How long its client may be silent.
    pub(super) fn park_after(&self) -> Duration {
        park_after(self.count(), self.was_silent)
    }

    /// How much this session may read at once.
    pub(super) fn share_of_reads(&self) -> usize {
        let share = READ_AT_ONCE / self.count().max(1);
        share.next_power_of_two().clamp(SMALLEST_SHARE, LARGEST_BUFFER)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.shared.awake.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long one of `awake` sessions keeps its thread, by whether its client was silent for long
/// before.
fn park_after(awake: usize, was_silent: bool) -> Duration {
    if was_silent && awake > CROWD {
        return MOMENT;
    }
    let crowd = PARK_AFTER_IN_A_CROWD.iter().find(|(sessions, _)| awake > *sessions);
    crowd.map_or(PARK_AFTER, |(_, time)| *time)
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn of_many_who_come_after_a_silence_most_fall_silent_again() {
        let after = |awake, was_silent| park_after(awake, was_silent).as_millis();
        for (awake, of_silent, of_busy) in [
            (1, 5_000, 5_000),
            (CROWD, 5_000, 5_000),
            (CROWD + 1, 10, 5_000),
            (257, 10, 1_000),
            (1_025, 10, 100),
        ] {
            assert_eq!((after(awake, true), after(awake, false)), (of_silent, of_busy), "{awake}");
        }
    }
}
