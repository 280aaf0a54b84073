//! A connection as who administrates the broker sees it.

use std::sync::Arc;
use std::time::Duration;

use super::client_id::ClientId;
use crate::protocol::{Format, Overflow, TopicFilter, Value};

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
    /// Messages that were put into its outbox and its mailboxes, and that were read from streams
    /// for it.
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
    /// The name of the group that it shares the subscription with, if it does.
    pub group: Option<Arc<str>>,
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

impl SubscriptionReport {
    /// The subscription as its client spelled it.
    pub fn text(&self) -> &str {
        self.group.as_deref().unwrap_or(self.filter.as_str())
    }
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

/// A session of MQTT, as who administrates the broker sees it. The dispatcher knows nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// What its client calls itself: text of a stranger.
    pub client_id: Arc<str>,
    /// Which MQTT it speaks, or spoke last: `3.1`, `3.1.1` or `5`.
    pub version: &'static str,
    /// Messages of QoS 1 and 2 that are on their way to it.
    pub inflight: u64,
    /// How many may be.
    pub receive_maximum: u64,
    /// Since when its client is away; `None` while it is connected.
    pub away: Option<Away>,
}

/// The client of a session is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// For how long it has been away.
    pub since: Duration,
    /// How long it is still waited for; `None` for ever.
    pub expires_in: Option<Duration>,
}

impl SessionReport {
    /// Its members where a client is told of in JSON, XML or a pickle, with `most` characters of
    /// its identifier.
    pub(crate) fn members(
        &self,
        most: usize,
    ) -> impl Iterator<Item = (&'static str, Value)> + use<> {
        let SessionReport { ref client_id, version, inflight, receive_maximum, away } = *self;
        let int = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let end = client_id.char_indices().nth(most).map_or(client_id.len(), |(end, _)| end);
        let client_id = client_id.get(..end).unwrap_or_default();
        let begin = [
            ("protocol_version", version.into()),
            ("client_id", client_id.into()),
            ("connected", away.is_none().into()),
        ];
        let since = away.map(|away| ("disconnected_for", int(away.since.as_secs())));
        let end = away.and_then(|away| away.expires_in);
        let end = end.map(|left| ("expires_in", int(left.as_secs())));
        let numbers = [("inflight", int(inflight)), ("receive_maximum", int(receive_maximum))];
        begin.into_iter().chain(since).chain(end).chain(numbers)
    }
}
