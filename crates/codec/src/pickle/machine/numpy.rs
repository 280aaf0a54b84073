//! numpy's scalars: a dtype, and the bytes of one item; they become what `item()` gives.

use super::Machine;
use crate::node::{Node, Text};
use crate::pickle::scalars::{Fault, Making};
use crate::pickle::store::{Item, Kind};
use crate::protocol::{Refusal, ScalarType};
use crate::scalar_type::{datetime, timedelta};

/// What `datetime64` and `timedelta64` have for no time: the least number.
const NOT_A_TIME: i64 = i64::MIN;

/// The longest name of a unit is `generic`. It is looked at for each item.
const LONGEST_UNIT: usize = 7;

/// The parts of `b'<f8'`: what an item is, its size in bytes (of text in characters), its order;
/// of times, the name of their unit and how many of it they count.
#[derive(Clone, Copy)]
pub(in crate::pickle) struct Dtype {
    kind: u8,
    size: usize,
    is_big_endian: bool,
    unit: Option<(Text, i64)>,
}

impl Machine<'_> {
    /// `numpy.dtype(code, False, True)`: its state comes later.
    pub(super) fn dtype(&mut self, code: Item) -> Result<Option<Item>, Refusal> {
        let Item::Leaf(Node::Str(text)) = code else { return Ok(None) };
        if kind_and_size(self.document.text(self.reader.source(), text)).is_none() {
            return Ok(None);
        }
        self.scratch.store.create(Kind::Dtype, &[code], &mut self.work).map(Some)
    }

    /// `(3, order, None, None, None, size, alignment, flags)`, and with a 4 in front, for times,
    /// behind it `(metadata, (unit, count, 1, 1))`.
    pub(super) fn build_dtype(&mut self, object: Item, state: Item) -> Result<Option<()>, Refusal> {
        let store = &self.scratch.store;
        let Some((_, &[code])) = store.only_run(object) else { return Ok(None) };
        if store.kind(state) != Some(Kind::Tuple) {
            return Ok(None);
        }
        let (Item::Leaf(Node::Str(code)), Some((_, leaves))) = (code, store.only_run(state)) else {
            return Ok(None);
        };
        let mut leaves = leaves.to_vec();
        if let [.., times] = leaves[..]
            && let Some((_, &[metadata, unit])) = store.only_run(times)
            && let Some((_, unit)) = store.only_run(unit)
        {
            let is_empty =
                store.kind(metadata) == Some(Kind::Dict) && store.items(metadata).next().is_none();
            leaves.pop();
            leaves.push(if is_empty { Item::Leaf(Node::None) } else { metadata });
            leaves.extend_from_slice(unit);
        }
        let Some(dtype) = self.making().dtype(code, &leaves) else { return Ok(None) };
        let mut known = vec![Item::Leaf(Node::Bool(dtype.is_big_endian))];
        if let Some((name, count)) = dtype.unit {
            known.extend([Item::Leaf(Node::Bytes(name)), Item::Leaf(Node::Int(count))]);
        }
        let Item::Container(id) = object else { return Ok(None) };
        self.scratch.store.extend(id, &known, &mut self.work)?;
        Ok(Some(()))
    }

    /// `numpy.core.multiarray.scalar(dtype, bytes)`.
    pub(super) fn numpy_scalar(
        &mut self,
        dtype: Item,
        bytes: Text,
    ) -> Result<Option<Item>, Refusal> {
        let store = &self.scratch.store;
        if store.kind(dtype) != Some(Kind::Dtype) {
            return Ok(None);
        }
        let mut known = store.items(dtype);
        let (Some(Item::Leaf(Node::Str(code))), Some(Item::Leaf(Node::Bool(is_big_endian)))) =
            (known.next(), known.next())
        else {
            return Ok(None);
        };
        let unit = match known.next().zip(known.next()) {
            Some((Item::Leaf(Node::Bytes(name)), Item::Leaf(Node::Int(count)))) => {
                Some((name, count))
            }
            _ => None,
        };
        drop(known);
        let making = self.making();
        let Some((kind, size)) = kind_and_size(making.document.text(making.source, code)) else {
            return Ok(None);
        };
        let dtype = Dtype { kind, size, is_big_endian, unit };
        self.making().numpy_item(dtype, bytes).map_err(|fault| self.no_value(fault))
    }
}

impl Making<'_> {
    /// Whether a dtype of this code has items that are something in Python.
    pub(in crate::pickle) fn has_items(&self, code: Text) -> bool {
        kind_and_size(self.document.text(self.source, code)).is_some()
    }

    /// The dtype of this code and the state that follows it, tuples within tuples as what they
    /// hold: `(3, order, None, None, None, size, alignment, flags)`, and with a 4 in front, for
    /// times, behind it `None, unit, count, 1, 1`.
    pub(in crate::pickle) fn dtype(&self, code: Text, state: &[Item]) -> Option<Dtype> {
        let (kind, size) = kind_and_size(self.document.text(self.source, code))?;
        let is_time = matches!(kind, b'M' | b'm');
        let (order, unit) = match *state {
            [Item::Leaf(Node::Int(3)), order, a, b, c, _, _, _]
                if !is_time && [a, b, c].into_iter().all(is_none) =>
            {
                (order, None)
            }
            [
                Item::Leaf(Node::Int(4)),
                order,
                a,
                b,
                c,
                _,
                _,
                _,
                metadata,
                Item::Leaf(Node::Bytes(name)),
                Item::Leaf(Node::Int(count @ 1..)),
                Item::Leaf(Node::Int(1)),
                Item::Leaf(Node::Int(1)),
            ] if is_time
                && [a, b, c, metadata].into_iter().all(is_none)
                && name.len() <= LONGEST_UNIT =>
            {
                (order, Some((name, count)))
            }
            _ => return None,
        };
        let Item::Leaf(Node::Str(order)) = order else { return None };
        let is_big_endian = match self.document.text(self.source, order) {
            b"<" | b"|" => false,
            b">" => true,
            _ => return None,
        };
        Some(Dtype { kind, size, is_big_endian, unit })
    }

    /// What `numpy.core.multiarray.scalar` makes of a dtype and the bytes of an item.
    pub(in crate::pickle) fn numpy_item(
        &mut self,
        dtype: Dtype,
        bytes: Text,
    ) -> Result<Option<Item>, Fault> {
        // It is looked at, however short the value is that it becomes.
        self.work.bytes(2 * bytes.len())?;
        let item = &*self.document.text_of_source(self.source, bytes);
        if item.len() != dtype.length() {
            return Ok(None);
        }
        let node = match dtype.kind {
            b'b' => Node::Bool(item != [0]),
            b'i' => Node::Int(dtype.signed(item)),
            b'u' => match i64::try_from(dtype.unsigned(item)) {
                Ok(small) => Node::Int(small),
                Err(_) => {
                    let digits = dtype.unsigned(item).to_string();
                    let digits =
                        self.document.append_text(|own| own.extend_from_slice(digits.as_bytes()));
                    Node::BigInt(digits)
                }
            },
            b'f' => Node::Float(dtype.float(item)),
            b'c' => {
                let (re, im) = item.split_at(item.len() / 2);
                let part = Dtype { size: dtype.size / 2, ..dtype };
                return self.complex(part.float(re), part.float(im)).map(Some);
            }
            b'S' => {
                let length = item.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                let text = &item[..length];
                Node::Bytes(self.document.append_text(|own| own.extend_from_slice(text)))
            }
            b'U' => return self.numpy_text(dtype, item),
            _ => {
                let Some((name, count)) = dtype.unit else { return Ok(None) };
                let name = self.document.text_of_source(self.source, name);
                return self.numpy_time(dtype.kind == b'M', dtype.signed(item), &name, count);
            }
        };
        Ok(Some(Item::Leaf(node)))
    }

    /// Characters of four bytes each, without the zeros at the end.
    fn numpy_text(&mut self, dtype: Dtype, item: &[u8]) -> Result<Option<Item>, Fault> {
        let (units, _) = item.as_chunks::<4>();
        let number = |unit: &[u8; 4]| match dtype.is_big_endian {
            true => u32::from_be_bytes(*unit),
            false => u32::from_le_bytes(*unit),
        };
        let length = units.iter().rposition(|unit| *unit != [0; 4]).map_or(0, |last| last + 1);
        let text: Option<String> =
            units[..length].iter().map(|unit| char::from_u32(number(unit))).collect();
        let text = text.ok_or(Fault::Surrogate)?;
        let text = self.document.append_text(|own| own.extend_from_slice(text.as_bytes()));
        Ok(Some(Item::Leaf(Node::Str(text))))
    }

    /// What `datetime64.item()` and `timedelta64.item()` give: a date for days and longer, a
    /// datetime or a timedelta down to microseconds, and a number where Python has none of these.
    fn numpy_time(
        &mut self,
        is_point: bool,
        number: i64,
        unit: &[u8],
        count: i64,
    ) -> Result<Option<Item>, Fault> {
        const DAY: i128 = 86_400_000_000;
        let raw = Ok(Some(Item::Leaf(Node::Int(number))));
        if number == NOT_A_TIME || unit == b"generic" && is_point {
            return Ok(Some(Item::Leaf(Node::None)));
        }
        // Two numbers of 64 bits, and what is left of 128 for a unit.
        let scaled = i128::from(number) * i128::from(count);
        let in_units = |microseconds: i128| scaled.checked_mul(microseconds);
        let microseconds = match unit {
            b"Y" | b"M" if is_point => Some(scaled),
            b"W" => in_units(7 * DAY),
            b"D" => in_units(DAY),
            b"h" => in_units(3_600_000_000),
            b"m" => in_units(60_000_000),
            b"s" => in_units(1_000_000),
            b"ms" => in_units(1_000),
            b"us" => Some(scaled),
            b"Y" | b"M" | b"ns" | b"ps" | b"fs" | b"as" | b"generic" => return raw,
            _ => return Ok(None),
        };
        let Some(microseconds) = microseconds else { return raw };
        let small = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
        let of = match unit {
            _ if !is_point => ScalarType::Timedelta,
            b"Y" | b"M" | b"W" | b"D" => ScalarType::Date,
            _ => ScalarType::Datetime,
        };
        let made = self.typed(of, |out| match unit {
            _ if !is_point => timedelta::put_microseconds(microseconds, out),
            b"Y" => datetime::put_months(small(scaled).saturating_mul(12), out),
            b"M" => datetime::put_months(small(scaled), out),
            b"W" | b"D" => datetime::put_days(small(microseconds.div_euclid(DAY)), out),
            _ => datetime::put_microseconds(small(microseconds), out),
        });
        match made {
            Err(Fault::NotOfType(..)) => raw,
            made => made,
        }
    }
}

impl Dtype {
    /// Bytes of an item.
    fn length(self) -> usize {
        if self.kind == b'U' { self.size.saturating_mul(4) } else { self.size }
    }

    fn unsigned(self, item: &[u8]) -> u64 {
        let add = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        if self.is_big_endian { item.iter().fold(0, add) } else { item.iter().rev().fold(0, add) }
    }

    fn signed(self, item: &[u8]) -> i64 {
        let unused = 64 - 8 * item.len().clamp(1, 8) as u32;
        (self.unsigned(item) << unused) as i64 >> unused
    }

    fn float(self, item: &[u8]) -> f64 {
        let bits = self.unsigned(item);
        match item.len() {
            2 => half(bits as u16),
            4 => f64::from(f32::from_bits(bits as u32)),
            _ => f64::from_bits(bits),
        }
    }
}

/// The kind of a dtype's items and their size; `None` for those that are nothing in Python.
fn kind_and_size(code: &[u8]) -> Option<(u8, usize)> {
    let (&kind, size) = code.split_first()?;
    if size.len() > 9 || !size.iter().all(u8::is_ascii_digit) || size.is_empty() {
        return None;
    }
    let size = size.iter().fold(0, |size, digit| size * 10 + usize::from(digit - b'0'));
    let is_known = match kind {
        b'b' => size == 1,
        b'i' | b'u' => matches!(size, 1 | 2 | 4 | 8),
        b'f' => matches!(size, 2 | 4 | 8),
        b'c' => matches!(size, 8 | 16),
        b'M' | b'm' => size == 8,
        b'U' | b'S' => true,
        _ => false,
    };
    is_known.then_some((kind, size))
}

/// A number of sixteen bits (IEEE 754-2008 §3.6, binary16).
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

fn is_none(item: Item) -> bool {
    matches!(item, Item::Leaf(Node::None))
}
