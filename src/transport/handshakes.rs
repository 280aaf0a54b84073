//! TLS handshakes: how many compute at once, and what the log says of those that fail.
//!
//! A client that asks for a handshake has the broker sign something, which costs it nothing. So
//! only as many compute at a time as there are processors, and a crowd that connects at once takes
//! turns. A client that is waited for takes no turn: many that say nothing keep nobody out.

use std::fmt::Display;

use super::log_limit::LogLimit;
use crate::broker::sync::thread::available_parallelism;
use crate::broker::sync::{Condvar, Instant, Mutex};
use crate::broker::{ClientId, Peer};

/// Handshakes that may compute at once, at least.
const FEWEST: usize = 2;

/// The handshakes of all connections.
#[derive(Debug)]
pub(super) struct Handshakes {
    /// Turns that nobody has.
    turns: Mutex<usize>,
    /// Notified when a turn is over.
    returned: Condvar,
    failures: Mutex<LogLimit>,
}

/// A turn of a handshake to compute, until it is dropped.
#[derive(Debug)]
pub(super) struct HandshakeTurn<'a>(&'a Handshakes);

impl Drop for HandshakeTurn<'_> {
    fn drop(&mut self) {
        *self.0.turns.lock() += 1;
        self.0.returned.notify_one();
    }
}

impl Handshakes {
    /// A turn for every processor.
    pub(super) fn new() -> Handshakes {
        Handshakes::with_turns(available_parallelism().map_or(FEWEST, |all| all.get().max(FEWEST)))
    }

    fn with_turns(turns: usize) -> Handshakes {
        let failures = Mutex::default();
        Handshakes { turns: Mutex::new(turns), returned: Condvar::new(), failures }
    }

    /// A turn as soon as there is one; none before `until`.
    pub(super) fn turn(&self, until: Instant) -> Option<HandshakeTurn<'_>> {
        let mut turns = self.turns.lock();
        while *turns == 0 {
            if Instant::now() >= until {
                return None;
            }
            self.returned.wait_until(&mut turns, until);
        }
        *turns -= 1;
        Some(HandshakeTurn(self))
    }

    /// Logs that a handshake failed, or that more did than are logged.
    pub(super) fn log_failure(&self, client: ClientId, peer: Peer, error: &dyn Display) {
        let noted = self.failures.lock().note(Instant::now());
        let Some(before) = noted else { return };
        say_unlogged(before);
        tracing::info!(%client, %peer, %error, "TLS handshake failed");
    }
}

/// The last of them are said at the end.
impl Drop for Handshakes {
    fn drop(&mut self) {
        say_unlogged(self.failures.lock().unlogged());
    }
}

fn say_unlogged(handshakes: u64) {
    if handshakes > 0 {
        tracing::info!(handshakes, "more TLS handshakes failed than are logged one by one");
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_compute_at_once_and_one_that_is_done_wakes_who_waits() {
        let handshakes = Handshakes::with_turns(1);
        let far = Instant::now() + Duration::from_secs(60);
        let first = handshakes.turn(far).unwrap();
        assert!(handshakes.turn(Instant::now()).is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| handshakes.turn(far).is_some());
            drop(first);
            assert!(waiting.join().unwrap());
        });
        assert!(handshakes.turn(far).is_some());
    }
}
