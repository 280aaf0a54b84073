//! The topics that a batch has named so far, each judged once.

use super::judged_topics::PLACES;
use super::recent::Recent;
use crate::broker::topic_cost;
use crate::codec::Topics;
use crate::protocol::{Limits, Refusal, TopicName, check_topic_limits, check_writable};

/// The topics of the batch that is being gathered.
#[derive(Debug)]
pub(super) struct BatchTopics {
    topics: Topics,
    /// Indices of topics that the batch has named, counted from 1, each at a place that its last
    /// bytes choose: those which take turns stand in the batch once.
    seen: [u16; PLACES],
}

impl Default for BatchTopics {
    fn default() -> BatchTopics {
        BatchTopics { topics: Topics::default(), seen: [0; PLACES] }
    }
}

impl BatchTopics {
    /// Adds a topic that was judged, whether it is there already or not.
    #[inline]
    pub(super) fn push(&mut self, topic: TopicName<'_>) -> u32 {
        self.topics.push(topic)
    }

    /// The index of a topic among the batch's; one that is new adds to `cost`.
    #[inline]
    pub(super) fn index(
        &mut self,
        text: &str,
        recent: &mut Recent,
        limits: &Limits,
        cost: &mut usize,
    ) -> Result<u32, Refusal> {
        let first = place(text);
        let places = [first, first ^ 1];
        let mut free = None;
        for place in places {
            match self.seen[place].checked_sub(1).map(u32::from) {
                Some(index) if self.topics.get(index as usize).as_str() == text => {
                    return Ok(index);
                }
                Some(_) => {}
                None => free = free.or(Some(place)),
            }
        }
        let topic = if recent.judged.has(text, places) {
            TopicName::judged(text)
        } else {
            check_topic_limits(text, limits)?;
            let topic = TopicName::parse(text)?;
            check_writable(text)?;
            recent.rights.publish(topic)?;
            recent.judged.note(text, places);
            topic
        };
        let index = self.topics.push(topic);
        // One that is not remembered is read in full again.
        self.seen[free.unwrap_or(first)] = u16::try_from(index + 1).unwrap_or(0);
        *cost += topic_cost(text, recent.shapes);
        Ok(index)
    }

    /// The topics of the batch that is whole; the next one begins.
    pub(super) fn take(&mut self) -> Topics {
        self.seen = [0; PLACES];
        std::mem::take(&mut self.topics)
    }
}

/// Where a topic is remembered: topics that take turns mostly differ in their last bytes.
pub(super) fn place(topic: &str) -> usize {
    let last = topic.as_bytes().last_chunk().map_or_else(
        || topic.bytes().fold(0, |word, byte| word << 8 | u64::from(byte)),
        |last| u64::from_le_bytes(*last),
    );
    // The last bytes of the text are the highest of the word, and reach the highest of the product
    // alone (Fibonacci hashing).
    (last.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES.ilog2())) as usize
}
