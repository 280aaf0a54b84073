//! How many messages may be under way: more would measure how long queues are.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Messages that may be on their way to the slowest subscriber.
pub(super) const LIMIT: u64 = 8_192;
/// Who has to wait looks so often whether there is another reason to go on.
const PATIENCE: Duration = Duration::from_millis(20);

/// Shared by publishers and subscribers.
pub(super) struct Window {
    published: AtomicU64,
    /// How many messages each subscriber has read.
    read: Vec<AtomicU64>,
    is_waited_for: AtomicBool,
    lock: Mutex<()>,
    opened: Condvar,
}

impl Window {
    pub(super) fn new(subscribers: usize) -> Window {
        Window {
            published: AtomicU64::new(0),
            read: (0..subscribers).map(|_| AtomicU64::new(0)).collect(),
            is_waited_for: AtomicBool::new(false),
            lock: Mutex::new(()),
            opened: Condvar::new(),
        }
    }

    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::SeqCst)
    }

    /// Takes up to `wanted` messages to publish, after `number` that were published; waits a while
    /// and returns 0 where none may be, or another was first.
    pub(super) fn reserve(&self, number: u64, wanted: u64) -> u64 {
        let messages = wanted.min(LIMIT.saturating_sub(self.under_way(number)));
        if messages == 0 {
            let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.is_waited_for.store(true, Ordering::SeqCst);
            if self.under_way(self.published()) > LIMIT / 2 {
                drop(self.opened.wait_timeout(guard, PATIENCE));
            }
            return 0;
        }
        let reserved = self.published.compare_exchange(
            number,
            number + messages,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        reserved.map_or(0, |_| messages)
    }

    /// A subscriber has read so many. Publishers go on when half of the window is open again, so
    /// that neither side is woken for every read.
    pub(super) fn receive(&self, subscriber: usize, messages: u64) {
        self.read[subscriber].fetch_add(messages, Ordering::SeqCst);
        if self.is_waited_for.load(Ordering::SeqCst)
            && self.under_way(self.published()) <= LIMIT / 2
        {
            let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.is_waited_for.store(false, Ordering::SeqCst);
            self.opened.notify_all();
        }
    }

    fn under_way(&self, published: u64) -> u64 {
        let slowest = self.read.iter().map(|read| read.load(Ordering::SeqCst)).min();
        published.saturating_sub(slowest.unwrap_or(published))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_under_way_than_the_slowest_leaves_room_for() {
        let window = Window::new(2);
        assert_eq!(window.reserve(0, LIMIT - 1), LIMIT - 1);
        assert_eq!(window.reserve(0, 1), 0, "another was first");
        assert_eq!(window.reserve(LIMIT - 1, 10), 1);
        assert_eq!(window.reserve(LIMIT, 1), 0);
        window.receive(0, LIMIT);
        assert_eq!(window.reserve(LIMIT, 1), 0);
        window.receive(1, 10);
        assert_eq!(window.reserve(LIMIT, 20), 10);
        assert_eq!(Window::new(0).reserve(0, 20), 20);
    }
}
