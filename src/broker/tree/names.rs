//! The nodes by the names of their topics.
//!
//! A part of each name's hash stands beside the node's number. So a search looks at the node of a name and at no other, the
//! table grows without looking at any, and where a name is can be asked before anything else of it has been fetched.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// The hash of a name. Topics are chosen by clients, so it is keyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NameHash(u32);

impl NameHash {
    /// What the table wants: its lower bits choose a place, its upper ones tell neighbours apart.
    fn spread(self) -> u64 {
        u64::from(self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Which node has which name.
#[derive(Debug, Default)]
pub(super) struct Names {
    table: HashTable<(NameHash, u32)>,
    hasher: RandomState,
}

impl Names {
    /// The hash of a name.
    pub(super) fn hash(&self, name: &str) -> NameHash {
        NameHash(self.hasher.hash_one(name) as u32)
    }

    /// The node with such a hash for which `is_it` is true.
    pub(super) fn find(&self, hash: NameHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let found = self.table.find(hash.spread(), |(other, node)| *other == hash && is_it(*node));
        found.map(|(_, node)| *node)
    }

    /// Adds a name that is not there.
    pub(super) fn insert(&mut self, hash: NameHash, node: u32) {
        self.table.insert_unique(hash.spread(), (hash, node), |(hash, _)| hash.spread());
    }

    /// Takes the name of a node away.
    pub(super) fn remove(&mut self, hash: NameHash, node: u32) {
        if let Ok(entry) = self.table.find_entry(hash.spread(), |entry| *entry == (hash, node)) {
            entry.remove();
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
