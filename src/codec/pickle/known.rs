//! Publishes as pickles that are like one before, all but the payload and perhaps the topic.
//!
//! Picklers write a publish as a dict whose entries follow each other, so the payload is what lies between the key `message`
//! and the end, where that key is the last. What stands before it was read in full once; where the same bytes stand there
//! again, only the length of a frame aside, they say the same again.

use std::ops::Range;

use super::opcode::*;
use super::straight;
use crate::codec::Document;
use crate::protocol::{Limits, MAX_DEPTH, MAX_INT_DIGITS, NODE_SIZE};

/// What ends the dict and the pickle.
const AFTER: &[u8] = b"u.";

/// The opcodes before the payload of a publish that was read in full.
#[derive(Debug, Default)]
pub struct KnownPickle {
    /// PROTO and its argument.
    head: [u8; 2],
    has_frame: bool,
    /// From there to the payload; empty while nothing is known.
    before: Vec<u8>,
    /// Where the topic lies in `before`.
    topic: Range<usize>,
    /// Values that are memoised in it.
    memoised: usize,
    /// What it costs of a payload's budget, without the text of the topic.
    cost: usize,
}

/// A publish that was recognised.
#[derive(Debug, PartialEq, Eq)]
pub struct RecognisedPickle<'a> {
    /// The topic, where it is another one than that of the publish before. Not judged yet.
    pub topic: Option<&'a str>,
    /// The index of the payload's root in the document.
    pub root: usize,
    /// Bytes of the payload as [`Document::value_size`] counts them.
    pub size: usize,
}

impl KnownPickle {
    /// Remembers what is around the payload of a body that was accepted as a publish of so many fields, where that is of the
    /// usual kind.
    pub fn learn(&mut self, body: &[u8], fields: usize) {
        *self = KnownPickle::of(body, fields).unwrap_or_default();
    }

    fn of(body: &[u8], fields: usize) -> Option<KnownPickle> {
        let (&head, rest) = body.split_first_chunk::<2>()?;
        let (has_frame, rest) = match rest.split_first()? {
            (&FRAME, rest) => (true, rest.get(8..)?),
            _ => (false, rest),
        };
        let mut known = KnownPickle { head, has_frame, cost: NODE_SIZE, ..KnownPickle::default() };
        let mut reading = Envelope { rest, at: 0, memoised: 0 };
        reading.expect(EMPTY_DICT)?;
        reading.memoise();
        reading.expect(MARK)?;
        let mut keys = 0;
        loop {
            keys += 1;
            let key = reading.string()?;
            known.cost += NODE_SIZE + key.len();
            if rest[key.clone()] == *b"message" {
                break;
            }
            known.cost += NODE_SIZE;
            match *rest.get(reading.at)? {
                SHORT_BINUNICODE => {
                    let value = reading.string()?;
                    if rest[key] == *b"topic" {
                        known.topic = value;
                    } else {
                        known.cost += value.len();
                    }
                }
                NEWTRUE | NEWFALSE => reading.at += 1,
                BININT1 => reading.at += 2,
                BININT2 => reading.at += 3,
                _ => return None,
            }
        }
        known.memoised = reading.memoised;
        known.before = rest.get(..reading.at)?.to_vec();
        // No field stands behind the payload.
        (keys == fields && known.topic.start > 0).then_some(known)
    }

    /// Recognises a publish and decodes its payload; `None` for everything that is to be read in full, and then the document is
    /// as it was.
    #[inline]
    pub fn recognise<'a>(
        &self,
        source: &'a [u8],
        body: Range<usize>,
        document: &mut Document,
        limits: &Limits,
    ) -> Option<RecognisedPickle<'a>> {
        let text = source.get(body.clone())?;
        let (head, rest) = text.split_first_chunk::<2>()?;
        let is_usual = limits.depth >= MAX_DEPTH && limits.int_digits >= MAX_INT_DIGITS;
        if self.before.is_empty() || *head != self.head || !is_usual || !text.ends_with(AFTER) {
            return None;
        }
        let mut rest = rest;
        if self.has_frame {
            let (&[opcode, ref length @ ..], inside) = rest.split_first_chunk::<9>()?;
            if opcode != FRAME || u64::from_le_bytes(*length) > inside.len() as u64 {
                return None;
            }
            rest = inside;
        }
        let (topic, payload) = match rest.strip_prefix(&*self.before) {
            Some(payload) => (None, payload),
            None => self.other_topic(rest).map(|(topic, payload)| (Some(topic), payload))?,
        };
        let cost = self.cost + topic.map_or(self.topic.len(), str::len);
        let within = Limits { decoded_size: limits.decoded_size.checked_sub(cost)?, ..*limits };
        let payload = body.end - payload.len()..body.end - AFTER.len();
        let (root, size) =
            straight::read_inside(source, body.end, payload, self.memoised, document, &within)?;
        Some(RecognisedPickle { topic, root, size })
    }

    /// The topic of a body that differs in it, and what follows the opcodes before the payload.
    fn other_topic<'a>(&self, text: &'a [u8]) -> Option<(&'a str, &'a [u8])> {
        // The byte before a text is its length.
        let rest = text.strip_prefix(&self.before[..self.topic.start - 1])?;
        let (length, rest) = rest.split_first()?;
        let (topic, rest) = rest.split_at_checked(usize::from(*length))?;
        let rest = rest.strip_prefix(&self.before[self.topic.end..])?;
        Some((str::from_utf8(topic).ok()?, rest))
    }
}

/// The opcodes before a payload.
struct Envelope<'a> {
    rest: &'a [u8],
    at: usize,
    memoised: usize,
}

impl Envelope<'_> {
    fn expect(&mut self, opcode: u8) -> Option<()> {
        let found = self.rest.get(self.at)?;
        self.at += 1;
        (*found == opcode).then_some(())
    }

    fn memoise(&mut self) {
        if self.rest.get(self.at) == Some(&MEMOIZE) {
            self.at += 1;
            self.memoised += 1;
        }
    }

    /// Where a string lies.
    fn string(&mut self) -> Option<Range<usize>> {
        self.expect(SHORT_BINUNICODE)?;
        let length = usize::from(*self.rest.get(self.at)?);
        let text = self.at + 1..self.at + 1 + length;
        self.at = text.end;
        self.rest.get(text.clone())?;
        self.memoise();
        Some(text)
    }
}
