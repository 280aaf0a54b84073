//! How much may wait for the dispatcher.
//!
//! Events are bounded in number by their channel, and here in bytes: a session that finds no room waits before it reads
//! on, and so TCP slows its producer down.

use std::sync::Arc;

use super::sync::{Condvar, Mutex};

/// Bytes of events that may wait for the dispatcher, for all connections together. One event always fits.
pub const BACKLOG_BYTES: usize = 16 << 20;

/// The bytes that wait for the dispatcher.
#[derive(Debug)]
pub struct Backlog {
    limit: usize,
    used: Mutex<usize>,
    /// Notified when `used` has become less.
    room: Condvar,
}

/// Bytes that an event has taken of the backlog, given back when it is dropped.
#[derive(Debug)]
pub struct Claim {
    backlog: Option<Arc<Backlog>>,
    bytes: usize,
}

impl Backlog {
    /// An empty backlog of at most `limit` bytes.
    pub fn new(limit: usize) -> Arc<Backlog> {
        Arc::new(Backlog { limit, used: Mutex::new(0), room: Condvar::new() })
    }

    /// Takes `bytes`, as soon as there is room for them or the backlog is empty.
    pub fn claim(self: &Arc<Backlog>, bytes: usize) -> Claim {
        let mut used = self.used.lock();
        while *used > 0 && *used + bytes > self.limit {
            self.room.wait(&mut used);
        }
        *used += bytes;
        Claim { backlog: Some(self.clone()), bytes }
    }

    /// Bytes that wait now.
    pub fn used(&self) -> usize {
        *self.used.lock()
    }
}

impl Claim {
    /// A claim of nothing.
    pub fn nothing() -> Claim {
        Claim { backlog: None, bytes: 0 }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(backlog) = &self.backlog else { return };
        *backlog.used.lock() -= self.bytes;
        // Who waits longest tries first; there may be room for more than one.
        backlog.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn who_finds_no_room_waits_for_it() {
        let backlog = Backlog::new(100);
        let large = backlog.claim(1_000);
        assert_eq!(backlog.used(), 1_000, "one event always fits");
        let (done, is_done) = mpsc::channel();
        let waiting = {
            let backlog = backlog.clone();
            thread::spawn(move || {
                let claim = backlog.claim(60);
                done.send(()).unwrap();
                claim
            })
        };
        assert!(is_done.try_recv().is_err());
        drop(large);
        is_done.recv().unwrap();
        let second = backlog.claim(40);
        assert_eq!(backlog.used(), 100);
        drop((second, waiting.join().unwrap()));
        assert_eq!(backlog.used(), 0);
    }
}
