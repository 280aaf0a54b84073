//! Dates and times as pickles have them: a few bytes, and a zone beside them.

use super::{
    Clock, DATE, DATETIME, EPOCH, Parts, SECOND, TIME, Zone, civil, date, local, parts, put_civil,
    put_parts, zone,
};
use crate::pickle::{Calls, Class};
use crate::scalar_type::{NotOfType, timedelta};

/// The date of a pickle: year (two bytes, the higher first), month, day (CPython,
/// `date.__reduce__`).
pub(crate) fn put_date(state: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let &[a, b, month, day] = state else { return Err(DATE) };
    let year = u32::from(u16::from_be_bytes([a, b]));
    put_civil(civil(year, month.into(), day.into()).ok_or(DATE)?, out);
    Ok(())
}

/// The datetime of a pickle: a date, hour, minute, second, microseconds (three bytes, the highest
/// first); the highest bit of the month is `fold` (CPython, `datetime.__reduce_ex__`).
pub(crate) fn put_datetime(
    state: &[u8],
    zone: Option<Zone<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), NotOfType> {
    let &[a, b, month, day, ref time @ ..] = state else { return Err(DATETIME) };
    let year = u32::from(u16::from_be_bytes([a, b]));
    let date = civil(year, u32::from(month & 0x7f), day.into()).ok_or(DATETIME)?;
    let clock = clock_of(time, 0xff).ok_or(DATETIME)?;
    let is_second = month & 0x80 != 0;
    let unplaced = Parts { date: Some(date), clock, offset: None, zone: None, is_second };
    let parts = unplaced.in_zone(zone)?;
    put_civil(date, out);
    out.push(b'T');
    put_parts(&parts, out);
    Ok(())
}

/// The time of a pickle: hour, minute, second, microseconds (three bytes, the highest first); the
/// highest bit of the hour is `fold` (CPython, `time.__reduce_ex__`).
pub(crate) fn put_time(
    state: &[u8],
    zone: Option<Zone<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), NotOfType> {
    let clock = clock_of(state, 0x7f).ok_or(TIME)?;
    let is_second = state[0] & 0x80 != 0;
    let unplaced = Parts { date: None, clock, offset: None, zone: None, is_second };
    let parts = unplaced.in_zone(zone)?;
    put_parts(&parts, out);
    Ok(())
}

/// A time of day in six bytes; of the first, the bits of a mask.
fn clock_of(state: &[u8], mask: u8) -> Option<Clock> {
    let &[hour, minute, second, a, b, c] = state else { return None };
    let clock = Clock {
        hour: (hour & mask).into(),
        minute: minute.into(),
        second: second.into(),
        microsecond: u32::from_be_bytes([0, a, b, c]),
    };
    clock.is_valid().then_some(clock)
}

/// `date(bytes)` in a pickle.
pub(in crate::scalar_type) fn call_date(canonical: &[u8], calls: &mut Calls<'_>) {
    let (date, _) = date(canonical).unwrap_or((EPOCH, &[]));
    calls.class(Class::Date);
    calls.bytes(&bytes_of_date(date));
    calls.call(1);
}

/// `datetime(bytes[, zone])` in a pickle.
pub(in crate::scalar_type) fn call_datetime(canonical: &[u8], calls: &mut Calls<'_>) {
    let (date, rest) = date(canonical).unwrap_or((EPOCH, &[]));
    let Ok(parts) = parts(rest.get(1..).unwrap_or_default(), DATETIME) else { return };
    let mut parts = Parts { date: Some(date), ..parts };
    if let (Some((_, zone)), Some(offset)) = (&parts.zone, parts.offset) {
        let [first, second] =
            zone::offsets(zone, local(date, parts.clock)).map(|seconds| seconds * SECOND);
        if offset != first && offset != second {
            // The zone has another offset there: what was said of the instant is kept.
            parts.zone = None;
        } else if first != second {
            parts.is_second = offset == second;
        }
    }
    let [a, b, month, day] = bytes_of_date(date);
    let [hour, minute, second, c, d, e] = bytes_of_clock(parts.clock);
    let month = month | u8::from(parts.is_second) << 7;
    calls.class(Class::Datetime);
    calls.bytes(&[a, b, month, day, hour, minute, second, c, d, e]);
    call_in_zone(&parts, calls);
}

/// `time(bytes[, zone])` in a pickle.
pub(in crate::scalar_type) fn call_time(canonical: &[u8], calls: &mut Calls<'_>) {
    let Ok(parts) = parts(canonical, TIME) else { return };
    let [hour, minute, second, a, b, c] = bytes_of_clock(parts.clock);
    calls.class(Class::Time);
    calls.bytes(&[hour | u8::from(parts.is_second) << 7, minute, second, a, b, c]);
    call_in_zone(&parts, calls);
}

/// The zone of a datetime or a time, if it has one, and the call.
fn call_in_zone(parts: &Parts<'_>, calls: &mut Calls<'_>) {
    match (&parts.zone, parts.offset) {
        (Some((name, _)), _) => {
            calls.class(Class::ZoneInfo);
            calls.str(name);
            calls.call(1);
        }
        (None, Some(offset)) => {
            calls.class(Class::Timezone);
            timedelta::call_microseconds(offset.into(), calls);
            calls.call(1);
        }
        (None, None) => return calls.call(1),
    }
    calls.call(2);
}

fn bytes_of_date(date: civil::Date) -> [u8; 4] {
    let [a, b] = date.year().to_be_bytes();
    [a, b, date.month() as u8, date.day() as u8]
}

fn bytes_of_clock(clock: Clock) -> [u8; 6] {
    let [hour, minute, second] = [clock.hour, clock.minute, clock.second].map(|part| part as u8);
    let [_, a, b, c] = clock.microsecond.to_be_bytes();
    [hour, minute, second, a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_pickle_are_read() {
        let datetime = |state: &[u8], zone| {
            let mut out = Vec::new();
            put_datetime(state, zone, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        let berlin = Some(Zone::Named(b"Europe/Berlin"));
        let summer = b"\x07\xea\x07\x01\x0c\x00\x00\x00\x00\x07";
        assert_eq!(
            datetime(summer, berlin).as_deref(),
            Ok("2026-07-01T12:00:00.000007+02:00[Europe/Berlin]")
        );
        let overlap = b"\x07\xea\x8a\x19\x02\x1e\x00\x00\x00\x00";
        assert_eq!(
            datetime(overlap, berlin).as_deref(),
            Ok("2026-10-25T02:30:00+01:00[Europe/Berlin]")
        );
        assert_eq!(datetime(overlap, None).as_deref(), Ok("2026-10-25T02:30:00[_fold=1]"));
        let long_ago = b"\x07\x08\x01\x01\x00\x00\x00\x00\x00\x00";
        assert_eq!(
            datetime(long_ago, berlin).as_deref(),
            Ok("1800-01-01T00:00:00+00:53:28[Europe/Berlin]")
        );
        let far = b"\x09\xc4\x07\x01\x00\x00\x00\x00\x00\x00";
        assert_eq!(
            datetime(far, berlin).as_deref(),
            Ok("2500-07-01T00:00:00+02:00[Europe/Berlin]")
        );
        let offset = Some(Zone::Offset { microseconds: -1 });
        assert_eq!(datetime(far, offset).as_deref(), Ok("2500-07-01T00:00:00-00:00:00.000001"));
        assert_eq!(datetime(summer, Some(Zone::Named(b"Mars"))), Err(NotOfType::UnknownZone));
        for wrong in [
            &b""[..],
            &summer[..9],
            b"\xff\xff\x01\x01\0\0\0\0\0\0",
            b"\x07\xea\x02\x1e\0\0\0\0\0\0",
            b"\x07\xea\x02\x01\x18\0\0\0\0\0",
            b"\x07\xea\x02\x01\0\0\0\x0f\x42\x40",
        ] {
            assert_eq!(datetime(wrong, None), Err(DATETIME));
        }
        let mut out = Vec::new();
        put_time(b"\x8c\0\0\0\0\0", Some(Zone::Named(b"Etc/GMT+5")), &mut out).unwrap();
        assert_eq!(out, b"12:00:00-05:00[Etc/GMT+5][_fold=1]");
        out.clear();
        put_time(b"\x0c\0\0\0\0\0", Some(Zone::Named(b"Asia/Tokyo")), &mut out).unwrap();
        assert_eq!(out, b"12:00:00[Asia/Tokyo]");
    }
}
