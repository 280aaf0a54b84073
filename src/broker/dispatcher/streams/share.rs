//! Messages of topics that brokers share: they go to the backbone, and are stored and delivered
//! when they come back from it, as those of other brokers are.

use std::sync::Arc;

use super::{DEAD, Dispatcher, Stream, Streams, dead_letters};
use crate::broker::delivery::Selection;
use crate::broker::persist::StoreError;
use crate::broker::shared::{
    Arrival, ArrivalStep, BESIDE, CLEARED, NewShared, Shared, SharedTopics,
};
use crate::broker::streams::{Announcer, Condition, What, overlap};
use crate::codec::Batch;
use crate::protocol::{ErrorCode, Format, Limits, Refusal, Token, Topic, TopicFilter, TopicName};

/// Messages of a batch that go to a stream of the backbone: its place, and which.
pub(in crate::broker::dispatcher) type Share = (u32, Vec<u32>);

impl Dispatcher {
    /// Begins to share topics with other brokers, behind [`keep_in`](Self::keep_in) and
    /// [`open_streams`](Self::open_streams).
    ///
    /// # Errors
    /// [`StoreError`] where a stream of this broker keeps some of them, or their line to the
    /// backbone cannot be begun.
    pub fn share_topics(
        &mut self,
        topics: &[SharedTopics],
        shared: &mut Shared,
        announcer: &Announcer,
        limits: Limits,
    ) -> Result<(), StoreError> {
        self.streams.shared_limits = limits;
        let begun = self.begin_to_share(topics, shared, announcer, limits);
        if begun.is_err() {
            // Those that were begun end.
            self.finish_streams();
        }
        self.note_room();
        begun
    }

    fn begin_to_share(
        &mut self,
        topics: &[SharedTopics],
        shared: &mut Shared,
        announcer: &Announcer,
        limits: Limits,
    ) -> Result<(), StoreError> {
        if let Some(opener) = self.streams.opener.clone()
            && !topics.is_empty()
            && self.streams.named(DEAD).is_none()
            && let Some(dead) = dead_letters()
        {
            let open = opener.open(dead)?;
            self.add_stream(open);
        }
        for topics in topics {
            if let Some(reason) = self.streams.conflict(&topics.stream, &topics.filter) {
                return Err(StoreError::new(format!("cannot share {}: {reason}", topics.filter)));
            }
            let remembered = Topic::parse(&topics.position_topic())
                .ok()
                .and_then(|topic| Some(self.tree.get(&topic)?.payload().to_payload()));
            let open = shared.open(NewShared {
                topics: topics.clone(),
                remembered,
                announcer: announcer.clone(),
                limits,
                memory: self.memory.clone(),
                watch: self.streams.watch.clone(),
            })?;
            self.add_stream(open);
        }
        Ok(())
    }

    /// Takes the messages out of a batch that go to the backbone, and says so in `left_out`; what
    /// it does not take at present is refused.
    pub(in crate::broker::dispatcher) fn share(
        &mut self,
        batch: &Batch,
        left_out: &mut Vec<bool>,
        refused: &mut Vec<(Token, Refusal)>,
    ) -> Vec<Share> {
        let mut shares: Vec<Share> = Vec::new();
        if !self.streams.are_shared() || self.streams.is_arriving {
            return shares;
        }
        let mut last = None;
        for (index, message) in batch.messages().iter().enumerate() {
            let topic = batch.topics().get(message.topic());
            let place = match last {
                Some((topic, place)) if topic == message.topic() => place,
                _ => self.streams.shares(topic),
            };
            last = Some((message.topic(), place));
            let Some(place) = place else { continue };
            left_out.resize(batch.messages().len(), false);
            left_out[index] = true;
            let payload = batch.payload(index);
            let id = batch.id(index).map_or(0, str::len);
            let bytes = payload.source().len() + payload.properties_len().div_ceil(3) * 4 + id;
            match self.streams.take_shared(place, topic, bytes) {
                Err(refusal) => refused.push((message.token(), refusal)),
                Ok(()) => match shares.iter_mut().find(|(other, _)| *other == place) {
                    Some((_, indices)) => indices.push(index as u32),
                    None => shares.push((place, vec![index as u32])),
                },
            }
        }
        shares
    }

    /// Hands messages to the backbone.
    pub(in crate::broker::dispatcher) fn hand_to_backbone(
        &mut self,
        batch: &Arc<Batch>,
        shares: Vec<Share>,
    ) {
        for (place, indices) in shares {
            let messages = indices.len();
            self.append(batch, place, Selection::Some(indices.into()), messages);
        }
    }

    /// Forgets the last value of a topic where that is this broker's own, and asks the backbone to
    /// have all brokers forget it where they share it. Returns whether there is one.
    pub(in crate::broker::dispatcher) fn clear_or_share(&mut self, topic: &Topic) -> bool {
        let Some(place) = self.streams.shares(topic.name()) else { return self.forget(topic) };
        let Some(stream) = self.streams.at(place) else { return false };
        stream.state.queue(topic.as_str().len() + CLEARED, 1);
        stream.hand_over(What::Clear { topic: topic.clone() });
        if !self.streams.touched.contains(&place) {
            self.streams.touched.push(place);
        }
        self.tree.get(topic).is_some()
    }

    /// Stores and delivers what came back from the backbone.
    pub(in crate::broker::dispatcher) fn arrive(&mut self, arrival: Arrival) {
        let Arrival { steps, position, room } = arrival;
        self.streams.is_arriving = true;
        for step in steps {
            match step {
                ArrivalStep::Publish(batch) => {
                    // All that can be refused is to be remembered.
                    drop(self.publish(batch, true));
                    for topic in std::mem::take(&mut self.streams.unremembered) {
                        self.clear(&topic);
                    }
                }
                ArrivalStep::Clear(topic) => drop(self.clear(&topic)),
            }
        }
        // What is behind it in the order of publication is on the disk when it is.
        drop(self.publish(position, false));
        // It is no message of anybody's.
        self.counts.published -= 1;
        self.counts.published_in[Format::Json as usize] -= 1;
        self.streams.is_arriving = false;
        self.streams.forget_touched();
        drop(room);
    }

    /// Notes that there is no room to remember a message that came back, which is delivered all the
    /// same: no value is better than an old one that other brokers do not have.
    pub(in crate::broker::dispatcher) fn cannot_remember(&mut self, topic: TopicName<'_>) {
        self.counts.shared_unremembered += 1;
        self.streams.unremembered.push(topic.to_topic());
    }
}

impl Streams {
    /// Whether this broker shares any topics.
    pub(in crate::broker::dispatcher) fn are_shared(&self) -> bool {
        !self.shared.is_empty()
    }

    /// The stream of the backbone that a topic goes to, if it is shared.
    pub(in crate::broker::dispatcher) fn shares(&self, topic: TopicName<'_>) -> Option<u32> {
        let mut found = None;
        self.shared.each_matching(topic, |place| found = Some(*place));
        found
    }

    /// Whether some of a filter's topics are shared with other brokers.
    pub(in crate::broker::dispatcher) fn shares_some(&self, filter: &TopicFilter) -> bool {
        self.each().any(|stream| stream.is_shared() && overlap(&stream.definition.filter, filter))
    }

    /// Why a stream of the backbone cannot have this name and filter, if it cannot.
    fn conflict(&self, name: &str, filter: &TopicFilter) -> Option<String> {
        self.each().find_map(|stream| match () {
            () if stream.name() == name => Some(format!(
                "there is a stream {name} already; give this one another name (NAME={filter})"
            )),
            () if overlap(&stream.definition.filter, filter) => Some(format!(
                "the stream {} has some of its topics ({}), and the messages of a shared topic \
                 are in one stream, that of the backbone",
                stream.name(),
                stream.definition.filter
            )),
            () => None,
        })
    }

    /// Whether the backbone takes a message of so many bytes, with what is said beside it.
    ///
    /// # Errors
    /// [`ErrorCode::BackboneUnavailable`], [`ErrorCode::StreamFull`] or [`ErrorCode::TooLarge`].
    fn take_shared(&self, place: u32, topic: TopicName<'_>, bytes: usize) -> Result<(), Refusal> {
        let Some(Some(stream)) = self.all.get(place as usize) else { return Ok(()) };
        let (name, state) = (stream.name(), &stream.state);
        let (code, reason) = match state.condition() {
            Condition::Failing => (
                ErrorCode::BackboneUnavailable,
                format!(
                    "the shared stream {name} cannot be reached: {}; try again later",
                    state.reason()
                ),
            ),
            Condition::Full => (
                ErrorCode::StreamFull,
                format!(
                    "the shared stream {name} takes nothing more: {}; give it higher limits \
                     (`babelmq backbone create`), or try again later",
                    state.reason()
                ),
            ),
            Condition::Open => {
                let most = state.shared().and_then(|shared| shared.max_payload());
                let Some(most) = most.filter(|most| bytes + BESIDE > *most) else { return Ok(()) };
                let own = self.shared_limits.max_frame;
                let reason = format!(
                    "this message has {bytes} bytes, and the backbone takes {most} at most with \
                     its headers (max_payload of its NATS servers, or max_msg_size of the \
                     stream {name}; this broker by itself would take a frame of {own}); send less \
                     at a time, or raise that limit"
                );
                (ErrorCode::TooLarge, reason)
            }
        };
        if let Some(shared) = state.shared() {
            shared.refused();
        }
        Err(Refusal::new(code, reason).about(topic.as_str()))
    }
}

impl Stream {
    /// Whether it is of the backbone, and no log of this broker's.
    pub(super) fn is_shared(&self) -> bool {
        self.state.shared().is_some()
    }
}
