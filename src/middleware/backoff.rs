//! How long a client waits before it tries again to connect.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// The first pause is at most so long.
const FIRST: Duration = Duration::from_millis(50);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(5);
/// A connection that held for so long was a good one, and the next pause is the first again. A
/// broker that accepts and hangs up at once is not asked in a loop.
const HEALTHY: Duration = Duration::from_secs(5);

/// Pauses that double, each a random part of its bound, so that the thousand clients of a broker
/// that restarts do not come back in the same moment.
///
/// The end of a pause is a point in time that the connection keeps: calls that give up before it
/// do not begin it anew.
#[derive(Debug)]
pub(crate) struct Backoff {
    bound: Duration,
    due: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff { bound: FIRST, due: None }
    }

    /// When the next attempt may begin; `None` where none has failed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// An attempt failed.
    pub(crate) fn failed(&mut self) {
        self.due = Instant::now().checked_add(part_of(self.bound));
        self.bound = (self.bound * 2).min(LONGEST);
    }

    /// A connection ended that was made at `since`.
    pub(crate) fn lost(&mut self, since: Instant) {
        if since.elapsed() >= HEALTHY {
            self.bound = FIRST;
        }
        self.failed();
    }
}

/// From half of it to all of it. The standard library has no other source of chance.
fn part_of(bound: Duration) -> Duration {
    let chance = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
    bound.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(backoff: &Backoff) -> Duration {
        backoff.due().unwrap().saturating_duration_since(Instant::now())
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_only_health_ends_that() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.due(), None);
        let mut bound = FIRST;
        for _ in 0..10 {
            backoff.lost(Instant::now());
            assert!(pause(&backoff) <= bound, "{:?} of {bound:?}", pause(&backoff));
            bound = (bound * 2).min(LONGEST);
        }
        assert!(pause(&backoff) > LONGEST / 3, "{:?}", pause(&backoff));
        backoff.lost(Instant::now().checked_sub(HEALTHY).unwrap());
        assert!(pause(&backoff) <= FIRST);
    }

    #[test]
    fn no_two_clients_wait_equally_long() {
        let parts: Vec<Duration> = (0..8).map(|_| part_of(LONGEST)).collect();
        assert!(parts.iter().all(|part| (LONGEST / 2..=LONGEST).contains(part)), "{parts:?}");
        assert!(parts.iter().any(|part| part != &parts[0]), "{parts:?}");
    }
}
