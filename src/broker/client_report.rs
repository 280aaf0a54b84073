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
    /// How many it has in all.
    pub subscription_count: u64,
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
