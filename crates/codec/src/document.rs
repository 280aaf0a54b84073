//! A decoded payload: the value model of [`protocol::Value`](crate::protocol::Value), laid out
//! flat.
//!
//! Every reader writes a [`Document`], every writer reads one, so three readers and three writers
//! make nine translations. A document is a list of nodes in pre-order: a container is followed by
//! its children. Text stays where it is in the source wherever that spells it literally, so a
//! document costs 16 bytes a value and no allocation of its own, and it is dropped, encoded and
//! decoded without recursion.

use std::borrow::Cow;
use std::mem;
use std::ops::Range;

use super::buffer_pool::BufferPool;
use super::out_buf::Span;
use crate::protocol::{DECODED_FLOOR, DECODED_PER_BYTE, ErrorCode, Limits, NODE_SIZE, Refusal};

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
}

impl Node {
    /// How many nodes the value takes, itself included.
    pub fn nodes(self) -> usize {
        match self {
            Node::List(size)
            | Node::Tuple(size)
            | Node::Set(size)
            | Node::FrozenSet(size)
            | Node::Dict(size) => size.nodes as usize + 1,
            _ => 1,
        }
    }

    /// Whether other values can lie inside.
    pub fn is_container(self) -> bool {
        matches!(
            self,
            Node::List(_) | Node::Tuple(_) | Node::Set(_) | Node::FrozenSet(_) | Node::Dict(_)
        )
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
            Node::List(_) => "list",
            Node::Tuple(_) => "tuple",
            Node::Set(_) => "set",
            Node::FrozenSet(_) => "frozenset",
            Node::Dict(_) => "dict",
        }
    }
}

/// The extent of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Elements; of a dict, entries.
    pub items: u32,
    /// Nodes below the container, at every depth.
    pub nodes: u32,
}

/// Where a text lies: in the source that was decoded, or in the document's own store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    start: u32,
    /// The length in bytes, and in the top bit whether the text is the document's own.
    length: u32,
}

const OWN: u32 = 1 << 31;

/// Bytes of memory that an empty document keeps for each of its two parts.
const KEPT: usize = 1 << 16;

impl Text {
    /// A text that the source spells literally. Sources are shorter than 2 GiB.
    pub fn in_source(range: Range<usize>) -> Text {
        Text { start: range.start as u32, length: (range.end - range.start) as u32 }
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

/// Decoded values, one after the other, and the text that no source spells literally.
#[derive(Clone, Debug, Default)]
pub struct Document {
    nodes: Vec<Node>,
    own: Vec<u8>,
}

impl Document {
    /// An empty document.
    pub fn new() -> Document {
        Document::default()
    }

    /// An empty document for about so many nodes, in memory that was used before.
    pub fn with_nodes(count: usize, spares: &BufferPool) -> Document {
        Document { nodes: spares.nodes(count), own: Vec::new() }
    }

    /// Becomes empty, and its memory spare.
    pub(super) fn return_to(&mut self, spares: &BufferPool) {
        spares.give_back_nodes(mem::take(&mut self.nodes));
    }

    /// Appends a node and returns its index.
    pub fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Appends a node that `budget` was asked for. When there is no room, not more is made than the
    /// budget has left to pay for.
    #[inline]
    pub(super) fn push_within(&mut self, node: Node, budget: &Budget) {
        if self.nodes.len() == self.nodes.capacity() {
            self.grow(1, budget);
        }
        self.nodes.push(node);
    }

    /// The same with copies of nodes.
    pub(super) fn copy_within(&mut self, nodes: Range<usize>, budget: &Budget) {
        if self.nodes.capacity() - self.nodes.len() < nodes.len() {
            self.grow(nodes.len(), budget);
        }
        self.nodes.extend_from_within(nodes);
    }

    #[cold]
    fn grow(&mut self, count: usize, budget: &Budget) {
        let most = count.saturating_add(budget.left / NODE_SIZE);
        self.nodes.reserve_exact(self.nodes.len().max(KEPT / NODE_SIZE).clamp(count, most));
    }

    /// Bytes of the value at `root`: its nodes, and its texts as often as they are referred to.
    /// What it is encoded to is in proportion to it.
    pub fn value_size(&self, root: usize) -> usize {
        let Some(count) = self.nodes.get(root).map(|node| node.nodes()) else { return 0 };
        let size = |node: &Node| match node {
            Node::Str(text) | Node::Bytes(text) | Node::BigInt(text) => NODE_SIZE + text.len(),
            _ => NODE_SIZE,
        };
        self.nodes[root..root + count].iter().map(size).sum()
    }

    /// How many nodes there are; the index of the next one.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The nodes, to be read.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes, to be patched: a container's size is known when it closes.
    pub fn nodes_mut(&mut self) -> &mut Vec<Node> {
        &mut self.nodes
    }

    /// Makes the text that `write` appends one of the document's own.
    pub fn own_text<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Text, E> {
        let start = self.own.len();
        write(&mut self.own)?;
        Ok(Text { start: start as u32, length: (self.own.len() - start) as u32 | OWN })
    }

    /// The same for a text that cannot fail to be written.
    pub fn append_text(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Text {
        let start = self.own.len();
        write(&mut self.own);
        Text { start: start as u32, length: (self.own.len() - start) as u32 | OWN }
    }

    /// The bytes of a text; `source` is what the document was decoded from.
    pub fn text<'a>(&'a self, source: &'a [u8], text: Text) -> &'a [u8] {
        let start = text.start as usize;
        let from = if text.length & OWN == 0 { source } else { &self.own };
        &from[start..start + text.len()]
    }

    /// The bytes of a text, borrowed where they are the source's.
    pub fn text_of_source<'a>(&self, source: &'a [u8], text: Text) -> Cow<'a, [u8]> {
        let start = text.start as usize;
        if text.length & OWN == 0 {
            Cow::Borrowed(&source[start..start + text.len()])
        } else {
            Cow::Owned(self.own[start..start + text.len()].to_vec())
        }
    }

    /// The value at index `at`, to be encoded; `source` is what the document was decoded from.
    pub fn view<'a>(&'a self, source: &'a [u8], at: usize) -> View<'a> {
        View { source, own: &self.own, nodes: &self.nodes[at..at + self.nodes[at].nodes()] }
    }

    /// Takes back everything after a failed decode, and memory with it where that was unusually
    /// much.
    pub fn truncate(&mut self, mark: Mark) {
        self.nodes.truncate(mark.nodes);
        self.own.truncate(mark.own);
        if self.nodes.capacity() / 4 > self.nodes.len() {
            self.nodes.shrink_to((2 * self.nodes.len()).max(KEPT / NODE_SIZE));
        }
        if self.own.capacity() / 4 > self.own.len() {
            self.own.shrink_to((2 * self.own.len()).max(KEPT));
        }
    }

    /// Forgets everything, and keeps the memory unless it became unusually large.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.own.clear();
        self.nodes.shrink_to(KEPT / NODE_SIZE);
        self.own.shrink_to(KEPT);
    }

    /// The present end, to [`truncate`](Self::truncate) to.
    pub fn mark(&self) -> Mark {
        Mark { nodes: self.nodes.len(), own: self.own.len() }
    }

    /// Bytes of memory that the document holds.
    pub fn weight(&self) -> usize {
        self.nodes.len() * NODE_SIZE + self.own.len()
    }
}

/// An end of a document, see [`Document::mark`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    nodes: usize,
    own: usize,
}

/// One value of a document, with everything that its texts refer to.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    source: &'a [u8],
    own: &'a [u8],
    nodes: &'a [Node],
}

impl<'a> View<'a> {
    /// The value's nodes in pre-order, the value itself first.
    pub fn nodes(&self) -> &'a [Node] {
        self.nodes
    }

    /// The bytes of one of its texts.
    pub fn text(&self, text: Text) -> &'a [u8] {
        let start = text.start as usize;
        let from = if text.length & OWN == 0 { self.source } else { self.own };
        &from[start..start + text.len()]
    }

    /// One of its texts, with what lies behind it.
    #[inline(always)]
    pub(super) fn span(&self, text: Text) -> Span<'a> {
        let from = if text.length & OWN == 0 { self.source } else { self.own };
        Span::new(&from[text.start as usize..], text.len())
    }

    /// Bytes of all its texts.
    #[inline(always)]
    pub(super) fn text_size(&self) -> usize {
        let size = |node: &Node| match node {
            Node::Str(text) | Node::Bytes(text) | Node::BigInt(text) => text.len(),
            _ => 0,
        };
        self.nodes.iter().map(size).sum()
    }
}

/// How deep the containers of a value nest; a scalar is 0 deep.
pub(super) fn value_depth(nodes: &[Node]) -> usize {
    let mut ends = Vec::new();
    let mut deepest = 0;
    for (index, node) in nodes.iter().enumerate() {
        while ends.pop_if(|end| *end <= index).is_some() {}
        if node.is_container() {
            ends.push(index + node.nodes());
            deepest = deepest.max(ends.len());
        }
    }
    deepest
}

/// What one payload may still take when decoded, see [`Limits::decoded_budget`].
#[derive(Debug)]
pub struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    /// The whole budget of one payload, in a body of `len` bytes.
    pub fn new(limits: &Limits, len: usize) -> Budget {
        Budget::of(limits.decoded_budget(len))
    }

    /// A budget of so many bytes.
    pub fn of(limit: usize) -> Budget {
        Budget { left: limit, limit }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Pays for one node and `text` bytes of text that belongs to it.
    ///
    /// # Errors
    /// [`ErrorCode::TooLarge`] when it is more than what is left.
    #[inline]
    pub fn node(&mut self, text: usize) -> Result<(), Refusal> {
        self.bytes(NODE_SIZE + text)
    }

    /// Pays for `count` bytes.
    ///
    /// # Errors
    /// [`ErrorCode::TooLarge`] when it is more than what is left.
    #[inline]
    pub fn bytes(&mut self, count: usize) -> Result<(), Refusal> {
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.exhausted()),
        }
    }

    #[cold]
    fn exhausted(&self) -> Refusal {
        Refusal::new(
            ErrorCode::TooLarge,
            format!(
                "the message decodes to more than {} bytes, the limit of this broker for one of \
                 its length: {DECODED_PER_BYTE} \
                 bytes for each that was sent, {DECODED_FLOOR} at least, and --max-decoded at most",
                self.limit
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back() {
        let mut document = Document::new();
        document.push(Node::None);
        let mark = document.mark();
        for _ in 0..100_000 {
            document.push(Node::None);
        }
        document.append_text(|own| own.resize(1 << 20, b'x'));
        document.truncate(mark);
        assert_eq!(document.len(), 1);
        assert!(document.nodes.capacity() <= KEPT / NODE_SIZE && document.own.capacity() <= KEPT);
    }

    #[test]
    fn a_node_is_as_small_as_the_budget_says() {
        assert_eq!(size_of::<Node>(), NODE_SIZE);
    }
}
