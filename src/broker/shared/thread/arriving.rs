//! What came back from the backbone: it is read here, and given to the dispatcher.

use std::time::{Duration, Instant};

use super::SharedThread;
use super::gathered::Gathered;
use crate::broker::shared::arrival::Arrival;
use crate::broker::shared::backbone::{Arrived, Incoming, Position, SharedContent, SharedPayload};
use crate::broker::shared::content::judged;
use crate::broker::streams::FromStream;
use crate::broker::wall_clock;
use crate::codec::{Batch, Payload};
use crate::protocol::{ErrorCode, Limits, Topic};

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
        let mut gathered = Gathered::default();
        let mut messages = messages.into_iter().peekable();
        while let Some(message) = messages.next() {
            let seq = message.seq;
            // What was delivered is not delivered once more.
            if seq > self.seq {
                self.gather(message, &mut gathered);
                self.seq = seq;
            }
            let is_last = messages.peek().is_none();
            if !is_last && !gathered.is_enough() {
                continue;
            }
            let room = if is_last { room.take() } else { None };
            let Some(position) = self.position() else { continue };
            let steps = std::mem::take(&mut gathered).finish(self.limits, &self.flight);
            let arrival = Box::new(Arrival { steps, position, room });
            if self.announcer.send(FromStream::Arrived(arrival)).is_err() {
                // The broker stops. What it has not delivered comes again.
                self.is_unheard = true;
                return;
            }
            let (seq, last) = (self.seq, last.max(self.seq));
            self.of_status(|status| status.applied(seq, last));
        }
        let seq = self.seq;
        self.of_status(|status| status.applied(seq, last));
    }

    /// The batch that says how far this broker is.
    fn position(&self) -> Option<Box<Batch>> {
        let payload =
            Position { epoch: self.epoch.to_string(), seq: self.seq }.to_payload(&self.topics)?;
        let topic = self.position_topic.clone();
        Some(Box::new(Batch::of_payload(topic, payload, (true, None), Limits::NONE)))
    }

    /// Adds what is to be done about a message.
    fn gather(&mut self, message: Incoming, gathered: &mut Gathered) {
        let Incoming { seq, time, message, .. } = message;
        let topic = message.topic;
        if !self.topics.filter.matches(&topic) {
            return self.reject(
                seq,
                topic.as_str(),
                "its topic is not among those that are shared",
            );
        }
        let SharedContent::Payload(payload) = message.content else {
            return gathered.clear(topic);
        };
        let age = wall_clock().saturating_sub(time) / 1_000;
        let ttl = payload.ttl.map(|ttl| u64::from(ttl).saturating_sub(age));
        let is_over = ttl == Some(0);
        let retain = payload.retain;
        let how = (retain && !is_over, ttl.and_then(|ttl| u32::try_from(ttl).ok()));
        let read = self.read(seq, &topic, payload);
        // Whether or not it can be read here, the value before it is none any more.
        let is_gone = retain && (is_over || read.is_none());
        let cleared = is_gone.then(|| topic.clone());
        if let Some(payload) = read {
            gathered.publish(topic, payload, how);
        }
        if let Some(topic) = cleared {
            gathered.clear(topic);
        }
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
                Err(refusal) if refusal.code == ErrorCode::MemoryFull => {
                    if self.announcer.is_closed() {
                        // The broker stops, and nobody will hear of it.
                        self.is_unheard = true;
                        return None;
                    }
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
