//! The topics that have unsettled messages, where order is by topic: who has them, and what waits.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::members::Slot;
use crate::protocol::TopicName;

/// A topic, by a hash of its name. Two topics whose hashes are the same have one order, which does
/// no harm.
pub(super) type Topic = u64;

/// The hash of a topic.
pub(super) fn topic_of(name: TopicName<'_>) -> Topic {
    FxBuildHasher.hash_one(name.as_str())
}

/// Where a run that is due is listed: by its last number, with the member that alone may have it.
pub(super) type Listed = Option<(u64, Option<Slot>)>;

/// What may happen to the next message of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Any member may have it.
    Free,
    /// This member has others of the topic.
    With(Slot),
    /// Others wait before it.
    Blocked,
}

#[derive(Debug, Default)]
struct Lane {
    owner: Slot,
    /// Messages that the owner has.
    out: u64,
    /// Runs that wait, by their last numbers, and whether they are due.
    waiting: BTreeMap<u64, bool>,
    listed: Listed,
}

/// The lanes of all topics that have any unsettled message.
#[derive(Debug, Default)]
pub(super) struct Lanes(FxHashMap<Topic, Lane>);

impl Lanes {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0 = FxHashMap::default();
    }

    pub(super) fn standing(&self, topic: Topic) -> Standing {
        match self.0.get(&topic) {
            Some(lane) if !lane.waiting.is_empty() => Standing::Blocked,
            Some(lane) if lane.out > 0 => Standing::With(lane.owner),
            _ => Standing::Free,
        }
    }

    /// A member has so many messages of the topic more. Returns how its run was listed, and how it
    /// is to be listed, as all that follow.
    pub(super) fn take(&mut self, topic: Topic, owner: Slot, messages: u64) -> (Listed, Listed) {
        let lane = self.0.entry(topic).or_default();
        lane.owner = owner;
        lane.out += messages;
        self.list(topic)
    }

    /// The owner has so many less.
    pub(super) fn give_back(&mut self, topic: Topic, messages: u64) -> (Listed, Listed) {
        if let Some(lane) = self.0.get_mut(&topic) {
            lane.out = lane.out.saturating_sub(messages);
        }
        self.list(topic)
    }

    /// A run waits.
    pub(super) fn wait(&mut self, topic: Topic, last: u64, is_due: bool) -> (Listed, Listed) {
        self.0.entry(topic).or_default().waiting.insert(last, is_due);
        self.list(topic)
    }

    /// A run waits no more.
    pub(super) fn go_on(&mut self, topic: Topic, last: u64) -> (Listed, Listed) {
        if let Some(lane) = self.0.get_mut(&topic) {
            lane.waiting.remove(&last);
        }
        self.list(topic)
    }

    /// The first that waits is listed if it is due; no other one is.
    fn list(&mut self, topic: Topic) -> (Listed, Listed) {
        let Some(lane) = self.0.get_mut(&topic) else {
            return (None, None);
        };
        let owner = (lane.out > 0).then_some(lane.owner);
        let first = lane.waiting.first_key_value();
        let listed = first.and_then(|(&last, &is_due)| is_due.then_some((last, owner)));
        let before = std::mem::replace(&mut lane.listed, listed);
        if lane.out == 0 && lane.waiting.is_empty() {
            self.0.remove(&topic);
        }
        (before, listed)
    }
}
