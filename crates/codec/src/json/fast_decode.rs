//! The usual JSON, read straight into the document: one loop, and no word about what is wrong.
//!
//! Text that is not surely good (malformed text, halves of surrogate pairs, `$` tags, unusual
//! depth) is not judged: the answer is `None`, and the [grammar](super::grammar) reads the text
//! from its beginning. Where the answer is a value, it is the one that the grammar and its builder
//! would give.

use std::ops::Range;

use super::grammar::literal_prefix;
use super::unescape::unescape;
use crate::budget::Budget;
use crate::document::Document;
use crate::keys::settle;
use crate::nesting::Outer;
use crate::node::{Node, Size, Text};
use crate::number::{parse_decimal, parse_int};
use crate::protocol::{Limits, MAX_DEPTH, NODE_SIZE};
use crate::swar::{HIGH, stops};

/// Reads the JSON text in `source[range]`, appends its value to `document` and returns the index of
/// its root; `None` leaves the text to the grammar, and the document as it was.
pub(super) fn read(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Option<usize> {
    let mark = document.mark();
    let root = document.len();
    let read = read_value(source, range, document, limits);
    if read.is_none() {
        document.truncate(mark);
    }
    read.map(|()| root)
}

/// A container whose end has not come yet.
#[derive(Clone, Copy)]
struct Open {
    kind: Kind,
    at: u32,
    items: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// No container: the text itself.
    Whole,
    Object,
    Array,
}

/// As [`read`], but after `None` the document holds a part of the value.
fn read_value(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Option<()> {
    let text = source.get(..range.end)?;
    let mut at = range.start;
    let mut budget = Budget::new(limits, range.len());
    // The cost of the values, to be paid in the end.
    let mut spent = 0;
    let mut open = Open { kind: Kind::Whole, at: 0, items: 0 };
    let mut outer = Outer::new(open);
    let mut depth = 0;
    loop {
        // A value.
        open.items += 1;
        spent += NODE_SIZE;
        match after_space(text, &mut at)? {
            b'"' => {
                let (string, _) = string(source, text, &mut at, document, &mut spent)?;
                document.push(Node::Str(string));
            }
            b'-' | b'0'..=b'9' => {
                let node = number(text, &mut at, document, &mut spent)?;
                document.push(node);
            }
            bracket @ (b'{' | b'[') => {
                at += 1;
                depth += 1;
                if depth > MAX_DEPTH {
                    return None;
                }
                outer.push(open);
                let (kind, node, closing) = match bracket {
                    b'{' => (Kind::Object, Node::Dict(Size::default()), b'}'),
                    _ => (Kind::Array, Node::List(Size::default()), b']'),
                };
                open = Open { kind, at: document.push(node) as u32, items: 0 };
                if after_space(text, &mut at)? != closing {
                    if kind == Kind::Object {
                        key(source, text, &mut at, document, &mut spent)?;
                    }
                    continue;
                }
            }
            b't' => word(text, &mut at, b"true", Node::Bool(true), document)?,
            b'f' => word(text, &mut at, b"false", Node::Bool(false), document)?,
            b'n' => word(text, &mut at, b"null", Node::None, document)?,
            _ => return None,
        }
        // What follows it.
        loop {
            if open.kind == Kind::Whole {
                let rest = &text[at..];
                budget.bytes(spent).ok()?;
                return rest
                    .iter()
                    .all(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
                    .then_some(());
            }
            let follows = after_space(text, &mut at)?;
            at += 1;
            if follows == b',' {
                if open.kind == Kind::Object {
                    after_space(text, &mut at)?;
                    key(source, text, &mut at, document, &mut spent)?;
                }
                break;
            }
            match (follows, open.kind) {
                (b'}', Kind::Object) => {
                    settle(document, source, open.at as usize, &mut budget).ok()?
                }
                (b']', Kind::Array) => {
                    let nodes = document.len() as u32 - open.at - 1;
                    document.nodes_mut()[open.at as usize] =
                        Node::List(Size { items: open.items, nodes });
                }
                _ => return None,
            }
            depth -= 1;
            open = outer.pop()?;
        }
    }
}

/// The next byte that is no space; it stays to be read.
#[inline(always)]
fn after_space(text: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        match *text.get(*at)? {
            b' ' | b'\n' | b'\r' | b'\t' => *at += 1,
            byte => return Some(byte),
        }
    }
}

#[inline(always)]
fn word(
    text: &[u8],
    at: &mut usize,
    word: &[u8],
    node: Node,
    document: &mut Document,
) -> Option<()> {
    if !text[*at..].starts_with(word) {
        return None;
    }
    *at += word.len();
    document.push(node);
    Some(())
}

/// A key and its colon. A key that may be that of a `$` tag is left to the grammar.
#[inline(always)]
fn key(
    source: &[u8],
    text: &[u8],
    at: &mut usize,
    document: &mut Document,
    spent: &mut usize,
) -> Option<()> {
    let Some([b'"', first]) = text.get(*at..).and_then(<[u8]>::first_chunk) else { return None };
    let is_dollar = *first == b'$';
    let (key, is_escaped) = string(source, text, at, document, spent)?;
    if is_dollar || is_escaped || after_space(text, at)? != b':' {
        return None;
    }
    *at += 1;
    *spent += NODE_SIZE;
    document.push(Node::Str(key));
    Some(())
}

/// A string, at its opening quote, and whether it holds escapes.
#[inline(always)]
fn string(
    source: &[u8],
    text: &[u8],
    at: &mut usize,
    document: &mut Document,
    spent: &mut usize,
) -> Option<(Text, bool)> {
    let start = *at + 1;
    let mut end = start;
    let mut seen = 0;
    // Words reach over the text's end, as far as there is more of the source.
    while let Some(word) = source.get(end..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        let stops = stops(word, b'"', b'\\');
        if stops == 0 {
            seen |= word;
            end += 8;
            continue;
        }
        // The lowest mark is exact; only marks above a true one can be false.
        end += stops.trailing_zeros() as usize / 8;
        seen |= word & ((stops & stops.wrapping_neg()) - 1);
        if text.get(end) == Some(&b'"')
            && (seen & HIGH == 0 || str::from_utf8(&text[start..end]).is_ok())
        {
            *at = end + 1;
            *spent += end - start;
            return Some((Text::in_source(start..end), false));
        }
        break;
    }
    let (end, text, is_escaped) = unusual_string(text, start, document)?;
    *at = end + 1;
    *spent += end - start;
    Some((text, is_escaped))
}

/// A string that holds escapes, or ends near the end of the source; and its end.
#[inline(never)]
fn unusual_string(
    text: &[u8],
    start: usize,
    document: &mut Document,
) -> Option<(usize, Text, bool)> {
    let mut at = start;
    let mut is_escaped = false;
    loop {
        at += literal_prefix(text.get(at..)?);
        match text.get(at)? {
            b'"' => break,
            b'\\' => {
                is_escaped = true;
                at += match text.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                    b'u' => {
                        let digits = text.get(at + 2..at + 6)?;
                        let is_surrogate = digits[0] | 0x20 == b'd' && digits[1] >= b'8';
                        if is_surrogate || !digits.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        6
                    }
                    _ => return None,
                };
            }
            _ => return None,
        }
    }
    let raw = &text[start..at];
    str::from_utf8(raw).ok()?;
    let spelled = match is_escaped {
        true => document.append_text(|own| unescape(raw, own)),
        false => Text::in_source(start..at),
    };
    Some((at, spelled, is_escaped))
}

#[inline(always)]
fn number(text: &[u8], at: &mut usize, document: &mut Document, spent: &mut usize) -> Option<Node> {
    let start = *at;
    let negative = text[start] == b'-';
    let first = start + usize::from(negative);
    let mut end = first;
    let mut magnitude: i64 = 0;
    while let Some(digit @ b'0'..=b'9') = text.get(end) {
        magnitude = magnitude.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
        end += 1;
    }
    let digits = end - first;
    if digits == 0 || digits > 1 && text[first] == b'0' {
        return None;
    }
    if let Some(b'.' | b'e' | b'E') = text.get(end) {
        let (end, number) = float(text, start, end)?;
        *at = end;
        return Some(Node::Float(number));
    }
    *at = end;
    *spent += end - start;
    // 18 digits cannot overflow 64 bits.
    if digits <= 18 {
        return Some(Node::Int(if negative { -magnitude } else { magnitude }));
    }
    parse_int(&text[start..end], Text::in_source(start..end), document).ok()
}

/// A number whose integer part ends at `at`; and its end.
fn float(text: &[u8], start: usize, mut at: usize) -> Option<(usize, f64)> {
    if text[at] == b'.' {
        at = skip_digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = skip_digits(text, at)?;
    }
    let number = parse_decimal(&text[start..at])?;
    number.is_finite().then_some((at, number))
}

/// Where the digits end that begin at `at`; there is at least one.
#[inline]
fn skip_digits(text: &[u8], at: usize) -> Option<usize> {
    let digits = text.get(at..)?;
    let length = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    (length > 0).then_some(at + length)
}
