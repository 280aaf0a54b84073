//! Streams on the wire: what a client asks of one, and what it says of its messages.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::TopicFilter;

/// Bytes that the name of a stream or a consumer may have.
pub const STREAM_NAME_BYTES: usize = 64;
/// Messages that a consumer's member may have delivered and not settled, where nothing else is
/// said.
pub const DEFAULT_WINDOW: u32 = 256;
/// The same at most.
pub const MAX_WINDOW: u32 = 65_536;
/// How long a delivery may stay unsettled, where nothing else is said.
pub const DEFAULT_ACK_WAIT: Duration = Duration::from_secs(30);
/// How often a message is delivered before it is a dead letter, where nothing else is said.
pub const DEFAULT_MAX_DELIVER: u32 = 5;
/// Pauses that a `backoff` may have.
pub const MAX_BACKOFF: usize = 32;
/// Seconds in a field that is a duration, at most: a year.
pub const MAX_SECONDS: u32 = 31_536_000;
/// Bytes in the `id` of a publish.
pub const MAX_PUBLISH_ID_BYTES: usize = 128;
/// Bytes in the `reason` of a `reject`.
pub const MAX_REASON_BYTES: usize = 1_024;
/// Messages that a `get` may ask for with `last`.
pub const MAX_LAST: u32 = 10_000;

/// The message with which a consumer begins: the `start` field.
///
/// ```
/// use babelmq_codec::protocol::Start;
///
/// assert_eq!(Start::from_word("all"), Some(Start::All));
/// assert_eq!(Start::from_word("1970-01-01T00:00:01.5Z"), Some(Start::Time(1_500)));
/// assert_eq!(Start::from_word("1970-01-01T01:00:00+01:00"), Some(Start::Time(0)));
/// assert_eq!(Start::from_word("yesterday"), None);
/// assert_eq!(Start::from(5).to_string(), "5");
/// assert_eq!(Start::from(std::time::UNIX_EPOCH).to_string(), "1970-01-01T00:00:00.000Z");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The next that is published.
    #[default]
    New,
    /// The first that is kept.
    All,
    /// The last that was published before.
    Last,
    /// The one with this number, from 1 on.
    Seq(u64),
    /// The first that was published at this time or later, in milliseconds since 1970.
    Time(u64),
}

impl Start {
    /// What a text names, numbers aside: a word, or a time as RFC 3339 has it, with an offset. One
    /// before 1970 is 0.
    pub fn from_word(word: &str) -> Option<Start> {
        Some(match word {
            "new" => Start::New,
            "all" => Start::All,
            "last" => Start::Last,
            // What jiff takes besides are shorter ways of writing the same (ISO 8601).
            time => {
                let time: jiff::Timestamp = time.parse().ok()?;
                Start::Time(u64::try_from(time.as_millisecond()).unwrap_or_default())
            }
        })
    }
}

/// As it is said on the wire, where a number is one.
impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Start::New => f.write_str("new"),
            Start::All => f.write_str("all"),
            Start::Last => f.write_str("last"),
            Start::Seq(seq) => write!(f, "{seq}"),
            Start::Time(time) => {
                let time = i64::try_from(*time).unwrap_or(i64::MAX);
                // No message is later than the last time that can be said.
                let time = jiff::Timestamp::from_millisecond(time);
                write!(f, "{:.3}", time.unwrap_or(jiff::Timestamp::MAX))
            }
        }
    }
}

/// The message with this number.
impl From<u64> for Start {
    fn from(seq: u64) -> Start {
        Start::Seq(seq)
    }
}

/// The first message at this time or later; one before 1970 is 1970.
impl From<SystemTime> for Start {
    fn from(time: SystemTime) -> Start {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Start::Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What stays in order when a consumer has several members, or a message is delivered again: the
/// `order` field.
///
/// ```
/// use babelmq_codec::protocol::Order;
///
/// assert_eq!(Order::from_word("topic"), Some(Order::Topic));
/// assert_eq!(Order::default().as_str(), "none");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Nothing.
    #[default]
    None,
    /// The messages of each topic: they are with one member at a time, in their order.
    Topic,
}

impl Order {
    /// Every order.
    pub const ALL: [Order; 2] = [Order::None, Order::Topic];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Order::None => "none",
            Order::Topic => "topic",
        }
    }

    /// The order that a word names.
    pub fn from_word(word: &str) -> Option<Order> {
        Order::ALL.into_iter().find(|order| order.as_str() == word)
    }
}

/// What happens to a message for which there is no room in its stream: the `full` field.
///
/// ```
/// use babelmq_codec::protocol::WhenFull;
///
/// assert_eq!(WhenFull::from_word("refuse"), Some(WhenFull::Refuse));
/// assert_eq!(WhenFull::default().as_str(), "drop-oldest");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest messages make room.
    #[default]
    DropOldest,
    /// The message is refused.
    Refuse,
}

impl WhenFull {
    /// Every way.
    pub const ALL: [WhenFull; 2] = [WhenFull::DropOldest, WhenFull::Refuse];

    /// The word in definitions and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            WhenFull::DropOldest => "drop-oldest",
            WhenFull::Refuse => "refuse",
        }
    }

    /// What a word names.
    pub fn from_word(word: &str) -> Option<WhenFull> {
        WhenFull::ALL.into_iter().find(|full| full.as_str() == word)
    }
}

/// What a `subscribe` says of a stream. Without a `consumer` it follows the stream. What is not
/// said is `None`.
///
/// ```
/// use babelmq_codec::protocol::{DurableRequest, Start};
///
/// let follower = DurableRequest { start: Some(Start::All), ..DurableRequest::default() };
/// assert_eq!(follower.consumer, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DurableRequest {
    /// The name of the consumer, not judged yet.
    pub consumer: Option<String>,
    /// The name of the stream, not judged yet.
    pub stream: Option<String>,
    /// Where it begins.
    pub start: Option<Start>,
    /// Messages that may be delivered and not settled, up to [`MAX_WINDOW`].
    pub window: Option<u32>,
    /// How long a delivery may stay unsettled.
    pub ack_wait: Option<Duration>,
    /// How often a message is delivered at most.
    pub max_deliver: Option<u32>,
    /// The pauses before a message is delivered again; the last holds for all that follow.
    /// [`MAX_BACKOFF`] at most.
    pub backoff: Option<Box<[Duration]>>,
    /// What stays in order.
    pub order: Option<Order>,
}

/// What a consumer says of messages that were delivered to it.
///
/// ```
/// use babelmq_codec::protocol::Settlement;
///
/// // A connection sends hundreds of thousands of them in a second.
/// assert!(size_of::<Settlement>() <= 32);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is done with one.
    Ack {
        /// Its number.
        seq: u64,
    },
    /// It is done with all that were delivered to it, up to one.
    AckUpto {
        /// The number of the last.
        seq: u64,
    },
    /// It could not do one, which is to be delivered again.
    Nak {
        /// Its number.
        seq: u64,
        /// After how long; as the consumer's `backoff` says where it is not said.
        delay: Option<Duration>,
    },
    /// It still works at one.
    Touch {
        /// Its number.
        seq: u64,
    },
    /// It can never do one, which becomes a dead letter.
    Reject {
        /// Its number.
        seq: u64,
        /// Why, in words; empty where that is not said.
        reason: Box<str>,
    },
}

/// What whoever administrates the broker asks of its streams. Names are not judged yet.
///
/// ```
/// use babelmq_codec::protocol::{AdminRequest, Command};
///
/// let request = AdminRequest::RemoveStream { stream: "orders".to_owned() };
/// assert_eq!(request.command(), Command::RemoveStream);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminRequest {
    /// See [`Command::Streams`](super::Command::Streams).
    Streams,
    /// See [`Command::Consumers`](super::Command::Consumers).
    Consumers {
        /// Those of this stream alone.
        stream: Option<String>,
    },
    /// See [`Command::AddStream`](super::Command::AddStream).
    AddStream {
        /// Its name.
        stream: String,
        /// Which messages it keeps.
        filter: TopicFilter,
        /// For how long; `None` is for ever.
        age: Option<Duration>,
        /// How many bytes; `None` is without a limit.
        bytes: Option<u64>,
        /// How many messages; `None` is without a limit.
        messages: Option<u64>,
        /// What happens when it is full.
        full: Option<WhenFull>,
    },
    /// See [`Command::RemoveStream`](super::Command::RemoveStream).
    RemoveStream {
        /// Its name.
        stream: String,
    },
    /// See [`Command::ResetConsumer`](super::Command::ResetConsumer).
    ResetConsumer {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
        /// Where it goes on.
        start: Start,
    },
    /// See [`Command::RemoveConsumer`](super::Command::RemoveConsumer).
    RemoveConsumer {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
    },
    /// See [`Command::Retry`](super::Command::Retry).
    Retry {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
        /// The number of the message.
        seq: u64,
    },
    /// See [`Command::Delete`](super::Command::Delete).
    Delete {
        /// The stream.
        stream: String,
        /// The number of the message.
        seq: u64,
    },
}

impl AdminRequest {
    /// Its command.
    pub fn command(&self) -> super::Command {
        use super::Command;
        match self {
            AdminRequest::Streams => Command::Streams,
            AdminRequest::Consumers { .. } => Command::Consumers,
            AdminRequest::AddStream { .. } => Command::AddStream,
            AdminRequest::RemoveStream { .. } => Command::RemoveStream,
            AdminRequest::ResetConsumer { .. } => Command::ResetConsumer,
            AdminRequest::RemoveConsumer { .. } => Command::RemoveConsumer,
            AdminRequest::Retry { .. } => Command::Retry,
            AdminRequest::Delete { .. } => Command::Delete,
        }
    }

    /// The stream and the consumer that it names.
    pub fn names(&self) -> (Option<&str>, Option<&str>) {
        match self {
            AdminRequest::Streams => (None, None),
            AdminRequest::Consumers { stream } => (stream.as_deref(), None),
            AdminRequest::AddStream { stream, .. }
            | AdminRequest::RemoveStream { stream }
            | AdminRequest::Delete { stream, .. } => (Some(stream), None),
            AdminRequest::ResetConsumer { stream, consumer, .. }
            | AdminRequest::RemoveConsumer { stream, consumer }
            | AdminRequest::Retry { stream, consumer, .. } => (Some(stream), Some(consumer)),
        }
    }
}
