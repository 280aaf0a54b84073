//! The messages that nobody has looked at yet: all from a number on, and some before it.

use std::collections::BTreeMap;

use super::ranges::{Ranges, width};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Those before `next`: selected ones, those to be tried again, and after a restart all that
    /// are not settled.
    gaps: Ranges,
    /// All from here on.
    next: u64,
    /// How many attempts were begun before the restart, where there were any that count.
    attempts: BTreeMap<u64, u32>,
}

impl Ahead {
    pub(super) fn new(gaps: Ranges, next: u64) -> Ahead {
        Ahead { gaps, next, attempts: BTreeMap::new() }
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn gaps(&self) -> &Ranges {
        &self.gaps
    }

    /// Attempts that were begun before the restart.
    pub(super) fn attempts(&self) -> &BTreeMap<u64, u32> {
        &self.attempts
    }

    pub(super) fn contains(&self, seq: u64) -> bool {
        seq >= self.next || self.gaps.contains(seq)
    }

    /// How many there are before `end`.
    pub(super) fn count(&self, end: u64) -> u64 {
        self.gaps.count().saturating_add(end.saturating_sub(self.next))
    }

    /// The lowest number.
    pub(super) fn floor(&self) -> u64 {
        self.gaps.first().map_or(self.next, |(from, _)| from)
    }

    /// The first of them before `end`, as a range.
    pub(super) fn first(&self, end: u64) -> Option<(u64, u64)> {
        let (from, to) = self.gaps.first().unwrap_or((self.next, u64::MAX));
        (from < end).then(|| (from, to.min(end - 1)))
    }

    /// How far from the beginning of a range attempts are as many, and how many they are.
    pub(super) fn alike(&self, from: u64, to: u64) -> (u64, u32) {
        match self.attempts.range(from..=to).next() {
            None => (to, 0),
            Some((&seq, &attempts)) if seq == from => (from, attempts),
            Some((&seq, _)) => (seq - 1, 0),
        }
    }

    /// Attempts were begun for a message that is among these.
    pub(super) fn tried(&mut self, seq: u64, attempts: u32) {
        if self.contains(seq) {
            self.attempts.insert(seq, attempts);
        }
    }

    /// Adds messages before `next`.
    pub(super) fn insert(&mut self, from: u64, to: u64) {
        self.gaps.insert(from, to);
    }

    /// Removes the numbers from one to another, and says how many of them were there.
    pub(super) fn remove(&mut self, from: u64, to: u64) -> u64 {
        let mut removed = if self.gaps.ranges() > 0 { self.gaps.remove(from, to) } else { 0 };
        if to >= self.next {
            removed = removed.saturating_add(width(from.max(self.next), to));
            if from > self.next {
                self.gaps.insert(self.next, from - 1);
            }
            self.next = to.saturating_add(1);
        }
        while let Some((&seq, _)) = self.attempts.range(from..=to).next() {
            self.attempts.remove(&seq);
        }
        removed
    }
}
