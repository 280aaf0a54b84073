//! A document to JSON: what `json.dumps` writes, and `$` tags for what JSON cannot say.

use std::collections::HashSet;

use super::grammar::literal_prefix;
use super::size::size;
use crate::document::View;
use crate::nesting::Outer;
use crate::node::Node;
use crate::number::{put_float, put_int, write_float, write_int};
use crate::out_buf::{OutBuf, Stop, fill, room};
use crate::span::Span;
use crate::swar::{every_word, has_neither, is_free_of, push, stops};

/// Appends a value. With `exact`, everything that JSON cannot tell apart is tagged; without, tuples
/// are arrays, frozensets are sets, and keys are spelled as `json.dumps` spells them.
///
/// The text has no spaces, and non-ASCII characters stand for themselves.
pub fn encode(view: View<'_>, exact: bool, out: &mut Vec<u8>) {
    write(view, exact, exact, out);
}

/// Appends a value as a producer publishes it: exactly, but an int of any size as a number. It
/// takes no tag for the broker to read it, and consumers who get the published bytes find what they
/// would from a pickle.
pub fn encode_published(view: View<'_>, out: &mut Vec<u8>) {
    write(view, true, false, out);
}

fn write(view: View<'_>, exact: bool, tag_wide_ints: bool, out: &mut Vec<u8>) {
    // A number takes up to 24 bytes, and most nodes less; control characters take more than they
    // weigh.
    let guess = room(view.nodes().len(), view.nodes().len() * 8 + view.text_size() + 64, || {
        size::<false>(view, exact)
    });
    fill(out, guess, |page| put_value(view, exact, tag_wide_ints, page));
}

/// The same as [`encode`] on a page.
pub(crate) fn put<'p>(view: View<'_>, exact: bool, page: OutBuf<'p>) -> Result<OutBuf<'p>, Stop> {
    put_value(view, exact, exact, page)
}

fn put_value<'p>(
    view: View<'_>,
    exact: bool,
    tag_wide_ints: bool,
    mut page: OutBuf<'p>,
) -> Result<OutBuf<'p>, Stop> {
    let nodes = view.nodes();
    let mut open = Open { style: Style::Whole, missing: 1 };
    let mut outer = Outer::new(open);
    let mut at = 0;
    while let Some(&node) = nodes.get(at) {
        let mut node = node;
        let mut index = at;
        match open.style {
            Style::Object => {
                match node {
                    Node::Str(text) => put_string(&mut page, view.span(text), b"", b"\":")?,
                    key => page.aside(|page| put_other_key(view, key, page))?,
                }
                index += 1;
                node = *nodes.get(index).ok_or(Stop::Unusual)?;
            }
            Style::Pairs if open.missing.is_multiple_of(2) => page.put(b"[")?,
            _ => {}
        }
        at = index + 1;
        let (style, missing) = match node {
            Node::Str(text) => {
                put_string(&mut page, view.span(text), b"", b"\"")?;
                (Style::Whole, 0)
            }
            Node::Int(number) => {
                put_int(&mut page, number)?;
                (Style::Whole, 0)
            }
            Node::Float(number) if number.is_finite() => {
                put_float(&mut page, number)?;
                (Style::Whole, 0)
            }
            Node::Bool(truth) => {
                page.part(if truth { b"true\0" } else { b"false" }, if truth { 4 } else { 5 })?;
                (Style::Whole, 0)
            }
            Node::List(size) => (Style::Array, size.items),
            Node::Tuple(size) => (if exact { Style::Tuple } else { Style::Array }, size.items),
            Node::FrozenSet(size) if exact => (Style::FrozenSet, size.items),
            Node::Set(size) | Node::FrozenSet(size) => (Style::Set, size.items),
            Node::Dict(size) if is_object(&view, index, exact) => (Style::Object, size.items),
            Node::Dict(size) => (Style::Pairs, size.items * 2),
            scalar => {
                page.aside(|page| put_scalar(view, scalar, tag_wide_ints, page))?;
                (Style::Whole, 0)
            }
        };
        if style != Style::Whole {
            let (opening, length) = style.opening();
            page.part(opening, length)?;
            if missing > 0 {
                outer.push(open);
                open = Open { style, missing };
                continue;
            }
            let (closing, length) = style.closing();
            page.part(closing, length)?;
        }
        // A value is complete, and perhaps the containers around it.
        loop {
            open.missing -= 1;
            if open.missing > 0 {
                if open.style == Style::Pairs && open.missing.is_multiple_of(2) {
                    page.put(b"]")?;
                }
                page.put(b",")?;
                break;
            }
            let (closing, length) = open.style.closing();
            page.part(closing, length)?;
            let Some(around) = outer.pop() else { return Ok(page) };
            open = around;
        }
    }
    Ok(page)
}

/// A container that is being written.
#[derive(Clone, Copy)]
struct Open {
    style: Style,
    /// Children still to come; of an object, entries; of pairs, keys and values.
    missing: u32,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Style {
    /// No container: the value itself.
    Whole,
    Array,
    Tuple,
    Set,
    FrozenSet,
    /// `{"key":value}`
    Object,
    /// `{"$dict":[[key,value]]}`
    Pairs,
}

impl Style {
    /// How its text begins: so many of these bytes.
    #[inline(always)]
    pub(super) fn opening(self) -> (&'static [u8; 16], usize) {
        match self {
            Style::Whole => (b"                ", 0),
            Style::Array => (b"[               ", 1),
            Style::Object => (b"{               ", 1),
            Style::Tuple => (b"{\"$tuple\":[     ", 11),
            Style::Set => (b"{\"$set\":[       ", 9),
            Style::FrozenSet => (b"{\"$frozenset\":[ ", 15),
            Style::Pairs => (b"{\"$dict\":[      ", 10),
        }
    }

    /// How it ends.
    #[inline(always)]
    pub(super) fn closing(self) -> (&'static [u8; 4], usize) {
        match self {
            Style::Whole => (b"    ", 0),
            Style::Array => (b"]   ", 1),
            Style::Object => (b"}   ", 1),
            Style::Tuple | Style::Set | Style::FrozenSet => (b"]}  ", 2),
            // There is at least one: a dict without entries is an object.
            Style::Pairs => (b"]]} ", 3),
        }
    }
}

/// How the value at `index` is written.
pub(super) fn style_of(view: &View<'_>, index: usize, node: Node, exact: bool) -> Style {
    match node {
        Node::List(_) => Style::Array,
        Node::Tuple(_) => {
            if exact {
                Style::Tuple
            } else {
                Style::Array
            }
        }
        Node::FrozenSet(_) if exact => Style::FrozenSet,
        Node::Set(_) | Node::FrozenSet(_) => Style::Set,
        Node::Dict(_) if is_object(view, index, exact) => Style::Object,
        Node::Dict(_) => Style::Pairs,
        _ => Style::Whole,
    }
}

/// Whether the dict at `index` can be a JSON object without pretending to be something else.
fn is_object(view: &View<'_>, index: usize, exact: bool) -> bool {
    let Node::Dict(size) = view.nodes()[index] else { return false };
    let mut all_strings = true;
    let mut at = index + 1;
    let end = at + size.nodes as usize;
    while at < end {
        match view.nodes()[at] {
            Node::Str(key) if size.items == 1 && view.text(key).starts_with(b"$") => return false,
            Node::Str(_) => {}
            Node::None | Node::Bool(_) | Node::Int(_) | Node::BigInt(_) | Node::Float(_)
                if !exact =>
            {
                all_strings = false;
            }
            _ => return false,
        }
        at += view.nodes()[at].nodes();
        at += view.nodes()[at].nodes();
    }
    all_strings || no_two_keys_meet(view, index + 1, end)
}

/// Whether keys that differ in Python (`1` and `"1"`) still do when they are spelled as strings.
fn no_two_keys_meet(view: &View<'_>, start: usize, end: usize) -> bool {
    // Numbers, booleans and None that differ are spelled differently, each from the others; only a
    // nan equals nothing.
    let may_meet = |key: Node| {
        matches!(key, Node::Str(_)) || matches!(key, Node::Float(number) if number.is_nan())
    };
    let mut at = start;
    while at < end && !may_meet(view.nodes()[at]) {
        at += view.nodes()[at].nodes();
        at += view.nodes()[at].nodes();
    }
    if at >= end {
        return true;
    }
    let mut seen = HashSet::new();
    let mut at = start;
    while at < end {
        let mut spelled = Vec::new();
        spell_key(view, view.nodes()[at], &mut spelled);
        if !seen.insert(spelled) {
            return false;
        }
        at += view.nodes()[at].nodes();
        at += view.nodes()[at].nodes();
    }
    true
}

/// A string between quotes, `before` in front of it; the closing quote is the first byte of
/// `after`.
#[inline(always)]
fn put_string<const B: usize, const A: usize>(
    page: &mut OutBuf<'_>,
    text: Span<'_>,
    before: &[u8; B],
    after: &[u8; A],
) -> Result<(), Stop> {
    if text.len() <= 16
        && let bytes = text.sixteen()
        && text.has_no(bytes, |word| stops(word, b'"', b'\\'))
    {
        return page.with(|place: &mut [u8; 24]| {
            let start = B + 1;
            place[..B].copy_from_slice(before);
            place[B] = b'"';
            place[start..start + 16].copy_from_slice(&bytes);
            place[start + text.len()..start + text.len() + A].copy_from_slice(after);
            start + text.len() + A
        });
    }
    page.put(before)?;
    page.aside(|page| put_text(text.text(), page))?;
    // Its closing quote is written.
    page.slice(&after[1..])
}

/// A string of any length in its quotes.
#[inline(never)]
pub(crate) fn put_text<'p>(text: &[u8], mut page: OutBuf<'p>) -> Result<OutBuf<'p>, Stop> {
    if is_free_of(text, |word| stops(word, b'"', b'\\')) {
        page.put(b"\"")?;
        page.slice(text)?;
        page.put(b"\"")?;
    } else {
        page = put_escaped(text, page)?;
    }
    Ok(page)
}

/// How a byte is escaped, and in how many bytes; in none where it is not.
const ESCAPES: [([u8; 8], usize); 0x5d] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut escapes = [([0; 8], 0); 0x5d];
    let mut control = 0;
    while control < 0x20 {
        let digits = (HEX[control >> 4], HEX[control & 15]);
        escapes[control] = ([b'\\', b'u', b'0', b'0', digits.0, digits.1, 0, 0], 6);
        control += 1;
    }
    let (bytes, letters) = (b"\"\\\n\r\t\x08\x0c", b"\"\\nrtbf");
    let mut short = 0;
    while short < bytes.len() {
        escapes[bytes[short] as usize] = ([b'\\', letters[short], 0, 0, 0, 0, 0, 0], 2);
        short += 1;
    }
    escapes
};

/// A string with escapes in its quotes.
#[cold]
fn put_escaped<'p>(text: &[u8], mut page: OutBuf<'p>) -> Result<OutBuf<'p>, Stop> {
    page.put(b"\"")?;
    let mut rest = text;
    loop {
        let literal = literal_prefix(rest);
        page.slice(&rest[..literal])?;
        rest = &rest[literal..];
        // Escapes come in runs.
        while let Some((&byte, after)) = rest.split_first()
            && let Some(&(escape, length)) = ESCAPES.get(usize::from(byte))
            && length > 0
        {
            page.part(&escape, length)?;
            rest = after;
        }
        if rest.is_empty() {
            break;
        }
    }
    page.put(b"\"")?;
    Ok(page)
}

/// A key that is no string, and its colon.
#[cold]
fn put_other_key<'p>(view: View<'_>, key: Node, mut page: OutBuf<'p>) -> Result<OutBuf<'p>, Stop> {
    let mut spelled = Vec::with_capacity(64);
    spell_key(&view, key, &mut spelled);
    page.slice(&spelled)?;
    page.put(b":")?;
    Ok(page)
}

/// A scalar that is met less often.
#[inline(never)]
fn put_scalar<'p>(
    view: View<'_>,
    scalar: Node,
    tag_wide_ints: bool,
    mut page: OutBuf<'p>,
) -> Result<OutBuf<'p>, Stop> {
    if scalar == Node::None {
        page.put(b"null")?;
        return Ok(page);
    }
    if let Node::Bytes(bytes) = scalar {
        page.put(b"{\"$bytes\":\"")?;
        page.aside(|page| page.base64(view.text(bytes)))?;
        page.put(b"\"}")?;
        return Ok(page);
    }
    let mut spelled = Vec::with_capacity(64);
    write_scalar(&view, scalar, tag_wide_ints, &mut spelled);
    page.slice(&spelled)?;
    Ok(page)
}

/// A key as `json.dumps` spells it.
#[inline]
pub(super) fn spell_key(view: &View<'_>, key: Node, out: &mut Vec<u8>) {
    match key {
        Node::Str(text) => write_str(view.text(text), out),
        scalar => {
            out.push(b'"');
            match scalar {
                Node::Float(number) if number.is_nan() => out.extend_from_slice(b"NaN"),
                Node::Float(number) if number.is_infinite() => {
                    out.extend_from_slice(if number > 0.0 { b"Infinity" } else { b"-Infinity" });
                }
                Node::BigInt(digits) => out.extend_from_slice(view.text(digits)),
                other => write_scalar(view, other, false, out),
            }
            out.push(b'"');
        }
    }
}

fn write_scalar(view: &View<'_>, scalar: Node, tag_wide_ints: bool, out: &mut Vec<u8>) {
    match scalar {
        Node::Bool(true) => out.extend_from_slice(b"true"),
        Node::Bool(false) => out.extend_from_slice(b"false"),
        Node::Int(number) => write_int(number, out),
        Node::BigInt(digits) if tag_wide_ints => {
            out.extend_from_slice(b"{\"$int\":\"");
            out.extend_from_slice(view.text(digits));
            out.extend_from_slice(b"\"}");
        }
        Node::BigInt(digits) => out.extend_from_slice(view.text(digits)),
        Node::Float(number) if number.is_nan() => out.extend_from_slice(b"{\"$float\":\"nan\"}"),
        Node::Float(number) if number.is_infinite() => {
            out.extend_from_slice(if number > 0.0 {
                b"{\"$float\":\"inf\"}"
            } else {
                b"{\"$float\":\"-inf\"}"
            });
        }
        Node::Float(number) => write_float(number, out),
        Node::Str(text) => write_str(view.text(text), out),
        _ => out.extend_from_slice(b"null"),
    }
}

/// Appends a string in its quotes.
#[inline(always)]
pub fn write_str(text: &[u8], out: &mut Vec<u8>) {
    if every_word(text, |word| has_neither(word, b'"', b'\\')) {
        out.push(b'"');
        push(text, out);
        out.push(b'"');
    } else {
        fill(out, 2 * text.len(), |page| put_escaped(text, page));
    }
}
