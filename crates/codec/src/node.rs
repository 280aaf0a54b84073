//! One value of a document, or the head of a container, in sixteen bytes.

use std::ops::Range;

use crate::protocol::ScalarType;

/// The types whose values lie in a document with what they become where their type is lost: that is
/// the last of their children, and those before it are what the type takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedType {
    /// `numpy.ndarray`: its dtype, its shape (a tuple of integers), its data (bytes in C order),
    /// and the nested lists of `tolist()`.
    Ndarray,
    /// An object of a producer's own class: the name of the class, and a dict of its state.
    Object,
}

/// One value, or the head of a container whose children follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits 64 bits; every one that does is written this way.
    Int(i64),
    /// Any other integer: an optional `-` and decimal digits, without leading zeros.
    BigInt(Text),
    /// A double.
    Float(f64),
    /// UTF-8 text.
    Str(Text),
    /// Bytes.
    Bytes(Text),
    /// A scalar of the standard library: its canonical text.
    Typed(ScalarType, Text),
    /// `list`.
    List(Size),
    /// `tuple`.
    Tuple(Size),
    /// `set`, its elements hashable and no two equal.
    Set(Size),
    /// `frozenset`, likewise.
    FrozenSet(Size),
    /// `dict`: key, value, key, value …; keys hashable and no two equal.
    Dict(Size),
    /// A value with what it is without its type behind it.
    Named(NamedType, Size),
}

impl Node {
    /// How many nodes the value takes, itself included.
    pub fn nodes(self) -> usize {
        match self {
            Node::List(size)
            | Node::Tuple(size)
            | Node::Set(size)
            | Node::FrozenSet(size)
            | Node::Dict(size)
            | Node::Named(_, size) => size.nodes as usize + 1,
            _ => 1,
        }
    }

    /// Whether other values can lie inside.
    pub fn is_container(self) -> bool {
        matches!(
            self,
            Node::List(_)
                | Node::Tuple(_)
                | Node::Set(_)
                | Node::FrozenSet(_)
                | Node::Dict(_)
                | Node::Named(..)
        )
    }

    /// As many nodes lie before what the value becomes where its type is lost, itself included;
    /// `behind` are the nodes after it. None, where it has no type to lose.
    #[inline(always)]
    pub fn nodes_of_type(self, behind: &[Node]) -> usize {
        match self {
            Node::Named(of, _) => nodes_of_named(of, behind),
            _ => 0,
        }
    }

    /// The value's type as Python names it, for error messages.
    pub fn type_name(self) -> &'static str {
        match self {
            Node::None => "None",
            Node::Bool(_) => "bool",
            Node::Int(_) | Node::BigInt(_) => "int",
            Node::Float(_) => "float",
            Node::Str(_) => "str",
            Node::Bytes(_) => "bytes",
            Node::Typed(of, _) => of.name(),
            Node::List(_) => "list",
            Node::Tuple(_) => "tuple",
            Node::Set(_) => "set",
            Node::FrozenSet(_) => "frozenset",
            Node::Dict(_) => "dict",
            Node::Named(NamedType::Ndarray, _) => "numpy.ndarray",
            Node::Named(NamedType::Object, _) => "custom object",
        }
    }
}

#[cold]
fn nodes_of_named(of: NamedType, behind: &[Node]) -> usize {
    match of {
        // The dtype, the shape, the data.
        NamedType::Ndarray => 3 + behind.get(1).map_or(1, |shape| shape.nodes()),
        NamedType::Object => 2,
    }
}

/// The extent of a container. What is known of its keys is no part of it: two that say the same may
/// differ in that.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct Size {
    /// Elements; of a dict, entries.
    pub items: u32,
    /// Nodes below the container, at every depth.
    pub nodes: u32,
    /// Whether all keys of a dict are known to be strings, so that they need not be looked at
    /// again. Of a dict whose keys are not known, and of anything else, this is false.
    pub has_string_keys: bool,
}

impl PartialEq for Size {
    fn eq(&self, other: &Size) -> bool {
        (self.items, self.nodes) == (other.items, other.nodes)
    }
}

impl Size {
    /// The extent of a container, without a word about its keys.
    pub const fn new(items: u32, nodes: u32) -> Size {
        Size { items, nodes, has_string_keys: false }
    }

    /// The extent of a dict whose keys are strings.
    pub const fn of_fields(items: u32, nodes: u32) -> Size {
        Size { items, nodes, has_string_keys: true }
    }
}

/// Where a text lies: in the source that was decoded, or in the document's own store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    start: u32,
    /// The length in bytes, and in the top bit whether the text is the document's own.
    length: u32,
}

const OWN: u32 = 1 << 31;

impl Text {
    /// A text that the source spells literally. Sources are shorter than 2 GiB.
    pub fn in_source(range: Range<usize>) -> Text {
        Text { start: range.start as u32, length: (range.end - range.start) as u32 }
    }

    /// A text of the document's own.
    #[inline]
    pub(super) fn in_own(range: Range<usize>) -> Text {
        Text { start: range.start as u32, length: (range.end - range.start) as u32 | OWN }
    }

    /// Whether it is the document's own.
    #[inline(always)]
    pub(super) fn is_own(self) -> bool {
        self.length & OWN != 0
    }

    /// Where it begins.
    #[inline(always)]
    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    /// A part of it.
    pub(super) fn part(self, range: Range<usize>) -> Text {
        let length = (range.end - range.start) as u32 | self.length & OWN;
        Text { start: self.start + range.start as u32, length }
    }

    /// The length in bytes.
    pub fn len(self) -> usize {
        (self.length & !OWN) as usize
    }

    /// Whether there are no bytes.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Whether every key of a dict of this extent, with these nodes inside, is a string.
#[inline(always)]
pub(super) fn has_string_keys(size: Size, inside: &[Node]) -> bool {
    debug_assert!(!size.has_string_keys || are_keys_strings(inside), "{inside:?}");
    size.has_string_keys || are_keys_strings(inside)
}

fn are_keys_strings(inside: &[Node]) -> bool {
    let mut at = 0;
    while let Some(key) = inside.get(at) {
        if !matches!(key, Node::Str(_)) {
            return false;
        }
        at += 1 + inside.get(at + 1).map_or(1, |value| value.nodes());
    }
    true
}

/// How deep the containers of a value nest; a scalar is 0 deep. A type is no level of its own.
pub(super) fn value_depth(nodes: &[Node]) -> usize {
    let mut ends = Vec::new();
    let mut deepest = 0;
    let mut next = 0;
    while let Some(node) = nodes.get(next) {
        let index = next;
        while ends.pop_if(|end| *end <= index).is_some() {}
        next += node.nodes_of_type(&nodes[index + 1..]).max(1);
        if node.is_container() && !matches!(node, Node::Named(..)) {
            ends.push(index + node.nodes());
            deepest = deepest.max(ends.len());
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::NODE_SIZE;

    #[test]
    fn a_node_is_as_small_as_the_budget_says() {
        assert_eq!(size_of::<Node>(), NODE_SIZE);
    }

    #[test]
    fn what_is_known_of_keys_is_no_difference() {
        assert_eq!(Node::Dict(Size::new(1, 2)), Node::Dict(Size::of_fields(1, 2)));
        for other in [Size::new(1, 3), Size::of_fields(2, 2)] {
            assert_ne!(Node::Dict(Size::of_fields(1, 2)), Node::Dict(other));
        }
    }
}
