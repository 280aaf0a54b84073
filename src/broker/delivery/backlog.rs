//! How much may wait for the dispatcher.
//!
//! Events are bounded in number by their channel, and here by what they cost the dispatcher: a
//! session that finds no room waits before it reads on, and so TCP slows its producer down. What
//! waits in front of an event is so the most that it is late. One connection may have three times
//! as much waiting as is left for all others, so whoever wants little finds room, however many want
//! much.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::broker::streams::StreamState;
use crate::broker::sync::{AtomicBool, AtomicUsize, Condvar, Mutex};

/// The work that may wait for the dispatcher, of all connections together, in bytes of ordinary
/// messages: about 15 ms of its time; in a model a few messages. One event always fits.
pub const BACKLOG_COST: usize = if cfg!(shuttle) { 8 << 10 } else { 16 << 20 };

/// One connection may have so many times as much waiting as is left for others.
const TIMES: usize = 3;
/// Room is given to those who wait for it when there is one part in so many of all, so that they
/// are looked at once for many small events.
const PART: usize = 16;
/// How long a publisher waits for the disk of a stream before it looks again.
const MOMENT: Duration = Duration::from_secs(1);

/// The work that waits for the dispatcher.
#[derive(Debug)]
pub struct Backlog {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    /// Those who wait for room, who came first first.
    waiting: VecDeque<Waiter>,
}

/// A session that waits for room.
#[derive(Debug)]
struct Waiter {
    cost: usize,
    lane: Arc<LaneState>,
    grant: Arc<Grant>,
}

/// Each has its own: to wake them all for room that one of them finds costs more than what they
/// wait for.
#[derive(Debug, Default)]
struct Grant {
    is_given: AtomicBool,
    given: Condvar,
}

/// The work that waits of one connection.
#[derive(Debug)]
pub struct Lane {
    backlog: Arc<Backlog>,
    state: Arc<LaneState>,
}

#[derive(Debug, Default)]
struct LaneState {
    /// The work that waits of its connection.
    waiting: AtomicUsize,
    gates: Gates,
}

/// The streams that a connection has published to: while much waits for the disk of one, the
/// connection waits too.
#[derive(Debug, Default)]
struct Gates {
    /// Whether there are any; most connections have none.
    are_some: AtomicBool,
    streams: Mutex<Vec<Arc<StreamState>>>,
}

/// The part of the backlog that an event has taken, given back when it is dropped.
#[derive(Debug)]
pub struct Queued {
    lane: Option<Lane>,
    cost: usize,
}

impl Backlog {
    /// An empty backlog in which at most `limit` may wait.
    pub fn new(limit: usize) -> Arc<Backlog> {
        Arc::new(Backlog { limit, state: Mutex::default() })
    }

    /// The lane of a connection.
    pub fn lane(self: &Arc<Backlog>) -> Lane {
        Lane { backlog: self.clone(), state: Arc::default() }
    }

    /// The work that waits now.
    pub fn used(&self) -> usize {
        self.state.lock().used
    }

    /// Takes `cost`, if there is room for it or nothing waits.
    fn try_take(&self, used: &mut usize, lane: &AtomicUsize, cost: usize) -> bool {
        let left = self.limit.checked_sub(*used + cost);
        let has_room = left.is_some_and(|left| lane.load(Ordering::Relaxed) + cost <= left * TIMES);
        if *used > 0 && !has_room {
            return false;
        }
        *used += cost;
        lane.fetch_add(cost, Ordering::Relaxed);
        true
    }

    fn give_back(&self, lane: &AtomicUsize, cost: usize) {
        let mut state = self.state.lock();
        lane.fetch_sub(cost, Ordering::Relaxed);
        state.used -= cost;
        let State { used, waiting } = &mut *state;
        if waiting.is_empty() || self.limit.saturating_sub(*used) < self.limit / PART {
            return;
        }
        // A session that wants little does not wait behind those that want much.
        waiting.retain(|waiter| {
            let is_given = self.try_take(used, &waiter.lane.waiting, waiter.cost);
            if is_given {
                waiter.grant.is_given.store(true, Ordering::Relaxed);
                waiter.grant.given.notify_all();
            }
            !is_given
        });
    }
}

impl Lane {
    /// Takes `cost`, as soon as there is room for it or the backlog is empty.
    pub fn claim(&self, cost: usize) -> Queued {
        if self.state.gates.are_some.load(Ordering::Relaxed) {
            self.state.gates.wait();
        }
        let Backlog { state, .. } = &*self.backlog;
        let mut state = state.lock();
        if !self.backlog.try_take(&mut state.used, &self.state.waiting, cost) {
            let grant = Arc::new(Grant::default());
            state.waiting.push_back(Waiter {
                cost,
                lane: self.state.clone(),
                grant: grant.clone(),
            });
            while !grant.is_given.load(Ordering::Relaxed) {
                grant.given.wait(&mut state);
            }
        }
        let lane = Lane { backlog: self.backlog.clone(), state: self.state.clone() };
        Queued { lane: Some(lane), cost }
    }
}

impl Gates {
    /// Waits while too much waits for the disk of a stream.
    fn wait(&self) {
        let crowded = |streams: &[Arc<StreamState>]| {
            streams.iter().find(|stream| stream.is_crowded()).cloned()
        };
        loop {
            // The lock is not held while anybody waits.
            let Some(stream) = crowded(&self.streams.lock()) else { return };
            stream.wait_for_room(MOMENT);
        }
    }
}

impl Queued {
    /// Notes that the connection publishes to a stream.
    pub(in crate::broker) fn note_stream(&self, stream: &Arc<StreamState>) {
        let Some(Lane { state, .. }) = &self.lane else { return };
        let gates = &state.gates;
        let mut streams = gates.streams.lock();
        if !streams.iter().any(|noted| Arc::ptr_eq(noted, stream)) {
            streams.retain(|noted| !noted.is_over());
            streams.push(stream.clone());
            gates.are_some.store(true, Ordering::Relaxed);
        }
    }

    /// Something that takes nothing of the backlog.
    pub fn nothing() -> Queued {
        Queued { lane: None, cost: 0 }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if let Some(lane) = &self.lane {
            lane.backlog.give_back(&lane.state.waiting, self.cost);
        }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
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

    fn has_room(lane: &Lane, cost: usize) -> bool {
        let mut used = lane.backlog.used();
        let waiting = AtomicUsize::new(lane.state.waiting.load(Ordering::Relaxed));
        lane.backlog.try_take(&mut used, &waiting, cost)
    }

    #[test]
    fn whoever_wants_little_does_not_wait_behind_those_who_want_much() {
        let backlog = Backlog::new(100);
        let (first, second) = (backlog.lane().claim(60), backlog.lane().claim(30));
        let (done, is_done) = mpsc::channel();
        let wait = |cost: usize| {
            let (lane, done) = (backlog.lane(), done.clone());
            let thread = thread::spawn(move || {
                let queued = lane.claim(cost);
                done.send(cost).unwrap();
                queued
            });
            while backlog.state.lock().waiting.iter().all(|waiter| waiter.cost != cost) {
                thread::yield_now();
            }
            thread
        };
        let (large, small) = (wait(80), wait(20));
        drop(second);
        assert_eq!(is_done.recv().unwrap(), 20);
        assert!(is_done.try_recv().is_err());
        drop((first, small.join().unwrap()));
        assert_eq!(is_done.recv().unwrap(), 80);
        drop(large.join().unwrap());
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
                if has_room(lane, 1) {
                    queued.push(lane.claim(1));
                }
            }
        }
        assert!(backlog.used() >= 960, "{} is used", backlog.used());
        let modest = backlog.lane();
        assert!(has_room(&modest, 20));
        drop(modest.claim(20));
    }
}
