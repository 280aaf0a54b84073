//! `datetime.datetime`, `date` and `time`: as `isoformat()` writes them, and behind it what that
//! does not say (RFC 9557 §3.1: a time zone and a key in brackets).

mod state;

use jiff::SignedDuration;
use jiff::civil::{self, DateTime};
use jiff::tz::TimeZone;

use super::digits::{self, number, spelled};
use super::{Key, NotOfType, Untyped, zone};

pub(super) use state::{call_date, call_datetime, call_time};
pub(crate) use state::{put_date, put_datetime, put_time};

const DATETIME: NotOfType = NotOfType::Wanted(
    "a date and time, as 2026-11-29T12:30:00.5+01:00[Europe/Berlin], with six digits at most \
     behind the point",
);
const DATE: NotOfType = NotOfType::Wanted("a date from the years 1 to 9999, as 2026-11-29");
const TIME: NotOfType = NotOfType::Wanted(
    "a time of day, as 12:30:00.5+01:00, with six digits at most behind the point",
);

const FOLD: &[u8] = b"[_fold=1]";
const EPOCH: civil::Date = civil::date(1970, 1, 1);
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The time zone of a datetime or a time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Zone<'a> {
    /// As far from UTC, by less than a day.
    Offset { microseconds: i64 },
    /// By its name in the database of time zones.
    Named(&'a [u8]),
}

/// A time of day.
#[derive(Clone, Copy)]
struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
    microsecond: u32,
}

impl Clock {
    fn is_valid(self) -> bool {
        self.hour < 24 && self.minute < 60 && self.second < 60 && self.microsecond < 1_000_000
    }

    fn microseconds(self) -> i64 {
        let seconds = (self.hour * 60 + self.minute) * 60 + self.second;
        i64::from(seconds) * SECOND + i64::from(self.microsecond)
    }

    fn put(self, out: &mut Vec<u8>) {
        put_clock([self.hour, self.minute, self.second], out);
        if self.microsecond > 0 {
            put_fraction(self.microsecond, out);
        }
    }
}

/// What a text says: a date, if it begins with one, a time, and what stands behind them.
struct Parts<'a> {
    date: Option<civil::Date>,
    clock: Clock,
    offset: Option<i64>,
    zone: Option<(&'a [u8], TimeZone)>,
    is_second: bool,
}

impl<'a> Parts<'a> {
    /// The same with the zone that an object had, and the offset that follows from it: a time has
    /// one where clocks were never set.
    fn in_zone(self, zone: Option<Zone<'a>>) -> Result<Parts<'a>, NotOfType> {
        let name = match zone {
            None => return Ok(self),
            Some(Zone::Offset { microseconds }) => {
                return Ok(Parts { offset: Some(microseconds), ..self });
            }
            Some(Zone::Named(name)) => name,
        };
        let zone = zone::named(name).ok_or(NotOfType::UnknownZone)?;
        let seconds = match self.date {
            Some(date) => {
                let offsets = zone::offsets(&zone, local(date, self.clock));
                Some(offsets[usize::from(self.is_second)])
            }
            None => zone::fixed_offset(&zone),
        };
        let offset = seconds.map(|seconds| seconds * SECOND);
        Ok(Parts { offset, zone: Some((name, zone)), ..self })
    }
}

pub(super) fn canonical_date(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    match date(text) {
        Some((date, [])) => {
            put_civil(date, out);
            Ok(())
        }
        _ => Err(DATE),
    }
}

pub(super) fn canonical_datetime(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let (day, rest) = date(text).ok_or(DATETIME)?;
    let ([b'T' | b' ', rest @ ..] | [b't', rest @ ..]) = rest else { return Err(DATETIME) };
    let parts = Parts { date: Some(day), ..parts(rest, DATETIME)? };
    if parts.zone.is_some() && parts.offset.is_none() {
        return Err(DATETIME);
    }
    put_civil(day, out);
    out.push(b'T');
    put_parts(&parts, out);
    Ok(())
}

pub(super) fn canonical_time(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let mut parts = parts(text, TIME)?;
    if let (None, Some((_, zone))) = (parts.offset, &parts.zone) {
        parts.offset = zone::fixed_offset(zone).map(|seconds| seconds * SECOND);
    }
    put_parts(&parts, out);
    Ok(())
}

/// A date at the beginning of a text.
fn date(text: &[u8]) -> Option<(civil::Date, &[u8])> {
    let (&[a, b, c, d, b'-', e, f, b'-', g, h], rest) = text.split_first_chunk()? else {
        return None;
    };
    let date = civil(number([a, b, c, d])?, number([e, f])?, number([g, h])?)?;
    Some((date, rest))
}

/// A date that Python has.
fn civil(year: u32, month: u32, day: u32) -> Option<civil::Date> {
    let [year, month, day] = [i16::try_from(year).ok()?, month as i16, day as i16];
    let is_python = (1..=9999).contains(&year) && month <= 12 && day <= 31;
    is_python.then(|| civil::Date::new(year, month as i8, day as i8).ok()).flatten()
}

/// All but the date.
fn parts(text: &[u8], wanted: NotOfType) -> Result<Parts<'_>, NotOfType> {
    let (clock, rest) = clock(text).filter(|(clock, _)| clock.is_valid()).ok_or(wanted)?;
    let (offset, mut rest) = match rest {
        [b'Z' | b'z', rest @ ..] => (Some(0), rest),
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let (offset, rest) = self::clock(rest).ok_or(wanted)?;
            // An offset has the form of a time of day, and is as short.
            if !offset.is_valid() {
                return Err(wanted);
            }
            let offset = offset.microseconds();
            (Some(if *sign == b'-' { -offset } else { offset }), rest)
        }
        rest => (None, rest),
    };
    let mut parts = Parts { date: None, clock, offset, zone: None, is_second: false };
    let mut has_fold = false;
    while let [b'[', inside @ ..] = rest {
        let length = inside.iter().take(65).position(|&byte| byte == b']').ok_or(wanted)?;
        match &inside[..length] {
            b"_fold=0" | b"_fold=1" if !has_fold => {
                parts.is_second = inside[length - 1] == b'1';
                has_fold = true;
            }
            name if parts.zone.is_none() && !has_fold => {
                let zone = zone::named(name).ok_or(NotOfType::UnknownZone)?;
                parts.zone = Some((name, zone));
            }
            _ => return Err(wanted),
        }
        rest = &inside[length + 1..];
    }
    if rest.is_empty() { Ok(parts) } else { Err(wanted) }
}

/// `HH:MM`, and seconds with a fraction of them, at the beginning of a text.
fn clock(text: &[u8]) -> Option<(Clock, &[u8])> {
    let (&[a, b, b':', c, d], rest) = text.split_first_chunk()? else { return None };
    let mut clock =
        Clock { hour: number([a, b])?, minute: number([c, d])?, second: 0, microsecond: 0 };
    let [b':', a, b, rest @ ..] = rest else { return Some((clock, rest)) };
    clock.second = number([*a, *b])?;
    let [b'.' | b',', rest @ ..] = rest else { return Some((clock, rest)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    clock.microsecond = digits::microseconds(&rest[..length])?;
    Some((clock, &rest[length..]))
}

fn put_civil(date: civil::Date, out: &mut Vec<u8>) {
    let [a, b, c, d] = spelled(date.year() as u32);
    let [month, day] = [date.month(), date.day()].map(|part| spelled(part as u32));
    let ([e, f], [g, h]) = (month, day);
    out.extend_from_slice(&[a, b, c, d, b'-', e, f, b'-', g, h]);
}

fn put_parts(parts: &Parts<'_>, out: &mut Vec<u8>) {
    parts.clock.put(out);
    if let Some(offset) = parts.offset {
        put_offset(offset, out);
    }
    if let Some((name, _)) = &parts.zone {
        out.push(b'[');
        out.extend_from_slice(name);
        out.push(b']');
    }
    // Where clocks are set, the offset says which of two it is.
    let is_told = || match (&parts.zone, parts.date, parts.offset) {
        (Some((_, zone)), Some(date), Some(_)) => {
            let [first, second] = zone::offsets(zone, local(date, parts.clock));
            first != second
        }
        _ => false,
    };
    if parts.is_second && !is_told() {
        out.extend_from_slice(FOLD);
    }
}

fn put_offset(offset: i64, out: &mut Vec<u8>) {
    let (sign, rest) = (if offset < 0 { b'-' } else { b'+' }, offset.abs());
    let (seconds, fraction) = ((rest / SECOND) as u32, (rest % SECOND) as u32);
    out.push(sign);
    put_clock([seconds / 3600, seconds / 60 % 60, seconds % 60], out);
    if fraction > 0 {
        put_fraction(fraction, out);
    } else if seconds % 60 == 0 {
        out.truncate(out.len() - ":00".len());
    }
}

/// `HH:MM:SS`.
fn put_clock(parts: [u32; 3], out: &mut Vec<u8>) {
    let [[a, b], [c, d], [e, f]] = parts.map(spelled);
    out.extend_from_slice(&[a, b, b':', c, d, b':', e, f]);
}

/// Microseconds.
fn put_fraction(microsecond: u32, out: &mut Vec<u8>) {
    let [a, b, c, d, e, f] = spelled(microsecond);
    out.extend_from_slice(&[b'.', a, b, c, d, e, f]);
}

fn local(date: civil::Date, clock: Clock) -> DateTime {
    let [hour, minute, second] = [clock.hour, clock.minute, clock.second].map(|part| part as i8);
    date.at(hour, minute, second, clock.microsecond as i32 * 1_000)
}

/// What `isoformat()` is: all before the first bracket.
pub(super) fn untyped(canonical: &[u8]) -> Untyped<'_> {
    let length = canonical.iter().position(|&byte| byte == b'[').unwrap_or(canonical.len());
    Untyped::Text(&canonical[..length])
}

/// Dates are equal where their canonical texts are.
pub(super) fn key_of_date(canonical: &[u8], out: &mut Vec<u8>) -> Key {
    out.push(b'e');
    out.extend_from_slice(canonical);
    Key::Spelled
}

/// Datetimes with an offset are equal where their instant is, others where their fields are.
pub(super) fn key_of_datetime(canonical: &[u8], out: &mut Vec<u8>) -> Key {
    let Some((day, [_, rest @ ..])) = date(canonical) else { return Key::Nothing };
    // Where clocks are set, Python finds a datetime equal to those of its own zone alone, and these
    // by their fields.
    if let Ok(Parts { clock, zone: Some((name, zone)), .. }) = parts(rest, DATETIME)
        && let [first, second] = zone::offsets(&zone, local(day, clock))
        && first != second
    {
        out.push(b'z');
        out.extend_from_slice(&(days_of(day) * DAY + clock.microseconds()).to_be_bytes());
        out.extend_from_slice(name);
        return Key::Spelled;
    }
    key_of_clock(days_of(day), rest, [b'd', b'a'], out)
}

/// The same for times.
pub(super) fn key_of_time(canonical: &[u8], out: &mut Vec<u8>) -> Key {
    key_of_clock(0, canonical, [b't', b'u'], out)
}

fn key_of_clock(days: i64, text: &[u8], [naive, aware]: [u8; 2], out: &mut Vec<u8>) -> Key {
    let Some((clock, rest)) = clock(text) else { return Key::Nothing };
    let offset = match rest {
        [sign @ (b'+' | b'-'), rest @ ..] => self::clock(rest).map(|(offset, _)| {
            let offset = offset.microseconds();
            if *sign == b'-' { -offset } else { offset }
        }),
        _ => None,
    };
    out.push(if offset.is_some() { aware } else { naive });
    let instant = days * DAY + clock.microseconds() - offset.unwrap_or(0);
    out.extend_from_slice(&instant.to_be_bytes());
    Key::Spelled
}

/// Days since 1970.
fn days_of(date: civil::Date) -> i64 {
    date.duration_since(EPOCH).as_hours() / 24
}

/// The date of so many days since 1970.
pub(crate) fn put_days(days: i64, out: &mut Vec<u8>) -> Result<(), NotOfType> {
    put_civil(date_of(days)?, out);
    Ok(())
}

/// The datetime of so many microseconds since 1970, without an offset.
pub(crate) fn put_microseconds(since: i64, out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let date = date_of(since.div_euclid(DAY))?;
    let rest = since.rem_euclid(DAY);
    let seconds = (rest / SECOND) as u32;
    put_civil(date, out);
    out.push(b'T');
    Clock {
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        microsecond: (rest % SECOND) as u32,
    }
    .put(out);
    Ok(())
}

/// The date of so many days since 1970; Python's begin with the year 1.
fn date_of(days: i64) -> Result<civil::Date, NotOfType> {
    let hours = days.checked_mul(24).and_then(SignedDuration::try_from_hours).ok_or(DATE)?;
    let date = EPOCH.checked_add(hours).map_err(|_| DATE)?;
    if date.year() < 1 { Err(DATE) } else { Ok(date) }
}

/// The first of the month that is so many months after January 1970.
pub(crate) fn put_months(months: i64, out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let year = months.div_euclid(12).saturating_add(1970);
    let first =
        u32::try_from(year).ok().and_then(|year| civil(year, months.rem_euclid(12) as u32 + 1, 1));
    put_civil(first.ok_or(DATE)?, out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::ScalarType::{Date, Datetime, Time};
    use super::*;

    #[test]
    fn texts_are_made_canonical() {
        for (of, spelled, canonical, untyped) in [
            (Datetime, "2026-11-29T12:30:00", "2026-11-29T12:30:00", "2026-11-29T12:30:00"),
            (
                Datetime,
                "2026-11-29 12:30Z",
                "2026-11-29T12:30:00+00:00",
                "2026-11-29T12:30:00+00:00",
            ),
            (
                Datetime,
                "0001-01-01T00:00:00.5-00:00",
                "0001-01-01T00:00:00.500000+00:00",
                "0001-01-01T00:00:00.500000+00:00",
            ),
            (
                Datetime,
                "2026-11-29T12:30:00+01:00:03.000007",
                "2026-11-29T12:30:00+01:00:03.000007",
                "2026-11-29T12:30:00+01:00:03.000007",
            ),
            (
                Datetime,
                "2026-11-29T12:30:00.000+01:00[Europe/Berlin]",
                "2026-11-29T12:30:00+01:00[Europe/Berlin]",
                "2026-11-29T12:30:00+01:00",
            ),
            // An overlap: the offset says which of two it is. At other times nothing does.
            (
                Datetime,
                "2026-10-25T02:30:00+01:00[Europe/Berlin][_fold=1]",
                "2026-10-25T02:30:00+01:00[Europe/Berlin]",
                "2026-10-25T02:30:00+01:00",
            ),
            (
                Datetime,
                "2026-11-29T02:30:00+01:00[Europe/Berlin][_fold=1]",
                "2026-11-29T02:30:00+01:00[Europe/Berlin][_fold=1]",
                "2026-11-29T02:30:00+01:00",
            ),
            (
                Datetime,
                "2026-11-29T02:30:00[_fold=1]",
                "2026-11-29T02:30:00[_fold=1]",
                "2026-11-29T02:30:00",
            ),
            (
                Datetime,
                "2026-11-29T02:30:00[_fold=0]",
                "2026-11-29T02:30:00",
                "2026-11-29T02:30:00",
            ),
            (Date, "2024-02-29", "2024-02-29", "2024-02-29"),
            (Time, "12:30", "12:30:00", "12:30:00"),
            (Time, "12:30:01,25-23:59", "12:30:01.250000-23:59", "12:30:01.250000-23:59"),
            (Time, "12:30:01[Europe/Berlin]", "12:30:01[Europe/Berlin]", "12:30:01"),
            (Time, "12:30[UTC]", "12:30:00+00:00[UTC]", "12:30:00+00:00"),
            (
                Time,
                "12:30:01+00:00[UTC][_fold=1]",
                "12:30:01+00:00[UTC][_fold=1]",
                "12:30:01+00:00",
            ),
        ] {
            assert_eq!(of.canonical(spelled).as_deref(), Ok(canonical));
            assert_eq!(of.canonical(canonical).as_deref(), Ok(canonical));
            assert_eq!(of.untyped(canonical.as_bytes()), Untyped::Text(untyped.as_bytes()));
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for (of, wanted, texts) in [
            (
                Date,
                DATE,
                &[
                    "",
                    "2026-02-29",
                    "0000-01-01",
                    "2026-13-01",
                    "2026-00-01",
                    "2026-01-00",
                    "2026-1-1",
                    "20260101",
                    "2026-01-01T",
                    "10000-01-01",
                    "-001-01-01",
                ][..],
            ),
            (
                Datetime,
                DATETIME,
                &[
                    "2026-01-01",
                    "2026-01-01T",
                    "2026-01-01T24:00",
                    "2026-01-01T00:60",
                    "2026-01-01T00:00:60",
                    "2026-01-01T00:00:00.",
                    "2026-01-01T00:00:00.1234567",
                    "2026-01-01T00:00:00+24:00",
                    "2026-01-01T00:00:00+1:00",
                    "2026-01-01T00:00:00[Europe/Berlin]",
                    "2026-01-01T00:00:00+01:00[UTC",
                    "2026-01-01T00:00:00+00:00[UTC][UTC]",
                    "2026-01-01T00:00:00[_fold=1][_fold=1]",
                    "2026-01-01T00:00:00+00:00[_fold=1][UTC]",
                    "2026-01-01T00:00:00 ",
                    "2026-01-01X00:00:00",
                ][..],
            ),
            (
                Time,
                TIME,
                &["", "1:00", "12", "12:3", "24:00", "12:00:00+25:00", "12:00:00[_fold=1]x"][..],
            ),
        ] {
            for text in texts {
                assert_eq!(of.canonical(text), Err(wanted), "{text}");
            }
        }
        for zone in
            ["Nowhere/Land", "europe/berlin", "../../etc/passwd", "", "_fold=2", "Europe/Berlin "]
        {
            let text = format!("2026-01-01T00:00:00+00:00[{zone}]");
            assert_eq!(Datetime.canonical(&text), Err(NotOfType::UnknownZone), "{zone}");
        }
    }

    #[test]
    fn days_are_counted_as_python_counts_them() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (-719_162, "0001-01-01"),
            (2_932_896, "9999-12-31"),
            (19_782, "2024-02-29"),
            (-1, "1969-12-31"),
        ] {
            let mut out = Vec::new();
            put_days(days, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            assert_eq!(days_of(date(expected.as_bytes()).unwrap().0), days);
        }
        for days in [-719_163, 2_932_897, 1 << 50, 1 << 58, -(1 << 58), i64::MIN, i64::MAX] {
            assert_eq!(put_days(days, &mut Vec::new()), Err(DATE));
        }
        let mut out = Vec::new();
        put_microseconds(-1, &mut out).unwrap();
        assert_eq!(out, b"1969-12-31T23:59:59.999999");
    }

    #[test]
    fn datetimes_are_equal_by_their_instant() {
        let key = |of: super::super::ScalarType, text: &str| {
            let mut out = Vec::new();
            assert_eq!(of.key(of.canonical(text).unwrap().as_bytes(), &mut out), Key::Spelled);
            out
        };
        let noon = key(Datetime, "2026-07-01T12:00:00Z");
        assert_eq!(noon, key(Datetime, "2026-07-01T14:00:00+02:00[Europe/Berlin]"));
        assert_ne!(noon, key(Datetime, "2026-07-01T12:00:00"));
        assert_eq!(
            key(Datetime, "2026-07-01T12:00:00[_fold=1]"),
            key(Datetime, "2026-07-01T12:00:00")
        );
        assert_ne!(key(Date, "2026-07-01"), key(Datetime, "2026-07-01T00:00:00"));
        // A gap, and an overlap.
        let gap = "2026-03-29T02:30:00+01:00[Europe/Berlin]";
        assert_ne!(key(Datetime, gap), key(Datetime, "2026-03-29T03:30:00+02:00[Europe/Berlin]"));
        assert_ne!(key(Datetime, gap), key(Datetime, "2026-03-29T01:30:00Z"));
        assert_eq!(
            key(Datetime, "2026-10-25T02:30:00+01:00[Europe/Berlin]"),
            key(Datetime, "2026-10-25T02:30:00+02:00[Europe/Berlin]")
        );
        assert_eq!(key(Time, "12:00:00+01:00"), key(Time, "11:00:00Z"));
        assert_eq!(key(Time, "12:00:00[Europe/Berlin]"), key(Time, "12:00"));
    }
}
