//! How it stands with shared topics, for everybody who is not their thread.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// How it stands with the shared topics of one stream. Their thread writes it.
#[derive(Debug, Default)]
pub(in crate::broker) struct SharedStatus {
    is_connected: AtomicBool,
    /// Why it is not.
    reason: Mutex<String>,
    /// Whether this broker has what was in the stream when it began.
    has_caught_up: AtomicBool,
    max_payload: AtomicUsize,
    connects: AtomicU64,
    applied: AtomicU64,
    last: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
}

/// How it stands at a moment with topics that this broker shares with others.
///
#[cfg_attr(feature = "middleware", doc = "```")]
#[cfg_attr(not(feature = "middleware"), doc = "```ignore")]
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// for shared in broker.shared_topics() {
///     let (stream, lag) = (&shared.stream, shared.lag);
///     println!("{stream}: {lag} messages behind, {} unconfirmed", shared.unconfirmed);
/// }
/// # Ok::<(), babelmq::StartError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedNumbers {
    /// The stream that they are in.
    pub stream: String,
    /// Whether there is a server, and the stream.
    pub is_connected: bool,
    /// Whether this broker has what was in the stream when it began.
    pub has_caught_up: bool,
    /// How often a connection was made again after it was lost.
    pub reconnects: u64,
    /// The last message of the stream that is delivered and remembered here.
    pub applied: u64,
    /// Messages of the stream that are known of and not delivered here yet.
    pub lag: u64,
    /// Messages of the stream that are none here: a topic or payload that cannot be read.
    pub rejected: u64,
    /// Messages of this broker that the backbone did not take.
    pub refused: u64,
    /// Messages of this broker that the backbone has not confirmed yet.
    pub unconfirmed: u64,
    /// Why there is no server or no stream, or nothing is confirmed; empty where all is well.
    pub reason: String,
}

impl SharedStatus {
    pub(in crate::broker) fn connected(&self, max_payload: usize) {
        self.max_payload.store(max_payload, Ordering::Relaxed);
        if !self.is_connected.swap(true, Ordering::Relaxed) {
            self.connects.fetch_add(1, Ordering::Relaxed);
            self.reason.lock().clear();
        }
    }

    /// Says that there is no server.
    pub(in crate::broker) fn disconnected(&self, reason: &str) {
        reason.clone_into(&mut self.reason.lock());
        self.is_connected.store(false, Ordering::Relaxed);
    }

    /// Says why nothing is confirmed, though there is a server.
    pub(in crate::broker) fn stalled(&self, reason: &str) {
        reason.clone_into(&mut self.reason.lock());
    }

    /// Bytes that a message may have, with what is said beside it; `None` where no server has said.
    pub(in crate::broker) fn max_payload(&self) -> Option<usize> {
        Some(self.max_payload.load(Ordering::Relaxed)).filter(|most| *most > 0)
    }

    pub(in crate::broker) fn applied(&self, seq: u64, last: u64) {
        self.applied.store(seq, Ordering::Relaxed);
        self.last.fetch_max(last, Ordering::Relaxed);
        if seq >= last {
            self.has_caught_up.store(true, Ordering::Relaxed);
        }
    }

    /// Says that the stream is another one, whose numbers begin anew.
    pub(in crate::broker) fn begin_anew(&self) {
        self.has_caught_up.store(false, Ordering::Relaxed);
        self.applied.store(0, Ordering::Relaxed);
        self.last.store(0, Ordering::Relaxed);
    }

    pub(in crate::broker) fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::broker) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::broker) fn numbers(&self) -> SharedNumbers {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        SharedNumbers {
            is_connected: self.is_connected.load(Ordering::Relaxed),
            has_caught_up: self.has_caught_up.load(Ordering::Relaxed),
            reconnects: of(&self.connects).saturating_sub(1),
            applied: of(&self.applied),
            lag: of(&self.last).saturating_sub(of(&self.applied)),
            rejected: of(&self.rejected),
            refused: of(&self.refused),
            reason: self.reason.lock().clone(),
            ..SharedNumbers::default()
        }
    }
}
