//! A message as a consumer of NATS has it, as one of the broker.

use async_nats::Message;
use async_nats::jetstream;

use super::headers;
use super::place::Place;
use super::subject;
use super::warnings::Warnings;
use crate::broker::{Incoming, SharedMessage};

/// A message, and what its consumer says of it.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Its number in the stream.
    pub(super) seq: u64,
    /// Its number among what the consumer has delivered.
    pub(super) delivery: u64,
    /// How often it was delivered, with this time.
    pub(super) attempt: u32,
    /// How many messages the consumer has not delivered yet.
    pub(super) pending: u64,
    /// Bytes of it.
    pub(super) bytes: usize,
    /// The message; `None` where it is none that a broker can have.
    pub(super) message: Option<Incoming>,
}

/// Reads what came of a consumer; `None` where it says of itself nothing that can be read.
pub(super) fn read(place: &Place, message: Message, warnings: &mut Warnings) -> Option<Arrival> {
    let bytes = message.length + message.subject.len();
    let message = jetstream::Message { message, context: place.jetstream.clone() };
    let info = message.info().ok()?;
    let (seq, time) = (info.stream_sequence, info.published.unix_timestamp_nanos() / 1_000_000);
    let (delivery, pending) = (info.consumer_sequence, info.pending);
    let attempt = u32::try_from(info.delivered).unwrap_or(u32::MAX);
    let topic = subject::to_topic(&message.subject);
    let inbound = headers::read(message.headers.as_ref(), &message.payload);
    let mut warn = |what: String| {
        if let Some(count) = warnings.note() {
            let stream = &place.stream;
            tracing::warn!(%stream, seq, count, "a message of NATS {what}");
        }
    };
    if topic.is_none() {
        warn(format!("is passed over: its subject {:?} is no topic", message.subject.as_str()));
    }
    if let Some(odd) = inbound.as_ref().and_then(|inbound| inbound.odd) {
        warn(format!("has a header {odd} that is not understood"));
    }
    let message = topic.zip(inbound).map(|(topic, inbound)| Incoming {
        seq,
        time: u64::try_from(time).unwrap_or_default(),
        id: inbound.id,
        message: SharedMessage { topic, content: inbound.content },
    });
    Some(Arrival { seq, delivery, attempt, pending, bytes, message })
}
