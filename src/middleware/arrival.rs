//! What a client receives.

use super::error::{QueueError, Refused};
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
    },
    /// The answer to a `stats`: a dict, see `docs/protocol.md`.
    Stats(Message),
    /// The answer to a `backup`: the name of a file in the broker's data directory.
    Backup(Message),
    /// The answer to a ping.
    Pong(Option<String>),
    /// Something was refused.
    Refused(Refused),
}

/// Reads the body of a frame.
pub(super) fn arrival<W: Wire>(body: Vec<u8>) -> Result<Arrival, QueueError> {
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
    } = W::read(body)?;
    let message =
        message.map(|message| W::bytes(message).map(|bytes| Message::received(W::FORMAT, bytes)));
    Ok(match (&*command, topic, message.transpose()?, topics, code) {
        ("publish", Some(topic), Some(message), ..) => {
            Arrival::Delivery { topic: from_broker(&topic)?, message, retained }
        }
        ("value", Some(topic), message, ..) => {
            Arrival::Value { topic: from_broker(&topic)?, message }
        }
        ("subscribed", Some(filter), ..) => Arrival::Subscribed { filter, values, limited },
        ("dropped", Some(filter), ..) => Arrival::Dropped { filter, count },
        ("cleared", Some(topic), ..) => Arrival::Cleared { topic: from_broker(&topic)? },
        ("cancelled", Some(filter), ..) => Arrival::Cancelled { filter },
        ("pong", ..) => Arrival::Pong(id),
        ("stats", _, Some(message), ..) => Arrival::Stats(message),
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
