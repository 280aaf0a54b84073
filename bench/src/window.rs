//! How much may be under way. No broker drops what it can hold, so every system is driven with the
//! same bound on what is published and not yet received by the slowest subscriber.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Messages under way at most.
pub(crate) const LIMIT: u64 = 8_192;
/// Bytes under way at most: more than that is waiting, and a broker gives up who lags behind.
pub(crate) const LIMIT_BYTES: u64 = 8 << 20;

/// On a cache line of its own: threads write these next to each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count(AtomicU64);

/// Shared by the publishers and the subscribers of a flow.
#[derive(Debug)]
pub(crate) struct Window {
    limit: u64,
    published: Count,
    received: Vec<Count>,
    waiting: AtomicBool,
    lock: Mutex<()>,
    opened: Condvar,
}

impl Window {
    /// For messages of at most so many bytes in the mean.
    pub(crate) fn new(subscribers: usize, bytes: u64) -> Window {
        Window::of(LIMIT.min(LIMIT_BYTES / bytes.max(1)), subscribers)
    }

    /// For so many messages.
    pub(crate) fn of(limit: u64, subscribers: usize) -> Window {
        Window {
            limit,
            published: Count::default(),
            received: (0..subscribers).map(|_| Count::default()).collect(),
            waiting: AtomicBool::new(false),
            lock: Mutex::new(()),
            opened: Condvar::new(),
        }
    }

    fn under_way(&self, published: u64) -> u64 {
        let slowest = self
            .received
            .iter()
            .map(|count| count.0.load(Ordering::SeqCst))
            .min()
            .unwrap_or(published);
        published.saturating_sub(slowest)
    }

    /// Waits until that many messages may be published, for a while at most. Returns whether they
    /// may.
    pub(crate) fn reserve(&self, messages: u64) -> bool {
        let published = self.published.0.load(Ordering::SeqCst);
        if self.under_way(published) + messages > self.limit {
            self.wait();
            return false;
        }
        let reserved = published + messages;
        let swapped = self.published.0.compare_exchange(
            published,
            reserved,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        swapped.is_ok()
    }

    fn wait(&self) {
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.store(true, Ordering::SeqCst);
        if self.under_way(self.published.0.load(Ordering::SeqCst)) > self.limit / 2 {
            drop(self.opened.wait_timeout(guard, Duration::from_millis(20)));
        }
    }

    /// A subscriber says what it has received. Publishers go on when half of the window is open
    /// again, so that neither side is woken for every read.
    pub(crate) fn receive(&self, subscriber: usize, messages: u64) {
        self.received[subscriber].0.fetch_add(messages, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst)
            && self.under_way(self.published.0.load(Ordering::SeqCst)) <= self.limit / 2
        {
            let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.waiting.store(false, Ordering::SeqCst);
            self.opened.notify_all();
        }
    }

    pub(crate) fn published(&self) -> u64 {
        self.published.0.load(Ordering::SeqCst)
    }

    /// By all subscribers together.
    pub(crate) fn received(&self) -> u64 {
        self.received.iter().map(|count| count.0.load(Ordering::SeqCst)).sum()
    }

    pub(crate) fn received_by(&self, subscriber: usize) -> u64 {
        self.received[subscriber].0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_subscriber_decides() {
        let window = Window::new(2, 128);
        assert!(window.reserve(LIMIT));
        assert!(!window.reserve(1));
        window.receive(0, LIMIT);
        assert!(!window.reserve(1));
        window.receive(1, 10);
        assert!(window.reserve(10));
        assert!(!window.reserve(1));
        assert_eq!((window.published(), window.received()), (LIMIT + 10, LIMIT + 10));
    }
}
