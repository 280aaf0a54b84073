//! What stands between brokers that share topics: it puts what all of them publish into one order,
//! and keeps it. The broker knows no server of it: only these traits.
//!
//! Both directions are messages. What is sent to a backbone ([`ToBackbone`]) is done in its order;
//! what comes from it ([`FromBackbone`]) comes when it comes. A backbone waits for its servers on
//! threads of its own, and never in [`BackboneLine::send`].

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::definition::SharedTopics;
use crate::broker::persist::StoreError;
use crate::broker::sync::Sender;
use crate::codec::Encoding;
use crate::protocol::{Qos, Start, Topic, TopicFilter};

/// What brokers that share topics are connected by.
///
/// ```
/// use babelmq::broker::NoBackbone;
/// use babelmq::{Backbone, Broker, Config, NoStore};
///
/// // Nothing is shared, so nothing is needed for it.
/// let backbone: Box<dyn Backbone> = Box::new(NoBackbone);
/// let config = Config::listening_on(([127, 0, 0, 1], 0));
/// let broker = Broker::start_sharing(config, Box::new(NoStore), backbone)?;
/// assert!(broker.shared_topics().is_empty());
/// # Ok::<(), babelmq::StartError>(())
/// ```
pub trait Backbone: Debug + Send {
    /// Begins with one set of shared topics. This does not wait for a server: whether there is one
    /// is said by `said`, then and whenever it changes. It ends when the line is dropped; the other
    /// end of `said` is kept until then.
    ///
    /// # Errors
    /// [`StoreError`] where the broker's own part cannot be begun: a file of credentials that
    /// cannot be read, a thread that cannot be started.
    fn open(
        &mut self,
        plan: SharedPlan,
        said: Sender<FromBackbone>,
    ) -> Result<Box<dyn BackboneLine>, StoreError>;
}

/// The way of one set of shared topics to its backbone.
pub trait BackboneLine: Debug + Send {
    /// Hands something over, and does not wait.
    fn send(&self, what: ToBackbone);
}

/// What one set of shared topics begins with.
#[derive(Clone, Debug)]
pub struct SharedPlan {
    /// Which topics, and the name of their stream.
    pub topics: SharedTopics,
    /// The last message of the stream that this broker's last values have in them; `None` where it
    /// has none. Then each topic's last message comes first, and what follows behind them.
    pub position: Option<Position>,
}

/// A place in a stream of the backbone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which stream: one that was removed and made anew under the same name is another.
    pub epoch: String,
    /// The number of a message in it.
    pub seq: u64,
}

/// A message on shared topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMessage {
    /// Its topic.
    pub topic: Topic,
    /// What it says.
    pub content: SharedContent,
}

/// What a message on shared topics says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedContent {
    /// The topic has no last value any more.
    Cleared,
    /// A payload.
    Payload(SharedPayload),
}

/// A payload on its way over a backbone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPayload {
    /// What its bytes are, each by itself: a JSON text, an XML document, a pickle, a text or
    /// bytes. `None` where whoever published it did not say.
    pub encoding: Option<Encoding>,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether it becomes the topic's last value.
    pub retain: bool,
    /// Seconds, from when the backbone took it, that it stays that.
    pub ttl: Option<u32>,
    /// With which quality of service it was published, where that was said.
    pub qos: Option<Qos>,
    /// What is passed on with it; empty where that is nothing.
    pub properties: Box<[u8]>,
}

/// A message that a broker publishes.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its number among those of this line, ascending from 1: what the answer names.
    pub number: u64,
    /// What its publisher calls it: of two with the same id within two minutes, from whichever
    /// broker, one is kept.
    pub id: Option<Box<str>>,
    /// The message.
    pub message: SharedMessage,
}

/// A message that the backbone has put into its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Its number in the stream.
    pub seq: u64,
    /// When the backbone took it, in milliseconds since 1970.
    pub time: u64,
    /// What its publisher called it.
    pub id: Option<Box<str>>,
    /// The message.
    pub message: SharedMessage,
}

/// What a broker hands to a backbone.
#[derive(Debug)]
pub enum ToBackbone {
    /// Messages, to be put into the order behind those that were handed over before. Each is tried
    /// until it is [`Stored`](FromBackbone::Stored) or [`Refused`](FromBackbone::Refused), one of
    /// the two, and is stored once, however often it is tried.
    Publish(Vec<Outgoing>),
    /// A client of this broker wants to be a member of a durable consumer, whose messages it shares
    /// with members at any broker; or to follow the stream, which gives it each message of its
    /// filter once, in the order of the stream. Answered by [`Joined`](FromBackbone::Joined). It
    /// stays a member, or goes on where it was, through outages, until it leaves.
    Join(Box<JoinShared>),
    /// It is none any more; what it has and has not settled goes to others. One that is none, or
    /// waits to be one, is none from then on.
    Leave {
        /// The member.
        member: u64,
    },
    /// What a member says of a message that it was given. It is answered by
    /// [`Settled`](FromBackbone::Settled) once all with lesser numbers are, also where the member
    /// is none any more, or its consumer is not there: then there is nothing to be known. One that
    /// follows is done with a message, which gives its room back, and the answer waits for no
    /// server.
    Settle {
        /// The member.
        member: u64,
        /// The number of the message.
        seq: u64,
        /// What it says.
        how: HowSettled,
        /// What the answer brings back, ascending.
        op: u64,
    },
    /// Forgets a consumer. Answered by [`Removed`](FromBackbone::Removed).
    Remove {
        /// Its name.
        consumer: Arc<str>,
        /// What the answer brings back.
        op: u64,
    },
    /// Asks what there is to be said of the stream and its consumers. Answered by
    /// [`Report`](FromBackbone::Report), or not at all where no server answers.
    Report {
        /// What the answer brings back.
        op: u64,
    },
}

/// Bytes that a message counts for beside those that come with it, where one that follows is given
/// as many as it has room for.
pub const BESIDE_FOLLOWED: usize = 512;

/// A member of a durable consumer, or one that follows the stream, as it is wanted.
#[derive(Clone, Debug)]
pub struct JoinShared {
    /// Its number, of this line.
    pub member: u64,
    /// The consumer's name; `None` follows.
    pub consumer: Option<Arc<str>>,
    /// What it consumes.
    pub filter: TopicFilter,
    /// Where a consumer begins that is not there yet, or one that follows.
    pub start: Start,
    /// How many messages this member may have and not have settled.
    pub window: u32,
    /// Bytes of messages that it may have and not have settled, beside one more. With one that
    /// follows, each counts for [`BESIDE_FOLLOWED`] more.
    pub bytes: usize,
    /// How long a message may be unsettled before it goes to another member; for one that follows
    /// it means nothing.
    pub ack_wait: Duration,
}

/// Where a member of a durable consumer begins, or one that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedShared {
    /// Messages that there are still to get.
    pub pending: u64,
    /// The number of the first, or of the next message of the stream where there is none.
    pub next: u64,
}

/// What a member says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HowSettled {
    /// It is done.
    Ack,
    /// It is to come again, after this time.
    Nak(Duration),
    /// It takes longer.
    Touch,
    /// It is not to come again.
    Term,
}

/// What comes from a backbone.
#[derive(Debug)]
pub enum FromBackbone {
    /// There is a server, and the stream.
    Connected {
        /// Bytes of a payload with what is said beside it, at most.
        max_payload: usize,
    },
    /// There is none, or no stream.
    Unavailable {
        /// What is missing, where, and what to do, for a person.
        reason: String,
    },
    /// Messages that were handed over are in the stream, on as many servers as they are to be.
    Stored {
        /// Their numbers of this line.
        numbers: Vec<u64>,
    },
    /// A message will never be in the stream.
    Refused {
        /// Its number of this line.
        number: u64,
        /// Why, for a person.
        reason: String,
    },
    /// Messages of the stream, in its order. The first comes as soon as there is a server, and may
    /// have none.
    Arrived(Arrived),
    /// A member is one, or will not be. One that was one will not be any more where its consumer
    /// was forgotten.
    Joined {
        /// The member.
        member: u64,
        /// Where it begins, or why it cannot be one.
        joined: Result<JoinedShared, String>,
    },
    /// Messages for a member.
    Delivered {
        /// The member.
        member: u64,
        /// How often each has been delivered, with this time, and the message.
        messages: Vec<(u32, Incoming)>,
    },
    /// What members said is known to the backbone, up to this.
    Settled {
        /// What it was handed over with.
        op: u64,
    },
    /// A consumer is forgotten, or was not there, or could not be.
    Removed {
        /// What it was handed over with.
        op: u64,
        /// Whether it was there, or why it could not be removed.
        removed: Result<bool, String>,
    },
    /// What there is to be said of the stream.
    Report {
        /// What it was asked with.
        op: u64,
        /// What there is.
        report: SharedReport,
    },
}

/// Messages that the backbone has put into its order.
#[derive(Debug)]
pub struct Arrived {
    /// Which stream they are of, see [`Position::epoch`].
    pub epoch: Arc<str>,
    /// The messages, ascending.
    pub messages: Vec<Incoming>,
    /// The number of the last message that is known to be still to come. Where none is, that of the
    /// last that came, or the position that was begun with.
    pub last: u64,
    /// What is dropped when they are no more in the way: until then a backbone holds back more.
    pub room: Room,
}

/// Room that messages take on their way, given back when it is dropped.
#[derive(Default)]
pub struct Room(Option<Box<dyn Any + Send>>);

impl Room {
    /// Room that is given back by dropping something.
    pub fn of(room: impl Any + Send) -> Room {
        Room(Some(Box::new(room)))
    }
}

impl Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Room").field(&self.0.is_some()).finish()
    }
}

/// What there is to be said of a stream of the backbone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedReport {
    /// Messages that it keeps.
    pub messages: u64,
    /// Bytes that they take, on one server.
    pub bytes: u64,
    /// The number of the first.
    pub first: u64,
    /// The number that the next will have.
    pub next: u64,
    /// Its durable consumers.
    pub consumers: Vec<SharedConsumer>,
}

/// What there is to be said of a durable consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedConsumer {
    /// Its name.
    pub name: String,
    /// What it consumes, as far as that is a filter of topics.
    pub filter: Option<TopicFilter>,
    /// Everything up to this message is settled.
    pub floor: u64,
    /// The last message that was delivered.
    pub delivered: u64,
    /// Messages that members have and have not settled.
    pub outstanding: u64,
    /// Messages that were not delivered yet.
    pub pending: u64,
    /// Deliveries that were not the first of a message that is not settled.
    pub redelivered: u64,
    /// How long a message may be unsettled.
    pub ack_wait: Duration,
}

/// A broker that shares no topics needs none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBackbone;

impl Backbone for NoBackbone {
    fn open(
        &mut self,
        plan: SharedPlan,
        _: Sender<FromBackbone>,
    ) -> Result<Box<dyn BackboneLine>, StoreError> {
        Err(StoreError::new(format!(
            "there is nothing to share {} by: this broker has no backbone (serve --backbone is \
             one)",
            plan.topics.filter
        )))
    }
}
