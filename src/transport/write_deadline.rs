//! How long a writer waits for a peer that takes nothing.

use std::cell::OnceCell;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::sync::Instant;
use crate::broker::{ClientId, Counters, Inbox};
use crate::codec::Share;

/// Bytes that a peer must take within its time, or everything where that is less.
pub(super) const LEAST_TAKEN: usize = 64 << 10;
/// A blocked write looks at least this often whether it should go on.
pub(super) const WRITE_TICK: Duration = Duration::from_secs(1);
/// A peer whose queue overflowed, or whose session is over, is not waited for any longer.
pub(super) const HURRY: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5_000 });

/// The socket's write timeout, such that a blocked write is seen in time.
pub(super) fn write_tick(write_timeout: Duration) -> Duration {
    write_timeout.clamp(Duration::from_millis(1), WRITE_TICK)
}

/// A writer's patience.
#[derive(Debug)]
pub(super) struct WriteDeadline {
    /// Whom it waits for, for the log.
    client: ClientId,
    /// A peer that takes less than [`LEAST_TAKEN`] in so long is given up.
    write_timeout: Duration,
    /// The share of what all connections together have on their way.
    in_flight: Arc<Share>,
    /// When it was first seen that the outbox overflowed.
    hurry: OnceCell<Instant>,
}

impl WriteDeadline {
    pub(super) fn new(
        client: ClientId,
        write_timeout: Duration,
        in_flight: Arc<Share>,
    ) -> WriteDeadline {
        WriteDeadline { client, write_timeout, in_flight, hurry: OnceCell::new() }
    }

    /// Whether producers wait for what is held for a peer whose queue overflowed. It gets what its
    /// socket takes at once.
    pub(super) fn is_pressed(&self, inbox: &Inbox) -> bool {
        inbox.is_overflowed() && self.in_flight.is_wanted()
    }

    /// Goes on waiting where too little could be written since `progress`; `has_moved` says whether
    /// the last try wrote something.
    ///
    /// # Errors
    /// `TimedOut` when that is too long.
    pub(super) fn last(
        &self,
        progress: Instant,
        has_moved: bool,
        inbox: &Inbox,
        counters: &Counters,
    ) -> io::Result<()> {
        // Reading a little now and then does not keep a connection that was cut off.
        if inbox.is_overflowed() {
            if !has_moved && self.is_pressed(inbox) {
                return Err(ErrorKind::TimedOut.into());
            }
            self.last_in_a_hurry(*self.hurry.get_or_init(Instant::now))?;
        }
        if progress.elapsed() >= self.write_timeout {
            Counters::add(&counters.write_timeouts, 1);
            tracing::info!(client = %self.client, timeout = ?self.write_timeout, "the client takes \
            too little of what is written to it");
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// Goes on waiting for memory, since `began`.
    ///
    /// # Errors
    /// `OutOfMemory` when that is too long.
    pub(super) fn last_without_memory(&self, began: Instant, inbox: &Inbox) -> io::Result<()> {
        if inbox.is_overflowed() || began.elapsed() >= self.write_timeout {
            tracing::info!(client = %self.client, "the broker has no memory for a long answer to \
            the client");
            return Err(ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }

    /// Goes on waiting for a connection that is over since `since`.
    ///
    /// # Errors
    /// As for [`last`](Self::last).
    pub(super) fn last_in_a_hurry(&self, since: Instant) -> io::Result<()> {
        if since.elapsed() >= HURRY { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}
