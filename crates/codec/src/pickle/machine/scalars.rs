//! Scalars of the standard library, by the calls that picklers write for them.

use super::Machine;
use crate::node::{Node, Text};
use crate::pickle::globals::Global;
use crate::pickle::store::{Item, Kind};
use crate::protocol::ScalarType;
use crate::protocol::{ErrorCode, Refusal};
use crate::scalar_type::{NotOfType, Zone, datetime, fraction, put_complex, timedelta, uuid};

/// Bytes of work that a digit of a long fraction costs for each of its others: to reduce it takes
/// the square of their number.
const FRACTION: usize = 16;

impl Machine<'_> {
    /// The value of a call with up to three arguments; `None` for what no pickler writes.
    pub(super) fn scalar(
        &mut self,
        global: Global,
        args: [Option<Item>; 3],
    ) -> Result<Option<Item>, Refusal> {
        let mut out = Vec::new();
        let of = match (global, args) {
            (Global::Datetime, [Some(Item::Leaf(Node::Bytes(state))), zone, None]) => {
                self.clock(ScalarType::Datetime, state, zone, &mut out)?
            }
            (Global::Time, [Some(Item::Leaf(Node::Bytes(state))), zone, None]) => {
                self.clock(ScalarType::Time, state, zone, &mut out)?
            }
            (Global::Date, [Some(Item::Leaf(Node::Bytes(state))), None, _]) => {
                let state = self.document.text(self.reader.source(), state);
                let put = datetime::put_date(state, &mut out);
                put.map_err(|fault| self.no_value(ScalarType::Date, fault))?;
                Some(ScalarType::Date)
            }
            (
                Global::Timedelta,
                [
                    Some(Item::Leaf(Node::Int(days))),
                    Some(Item::Leaf(Node::Int(seconds))),
                    Some(Item::Leaf(Node::Int(microseconds))),
                ],
            ) => {
                let put = timedelta::put(days, seconds, microseconds, &mut out);
                put.map_err(|fault| self.no_value(ScalarType::Timedelta, fault))?;
                Some(ScalarType::Timedelta)
            }
            (Global::Timezone, [Some(offset), name, None]) => {
                return Ok(self.timezone(offset, name));
            }
            (Global::GetAttr, [Some(Item::Import(Global::ZoneInfo)), Some(name), None]) => {
                let is_unpickle = matches!(name, Item::Leaf(Node::Str(name))
                    if self.document.text(self.reader.source(), name) == b"_unpickle");
                return Ok(is_unpickle.then_some(Item::Import(Global::ZoneInfoUnpickle)));
            }
            (
                Global::ZoneInfoUnpickle,
                [
                    Some(Item::Leaf(Node::Str(key))),
                    Some(Item::Leaf(Node::Int(0 | 1) | Node::Bool(_))),
                    None,
                ],
            )
            // So the broker's own pickles have it.
            | (Global::ZoneInfo, [Some(Item::Leaf(Node::Str(key))), None, _]) => {
                return Ok(Some(Item::NamedZone(key)));
            }
            (Global::Decimal, [Some(Item::Leaf(Node::Str(text))), None, _]) => {
                self.spelled(ScalarType::Decimal, text, &mut out)?
            }
            (Global::Fraction, [Some(Item::Leaf(Node::Str(text))), None, _]) => {
                self.pay_for_fraction(text.len())?;
                self.spelled(ScalarType::Fraction, text, &mut out)?
            }
            (Global::Fraction, [Some(numerator), Some(denominator), None]) => {
                let (Some(numerator), Some(denominator)) =
                    (self.digits(numerator), self.digits(denominator))
                else {
                    return Ok(None);
                };
                self.pay_for_fraction(numerator.len() + denominator.len())?;
                let put = fraction::put(&numerator, &denominator, &mut out);
                put.map_err(|fault| self.no_value(ScalarType::Fraction, fault))?;
                Some(ScalarType::Fraction)
            }
            (
                Global::Complex,
                [Some(Item::Leaf(Node::Float(re))), Some(Item::Leaf(Node::Float(im))), None],
            ) => {
                put_complex(re, im, &mut out);
                Some(ScalarType::Complex)
            }
            _ => None,
        };
        of.map(|of| self.typed(of, &out)).transpose()
    }

    /// A datetime or a time.
    fn clock(
        &mut self,
        of: ScalarType,
        state: Text,
        zone: Option<Item>,
        out: &mut Vec<u8>,
    ) -> Result<Option<ScalarType>, Refusal> {
        let source = self.reader.source();
        let zone = match zone {
            None | Some(Item::Leaf(Node::None)) => None,
            Some(Item::Offset(microseconds)) => Some(Zone::Offset { microseconds }),
            Some(Item::NamedZone(key)) => Some(Zone::Named(self.document.text(source, key))),
            Some(_) => return Ok(None),
        };
        let state = self.document.text(source, state);
        let put = match of {
            ScalarType::Time => datetime::put_time(state, zone, out),
            _ => datetime::put_datetime(state, zone, out),
        };
        put.map_err(|fault| self.no_value(of, fault))?;
        Ok(Some(of))
    }

    /// A fixed offset. Its name is lost: zones with one offset are equal.
    fn timezone(&self, offset: Item, name: Option<Item>) -> Option<Item> {
        if !matches!(name, None | Some(Item::Leaf(Node::Str(_)))) {
            return None;
        }
        let Item::Leaf(Node::Typed(ScalarType::Timedelta, text)) = offset else { return None };
        let text = self.document.text(self.reader.source(), text);
        let microseconds = i64::try_from(timedelta::microseconds(text)?).ok()?;
        const DAY: i64 = 24 * 60 * 60 * 1_000_000;
        (-DAY < microseconds && microseconds < DAY).then_some(Item::Offset(microseconds))
    }

    fn spelled(
        &mut self,
        of: ScalarType,
        text: Text,
        out: &mut Vec<u8>,
    ) -> Result<Option<ScalarType>, Refusal> {
        // It is looked at a few times, however short the value is that it spells.
        self.work.bytes(4 * text.len())?;
        let text = self.document.text(self.reader.source(), text);
        of.write_canonical(text, out).map_err(|fault| self.no_value(of, fault))?;
        Ok(Some(of))
    }

    /// The decimal digits of an integer.
    fn digits(&self, number: Item) -> Option<Vec<u8>> {
        match number {
            Item::Leaf(Node::Int(small)) => Some(small.to_string().into_bytes()),
            Item::Leaf(Node::BigInt(digits)) => {
                Some(self.document.text(self.reader.source(), digits).to_vec())
            }
            _ => None,
        }
    }

    fn pay_for_fraction(&mut self, digits: usize) -> Result<(), Refusal> {
        self.work.bytes(digits.saturating_mul(digits) / FRACTION)
    }

    /// A value by its canonical text.
    pub(super) fn typed(&mut self, of: ScalarType, canonical: &[u8]) -> Result<Item, Refusal> {
        self.work.bytes(canonical.len())?;
        let text = self.document.append_text(|own| own.extend_from_slice(canonical));
        Ok(Item::Leaf(Node::Typed(of, text)))
    }

    #[cold]
    pub(super) fn no_value(&self, of: ScalarType, fault: NotOfType) -> Refusal {
        let code = match fault {
            NotOfType::TooManyDigits => ErrorCode::TooManyDigits,
            _ => ErrorCode::InvalidPickle,
        };
        self.reader.refuse(code, format_args!("it makes no {}: {fault}", of.name()))
    }

    /// The object that NEWOBJ leaves for `class(*args)`: its state comes later.
    pub(super) fn instance(&mut self, class: Item, args: Item) -> Result<Option<Item>, Refusal> {
        match class {
            Item::Import(Global::Uuid) if self.is_empty_tuple(args) => {
                self.create(Kind::Uuid).map(Some)
            }
            Item::Class(_) => self.new_of_class(class, args).map(Some),
            _ => Ok(None),
        }
    }

    /// BUILD: the state of the object below it on the stack.
    pub(super) fn build(&mut self, object: Item, state: Item) -> Result<Option<()>, Refusal> {
        match self.scratch.store.kind(object) {
            Some(Kind::Uuid) => self.build_uuid(object, state),
            Some(Kind::Dtype) => self.build_dtype(object, state),
            Some(Kind::Ndarray) => self.build_array(object, state),
            Some(Kind::Object) => self.build_object(object, state),
            _ => Ok(None),
        }
    }

    /// `{'int': …}`, and perhaps `'is_safe'`, which is lost.
    fn build_uuid(&mut self, object: Item, state: Item) -> Result<Option<()>, Refusal> {
        let store = &self.scratch.store;
        if store.kind(state) != Some(Kind::Dict) || store.items(object).next().is_some() {
            return Ok(None);
        }
        let entries: Vec<Item> = store.items(state).take(5).collect();
        let mut number = None;
        for entry in entries.chunks(2) {
            let &[Item::Leaf(Node::Str(key)), value] = entry else { return Ok(None) };
            match self.document.text(self.reader.source(), key) {
                b"int" => number = self.digits(value),
                b"is_safe" => {}
                _ => return Ok(None),
            }
        }
        let number = number.filter(|digits| digits.len() <= 39);
        let Some(number) = number
            .and_then(|digits| str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok()))
        else {
            return Ok(None);
        };
        let mut out = Vec::new();
        uuid::put(number, &mut out);
        let value = self.typed(ScalarType::Uuid, &out)?;
        self.finish(object, value)
    }

    /// Completes an object with the value that it is.
    pub(super) fn finish(&mut self, object: Item, value: Item) -> Result<Option<()>, Refusal> {
        let Item::Container(id) = object else { return Ok(None) };
        self.scratch.store.extend(id, &[value], &mut self.work)?;
        Ok(Some(()))
    }
}
