//! A document to JSON: what `json.dumps` writes, and `$` tags for what JSON cannot say.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::grammar::literal_prefix;
use crate::codec::document::{Node, View};
use crate::codec::number::write_float;

/// Appends a value. With `exact`, everything that JSON cannot tell apart is tagged; without, tuples are arrays,
/// frozensets are sets, and keys are spelled as `json.dumps` spells them.
///
/// The text has no spaces, and non-ASCII characters stand for themselves.
pub fn encode(view: View<'_>, exact: bool, out: &mut Vec<u8>) {
    write(view, exact, exact, out);
}

/// Appends a value as a producer publishes it: exactly, but an int of any size as a number. It takes no tag for the
/// broker to read it, and consumers who get the published bytes find what they would from a pickle.
pub fn encode_published(view: View<'_>, out: &mut Vec<u8>) {
    write(view, true, false, out);
}

fn write(view: View<'_>, exact: bool, tag_wide_ints: bool, out: &mut Vec<u8>) {
    let nodes = view.nodes();
    let mut open: Vec<Open> = Vec::new();
    for (index, &node) in nodes.iter().enumerate() {
        if let Some(parent) = open.last()
            && parent.begins(out)
        {
            write_key(&view, node, out);
            complete(&mut open, out);
            continue;
        }
        let container = match node {
            Node::List(size) => Some(Open::array(b"[", b"]", size.items, out)),
            Node::Tuple(size) if exact => Some(Open::array(b"{\"$tuple\":[", b"]}", size.items, out)),
            Node::Tuple(size) => Some(Open::array(b"[", b"]", size.items, out)),
            Node::FrozenSet(size) if exact => Some(Open::array(b"{\"$frozenset\":[", b"]}", size.items, out)),
            Node::Set(size) | Node::FrozenSet(size) => {
                Some(Open::array(b"{\"$set\":[", b"]}", size.items, out))
            }
            Node::Dict(size) if is_object(&view, index, exact) => Some(Open::object(size.items, out)),
            Node::Dict(size) => Some(Open::pairs(size.items, out)),
            scalar => {
                write_scalar(&view, scalar, tag_wide_ints, out);
                None
            }
        };
        match container {
            Some(container) if container.missing > 0 => open.push(container),
            Some(empty) => {
                out.extend_from_slice(empty.closing);
                complete(&mut open, out);
            }
            None => complete(&mut open, out),
        }
    }
}

/// A container that is being written.
struct Open {
    style: Style,
    /// Children still to come; of a dict, keys and values.
    missing: u32,
    first: bool,
    closing: &'static [u8],
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Array,
    /// `{"key":value}`
    Object,
    /// `{"$dict":[[key,value]]}`
    Pairs,
}

impl Open {
    fn array(opening: &[u8], closing: &'static [u8], items: u32, out: &mut Vec<u8>) -> Open {
        out.extend_from_slice(opening);
        Open { style: Style::Array, missing: items, first: true, closing }
    }

    fn object(items: u32, out: &mut Vec<u8>) -> Open {
        out.push(b'{');
        Open { style: Style::Object, missing: items * 2, first: true, closing: b"}" }
    }

    fn pairs(items: u32, out: &mut Vec<u8>) -> Open {
        out.extend_from_slice(b"{\"$dict\":[");
        Open { style: Style::Pairs, missing: items * 2, first: true, closing: b"]}" }
    }

    /// Writes what stands before the next child, and says whether that child is an object's key.
    fn begins(&self, out: &mut Vec<u8>) -> bool {
        let is_key = self.missing.is_multiple_of(2);
        match self.style {
            Style::Object | Style::Pairs if !is_key => {
                out.push(if self.style == Style::Object { b':' } else { b',' });
                return false;
            }
            _ if !self.first => out.push(b','),
            _ => {}
        }
        if self.style == Style::Pairs {
            out.push(b'[');
        }
        self.style == Style::Object
    }
}

/// One child of the innermost container is complete, and perhaps that container with it.
fn complete(open: &mut Vec<Open>, out: &mut Vec<u8>) {
    while let Some(parent) = open.last_mut() {
        parent.missing -= 1;
        parent.first = false;
        if parent.style == Style::Pairs && parent.missing.is_multiple_of(2) {
            out.push(b']');
        }
        if parent.missing > 0 {
            return;
        }
        out.extend_from_slice(parent.closing);
        open.pop();
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
            Node::None | Node::Bool(_) | Node::Int(_) | Node::BigInt(_) | Node::Float(_) if !exact => {
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
    let mut seen = HashSet::new();
    let mut at = start;
    while at < end {
        let mut spelled = Vec::new();
        write_key(view, view.nodes()[at], &mut spelled);
        if !seen.insert(spelled) {
            return false;
        }
        at += view.nodes()[at].nodes();
        at += view.nodes()[at].nodes();
    }
    true
}

/// A key as `json.dumps` spells it.
fn write_key(view: &View<'_>, key: Node, out: &mut Vec<u8>) {
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
        Node::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
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
        Node::Bytes(bytes) => {
            out.extend_from_slice(b"{\"$bytes\":\"");
            out.extend_from_slice(BASE64.encode(view.text(bytes)).as_bytes());
            out.extend_from_slice(b"\"}");
        }
        _ => out.extend_from_slice(b"null"),
    }
}

/// Appends a string in its quotes.
pub fn write_str(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text;
    loop {
        let literal = literal_prefix(rest);
        out.extend_from_slice(&rest[..literal]);
        let Some(&byte) = rest.get(literal) else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
        rest = &rest[literal + 1..];
    }
    out.push(b'"');
}
