//! Turns to hash a password: few at a time, and of one address one at a time.
//!
//! A hash takes tens of milliseconds of a processor and megabytes of memory, and anybody who
//! connects may ask for one. So most of the processors are left for everybody else, and whoever
//! tries many passwords waits behind itself and not before others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::Origin;
use crate::broker::sync::{HashMap, Mutex, Sender, bounded};

/// Passwords that are hashed at the same time.
const AT_ONCE: usize = 2;

/// Who hashes, and who waits for a turn.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Whose turn it is, at most [`AT_ONCE`], each another.
    running: Vec<Origin>,
    /// Of each address that waits: its logins, the first first. Never none.
    waiting: HashMap<Origin, VecDeque<(u64, Sender<()>)>>,
    /// These addresses, each once; the one first whose turn was longest ago.
    order: VecDeque<Origin>,
    /// Logins that have waited so far.
    numbers: u64,
}

/// A turn to hash, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    hashing: Arc<Hashing>,
    origin: Origin,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inner = self.hashing.inner.lock();
        inner.running.retain(|running| *running != self.origin);
        inner.hand_on();
    }
}

impl Inner {
    fn may_run(&self, origin: Origin) -> bool {
        self.running.len() < AT_ONCE && !self.running.contains(&origin)
    }

    /// Gives the turns that nobody has to those that wait and may have one. An address that had one
    /// goes behind all others, however many of its logins wait.
    fn hand_on(&mut self) {
        while let Some(place) = self.order.iter().position(|origin| self.may_run(*origin))
            && let Some(origin) = self.order.remove(place)
            && let Some(waiting) = self.waiting.get_mut(&origin)
            && let Some((_, waiter)) = waiting.pop_front()
        {
            if waiting.is_empty() {
                self.waiting.remove(&origin);
            } else {
                self.order.push_back(origin);
            }
            self.running.push(origin);
            // It waits: one that gives up takes itself out first, under this lock.
            let _ = waiter.send(());
        }
    }

    fn wait(&mut self, origin: Origin, waiter: Sender<()>) -> u64 {
        self.numbers += 1;
        let waiting = self.waiting.entry(origin).or_default();
        if waiting.is_empty() {
            self.order.push_back(origin);
        }
        waiting.push_back((self.numbers, waiter));
        self.numbers
    }

    /// Takes out one that waits no more. Returns whether it had no turn yet.
    fn give_up(&mut self, origin: Origin, number: u64) -> bool {
        let Some(waiting) = self.waiting.get_mut(&origin) else { return false };
        let Ok(place) = waiting.binary_search_by_key(&number, |(number, _)| *number) else {
            return false;
        };
        waiting.remove(place);
        if waiting.is_empty() {
            self.waiting.remove(&origin);
            self.order.retain(|waiting| *waiting != origin);
        }
        true
    }
}

impl Hashing {
    /// A turn, as soon as there is one; gives up after `patience`.
    pub(super) fn turn(self: &Arc<Hashing>, origin: Origin, patience: Duration) -> Option<Turn> {
        let mut inner = self.inner.lock();
        let turn = || Turn { hashing: self.clone(), origin };
        if inner.may_run(origin) {
            inner.running.push(origin);
            return Some(turn());
        }
        let (waiter, called) = bounded(1);
        let number = inner.wait(origin, waiter);
        drop(inner);
        if called.recv_timeout(patience).is_err() && self.inner.lock().give_up(origin, number) {
            return None;
        }
        Some(turn())
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    fn of(number: u32) -> Origin {
        Origin::User(number)
    }

    impl Hashing {
        fn until_waiting(&self, logins: usize) {
            while self.inner.lock().waiting.values().map(VecDeque::len).sum::<usize>() < logins {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn few_hash_at_once_and_of_one_address_one() {
        let hashing = Arc::new(Hashing::default());
        let first = hashing.turn(of(1), Duration::ZERO).unwrap();
        assert!(hashing.turn(of(1), Duration::ZERO).is_none(), "it waits behind itself");
        let second = hashing.turn(of(2), Duration::ZERO).unwrap();
        assert!(hashing.turn(of(3), Duration::ZERO).is_none(), "there are as many as may be");
        drop((first, second));
        assert!(hashing.turn(of(3), Duration::ZERO).is_some());
    }

    #[test]
    fn whoever_tries_many_does_not_hold_up_others_that_came_later() {
        let hashing = Arc::new(Hashing::default());
        let patience = Duration::from_secs(60);
        let held = hashing.turn(of(1), Duration::ZERO).unwrap();
        let other = hashing.turn(of(2), Duration::ZERO).unwrap();
        let wait_for = |origin| {
            let hashing = hashing.clone();
            std::thread::spawn(move || hashing.turn(origin, patience).map(|turn| turn.origin))
        };
        let impatient: Vec<_> = (0..10).map(|_| wait_for(of(1))).collect();
        hashing.until_waiting(10);
        let late = wait_for(of(3));
        hashing.until_waiting(11);
        // The first address still hashes, so this turn is for the one that came last.
        drop(other);
        assert_eq!(late.join().unwrap(), Some(of(3)));
        drop(held);
        assert!(impatient.into_iter().all(|one| one.join().unwrap() == Some(of(1))));
        assert!(hashing.inner.lock().running.is_empty());
    }

    #[test]
    fn one_that_gave_up_leaves_its_turn_to_the_next() {
        let hashing = Arc::new(Hashing::default());
        let turns = [1, 2].map(|number| hashing.turn(of(number), Duration::ZERO).unwrap());
        assert!(hashing.turn(of(3), Duration::ZERO).is_none());
        drop(turns);
        let inner = hashing.inner.lock();
        assert!(inner.running.is_empty() && inner.waiting.is_empty());
    }

    #[test]
    fn two_that_try_many_do_not_hold_up_others_either() {
        let mut inner = Inner { running: vec![of(1), of(2)], ..Inner::default() };
        let mut wait_for = |number| {
            let (waiter, called) = bounded(1);
            inner.wait(of(number), waiter);
            (number, called)
        };
        let mut all: Vec<_> = (0..20).map(|number| wait_for(1 + number % 2)).collect();
        all.push(wait_for(3));
        let mut turns = Vec::new();
        while !inner.running.is_empty() {
            inner.running.remove(0);
            inner.hand_on();
            let had_turns = turns.len();
            turns.extend(
                all.iter().filter(|(_, called)| called.try_recv().is_ok()).map(|one| one.0),
            );
            assert!(turns.len() <= had_turns + 1 && inner.running.len() <= AT_ONCE);
        }
        assert_eq!((&turns[..5], turns.len()), (&[1, 2, 3, 1, 2][..], 21));
        assert!(inner.waiting.is_empty() && inner.order.is_empty());
    }

    /// Whoever connects, asks and goes leaves nothing behind: neither memory nor what somebody has
    /// to step over.
    #[test]
    fn those_that_gave_up_are_not_kept() {
        let hashing = Arc::new(Hashing::default());
        let held = [1, 2].map(|number| hashing.turn(of(number), Duration::ZERO).unwrap());
        for number in 0..100_000 {
            assert!(hashing.turn(of(number % 5), Duration::ZERO).is_none());
        }
        let inner = hashing.inner.lock();
        assert!(inner.waiting.is_empty() && inner.order.is_empty());
        drop(inner);
        drop(held);
        assert!(hashing.turn(of(3), Duration::ZERO).is_some());
    }
}
