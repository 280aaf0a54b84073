//! The closed set of all that reaches the dispatcher.

use std::sync::Arc;

use super::client_id::ClientId;
use super::client_report::ClientReport;
use super::peer::Peer;
use super::rights::Rights;
use crate::access::{Policy, User};
use crate::broker::delivery::{Leftovers, Outbox, Queued};
use crate::broker::persist::Ticket;
use crate::broker::stats::Stats;
use crate::broker::streams::{Asked, FromStream, StreamSummary};
use crate::broker::sync::Sender;
use crate::codec::{Batch, Dialect, Payload, PlainNames};
use crate::protocol::{
    AdminRequest, DurableRequest, Format, Id, Overflow, Refusal, Settlement, Token, Topic,
    TopicFilter,
};

/// Something that happened, in the order in which it is to be seen.
#[derive(Debug)]
pub enum Event {
    /// A connection that can receive from now on. Nothing that needs an answer comes before it.
    Attach {
        /// The connection.
        client: ClientId,
        /// Where it connects from.
        peer: Peer,
        /// What it may do.
        rights: Rights,
        /// Its writer holds the other end.
        outbox: Outbox,
    },
    /// The steps that one read of a connection brought, in order.
    Steps {
        /// The connection.
        client: ClientId,
        /// At least one.
        steps: Vec<Step>,
        /// The part of the backlog that they take, until they have been seen.
        queued: Queued,
    },
    /// The connection is gone.
    Detach {
        /// The connection.
        client: ClientId,
    },
    /// The connection is gone, and what groups have given to it and it has not got goes to others.
    Retire {
        /// The connection.
        client: ClientId,
        /// What it has not got.
        leftovers: Box<Leftovers>,
    },
    /// Another connection goes on in the place of one that was [away](Event::Away), or has ended
    /// while its deliveries were kept: it has its number from now on.
    Rejoin {
        /// The connection.
        client: ClientId,
        /// Where it connects from.
        peer: Peer,
    },
    /// The client of a connection is away; what is delivered is kept for it. It is no member of
    /// consumers any more, and where connections share messages, others come first until it is
    /// back.
    Away {
        /// The connection.
        client: ClientId,
    },
    /// The connection has something to say for itself, which its writer is to be woken for. There
    /// is one at a time.
    Wake {
        /// The connection.
        client: ClientId,
    },
    /// A producer waits for memory that messages on their way take: the connection that holds most
    /// of it is to let go.
    Pressure,
    /// A question of the embedding program.
    Query(Query),
    /// Something that the thread of a stream has to say.
    Stream(FromStream),
}

/// A right that a client had and lost while it was connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightLost {
    /// The connection.
    pub client: ClientId,
    /// Where it connects from.
    pub peer: Peer,
    /// Its user.
    pub user: Arc<str>,
    /// The subscription that has ended; `None` where the connection has.
    pub filter: Option<TopicFilter>,
}

/// A part of what one read brought.
#[derive(Debug)]
pub enum Step {
    /// Messages to store and deliver, none of a client's to a topic of the broker's own.
    Publish(Box<Batch>),
    /// A topic whose last value is to be forgotten, which is not answered. See
    /// [`Command::Clear`](crate::protocol::Command::Clear).
    Clear(Topic),
    /// What a consumer says of messages that were delivered to it, which is not answered unless it
    /// is refused.
    Settle(Box<Settle>),
    /// Something else, and what its answer brings back.
    Control(Token, Control),
}

/// What one read brought of what a consumer says: neighbours that name the same.
#[derive(Debug)]
pub struct Settle {
    /// The stream; needed where the connection consumes of several.
    pub stream: Option<Box<str>>,
    /// The consumer; needed where the connection is several.
    pub consumer: Option<Box<str>>,
    /// What a refusal brings back.
    pub token: Token,
    /// What it says, in order; at least one.
    pub what: Vec<Settlement>,
}

/// A request that is answered.
#[derive(Debug)]
pub enum Control {
    /// See [`Command::Subscribe`](crate::protocol::Command::Subscribe).
    Subscribe {
        /// The subtree, or the topics that have as many segments.
        filter: TopicFilter,
        /// How deliveries are written.
        dialect: Dialect,
        /// The names of elements in all plain XML of the connection from here on, where they are
        /// new.
        names: Option<Box<PlainNames>>,
        /// The fate of messages that do not fit.
        overflow: Overflow,
        /// How many messages may wait.
        queue: Option<u32>,
        /// Whether it is told when a last value is cleared or expires.
        cleared: bool,
        /// Whether it begins with the last values. Those of a subscription of a stream come behind
        /// the stream's answer, and behind them what is said of any other subscription.
        values: bool,
        /// What it asks of a stream, if it does.
        durable: Option<Box<DurableRequest>>,
    },
    /// See [`Command::Cancel`](crate::protocol::Command::Cancel).
    Cancel {
        /// As it was spelled. It may be the one that nothing below matches.
        filter: TopicFilter,
    },
    /// The same of a subscription of a stream, and of no other with this filter.
    Leave {
        /// As it was spelled.
        filter: TopicFilter,
        /// The stream; where it is not given, any.
        stream: Option<Box<str>>,
        /// The consumer; where it is not given, a subscription that follows the stream.
        consumer: Option<Box<str>>,
    },
    /// To be a member of a group: each message that the filter matches goes to one of its members
    /// who may see it. There are no last values to begin with. A member that joins once more is
    /// another from then on. Answered as a subscribe is, and counted as one.
    Join {
        /// The name of the group. It says what the filter is: groups with different filters have
        /// different names.
        group: Arc<str>,
        /// What the members share.
        filter: TopicFilter,
        /// How deliveries are written.
        dialect: Dialect,
        /// Given back with what is delivered because of this.
        mark: u64,
    },
    /// To be no member of a group any more; answered as a cancel is.
    Quit {
        /// The name of the group.
        group: Arc<str>,
        /// What its members share.
        filter: TopicFilter,
    },
    /// See [`Command::List`](crate::protocol::Command::List).
    List {
        /// The subtree.
        filter: TopicFilter,
    },
    /// See [`Command::Get`](crate::protocol::Command::Get).
    Get {
        /// The topic.
        topic: Topic,
        /// How the answer is written.
        dialect: Dialect,
        /// How many of the last messages of a stream, in place of the last value.
        last: Option<u32>,
    },
    /// A filter whose last values are to be forgotten. It is answered only if it is refused.
    ClearBelow {
        /// The filter, with a wildcard.
        filter: TopicFilter,
    },
    /// See [`Command::Ping`](crate::protocol::Command::Ping).
    Ping {
        /// Given back.
        id: Option<Id>,
    },
    /// See [`Command::Stats`](crate::protocol::Command::Stats).
    Stats,
    /// See [`Command::Backup`](crate::protocol::Command::Backup).
    Backup,
    /// What concerns the streams themselves.
    Admin(Box<AdminRequest>),
    /// The client has logged in, and is this user from here on.
    Welcome {
        /// The user; `None` where the broker has none, and everybody is welcome.
        user: Option<Arc<User>>,
    },
    /// The session refused something. It comes this way so that answers keep the order of the
    /// requests.
    Refuse {
        /// The refusal; if it is fatal, nothing follows it.
        refusal: Refusal,
    },
}

/// A question, and where its answer goes. An asker that went away is no error.
#[derive(Debug)]
pub enum Query {
    /// The topics of the subtree that hold a value, sorted.
    Topics(TopicFilter, Sender<Vec<Topic>>),
    /// The last value of a topic.
    Get(Topic, Sender<Option<Payload>>),
    /// Stores and delivers a message; answered when it is routed, or refused. Its topic may be the
    /// broker's own: whether a program may publish there is judged where it asks
    /// ([`check_writable`](crate::protocol::check_writable)).
    Put(Box<Batch>, Sender<Result<(), Refusal>>),
    /// Forgets the last value of a topic, which may be the broker's own; answers whether there was
    /// one.
    Clear(Topic, Sender<bool>),
    /// The subscriptions that a message to the topic would reach.
    Subscriptions(Topic, Sender<Vec<SubscriptionInfo>>),
    /// The counters.
    Stats(Sender<Stats>),
    /// What is known of the first of these connections, at most
    /// [`CLIENTS_TOGETHER`](crate::broker::CLIENTS_TOGETHER), in their order, and how many were
    /// looked at; those that can receive nothing are left out.
    Clients(Vec<ClientId>, Sender<(Vec<ClientReport>, usize)>),
    /// Ends a connection, and tells it so; answers whether it is there, and can receive.
    Disconnect(ClientId, Sender<bool>),
    /// Holds everybody to these users from now on; answered when nobody has a right any more that
    /// was lost.
    Policy(Policy, Sender<Vec<RightLost>>),
    /// The ticket to be waited for before everything that was stored or cleared is in the store;
    /// `None` where it is, or where memory ends with the process.
    Saved(Sender<Option<Ticket>>),
    /// The same of what is this broker's, whatever becomes of topics that it shares with others.
    SavedHere(Sender<Option<Ticket>>),
    /// The same of last values alone, whatever becomes of the disks of streams.
    SavedValues(Sender<Option<Ticket>>),
    /// What is known of each stream without asking its thread.
    Streams(Sender<Vec<StreamSummary>>),
    /// The threads of all streams, which are asked for their consumers.
    Consumers(Sender<Vec<Asked>>),
    /// For each of these filters the stream that a connection may consume it from: the one that it
    /// does already, as long as that keeps it; `None` where there is none, or several, or where it
    /// may see only a part.
    Consumable(ClientId, Vec<(TopicFilter, Option<Arc<str>>)>, Sender<Vec<Option<Arc<str>>>>),
    /// Forgets a consumer of a stream, whoever made it. Nothing answers.
    Forget {
        /// The stream.
        stream: Arc<str>,
        /// The consumer.
        consumer: Arc<str>,
    },
}

/// One subscription, as the embedding program sees it.
///
#[cfg_attr(feature = "middleware", doc = "```")]
#[cfg_attr(not(feature = "middleware"), doc = "```ignore")]
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// # let queue = babelmq::XmlQueue::builder("/weather").address(broker.local_addr());
/// let consumer = queue.consumer()?;
/// for info in broker.list_subscriptions("/weather/oslo")? {
///     println!("{} listens to {} in {}", info.peer, info.filter, info.format);
///     assert_eq!((info.filter.as_str(), info.format), ("/weather", babelmq::Format::Xml));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionInfo {
    /// The connection.
    pub client: ClientId,
    /// Where it connects from.
    pub peer: Peer,
    /// What it subscribed to, as it spelled it.
    pub filter: String,
    /// Whether it gets what is below the segments of its filter as well.
    pub below: bool,
    /// The format of its deliveries.
    pub format: Format,
    /// Whether JSON tags what it cannot tell apart, for JavaScript or not.
    pub exact: bool,
    /// Whether XML has no types.
    pub plain: bool,
}
