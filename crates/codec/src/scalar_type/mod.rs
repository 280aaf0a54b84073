//! Scalars of Python's standard library, what they are: dates and times, exact numbers, UUIDs.
//!
//! The document has each of them as its canonical text, which is ASCII without quotes, backslashes
//! and markup. One table says of every type which text is one, what it becomes where its type
//! is lost, how it is compared, and what makes it in a pickle; a new type is a row, and a file
//! beside this one.

mod complex;
pub(crate) mod datetime;
mod decimal;
mod digits;
pub(crate) mod fraction;
mod rational;
pub(crate) mod timedelta;
pub(crate) mod uuid;
mod zone;

use crate::pickle::{Calls, Class};
use crate::protocol::ScalarType;

pub(crate) use complex::{parts as complex_parts, put as put_complex};
pub(crate) use datetime::Zone;
pub(crate) use rational::{LONG_INTEGER, spell_long};
pub use timedelta::microseconds as timedelta_microseconds;

/// Why a text is no value of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotOfType {
    /// It is something else.
    #[error("it takes {0}")]
    Wanted(&'static str),
    /// It has more digits than an integer may have.
    #[error("it has too many digits")]
    TooManyDigits,
    /// It names a time zone that is not in the database.
    #[error("its time zone is not known")]
    UnknownZone,
}

/// What a value is where its type is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Untyped<'a> {
    Text(&'a [u8]),
    Float(f64),
}

/// What is to be known of a type.
struct Row {
    canonical: fn(&[u8], &mut Vec<u8>) -> Result<(), NotOfType>,
    untyped: for<'a> fn(&'a [u8]) -> Untyped<'a>,
    key: fn(&[u8], &mut Vec<u8>) -> Key,
    call: fn(&[u8], &mut Calls<'_>),
}

/// How a value is compared with other keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Key {
    /// Its bytes were appended: those of all types that are equal to it, and of no other.
    Spelled,
    /// It is the number that this double is, exactly. Nothing was appended.
    Double(f64),
    /// It is an integer, whose decimal digits were appended.
    Integer,
    /// It equals nothing, not even itself. Nothing was appended.
    Nothing,
    /// Python has no hash of it. Nothing was appended.
    Unhashable,
}

impl ScalarType {
    const fn row(self) -> Row {
        match self {
            ScalarType::Datetime => Row {
                canonical: datetime::canonical_datetime,
                untyped: datetime::untyped,
                key: datetime::key_of_datetime,
                call: datetime::call_datetime,
            },
            ScalarType::Date => Row {
                canonical: datetime::canonical_date,
                untyped: datetime::untyped,
                key: datetime::key_of_date,
                call: datetime::call_date,
            },
            ScalarType::Time => Row {
                canonical: datetime::canonical_time,
                untyped: datetime::untyped,
                key: datetime::key_of_time,
                call: datetime::call_time,
            },
            ScalarType::Timedelta => Row {
                canonical: timedelta::canonical,
                untyped: timedelta::untyped,
                key: timedelta::key,
                call: timedelta::call,
            },
            ScalarType::Decimal => Row {
                canonical: decimal::canonical,
                untyped: text,
                key: decimal::key,
                call: |canonical, calls| call_with_text(Class::Decimal, canonical, calls),
            },
            ScalarType::Uuid => {
                Row { canonical: uuid::canonical, untyped: text, key: uuid::key, call: uuid::call }
            }
            ScalarType::Fraction => Row {
                canonical: fraction::canonical,
                untyped: text,
                key: fraction::key,
                call: |canonical, calls| call_with_text(Class::Fraction, canonical, calls),
            },
            ScalarType::Complex => Row {
                canonical: complex::canonical,
                untyped: text,
                key: complex::key,
                call: complex::call,
            },
        }
    }

    /// The canonical text of the value that `text` spells.
    ///
    /// # Errors
    /// [`NotOfType`] where it spells none.
    pub fn canonical(self, text: &str) -> Result<String, NotOfType> {
        let mut out = Vec::new();
        self.write_canonical(text.as_bytes(), &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// The same, appended.
    pub(crate) fn write_canonical(self, text: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
        (self.row().canonical)(text, out)
    }

    /// What a value is where its type is lost.
    #[inline]
    pub(crate) fn untyped(self, canonical: &[u8]) -> Untyped<'_> {
        (self.row().untyped)(canonical)
    }

    /// Writes what makes the value in a pickle.
    pub(crate) fn write_call(self, canonical: &[u8], calls: &mut Calls<'_>) {
        (self.row().call)(canonical, calls);
    }

    /// How a value is compared with other keys; what is appended says of which type it is, where
    /// equal values are of one type.
    pub(crate) fn key(self, canonical: &[u8], out: &mut Vec<u8>) -> Key {
        (self.row().key)(canonical, out)
    }
}

/// A value whose class makes it of its canonical text.
fn call_with_text(class: Class, canonical: &[u8], calls: &mut Calls<'_>) {
    calls.class(class);
    calls.str(canonical);
    calls.call(1);
}

/// A value whose canonical text is all that there is without its type.
fn text(canonical: &[u8]) -> Untyped<'_> {
    Untyped::Text(canonical)
}
