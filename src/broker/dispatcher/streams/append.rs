//! Messages on their way into streams.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::{Dispatcher, Streams};
use crate::broker::delivery::Selection;
use crate::broker::streams::{Append, Condition, What};
use crate::broker::wall_clock;
use crate::codec::Batch;
use crate::protocol::{ErrorCode, Refusal, TopicName};

impl Dispatcher {
    /// Gives messages of a batch their numbers in a stream, and hands them to it.
    pub(in crate::broker::dispatcher) fn append(
        &mut self,
        batch: &Arc<Batch>,
        place: u32,
        selection: Selection,
        messages: usize,
    ) {
        let burial = self.streams.burial.take();
        let Some(stream) = self.streams.at(place) else { return };
        // A clock that is set back does not set the stream back.
        stream.time = stream.time.max(wall_clock());
        let (first, bytes) = (stream.next, batch.weight());
        stream.next += messages as u64;
        stream.state.queue(bytes, messages as u64);
        // The backbone knows those of its streams.
        if batch.has_ids() && !stream.is_shared() {
            let now = Instant::now();
            let ids = selection.places(batch).filter_map(|index| batch.id(index));
            for id in ids {
                stream.ids.note(id, now);
            }
        }
        let time = stream.time;
        let append = Append { batch: batch.clone(), selection, first, time, bytes, burial };
        stream.hand_over(What::Append(append));
        if !self.streams.touched.contains(&place) {
            self.streams.touched.push(place);
        }
        self.counts.kept += messages as u64;
    }
}

impl Streams {
    /// Which messages of a batch are repetitions of others that their streams have; empty for none.
    pub(in crate::broker::dispatcher) fn repeated(&mut self, batch: &Batch) -> Vec<bool> {
        let mut repeated = Vec::new();
        if !batch.has_ids() || self.all.is_empty() {
            return repeated;
        }
        let now = Instant::now();
        // Those of this batch itself, by stream.
        let mut seen = HashSet::new();
        repeated.resize(batch.messages().len(), false);
        for (index, message) in batch.messages().iter().enumerate() {
            let Some(id) = batch.id(index) else { continue };
            let topic = batch.topics().get(message.topic());
            // It is stored anew where one of its streams does not have it.
            let (mut places, mut is_new) = (Vec::new(), false);
            self.filters.each_matching(topic, |of_filter| places.extend_from_slice(of_filter));
            for place in &places {
                let is_first = seen.insert((*place, id));
                is_new |=
                    is_first && self.at(*place).is_some_and(|stream| !stream.ids.knows(id, now));
            }
            repeated[index] = !places.is_empty() && !is_new;
            if repeated[index] {
                // What a pong says of a repetition is said of the first one.
                places.retain(|place| !self.touched.contains(place));
                self.touched.append(&mut places);
            }
        }
        repeated
    }

    /// Whether the streams that keep a topic take a message.
    ///
    /// # Errors
    /// [`ErrorCode::StreamFull`] or [`ErrorCode::StorageFailed`].
    pub(in crate::broker::dispatcher) fn take(&self, topic: TopicName<'_>) -> Result<(), Refusal> {
        let mut places = Vec::new();
        self.filters.each_matching(topic, |of_filter| places.extend_from_slice(of_filter));
        for place in places {
            let Some(Some(stream)) = self.all.get(place as usize) else { continue };
            let name = stream.name();
            let (code, reason) = match stream.state.condition() {
                Condition::Open => continue,
                Condition::Full => (
                    ErrorCode::StreamFull,
                    format!(
                        "the stream {name} is full and drops nothing ({}); try again later, or \
                         give it higher limits with `babelmq stream add`",
                        stream.definition
                    ),
                ),
                Condition::Failing => (
                    ErrorCode::StorageFailed,
                    format!(
                        "the stream {name} cannot be written to: {}; try again later",
                        stream.state.reason()
                    ),
                ),
            };
            return Err(Refusal::new(code, reason).about(topic.as_str()));
        }
        Ok(())
    }
}
