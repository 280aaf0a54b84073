//! Whose turn it is to write what waits in an outbox.
//!
//! A busy subscriber has a thread that waits for its outbox, and nobody else need be told. One of
//! many that are mostly silent has none; the first delivery of several then calls for a writer, and
//! the writer looks once more before it rests. Both ends change one number, each in one step, so
//! one of them always sees what the other did.

use std::sync::atomic::Ordering;

use crate::broker::sync::AtomicUsize;

/// Something has come since the turn began, or since the writer rests.
const CALLED: usize = 1;
/// A writer has its turn.
const BUSY: usize = 2;
/// A thread waits.
const KEPT: usize = 4;

/// 0 while the writer rests.
#[derive(Debug)]
pub(in crate::broker) struct Wakeup(AtomicUsize);

impl Default for Wakeup {
    fn default() -> Wakeup {
        Wakeup(AtomicUsize::new(KEPT))
    }
}

impl Wakeup {
    /// Says that something has come. Returns whether a writer is to be called.
    pub(in crate::broker) fn call(&self) -> bool {
        self.0.fetch_or(CALLED, Ordering::AcqRel) == 0
    }

    /// Begins a turn. An event before this is seen in it.
    pub(in crate::broker) fn begin(&self) {
        self.0.swap(BUSY, Ordering::AcqRel);
    }

    /// Ends a turn, unless something has come since it began; then it goes on, and that is seen in
    /// it.
    pub(in crate::broker) fn end(&self) -> bool {
        if self.0.compare_exchange(BUSY, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return true;
        }
        self.begin();
        false
    }

    /// Whether the writer rests, and was not called.
    pub(in crate::broker) fn rests(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    /// Whether a thread waits.
    pub(in crate::broker) fn is_kept(&self) -> bool {
        self.0.load(Ordering::Relaxed) & KEPT != 0
    }

    /// Says that a thread waits.
    pub(in crate::broker) fn keep(&self) {
        self.0.swap(KEPT, Ordering::AcqRel);
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn who_rests_is_called_once_and_who_writes_looks_again() {
        let turn = Wakeup::default();
        assert!(!turn.call() && turn.is_kept() && !turn.rests(), "a thread waits");
        turn.begin();
        assert!(!turn.rests());
        assert!(turn.end());
        assert!(turn.rests() && !turn.is_kept());
        assert!(turn.call());
        assert!(!turn.rests(), "a call is on its way");
        assert!(!turn.call(), "a call is on its way");
        turn.begin();
        assert!(!turn.call(), "it has its turn");
        assert!(!turn.end(), "something came");
        assert!(turn.end());
        assert!(turn.call());
        turn.keep();
        assert!(!turn.call());
    }
}
