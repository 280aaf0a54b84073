//! The closed set of messages: commands from a client, replies from the broker.
//!
//! The payload of a `publish` or `value` is the codec's business and not here.

use std::sync::Arc;

use super::{Refusal, Topic, TopicFilter, Value};

/// The name of everything that a client may ask for: the `command` field of its messages.
///
/// ```
/// use babelmq_codec::protocol::Command;
///
/// assert_eq!(Command::from_word("subscribe"), Some(Command::Subscribe));
/// assert_eq!(Command::Ping.as_str(), "ping");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Deliver a message to a topic's subscribers and keep it as the topic's last value.
    Publish,
    /// Receive a topic's subtree from now on, stored values first.
    Subscribe,
    /// End a subscription.
    Cancel,
    /// Ask which topics hold a value.
    List,
    /// Ask for one topic's last value.
    Get,
    /// Forget one topic's last value, or those of a filter with a wildcard.
    Clear,
    /// Ask for a `pong` once everything sent before was routed.
    Ping,
    /// Ask what the broker counts; answered to clients on its own machine only.
    Stats,
    /// Ask for a copy of the data file in the data directory; for clients on the broker's own
    /// machine only.
    Backup,
    /// Say who the client is; answered by `welcome`.
    Login,
    /// Say that a consumer is done with a message of a stream, or with all up to one.
    Ack,
    /// Say that a consumer could not do a message, which is to be delivered again.
    Nak,
    /// Say that a consumer still works at a message.
    Touch,
    /// Say that a consumer can never do a message, which becomes a dead letter.
    Reject,
    /// Ask which streams there are; answered to those whom `stats` is answered to.
    Streams,
    /// Ask which consumers there are; answered to those whom `stats` is answered to.
    Consumers,
    /// Add a stream, or give it other limits; for whoever may ask for a `backup`, as those that
    /// follow.
    AddStream,
    /// Remove a stream with all that it keeps.
    RemoveStream,
    /// Let a consumer go on at another message.
    ResetConsumer,
    /// Forget a consumer.
    RemoveConsumer,
    /// Deliver a message to a consumer again.
    Retry,
    /// Delete a message of a stream.
    Delete,
}

impl Command {
    /// Every command.
    pub const ALL: [Command; 22] = [
        Command::Publish,
        Command::Subscribe,
        Command::Cancel,
        Command::List,
        Command::Get,
        Command::Clear,
        Command::Ping,
        Command::Stats,
        Command::Backup,
        Command::Login,
        Command::Ack,
        Command::Nak,
        Command::Touch,
        Command::Reject,
        Command::Streams,
        Command::Consumers,
        Command::AddStream,
        Command::RemoveStream,
        Command::ResetConsumer,
        Command::RemoveConsumer,
        Command::Retry,
        Command::Delete,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Command::Publish => "publish",
            Command::Subscribe => "subscribe",
            Command::Cancel => "cancel",
            Command::List => "list",
            Command::Get => "get",
            Command::Clear => "clear",
            Command::Ping => "ping",
            Command::Stats => "stats",
            Command::Backup => "backup",
            Command::Login => "login",
            Command::Ack => "ack",
            Command::Nak => "nak",
            Command::Touch => "touch",
            Command::Reject => "reject",
            Command::Streams => "streams",
            Command::Consumers => "consumers",
            Command::AddStream => "add-stream",
            Command::RemoveStream => "remove-stream",
            Command::ResetConsumer => "reset-consumer",
            Command::RemoveConsumer => "remove-consumer",
            Command::Retry => "retry",
            Command::Delete => "delete",
        }
    }

    /// The command that a word names.
    pub fn from_word(word: &str) -> Option<Command> {
        Command::ALL.into_iter().find(|command| command.as_str() == word)
    }
}

/// The `id` of a `ping`, given back in its `pong` as it came.
///
/// ```
/// use babelmq_codec::protocol::{Id, Reply};
///
/// // What a ping called itself, its pong is called: a string is not a number.
/// let pong = |id| Reply::Pong { id: Some(id) };
/// assert_ne!(pong(Id::Int(1)), pong(Id::Str("1".to_owned())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// A string.
    Str(String),
    /// An integer of 64 bits.
    Int(i64),
}

/// The fate of a subscription whose queue is full: the `overflow` field of `subscribe`.
///
/// ```
/// use babelmq_codec::protocol::Overflow;
///
/// assert_eq!(Overflow::from_word("drop-oldest"), Some(Overflow::DropOldest));
/// assert_eq!(Overflow::default().as_str(), "disconnect");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The connection gets an `error` that says how far behind it is, and is closed.
    #[default]
    Disconnect,
    /// The oldest waiting messages make room, and a `dropped` message in their place says how many
    /// they were.
    DropOldest,
    /// At most one message of each topic waits, always the newest.
    Latest,
}

impl Overflow {
    /// Every policy.
    pub const ALL: [Overflow; 3] = [Overflow::Disconnect, Overflow::DropOldest, Overflow::Latest];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Overflow::Disconnect => "disconnect",
            Overflow::DropOldest => "drop-oldest",
            Overflow::Latest => "latest",
        }
    }

    /// The policy that a word names.
    pub fn from_word(word: &str) -> Option<Overflow> {
        Overflow::ALL.into_iter().find(|overflow| overflow.as_str() == word)
    }
}

/// The broker's answers, deliveries and stored values aside.
///
/// ```
/// use babelmq_codec::protocol::{Reply, TopicFilter};
///
/// let topic = TopicFilter::parse("/weather/#")?;
/// let reply = Reply::Subscribed { topic, values: 3, limited: false, kept: None };
/// assert!(matches!(reply, Reply::Subscribed { topic, .. } if topic.as_str() == "/weather/#"));
/// # Ok::<(), babelmq_codec::Refusal>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The stored values have all been sent; what follows is live.
    Subscribed {
        /// The filter, as the client spelled it.
        topic: TopicFilter,
        /// How many stored values were sent.
        values: u64,
        /// Whether the client may see only some of what the filter matches.
        limited: bool,
        /// The stream that it is of, if it is of one.
        kept: Option<Box<KeptSubscription>>,
    },
    /// The subscription has ended; nothing of it follows.
    Cancelled {
        /// The filter, as the client spelled it.
        topic: TopicFilter,
    },
    /// Messages of a subscription made room for newer ones and are not delivered; they would have
    /// come here.
    Dropped {
        /// The filter, as the client spelled it.
        topic: TopicFilter,
        /// How many messages.
        count: u64,
    },
    /// A topic's last value was cleared, or has expired.
    Cleared {
        /// The topic.
        topic: Topic,
    },
    /// The topics that hold a value, sorted by their bytes.
    Topics {
        /// The topics.
        topics: Vec<Topic>,
    },
    /// The topic of a `get` holds no value.
    NoValue {
        /// The topic that was asked for.
        topic: Topic,
    },
    /// Everything that the connection sent before the ping has been routed.
    Pong {
        /// The ping's `id`, where it had one.
        id: Option<Id>,
    },
    /// Who the client is from here on.
    Welcome {
        /// The name of the user.
        user: Arc<str>,
        /// The version of the broker.
        server: &'static str,
    },
    /// So many messages of a stream have been sent, which a `get` asked for.
    Values {
        /// The topic that was asked for.
        topic: Topic,
        /// How many messages.
        count: u64,
    },
    /// The streams that there are.
    Streams {
        /// A list with a dict for each.
        streams: Value,
    },
    /// The consumers that there are.
    Consumers {
        /// A list with a dict for each.
        consumers: Value,
    },
    /// What was asked of a stream is done.
    Done {
        /// The stream, as the client spelled it, where it did.
        stream: Option<Box<str>>,
        /// The consumer, as the client spelled it, where it did.
        consumer: Option<Box<str>>,
    },
    /// Something was refused.
    Error(Refusal),
}

/// What a subscription is told of its stream.
///
/// ```
/// use babelmq_codec::protocol::KeptSubscription;
///
/// // A follower is no consumer.
/// let stream = "orders".into();
/// let kept = KeptSubscription { stream, consumer: None, pending: 3, next: Some(7) };
/// assert_eq!(kept.pending, 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSubscription {
    /// The name of the stream.
    pub stream: Box<str>,
    /// The name of the consumer; `None` for a follower.
    pub consumer: Option<Box<str>>,
    /// How many messages are to be delivered or settled.
    pub pending: u64,
    /// Of a follower, the number of the message that it begins with: one that subscribes again from
    /// there misses nothing.
    pub next: Option<u64>,
}
