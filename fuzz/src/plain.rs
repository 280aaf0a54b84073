//! What plain JSON may make of a value, by the table in docs/protocol.md.

use babelmq::codec::{Node, View};

use crate::same::{is_same, shown};

/// Whether a tuple or frozenset is a dict key or an element of a set: JSON makes arrays and sets of
/// them, which cannot be read back there.
pub(crate) fn is_readable(view: View<'_>) -> bool {
    let mut walk = Walk::default();
    view.nodes().iter().all(|&node| {
        let (_, is_hashed) = walk.step(node);
        !(is_hashed && node.is_container())
    })
}

/// Compares a value with what was read from its plain JSON.
#[track_caller]
pub(crate) fn assert_plain(value: View<'_>, json: View<'_>) {
    let mut walk = Walk::default();
    assert_eq!(value.nodes().len(), json.nodes().len());
    for (index, (&a, &b)) in value.nodes().iter().zip(json.nodes()).enumerate() {
        let (is_key, _) = walk.step(a);
        let agrees = match (a, b) {
            (Node::Tuple(a), Node::List(b)) | (Node::FrozenSet(a), Node::Set(b)) => a == b,
            (Node::Tuple(_) | Node::FrozenSet(_), _) => false,
            (a, Node::Str(text)) if is_key && !matches!(a, Node::Str(_)) => {
                is_spelled(value, a, json.text(text))
            }
            (a, b) => is_same((value, a), (json, b)),
        };
        assert!(agrees, "node {index}: {} became {}", shown(value, a), shown(json, b));
    }
}

/// Whether `json.dumps` spells a key that way.
fn is_spelled(view: View<'_>, key: Node, text: &[u8]) -> bool {
    let text = str::from_utf8(text).unwrap_or_default();
    match key {
        Node::None => text == "null",
        Node::Bool(truth) => text == if truth { "true" } else { "false" },
        Node::Int(number) => text == number.to_string(),
        Node::BigInt(digits) => text.as_bytes() == view.text(digits),
        Node::Float(number) if number.is_nan() => text == "NaN",
        Node::Float(number) if number.is_infinite() => {
            text == if number > 0.0 { "Infinity" } else { "-Infinity" }
        }
        Node::Float(number) => {
            text.contains(['.', 'e'])
                && text.parse().is_ok_and(|read: f64| read.to_bits() == number.to_bits())
        }
        _ => false,
    }
}

/// Where in a value one is, while its nodes go by.
#[derive(Default)]
struct Walk {
    /// The containers around: which, and how many children are still to come.
    open: Vec<(Node, u64)>,
}

impl Walk {
    /// Whether `node` is a key of a dict; whether it is one or an element of a set.
    fn step(&mut self, node: Node) -> (bool, bool) {
        while self.open.pop_if(|(_, left)| *left == 0).is_some() {}
        let (is_key, is_hashed) = match self.open.last_mut() {
            None => (false, false),
            Some((container, left)) => {
                let is_key = matches!(container, Node::Dict(_)) && left.is_multiple_of(2);
                *left -= 1;
                (is_key, is_key || matches!(container, Node::Set(_) | Node::FrozenSet(_)))
            }
        };
        match node {
            Node::Dict(size) => self.open.push((node, u64::from(size.items) * 2)),
            Node::List(size) | Node::Tuple(size) | Node::Set(size) | Node::FrozenSet(size) => {
                self.open.push((node, u64::from(size.items)));
            }
            _ => {}
        }
        (is_key, is_hashed)
    }
}
