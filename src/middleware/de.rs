//! The value model to a program's own types, by their `Deserialize`.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::QueueError;
use crate::protocol::Value;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct FromValueError(String);

impl de::Error for FromValueError {
    fn custom<T: std::fmt::Display>(message: T) -> FromValueError {
        FromValueError(message.to_string())
    }
}

/// Builds a `T` of what a value holds.
pub(super) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, QueueError> {
    T::deserialize(FromValue(value)).map_err(|error| QueueError::Type(error.0))
}

struct FromValue(Value);

impl IntoDeserializer<'_, FromValueError> for FromValue {
    type Deserializer = FromValue;

    fn into_deserializer(self) -> FromValue {
        self
    }
}

impl<'de> de::Deserializer<'de> for FromValue {
    type Error = FromValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FromValueError> {
        match self.0 {
            Value::None => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(truth),
            Value::Int(number) => visitor.visit_i64(number),
            Value::BigInt(number) => {
                if let Ok(number) = u64::try_from(&number) {
                    visitor.visit_u64(number)
                } else if let Ok(number) = i128::try_from(&number) {
                    visitor.visit_i128(number)
                } else if let Ok(number) = u128::try_from(&number) {
                    visitor.visit_u128(number)
                } else {
                    Err(de::Error::custom("an integer that no integer type of Rust can hold"))
                }
            }
            Value::Float(number) => visitor.visit_f64(number),
            Value::Str(text) => visitor.visit_string(text),
            Value::Bytes(bytes) => visitor.visit_byte_buf(bytes),
            Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(FromValue));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Dict(entries) => {
                let entries = entries.into_iter().map(|(key, value)| (FromValue(key), FromValue(value)));
                let mut entries = MapDeserializer::new(entries);
                let value = visitor.visit_map(&mut entries)?;
                entries.end()?;
                Ok(value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FromValueError> {
        match self.0 {
            Value::None => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FromValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FromValueError> {
        match self.0 {
            Value::Str(variant) => visitor.visit_enum(Variant { name: Value::Str(variant), content: None }),
            Value::Dict(mut entries) if entries.len() == 1 => {
                let (name, content) = entries.remove(0);
                visitor.visit_enum(Variant { name, content: Some(content) })
            }
            other => Err(de::Error::custom(format!(
                "{other} is no variant of an enum: a string or a dict of one entry"
            ))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Variant {
    name: Value,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = FromValueError;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content), FromValueError> {
        Ok((seed.deserialize(FromValue(self.name))?, Content(self.content)))
    }
}

struct Content(Option<Value>);

impl Content {
    fn needed(self) -> Result<FromValue, FromValueError> {
        self.0.map(FromValue).ok_or_else(|| de::Error::custom("a variant without the content that it needs"))
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = FromValueError;

    fn unit_variant(self) -> Result<(), FromValueError> {
        match self.0 {
            None | Some(Value::None) => Ok(()),
            Some(_) => Err(de::Error::custom("content in a variant that has none")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, FromValueError> {
        seed.deserialize(self.needed()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, FromValueError> {
        de::Deserializer::deserialize_any(self.needed()?, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FromValueError> {
        de::Deserializer::deserialize_any(self.needed()?, visitor)
    }
}
