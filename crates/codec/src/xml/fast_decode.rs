//! The usual XML, read straight into the document: typed elements as the broker itself and
//! dicttoxml write them, with no other attribute but the key of an `item`, no reference but in
//! strings, no comment and no namespace.
//!
//! Text that is not surely good is not judged: the answer is `None`, and [`read`](super::read)
//! reads the text from its beginning. Where the answer is a value, it is the one that it would
//! give.

use std::ops::Range;

use super::body::{Body, Root};
use super::chars;
use super::text::push_char;
use super::typed::{self, Scalar, Type};
use crate::budget::Budget;
use crate::document::Document;
use crate::keys::{KeySet, OpenKeys, settle};
use crate::lanes::{LANES, Lanes, at_most, bits, equal, lanes};
use crate::nesting::Outer;
use crate::node::{Node, Size, Text};
use crate::number::parse_decimal;
use crate::protocol::{Limits, MAX_DEPTH, NODE_SIZE};
use crate::swar::{HIGH, ONES, is_same};

/// As many fields a body may have here.
const FEW: usize = 8;

/// Reads `source[range]`, appends its value to `document` and says where it and the message lie;
/// `None` leaves the document as it was.
pub(super) fn read(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
    root: Root,
) -> Option<Body> {
    let mark = document.mark();
    let at = document.len();
    let text = source.get(..range.end)?;
    let mut keys = KeySet::take();
    let reading = Reading { text, source, at: range.start, document, spent: 0, keys: &mut keys };
    let read = reading.run(limits, root);
    keys.keep();
    match read {
        Some(message) => Some(Body { root: at, message, is_readable_to_all: true }),
        None => {
            document.truncate(mark);
            None
        }
    }
}

struct Reading<'a> {
    /// The source as far as the text's end, and all of it: words reach over that end.
    text: &'a [u8],
    source: &'a [u8],
    /// The next byte to be read.
    at: usize,
    document: &'a mut Document,
    /// The cost of the values, to be paid in the end.
    spent: usize,
    keys: &'a mut KeySet,
}

/// An element whose end has not come yet.
#[derive(Clone, Copy)]
struct Open<'a> {
    kind: Kind,
    name: &'a [u8],
    begins: usize,
    node: usize,
    items: u32,
    keys: OpenKeys,
    /// Whether a key may have come twice.
    has_repeated: bool,
}

impl<'a> Open<'a> {
    fn new(kind: Kind, name: &'a [u8], begins: usize, node: usize, keys: OpenKeys) -> Open<'a> {
        Open { kind, name, begins, node, items: 0, keys, has_repeated: false }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// No element: what holds the value.
    Whole,
    Envelope,
    Sequence,
    Dict,
}

/// The names of a body's fields.
#[derive(Default)]
struct Fields<'a> {
    names: [&'a [u8]; FEW],
    count: usize,
}

impl<'a> Fields<'a> {
    /// `None` for a name that was there before, and when there are too many.
    fn add(&mut self, name: &'a [u8]) -> Option<()> {
        if self.names[..self.count].contains(&name) {
            return None;
        }
        *self.names.get_mut(self.count)? = name;
        self.count += 1;
        Some(())
    }
}

impl<'a> Reading<'a> {
    /// Returns where the message of a body lies, if it has one.
    fn run(mut self, limits: &Limits, root: Root) -> Option<Option<Range<usize>>> {
        let mut budget = Budget::new(limits, self.text.len() - self.at);
        let mut fields = Fields::default();
        let mut open = match root {
            Root::Body => self.envelope(&mut fields)?,
            Root::Value => Open::new(Kind::Whole, b"", 0, 0, OpenKeys::default()),
        };
        let mut outer = Outer::new(open);
        let mut message = None;
        let mut depth = 0;
        loop {
            if open.kind != Kind::Whole {
                self.skip_space();
            }
            let begins = self.at;
            self.expect(b"<")?;
            if self.text.get(self.at) == Some(&b'/') {
                self.at = begins;
                self.end_tag(open.name)?;
            } else {
                let name_at = self.at;
                let name = self.name()?;
                let key = match (open.kind, self.text.get(self.at + 1)) {
                    (Kind::Dict, Some(b'k')) => self.key_attribute(name)?,
                    _ => name_at..name_at + name.len(),
                };
                let type_ = self.type_()?;
                let is_empty = self.text.get(self.at) == Some(&b'/');
                self.at += usize::from(is_empty);
                self.expect(b">")?;
                open.items += 1;
                match open.kind {
                    Kind::Dict => {
                        let spelled = self.text.get(key.clone())?;
                        open.has_repeated |= !self.keys.add(&mut open.keys, spelled);
                        self.push_string(key.start, key.len());
                    }
                    Kind::Envelope => {
                        fields.add(name)?;
                        self.push_string(name_at, name.len());
                    }
                    _ => {}
                }
                self.spent += NODE_SIZE;
                let (kind, head) = match type_ {
                    Type::Scalar(scalar) => {
                        let node = self.scalar(scalar, is_empty)?;
                        self.document.push(node);
                        if !is_empty {
                            self.end_tag(name)?;
                        }
                        match open.kind {
                            Kind::Whole => return self.finish(budget, message),
                            Kind::Envelope if name == b"message" => message = Some(begins..self.at),
                            _ => {}
                        }
                        continue;
                    }
                    Type::List => (Kind::Sequence, Node::List(Size::default())),
                    Type::Tuple => (Kind::Sequence, Node::Tuple(Size::default())),
                    Type::Set => (Kind::Sequence, Node::Set(Size::default())),
                    Type::FrozenSet => (Kind::Sequence, Node::FrozenSet(Size::default())),
                    Type::Dict => (Kind::Dict, Node::Dict(Size::default())),
                    Type::Map | Type::Document | Type::Object => return None,
                };
                depth += 1;
                if depth > MAX_DEPTH {
                    return None;
                }
                outer.push(open);
                let keys = self.keys.begin();
                open = Open::new(kind, name, begins, self.document.push(head), keys);
                if !is_empty {
                    continue;
                }
            }
            // A container is complete.
            let Open { kind, name, begins, node, items, keys, has_repeated } = open;
            self.keys.end(keys);
            let nodes = (self.document.len() - node).saturating_sub(1) as u32;
            let size = Size::new(items, nodes);
            match (kind, self.document.nodes_mut().get_mut(node)?) {
                (Kind::Whole, _) => return None,
                (Kind::Envelope, Node::Dict(of)) => {
                    *of = size;
                    return self.finish(budget, message);
                }
                (Kind::Sequence, Node::List(of) | Node::Tuple(of)) => *of = size,
                (Kind::Dict, Node::Dict(of)) if !has_repeated => {
                    *of = Size::of_fields(items, nodes);
                }
                _ => settle(self.document, self.source, node, &mut budget).ok()?,
            }
            depth -= 1;
            open = outer.pop()?;
            match open.kind {
                Kind::Whole => return self.finish(budget, message),
                Kind::Envelope if name == b"message" => message = Some(begins..self.at),
                _ => {}
            }
        }
    }

    /// Nothing but space may follow.
    fn finish(
        mut self,
        mut budget: Budget,
        message: Option<Range<usize>>,
    ) -> Option<Option<Range<usize>>> {
        self.skip_space();
        budget.bytes(self.spent).ok()?;
        (self.at == self.text.len()).then_some(message)
    }

    /// The start tag of a body, whose attributes are fields.
    fn envelope(&mut self, fields: &mut Fields<'a>) -> Option<Open<'a>> {
        let (begins, node) = (self.at, self.document.len());
        self.expect(b"<")?;
        let name = self.name()?;
        self.spent += NODE_SIZE;
        self.document.push(Node::Dict(Size::default()));
        let mut items = 0;
        while self.text.get(self.at) == Some(&b' ') {
            self.at += 1;
            let name_at = self.at;
            let attribute = self.name()?;
            fields.add(attribute)?;
            self.push_string(name_at, attribute.len());
            self.expect(b"=\"")?;
            let start = self.at;
            let rest = self.text.get(start..)?;
            let length = memchr::memchr(b'"', rest)?;
            let value = &rest[..length];
            if value.iter().any(|byte| matches!(byte, 0..b' ' | b'<' | b'&' | 0x80..)) {
                return None;
            }
            self.at = start + length + 1;
            self.push_string(start, length);
            items += 1;
        }
        self.expect(b">")?;
        let open = Open::new(Kind::Envelope, name, begins, node, OpenKeys::default());
        Some(Open { items, ..open })
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        while self.text.get(self.at).is_some_and(|&byte| chars::is_space(byte)) {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn expect<const N: usize>(&mut self, wanted: &[u8; N]) -> Option<()> {
        let found = self.text.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        (found == wanted).then_some(())
    }

    /// A name in ASCII, without a colon.
    #[inline(always)]
    fn name(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..)?;
        let length = chars::plain_name_length(rest)?;
        self.at += length;
        Some(&rest[..length])
    }

    #[inline(always)]
    fn push_string(&mut self, start: usize, length: usize) {
        self.spent += NODE_SIZE + length;
        self.document.push(Node::Str(Text::in_source(start..start + length)));
    }

    /// Where the key lies of an entry that is no element's name: `<item key="…"`, spelled without
    /// references and line ends.
    #[inline(never)]
    fn key_attribute(&mut self, name: &[u8]) -> Option<Range<usize>> {
        self.expect(b" key=\"")?;
        let start = self.at;
        let rest = self.text.get(start..)?;
        let key = &rest[..memchr::memchr(b'"', rest)?];
        let is_literal = !key.iter().any(|byte| matches!(byte, 0..b' ' | b'<' | b'&'));
        if name != b"item" || !is_literal || !key.is_ascii() && !is_fit(key) {
            return None;
        }
        self.at = start + key.len() + 1;
        Some(start..start + key.len())
    }

    /// The attribute `type`, with the space before it and its closing quote.
    #[inline(always)]
    fn type_(&mut self) -> Option<Type> {
        const ATTRIBUTE: u64 = word(b" type=\"");
        let [a, b, c, d, e, f, g, value @ ..] = *self.text.get(self.at..)?.first_chunk::<15>()?;
        if u64::from_le_bytes([a, b, c, d, e, f, g, 0]) != ATTRIBUTE {
            return None;
        }
        let value = u64::from_le_bytes(value);
        let quotes = value ^ (ONES * u64::from(b'"'));
        let quotes = quotes.wrapping_sub(ONES) & !quotes & HIGH;
        if quotes == 0 {
            return self.long_type();
        }
        // The lowest mark is exact.
        let lowest = quotes & quotes.wrapping_neg();
        let length = lowest.trailing_zeros() as usize / 8;
        self.at += 8 + length;
        // The quote stands for the length.
        let value = value & (lowest << 1).wrapping_sub(1);
        const STR: u64 = word(b"str\"");
        const INT: u64 = word(b"int\"");
        const FLOAT: u64 = word(b"float\"");
        const BOOL: u64 = word(b"bool\"");
        const NULL: u64 = word(b"null\"");
        const DICT: u64 = word(b"dict\"");
        const LIST: u64 = word(b"list\"");
        Some(match value {
            STR => Type::Scalar(Scalar::Str),
            INT => Type::Scalar(Scalar::Int),
            FLOAT => Type::Scalar(Scalar::Float),
            BOOL => Type::Scalar(Scalar::Bool),
            NULL => Type::Scalar(Scalar::Null),
            DICT => Type::Dict,
            LIST => Type::List,
            other => Type::named(&other.to_le_bytes()[..length])?,
        })
    }

    /// The same for a type of many letters.
    #[cold]
    fn long_type(&mut self) -> Option<Type> {
        self.expect(b" type=\"")?;
        let rest = self.text.get(self.at..)?;
        let length = rest.iter().take(10).position(|&byte| byte == b'"')?;
        self.at += length + 1;
        Type::named(&rest[..length])
    }

    #[inline(always)]
    fn end_tag(&mut self, name: &[u8]) -> Option<()> {
        self.expect(b"</")?;
        let end = self.at + name.len();
        if !is_same(self.text.get(self.at..end)?, name) {
            return None;
        }
        self.at = end;
        self.expect(b">")
    }

    /// The value that the text up to the next `<` spells.
    #[inline(always)]
    fn scalar(&mut self, scalar: Scalar, is_empty: bool) -> Option<Node> {
        let start = self.at;
        let end = if is_empty { start } else { self.text_end(start)? };
        self.at = end;
        if !is_empty && self.text[end] == b'&' {
            return if scalar == Scalar::Str { self.string_with_references(start) } else { None };
        }
        let text = &self.text[start..end];
        Some(match scalar {
            Scalar::Str => {
                self.spent += text.len();
                Node::Str(Text::in_source(start..end))
            }
            Scalar::Int => Node::Int(small_int(text)?),
            Scalar::Float => {
                let is_decimal = text
                    .iter()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E'));
                Node::Float(parse_decimal(text).filter(|number| is_decimal && number.is_finite())?)
            }
            Scalar::Bool => match text {
                b"true" => Node::Bool(true),
                b"false" => Node::Bool(false),
                _ => return None,
            },
            Scalar::Null if text.is_empty() => Node::None,
            Scalar::Bytes => {
                let bytes = typed::base64(text, self.document)?;
                self.spent += bytes.len();
                Node::Bytes(bytes)
            }
            Scalar::Typed(of) => {
                let spelled = self.document.own_text(|own| of.write_canonical(text, own)).ok()?;
                self.spent += spelled.len();
                Node::Typed(of, spelled)
            }
            Scalar::Null | Scalar::EncodedStr | Scalar::Ndarray => return None,
        })
    }

    /// A string in which references stand for characters.
    #[inline(never)]
    fn string_with_references(&mut self, start: usize) -> Option<Node> {
        let rest = &self.text[start..];
        let raw = &rest[..memchr::memchr(b'<', rest)?];
        if !is_fit(raw) || memchr::memchr2(b'>', b'\r', raw).is_some() {
            return None;
        }
        let text = self.document.own_text(|own| {
            let mut rest = raw;
            while let Some(ampersand) = memchr::memchr(b'&', rest) {
                own.extend_from_slice(&rest[..ampersand]);
                rest = &rest[ampersand + 1..];
                let semicolon = memchr::memchr(b';', rest).ok_or(())?;
                push_char(chars::reference(&rest[..semicolon], 0).map_err(drop)?, own);
                rest = &rest[semicolon + 1..];
            }
            own.extend_from_slice(rest);
            Ok::<(), ()>(())
        });
        let text = text.ok()?;
        self.at = start + raw.len();
        self.spent += text.len();
        Some(Node::Str(text))
    }

    /// Where the `<` lies that ends the text from `start`, or the first `&` in it; all before it
    /// stands for itself.
    #[inline(always)]
    fn text_end(&self, start: usize) -> Option<usize> {
        let mut end = start;
        let mut seen = 0;
        loop {
            // A text in the last bytes of the source is left to the other reader.
            let text = lanes(self.source.get(end..)?.first_chunk()?);
            let stops =
                bits(equal(text | Lanes::splat(2), b'>') | equal(text, b'&') | at_most(text, 0x1f));
            if stops == 0 {
                seen |= bits(text);
                end += LANES;
                continue;
            }
            seen |= bits(text) & (stops ^ (stops - 1));
            end += stops.trailing_zeros() as usize;
            match self.text.get(end)? {
                b'<' | b'&' => break,
                b'\n' | b'\t' => end += 1,
                _ => return None,
            }
        }
        let is_fit = seen == 0 || is_fit(&self.text[start..end]);
        is_fit.then_some(end)
    }
}

/// Up to eight bytes as a number.
const fn word(text: &[u8]) -> u64 {
    let (mut word, mut at) = (0, 0);
    while at < text.len() {
        word |= (text[at] as u64) << (8 * at);
        at += 1;
    }
    word
}

/// Whether text that is not ASCII is UTF-8, with no character that XML forbids.
fn is_fit(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok() && chars::first_forbidden(text).is_none()
}

/// An integer of up to 18 digits, which cannot overflow 64 bits.
#[inline(always)]
fn small_int(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut number = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(digit - b'0');
    }
    Some(if digits.len() < text.len() { -number } else { number })
}
