//! Milliseconds since 1970 as text, with less work where they are like those before.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The text of a time: `2026-11-29T17:00:00.123Z`.
const LENGTH: usize = 24;
/// The last second that jiff has: there are few later ones whose year has four digits.
const LAST: u64 = 253_402_207_200_000;
const DAY: u64 = 86_400_000;

/// A time, and its text.
#[derive(Clone, Debug)]
pub(super) struct TimeText {
    time: u64,
    text: [u8; LENGTH],
}

impl Default for TimeText {
    fn default() -> TimeText {
        TimeText { time: 0, text: *b"1970-01-01T00:00:00.000Z" }
    }
}

impl TimeText {
    /// Changes what differs from the time before.
    #[inline]
    pub(super) fn set(&mut self, time: u64) {
        if time != self.time {
            self.change(time.min(LAST));
        }
    }

    pub(super) fn text(&self) -> &[u8; LENGTH] {
        &self.text
    }

    fn change(&mut self, time: u64) {
        if time / DAY != self.time / DAY {
            self.change_date(time);
        }
        let of_day = (time % DAY) as u32;
        let (seconds, milliseconds) = (of_day / 1_000, of_day % 1_000);
        let [hours, minutes, seconds] =
            [seconds / 3_600, seconds / 60 % 60, seconds % 60].map(|part| part as u8);
        for (at, part) in [(11, hours), (14, minutes), (17, seconds)] {
            self.text[at] = b'0' + part / 10;
            self.text[at + 1] = b'0' + part % 10;
        }
        for (at, part) in [(20, milliseconds / 100), (21, milliseconds / 10), (22, milliseconds)] {
            self.text[at] = b'0' + (part % 10) as u8;
        }
        self.time = time;
    }

    #[cold]
    fn change_date(&mut self, time: u64) {
        let midnight = i64::try_from(time / DAY * (DAY / 1_000)).ok();
        let midnight = midnight.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let date = TimeZone::UTC.to_datetime(midnight.unwrap_or_default()).date();
        let mut year = date.year().unsigned_abs();
        for place in self.text[..4].iter_mut().rev() {
            *place = b'0' + (year % 10) as u8;
            year /= 10;
        }
        for (at, part) in [(5, date.month()), (8, date.day())] {
            let part = part.unsigned_abs();
            self.text[at] = b'0' + part / 10;
            self.text[at + 1] = b'0' + part % 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_and_the_last() {
        let mut text = TimeText::default();
        for (time, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (LAST, "9999-12-30T22:00:00.000Z"),
            (u64::MAX, "9999-12-30T22:00:00.000Z"),
            (999, "1970-01-01T00:00:00.999Z"),
        ] {
            text.set(time);
            assert_eq!(str::from_utf8(text.text()), Ok(expected));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever was before, the text is that of the time.
        #[test]
        fn the_text_is_the_one_of_the_time(first in 0..=LAST, steps in prop::collection::vec(0..100_000_000_u64, 0..20)) {
            let mut text = TimeText::default();
            let mut time = first;
            for step in steps {
                time = (time + step).min(LAST);
                text.set(time);
                let expected = Timestamp::from_millisecond(time as i64).unwrap();
                prop_assert_eq!(str::from_utf8(text.text()).unwrap(), format!("{expected:.3}"));
            }
        }
    }
}
