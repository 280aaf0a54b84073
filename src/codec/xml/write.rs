//! From a document to an element, in the habit of dicttoxml: the key is the name, `type` says the type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::chars;
use super::escape::{is_carriable, is_literal, push_attribute, push_text};
use crate::codec::nesting::Outer;
use crate::codec::number::{write_float, write_int};
use crate::codec::words::push;
use crate::codec::{Node, View};

/// How the elements inside a container are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// No container: the value itself.
    Whole,
    Items,
    /// By their keys.
    Fields,
    /// `entry` with `key` and `value`.
    Entries,
}

/// A container whose start tag is written.
#[derive(Clone, Copy, Debug)]
struct Open<'a> {
    name: &'a [u8],
    inside: Inside,
    /// Values that are still to be written; of [`Inside::Entries`], keys as well.
    left: u64,
}

/// Appends the value as an element `name`, which must be an XML name.
///
/// What is written is well-formed without anything around it, and read again is the same value.
pub fn encode(view: View<'_>, name: &str, out: &mut Vec<u8>) {
    let nodes = view.nodes();
    let mut open = Open { name: name.as_bytes(), inside: Inside::Whole, left: 1 };
    let mut outer = Outer::new(open);
    let mut at = 0;
    while let Some(&node) = nodes.get(at) {
        let mut node = node;
        let tag = match open.inside {
            Inside::Items => {
                out.extend_from_slice(b"<item");
                b"item"
            }
            Inside::Fields => {
                // Only strings are keys here, so the key is one node, and the value follows it.
                let key = if let Node::Str(key) = node { view.text(key) } else { b"" };
                at += 1;
                let Some(&value) = nodes.get(at) else { return };
                node = value;
                begin_field(key, out)
            }
            Inside::Whole => {
                begin(open.name, out);
                open.name
            }
            Inside::Entries if open.left.is_multiple_of(2) => {
                out.extend_from_slice(b"<entry><key");
                b"key"
            }
            Inside::Entries => {
                out.extend_from_slice(b"<value");
                b"value"
            }
        };
        at += 1;
        let (inside, left) = match node {
            Node::List(size) => {
                out.extend_from_slice(b" type=\"list\">");
                (Inside::Items, u64::from(size.items))
            }
            Node::Tuple(size) => {
                out.extend_from_slice(b" type=\"tuple\">");
                (Inside::Items, u64::from(size.items))
            }
            Node::Set(size) => {
                out.extend_from_slice(b" type=\"set\">");
                (Inside::Items, u64::from(size.items))
            }
            Node::FrozenSet(size) => {
                out.extend_from_slice(b" type=\"frozenset\">");
                (Inside::Items, u64::from(size.items))
            }
            Node::Dict(size) if has_string_keys(&nodes[at..at - 1 + node.nodes()]) => {
                out.extend_from_slice(b" type=\"dict\">");
                (Inside::Fields, u64::from(size.items))
            }
            Node::Dict(size) => {
                out.extend_from_slice(b" type=\"map\">");
                (Inside::Entries, 2 * u64::from(size.items))
            }
            scalar => {
                write_scalar(scalar, view, out);
                (Inside::Whole, 0)
            }
        };
        if left > 0 {
            outer.push(open);
            open = Open { name: tag, inside, left };
            continue;
        }
        // A value is complete, and perhaps the containers around it.
        let mut tag = tag;
        loop {
            end(tag, out);
            open.left -= 1;
            if open.inside == Inside::Entries && open.left.is_multiple_of(2) {
                out.extend_from_slice(b"</entry>");
            }
            if open.left > 0 {
                break;
            }
            if open.inside == Inside::Whole {
                return;
            }
            tag = open.name;
            let Some(around) = outer.pop() else { return };
            open = around;
        }
    }
}

/// Appends a string as an element `name`, which must be an XML name; any string, however little XML can carry it.
pub fn write_text(name: &str, text: &[u8], out: &mut Vec<u8>) {
    begin(name.as_bytes(), out);
    write_str(text, out);
    end(name.as_bytes(), out);
}

#[inline]
fn begin(name: &[u8], out: &mut Vec<u8>) {
    out.push(b'<');
    push(name, out);
}

#[inline]
fn end(name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"</");
    push(name, out);
    out.push(b'>');
}

/// Begins the element of a dict's entry and returns its name.
#[inline]
fn begin_field<'a>(key: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    if key != b"item" && chars::is_element_name(key) {
        begin(key, out);
        return key;
    }
    push_key(key, out);
    b"item"
}

/// Begins the element of an entry whose key is no element's name.
#[cold]
pub(super) fn push_key(key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"<item key=\"");
    if is_carriable(key) {
        push_attribute(key, out);
        out.push(b'"');
    } else {
        push_base64(key, out);
        out.extend_from_slice(b"\" key-encoding=\"base64\"");
    }
}

/// Whether every key of the dict with these nodes inside is a string.
fn has_string_keys(inside: &[Node]) -> bool {
    let mut at = 0;
    while let Some(key) = inside.get(at) {
        if !matches!(key, Node::Str(_)) {
            return false;
        }
        at += 1 + inside.get(at + 1).map_or(1, |value| value.nodes());
    }
    true
}

/// Writes the rest of a scalar's start tag, and its text.
#[inline]
fn write_scalar(node: Node, view: View<'_>, out: &mut Vec<u8>) {
    match node {
        Node::Str(text) => write_str(view.text(text), out),
        Node::Int(number) => {
            out.extend_from_slice(b" type=\"int\">");
            write_int(number, out);
        }
        Node::Float(number) => {
            out.extend_from_slice(b" type=\"float\">");
            push_float(number, out);
        }
        Node::Bool(true) => out.extend_from_slice(b" type=\"bool\">true"),
        Node::Bool(false) => out.extend_from_slice(b" type=\"bool\">false"),
        Node::None => out.extend_from_slice(b" type=\"null\">"),
        Node::BigInt(digits) => {
            out.extend_from_slice(b" type=\"int\">");
            out.extend_from_slice(view.text(digits));
        }
        Node::Bytes(text) => {
            out.extend_from_slice(b" type=\"bytes\">");
            push_base64(view.text(text), out);
        }
        Node::List(_) | Node::Tuple(_) | Node::Set(_) | Node::FrozenSet(_) | Node::Dict(_) => {
            debug_assert!(false, "{node:?} is no scalar");
        }
    }
}

#[inline]
pub(super) fn write_str(text: &[u8], out: &mut Vec<u8>) {
    if is_literal(text) {
        out.extend_from_slice(b" type=\"str\">");
        push(text, out);
    } else {
        push_unusual(text, out);
    }
}

/// Writes a string that is to be escaped, or looked at more closely.
#[cold]
fn push_unusual(text: &[u8], out: &mut Vec<u8>) {
    if is_carriable(text) {
        out.extend_from_slice(b" type=\"str\">");
        push_text(text, out);
    } else {
        out.extend_from_slice(b" type=\"str\" encoding=\"base64\">");
        push_base64(text, out);
    }
}

fn push_float(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        write_float(number, out);
    } else if number.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if number > 0.0 { b"INF" } else { b"-INF" });
    }
}

fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[from..]).unwrap_or(0);
    out.truncate(from + written);
}
