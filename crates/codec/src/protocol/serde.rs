//! [`Value`] as a type of serde's, so that it can stand in a program's own types and be written by
//! other formats.
//!
//! A scalar of Python's standard library is a newtype struct, whose name says its type to whom it
//! concerns, and a string to all others.
//!
//! A value that serde has no word for becomes the one that is next to it: a tuple, a set and a
//! frozenset are sequences, and come back as lists; so is an array, and an object is a map. An
//! integer beyond 128 bits is written as a string of its digits; one beyond 64 may come back as a
//! float, as from serde_json.

use std::fmt;

use num_bigint::BigInt;
use serde::de::{
    Deserialize, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};

use super::{Value, newtype};

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::None => serializer.serialize_unit(),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::BigInt(number) => {
                // There are formats that know the first of these and nothing longer.
                if let Ok(number) = u64::try_from(number) {
                    serializer.serialize_u64(number)
                } else if let Ok(number) = i128::try_from(number) {
                    serializer.serialize_i128(number)
                } else if let Ok(number) = u128::try_from(number) {
                    serializer.serialize_u128(number)
                } else {
                    serializer.serialize_str(&number.to_string())
                }
            }
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Str(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Value::Typed(of, text) => {
                serializer.serialize_newtype_struct(newtype::name_of(*of), text)
            }
            Value::List(items) | Value::Set(items) | Value::FrozenSet(items) => {
                serializer.collect_seq(items)
            }
            Value::Tuple(items) => {
                let mut tuple = serializer.serialize_tuple(items.len())?;
                for item in items {
                    tuple.serialize_element(item)?;
                }
                tuple.end()
            }
            Value::Dict(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Value::Ndarray(array) => {
                array.to_list().map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
            Value::Object(object) => {
                serializer.collect_map(object.state.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_newtype_struct(newtype::VALUE, ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain data")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    /// A scalar with its type, from a deserializer that knows it.
    fn visit_enum<A: EnumAccess<'de>>(self, scalar: A) -> Result<Value, A::Error> {
        let (name, text) = scalar.variant::<String>()?;
        match newtype::type_named(&name) {
            Some(of) => Ok(Value::Typed(of, text.newtype_variant()?)),
            None => Err(Error::invalid_type(Unexpected::Enum, &self)),
        }
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or_else(|_| Value::BigInt(BigInt::from(number)), Value::Int))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or_else(|_| Value::BigInt(BigInt::from(number)), Value::Int))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or_else(|_| Value::BigInt(BigInt::from(number)), Value::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Str(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Str(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut dict = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            dict.push(entry);
        }
        Ok(Value::Dict(dict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ScalarType;

    #[test]
    fn a_value_is_written_as_json_and_read_again() {
        let big: BigInt = "170141183460469231731687303715884105727".parse().unwrap();
        let value = Value::Dict(vec![
            ("none".into(), Value::None),
            ("numbers".into(), Value::List(vec![true.into(), (-1).into(), 1.5.into()])),
            ("big".into(), Value::BigInt(BigInt::from(u64::MAX))),
            ("text".into(), "\u{e9}".into()),
        ]);
        let text = serde_json::to_string(&value).unwrap();
        let expected = "{\"none\":null,\"numbers\":[true,-1,1.5],\"big\":18446744073709551615,\"text\":\"\u{e9}\"}";
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(serde_json::to_string(&Value::BigInt(big.clone())).unwrap(), big.to_string());
        let beyond = Value::BigInt(big * 4);
        assert!(serde_json::to_string(&beyond).unwrap().starts_with('"'));
    }

    #[test]
    fn what_serde_has_no_word_for_becomes_what_is_next_to_it() {
        let set = Value::Set(vec![1.into(), 2.into()]);
        let tuple = Value::Tuple(vec![set.clone(), Value::FrozenSet(vec![3.into()])]);
        assert_eq!(serde_json::to_string(&tuple).unwrap(), "[[1,2],[3]]");
        assert_eq!(serde_json::to_string(&Value::Bytes(vec![0, 255])).unwrap(), "[0,255]");
        let keyed = Value::Dict(vec![(1.into(), set)]);
        assert_eq!(serde_json::to_string(&keyed).unwrap(), "{\"1\":[1,2]}");
        let price = Value::Typed(ScalarType::Decimal, "1.10".to_owned());
        let prices = Value::Dict(vec![(price.clone(), price)]);
        assert_eq!(serde_json::to_string(&prices).unwrap(), "{\"1.10\":\"1.10\"}");
        let read: Value = serde_json::from_str("{\"1.10\":\"1.10\"}").unwrap();
        assert_eq!(read, Value::Dict(vec![("1.10".into(), "1.10".into())]));
    }
}
