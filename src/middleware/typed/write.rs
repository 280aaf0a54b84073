//! What a field's own type serializes to, made a scalar with a type.

use std::fmt::Write;

use crate::protocol::{ScalarType, Value};

const SECOND: i128 = 1_000_000_000;

/// The scalar that `plain` spells; `None` is none.
///
/// # Errors
/// What is wrong with it, in words.
pub(in crate::middleware) fn typed(of: ScalarType, plain: Value) -> Result<Value, String> {
    let text = match plain {
        Value::None => return Ok(Value::None),
        Value::Typed(found, text) if found == of => text,
        Value::Str(text) if of == ScalarType::Datetime => without_offset_as_zone(text),
        Value::Str(text) => text,
        Value::Int(_) | Value::BigInt(_) if of == ScalarType::Decimal => plain.to_string(),
        other => match nanoseconds(&other) {
            Some(nanoseconds) if of == ScalarType::Timedelta => duration(nanoseconds),
            _ => {
                return Err(format!("a {} is made from its text, and not from {other}", of.name()));
            }
        },
    };
    match of.canonical(&text) {
        Ok(text) => Ok(Value::Typed(of, text)),
        Err(fault) => Err(format!("the {} {text:?} is none: {fault}", of.name())),
    }
}

/// The offset of a `jiff::ZonedDateTime` stands for its zone too where that has no name.
fn without_offset_as_zone(mut text: String) -> String {
    if let Some((datetime, zone)) = text.split_once('[')
        && zone.starts_with(['+', '-'])
        && zone.strip_suffix(']').is_some_and(|offset| datetime.ends_with(offset))
    {
        text.truncate(datetime.len());
    }
    text
}

/// The length of a duration that is seconds and nanoseconds: a pair as `chrono` has it, or a struct
/// as the standard library.
fn nanoseconds(value: &Value) -> Option<i128> {
    let (seconds, nanoseconds) = match value {
        Value::Tuple(items) => match items.as_slice() {
            [seconds, nanoseconds] => (seconds, nanoseconds),
            _ => return None,
        },
        _ => (value.get("secs")?, value.get("nanos")?),
    };
    Some(i128::from(seconds.as_i64()?) * SECOND + i128::from(nanoseconds.as_i64()?))
}

fn duration(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let length = nanoseconds.unsigned_abs();
    let (seconds, fraction) = (length / SECOND.unsigned_abs(), length % SECOND.unsigned_abs());
    let mut text = format!("{sign}PT{seconds}");
    if fraction > 0 {
        let digits = format!("{fraction:09}");
        // To a string nothing fails to be written.
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
    text.push('S');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: ScalarType, plain: Value) -> Result<String, String> {
        match typed(of, plain)? {
            Value::Typed(found, text) if found == of => Ok(text),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_offset_that_stands_for_a_zone_is_said_once() {
        for (spelled, canonical) in [
            ("2024-06-19T15:22:45-04:00[-04:00]", Some("2024-06-19T15:22:45-04:00")),
            ("2024-06-19T15:22:45-04:00[+04:00]", None),
            ("2024-06-19T15:22:45Z", Some("2024-06-19T15:22:45+00:00")),
            (
                "2024-06-19T15:22:45-04:00[America/New_York]",
                Some("2024-06-19T15:22:45-04:00[America/New_York]"),
            ),
        ] {
            let text = text(ScalarType::Datetime, spelled.into()).ok();
            assert_eq!(text.as_deref(), canonical, "{spelled}");
        }
    }

    #[test]
    fn durations_of_seconds_and_nanoseconds_are_timedeltas() {
        let pair =
            |seconds: i64, nanoseconds: i64| Value::Tuple(vec![seconds.into(), nanoseconds.into()]);
        let fields =
            Value::Dict(vec![("secs".into(), 90.into()), ("nanos".into(), 500_000_000.into())]);
        for (plain, canonical) in [
            (pair(0, 0), "PT0S"),
            (pair(-1, 999_999_000), "-PT0.000001S"),
            (pair(-2, 500_000_000), "-PT1.5S"),
            (pair(93_784, 0), "P1DT2H3M4S"),
            (fields, "PT1M30.5S"),
        ] {
            assert_eq!(text(ScalarType::Timedelta, plain).as_deref(), Ok(canonical));
        }
        let error = text(ScalarType::Timedelta, pair(0, 1)).unwrap_err();
        assert!(error.starts_with("the timedelta \"PT0.000000001S\" is none: it takes"), "{error}");
        assert!(error.ends_with("with six digits at most behind the point"), "{error}");
        assert!(text(ScalarType::Timedelta, pair(i64::MAX, 0)).is_err());
        let three = Value::Tuple(vec![1.into(), 2.into(), 3.into()]);
        assert!(text(ScalarType::Timedelta, three).is_err());
    }

    #[test]
    fn what_is_no_text_of_the_type_is_refused_in_words() {
        assert_eq!(typed(ScalarType::Uuid, Value::None), Ok(Value::None));
        assert_eq!(text(ScalarType::Decimal, 5.into()).as_deref(), Ok("5"));
        let error = text(ScalarType::Decimal, 1.1.into()).unwrap_err();
        assert_eq!(error, "a decimal is made from its text, and not from 1.1");
        let date = Value::Typed(ScalarType::Date, "2026-11-29".to_owned());
        assert_eq!(typed(ScalarType::Date, date.clone()), Ok(date.clone()));
        assert!(typed(ScalarType::Datetime, date).is_err());
        let error = text(ScalarType::Date, "2026-02-30".into()).unwrap_err();
        assert!(error.starts_with("the date \"2026-02-30\" is none: it takes"), "{error}");
    }
}
