//! What the broker counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::memory::Use;
use crate::protocol::Format;

/// Counters that sessions and writers add to while they run.
#[derive(Debug, Default)]
pub struct Counters {
    /// Since when there is something to count.
    pub started: Started,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections that are open.
    pub open: AtomicU64,
    /// Connections turned away at the limit.
    pub turned_away: AtomicU64,
    /// Requests refused, messages and frames alike.
    pub refused: AtomicU64,
    /// Frames that were begun and not finished in time.
    pub frame_timeouts: AtomicU64,
    /// Clients that took nothing of what was written to them for too long.
    pub write_timeouts: AtomicU64,
    /// Clients that the keepalive found gone.
    pub vanished: AtomicU64,
    /// Messages encoded for subscribers of another format, or another dialect, than they were published in.
    pub translated: AtomicU64,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Messages that could not be encoded although they were judged: a bug if it is not 0.
    pub encoding_failures: AtomicU64,
    /// Sessions and writers that ended by a panic: a bug if it is not 0.
    pub panics: AtomicU64,
}

/// The moment of its making.
#[derive(Clone, Copy, Debug)]
pub struct Started(pub Instant);

impl Default for Started {
    fn default() -> Started {
        Started(Instant::now())
    }
}

impl Counters {
    /// Adds to one of the counters.
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Writes the counters into a snapshot of the dispatcher's.
    pub fn fill(&self, stats: &mut Stats) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        stats.connections = read(&self.connections);
        stats.open = read(&self.open);
        stats.turned_away = read(&self.turned_away);
        stats.refused = read(&self.refused);
        stats.frame_timeouts = read(&self.frame_timeouts);
        stats.write_timeouts = read(&self.write_timeouts);
        stats.vanished = read(&self.vanished);
        stats.translated = read(&self.translated);
        stats.bytes_in = read(&self.bytes_in);
        stats.bytes_out = read(&self.bytes_out);
        stats.encoding_failures = read(&self.encoding_failures);
        stats.panics = read(&self.panics);
    }
}

/// A snapshot of everything that is counted, since the broker started unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Connections turned away at the limit.
    pub turned_away: u64,
    /// Requests refused.
    pub refused: u64,
    /// Frames that were begun and not finished in time.
    pub frame_timeouts: u64,
    /// Clients that took nothing of what was written to them for too long.
    pub write_timeouts: u64,
    /// Clients that the keepalive found gone.
    pub vanished: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Messages published.
    pub published: u64,
    /// The same by format, in the order of [`Format::ALL`].
    pub published_in: [u64; Format::ALL.len()],
    /// Messages encoded for subscribers of another format, or another dialect, than they were published in. However
    /// many subscribers share a translation, it is one.
    pub translated: u64,
    /// Messages put into outboxes, counted for each subscriber.
    pub delivered: u64,
    /// Stored values sent to new subscribers.
    pub snapshot_values: u64,
    /// Subscribers cut off because their queue was full.
    pub slow_consumers: u64,
    /// Messages that subscriptions with `drop-oldest` or `latest` let go for newer ones.
    pub dropped: u64,
    /// Messages refused because the store is full.
    pub store_refused: u64,
    /// Values whose time to live was over.
    pub expired: u64,
    /// Subscriptions that exist now.
    pub subscriptions: u64,
    /// Topics that hold a value now.
    pub topics: u64,
    /// Bytes of the values that are stored now.
    pub stored_bytes: u64,
    /// The same with what their topics cost, as it counts for [`StoreLimits::bytes`](super::StoreLimits::bytes).
    pub stored_cost: u64,
    /// How long the oldest change that is not in the store has been waiting; 0 where there is none, or no store.
    pub unsaved: Duration,
    /// Topics that were cleared and that the store may still have.
    pub unsaved_clears: u64,
    /// Bytes of memory that the broker may use, all in all.
    pub memory_budget: u64,
    /// Bytes that are claimed of it for each use, in the order of [`Use::ALL`].
    pub memory_claimed: [u64; Use::ALL.len()],
    /// Messages that could not be encoded although they were judged: a bug if it is not 0.
    pub encoding_failures: u64,
    /// Sessions and writers that ended by a panic: a bug if it is not 0.
    pub panics: u64,
}
