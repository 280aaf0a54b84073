//! The two clocks: one that people set, and one that only goes on.

#[cfg(test)]
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[cfg(test)]
use parking_lot::Mutex;

/// What tells the time, in milliseconds.
#[derive(Clone, Debug)]
pub(in crate::broker) enum Clock {
    /// The system's, and when its steady clock was at 0.
    System(Instant),
    /// What a test has set.
    #[cfg(test)]
    Set(Arc<Mutex<Hands>>),
}

/// What a test sets.
#[cfg(test)]
#[derive(Debug)]
pub(in crate::broker) struct Hands {
    pub(in crate::broker) steady: u64,
    pub(in crate::broker) wall: u64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::System(Instant::now())
    }
}

impl Clock {
    /// The time since some moment of this process. It never goes back, and nobody sets it.
    pub(super) fn steady(&self) -> u64 {
        match self {
            Clock::System(start) => u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            #[cfg(test)]
            Clock::Set(hands) => hands.lock().steady,
        }
    }

    /// The time since 1970, by the clock that people and NTP set.
    pub(super) fn wall(&self) -> u64 {
        match self {
            Clock::System(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }
            #[cfg(test)]
            Clock::Set(hands) => hands.lock().wall,
        }
    }
}
