//! How fast a frame arrives, for the case that others wait for the memory that it takes.
//!
//! A session may be late to read what has arrived, so time alone says nothing of the client.

use std::mem;
use std::time::Duration;

use crate::broker::sync::Instant;

/// A frame beyond the smallest buffer must not stand still for so long then.
pub(super) const HURRIED: Duration = Duration::from_secs(1);
/// Bytes of it that come in that time at least, and a tenth of it where that is more.
const SLOW: usize = 4 << 10;

/// The bytes of a frame that have come lately.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    bytes: usize,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { since: Instant::now(), bytes: 0 }
    }

    /// Notes that so many bytes have come.
    pub(super) fn note(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Whether a frame of this length comes too slowly. It is judged once in [`HURRIED`], by what
    /// has come since it was judged last.
    pub(super) fn is_slow(&mut self, now: Instant, frame: usize) -> bool {
        if now.saturating_duration_since(self.since) < HURRIED {
            return false;
        }
        mem::replace(self, Pace { since: now, bytes: 0 }).bytes < SLOW.max(frame / 10)
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_slow_if_less_than_its_part_has_come_in_a_second() {
        let (mut pace, long) = (Pace::new(), 1 << 20);
        let start = pace.since;
        assert!(!pace.is_slow(start + HURRIED / 2, long), "it is early to say");
        for (seconds, bytes, frame, expected) in [
            (1, long / 10, long, false),
            (2, long / 10 - 1, long, true),
            (3, SLOW, SLOW + 1, false),
            (4, SLOW - 1, SLOW + 1, true),
            (5, 0, long, true),
        ] {
            pace.note(bytes);
            assert_eq!(
                pace.is_slow(start + HURRIED * seconds, frame),
                expected,
                "{bytes} of {frame}"
            );
        }
    }
}
