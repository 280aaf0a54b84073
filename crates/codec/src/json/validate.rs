//! Judging JSON without decoding it: the usual message goes through as bytes, and most need no more
//! than this.

use std::borrow::Cow;
use std::ops::Range;

use super::events::{Bracket, Events, Number, Str};
use super::fast_validate::fast_validate;
use super::fault::Fault;
use super::read::decode;
use super::scan::Scan;
use super::tags::is_tag_name;
use super::unescape::unescape;
use crate::budget::Budget;
use crate::document::Document;
use crate::envelope::{Field, Fields, Name, Part, PayloadSpan, longest_unjudged};
use crate::lanes::Lanes;
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
    fields_of(source, body, document, limits).map_err(Fault::into_refusal)
}

fn fields_of<'a>(
    source: &'a [u8],
    body: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<Fields<'a>, Fault> {
    let length = body.len();
    let mut scan = Scan::new(source, body)?;
    let mut fields = Fields::default();
    scan.skip_space();
    if !scan.take(b'{') {
        scan.value(Judge::new(limits, length))?;
        let reason = "the body of a JSON message must be an object";
        return Err(Refusal::new(ErrorCode::NotAMap, reason).into());
    }
    scan.skip_space();
    if scan.take(b'}') {
        scan.end()?;
        return Ok(fields);
    }
    loop {
        let key = scan.lone_key::<Judge<'_>>()?;
        let name = Name::from_bytes(&spelled(&key));
        scan.skip_space();
        let start = scan.position();
        let judge = scan.value(Judge::new(limits, length))?;
        let value = start..scan.position();
        match name {
            Some(Name::Message) => {
                let decoded = if judge.needs_decoding() {
                    Some(decode(source, value.clone(), document, limits)?)
                } else {
                    None
                };
                fields.set_message(PayloadSpan { part: Part::Value(value), document: decoded })?;
            }
            Some(name) if judge.has_containers && Field::is_decoded(name) => {
                let mark = document.mark();
                let root = decode(source, value, document, limits)?;
                fields.set(name, Field::from_nodes(source, document, name, root))?;
                document.truncate(mark);
            }
            Some(name) => fields.set(name, judge.field())?,
            None => fields.pass_over(),
        }
        scan.skip_space();
        if !scan.take(b',') {
            if !scan.take(b'}') {
                return Err(scan.unexpected("\",\" or \"}\""));
            }
            scan.end()?;
            return Ok(fields);
        }
        scan.skip_space();
    }
}

/// Reads a text that is one value, with space around it. It is decoded into `document` only where
/// nothing less can judge it.
///
/// # Errors
/// As for [`read_fields`].
pub(crate) fn lone_value(
    source: &[u8],
    text: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<PayloadSpan, Refusal> {
    let mut read = || {
        let mut scan = Scan::new(source, text.clone())?;
        let Alone(judge) = scan.value(Alone(Judge::new(limits, text.len())))?;
        scan.end()?;
        if !judge.needs_decoding() {
            return Ok(None);
        }
        decode(source, text.clone(), document, limits).map(Some).map_err(Fault::from)
    };
    let decoded = read().map_err(Fault::into_refusal)?;
    Ok(PayloadSpan { part: Part::Value(text), document: decoded })
}

/// Whether a text is one value, with space around it, that is within the limits and that nothing
/// has to be decoded of to judge it. Where it says no, [`lone_value`] finds out.
pub(crate) fn is_plain_value(source: &[u8], text: Range<usize>, limits: &Limits) -> bool {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let spaces = source[text.clone()].iter().take_while(|byte| is_space(byte)).count();
    if !is_usual(source, &text, text.start + spaces, limits) {
        return false;
    }
    let Ok(mut scan) = Scan::new(source, text) else { return false };
    let judged = scan.value(Alone(Validate::default()));
    judged.is_ok_and(|Alone(validate)| validate.is_plain()) && scan.end().is_ok()
}

/// A sink of a text by itself, which is compiled apart: what is called in one place more is inlined
/// in none, and a message in a frame would pay for those without.
struct Alone<S>(S);

impl<'a, S: Events<'a>> Events<'a> for Alone<S> {
    #[inline(always)]
    fn marks(text: Lanes) -> Lanes {
        S::marks(text)
    }

    #[inline(always)]
    fn null(&mut self) -> Result<(), Fault> {
        self.0.null()
    }

    #[inline(always)]
    fn bool(&mut self, truth: bool) -> Result<(), Fault> {
        self.0.bool(truth)
    }

    #[inline(always)]
    fn integer(&mut self, number: &Number<'a>) -> Result<(), Fault> {
        self.0.integer(number)
    }

    #[inline(always)]
    fn float(&mut self, number: &Number<'a>) -> Result<(), Fault> {
        self.0.float(number)
    }

    #[inline(always)]
    fn string(&mut self, text: Str<'a>) -> Result<(), Fault> {
        self.0.string(text)
    }

    #[inline(always)]
    fn key(&mut self, key: Str<'a>) -> Result<(), Fault> {
        self.0.key(key)
    }

    fn deep(&mut self) -> Result<(), Fault> {
        self.0.deep()
    }

    #[inline(always)]
    fn begin(&mut self, bracket: Bracket, is_empty: bool) -> Result<(), Fault> {
        self.0.begin(bracket, is_empty)
    }

    #[inline(always)]
    fn end(&mut self, bracket: Bracket, is_empty: bool) -> Result<(), Fault> {
        self.0.end(bracket, is_empty)
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
    let mut scan = Scan::new(source, text).ok()?.at(start);
    let validate = scan.value(Validate::default()).ok()?;
    validate.is_plain().then(|| scan.position())
}

/// The scan of the value at `start` of a text; `None` where the text is not UTF-8, or where what it
/// decodes to is to be counted.
#[inline(always)]
pub(crate) fn scan_unjudged<'a>(
    source: &'a [u8],
    text: Range<usize>,
    start: usize,
    limits: &Limits,
) -> Option<Scan<'a>> {
    if !is_usual(source, &text, start, limits) {
        return None;
    }
    Scan::new(source, text).ok().map(|scan| scan.at(start))
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

/// What a string says.
fn spelled<'a>(text: &Str<'a>) -> Cow<'a, [u8]> {
    let raw = text.raw.text();
    if !text.is_escaped {
        return raw.into();
    }
    let mut spelled = Vec::new();
    unescape(raw, &mut spelled);
    spelled.into()
}

/// Whether a key, or what it is spelled as, is that of a tag.
#[inline(always)]
pub(crate) fn is_tag(key: Str<'_>) -> bool {
    (key.is_escaped || key.raw.tail().first() == Some(&b'$')) && is_tag_in_full(key)
}

#[cold]
fn is_tag_in_full(key: Str<'_>) -> bool {
    /// A tag has up to ten letters, each six bytes long at most.
    const LONGEST: usize = 60;
    key.raw.len() <= LONGEST && is_tag_name(&spelled(&key))
}

/// A sink that remembers nothing of the values.
#[derive(Default)]
struct Validate {
    has_tag: bool,
    is_deep: bool,
}

impl Validate {
    /// Whether nothing is to be decoded to judge it: no `$` tag, nor brackets too deep for values
    /// that have none.
    fn is_plain(&self) -> bool {
        !self.has_tag && !self.is_deep
    }
}

impl<'a> Events<'a> for Validate {
    #[inline(always)]
    fn key(&mut self, key: Str<'a>) -> Result<(), Fault> {
        if is_tag(key) {
            self.has_tag = true;
        }
        Ok(())
    }

    fn deep(&mut self) -> Result<(), Fault> {
        self.is_deep = true;
        Ok(())
    }
}

/// A sink that counts, and remembers a value where it is a scalar.
struct Judge<'a> {
    budget: Budget,
    validate: Validate,
    /// The value, where it is a scalar; where it is none, whatever its scalars are.
    last: Field<'a>,
    has_containers: bool,
    depth: usize,
}

impl<'a> Judge<'a> {
    fn new(limits: &Limits, length: usize) -> Judge<'a> {
        let last = Field::Other("an object or an array");
        let (budget, validate) = (Budget::new(limits, length), Validate::default());
        Judge { budget, validate, last, has_containers: false, depth: 0 }
    }

    /// Whether there is something that only decoding can judge.
    fn needs_decoding(&self) -> bool {
        !self.validate.is_plain()
    }

    /// The value that was read, where it was a scalar.
    fn field(self) -> Field<'a> {
        if self.has_containers { Field::Other("an object or an array") } else { self.last }
    }
}

impl<'a> Events<'a> for Judge<'a> {
    fn null(&mut self) -> Result<(), Fault> {
        self.last = Field::Other("null");
        Ok(self.budget.node(0)?)
    }

    fn bool(&mut self, truth: bool) -> Result<(), Fault> {
        self.last = Field::Bool(truth);
        Ok(self.budget.node(0)?)
    }

    fn integer(&mut self, number: &Number<'a>) -> Result<(), Fault> {
        self.budget.node(number.raw.len())?;
        if self.depth == 0 {
            let text = str::from_utf8(number.raw.text()).unwrap_or_default();
            self.last = text.parse().map_or(Field::Other("an integer beyond 64 bits"), Field::Int);
        }
        Ok(())
    }

    fn float(&mut self, number: &Number<'a>) -> Result<(), Fault> {
        if self.depth == 0 {
            self.last = Field::Float(number.to_double());
        }
        Ok(self.budget.node(0)?)
    }

    fn string(&mut self, text: Str<'a>) -> Result<(), Fault> {
        self.budget.node(text.raw.len())?;
        if self.depth == 0 {
            self.last = Field::from_utf8(spelled(&text));
        }
        Ok(())
    }

    fn key(&mut self, key: Str<'a>) -> Result<(), Fault> {
        self.validate.key(key)?;
        Ok(self.budget.node(key.raw.len())?)
    }

    fn deep(&mut self) -> Result<(), Fault> {
        self.validate.deep()
    }

    fn begin(&mut self, _: Bracket, _: bool) -> Result<(), Fault> {
        self.has_containers = true;
        self.depth += 1;
        Ok(self.budget.node(0)?)
    }

    fn end(&mut self, _: Bracket, _: bool) -> Result<(), Fault> {
        self.depth -= 1;
        Ok(())
    }
}
