//! What a consumer was asked to be: its filter, its window, its patience.

use std::time::Duration;

use crate::protocol::TopicFilter;

/// The order in which messages are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Each member gets its messages in the order of their numbers, redeliveries aside.
    #[default]
    None,
    /// The messages of one topic are with one member at a time, in their order, redeliveries
    /// included.
    ByTopic,
}

/// What a consumer was asked to be. All but the filter may change later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// Which messages of the stream it is to get.
    pub filter: TopicFilter,
    /// How many messages a member has outstanding at most unless it asks for another number.
    pub window: u32,
    /// How long a member may take to acknowledge a message before it is delivered again. It is
    /// rounded up to whole milliseconds.
    pub ack_wait: Duration,
    /// How many times a message is delivered at most, at least once.
    pub max_deliver: u32,
    /// How long a message waits after its first, second, … attempt has failed; the last value is
    /// for all later ones. None at all is at once.
    pub backoff: Vec<Duration>,
    /// The order of deliveries.
    pub order: Order,
}

impl ConsumerSettings {
    /// A consumer of what a filter matches, with a window of 256, 30 seconds to acknowledge, five
    /// attempts without a pause between them, and no order among members.
    pub fn new(filter: TopicFilter) -> ConsumerSettings {
        ConsumerSettings {
            filter,
            window: 256,
            ack_wait: Duration::from_secs(30),
            max_deliver: 5,
            backoff: Vec::new(),
            order: Order::None,
        }
    }

    /// How long a message waits after so many attempts, in milliseconds.
    pub(in crate::broker) fn pause_after(&self, attempts: u32) -> u64 {
        let at = (attempts.max(1) as usize - 1).min(self.backoff.len().saturating_sub(1));
        self.backoff.get(at).copied().map_or(0, millis)
    }

    /// How long a member may take, in milliseconds.
    pub(super) fn patience(&self) -> u64 {
        millis(self.ack_wait).max(1)
    }
}

/// Milliseconds, rounded up.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
