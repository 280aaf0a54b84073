//! Judging JSON without decoding it: the usual message goes through as bytes, and most need no more
//! than this.

use std::ops::Range;

use super::fast_validate::{fast_validate, is_everyday};
use super::grammar::{Bracket, Grammar, Piece, Sink, literal_prefix};
use super::read::decode;
use super::unescape::unescape;
use crate::budget::Budget;
use crate::document::Document;
use crate::envelope::{Field, Fields, Name, Part, PayloadSpan, longest_unjudged};
use crate::protocol::{ErrorCode, Limits, MAX_DEPTH, MAX_INT_DIGITS, NODE_SIZE, Refusal};

/// Reads a message body: one JSON object. Of the `message` field it keeps where it lies; the value
/// is decoded into `document` only where nothing less can judge it.
///
/// # Errors
/// As for [`decode`]: whatever cannot be decoded later is refused here, decoded or not.
pub(crate) fn read_fields<'a>(
    source: &'a [u8],
    body: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<Fields<'a>, Refusal> {
    let length = body.len();
    let mut grammar = Grammar::new(source, body)?;
    let mut fields = Fields::default();
    grammar.skip_space();
    if grammar.peek() != Some(b'{') {
        let mut judge = Judge::new(source, limits, length);
        grammar.value(&mut judge)?;
        return Err(Refusal::new(
            ErrorCode::NotAMap,
            "the body of a JSON message must be an object",
        ));
    }
    grammar.expect(b'{', "\"{\"")?;
    grammar.skip_space();
    if grammar.peek() == Some(b'}') {
        grammar.expect(b'}', "\"}\"")?;
        grammar.end()?;
        return Ok(fields);
    }
    loop {
        let key = grammar.key()?;
        let name = Name::from_bytes(&spelled(source, &key));
        grammar.skip_space();
        let start = grammar.position();
        let mut judge = Judge::new(source, limits, length);
        grammar.value(&mut judge)?;
        let value = start..grammar.position();
        match name {
            Some(Name::Message) => {
                let decoded = if judge.needs_decoding() {
                    Some(decode(source, value.clone(), document, limits)?)
                } else {
                    None
                };
                fields.set_message(PayloadSpan { part: Part::Value(value), document: decoded })?;
            }
            Some(name) => fields.set(name, judge.field())?,
            None => fields.pass_over(),
        }
        grammar.skip_space();
        match grammar.peek() {
            Some(b',') => {
                grammar.expect(b',', "\",\"")?;
                grammar.skip_space();
            }
            _ => {
                grammar.expect(b'}', "\",\" or \"}\"")?;
                grammar.end()?;
                return Ok(fields);
            }
        }
    }
}

/// Judges the value at `start` of a text, and returns where it ends. `None` where something is
/// wrong with it, and where only decoding can judge it: that is for [`read_fields`] to find out.
///
/// `text` is all that is looked at, to its end, and is judged to be UTF-8 as well.
#[inline]
pub(crate) fn plain_value(
    source: &[u8],
    text: Range<usize>,
    start: usize,
    limits: &Limits,
) -> Option<usize> {
    if !is_usual(source, &text, start, limits) {
        return None;
    }
    if let Some(end) = fast_validate(&source[..text.end], start) {
        return Some(end);
    }
    let mut grammar = Grammar::new(source, text).ok()?.at(start);
    let mut scan = Scan { depth: 0, deepest: 0, may_be_tagged: false, source };
    grammar.value(&mut scan).ok()?;
    (!scan.may_be_tagged && scan.deepest <= MAX_DEPTH).then(|| grammar.position())
}

/// Whether the value at `start` is within the limits if it is JSON, and begins there.
#[inline(always)]
fn is_usual(source: &[u8], text: &Range<usize>, start: usize, limits: &Limits) -> bool {
    // No node is shorter than a byte, so what a short text decodes to need not be counted.
    let most = text.len().saturating_mul(NODE_SIZE + 1);
    limits.depth >= MAX_DEPTH
        && limits.int_digits >= MAX_INT_DIGITS
        && most <= limits.decoded_size
        // Nor does it become a longer frame than it may: 13 bytes for each.
        && most <= longest_unjudged(limits)
        // A value does not begin with the spaces before it.
        && source.get(start).is_some_and(|&first| first > b' ')
}

/// Whether the value at `start` of a text may be [walked](super::walk) through unjudged.
#[inline]
pub(crate) fn may_be_everyday(
    source: &[u8],
    text: &Range<usize>,
    start: usize,
    limits: &Limits,
) -> bool {
    is_usual(source, text, start, limits) && source.get(start..text.end).is_some_and(is_everyday)
}

/// How many bytes at the beginning of `text` a string may hold as they are.
pub(crate) fn literal_length(text: &[u8]) -> usize {
    literal_prefix(text)
}

/// What a string says.
fn spelled<'a>(source: &'a [u8], piece: &Piece) -> std::borrow::Cow<'a, [u8]> {
    let raw = &source[piece.range.clone()];
    if !piece.escaped {
        return raw.into();
    }
    let mut text = Vec::with_capacity(raw.len());
    unescape(raw, &mut text);
    text.into()
}

/// Whether a key, or what it is spelled as, may be a tag.
#[inline(always)]
fn may_be_tag(source: &[u8], key: &Piece) -> bool {
    key.escaped || source.get(key.range.start) == Some(&b'$')
}

/// A sink that remembers nothing.
struct Scan<'a> {
    source: &'a [u8],
    depth: usize,
    deepest: usize,
    may_be_tagged: bool,
}

impl Sink for Scan<'_> {
    #[inline(always)]
    fn null(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    #[inline(always)]
    fn bool(&mut self, _: bool) -> Result<(), Refusal> {
        Ok(())
    }

    #[inline(always)]
    fn integer(&mut self, _: Range<usize>) -> Result<(), Refusal> {
        Ok(())
    }

    #[inline(always)]
    fn float(&mut self, _: Range<usize>) -> Result<(), Refusal> {
        Ok(())
    }

    #[inline(always)]
    fn string(&mut self, _: Piece) -> Result<(), Refusal> {
        Ok(())
    }

    #[inline(always)]
    fn key(&mut self, piece: Piece) -> Result<(), Refusal> {
        self.may_be_tagged |= may_be_tag(self.source, &piece);
        Ok(())
    }

    #[inline(always)]
    fn open(&mut self, _: Bracket) -> Result<(), Refusal> {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        Ok(())
    }

    #[inline(always)]
    fn close(&mut self, _: Bracket) -> Result<(), Refusal> {
        self.depth -= 1;
        Ok(())
    }
}

/// A sink that counts, and remembers only a scalar.
struct Judge<'a> {
    source: &'a [u8],
    budget: Budget,
    depth: usize,
    deepest: usize,
    may_be_tagged: bool,
    last: Field<'a>,
}

impl<'a> Judge<'a> {
    fn new(source: &'a [u8], limits: &Limits, length: usize) -> Judge<'a> {
        let last = Field::Other("an object or an array");
        let budget = Budget::new(limits, length);
        Judge { source, budget, depth: 0, deepest: 0, may_be_tagged: false, last }
    }

    /// Whether there is something that only decoding can judge: a `$` tag, or brackets too deep for
    /// values that have none.
    fn needs_decoding(&self) -> bool {
        self.may_be_tagged || self.deepest > MAX_DEPTH
    }

    /// The value that was read, where it was a scalar.
    fn field(self) -> Field<'a> {
        if self.deepest > 0 { Field::Other("an object or an array") } else { self.last }
    }
}

impl<'a> Sink for Judge<'a> {
    fn null(&mut self) -> Result<(), Refusal> {
        self.last = Field::Other("null");
        self.budget.node(0)
    }

    fn bool(&mut self, truth: bool) -> Result<(), Refusal> {
        self.last = Field::Bool(truth);
        self.budget.node(0)
    }

    fn integer(&mut self, digits: Range<usize>) -> Result<(), Refusal> {
        self.budget.node(digits.len())?;
        if self.depth == 0 {
            let text = str::from_utf8(&self.source[digits]).unwrap_or_default();
            self.last = text.parse().map_or(Field::Other("an integer beyond 64 bits"), Field::Int);
        }
        Ok(())
    }

    fn float(&mut self, _: Range<usize>) -> Result<(), Refusal> {
        self.last = Field::Other("a number with a fraction or an exponent");
        self.budget.node(0)
    }

    fn string(&mut self, piece: Piece) -> Result<(), Refusal> {
        self.budget.node(piece.range.len())?;
        if self.depth == 0 {
            self.last = Field::from_utf8(spelled(self.source, &piece));
        }
        Ok(())
    }

    fn key(&mut self, piece: Piece) -> Result<(), Refusal> {
        self.may_be_tagged |= may_be_tag(self.source, &piece);
        self.budget.node(piece.range.len())
    }

    fn open(&mut self, _: Bracket) -> Result<(), Refusal> {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        self.budget.node(0)
    }

    fn close(&mut self, _: Bracket) -> Result<(), Refusal> {
        self.depth -= 1;
        Ok(())
    }
}
