//! Fetching what some publications will need, all of it side by side.
//!
//! Among a million topics almost everything that a publication looks at has to come from memory,
//! one thing after the other: the place of the name, the node, the value, its neighbours in the
//! order of publication. For one topic each of these waits for the one before; for several topics
//! they do not wait for each other. So before some messages are stored, the first thing of each is
//! looked at, then the second of each, and so on, and the processor waits for all of a kind at
//! once.

use std::hint::black_box;

use super::Marker;
use super::NOBODY;
use super::TopicId;
use super::Tree;
use super::names::NameHash;
use crate::broker::retained::stored::Stored;
use crate::protocol::TopicName;

/// Topics that are approached together. A processor waits for about so many lines of memory at a
/// time.
pub(in crate::broker) const AHEAD: usize = 16;

/// Some topics that will be looked for next.
#[derive(Debug)]
pub(in crate::broker) struct Prefetch {
    /// The first of the topics, by its index among those of a batch.
    first: usize,
    hashes: [NameHash; AHEAD],
    count: usize,
}

impl Default for Prefetch {
    fn default() -> Prefetch {
        Prefetch { first: 0, hashes: [NameHash::default(); AHEAD], count: 0 }
    }
}

impl Tree {
    /// Approaches topics, the first of which has the index `first`. At most [`AHEAD`] are taken.
    pub(in crate::broker) fn approach<'a>(
        &self,
        first: usize,
        topics: impl Iterator<Item = TopicName<'a>>,
    ) -> Prefetch {
        let mut approach = Prefetch { first, ..Prefetch::default() };
        for (hash, topic) in approach.hashes.iter_mut().zip(topics) {
            *hash = self.names.hash(topic.as_str());
            approach.count += 1;
        }
        let hashes = &approach.hashes[..approach.count];
        if hashes.len() > 1 {
            black_box(hashes.iter().fold(0, |seen, hash| seen ^ self.names.glance(*hash)));
            let mut places = [NOBODY; AHEAD];
            for (place, hash) in places.iter_mut().zip(hashes) {
                *place = self.names.find(*hash, |_| true).unwrap_or(NOBODY);
            }
            self.glance(&places[..hashes.len()]);
        }
        approach
    }

    /// Looks at some nodes, at their values, and at who stands beside them in the order of
    /// publication.
    fn glance(&self, places: &[u32]) {
        let nodes = || places.iter().filter_map(|place| self.nodes.get(*place));
        black_box(nodes().fold(0, |seen, node| seen ^ node.messages));
        let links = places.iter().fold(0, |seen, place| seen ^ self.order.glance(*place));
        black_box(links);
        let mut seen = 0;
        for (stored, place) in nodes().zip(places) {
            seen ^= stored.stored.as_ref().map_or(0, Stored::glance);
            seen ^= self.order.glance_beside(*place) as u8;
        }
        black_box(seen);
    }

    /// Approaches what lies behind a marker.
    pub(in crate::broker) fn approach_behind(&self, marker: &Marker) {
        let mut places = [NOBODY; AHEAD];
        let mut next = self.order.after(marker.0);
        let mut count = 0;
        while let Some(place) = next
            && count < AHEAD
        {
            places[count] = place;
            count += 1;
            next = self.order.after(place);
        }
        self.glance(&places[..count]);
    }

    /// Looks for a topic, as [`find`](Self::find), more quickly if it was approached.
    pub(in crate::broker) fn find_approached(
        &self,
        index: usize,
        topic: TopicName<'_>,
        approach: &Prefetch,
    ) -> Option<TopicId> {
        let hash = index.checked_sub(approach.first).filter(|at| *at < approach.count);
        let hash = hash.map_or_else(|| self.names.hash(topic.as_str()), |at| approach.hashes[at]);
        self.named(topic.as_str(), hash)
    }
}
