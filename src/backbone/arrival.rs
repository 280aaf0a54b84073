//! A message as a consumer of NATS has it, as one of the broker.

use async_nats::Message;

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
    let Told { attempt, seq, delivery, time, pending } = told(message.reply.as_deref()?)?;
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
        time: time / 1_000_000,
        id: inbound.id,
        message: SharedMessage { topic, content: inbound.content },
    });
    Some(Arrival { seq, delivery, attempt, pending, bytes, message })
}

/// What a consumer says beside a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    attempt: u32,
    seq: u64,
    delivery: u64,
    /// Nanoseconds since 1970.
    time: u64,
    pending: u64,
}

/// Reads the subject on which a message is settled (ADR-15 of NATS): behind `$JS.ACK`, and perhaps
/// a domain and an account, there are the stream, the consumer, and these numbers.
fn told(reply: &str) -> Option<Told> {
    let tokens = reply.strip_prefix("$JS.ACK.")?.split('.');
    let before = match tokens.clone().count() {
        7 => 2,
        9.. => 4,
        _ => return None,
    };
    let mut numbers = tokens.skip(before).map(|token| token.parse::<u64>().ok());
    let mut number = || numbers.next().flatten();
    let attempt = u32::try_from(number()?).unwrap_or(u32::MAX);
    let (seq, delivery, time, pending) = (number()?, number()?, number()?, number()?);
    Some(Told { attempt, seq, delivery, time, pending })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_says_which_message_it_is() {
        let expected = Told { attempt: 3, seq: 70, delivery: 8, time: 1_764_000_000, pending: 2 };
        let numbers = "3.70.8.1764000000.2";
        for before in ["orders.billing", "_.hash.orders.billing", "hub.hash.orders.billing"] {
            assert_eq!(told(&format!("$JS.ACK.{before}.{numbers}")), Some(expected), "{before}");
        }
        let more = format!("$JS.ACK.hub.hash.orders.billing.{numbers}.token.more");
        assert_eq!(told(&more), Some(expected));
        for other in [
            "_INBOX.1.2.3.4.5.6.7.8.9",
            "$JS.ACK.orders.billing.3.70.8.1764000000",
            "$JS.ACK.hash.orders.billing.3.70.8.1764000000.2",
            "$JS.ACK.orders.billing.3.-70.8.1764000000.2",
            "$JS.ACK.orders.billing.3.x.8.1764000000.2",
        ] {
            assert_eq!(told(other), None, "{other}");
        }
    }
}
