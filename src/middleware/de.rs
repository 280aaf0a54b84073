//! The value model to a program's own types, by their `Deserialize`.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::QueueError;
use super::reading::Reading;
use crate::protocol::{Value, newtype};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::middleware) struct FromValueError(String);

impl de::Error for FromValueError {
    fn custom<T: std::fmt::Display>(message: T) -> FromValueError {
        FromValueError(message.to_string())
    }
}

/// Builds a `T` of what a value holds.
pub(super) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, QueueError> {
    let _reading = Reading::begin();
    T::deserialize(FromValue(value)).map_err(|error| QueueError::Type(error.0))
}

/// A value as a deserializer: it says what it holds, whatever it is asked for.
pub(in crate::middleware) struct FromValue(pub(in crate::middleware) Value);

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
            Value::Str(text) | Value::Typed(_, text) => visitor.visit_string(text),
            Value::Bytes(bytes) => visitor.visit_byte_buf(bytes),
            Value::List(items)
            | Value::Tuple(items)
            | Value::Set(items)
            | Value::FrozenSet(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(FromValue));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Dict(entries) => {
                let entries =
                    entries.into_iter().map(|(key, value)| (FromKey(key), FromValue(value)));
                let mut entries = MapDeserializer::new(entries);
                let value = visitor.visit_map(&mut entries)?;
                entries.end()?;
                Ok(value)
            }
            Value::Ndarray(array) => {
                FromValue(array.to_list().map_err(de::Error::custom)?).deserialize_any(visitor)
            }
            Value::Object(object) => FromValue(Value::Dict(object.state)).deserialize_any(visitor),
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
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FromValueError> {
        match self.0 {
            Value::Typed(of, text) if name == newtype::VALUE => visitor.visit_enum(Variant {
                name: newtype::name_of(of).into(),
                content: Some(Value::Str(text)),
            }),
            value => visitor.visit_newtype_struct(FromValue(value)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FromValueError> {
        match self.0 {
            Value::Str(variant) => {
                visitor.visit_enum(Variant { name: Value::Str(variant), content: None })
            }
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

/// A key of a dict. One that JSON could only carry as a string is a number or a boolean again where
/// the program's type says so, as serde_json has it.
struct FromKey(Value);

impl IntoDeserializer<'_, FromValueError> for FromKey {
    type Deserializer = FromKey;

    fn into_deserializer(self) -> FromKey {
        self
    }
}

macro_rules! spelled_keys {
    ($($method:ident $visit:ident $type:ty;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FromValueError> {
            match self.0.as_str().and_then(|text| text.parse::<$type>().ok()) {
                Some(key) => visitor.$visit(key),
                None => self.deserialize_any(visitor),
            }
        })*
    };
}

impl<'de> de::Deserializer<'de> for FromKey {
    type Error = FromValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FromValueError> {
        FromValue(self.0).deserialize_any(visitor)
    }

    spelled_keys! {
        deserialize_bool visit_bool bool;
        deserialize_i8 visit_i64 i64;
        deserialize_i16 visit_i64 i64;
        deserialize_i32 visit_i64 i64;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u64 u64;
        deserialize_u16 visit_u64 u64;
        deserialize_u32 visit_u64 u64;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
        deserialize_f32 visit_f64 f64;
        deserialize_f64 visit_f64 f64;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FromValueError> {
        match self.0 {
            Value::None => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FromValueError> {
        match name {
            newtype::VALUE => FromValue(self.0).deserialize_newtype_struct(name, visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FromValueError> {
        FromValue(self.0).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Variant {
    name: Value,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = FromValueError;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Content), FromValueError> {
        Ok((seed.deserialize(FromValue(self.name))?, Content(self.content)))
    }
}

struct Content(Option<Value>);

impl Content {
    fn needed(self) -> Result<FromValue, FromValueError> {
        self.0
            .map(FromValue)
            .ok_or_else(|| de::Error::custom("a variant without the content that it needs"))
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

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, FromValueError> {
        seed.deserialize(self.needed()?)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, FromValueError> {
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
