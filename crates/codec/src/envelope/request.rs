//! A client's request: its command, its topic, its options, its payload.

use std::borrow::Cow;
use std::fmt;

use super::dialect::Dialect;
use super::payload_span::PayloadSpan;
use crate::protocol::{AdminRequest, DurableRequest, Id, Overflow, Settlement};
use crate::xml::PlainNames;

/// A client's request. Topics are as they were spelled, not judged yet.
#[derive(Debug)]
pub enum Request<'a> {
    /// See [`Command::Publish`](crate::protocol::Command::Publish).
    Publish {
        /// The topic.
        topic: Cow<'a, str>,
        /// The payload.
        message: PayloadSpan,
        /// Whether it becomes the topic's last value. Default true.
        retain: bool,
        /// Seconds that it stays the topic's last value.
        ttl: Option<u32>,
        /// Whether the frame holds these fields and no other, so that it can be passed on as it
        /// came.
        verbatim: bool,
        /// The publisher's name for it, by which a stream knows that it comes again.
        id: Option<Box<str>>,
    },
    /// Everything else.
    Control(ControlRequest<'a>),
}

/// A request that is no publish.
#[derive(Debug)]
pub enum ControlRequest<'a> {
    /// See [`Command::Subscribe`](crate::protocol::Command::Subscribe).
    Subscribe {
        /// The filter.
        topic: Cow<'a, str>,
        /// How deliveries are written: in the format of the request, in JSON as `exact` says, in
        /// XML as `plain` does.
        dialect: Dialect,
        /// The names of elements in all plain XML of this connection from here on, where they were
        /// given.
        names: Option<PlainNames>,
        /// The fate of messages when the queue is full. Default [`Overflow::Disconnect`].
        overflow: Overflow,
        /// The queue's length in messages; the broker's default where it is not given.
        queue: Option<u32>,
        /// Whether it is told when a last value is cleared or expires. Default false.
        cleared: bool,
        /// What it asks of a stream, if it does.
        durable: Option<Box<DurableRequest>>,
        /// Whether the filter means what is below its segments as well. Default true.
        below: bool,
    },
    /// See [`Command::Cancel`](crate::protocol::Command::Cancel).
    Cancel {
        /// The filter.
        topic: Cow<'a, str>,
        /// The stream, where only what is read from that is meant.
        stream: Option<Box<str>>,
        /// The consumer, where only what is consumed under that name is meant.
        consumer: Option<Box<str>>,
    },
    /// See [`Command::List`](crate::protocol::Command::List).
    List {
        /// The filter; every topic where it is not given.
        topic: Option<Cow<'a, str>>,
    },
    /// See [`Command::Get`](crate::protocol::Command::Get).
    Get {
        /// The topic.
        topic: Cow<'a, str>,
        /// How the answer is written.
        dialect: Dialect,
        /// How many of the last messages of a stream, in place of the last value.
        last: Option<u32>,
    },
    /// See [`Command::Clear`](crate::protocol::Command::Clear).
    Clear {
        /// The topic, or a filter with a wildcard.
        topic: Cow<'a, str>,
    },
    /// See [`Command::Ping`](crate::protocol::Command::Ping).
    Ping {
        /// Given back in the `pong`.
        id: Option<Id>,
    },
    /// See [`Command::Stats`](crate::protocol::Command::Stats).
    Stats,
    /// See [`Command::Backup`](crate::protocol::Command::Backup).
    Backup,
    /// See [`Command::Login`](crate::protocol::Command::Login).
    Login(Credentials<'a>),
    /// See [`Command::Ack`](crate::protocol::Command::Ack) and those that follow it.
    Settle {
        /// The stream; needed where the connection consumes of several. Not judged yet.
        stream: Option<Box<str>>,
        /// The consumer; needed where the connection is several. Not judged yet.
        consumer: Option<Box<str>>,
        /// What it says.
        what: Settlement,
    },
    /// What concerns the streams themselves.
    Admin(Box<AdminRequest>),
}

/// What a client shows to log in. Neither secret is in its debug output.
pub enum Credentials<'a> {
    /// A name, and the password that goes with it.
    Password {
        /// The name of the user.
        user: Cow<'a, str>,
        /// The password.
        password: Cow<'a, str>,
    },
    /// A token, which says who it is too.
    Token(Cow<'a, str>),
}

impl Credentials<'_> {
    /// The same, by itself.
    pub fn into_owned(self) -> Credentials<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Credentials::Password { user, password } => {
                Credentials::Password { user: owned(user), password: owned(password) }
            }
            Credentials::Token(token) => Credentials::Token(owned(token)),
        }
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Password { user, .. } => write!(f, "Password {{ user: {user:?}, .. }}"),
            Credentials::Token(_) => f.write_str("Token(..)"),
        }
    }
}
