//! Beginning to share topics.

use std::sync::Arc;
use std::time::Duration;

use super::backbone::{Backbone, Position, SharedPlan};
use super::definition::SharedTopics;
use super::held::{HeldMessages, SharedReader};
use super::thread::{NewThread, SharedThread};
use crate::broker::memory::{Memory, Use};
use crate::broker::persist::StoreError;
use crate::broker::streams::{
    Announcer, OpenStream, RecentIds, StreamDefinition, StreamState, StreamsWatch,
};
use crate::broker::sync::{thread, unbounded};
use crate::codec::{Payload, Workspace};
use crate::protocol::{Limits, Topic};

/// Bytes of the threads' stacks: no reader recurses.
const STACK: usize = if cfg!(debug_assertions) { 2 << 20 } else { 512 << 10 };

/// What a broker shares topics by.
#[derive(Debug)]
pub struct Shared {
    backbone: Box<dyn Backbone>,
    patience: Duration,
}

/// What sharing begins with.
#[derive(Debug)]
pub(in crate::broker) struct NewShared {
    pub(in crate::broker) topics: SharedTopics,
    /// What this broker remembers of how far it was.
    pub(in crate::broker) remembered: Option<Payload>,
    pub(in crate::broker) announcer: Announcer,
    pub(in crate::broker) limits: Limits,
    pub(in crate::broker) memory: Memory,
    pub(in crate::broker) watch: StreamsWatch,
}

impl Shared {
    /// Topics are shared by this. What is published to them waits so long for it to answer, before
    /// it is refused.
    pub fn by(backbone: Box<dyn Backbone>, patience: Duration) -> Shared {
        Shared { backbone, patience }
    }

    /// Begins to share topics.
    ///
    /// # Errors
    /// [`StoreError`] as for [`Backbone::open`], and where a thread cannot be started.
    pub(in crate::broker) fn open(&mut self, new: NewShared) -> Result<OpenStream, StoreError> {
        let NewShared { topics, remembered, announcer, limits, memory, watch } = new;
        let failed =
            |reason: String| StoreError::new(format!("cannot share {}: {reason}", topics.filter));
        let definition = StreamDefinition::new(&topics.stream, topics.filter.clone());
        let definition = definition.map_err(failed)?;
        let position_topic = Topic::parse(&topics.position_topic());
        let position_topic = position_topic.map_err(|refusal| failed(refusal.to_string()))?;
        let position =
            remembered.as_ref().and_then(|remembered| Position::of_payload(remembered, &topics));
        let (epoch, seq) = match &position {
            Some(Position { epoch, seq }) => (epoch.as_str().into(), *seq),
            None => (Arc::from(""), 0),
        };
        let (said, from_backbone) = unbounded();
        let plan = SharedPlan { topics: topics.clone(), position };
        let line = self.backbone.open(plan, said)?;
        let state = Arc::new(StreamState::of_shared(topics.stream.as_str().into()));
        let (own, requests) = unbounded();
        let held = Arc::new(HeldMessages::default());
        let account = memory.of(Use::Streams).account();
        let ids = RecentIds::new(&account);
        let name = format!("shared {}", topics.stream);
        let shared = SharedThread::new(NewThread {
            topics,
            position_topic,
            position: (epoch, seq),
            state: state.clone(),
            announcer,
            limits,
            account,
            flight: memory.of(Use::InFlight).account(),
            workspace: Workspace::new(memory.of(Use::Decoding).account()),
            requests: (own.clone(), requests),
            said: from_backbone,
            line,
            held: held.clone(),
            patience: self.patience,
        });
        let thread = thread::Builder::new()
            .name(name)
            .stack_size(STACK)
            .spawn(move || shared.run())
            .map_err(|error| {
                StoreError::new(format!("cannot start the thread of shared topics: {error}"))
                    .with_source(error)
            })?;
        watch.add(state.clone());
        let reader = Arc::new(SharedReader(held));
        Ok(OpenStream { definition, requests: own, state, reader, ids, time: 0, thread })
    }
}
