//! What came back from the backbone: it is read here, and given to the dispatcher.

use std::time::{Duration, Instant};

use super::SharedThread;
use crate::broker::shared::arrival::{Arrival, ArrivalStep};
use crate::broker::shared::backbone::{Arrived, Incoming, Position, SharedContent, SharedPayload};
use crate::broker::shared::content::judged;
use crate::broker::streams::FromStream;
use crate::broker::wall_clock;
use crate::codec::{Batch, Payload};
use crate::protocol::{ErrorCode, Limits, Topic};

/// Messages that the dispatcher is given together, and bytes of their payloads.
const TOGETHER: usize = 256;
const TOGETHER_BYTES: usize = 256 << 10;

impl SharedThread {
    /// Reads what the backbone has put into its order, and gives it to the dispatcher.
    pub(super) fn arrived(&mut self, arrived: Arrived) {
        if self.is_unheard {
            return;
        }
        let Arrived { epoch, messages, last, room } = arrived;
        if *self.epoch != *epoch {
            if !self.epoch.is_empty() {
                tracing::warn!(
                    stream = %self.state.name(),
                    "the shared stream is another one than before: its messages begin anew, and \
                     last values that it does not have stay as they were"
                );
            }
            (self.epoch, self.seq) = (epoch, 0);
            self.of_status(|status| status.begin_anew());
        }
        let mut room = Some(room);
        let (mut steps, mut bytes) = (Vec::new(), 0);
        let mut messages = messages.into_iter().peekable();
        while let Some(message) = messages.next() {
            let seq = message.seq;
            if let SharedContent::Payload(payload) = &message.message.content {
                bytes += payload.bytes.len();
            }
            // What was delivered is not delivered once more.
            if seq > self.seq {
                steps.extend(self.step_of(message));
                self.seq = seq;
            }
            let is_last = messages.peek().is_none();
            if !is_last && steps.len() < TOGETHER && bytes < TOGETHER_BYTES {
                continue;
            }
            bytes = 0;
            let room = if is_last { room.take() } else { None };
            let Some(position) = self.position() else { continue };
            let steps = std::mem::take(&mut steps);
            let arrival = Box::new(Arrival { steps, position, room });
            if self.announcer.send(FromStream::Arrived(arrival)).is_err() {
                // The broker stops. What it has not delivered comes again.
                self.is_unheard = true;
                return;
            }
            let seq = self.seq;
            self.of_status(|status| status.applied(seq, seq));
        }
        let seq = self.seq;
        self.of_status(|status| status.applied(seq, last));
    }

    /// The batch that says how far this broker is.
    fn position(&self) -> Option<Box<Batch>> {
        let payload = Position { epoch: self.epoch.to_string(), seq: self.seq }.to_payload()?;
        let topic = self.position_topic.clone();
        Some(Box::new(Batch::of_payload(topic, payload, (true, None), Limits::NONE)))
    }

    /// What is to be done about a message; `None` where it is none here.
    fn step_of(&mut self, message: Incoming) -> Option<ArrivalStep> {
        let Incoming { seq, time, message, .. } = message;
        let topic = message.topic;
        if !self.topics.filter.matches(&topic) {
            self.reject(seq, topic.as_str(), "its topic is not among those that are shared");
            return None;
        }
        let SharedContent::Payload(payload) = message.content else {
            return Some(ArrivalStep::Clear(topic));
        };
        let age = wall_clock().saturating_sub(time) / 1_000;
        let ttl = payload.ttl.map(|ttl| u64::from(ttl).saturating_sub(age));
        if ttl == Some(0) {
            // The value before it is none any more, either.
            return payload.retain.then_some(ArrivalStep::Clear(topic));
        }
        let how = (payload.retain, ttl.and_then(|ttl| u32::try_from(ttl).ok()));
        let payload = self.read(seq, &topic, payload)?;
        Some(ArrivalStep::Publish(Box::new(Batch::of_payload(topic, payload, how, self.limits))))
    }

    /// Reads a payload; `None` where it is none.
    pub(super) fn read(
        &mut self,
        seq: u64,
        topic: &Topic,
        payload: SharedPayload,
    ) -> Option<Payload> {
        loop {
            let again = payload.clone();
            match judged(topic.name(), again, &self.workspace, &self.limits) {
                Ok(payload) => return Some(payload),
                // Memory comes back, and nothing of the order may be left out.
                Err(refusal) if refusal.code == ErrorCode::MemoryFull && !self.is_stopping() => {
                    tracing::warn!(stream = %self.state.name(), seq, "{}", refusal.reason);
                }
                Err(refusal) => {
                    self.reject(seq, topic.as_str(), &refusal.to_string());
                    return None;
                }
            }
        }
    }

    /// Says that a message of the stream is none here.
    fn reject(&mut self, seq: u64, topic: &str, reason: &str) {
        self.of_status(|status| status.rejected());
        if self.complaints.may() {
            tracing::warn!(
                stream = %self.state.name(), seq, topic,
                "a message of the shared stream is not delivered: {reason}"
            );
        }
    }
}

/// A complaint that may be made once in a while.
#[derive(Debug, Default)]
pub(super) struct Complaints(Option<Instant>);

impl Complaints {
    /// Time between two.
    const PAUSE: Duration = Duration::from_secs(10);

    fn may(&mut self) -> bool {
        let may = self.0.is_none_or(|last| last.elapsed() >= Self::PAUSE);
        if may {
            self.0 = Some(Instant::now());
        }
        may
    }
}
