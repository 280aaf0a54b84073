//! A connection as who administrates the broker sees it.

use std::sync::Arc;

use super::client_id::ClientId;
use crate::protocol::{Format, Overflow, TopicFilter};

/// What the dispatcher knows of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientReport {
    /// The connection.
    pub client: ClientId,
    /// Its user, where the broker has users.
    pub user: Option<Arc<str>>,
    /// Some of its subscriptions.
    pub subscriptions: Vec<SubscriptionReport>,
    /// How many it has in all, those of streams aside.
    pub subscription_count: u64,
    /// Some of its subscriptions of streams.
    pub feeds: Vec<FeedReport>,
    /// How many it has of these in all.
    pub feed_count: u64,
    /// Messages that wait for it.
    pub waiting: u64,
    /// Bytes of memory that they keep alive.
    pub waiting_bytes: u64,
    /// Messages that were put into its outbox and its mailboxes.
    pub delivered: u64,
    /// Messages that made room for newer ones.
    pub dropped: u64,
    /// Whether more than half of a queue of it is full.
    pub is_slow: bool,
}

/// One subscription of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionReport {
    /// What it subscribed to.
    pub filter: TopicFilter,
    /// The format of its deliveries.
    pub format: Format,
    /// What happens to messages that do not fit.
    pub overflow: Overflow,
    /// Messages that wait for it. With [`Overflow::Disconnect`] all subscriptions of a connection
    /// have one queue, and here is none of them.
    pub waiting: u64,
    /// Messages of it that made room for newer ones.
    pub dropped: u64,
}

/// One subscription of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedReport {
    /// The stream.
    pub stream: Arc<str>,
    /// The consumer that the connection is a member of, and what it has of that; `None` where it
    /// follows the stream.
    pub member: Option<MemberReport>,
    /// What it subscribed to.
    pub filter: TopicFilter,
    /// The format of its deliveries.
    pub format: Format,
}

/// What a member has of its consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberReport {
    /// The name of the consumer.
    pub consumer: Arc<str>,
    /// How many messages it may have and not have settled.
    pub window: u64,
    /// How many it has.
    pub outstanding: u64,
}
