//! Times in tenths of a second, which take little room.

use std::time::Duration;

/// A time, in tenths of a second since a beginning that all of a process have in common; or none.
/// The last that it tells is 13 years later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tenths(u32);

impl Tenths {
    /// The time so long after the beginning.
    pub fn after(beginning: Duration) -> Tenths {
        // 0 is none.
        let tenths = u32::try_from(beginning.as_millis() / 100).unwrap_or(u32::MAX);
        Tenths(tenths.saturating_add(1))
    }

    /// Whole seconds since then; 0 where it is none.
    pub fn seconds_until(self, now: Tenths) -> u32 {
        if self.0 == 0 { 0 } else { now.0.saturating_sub(self.0) / 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_count_when_they_are_over() {
        let at = |millis| Tenths::after(Duration::from_millis(millis));
        for (then, now, seconds) in [(0, 0, 0), (0, 999, 0), (0, 1_000, 1), (950, 61_000, 60)] {
            assert_eq!(at(then).seconds_until(at(now)), seconds);
        }
        assert_eq!(at(9_000).seconds_until(at(0)), 0, "a clock that stands still");
        assert_eq!(Tenths::default().seconds_until(at(9_000)), 0);
        assert_eq!(at(0).seconds_until(at(u64::MAX)), 429_496_729);
    }
}
