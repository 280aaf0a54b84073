//! The clock by which messages are too old: one that a mistake cannot make jump.
//!
//! The wall clock says when a message was published, so it has to say how old that is. But one that
//! is set forward by mistake would drop everything that a stream keeps, and what is dropped does
//! not come back when the clock is mended. So it is held against the steady clock: where it is
//! suddenly ahead, it is believed when it has stayed there for an hour.

use std::time::Duration;

use crate::broker::sync::Instant;

/// A step forward that is always believed: what corrects a clock that runs well.
const STEP: Duration = Duration::from_secs(60);
/// How long a clock that has gone further has to stay there.
const DOUBTED: Duration = Duration::from_secs(3_600);

/// Judges what the wall clock says.
#[derive(Debug)]
pub(super) struct AgeClock {
    /// What was believed last, in milliseconds since 1970, and when that was.
    time: u64,
    at: Instant,
    /// Since when the wall clock has been too far ahead.
    doubted: Option<Instant>,
}

impl AgeClock {
    /// One that believes what the wall clock says when the broker starts: nothing else knows how
    /// long it was away.
    pub(super) fn new(wall: u64, at: Instant) -> AgeClock {
        AgeClock { time: wall, at, doubted: None }
    }

    /// The time by which messages are judged, where the wall clock says `wall`.
    pub(super) fn judge(&mut self, stream: &str, wall: u64, at: Instant) -> u64 {
        let elapsed = milliseconds(at.saturating_duration_since(self.at));
        let expected = self.time.saturating_add(elapsed);
        if wall > expected.saturating_add(milliseconds(STEP)) {
            let ahead = Duration::from_millis(wall - expected).as_secs();
            let since = *self.doubted.get_or_insert_with(|| {
                tracing::warn!(
                    stream,
                    seconds = ahead,
                    "the clock has gone forward; if it stays there for an hour, the stream drops \
                     what is too old by it: set it right before that if it is wrong"
                );
                at
            });
            if at.saturating_duration_since(since) < DOUBTED {
                return expected;
            }
            tracing::warn!(
                stream,
                seconds = ahead,
                "the clock that has gone forward has stayed there; what is too old by it is dropped"
            );
        }
        // One that was set back keeps messages for longer, which nobody misses.
        *self = AgeClock::new(wall, at);
        wall
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    /// What is judged after so many seconds, where the wall clock says so many milliseconds.
    fn judged(looks: &[(u64, u64)]) -> Vec<u64> {
        let start = Instant::now();
        let mut clock = AgeClock::new(100 * DAY, start);
        let look = |(seconds, wall): &(u64, u64)| {
            clock.judge("orders", *wall, start + Duration::from_secs(*seconds))
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_clock_that_goes_on_or_is_corrected_a_little_is_believed() {
        let walls = [1_000, 61_000, 121_000, 90_000].map(|time| 100 * DAY + time);
        assert_eq!(judged(&[(1, walls[0]), (2, walls[1]), (3, walls[2]), (4, walls[3])]), walls);
    }

    #[test]
    fn a_clock_that_jumps_forward_and_comes_back_was_never_believed() {
        let expected = [1_000, 2_000, 3_000].map(|time| 100 * DAY + time);
        let jumped = judged(&[(1, 465 * DAY), (2, 465 * DAY + 1_000), (3, expected[2])]);
        assert_eq!(jumped, expected);
    }

    #[test]
    fn a_clock_that_stays_where_it_has_jumped_is_believed_in_an_hour() {
        let there = |seconds: u64| (seconds, 465 * DAY + seconds * 1_000);
        let judged = judged(&[there(1), there(3_600), there(3_601), there(3_602)]);
        assert_eq!(judged[..2], [1_000, 3_600_000].map(|time| 100 * DAY + time));
        assert_eq!(judged[2..], [there(3_601).1, there(3_602).1]);
    }

    #[test]
    fn a_clock_that_has_come_back_is_doubted_anew_when_it_jumps_again() {
        let right = |seconds: u64| 100 * DAY + seconds * 1_000;
        let judged = judged(&[(1, 465 * DAY), (2, right(2)), (3_700, 465 * DAY)]);
        assert_eq!(judged, [right(1), right(2), right(3_700)]);
    }

    #[test]
    fn a_clock_that_is_set_back_is_believed_and_its_way_forward_is_not() {
        let judged = judged(&[(1, 99 * DAY), (2, 100 * DAY), (3, 99 * DAY + 2_000)]);
        assert_eq!(judged, [99 * DAY, 99 * DAY + 1_000, 99 * DAY + 2_000]);
    }
}
