//! A program's own types to the value model, by their `Serialize`.

use serde::ser::{self, Serialize};

use super::error::QueueError;
use super::typed::write::typed;
use crate::protocol::{Value, newtype};

/// Why a type cannot be a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", place(.path))]
pub struct ToValueError {
    /// The fields and items that lead to what is wrong, as `.orders[3].price`.
    path: String,
    reason: String,
}

impl ToValueError {
    /// The same, seen from what holds it.
    fn inside(self, step: &str) -> ToValueError {
        ToValueError { path: format!("{step}{}", self.path), ..self }
    }
}

fn place(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!("in {}: ", path.trim_start_matches('.')),
    }
}

impl ser::Error for ToValueError {
    fn custom<T: std::fmt::Display>(message: T) -> ToValueError {
        ToValueError { path: String::new(), reason: message.to_string() }
    }
}

impl From<ToValueError> for QueueError {
    fn from(error: ToValueError) -> QueueError {
        QueueError::Type(error.to_string())
    }
}

/// The value that `source` serializes to. Structs are dicts, tuples tuples, unit variants strings,
/// and other variants dicts of one entry, as serde_json has them.
pub(super) fn to_value<T: Serialize + ?Sized>(source: &T) -> Result<Value, ToValueError> {
    source.serialize(ToValue)
}

struct ToValue;

impl ser::Serializer for ToValue {
    type Ok = Value;
    type Error = ToValueError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    fn serialize_bool(self, truth: bool) -> Result<Value, ToValueError> {
        Ok(Value::Bool(truth))
    }

    fn serialize_i8(self, number: i8) -> Result<Value, ToValueError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_i16(self, number: i16) -> Result<Value, ToValueError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_i32(self, number: i32) -> Result<Value, ToValueError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_i64(self, number: i64) -> Result<Value, ToValueError> {
        Ok(Value::Int(number))
    }

    fn serialize_i128(self, number: i128) -> Result<Value, ToValueError> {
        Ok(num_bigint::BigInt::from(number).into())
    }

    fn serialize_u8(self, number: u8) -> Result<Value, ToValueError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_u16(self, number: u16) -> Result<Value, ToValueError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_u32(self, number: u32) -> Result<Value, ToValueError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_u64(self, number: u64) -> Result<Value, ToValueError> {
        Ok(num_bigint::BigInt::from(number).into())
    }

    fn serialize_u128(self, number: u128) -> Result<Value, ToValueError> {
        Ok(num_bigint::BigInt::from(number).into())
    }

    fn serialize_f32(self, number: f32) -> Result<Value, ToValueError> {
        Ok(Value::Float(number.into()))
    }

    fn serialize_f64(self, number: f64) -> Result<Value, ToValueError> {
        Ok(Value::Float(number))
    }

    fn serialize_char(self, character: char) -> Result<Value, ToValueError> {
        Ok(Value::Str(character.to_string()))
    }

    fn serialize_str(self, text: &str) -> Result<Value, ToValueError> {
        Ok(Value::Str(text.to_owned()))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, ToValueError> {
        Ok(Value::Bytes(bytes.to_vec()))
    }

    fn serialize_none(self) -> Result<Value, ToValueError> {
        Ok(Value::None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ToValueError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, ToValueError> {
        Ok(Value::None)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, ToValueError> {
        Ok(Value::None)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, ToValueError> {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value, ToValueError> {
        let plain = value.serialize(self)?;
        match newtype::type_named(name) {
            Some(of) => typed(of, plain).map_err(ser::Error::custom),
            None => Ok(plain),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, ToValueError> {
        Ok(Value::Dict(vec![(variant.into(), value.serialize(self)?)]))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Items, ToValueError> {
        Ok(Items::new(length, Value::List, None))
    }

    fn serialize_tuple(self, length: usize) -> Result<Items, ToValueError> {
        Ok(Items::new(Some(length), Value::Tuple, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Items, ToValueError> {
        Ok(Items::new(Some(length), Value::Tuple, None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Items, ToValueError> {
        Ok(Items::new(Some(length), Value::Tuple, Some(variant)))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Entries, ToValueError> {
        Ok(Entries::new(length, None))
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Entries, ToValueError> {
        Ok(Entries::new(Some(length), None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Entries, ToValueError> {
        Ok(Entries::new(Some(length), Some(variant)))
    }
}

/// The elements of a list or tuple, as they come.
struct Items {
    items: Vec<Value>,
    kind: fn(Vec<Value>) -> Value,
    variant: Option<&'static str>,
}

impl Items {
    fn new(
        length: Option<usize>,
        kind: fn(Vec<Value>) -> Value,
        variant: Option<&'static str>,
    ) -> Items {
        Items { items: Vec::with_capacity(length.unwrap_or(0)), kind, variant }
    }

    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ToValueError> {
        let item = to_value(value);
        self.items.push(item.map_err(|error| error.inside(&format!("[{}]", self.items.len())))?);
        Ok(())
    }

    fn finish(self) -> Value {
        in_variant(self.variant, (self.kind)(self.items))
    }
}

/// The entries of a dict, as they come.
struct Entries {
    entries: Vec<(Value, Value)>,
    key: Option<Value>,
    variant: Option<&'static str>,
}

impl Entries {
    fn new(length: Option<usize>, variant: Option<&'static str>) -> Entries {
        Entries { entries: Vec::with_capacity(length.unwrap_or(0)), key: None, variant }
    }

    fn add<T: Serialize + ?Sized>(&mut self, key: Value, value: &T) -> Result<(), ToValueError> {
        let value = to_value(value).map_err(|error| match &key {
            Value::Str(name) => error.inside(&format!(".{name}")),
            key => error.inside(&format!("[{key}]")),
        })?;
        self.entries.push((key, value));
        Ok(())
    }

    fn finish(self) -> Value {
        in_variant(self.variant, Value::Dict(self.entries))
    }
}

fn in_variant(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(variant) => Value::Dict(vec![(variant.into(), value)]),
        None => value,
    }
}

macro_rules! items {
    ($($trait:ident::$add:ident;)*) => {
        $(impl ser::$trait for Items {
            type Ok = Value;
            type Error = ToValueError;

            fn $add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ToValueError> {
                self.add(value)
            }

            fn end(self) -> Result<Value, ToValueError> {
                Ok(self.finish())
            }
        })*
    };
}

items! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

impl ser::SerializeMap for Entries {
    type Ok = Value;
    type Error = ToValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ToValueError> {
        self.key = Some(to_value(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ToValueError> {
        let key = self.key.take().ok_or_else(|| ser::Error::custom("a map value without a key"))?;
        self.add(key, value)
    }

    fn end(self) -> Result<Value, ToValueError> {
        Ok(self.finish())
    }
}

macro_rules! fields {
    ($($trait:ident;)*) => {
        $(impl ser::$trait for Entries {
            type Ok = Value;
            type Error = ToValueError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), ToValueError> {
                self.add(name.into(), value)
            }

            fn end(self) -> Result<Value, ToValueError> {
                Ok(self.finish())
            }
        })*
    };
}

fields! {
    SerializeStruct;
    SerializeStructVariant;
}
