//! The nodes by the names of their topics.
//!
//! A table with open addresses: a part of each name's hash stands beside the node's number, and a
//! name that finds its place taken takes the next. So a search costs one line of the cache and then
//! looks at the node of the name and at no other; the table grows without looking at any; and what
//! a search will need can be fetched before it is made, without a branch.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::NOBODY;

/// The hash of a name. Topics are chosen by clients, so it is keyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NameHash(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    hash: NameHash,
    /// [`NOBODY`] where it is free.
    node: u32,
}

const FREE: Slot = Slot { hash: NameHash(0), node: NOBODY };
const FIRST_SLOTS: usize = 16;

/// Which node has which name.
#[derive(Debug)]
pub(super) struct Names {
    hasher: RandomState,
    /// A power of two of them, at most three quarters taken. Those that are taken stand in the
    /// order of the hashes, apart from those that had to make way at the end.
    slots: Vec<Slot>,
    len: usize,
}

impl Default for Names {
    fn default() -> Names {
        Names { hasher: RandomState::new(), slots: vec![FREE; FIRST_SLOTS], len: 0 }
    }
}

impl Names {
    /// The hash of a name.
    pub(super) fn hash(&self, name: &str) -> NameHash {
        let mut state = self.hasher.build_hasher();
        state.write(name.as_bytes());
        NameHash(state.finish() as u32)
    }

    /// How long the names of a topic's ancestors are, the topmost first, and their hashes. Each
    /// byte is hashed once, however many ancestors there are.
    pub(super) fn above(&self, name: &str) -> impl Iterator<Item = (usize, NameHash)> {
        let mut state = self.hasher.build_hasher();
        let mut hashed = 0;
        name.match_indices('/').map(move |(end, _)| {
            state.write(&name.as_bytes()[hashed..end]);
            hashed = end;
            (end, NameHash(state.finish() as u32))
        })
    }

    /// The node with such a hash for which `is_it` is true.
    pub(super) fn find(&self, hash: NameHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.node == NOBODY {
                return None;
            }
            if slot.hash == hash && is_it(slot.node) {
                return Some(slot.node);
            }
            at = self.next(at);
        }
    }

    /// Looks at the place where a search begins, so that it is fetched.
    pub(super) fn glance(&self, hash: NameHash) -> u32 {
        self.slots[self.home(hash)].node
    }

    /// Adds a name that is not there.
    pub(super) fn insert(&mut self, hash: NameHash, node: u32) {
        self.reserve(1);
        self.put(Slot { hash, node });
        self.len += 1;
    }

    /// Makes room for so many names more.
    pub(super) fn reserve(&mut self, more: usize) {
        let wanted = (self.len + more) * 4 / 3 + 1;
        if wanted > self.slots.len() {
            let larger = vec![FREE; wanted.next_power_of_two()];
            for slot in std::mem::replace(&mut self.slots, larger) {
                if slot.node != NOBODY {
                    self.put(slot);
                }
            }
        }
    }

    fn put(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash);
        while self.slots[at].node != NOBODY {
            at = self.next(at);
        }
        self.slots[at] = slot;
    }

    /// Takes the name of a node away.
    pub(super) fn remove(&mut self, hash: NameHash, node: u32) {
        let mut gap = self.home(hash);
        while self.slots[gap].node != node {
            if self.slots[gap].node == NOBODY {
                return;
            }
            gap = self.next(gap);
        }
        self.len -= 1;
        // A node that is behind and had to make way comes back, so that a search may end at a place
        // that is free.
        let mut at = gap;
        loop {
            self.slots[gap] = FREE;
            loop {
                at = self.next(at);
                let slot = self.slots[at];
                if slot.node == NOBODY {
                    return;
                }
                let (from_home, from_gap) =
                    (self.distance(self.home(slot.hash), at), self.distance(gap, at));
                if from_home >= from_gap {
                    self.slots[gap] = slot;
                    gap = at;
                    break;
                }
            }
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where a name is if nobody is in its way: the upper bits of the hash.
    fn home(&self, hash: NameHash) -> usize {
        ((u64::from(hash.0) * self.slots.len() as u64) >> 32) as usize
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A node that is found by the hash of a name must be found by one that was made on the way
        /// to a longer name.
        #[test]
        fn an_ancestor_has_the_hash_of_its_name(name in "/?[a-zü]{0,20}(/[a-zü]{1,20}){0,12}") {
            let names = Names::default();
            let expected: Vec<_> =
                name.match_indices('/').map(|(end, _)| (end, names.hash(&name[..end]))).collect();
            prop_assert_eq!(names.above(&name).collect::<Vec<_>>(), expected);
        }

        /// Whatever comes and goes, and however many want the same place, also at the end of the
        /// table.
        #[test]
        fn a_table_of_names_is_a_map(
            steps in prop::collection::vec((prop_oneof![0..4_u32, (u32::MAX - 3)..=u32::MAX, any::<u32>()], 0..40_u32), 0..400),
        ) {
            let mut names = Names::default();
            // A node has one hash as long as it is there.
            let mut expected = BTreeMap::new();
            for (hash, node) in steps {
                match expected.remove(&node) {
                    Some(hash) => names.remove(hash, node),
                    None => {
                        names.insert(NameHash(hash), node);
                        expected.insert(node, NameHash(hash));
                    }
                }
                prop_assert_eq!(names.len(), expected.len());
                for node in 0..40 {
                    let hash = expected.get(&node).copied().unwrap_or(NameHash(hash));
                    let found = names.find(hash, |other| other == node);
                    prop_assert_eq!(found, expected.contains_key(&node).then_some(node));
                }
            }
        }
    }
}
