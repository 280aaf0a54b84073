//! From a document to an element, in the habit of dicttoxml: the key is the name, `type` says the type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::chars;
use super::escape::{is_carriable, push_attribute, push_text};
use crate::codec::number::write_float;
use crate::codec::{Node, Text, View};

/// How the elements inside a container are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
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
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut at = 0;
    while at < nodes.len() {
        let mut tag = name.as_bytes();
        match open.last() {
            None => begin(tag, out),
            Some(Open { inside: Inside::Items, .. }) => {
                tag = b"item";
                begin(tag, out);
            }
            Some(Open { inside: Inside::Fields, .. }) => {
                // Only strings are keys here, so the key is one node, and the value follows it.
                let key = if let Node::Str(key) = nodes[at] { view.text(key) } else { b"" };
                tag = begin_field(key, out);
                at += 1;
            }
            Some(Open { inside: Inside::Entries, left, .. }) => {
                if left % 2 == 0 {
                    out.extend_from_slice(b"<entry>");
                    tag = b"key";
                } else {
                    tag = b"value";
                }
                begin(tag, out);
            }
        }
        let Some(&node) = nodes.get(at) else { return };
        let (word, inside, left) = match node {
            Node::List(size) => ("list", Inside::Items, u64::from(size.items)),
            Node::Tuple(size) => ("tuple", Inside::Items, u64::from(size.items)),
            Node::Set(size) => ("set", Inside::Items, u64::from(size.items)),
            Node::FrozenSet(size) => ("frozenset", Inside::Items, u64::from(size.items)),
            Node::Dict(size) if has_string_keys(&nodes[at + 1..at + node.nodes()]) => {
                ("dict", Inside::Fields, u64::from(size.items))
            }
            Node::Dict(size) => ("map", Inside::Entries, 2 * u64::from(size.items)),
            scalar => {
                write_scalar(scalar, view, tag, out);
                at += 1;
                end_value(&mut open, out);
                continue;
            }
        };
        push_type(word, out);
        at += 1;
        if left > 0 {
            open.push(Open { name: tag, inside, left });
        } else {
            end(tag, out);
            end_value(&mut open, out);
        }
    }
}

/// Appends a string as an element `name`, which must be an XML name; any string, however little XML can carry it.
pub fn write_text(name: &str, text: &[u8], out: &mut Vec<u8>) {
    begin(name.as_bytes(), out);
    write_str(text, out);
    end(name.as_bytes(), out);
}

fn begin(name: &[u8], out: &mut Vec<u8>) {
    out.push(b'<');
    out.extend_from_slice(name);
}

fn end(name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(name);
    out.push(b'>');
}

fn push_type(word: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b" type=\"");
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b"\">");
}

/// Begins the element of a dict's entry and returns its name.
fn begin_field<'a>(key: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    if key != b"item" && chars::is_element_name(key) {
        begin(key, out);
        return key;
    }
    out.extend_from_slice(b"<item key=\"");
    if is_carriable(key) {
        push_attribute(key, out);
        out.push(b'"');
    } else {
        push_base64(key, out);
        out.extend_from_slice(b"\" key-encoding=\"base64\"");
    }
    b"item"
}

/// A value inside `open` is complete; ends every container of which it was the last.
fn end_value(open: &mut Vec<Open<'_>>, out: &mut Vec<u8>) {
    while let Some(innermost) = open.last_mut() {
        innermost.left -= 1;
        let Open { name, inside, left } = *innermost;
        if inside == Inside::Entries && left % 2 == 0 {
            out.extend_from_slice(b"</entry>");
        }
        if left > 0 {
            return;
        }
        end(name, out);
        open.pop();
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

fn write_scalar(node: Node, view: View<'_>, tag: &[u8], out: &mut Vec<u8>) {
    match node {
        Node::None => push_type("null", out),
        Node::Bool(truth) => {
            push_type("bool", out);
            out.extend_from_slice(if truth { b"true" } else { b"false" });
        }
        Node::Int(number) => {
            push_type("int", out);
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
        Node::BigInt(digits) => {
            push_type("int", out);
            out.extend_from_slice(view.text(digits));
        }
        Node::Float(number) => {
            push_type("float", out);
            push_float(number, out);
        }
        Node::Str(text) => write_str(view.text(text), out),
        Node::Bytes(text) => write_bytes(view, text, out),
        Node::List(_) | Node::Tuple(_) | Node::Set(_) | Node::FrozenSet(_) | Node::Dict(_) => {
            debug_assert!(false, "{node:?} is no scalar");
        }
    }
    end(tag, out);
}

fn write_str(text: &[u8], out: &mut Vec<u8>) {
    if is_carriable(text) {
        push_type("str", out);
        push_text(text, out);
    } else {
        out.extend_from_slice(b" type=\"str\" encoding=\"base64\">");
        push_base64(text, out);
    }
}

fn write_bytes(view: View<'_>, text: Text, out: &mut Vec<u8>) {
    push_type("bytes", out);
    push_base64(view.text(text), out);
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
