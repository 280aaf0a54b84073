//! Where in a segment things are: every so many bytes a place, and the last message of each topic.

use std::collections::{HashMap, VecDeque};

/// Bytes between two places.
const SPACING: u64 = 64 << 10;
/// Places of what was appended last. A reader that waits for the next message begins there, rather
/// than read up to `SPACING` bytes again for it.
const RECENT: usize = 16;
/// Topics in one segment, and bytes of their names. The next message begins another segment, so
/// that no index becomes large.
const TOPICS: usize = 65_536;
const TOPIC_BYTES: usize = 4 << 20;

/// Bytes that a topic takes, its name aside: a place in a map, which is half empty at times.
const TOPIC: usize = 64;

/// The place of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) time: u64,
    pub(super) offset: u64,
}

/// The last message of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) seq: u64,
    pub(super) offset: u32,
}

/// The index of one segment, in memory.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) places: Vec<Place>,
    /// Where the last appends begin.
    recent: VecDeque<Place>,
    pub(super) topics: HashMap<Box<str>, Last>,
    /// Messages that have an id.
    pub(super) ids: u32,
    topic_bytes: usize,
}

impl Index {
    /// Adds a message. Returns the one before of the same topic.
    pub(super) fn add(&mut self, place: Place, topic: &str, has_id: bool) -> Option<Last> {
        self.ids += u32::from(has_id);
        if self.places.last().is_none_or(|last| place.offset - last.offset >= SPACING) {
            self.places.push(place);
        }
        let last = Last { seq: place.seq, offset: place.offset as u32 };
        if let Some(before) = self.topics.get_mut(topic) {
            return Some(std::mem::replace(before, last));
        }
        self.topic_bytes += topic.len();
        self.topics.insert(topic.into(), last);
        None
    }

    /// Takes back the last message that was added; messages are taken back in the opposite order.
    pub(super) fn take_back(&mut self, seq: u64, topic: &str, has_id: bool, before: Option<Last>) {
        self.ids -= u32::from(has_id);
        if self.places.last().is_some_and(|last| last.seq == seq) {
            self.places.pop();
        }
        match (before, self.topics.get_mut(topic)) {
            (Some(before), Some(last)) => *last = before,
            _ => {
                self.topic_bytes -= self.topics.remove(topic).map_or(0, |_| topic.len());
            }
        }
    }

    /// Notes where messages begin that were appended together.
    pub(super) fn appended(&mut self, first: Place) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(first);
    }

    /// The nearest place that is known at or before the message `seq`.
    pub(super) fn nearest(&self, seq: u64) -> Option<Place> {
        let recent = self.recent.iter().rev().find(|place| place.seq <= seq).copied();
        recent.or_else(|| place_of(&self.places, seq))
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn memory(&self) -> usize {
        self.topics.len() * TOPIC + self.topic_bytes + self.places.len() * size_of::<Place>()
    }

    /// Whether there is no room for more topics.
    pub(super) fn is_full(&self) -> bool {
        self.topics.len() >= TOPICS || self.topic_bytes >= TOPIC_BYTES
    }
}

/// The last place at or before the message `seq`.
pub(super) fn place_of(places: &[Place], seq: u64) -> Option<Place> {
    places[..places.partition_point(|place| place.seq <= seq)].last().copied()
}

/// The last place of a message that was published before `time`.
pub(super) fn place_before(places: &[Place], time: u64) -> Option<Place> {
    places[..places.partition_point(|place| place.time < time)].last().copied()
}
