//! The value model that all formats share: what Python's plain data is.

use std::fmt;

use num_bigint::BigInt;

use super::MAX_INT_DIGITS;
use super::Ndarray;
use super::ScalarType;

/// A message as a program holds it. The table of `docs/protocol.md` says what each value is in
/// pickle, JSON and XML.
///
/// `==` is structural and knows types: `Int(1) != Float(1.0)`, a set is compared as it is ordered,
/// and as in Python `nan != nan`.
///
/// ```
/// use babelmq_codec::Value;
///
/// let value = Value::Dict(vec![("temp".into(), 21.5.into()), ("wet".into(), false.into())]);
/// assert_eq!(value.get("temp").and_then(Value::as_f64), Some(21.5));
/// assert_eq!(value.to_string(), r#"{"temp": 21.5, "wet": False}"#);
/// assert_ne!(Value::Int(1), Value::Float(1.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`, JSON `null`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits 64 bits. Every integer that does is spelled this way.
    Int(i64),
    /// An integer that does not fit 64 bits, of at most [`MAX_INT_DIGITS`] digits.
    BigInt(BigInt),
    /// A double, `nan` and the infinities included.
    Float(f64),
    /// Text.
    Str(String),
    /// `bytes`; a `bytearray` arrives as this as well.
    Bytes(Vec<u8>),
    /// A scalar of Python's standard library, as its canonical text; another spelling of it is
    /// made canonical on its way, and a text that is none is refused.
    ///
    /// ```
    /// use babelmq_codec::{ScalarType, Value};
    ///
    /// let price = Value::Typed(ScalarType::Decimal, "1.10".to_owned());
    /// assert_eq!(price.to_string(), "decimal(1.10)");
    /// ```
    Typed(ScalarType, String),
    /// `list`.
    List(Vec<Value>),
    /// `tuple`.
    Tuple(Vec<Value>),
    /// `set`; in the order in which the producer wrote it, without duplicates.
    Set(Vec<Value>),
    /// `frozenset`, as [`Value::Set`].
    FrozenSet(Vec<Value>),
    /// `dict`; in the producer's order, without duplicate keys.
    Dict(Vec<(Value, Value)>),
    /// An array of numpy's.
    ///
    /// ```
    /// use babelmq_codec::{Dialect, Message, Ndarray, Value};
    ///
    /// let (dtype, shape, data) = ("|u1".to_owned(), vec![3], vec![1, 2, 255]);
    /// let value = Value::Ndarray(Box::new(Ndarray { dtype, shape, data }));
    /// assert_eq!(value.to_string(), "ndarray(|u1, [3], 3 bytes)");
    /// assert_eq!(Message::of_value(&value, Dialect::Json)?.bytes(), b"[1,2,255]");
    /// # Ok::<(), babelmq_codec::Refusal>(())
    /// ```
    Ndarray(Box<Ndarray>),
    /// An object of a class of a producer's own: a dict of its state for those who want no types.
    Object(Box<Object>),
}

/// An object of a class of a producer's own, as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The class: its module and its name, as `app.models.Order`, up to 500 bytes.
    pub class: String,
    /// Its attributes, under keys that are strings.
    pub state: Vec<(Value, Value)>,
}

/// A text that is not an integer of at most [`MAX_INT_DIGITS`] digits.
///
/// ```
/// use babelmq_codec::{Value, protocol::ParseIntError};
///
/// assert_eq!(Value::parse_int("12"), Ok(Value::Int(12)));
/// assert_eq!(Value::parse_int("1e3"), Err(ParseIntError));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal integer of at most {MAX_INT_DIGITS} digits")]
pub struct ParseIntError;

impl Value {
    /// The integer that `digits` spells in decimal, with an optional sign.
    ///
    /// # Errors
    /// [`ParseIntError`] for anything but digits, or more than [`MAX_INT_DIGITS`] of them.
    pub fn parse_int(digits: &str) -> Result<Value, ParseIntError> {
        if let Ok(small) = digits.parse::<i64>() {
            return Ok(Value::Int(small));
        }
        let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
        if unsigned.len() > MAX_INT_DIGITS || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseIntError);
        }
        let big: BigInt = digits.parse().map_err(|_| ParseIntError)?;
        Ok(i64::try_from(&big).map_or(Value::BigInt(big), Value::Int))
    }

    /// The value that a dict holds under a string key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Dict(entries) => {
                entries.iter().find(|(k, _)| matches!(k, Value::Str(k) if k == key)).map(|(_, v)| v)
            }
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number of an integer that fits 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The number of a float.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }
}

/// As Python's `repr` shows it, for people; programs use a codec.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn items(
            f: &mut fmt::Formatter<'_>,
            open: &str,
            values: &[Value],
            close: &str,
        ) -> fmt::Result {
            f.write_str(open)?;
            for (index, value) in values.iter().enumerate() {
                write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
            }
            f.write_str(close)
        }
        fn dict(f: &mut fmt::Formatter<'_>, entries: &[(Value, Value)]) -> fmt::Result {
            f.write_str("{")?;
            for (index, (key, value)) in entries.iter().enumerate() {
                write!(f, "{}{key}: {value}", if index == 0 { "" } else { ", " })?;
            }
            f.write_str("}")
        }
        match self {
            Value::None => f.write_str("None"),
            Value::Bool(true) => f.write_str("True"),
            Value::Bool(false) => f.write_str("False"),
            Value::Int(number) => write!(f, "{number}"),
            Value::BigInt(number) => write!(f, "{number}"),
            Value::Float(number) if number.is_nan() => f.write_str("nan"),
            Value::Float(number) => write!(f, "{number:?}"),
            Value::Str(text) => write!(f, "{text:?}"),
            Value::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Value::Typed(of, text) => write!(f, "{}({text})", of.name()),
            Value::List(values) => items(f, "[", values, "]"),
            Value::Tuple(values) if values.len() == 1 => items(f, "(", values, ",)"),
            Value::Tuple(values) => items(f, "(", values, ")"),
            Value::Set(values) if values.is_empty() => f.write_str("set()"),
            Value::Set(values) => items(f, "{", values, "}"),
            Value::FrozenSet(values) => items(f, "frozenset({", values, "})"),
            Value::Dict(entries) => dict(f, entries),
            Value::Ndarray(array) => {
                let Ndarray { dtype, shape, data } = &**array;
                write!(f, "ndarray({dtype}, {shape:?}, {} bytes)", data.len())
            }
            Value::Object(object) => {
                write!(f, "{}(", object.class)?;
                dict(f, &object.state)?;
                f.write_str(")")
            }
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$it:ident| $value:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($it: $from) -> Value {
                $value
            }
        })*
    };
}

value_from! {
    bool => |it| Value::Bool(it);
    i32 => |it| Value::Int(it.into());
    i64 => |it| Value::Int(it);
    u32 => |it| Value::Int(it.into());
    f64 => |it| Value::Float(it);
    &str => |it| Value::Str(it.to_owned());
    String => |it| Value::Str(it);
    Vec<u8> => |it| Value::Bytes(it);
    Vec<Value> => |it| Value::List(it);
    Vec<(Value, Value)> => |it| Value::Dict(it);
    BigInt => |it| i64::try_from(&it).map_or(Value::BigInt(it), Value::Int);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_spelling() {
        assert_eq!(Value::parse_int("-0"), Ok(Value::Int(0)));
        assert_eq!(Value::parse_int("9223372036854775807"), Ok(Value::Int(i64::MAX)));
        assert_eq!(Value::parse_int("00000000000000000000000007"), Ok(Value::Int(7)));
        let big = Value::parse_int("9223372036854775808").unwrap();
        assert_eq!(big.to_string(), "9223372036854775808");
        assert!(matches!(big, Value::BigInt(_)));
        assert!(Value::parse_int(&"9".repeat(MAX_INT_DIGITS)).is_ok());
        for bad in ["", "-", "1.0", "0x1", "1_0", " 1", &"9".repeat(MAX_INT_DIGITS + 1)] {
            assert_eq!(Value::parse_int(bad), Err(ParseIntError), "{bad:.9}");
        }
    }
}
