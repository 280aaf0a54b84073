//! The closed set of messages: commands from a client, replies from the broker.
//!
//! The payload of a `publish` or `value` is the codec's business and not here.

use std::sync::Arc;

use super::{Refusal, Topic, TopicFilter};

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
}

impl Command {
    /// Every command.
    pub const ALL: [Command; 10] = [
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
/// let reply = Reply::Subscribed { topic, values: 3, limited: false };
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
    /// Something was refused.
    Error(Refusal),
}
