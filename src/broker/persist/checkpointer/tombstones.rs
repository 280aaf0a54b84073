//! Topics that were cleared and that the disk may still have.

use std::collections::BTreeSet;

use crate::protocol::{MAX_UNSAVED_CLEARS, Topic, UNSAVED_CLEAR};

/// The topics. Each counts until the disk has forgotten it, so that what a disk that hangs costs is
/// bounded.
#[derive(Debug)]
pub(super) struct Tombstones {
    waiting: BTreeSet<Topic>,
    /// Those that wait, and those that were handed over and may not be off the disk.
    count: usize,
    /// What they cost.
    bytes: usize,
    most: usize,
}

impl Default for Tombstones {
    fn default() -> Tombstones {
        Tombstones { waiting: BTreeSet::new(), count: 0, bytes: 0, most: MAX_UNSAVED_CLEARS }
    }
}

impl Tombstones {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.most
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn add(&mut self, topic: Topic) {
        let bytes = cost(&topic);
        if self.waiting.insert(topic) {
            self.count += 1;
            self.bytes += bytes;
        }
    }

    /// One that waits. It counts until it is [settled](Self::settle) or [taken
    /// back](Self::take_back).
    pub(super) fn hand_over(&mut self) -> Option<Topic> {
        self.waiting.pop_first()
    }

    /// Notes that topics that were handed over are off the disk.
    pub(super) fn settle(&mut self, topics: &[Topic]) {
        self.count -= topics.len();
        self.bytes -= topics.iter().map(cost).sum::<usize>();
    }

    /// Notes that topics that were handed over may still be on the disk, and have to be handed over
    /// again.
    pub(super) fn take_back(&mut self, topics: Vec<Topic>) {
        self.settle(&topics);
        topics.into_iter().for_each(|topic| self.add(topic));
    }

    #[cfg(test)]
    pub(super) fn at_most(&mut self, bytes: usize) {
        self.most = bytes;
    }
}

fn cost(topic: &Topic) -> usize {
    topic.as_str().len() + UNSAVED_CLEAR
}
