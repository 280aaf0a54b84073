//! How long the JSON of a value is, without writing it.

use super::named::type_size;
use super::scalar::{spell_key, write_typed};
use super::style::{Style, style_of};
use super::tags::Tags;
use crate::document::View;
use crate::node::Node;
use crate::number::{float_size, int_size};
use crate::protocol::ScalarType;

/// Bytes that [`encode`](super::encode) appends for a value; without `EXACT`, about as many and not
/// fewer, found sooner.
pub(crate) fn size<const EXACT: bool>(view: View<'_>, tags: Tags) -> u64 {
    let (mut size, mut next) = (0, 0);
    while let Some(&node) = view.nodes().get(next) {
        let index = next;
        next += 1;
        let style = style_of(&view, index, node, tags.is_exact());
        size += match (node, style) {
            (Node::Named(_, size), Style::Whole) => {
                next += size.nodes as usize;
                type_size(view, index)
            }
            (Node::Named(..), style) => {
                next = index + node.nodes_of_type(&view.nodes()[next..]);
                let behind = style.closing().1 as i64;
                if style == Style::State { type_size(view, index) + behind } else { behind }
            }
            (_, Style::Whole) => scalar_size::<EXACT>(&view, node, tags),
            (_, style) => container_size::<EXACT>(&view, index, style, tags),
        };
    }
    u64::try_from(size).unwrap_or(0)
}

/// Bytes around the digits of an int that is tagged.
const INT_TAG: usize = br#"{"$int":""}"#.len();

/// A value that is no container.
fn scalar_size<const EXACT: bool>(view: &View<'_>, node: Node, tags: Tags) -> i64 {
    let length = match node {
        Node::Bool(false) => 5,
        Node::Int(number) if number.unsigned_abs() <= tags.widest_int() => int_size(number),
        Node::Int(number) => INT_TAG + int_size(number),
        Node::BigInt(digits) if tags.has_tagged_big_ints() => INT_TAG + digits.len(),
        Node::BigInt(digits) => digits.len(),
        Node::Float(number) if number.is_finite() => float_size::<EXACT>(number),
        Node::Float(number) => br#"{"$float":"inf"}"#.len() + usize::from(number < 0.0),
        Node::Typed(of, text) => typed_size(of, view.text(text), tags),
        Node::Str(text) => return string_size(view.text(text)),
        Node::Bytes(bytes) => br#"{"$bytes":""}"#.len() + bytes.len().div_ceil(3) * 4,
        _ => 4,
    };
    length as i64
}

/// A scalar of the standard library: so rare that it may be written to be measured.
fn typed_size(of: ScalarType, canonical: &[u8], tags: Tags) -> usize {
    let mut out = Vec::with_capacity(64);
    write_typed(of, canonical, tags, &mut out);
    out.len()
}

/// A string in its quotes.
fn string_size(text: &[u8]) -> i64 {
    /// Bytes that a byte takes beyond one.
    const MORE: [u8; 256] = {
        let mut more = [0; 256];
        let mut control = 0;
        while control < 0x20 {
            more[control] = 5;
            control += 1;
        }
        let mut short = 0;
        while short < 7 {
            more[b"\"\\\n\r\t\x08\x0c"[short] as usize] = 1;
            short += 1;
        }
        more
    };
    let more: i64 = text.iter().map(|&byte| i64::from(MORE[usize::from(byte)])).sum();
    text.len() as i64 + more + 2
}

/// Bytes that a container adds to its children. Keys are counted with these, as values; where a key
/// is spelled another way, the difference is counted here.
fn container_size<const EXACT: bool>(
    view: &View<'_>,
    index: usize,
    style: Style,
    tags: Tags,
) -> i64 {
    let (Node::List(size)
    | Node::Tuple(size)
    | Node::Set(size)
    | Node::FrozenSet(size)
    | Node::Dict(size)) = view.nodes()[index]
    else {
        return 0;
    };
    let items = i64::from(size.items);
    let between = (items - 1).max(0);
    let brackets = (style.opening().1 + style.closing().1) as i64;
    match style {
        // `[`, `,` and `]` of each pair; the last `]` is one of the brackets.
        Style::Pairs => brackets + 2 * items + 2 * between,
        Style::Object => brackets + between + items + keys_size::<EXACT>(view, index, tags),
        _ => brackets + between,
    }
}

/// How much longer the keys of an object are than the same values are.
fn keys_size<const EXACT: bool>(view: &View<'_>, index: usize, tags: Tags) -> i64 {
    let nodes = view.nodes();
    let end = index + nodes[index].nodes();
    let mut spelled = Vec::new();
    let mut more = 0;
    let mut at = index + 1;
    while at < end {
        let key = nodes[at];
        if !matches!(key, Node::Str(_)) {
            spelled.clear();
            spell_key(view, key, &mut spelled);
            more += spelled.len() as i64 - scalar_size::<EXACT>(view, key, tags);
        }
        at += key.nodes();
        at += nodes[at].nodes();
    }
    more
}
