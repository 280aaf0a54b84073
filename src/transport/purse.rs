//! One connection's part of the broker's memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::Shared;
use crate::broker::sync::Sender;
use crate::broker::{Event, Lane, Queued, Use};
use crate::codec::{Account, Claim, Workspace};

/// Bytes of memory that a connection takes with two threads: their stacks as far as they are used,
/// its session and writer, the smallest buffer. One that is idle among many takes a fifth of that.
pub(super) const CONNECTION: usize = 48 << 10;
/// Buffers up to this size are part of that.
pub(super) const SMALL_BUFFER: usize = 4 << 10;
/// Bytes of messages on their way that each connection may have whatever others have.
const MODEST: usize = 8 << 10;
/// How often a producer that waits for memory says so.
const PRESSURE: Duration = Duration::from_millis(20);

/// The accounts of a connection.
#[derive(Debug)]
pub(super) struct Purse {
    connection: Claim,
    /// The bytes that its buffer takes.
    frames: Claim,
    workspace: Workspace,
    in_flight: Account,
    lane: Lane,
}

impl Purse {
    /// Opens the accounts of a new connection, if there is memory for one, and `more` for what its
    /// line takes.
    pub(super) fn open(shared: &Shared, more: usize) -> Option<Purse> {
        let account = |this| shared.memory.of(this).account();
        Some(Purse {
            // How much others have does not matter here: each has as much.
            connection: account(Use::Connections).claim_last(CONNECTION + more)?,
            frames: account(Use::Frames).charge(0),
            workspace: Workspace::new(account(Use::Decoding)),
            in_flight: account(Use::InFlight),
            lane: shared.backlog.lane(),
        })
    }

    /// Whether the connection may take so many bytes more, for as long as it lasts.
    pub(super) fn take_more(&mut self, bytes: usize) -> bool {
        self.connection.try_grow_to(self.connection.bytes() + bytes)
    }

    /// Memory for something that the connection leaves with the broker, if there is some.
    pub(super) fn claim_to_keep(&self, bytes: usize) -> Option<Claim> {
        self.connection.account().and_then(|account| account.try_claim(bytes))
    }

    /// Whether half of the memory for connections is taken.
    pub(super) fn is_crowded(&self) -> bool {
        let share = self.connection.account().map(|account| account.share());
        share.is_some_and(|share| share.used() > share.limit() / 2)
    }

    pub(super) fn workspace(&self) -> Workspace {
        self.workspace.clone()
    }

    /// Whether a buffer may take so many bytes for what has yet to begin: only while nobody waits,
    /// and half of the memory is free for frames that have begun.
    pub(super) fn try_to_read_ahead(&mut self, size: usize) -> bool {
        let Some(share) = self.frames.account().map(|account| account.share().clone()) else {
            return true;
        };
        let more = size.saturating_sub(self.frames.bytes());
        size <= SMALL_BUFFER
            || (!share.is_wanted()
                && share.used() + more <= share.limit() / 2
                && self.try_buffer(size))
    }

    /// Whether a session waits for memory for a frame.
    pub(super) fn is_wanted(&self) -> bool {
        self.frames.account().is_some_and(|account| account.share().is_wanted())
    }

    /// Whether a buffer may take so many bytes.
    pub(super) fn try_buffer(&mut self, size: usize) -> bool {
        size <= SMALL_BUFFER || self.frames.try_grow_to(size)
    }

    /// The same as soon as there is memory; gives up after `patience`.
    pub(super) fn wait_to_buffer(&mut self, size: usize, patience: Duration) -> bool {
        self.frames.grow_to(size, patience)
    }

    /// Says what the buffer takes now.
    pub(super) fn note_buffer(&mut self, size: usize) {
        self.frames.shrink_to(if size <= SMALL_BUFFER { 0 } else { size });
    }

    /// Waits until an event of such a cost may wait for the dispatcher.
    pub(super) fn wait_for_turn(&self, cost: usize) -> Queued {
        self.lane.claim(cost)
    }

    /// Claims memory for messages on their way, as soon as there is as much. What one connection
    /// can never have at once is charged when it is used.
    pub(super) fn fly(&self, bytes: usize, events: &Sender<Event>, shared: &Shared) -> Claim {
        let bytes = bytes.min(self.in_flight.share().most_for_one());
        if self.in_flight.held() + bytes <= MODEST {
            return self.in_flight.charge(bytes);
        }
        loop {
            if let Some(claim) = self.in_flight.claim(bytes, PRESSURE) {
                return claim;
            }
            if shared.stopping.load(Ordering::Acquire) {
                return self.in_flight.charge(bytes);
            }
            // Where the dispatcher is busy it need not be told now.
            let _ = events.try_send(Event::Pressure);
        }
    }
}
