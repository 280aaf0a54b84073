//! Publishes as pickles that are like one before, all but the payload and perhaps the topic.
//!
//! Picklers write a publish as a dict whose entries follow each other, so the payload is what lies
//! between the key `message` and the end, where that key is the last. The bytes before it were read
//! in full once; where the same bytes stand there again, only the length of a frame aside, they say
//! the same again.

use std::ops::Range;

use super::fast_decode::{self, Outside};
use super::opcode::*;
use crate::envelope::{MOST_REMEMBERED, decoded_surely_fits};
use crate::protocol::{Limits, MAX_DEPTH, MAX_INT_DIGITS, NODE_SIZE};
use crate::{Budget, Document};

/// What ends the dict and the pickle.
const AFTER: &[u8] = b"u.";

/// The opcodes before the payload of a publish that was read in full.
#[derive(Debug, Default)]
pub struct PickleCache {
    /// PROTO and its argument.
    head: [u8; 2],
    has_frame: bool,
    /// From there to the payload; empty while nothing is known.
    before: Vec<u8>,
    /// Where the topic lies in `before`.
    topic: Range<usize>,
    /// Where the strings lie in it that are memoised, by their numbers; nowhere for what is none.
    memo: Vec<Range<usize>>,
    /// What it costs of a payload's budget, without the text of the topic.
    cost: usize,
}

/// A publish that was recognised.
#[derive(Debug, PartialEq, Eq)]
pub struct PickleMatch<'a> {
    /// The topic, where it is another one than that of the publish before. Not judged yet.
    pub topic: Option<&'a str>,
    /// The index of the payload's root in the document.
    pub root: usize,
    /// Bytes of the payload as [`Document::value_size`] counts them.
    pub size: usize,
}

impl PickleCache {
    /// Remembers what is around the payload of a body that was accepted as a publish of so many
    /// fields, where that is of the usual kind.
    pub fn learn(&mut self, body: &[u8], fields: usize) {
        *self = PickleCache::of(body, fields).unwrap_or_default();
    }

    fn of(body: &[u8], fields: usize) -> Option<PickleCache> {
        let (&head, rest) = body.split_first_chunk::<2>()?;
        let (has_frame, rest) = match rest.split_first()? {
            (&FRAME, rest) => (true, rest.get(8..)?),
            _ => (false, rest),
        };
        let mut known = PickleCache { head, has_frame, cost: NODE_SIZE, ..PickleCache::default() };
        let mut reading = Envelope { rest, at: 0, memo: Vec::new() };
        reading.expect(EMPTY_DICT)?;
        reading.memoise(0..0);
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
        known.memo = reading.memo;
        // Every connection remembers one.
        known.before =
            rest.get(..reading.at).filter(|before| before.len() <= MOST_REMEMBERED)?.to_vec();
        // No field stands behind the payload.
        (keys == fields && known.topic.start > 0).then_some(known)
    }

    /// Recognises a publish and decodes its payload; `None` for everything that is to be read in
    /// full, and then the document is as it was.
    #[inline]
    pub fn recognise<'a>(
        &self,
        source: &'a [u8],
        body: Range<usize>,
        document: &mut Document,
        limits: &Limits,
    ) -> Option<PickleMatch<'a>> {
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
        let within = Budget::of(limits.decoded_budget(text.len()).checked_sub(cost)?);
        let payload = body.end - payload.len()..body.end - AFTER.len();
        let mark = document.mark();
        let before = body.end - rest.len();
        let topic_end = before + self.topic.start + topic.map_or(self.topic.len(), str::len);
        let outside = Outside { memo: &self.memo, before, topic: self.topic.clone(), topic_end };
        let (root, size) =
            fast_decode::read_inside(source, body.end, payload, &outside, document, within)?;
        if !decoded_surely_fits(size, limits.encoded_budget(text.len())) {
            document.truncate(mark);
            return None;
        }
        Some(PickleMatch { topic, root, size })
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
    memo: Vec<Range<usize>>,
}

impl Envelope<'_> {
    fn expect(&mut self, opcode: u8) -> Option<()> {
        let found = self.rest.get(self.at)?;
        self.at += 1;
        (*found == opcode).then_some(())
    }

    /// Keeps what was just read, if the next opcode says so.
    fn memoise(&mut self, text: Range<usize>) {
        if self.rest.get(self.at) == Some(&MEMOIZE) {
            self.at += 1;
            self.memo.push(text);
        }
    }

    /// Where a string lies.
    fn string(&mut self) -> Option<Range<usize>> {
        self.expect(SHORT_BINUNICODE)?;
        let length = usize::from(*self.rest.get(self.at)?);
        let text = self.at + 1..self.at + 1 + length;
        self.at = text.end;
        self.rest.get(text.clone())?;
        self.memoise(text.clone());
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Format;
    use crate::{Node, Request, pickle, read_request};

    /// The topic, and the payload as this broker would pickle it.
    type Read = Option<(String, Vec<u8>)>;

    fn shown(source: &[u8], document: &Document, root: usize) -> Vec<u8> {
        let mut out = Vec::new();
        pickle::encode(document.view(source, root), pickle::Classes::None, &mut out);
        out
    }

    /// What the full reading says, and how many fields there are.
    fn in_full(body: &[u8], limits: &Limits) -> (Read, usize) {
        let mut document = Document::new();
        let request = read_request(body, Format::Pickle, 0..body.len(), &mut document, limits);
        let Ok(Request::Publish { topic, message, .. }) = request else { return (None, 0) };
        let fields = match document.nodes()[0] {
            Node::Dict(size) => size.items as usize,
            _ => 0,
        };
        let root = message.document.unwrap();
        (Some((topic.into_owned(), shown(body, &document, root))), fields)
    }

    fn string(text: &str) -> Vec<u8> {
        [&[SHORT_BINUNICODE, text.len() as u8], text.as_bytes(), &[MEMOIZE]].concat()
    }

    fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
        let fields = ["command", "publish", "topic", topic, "message"].map(string).concat();
        let inside = [b"}\x94(", &*fields, payload, AFTER].concat();
        [b"\x80\x04\x95".as_slice(), &(inside.len() as u64).to_le_bytes(), &inside].concat()
    }

    const PAYLOADS: &[&[u8]] = &[
        b"K\x05",
        b"]\x94(K\x01\x8c\x03abc\x94h\x07\x86\x94e",
        b"}\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94}\x94\x8c\x01a\x94Nsu",
        b"}\x94(\x8c\x05topic\x94h\x03\x8c\x01b\x94G\x40\x35\x80\0\0\0\0\0u",
        b"\x8f\x94(K\x01K\x02\x90",
        // Every string of the envelope, and the topic among them.
        b"]\x94(h\x01h\x02h\x03h\x04h\x05\x8c\x01x\x94h\x07e",
        // Two dates of one class, and a UUID.
        b"]\x94(\x8c\x08datetime\x94\x8c\x04date\x94\x93\x94C\x04\x07\xea\x0b\x1d\x94\x85\x94R\x94\
          h\x09C\x04\x07\xea\x0b\x1e\x94\x85\x94R\x94h\x0ch\x0ae",
        b"\x8c\x04uuid\x94\x8c\x04UUID\x94\x93\x94)\x81\x94}\x94\x8c\x03int\x94\x8a\x09\0\x01\x02\x03\x04\
          \x05\x06\x07\x08sb",
        b"\x8c\x07decimal\x94\x8c\x07Decimal\x94\x93\x94\x8c\x041.10\x94\x85\x94R\x94",
    ];

    /// Keys of a payload are often the very objects that are keys of the envelope.
    #[test]
    fn a_payload_may_refer_to_the_strings_around_it() {
        let mut known = PickleCache::default();
        known.learn(&publish("a/b", b"N"), 3);
        for topic in ["a/b", "a", "a longer topic"] {
            for (payload, is_recognised) in
                PAYLOADS.iter().map(|payload| (*payload, true)).chain([(&b"h\x00"[..], false)])
            {
                let body = publish(topic, payload);
                let (source, mut document) = ([b"..", &*body].concat(), Document::new());
                let limits = Limits::default();
                let found = known.recognise(&source, 2..source.len(), &mut document, &limits);
                let root = found.map(|found| found.root);
                assert_eq!(root.is_some(), is_recognised, "{}", payload.escape_ascii());
                if let Some(root) = root {
                    let read = Some((topic.to_owned(), shown(&source, &document, root)));
                    assert_eq!(read, in_full(&body, &limits).0, "{}", body.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn what_is_recognised_is_what_would_have_been_read() {
        let mut known = PickleCache::default();
        let first = publish("a/b", PAYLOADS[0]);
        let (read, fields) = in_full(&first, &Limits::default());
        assert_eq!((read.unwrap().0.as_str(), fields), ("a/b", 3));
        known.learn(&first, fields);
        let mut state: u64 = 0xd1ff;
        let mut below = |bound: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound.max(1)
        };
        let mut recognised = 0;
        for round in 0..60_000 {
            let topic = ["a/b", "a/b", "ä", "", "a longer topic"][below(5)];
            let mut body = publish(topic, PAYLOADS[below(PAYLOADS.len())]);
            for _ in 0..round % 3 {
                let at = below(body.len());
                match below(4) {
                    0 => body[at] = b"}](euh.0K\x94\x86\x8c\x95s"[below(14)],
                    1 => body[at] ^= 1 << below(8),
                    2 => drop(body.remove(at)),
                    _ => body.insert(at, b"}](euh.0K\x94\x86\x8c\x95s"[below(14)]),
                }
            }
            let limits = match round % 3 {
                0 => Limits { decoded_size: below(500), ..Limits::default() },
                1 => Limits { depth: 1 + below(4), ..Limits::default() },
                _ if round % 2 == 0 => {
                    Limits { max_encoded: 8_192 + below(3_000) as u32, ..Limits::default() }
                }
                _ => Limits::default(),
            };
            let source = [b"..", &*body, b"u."].concat();
            let mut document = Document::new();
            let found = known.recognise(&source, 2..2 + body.len(), &mut document, &limits);
            let Some(PickleMatch { topic, root, size }) = found else {
                assert!(document.is_empty());
                continue;
            };
            recognised += 1;
            assert_eq!(size, document.value_size(root));
            let read = Some((topic.unwrap_or("a/b").to_owned(), shown(&source, &document, root)));
            assert_eq!(read, in_full(&body, &limits).0, "{}", body.escape_ascii());
        }
        assert!(recognised > 8_000, "only {recognised} were recognised");
    }

    #[test]
    fn only_the_usual_is_learned() {
        let learned = |body: &[u8]| {
            let mut known = PickleCache::default();
            known.learn(body, in_full(body, &Limits::default()).1);
            !known.before.is_empty()
        };
        assert!(learned(&publish("a", b"K\x01")));
        // A field behind the payload, and an envelope that is spelled otherwise.
        assert!(!learned(&publish("a", &[b"K\x01", &*string("retain"), b"\x89"].concat())));
        assert!(!learned(b"\x80\x02}(X\x07\0\0\0commandX\x07\0\0\0publishX\x05\0\0\0topicX\x01\0\0\0aX\x07\0\0\0messageNu."));
        assert!(!learned(b"."));
    }
}
