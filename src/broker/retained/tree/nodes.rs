//! The places of topics in the tree: found by their numbers, and never moved, however many there
//! are.

use std::ops::{Index, IndexMut};

use super::NOBODY;
use crate::broker::retained::stored::Stored;
use crate::broker::routing::RouteSet;

/// Nodes that are made room for at a time. A list of all of them would be copied whenever it grows,
/// and nothing could be published meanwhile.
const TOGETHER: usize = 1_024;

/// A topic, or the place of a reader; as large as a line of the cache, so that looking at one costs
/// one.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Node {
    /// The name, and the last value if there is one. None for a place that is free or a reader's.
    pub(super) stored: Option<Stored>,
    pub(super) parent: u32,
    pub(super) first_child: u32,
    pub(super) next_sibling: u32,
    pub(super) previous_sibling: u32,
    /// Messages that were stored here since the topic is in the tree.
    pub(super) messages: u64,
    /// Found when first needed, and again after the subscriptions have changed.
    pub(super) routes: RouteSet,
}

impl Node {
    pub(super) fn new(stored: Option<Stored>, parent: u32) -> Node {
        Node {
            stored,
            parent,
            first_child: NOBODY,
            next_sibling: NOBODY,
            previous_sibling: NOBODY,
            messages: 0,
            routes: RouteSet::default(),
        }
    }

    /// The value that it holds.
    pub(super) fn held(&self) -> Option<&Stored> {
        self.stored.as_ref().filter(|stored| stored.is_held())
    }
}

/// All nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pieces: Vec<Vec<Node>>,
    /// Places that are free.
    free: Vec<u32>,
}

impl Nodes {
    /// Adds a node, and returns its number.
    pub(super) fn add(&mut self, node: Node) -> u32 {
        if let Some(number) = self.free.pop() {
            self[number] = node;
            return number;
        }
        if self.pieces.last().is_none_or(|piece| piece.len() == TOGETHER) {
            self.pieces.push(Vec::with_capacity(TOGETHER));
        }
        let before = (self.pieces.len() - 1) * TOGETHER;
        let Some(piece) = self.pieces.last_mut() else { return NOBODY };
        piece.push(node);
        (before + piece.len() - 1) as u32
    }

    /// Takes a node away; its number is given to another.
    pub(super) fn remove(&mut self, number: u32) -> Node {
        self.free.push(number);
        std::mem::replace(&mut self[number], Node::new(None, NOBODY))
    }

    pub(super) fn get(&self, number: u32) -> Option<&Node> {
        self.pieces.get(number as usize / TOGETHER)?.get(number as usize % TOGETHER)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.pieces.iter_mut().flatten()
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum::<usize>() - self.free.len()
    }
}

impl Index<u32> for Nodes {
    type Output = Node;

    fn index(&self, number: u32) -> &Node {
        &self.pieces[number as usize / TOGETHER][number as usize % TOGETHER]
    }
}

impl IndexMut<u32> for Nodes {
    fn index_mut(&mut self, number: u32) -> &mut Node {
        &mut self.pieces[number as usize / TOGETHER][number as usize % TOGETHER]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_again_and_nothing_moves() {
        let mut nodes = Nodes::default();
        let count = 2 * TOGETHER as u32 + 3;
        for number in 0..count {
            assert_eq!(nodes.add(Node::new(None, number)), number);
        }
        assert_eq!(
            (nodes[TOGETHER as u32].parent, nodes[count - 1].parent),
            (TOGETHER as u32, count - 1)
        );
        assert_eq!((nodes.remove(5).parent, nodes.len()), (5, count as usize - 1));
        assert_eq!(nodes.add(Node::new(None, 7)), 5);
        assert_eq!(nodes.iter_mut().count(), count as usize);
        assert!(nodes.get(count).is_none() && nodes.get(u32::MAX).is_none());
        assert_eq!(size_of::<Node>(), 64);
    }
}
