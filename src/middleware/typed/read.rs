//! A datetime, time or timedelta offered to a type in one spelling after the other, until it takes
//! one.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::codec::timedelta_microseconds;
use crate::middleware::de::FromValue;
use crate::middleware::reading::Reading;
use crate::protocol::newtype::name_of;
use crate::protocol::{ScalarType, Value};

const SECOND: i128 = 1_000_000;

/// A field that [`serialize`](super::datetime::serialize) wrote, or somebody else.
pub(super) fn field<'de, T, D>(of: ScalarType, deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_newtype_struct(name_of(of), Field { of, is: PhantomData })
}

struct Field<T> {
    of: ScalarType,
    is: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Field<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {}", self.of.name())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        // Other formats have what the type itself wrote, and not all of them say what they hold.
        if !Reading::is_on() {
            return T::deserialize(deserializer);
        }
        match self.of {
            ScalarType::Datetime | ScalarType::Time => {
                in_some_spelling(deserializer, |value| datetime_spellings(self.of, value))
            }
            ScalarType::Timedelta => in_some_spelling(deserializer, timedelta_spellings),
            _ => T::deserialize(deserializer),
        }
    }
}

/// The value as it came, and where that is refused, in the first of its spellings that is taken.
fn in_some_spelling<'de, T, D>(
    deserializer: D,
    spellings: impl FnOnce(&Value) -> Vec<Value>,
) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let value = Value::deserialize(deserializer)?;
    T::deserialize(FromValue(value.clone())).or_else(|error| {
        let mut others = spellings(&value).into_iter();
        others.find_map(|other| T::deserialize(FromValue(other)).ok()).ok_or(Error::custom(error))
    })
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Str(text) | Value::Typed(_, text) => Some(text),
        _ => None,
    }
}

/// The canonical text; without a zone's name, which `chrono` does not read; with the offset for a
/// zone that has no name, as `jiff::ZonedDateTime` needs it.
fn datetime_spellings(of: ScalarType, value: &Value) -> Vec<Value> {
    let Some(canonical) = text(value).and_then(|text| of.canonical(text).ok()) else {
        return Vec::new();
    };
    let (bare, zone) = canonical.split_once('[').unwrap_or((&canonical, ""));
    let mut spellings = vec![canonical.as_str().into(), bare.into()];
    let clock = bare.find('T').unwrap_or(0);
    if zone.is_empty()
        && let Some(offset) = bare[clock..].find(['+', '-'])
    {
        spellings.push(format!("{bare}[{}]", &bare[clock + offset..]).into());
    }
    spellings
}

/// The canonical text; in seconds, for `jiff::SignedDuration`, which has no days; seconds and
/// nanoseconds as `chrono` has them, and the standard library.
fn timedelta_spellings(value: &Value) -> Vec<Value> {
    let spelled = match value {
        // A float of seconds is what a timedelta is without its type.
        Value::Float(seconds) if *seconds < 0.0 => format!("-PT{:.6}S", -seconds),
        Value::Float(seconds) => format!("PT{seconds:.6}S"),
        Value::Int(seconds) if *seconds < 0 => format!("-PT{}S", seconds.unsigned_abs()),
        Value::Int(seconds) => format!("PT{seconds}S"),
        value => text(value).unwrap_or_default().to_owned(),
    };
    let Ok(canonical) = ScalarType::Timedelta.canonical(&spelled) else { return Vec::new() };
    let Some(length) = timedelta_microseconds(canonical.as_bytes()) else { return Vec::new() };
    let (sign, magnitude) = (if length < 0 { "-" } else { "" }, length.abs());
    let in_seconds = format!("{sign}PT{}.{:06}S", magnitude / SECOND, magnitude % SECOND);
    // A timedelta has less than a billion days.
    let seconds = Value::Int(length.div_euclid(SECOND) as i64);
    let nanoseconds = Value::Int(length.rem_euclid(SECOND) as i64 * 1_000);
    vec![
        canonical.into(),
        in_seconds.into(),
        Value::Tuple(vec![seconds.clone(), nanoseconds.clone()]),
        Value::Dict(vec![("secs".into(), seconds), ("nanos".into(), nanoseconds)]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datetimes(text: &str) -> Vec<String> {
        let value = Value::Str(text.to_owned());
        let spellings = datetime_spellings(ScalarType::Datetime, &value);
        spellings.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_datetime_is_offered_without_its_zone_and_with_one_for_its_offset() {
        let zoned = "2024-06-19T15:22:45-04:00[America/New_York]";
        assert_eq!(datetimes(zoned), [zoned, "2024-06-19T15:22:45-04:00"]);
        let utc = "2024-06-19T15:22:45+00:00";
        assert_eq!(datetimes("2024-06-19 15:22:45Z"), [utc, utc, &format!("{utc}[+00:00]")]);
        let naive = "2026-10-25T02:30:00";
        assert_eq!(datetimes(naive), [naive, naive]);
        let second = format!("{naive}[_fold=1]");
        assert_eq!(datetimes(&second), [second.as_str(), naive]);
        assert!(datetimes("yesterday").is_empty());
        assert!(datetime_spellings(ScalarType::Datetime, &Value::None).is_empty());
        let time = datetime_spellings(ScalarType::Time, &"12:30+01:00[Etc/GMT-1]".into());
        assert_eq!(time[1].as_str(), Some("12:30:00+01:00"));
    }

    #[test]
    fn a_timedelta_is_offered_as_each_library_has_it() {
        let shown = |value: Value| {
            let spellings = timedelta_spellings(&value);
            spellings.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let day = "\"P1DT2H0.5S\" \"PT93600.500000S\" (93600, 500000000) \
                   {\"secs\": 93600, \"nanos\": 500000000}";
        assert_eq!(shown("PT26H0.5S".into()), day);
        assert_eq!(shown(93_600.5.into()), day);
        assert_eq!(
            shown((-1e-6).into()),
            "\"-PT0.000001S\" \"-PT0.000001S\" (-1, 999999000) {\"secs\": -1, \"nanos\": 999999000}"
        );
        assert!(shown((-90).into()).starts_with("\"-PT1M30S\""));
        assert!(shown(90.into()).starts_with("\"PT1M30S\""));
        assert_eq!(shown(f64::NAN.into()), "");
        assert_eq!(shown(1e300.into()), "");
        assert_eq!(shown("P1Y".into()), "");
    }
}
