//! One item of a numpy array, or a scalar of numpy's: what `item()` gives.

use super::dtype::Dtype;
use crate::document::Document;
use crate::node::Node;
use crate::protocol::ScalarType;
use crate::scalar_type::{datetime, put_complex, timedelta};

/// What `datetime64` and `timedelta64` have for no time: the least number.
const NOT_A_TIME: i64 = i64::MIN;

/// What an item is, and whether its text was appended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Item {
    /// A value without a text.
    Node(Node),
    BigInt,
    Str,
    Bytes,
    Typed(ScalarType),
}

impl Item {
    /// The node of an item whose text is this.
    pub(crate) fn into_node(self, text: &[u8], document: &mut Document) -> Node {
        let mut own = || document.append_text(|own| own.extend_from_slice(text));
        match self {
            Item::Node(node) => node,
            Item::BigInt => Node::BigInt(own()),
            Item::Str => Node::Str(own()),
            Item::Bytes => Node::Bytes(own()),
            Item::Typed(of) => Node::Typed(of, own()),
        }
    }
}

impl Dtype {
    /// What an item of these bytes is. Its text, if it has one, is appended to `out`. `None` for
    /// half of a surrogate pair, which is no character.
    pub(crate) fn item(self, bytes: &[u8], out: &mut Vec<u8>) -> Option<Item> {
        Some(match self.kind {
            b'b' => Item::Node(Node::Bool(bytes != [0])),
            b'i' => Item::Node(Node::Int(self.signed(bytes))),
            b'u' => match i64::try_from(self.unsigned(bytes)) {
                Ok(small) => Item::Node(Node::Int(small)),
                Err(_) => {
                    out.extend_from_slice(self.unsigned(bytes).to_string().as_bytes());
                    Item::BigInt
                }
            },
            b'f' => Item::Node(Node::Float(self.float(bytes))),
            b'c' => {
                let (re, im) = bytes.split_at(bytes.len() / 2);
                put_complex(self.float(re), self.float(im), out);
                Item::Typed(ScalarType::Complex)
            }
            b'S' => {
                let length = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                out.extend_from_slice(&bytes[..length]);
                Item::Bytes
            }
            b'U' => self.text(bytes, out)?,
            _ => self.time(self.signed(bytes), out),
        })
    }

    /// Characters of four bytes each, without the zeros at the end.
    fn text(self, bytes: &[u8], out: &mut Vec<u8>) -> Option<Item> {
        let (units, _) = bytes.as_chunks::<4>();
        let length = units.iter().rposition(|unit| *unit != [0; 4]).map_or(0, |last| last + 1);
        for unit in &units[..length] {
            let number = match self.is_big_endian {
                true => u32::from_be_bytes(*unit),
                false => u32::from_le_bytes(*unit),
            };
            let mut spelled = [0; 4];
            let character = char::from_u32(number)?.encode_utf8(&mut spelled);
            out.extend_from_slice(character.as_bytes());
        }
        Some(Item::Str)
    }

    /// What `datetime64.item()` and `timedelta64.item()` give: a date for days and longer, a
    /// datetime or a timedelta down to microseconds, and a number where Python has none of these.
    fn time(self, number: i64, out: &mut Vec<u8>) -> Item {
        const DAY: i128 = 86_400_000_000;
        let raw = Item::Node(Node::Int(number));
        let is_point = self.kind == b'M';
        if number == NOT_A_TIME || self.unit.is_none() && is_point {
            return Item::Node(Node::None);
        }
        let Some((unit, count)) = self.unit else { return raw };
        // Two numbers of 64 bits, and what is left of 128 for a unit.
        let scaled = i128::from(number) * i128::from(count);
        let in_units = |microseconds: i128| scaled.checked_mul(microseconds);
        let microseconds = match unit {
            "Y" | "M" if is_point => Some(scaled),
            "W" => in_units(7 * DAY),
            "D" => in_units(DAY),
            "h" => in_units(3_600_000_000),
            "m" => in_units(60_000_000),
            "s" => in_units(1_000_000),
            "ms" => in_units(1_000),
            "us" => Some(scaled),
            _ => return raw,
        };
        let Some(microseconds) = microseconds else { return raw };
        let small = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
        let (of, put) = match unit {
            _ if !is_point => {
                (ScalarType::Timedelta, timedelta::put_microseconds(microseconds, out))
            }
            "Y" => {
                let months = small(scaled).saturating_mul(12);
                (ScalarType::Date, datetime::put_months(months, out))
            }
            "M" => (ScalarType::Date, datetime::put_months(small(scaled), out)),
            "W" | "D" => {
                let days = small(microseconds.div_euclid(DAY));
                (ScalarType::Date, datetime::put_days(days, out))
            }
            _ => (ScalarType::Datetime, datetime::put_microseconds(small(microseconds), out)),
        };
        if put.is_err() { raw } else { Item::Typed(of) }
    }

    fn unsigned(self, bytes: &[u8]) -> u64 {
        let add = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        if self.is_big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    fn signed(self, bytes: &[u8]) -> i64 {
        let unused = 64 - 8 * bytes.len().clamp(1, 8) as u32;
        (self.unsigned(bytes) << unused) as i64 >> unused
    }

    fn float(self, bytes: &[u8]) -> f64 {
        let bits = self.unsigned(bytes);
        match bytes.len() {
            2 => half(bits as u16),
            4 => f64::from(f32::from_bits(bits as u32)),
            _ => f64::from_bits(bits),
        }
    }
}

/// A number of sixteen bits (IEEE 754-2008 §3.6, binary16).
pub(super) fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}
