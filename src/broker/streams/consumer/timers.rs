//! When something is due. Entries are not removed when what they are for is settled: they are
//! passed over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Entries that are kept without asking whether anybody needs them.
const FEW: usize = 64;

/// A time, and the numbers of the first and last message of which some may be due then.
pub(super) type Entry = (u64, u64, u64);

#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<Entry>>);

impl Timers {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.0.push(Reverse(entry));
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<Entry> {
        self.0.peek().map(|entry| entry.0)
    }

    /// Takes the first away.
    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    /// Whether most entries must be of messages that are settled, where so many runs are left.
    pub(super) fn are_stale(&self, runs: usize) -> bool {
        self.0.len() > FEW + 2 * runs
    }

    /// Puts others in the place of all.
    pub(super) fn replace(&mut self, entries: impl Iterator<Item = Entry>) {
        self.0 = entries.map(Reverse).collect();
    }
}
