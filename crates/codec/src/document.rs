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

use super::budget::Budget;
use super::buffer_pool::BufferPool;
use super::node::{Node, Text};
use super::span::Span;
use crate::protocol::NODE_SIZE;

/// Bytes of memory that an empty document keeps for each of its two parts.
const KEPT: usize = 1 << 16;

/// Decoded values, one after the other, and the text that no source spells literally.
#[derive(Clone, Debug, Default)]
pub struct Document {
    nodes: Vec<Node>,
    own: Vec<u8>,
    has_arrays: bool,
}

impl Document {
    /// An empty document.
    pub fn new() -> Document {
        Document::default()
    }

    /// An empty document for about so many nodes, in memory that was used before.
    pub fn with_nodes(count: usize, spares: &BufferPool) -> Document {
        Document { nodes: spares.nodes(count), ..Document::default() }
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
        let most = count.saturating_add(budget.left() / NODE_SIZE);
        self.nodes.reserve_exact(self.nodes.len().max(KEPT / NODE_SIZE).clamp(count, most));
    }

    /// Bytes of the value at `root`: its nodes, and its texts as often as they are referred to. Its
    /// encoded length is in proportion to it.
    pub fn value_size(&self, root: usize) -> usize {
        let Some(count) = self.nodes.get(root).map(|node| node.nodes()) else { return 0 };
        let size = |node: &Node| match node {
            Node::Str(text) | Node::Bytes(text) | Node::BigInt(text) | Node::Typed(_, text) => {
                NODE_SIZE + text.len()
            }
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

    /// Notes that there is an array.
    pub(super) fn note_array(&mut self) {
        self.has_arrays = true;
    }

    /// Whether there is an array, or was one.
    pub(super) fn has_arrays(&self) -> bool {
        self.has_arrays
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
        Ok(Text::in_own(start..self.own.len()))
    }

    /// The same for a text that cannot fail to be written.
    pub fn append_text(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Text {
        let start = self.own.len();
        write(&mut self.own);
        Text::in_own(start..self.own.len())
    }

    /// The bytes of a text; `source` is what the document was decoded from.
    pub fn text<'a>(&'a self, source: &'a [u8], text: Text) -> &'a [u8] {
        let from = if text.is_own() { &self.own } else { source };
        &from[text.start()..text.start() + text.len()]
    }

    /// The bytes of a text, and the nodes to be appended to.
    pub(super) fn text_and_nodes<'a>(
        &'a mut self,
        source: &'a [u8],
        text: Text,
    ) -> (&'a [u8], &'a mut Vec<Node>) {
        let from = if text.is_own() { &self.own } else { source };
        (&from[text.start()..text.start() + text.len()], &mut self.nodes)
    }

    /// The bytes of a text, borrowed where they are the source's.
    pub fn text_of_source<'a>(&self, source: &'a [u8], text: Text) -> Cow<'a, [u8]> {
        let range = text.start()..text.start() + text.len();
        if text.is_own() {
            Cow::Owned(self.own[range].to_vec())
        } else {
            Cow::Borrowed(&source[range])
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
        self.has_arrays = false;
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
        let from = if text.is_own() { self.own } else { self.source };
        &from[text.start()..text.start() + text.len()]
    }

    /// One of its texts, with what lies behind it.
    #[inline(always)]
    pub(super) fn span(&self, text: Text) -> Span<'a> {
        let from = if text.is_own() { self.own } else { self.source };
        Span::new(&from[text.start()..], text.len())
    }

    /// Whether there are values whose type is lost where nobody asks for it.
    pub(super) fn has_types(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node, Node::Typed(..) | Node::Named(..)))
    }

    /// Bytes of all its texts.
    #[inline(always)]
    pub(super) fn text_size(&self) -> usize {
        let size = |node: &Node| match node {
            Node::Str(text) | Node::Bytes(text) | Node::BigInt(text) | Node::Typed(_, text) => {
                text.len()
            }
            _ => 0,
        };
        self.nodes.iter().map(size).sum()
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
}
