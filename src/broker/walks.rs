//! Reading many stored values without holding anybody up.
//!
//! A snapshot of a million values is taken in pieces, between other events. What it shows is one moment all the same: a
//! value that is overwritten or cleared before the walk has come to it is kept for it. So nothing is missed, nothing comes
//! twice, and the live messages follow without a gap.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use super::outbox::Piece;
use super::stored::Stored;
use super::subscriptions::Slot;
use super::sync::{Receiver, Sender, unbounded};
use super::tree::{AHEAD, Marker, Tree};
use crate::protocol::TopicFilter;

/// Topics that one step looks at.
const STEP: usize = 1_024;

/// Walks of one connection at the same time. Each holds up whoever overwrites a value, and keeps what it has not shown.
pub(super) const MAX_WALKS: usize = 64;

/// The walks that are under way, each taking its turn.
#[derive(Debug, Default)]
pub(super) struct Walks {
    turns: VecDeque<Walk>,
    /// How many each connection has.
    of_slot: HashMap<Slot, usize>,
}

#[derive(Debug)]
struct Walk {
    slot: Slot,
    filter: TopicFilter,
    marker: Marker,
    /// The last publication that it shows.
    until: u64,
    /// The last publication that it has come by.
    position: u64,
    /// Values that are not in the tree any more, to be shown at their place.
    kept: BTreeMap<u64, Stored>,
    /// The connection's writer holds the other end; when this is dropped, there are no more pieces.
    pieces: Sender<Piece>,
}

impl Walks {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Begins a walk through the values that are stored now. Its pieces come out of the returned end; `None` if the
    /// connection has as many walks as it may.
    pub(super) fn begin(
        &mut self,
        tree: &mut Tree,
        slot: Slot,
        filter: TopicFilter,
    ) -> Option<Receiver<Piece>> {
        let count = self.of_slot.entry(slot).or_insert(0);
        if *count == MAX_WALKS {
            return None;
        }
        *count += 1;
        let (pieces, receiver) = unbounded();
        let (marker, until) = (tree.mark(), tree.published());
        self.turns.push_back(Walk {
            slot,
            filter,
            marker,
            until,
            position: 0,
            kept: BTreeMap::new(),
            pieces,
        });
        Some(receiver)
    }

    /// Keeps a value that was taken out of the tree for whoever has not come by it.
    pub(super) fn keep(&mut self, stored: &Stored) {
        for walk in &mut self.turns {
            if walk.position < stored.published()
                && stored.published() <= walk.until
                && walk.filter.matches(stored.topic())
            {
                walk.kept.insert(stored.published(), stored.clone());
            }
        }
    }

    /// Goes a step on with the walk whose turn it is. Returns how many values that brought.
    pub(super) fn step(&mut self, tree: &mut Tree) -> usize {
        let Some(mut walk) = self.turns.pop_front() else { return 0 };
        let (values, mut done) = walk.step(tree);
        let count = values.len();
        if count > 0 || done {
            // A writer that has ended needs no more pieces.
            done |= walk.pieces.send(Piece { values, last: done }).is_err();
        }
        if done {
            self.finish(tree, walk);
        } else {
            self.turns.push_back(walk);
        }
        count
    }

    fn finish(&mut self, tree: &mut Tree, walk: Walk) {
        tree.unmark(walk.marker);
        if let Entry::Occupied(mut count) = self.of_slot.entry(walk.slot) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Ends the walks of a connection that is gone.
    pub(super) fn end(&mut self, tree: &mut Tree, slot: Slot) {
        if !self.of_slot.contains_key(&slot) {
            return;
        }
        let turns = std::mem::take(&mut self.turns);
        for walk in turns {
            if walk.slot == slot {
                self.finish(tree, walk);
            } else {
                self.turns.push_back(walk);
            }
        }
    }
}

impl Walk {
    fn step(&mut self, tree: &mut Tree) -> (Vec<Stored>, bool) {
        let mut values = Vec::new();
        for looked_at in 0..STEP {
            if looked_at % AHEAD == 0 {
                tree.approach_behind(&self.marker);
            }
            let stored = match tree.behind(&self.marker) {
                Some(Some(stored)) if stored.published() > self.until => None,
                Some(Some(stored)) => Some(stored),
                // Somebody else's place.
                Some(None) => {
                    tree.pass(&self.marker);
                    continue;
                }
                None => None,
            };
            let Some(stored) = stored else {
                values.extend(std::mem::take(&mut self.kept).into_values());
                return (values, true);
            };
            while let Some(kept) = self.kept.first_entry()
                && *kept.key() < stored.published()
            {
                values.push(kept.remove());
            }
            self.position = stored.published();
            if self.filter.matches(stored.topic()) {
                values.push(stored.clone());
            }
            tree.pass(&self.marker);
        }
        (values, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PayloadRef;
    use crate::protocol::{Format, Topic};

    fn publish(tree: &mut Tree, walks: &mut Walks, name: &str, json: &str) {
        let topic = Topic::parse(name).unwrap();
        let payload = PayloadRef::new(json.as_bytes(), Format::Json, false);
        let Some(id) = tree.find(&topic) else {
            tree.store_new(topic.name(), payload);
            return;
        };
        if let Some(before) = tree.store(id, payload, true) {
            walks.keep(&before);
        }
    }

    fn names(pieces: &Receiver<Piece>) -> Vec<(String, Vec<u8>)> {
        pieces
            .try_iter()
            .flat_map(|piece| piece.values)
            .map(|stored| (stored.topic().to_string(), stored.payload().source().to_vec()))
            .collect()
    }

    /// However the tree changes under a walk, it shows the moment at which it began.
    #[test]
    fn a_walk_shows_one_moment() {
        let filter = TopicFilter::parse("a").unwrap();
        let count = 3 * STEP;
        for steps in 0..4 {
            let (mut tree, mut walks) = (Tree::default(), Walks::default());
            for n in 0..count {
                publish(&mut tree, &mut walks, &format!("a/{n}"), &n.to_string());
                publish(&mut tree, &mut walks, &format!("b/{n}"), "0");
            }
            let expected: Vec<_> =
                (0..count).map(|n| (format!("a/{n}"), n.to_string().into_bytes())).collect();
            let pieces = walks.begin(&mut tree, 0, filter.clone()).unwrap();
            let second = walks.begin(&mut tree, 1, filter.clone()).unwrap();
            for _ in 0..steps {
                walks.step(&mut tree);
            }
            for n in (0..count).step_by(3).chain(0..10).chain([0]) {
                publish(&mut tree, &mut walks, &format!("a/{n}"), "1000000");
                publish(&mut tree, &mut walks, &format!("a/new/{n}"), "1000000");
                if let Some(cleared) = tree.clear(&Topic::parse(&format!("a/{}", n + 1)).unwrap()) {
                    walks.keep(&cleared);
                }
            }
            while !walks.is_empty() {
                walks.step(&mut tree);
            }
            assert_eq!(names(&pieces), expected, "after {steps} steps");
            assert_eq!(names(&second), expected, "after {steps} steps");
            assert!(pieces.recv().is_err(), "there are no more pieces");
        }
    }

    #[test]
    fn who_is_gone_leaves_no_marker_behind() {
        let (mut tree, mut walks) = (Tree::default(), Walks::default());
        publish(&mut tree, &mut walks, "a", "1");
        let filter = TopicFilter::parse("#").unwrap();
        let pieces = walks.begin(&mut tree, 0, filter.clone()).unwrap();
        let second = walks.begin(&mut tree, 1, filter).unwrap();
        walks.end(&mut tree, 0);
        assert!(pieces.recv().is_err());
        while !walks.is_empty() {
            walks.step(&mut tree);
        }
        assert_eq!(names(&second).len(), 1);
        let marker = tree.mark();
        assert!(matches!(tree.behind(&marker), Some(Some(_))));
        tree.pass(&marker);
        assert!(tree.behind(&marker).is_none());
    }

    #[test]
    fn a_connection_has_so_many_walks_and_no_more() {
        let (mut tree, mut walks) = (Tree::default(), Walks::default());
        publish(&mut tree, &mut walks, "a", "1");
        let filter = TopicFilter::parse("#").unwrap();
        let mut begin = |walks: &mut Walks, slot| walks.begin(&mut tree, slot, filter.clone());
        let first: Vec<_> = (0..MAX_WALKS).map(|_| begin(&mut walks, 0).unwrap()).collect();
        assert!(begin(&mut walks, 0).is_none());
        assert!(begin(&mut walks, 1).is_some(), "others have their own");
        // Whoever does not take the pieces any more needs no more steps.
        drop(first);
        let mut steps = 0;
        while !walks.is_empty() {
            walks.step(&mut tree);
            steps += 1;
        }
        assert_eq!(steps, MAX_WALKS + 1);
        assert!(walks.of_slot.is_empty());
    }
}
