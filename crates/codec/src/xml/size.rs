//! How long the element of a value is, without writing it.

use super::chars;
use super::element::{BOOL, DICT, FLOAT, FROZEN_SET, INT, LIST, MAP, NULL, SET, STR, TUPLE};
use super::escape::is_carriable;
use super::named::type_size;
use crate::document::View;
use crate::node::{NamedType, Node, Size, has_string_keys};
use crate::number::{float_size, int_size};

/// Bytes that [`encode`](super::encode) appends for a value; without `EXACT`, about as many and not
/// fewer, found sooner.
pub(crate) fn size<const EXACT: bool>(view: View<'_>) -> u64 {
    size_of::<EXACT>(view, true)
}

/// The same for a value whose arrays and objects are what they become without their types.
pub(crate) fn untyped_size(view: View<'_>) -> u64 {
    size_of::<true>(view, false)
}

fn size_of<const EXACT: bool>(view: View<'_>, has_types: bool) -> u64 {
    let nodes = view.nodes();
    let mut size = b"<message</message>".len() as i64;
    let mut next = 0;
    while let Some(&node) = nodes.get(next) {
        let index = next;
        next += 1;
        let inside = &nodes[next..index + node.nodes()];
        size += match node {
            Node::Named(..) if !has_types => {
                next = index + node.nodes_of_type(inside);
                0
            }
            Node::Named(NamedType::Ndarray, _) => {
                next = index + node.nodes();
                type_size(view, index)
            }
            Node::Named(NamedType::Object, _) => {
                // Its state has one start tag with it.
                next = index + node.nodes_of_type(inside);
                type_size(view, index) - DICT.1 as i64
            }
            Node::Str(text) => string_size(view.text(text)),
            Node::Int(number) => (INT.1 + int_size(number)) as i64,
            Node::Float(number) if number.is_finite() => {
                (FLOAT.1 + float_size::<EXACT>(number)) as i64
            }
            Node::Float(number) => (FLOAT.1 + if number < 0.0 { 4 } else { 3 }) as i64,
            Node::Bool(truth) => (BOOL.1 + if truth { 4 } else { 5 }) as i64,
            Node::None => NULL.1 as i64,
            Node::BigInt(digits) => (INT.1 + digits.len()) as i64,
            Node::Bytes(bytes) => (b" type=\"bytes\">".len() + base64_size(bytes.len())) as i64,
            Node::Typed(of, text) => (b" type=\"\">".len() + of.name().len() + text.len()) as i64,
            Node::List(size) => LIST.1 as i64 + items_size(size),
            Node::Tuple(size) => TUPLE.1 as i64 + items_size(size),
            Node::Set(size) => SET.1 as i64 + items_size(size),
            Node::FrozenSet(size) => (FROZEN_SET.1 + b"\">".len()) as i64 + items_size(size),
            Node::Dict(size) if has_string_keys(size, inside) => {
                DICT.1 as i64 + tags_size(&view, inside)
            }
            Node::Dict(size) => {
                let entry = b"<entry><key</key><value</value></entry>".len() as i64;
                MAP.1 as i64 + entry * i64::from(size.items)
            }
        };
    }
    u64::try_from(size).unwrap_or(0)
}

/// The tags of so many elements.
fn items_size(size: Size) -> i64 {
    i64::from(size.items) * b"<item</item>".len() as i64
}

/// The tags that the keys of a dict become. The keys are counted with its other nodes, as strings,
/// and that is taken off here.
fn tags_size(view: &View<'_>, inside: &[Node]) -> i64 {
    let mut size = 0;
    let mut at = 0;
    while let Some(&Node::Str(key)) = inside.get(at) {
        let key = view.text(key);
        size += tag_size(key) - string_size(key);
        at += 1 + inside.get(at + 1).map_or(1, |value| value.nodes());
    }
    size
}

/// The tags of the element that stands for a key, without its type and the end of the start tag.
pub(super) fn tag_size(key: &[u8]) -> i64 {
    if key != b"item" && chars::is_element_name(key) {
        return (b"<</>".len() + 2 * key.len()) as i64;
    }
    let around = b"<item key=\"\"</item>".len() as i64;
    if !is_carriable(key) {
        return around + (base64_size(key.len()) + b" key-encoding=\"base64\"".len()) as i64;
    }
    let more: i64 = key
        .iter()
        .map(|byte| match byte {
            b'"' => 5,
            b'&' | b'\n' | b'\r' => 4,
            b'<' | b'>' | b'\t' => 3,
            _ => 0,
        })
        .sum();
    around + key.len() as i64 + more
}

/// The type of a string, the end of the start tag, and its text.
fn string_size(text: &[u8]) -> i64 {
    if !is_carriable(text) {
        return (b" type=\"str\" encoding=\"base64\">".len() + base64_size(text.len())) as i64;
    }
    let more: i64 = text
        .iter()
        .map(|byte| match byte {
            b'&' | b'\r' => 4,
            b'<' | b'>' => 3,
            _ => 0,
        })
        .sum();
    (STR.1 + text.len()) as i64 + more
}

fn base64_size(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}
