//! Scalars of the standard library, by the calls that picklers write for them: for both readers.

use std::borrow::Cow;

use super::globals::Global;
use super::store::Item;
use crate::node::{Node, Text};
use crate::protocol::{Refusal, ScalarType};
use crate::scalar_type::{NotOfType, Zone, datetime, fraction, put_complex, timedelta, uuid};
use crate::{Budget, Document};

/// Bytes of work that a digit of a long fraction costs for each of its others: to reduce it takes
/// the square of their number.
const FRACTION: usize = 16;

/// What values are made of, and with: arguments lie in the source or the document, a value goes
/// into the document, and the work pays for it.
pub(super) struct Making<'a> {
    pub(super) source: &'a [u8],
    pub(super) document: &'a mut Document,
    pub(super) work: &'a mut Budget,
}

/// Why there is no value.
pub(super) enum Fault {
    NotOfType(ScalarType, NotOfType),
    /// A text of numpy's holds half of a surrogate pair.
    Surrogate,
    /// A text of `_codecs.encode` has characters beyond latin1.
    NotLatin1,
    Refused(Refusal),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}

impl<'a> Making<'a> {
    /// The value of a call with up to three arguments; `None` for what no pickler writes.
    pub(super) fn scalar(
        &mut self,
        global: Global,
        args: [Option<Item>; 3],
    ) -> Result<Option<Item>, Fault> {
        match (global, args) {
            (Global::Datetime, [Some(Item::Leaf(Node::Bytes(state))), zone, None]) => {
                self.clock(ScalarType::Datetime, state, zone)
            }
            (Global::Time, [Some(Item::Leaf(Node::Bytes(state))), zone, None]) => {
                self.clock(ScalarType::Time, state, zone)
            }
            (Global::Date, [Some(Item::Leaf(Node::Bytes(state))), None, _]) => {
                let state = self.document.text_of_source(self.source, state);
                self.typed(ScalarType::Date, |out| datetime::put_date(&state, out))
            }
            (
                Global::Timedelta,
                [
                    Some(Item::Leaf(Node::Int(days))),
                    Some(Item::Leaf(Node::Int(seconds))),
                    Some(Item::Leaf(Node::Int(microseconds))),
                ],
            ) => {
                let put = |out: &mut Vec<u8>| timedelta::put(days, seconds, microseconds, out);
                self.typed(ScalarType::Timedelta, put)
            }
            (Global::Timezone, [Some(offset), name, None]) => Ok(self.timezone(offset, name)),
            (Global::GetAttr, [Some(Item::Import(Global::ZoneInfo)), Some(name), None]) => {
                let is_unpickle = matches!(name, Item::Leaf(Node::Str(name))
                    if self.document.text(self.source, name) == b"_unpickle");
                Ok(is_unpickle.then_some(Item::Import(Global::ZoneInfoUnpickle)))
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
                Ok(Some(Item::NamedZone(key)))
            }
            (Global::Decimal, [Some(Item::Leaf(Node::Str(text))), None, _]) => {
                self.spelled(ScalarType::Decimal, text)
            }
            (Global::Fraction, [Some(Item::Leaf(Node::Str(text))), None, _]) => {
                self.pay_for_fraction(text.len())?;
                self.spelled(ScalarType::Fraction, text)
            }
            (Global::Fraction, [Some(numerator), Some(denominator), None]) => {
                let (Some(numerator), Some(denominator)) =
                    (self.digits(numerator), self.digits(denominator))
                else {
                    return Ok(None);
                };
                self.pay_for_fraction(numerator.len() + denominator.len())?;
                let put = |out: &mut Vec<u8>| fraction::put(&numerator, &denominator, out);
                self.typed(ScalarType::Fraction, put)
            }
            (
                Global::Complex,
                [Some(Item::Leaf(Node::Float(re))), Some(Item::Leaf(Node::Float(im))), None],
            ) => self.complex(re, im).map(Some),
            (
                Global::Encode,
                [Some(Item::Leaf(Node::Str(text))), Some(Item::Leaf(Node::Str(encoding))), None],
            ) => {
                let bytes = self.latin1(text, encoding)?;
                Ok(bytes.map(|bytes| Item::Leaf(Node::Bytes(bytes))))
            }
            _ => Ok(None),
        }
    }

    /// A datetime or a time.
    fn clock(
        &mut self,
        of: ScalarType,
        state: Text,
        zone: Option<Item>,
    ) -> Result<Option<Item>, Fault> {
        let name;
        let zone = match zone {
            None | Some(Item::Leaf(Node::None)) => None,
            Some(Item::Offset(microseconds)) => Some(Zone::Offset { microseconds }),
            Some(Item::NamedZone(key)) => {
                name = self.document.text_of_source(self.source, key);
                Some(Zone::Named(&name))
            }
            Some(_) => return Ok(None),
        };
        let state = self.document.text_of_source(self.source, state);
        self.typed(of, |out| match of {
            ScalarType::Time => datetime::put_time(&state, zone, out),
            _ => datetime::put_datetime(&state, zone, out),
        })
    }

    /// A fixed offset. Its name is lost: zones with one offset are equal.
    fn timezone(&self, offset: Item, name: Option<Item>) -> Option<Item> {
        if !matches!(name, None | Some(Item::Leaf(Node::Str(_)))) {
            return None;
        }
        let Item::Leaf(Node::Typed(ScalarType::Timedelta, text)) = offset else { return None };
        let text = self.document.text(self.source, text);
        let microseconds = i64::try_from(timedelta::microseconds(text)?).ok()?;
        const DAY: i64 = 24 * 60 * 60 * 1_000_000;
        (-DAY < microseconds && microseconds < DAY).then_some(Item::Offset(microseconds))
    }

    fn spelled(&mut self, of: ScalarType, text: Text) -> Result<Option<Item>, Fault> {
        // It is looked at a few times, however short the value is that it spells.
        self.work.bytes(4 * text.len())?;
        let text = self.document.text_of_source(self.source, text);
        self.typed(of, |out| of.write_canonical(&text, out))
    }

    /// The bytes that `text` stands for: one per character.
    pub(super) fn latin1(&mut self, text: Text, encoding: Text) -> Result<Option<Text>, Fault> {
        if !matches!(self.document.text(self.source, encoding), b"latin1" | b"latin-1") {
            return Ok(None);
        }
        let characters = self.document.text(self.source, text);
        if characters.is_ascii() {
            return Ok(Some(text));
        }
        // Once for what is gathered, and once for what is kept.
        self.work.bytes(2 * characters.len())?;
        let characters = str::from_utf8(characters).map_err(|_| Fault::NotLatin1)?;
        let encoded: Option<Vec<u8>> =
            characters.chars().map(|character| u8::try_from(character).ok()).collect();
        let encoded = encoded.ok_or(Fault::NotLatin1)?;
        Ok(Some(self.document.append_text(|own| own.extend_from_slice(&encoded))))
    }

    pub(super) fn complex(&mut self, re: f64, im: f64) -> Result<Item, Fault> {
        let text = self.document.append_text(|own| put_complex(re, im, own));
        self.work.bytes(text.len())?;
        Ok(Item::Leaf(Node::Typed(ScalarType::Complex, text)))
    }

    pub(super) fn uuid(&mut self, number: u128) -> Result<Item, Refusal> {
        let text = self.document.append_text(|own| uuid::put(number, own));
        self.work.bytes(text.len())?;
        Ok(Item::Leaf(Node::Typed(ScalarType::Uuid, text)))
    }

    /// The decimal digits of an integer.
    pub(super) fn digits(&self, number: Item) -> Option<Cow<'a, [u8]>> {
        match number {
            Item::Leaf(Node::Int(small)) => Some(small.to_string().into_bytes().into()),
            Item::Leaf(Node::BigInt(digits)) => {
                Some(self.document.text_of_source(self.source, digits))
            }
            _ => None,
        }
    }

    fn pay_for_fraction(&mut self, digits: usize) -> Result<(), Refusal> {
        self.work.bytes(digits.saturating_mul(digits) / FRACTION)
    }

    /// A value by the canonical text that is written for it.
    pub(super) fn typed(
        &mut self,
        of: ScalarType,
        put: impl FnOnce(&mut Vec<u8>) -> Result<(), NotOfType>,
    ) -> Result<Option<Item>, Fault> {
        let text = self.document.own_text(put).map_err(|fault| Fault::NotOfType(of, fault))?;
        self.work.bytes(text.len())?;
        Ok(Some(Item::Leaf(Node::Typed(of, text))))
    }
}
