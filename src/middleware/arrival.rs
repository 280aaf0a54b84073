//! What a client receives.

use super::error::{QueueError, Refused};
use super::origin::Origin;
use super::session::from_broker;
use super::wire::{Incoming, Wire};
use crate::codec::Message;
use crate::protocol::Topic;

/// What a broker sends.
///
#[cfg_attr(feature = "broker", doc = "```")]
#[cfg_attr(not(feature = "broker"), doc = "```ignore")]
/// use babelmq::{Arrival, Client, Format, Subscribe, TopicFilter};
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// # broker.put_topic("/weather/oslo", &21.5.into())?;
/// # let (address, timeout) = (broker.local_addr().to_string(), std::time::Duration::from_secs(10));
///
/// let mut client = Client::connect(&address, timeout)?;
/// client.subscribe(&TopicFilter::parse("/weather")?, Format::Json, Subscribe::default())?;
/// loop {
///     match client.next(None)? {
///         Some(Arrival::Delivery { topic, message, .. }) => println!("{topic} {message:?}"),
///         Some(Arrival::Subscribed { values, .. }) => break assert_eq!(values, 1),
///         Some(Arrival::Refused(refused)) => return Err(refused.into()),
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Arrival {
    /// A message of a subscription.
    #[non_exhaustive]
    Delivery {
        /// Where it was published.
        topic: Topic,
        /// In the format of the subscription.
        message: Message,
        /// Whether it is a stored value, published before the subscription.
        retained: bool,
        /// Its place in a stream, where the subscription is of one.
        origin: Option<Box<Origin>>,
    },
    /// The stored values of a subscription have been sent.
    #[non_exhaustive]
    Subscribed {
        /// The filter, as it was spelled.
        filter: String,
        /// How many there were.
        values: u64,
        /// Whether this user is allowed only a part of what was asked for.
        limited: bool,
        /// Where it is of a stream, how many of its messages are to come or to be settled.
        pending: Option<u64>,
        /// Where it follows a stream, the number of the message that it begins with: one that
        /// subscribes again from there misses nothing.
        next: Option<u64>,
    },
    /// Messages of a subscription made room for newer ones; they would have come here.
    #[non_exhaustive]
    Dropped {
        /// The filter, as it was spelled.
        filter: String,
        /// How many messages.
        count: u64,
    },
    /// The last value of a topic was cleared, or has expired; said to a subscription that asked for
    /// it by [`Subscribe::cleared`](super::Subscribe::cleared).
    #[non_exhaustive]
    Cleared {
        /// The topic, which holds no value now.
        topic: Topic,
    },
    /// A subscription has ended.
    #[non_exhaustive]
    Cancelled {
        /// The filter, as it was spelled.
        filter: String,
    },
    /// The answer to a `list`.
    Topics(Vec<Topic>),
    /// The answer to a `get`.
    #[non_exhaustive]
    Value {
        /// The topic.
        topic: Topic,
        /// The last value, if it holds one.
        message: Option<Message>,
        /// Its place in a stream, where that was asked.
        origin: Option<Box<Origin>>,
    },
    /// The end of the answer to a `get` that asked for a topic's last messages.
    #[non_exhaustive]
    Values {
        /// The topic.
        topic: Topic,
        /// How many there were.
        count: u64,
    },
    /// The answer to a `stats`: a dict, see `docs/protocol.md`.
    Stats(Message),
    /// The answer to a `backup`: the name of a file in the broker's data directory.
    Backup(Message),
    /// The answer to a `streams`: a list, see `docs/protocol.md`.
    Streams(Message),
    /// The answer to a `consumers`: a list, see `docs/protocol.md`.
    Consumers(Message),
    /// What was asked of a stream is done.
    Done,
    /// The answer to a ping.
    Pong(Option<String>),
    /// Something was refused.
    Refused(Refused),
}

/// Reads the body of a frame.
pub(super) fn arrival<W: Wire>(body: Vec<u8>) -> Result<Arrival, QueueError> {
    let mut incoming = W::read(body)?;
    let origin = Origin::of(&mut incoming)?.map(Box::new);
    let Incoming {
        command,
        topic,
        message,
        topics,
        id,
        code,
        reason,
        fatal,
        retained,
        limited,
        values,
        count,
        pending,
        next,
        ..
    } = incoming;
    let message =
        message.map(|message| W::bytes(message).map(|bytes| Message::received(W::FORMAT, bytes)));
    Ok(match (&*command, topic, message.transpose()?, topics, code) {
        ("publish", Some(topic), Some(message), ..) => {
            Arrival::Delivery { topic: from_broker(&topic)?, message, retained, origin }
        }
        ("value", Some(topic), message, ..) => {
            Arrival::Value { topic: from_broker(&topic)?, message, origin }
        }
        ("values", Some(topic), ..) => Arrival::Values { topic: from_broker(&topic)?, count },
        ("subscribed", Some(filter), ..) => {
            Arrival::Subscribed { filter, values, limited, pending, next }
        }
        ("dropped", Some(filter), ..) => Arrival::Dropped { filter, count },
        ("cleared", Some(topic), ..) => Arrival::Cleared { topic: from_broker(&topic)? },
        ("cancelled", Some(filter), ..) => Arrival::Cancelled { filter },
        ("pong", ..) => Arrival::Pong(id),
        ("stats", _, Some(message), ..) => Arrival::Stats(message),
        ("streams", _, Some(message), ..) => Arrival::Streams(message),
        ("consumers", _, Some(message), ..) => Arrival::Consumers(message),
        ("done", ..) => Arrival::Done,
        ("backup", _, Some(message), ..) => Arrival::Backup(message),
        ("topics", _, _, Some(topics), _) => Arrival::Topics(
            topics.iter().map(|topic| from_broker(topic)).collect::<Result<_, _>>()?,
        ),
        ("error", topic, _, _, Some(code)) => {
            Arrival::Refused(Refused { code, reason: reason.unwrap_or_default(), topic, fatal })
        }
        (other, ..) => {
            return Err(QueueError::Protocol(format!(
                "a {other:?} message that lacks a field, or is unknown"
            )));
        }
    })
}
