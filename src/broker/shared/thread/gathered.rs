//! Messages that came back from the backbone, put together as one read of a client's is: what is
//! published between two clears is one batch.

use std::collections::HashMap;

use crate::broker::shared::arrival::ArrivalStep;
use crate::codec::{Account, Batch, BatchEntry, Document, Payload, PayloadSpan, Topics, Workspace};
use crate::protocol::{Limits, Topic};

/// Messages that the dispatcher is given together, and bytes of their payloads.
const TOGETHER: usize = 256;
const TOGETHER_BYTES: usize = 256 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    steps: Vec<Step>,
    messages: usize,
    size: usize,
}

#[derive(Debug)]
enum Step {
    Publish(Box<Publishes>),
    Clear(Topic),
}

/// Messages of one batch.
#[derive(Debug, Default)]
struct Publishes {
    bytes: Vec<u8>,
    topics: Vec<Topic>,
    places: HashMap<Topic, u32>,
    messages: Vec<BatchEntry>,
    properties: Vec<(u32, Box<[u8]>)>,
}

impl Gathered {
    /// Whether it is enough for one event.
    pub(super) fn is_enough(&self) -> bool {
        self.messages >= TOGETHER || self.size >= TOGETHER_BYTES
    }

    /// Adds that a topic has no last value any more.
    pub(super) fn clear(&mut self, topic: Topic) {
        self.messages += 1;
        self.steps.push(Step::Clear(topic));
    }

    /// Adds a message, which may become the topic's last value, for so many seconds if that is
    /// said.
    pub(super) fn publish(
        &mut self,
        topic: Topic,
        payload: Payload,
        (retain, ttl): (bool, Option<u32>),
    ) {
        if !matches!(self.steps.last(), Some(Step::Publish(_))) {
            self.steps.push(Step::Publish(Box::default()));
        }
        let Some(Step::Publish(publishes)) = self.steps.last_mut() else { return };
        self.messages += 1;
        self.size += payload.source().len() + payload.properties().len();
        publishes.add(topic, payload, retain, ttl);
    }

    /// What the dispatcher is given, in memory that is taken of an account.
    pub(super) fn finish(self, limits: Limits, account: &Account) -> Vec<ArrivalStep> {
        let step = |step| match step {
            Step::Clear(topic) => ArrivalStep::Clear(topic),
            Step::Publish(publishes) => ArrivalStep::Publish(publishes.finish(limits, account)),
        };
        self.steps.into_iter().map(step).collect()
    }
}

impl Publishes {
    fn add(&mut self, topic: Topic, payload: Payload, retain: bool, ttl: Option<u32>) {
        let next = self.topics.len() as u32;
        let place = *self.places.entry(topic).or_insert_with_key(|topic| {
            self.topics.push(topic.clone());
            next
        });
        let (format, encoding, qos) = (payload.format(), payload.encoding(), payload.qos());
        let (bytes, properties) = payload.into_parts();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&bytes);
        let part = encoding.part(start..self.bytes.len());
        let span = PayloadSpan { part, document: None };
        if !properties.is_empty() {
            self.properties.push((self.messages.len() as u32, properties));
        }
        self.messages.push(BatchEntry::new(place, format, &span, retain, ttl, None).with_qos(qos));
    }

    fn finish(self, limits: Limits, account: &Account) -> Box<Batch> {
        let topics: Topics = self.topics.into_iter().collect();
        let batch = Batch::new(self.bytes, Document::new(), topics, self.messages, limits);
        let batch = batch.with_properties(self.properties);
        let claim = account.charge(batch.weight());
        Box::new(batch.holding(claim, Workspace::default()))
    }
}
