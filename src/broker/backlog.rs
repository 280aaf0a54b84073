//! How much may wait for the dispatcher.
//!
//! Events are bounded in number by their channel, and here by what they cost the dispatcher: a session that finds no room
//! waits before it reads on, and so TCP slows its producer down. What waits in front of an event is so the most that it is
//! late. One connection may have three times as much waiting as is left for all others, so whoever wants little finds room,
//! however many want much.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::sync::{AtomicUsize, Condvar, Mutex};

/// What may wait for the dispatcher, for all connections together, in bytes of ordinary messages: about 15 ms of its time.
/// One event always fits.
pub const BACKLOG_COST: usize = 16 << 20;

/// One connection may have so many times as much waiting as is left for others.
const TIMES: usize = 3;

/// What waits for the dispatcher.
#[derive(Debug)]
pub struct Backlog {
    limit: usize,
    used: Mutex<usize>,
    /// Notified when `used` has become less.
    room: Condvar,
}

/// What waits of one connection.
#[derive(Debug)]
pub struct Lane {
    backlog: Arc<Backlog>,
    waiting: Arc<AtomicUsize>,
}

/// What an event has taken of the backlog, given back when it is dropped.
#[derive(Debug)]
pub struct Queued {
    lane: Option<Lane>,
    cost: usize,
}

impl Backlog {
    /// An empty backlog in which at most `limit` may wait.
    pub fn new(limit: usize) -> Arc<Backlog> {
        Arc::new(Backlog { limit, used: Mutex::new(0), room: Condvar::new() })
    }

    /// The lane of a connection.
    pub fn lane(self: &Arc<Backlog>) -> Lane {
        Lane { backlog: self.clone(), waiting: Arc::new(AtomicUsize::new(0)) }
    }

    /// What waits now.
    pub fn used(&self) -> usize {
        *self.used.lock()
    }
}

impl Lane {
    /// Takes `cost`, as soon as there is room for it or the backlog is empty.
    pub fn claim(&self, cost: usize) -> Queued {
        let backlog = &self.backlog;
        let mut used = backlog.used.lock();
        while *used > 0 && !self.has_room(*used, cost) {
            backlog.room.wait(&mut used);
        }
        *used += cost;
        self.waiting.fetch_add(cost, Ordering::Relaxed);
        let lane = Lane { backlog: backlog.clone(), waiting: self.waiting.clone() };
        Queued { lane: Some(lane), cost }
    }

    fn has_room(&self, used: usize, cost: usize) -> bool {
        let Some(left) = self.backlog.limit.checked_sub(used + cost) else { return false };
        self.waiting.load(Ordering::Relaxed) + cost <= left * TIMES
    }
}

impl Queued {
    /// Something that takes nothing of the backlog.
    pub fn nothing() -> Queued {
        Queued { lane: None, cost: 0 }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let Some(Lane { backlog, waiting }) = &self.lane else { return };
        let mut used = backlog.used.lock();
        waiting.fetch_sub(self.cost, Ordering::Relaxed);
        *used -= self.cost;
        drop(used);
        // There may be room for more than one.
        backlog.room.notify_all();
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn who_finds_no_room_waits_for_it() {
        let backlog = Backlog::new(100);
        let large = backlog.lane().claim(1_000);
        assert_eq!(backlog.used(), 1_000, "one event always fits");
        let (done, is_done) = mpsc::channel();
        let waiting = {
            let lane = backlog.lane();
            thread::spawn(move || {
                let queued = lane.claim(60);
                done.send(()).unwrap();
                queued
            })
        };
        assert!(is_done.try_recv().is_err());
        drop(large);
        is_done.recv().unwrap();
        let second = backlog.lane().claim(30);
        assert_eq!(backlog.used(), 90);
        drop((second, waiting.join().unwrap()));
        assert_eq!(backlog.used(), 0);
    }

    #[test]
    fn greedy_connections_leave_room_for_one_that_wants_little() {
        let backlog = Backlog::new(1_000);
        let greedy: Vec<Lane> = (0..10).map(|_| backlog.lane()).collect();
        let mut queued = Vec::new();
        // Each takes as much as it can without waiting.
        for _ in 0..1_000 {
            for lane in &greedy {
                if lane.has_room(backlog.used(), 1) {
                    queued.push(lane.claim(1));
                }
            }
        }
        assert!(backlog.used() >= 960, "{} is used", backlog.used());
        let modest = backlog.lane();
        assert!(modest.has_room(backlog.used(), 20));
        drop(modest.claim(20));
    }
}
