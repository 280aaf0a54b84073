//! `datetime.timedelta`: a duration of days and of parts of a day (ISO 8601-1 §5.5.2.3, without
//! years, months and weeks, whose length is not known or not said).

use super::digits::spelled;
use super::{Key, NotOfType, Untyped};
use crate::number::write_int;
use crate::pickle::{Calls, Class};

const WANTED: NotOfType = NotOfType::Wanted(
    "a duration of less than 1,000,000,000 days, as P1DT2H3M4.5S, with six digits at most behind \
     the point",
);

const SECOND: i128 = 1_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;
/// Python's limit of days in either direction.
const MAX_DAYS: i64 = 999_999_999;

/// Days, hours below 24, minutes and seconds below 60; what is zero is left out.
pub(super) fn canonical(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    put_microseconds(microseconds(text).ok_or(WANTED)?, out)
}

/// The microseconds that a duration has.
pub fn microseconds(text: &[u8]) -> Option<i128> {
    /// As many digits as the longest that Python has in seconds, and more.
    const DIGITS: usize = 18;
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut rest = text.strip_prefix(b"P")?;
    let mut total = 0;
    let mut units: &[(u8, i128)] = &[(b'D', DAY)];
    let mut is_time = false;
    let mut count = 0;
    while !rest.is_empty() {
        if let [b'T', after @ ..] = rest {
            if is_time || after.is_empty() {
                return None;
            }
            (rest, is_time) = (after, true);
            units = &[(b'H', HOUR), (b'M', MINUTE), (b'S', SECOND)];
            continue;
        }
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, after) = rest.split_at(length);
        if !(1..=DIGITS).contains(&length) {
            return None;
        }
        let number = digits.iter().fold(0, |number, digit| number * 10 + i128::from(digit - b'0'));
        let (fraction, after) = match after {
            [b'.' | b',', after @ ..] => {
                let length = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (digits, after) = after.split_at(length);
                (Some(super::digits::microseconds(digits)?), after)
            }
            after => (None, after),
        };
        let (&unit, after) = after.split_first()?;
        let place = units.iter().position(|(letter, _)| *letter == unit)?;
        let (_, scale) = units[place];
        if fraction.is_some() && unit != b'S' {
            return None;
        }
        units = &units[place + 1..];
        total += number * scale + i128::from(fraction.unwrap_or(0));
        (rest, count) = (after, count + 1);
    }
    (count > 0).then_some(if is_negative { -total } else { total })
}

/// The timedelta of so many microseconds.
pub(crate) fn put_microseconds(total: i128, out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let (days, rest) = (total.div_euclid(DAY), total.rem_euclid(DAY));
    put_days(i64::try_from(days).map_err(|_| WANTED)?, rest as i64, out)
}

/// The timedelta of so many days and a part of one in microseconds, of which only the days are
/// negative.
fn put_days(mut days: i64, mut rest: i64, out: &mut Vec<u8>) -> Result<(), NotOfType> {
    if !(-MAX_DAYS..=MAX_DAYS).contains(&days) {
        return Err(WANTED);
    }
    if days < 0 {
        out.push(b'-');
        days = -days;
        if rest > 0 {
            (days, rest) = (days - 1, DAY as i64 - rest);
        }
    }
    out.push(b'P');
    let mut put = |number: i64, unit: u8| {
        if number > 0 {
            write_int(number, out);
            out.push(unit);
        }
    };
    put(days, b'D');
    if rest == 0 && days > 0 {
        return Ok(());
    }
    let (seconds, fraction) = (rest / SECOND as i64, rest % SECOND as i64);
    out.push(b'T');
    let mut put = |number: i64, unit: u8| {
        if number > 0 {
            write_int(number, out);
            out.push(unit);
        }
    };
    put(seconds / 3600, b'H');
    put(seconds / 60 % 60, b'M');
    if fraction > 0 || seconds % 60 > 0 || rest == 0 {
        write_int(seconds % 60, out);
        if fraction > 0 {
            let digits: [u8; 6] = spelled(fraction as u32);
            let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
            out.push(b'.');
            out.extend_from_slice(&digits[..digits.len() - zeros]);
        }
        out.push(b'S');
    }
    Ok(())
}

/// The timedelta of a pickle: `timedelta(days, seconds, microseconds)`, of which only the days are
/// negative.
pub(crate) fn put(
    days: i64,
    seconds: i64,
    microseconds: i64,
    out: &mut Vec<u8>,
) -> Result<(), NotOfType> {
    if !(0..86_400).contains(&seconds) || !(0..1_000_000).contains(&microseconds) {
        return Err(WANTED);
    }
    put_days(days, seconds * SECOND as i64 + microseconds, out)
}

/// `timedelta(days, seconds, microseconds)` in a pickle.
pub(super) fn call(canonical: &[u8], calls: &mut Calls<'_>) {
    call_microseconds(microseconds(canonical).unwrap_or_default(), calls);
}

/// The same of so many microseconds.
pub(super) fn call_microseconds(total: i128, calls: &mut Calls<'_>) {
    let rest = total.rem_euclid(DAY);
    calls.class(Class::Timedelta);
    calls.int(total.div_euclid(DAY) as i64);
    calls.int((rest / SECOND) as i64);
    calls.int((rest % SECOND) as i64);
    calls.call(3);
}

/// `total_seconds()`: the double next to the microseconds by a million, rounded once.
pub(super) fn untyped(canonical: &[u8]) -> Untyped<'_> {
    /// Doubles have all integers up to this, and divide them rounding once.
    const EXACT: i128 = 1 << 53;
    let total = microseconds(canonical).unwrap_or(0);
    if total.abs() <= EXACT {
        return Untyped::Float(total as i64 as f64 / 1e6);
    }
    let (sign, total) = (if total < 0 { "-" } else { "" }, total.unsigned_abs());
    let spelled = format!("{sign}{}.{:06}", total / 1_000_000, total % 1_000_000);
    Untyped::Float(spelled.parse().unwrap_or(0.0))
}

/// Timedeltas are equal where they are as long.
pub(super) fn key(canonical: &[u8], out: &mut Vec<u8>) -> Key {
    out.push(b'm');
    out.extend_from_slice(canonical);
    Key::Spelled
}

#[cfg(test)]
mod tests {
    use super::super::ScalarType::Timedelta;
    use super::*;

    #[test]
    fn durations_are_made_canonical() {
        for (spelled, canonical, seconds) in [
            ("P1DT2H3M4.5S", "P1DT2H3M4.5S", 93_784.5),
            ("PT0S", "PT0S", 0.0),
            ("P0D", "PT0S", 0.0),
            ("-PT0.000001S", "-PT0.000001S", -0.000_001),
            ("-PT0S", "PT0S", 0.0),
            ("+PT90M", "PT1H30M", 5_400.0),
            ("PT86400S", "P1D", 86_400.0),
            ("PT0,25S", "PT0.25S", 0.25),
            ("PT60.000001S", "PT1M0.000001S", 60.000_001),
            (
                "P999999999DT23H59M59.999999S",
                "P999999999DT23H59M59.999999S",
                86_399_999_999_999.999_999,
            ),
            ("-P999999999D", "-P999999999D", -86_399_999_913_600.0),
        ] {
            assert_eq!(Timedelta.canonical(spelled).as_deref(), Ok(canonical));
            assert_eq!(Timedelta.canonical(canonical).as_deref(), Ok(canonical));
            assert_eq!(Timedelta.untyped(canonical.as_bytes()), Untyped::Float(seconds));
        }
        for wrong in [
            "",
            "P",
            "PT",
            "P1",
            "1D",
            "P1DT",
            "PT1",
            "P1H",
            "PT1D",
            "PT1H1H",
            "PT1S1M",
            "P1.5D",
            "P1W",
            "P1Y",
            "P1M",
            "PT1.0000001S",
            "PT1.S",
            "PT.5S",
            "PT1HT1S",
            "--P1D",
            "P-1D",
            "P1000000000D",
            "-P999999999DT1S",
            "PT9999999999999999999S",
            " PT1S",
            "PT1S ",
        ] {
            assert_eq!(Timedelta.canonical(wrong), Err(WANTED), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_as_long_as_it_was() {
        let mut total: i128 = 1;
        while total < i128::from(MAX_DAYS) * DAY {
            for total in [total, -total, total - 1, DAY - total, total * 1_000 % DAY] {
                let mut out = Vec::new();
                put_microseconds(total, &mut out).unwrap();
                assert_eq!(microseconds(&out), Some(total), "{}", out.escape_ascii());
                let seconds = format!("{total}e-6").parse().unwrap();
                assert_eq!(untyped(&out), Untyped::Float(seconds));
                let mut again = Vec::new();
                canonical(&out, &mut again).unwrap();
                assert_eq!(again, out);
            }
            total = total * 7 / 3 + 1;
        }
    }

    #[test]
    fn a_pickle_has_days_seconds_and_microseconds() {
        let made = |days, seconds, microseconds| {
            let mut out = Vec::new();
            put(days, seconds, microseconds, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(made(-1, 86_399, 999_999).as_deref(), Ok("-PT0.000001S"));
        assert_eq!(made(1, 1, 1).as_deref(), Ok("P1DT1.000001S"));
        for wrong in
            [(0, -1, 0), (0, 86_400, 0), (0, 0, 1_000_000), (1_000_000_000, 0, 0), (i64::MIN, 0, 0)]
        {
            assert_eq!(made(wrong.0, wrong.1, wrong.2), Err(WANTED));
        }
    }
}
