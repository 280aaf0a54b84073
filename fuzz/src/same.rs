//! Whether two documents say the same.

use babelmq::codec::{Node, Text, View};

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
        (Node::Float(a), Node::Float(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (a, b) => a == b,
    }
}

pub(crate) fn shown(view: View<'_>, node: Node) -> String {
    match node {
        Node::BigInt(text) | Node::Str(text) | Node::Bytes(text) => {
            format!("{} {}", node.type_name(), view.text(text).escape_ascii())
        }
        other => format!("{other:?}"),
    }
}
