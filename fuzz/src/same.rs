//! Whether two documents say the same.

use std::ops::Range;

use babelmq::codec::{Document, Node, Text, View};
use babelmq::protocol::{Limits, Refusal};

/// A reader of a codec.
pub(crate) type Decode = fn(&[u8], Range<usize>, &mut Document, &Limits) -> Result<usize, Refusal>;

/// Refuses a reader that reads an input otherwise when it lies between other bytes, as in a buffer
/// of many frames.
pub(crate) fn assert_alone(
    input: &[u8],
    decoded: Option<View<'_>>,
    limits: &Limits,
    decode: Decode,
) {
    let (before, after) = (b"\"<\xff[", b"\"></a>]}\\u.\xff");
    let source = [&before[..], input, after].concat();
    let mut document = Document::new();
    // A node of a message before this one.
    document.push(Node::None);
    let read = decode(&source, before.len()..before.len() + input.len(), &mut document, limits);
    assert_read(decoded, read, &document, &source);
}

/// Refuses what was read if it is not what was read before.
pub(crate) fn assert_read(
    before: Option<View<'_>>,
    now: Result<usize, Refusal>,
    document: &Document,
    source: &[u8],
) {
    match (before, now) {
        (Some(view), Ok(root)) => assert_same(view, document.view(source, root)),
        (None, Err(_)) => {}
        (Some(_), Err(refusal)) => panic!("accepted before, now {refusal:?}"),
        (None, Ok(_)) => panic!("refused before, now accepted"),
    }
}

/// Refuses two values that differ in anything but the bits of a `nan`.
#[track_caller]
pub(crate) fn assert_same(left: View<'_>, right: View<'_>) {
    let (a, b) = (left.nodes(), right.nodes());
    for (index, (&a, &b)) in a.iter().zip(b).enumerate() {
        assert!(
            is_same((left, a), (right, b)),
            "node {index}: {} is not {}",
            shown(left, a),
            shown(right, b)
        );
    }
    assert_eq!(a.len(), b.len());
}

pub(crate) fn is_same((left, a): (View<'_>, Node), (right, b): (View<'_>, Node)) -> bool {
    let text = |a: Text, b: Text| left.text(a) == right.text(b);
    match (a, b) {
        (Node::BigInt(a), Node::BigInt(b))
        | (Node::Str(a), Node::Str(b))
        | (Node::Bytes(a), Node::Bytes(b)) => text(a, b),
        (Node::Typed(of, a), Node::Typed(other, b)) => of == other && text(a, b),
        (Node::Float(a), Node::Float(b)) => {
            a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
        }
        (a, b) => a == b,
    }
}

pub(crate) fn shown(view: View<'_>, node: Node) -> String {
    match node {
        Node::BigInt(text) | Node::Str(text) | Node::Bytes(text) | Node::Typed(_, text) => {
            format!("{} {}", node.type_name(), view.text(text).escape_ascii())
        }
        other => format!("{other:?}"),
    }
}
