//! Turns to hash a password: few at a time, and of one address one at a time.
//!
//! A hash takes tens of milliseconds of a processor and megabytes of memory, and anybody who
//! connects may ask for one. So most of the processors are left for everybody else, and whoever
//! tries many passwords waits behind itself and not before others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::Origin;
use crate::broker::sync::{Mutex, Sender, bounded};

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
    /// The others, the first first. One that does not wait any more has dropped the other end.
    waiting: VecDeque<(Origin, Sender<Turn>)>,
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
        let next = inner.next();
        drop(inner);
        if let Some((origin, waiter)) = next {
            // One that has given up drops its turn, and with it gives it to the next.
            let _ = waiter.send(Turn { hashing: self.hashing.clone(), origin });
        }
    }
}

impl Inner {
    fn may_run(&self, origin: Origin) -> bool {
        self.running.len() < AT_ONCE && !self.running.contains(&origin)
    }

    /// Takes the first who waits and may run.
    fn next(&mut self) -> Option<(Origin, Sender<Turn>)> {
        let place = self.waiting.iter().position(|(origin, _)| self.may_run(*origin))?;
        let (origin, waiter) = self.waiting.remove(place)?;
        self.running.push(origin);
        Some((origin, waiter))
    }
}

impl Hashing {
    /// A turn, as soon as there is one; gives up after `patience`.
    pub(super) fn turn(self: &Arc<Hashing>, origin: Origin, patience: Duration) -> Option<Turn> {
        let mut inner = self.inner.lock();
        if inner.may_run(origin) {
            inner.running.push(origin);
            return Some(Turn { hashing: self.clone(), origin });
        }
        let (waiter, turn) = bounded(1);
        inner.waiting.push_back((origin, waiter));
        drop(inner);
        turn.recv_timeout(patience).ok()
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    fn of(number: u32) -> Origin {
        Origin::User(number)
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
        while hashing.inner.lock().waiting.len() < 10 {
            std::thread::yield_now();
        }
        let late = wait_for(of(3));
        while hashing.inner.lock().waiting.len() < 11 {
            std::thread::yield_now();
        }
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
}
