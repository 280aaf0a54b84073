//! The system that a model runs on: its time, its threads, its troubles, and what it decides by
//! chance. There is a new one for every schedule.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::rand::{RngCore, thread_rng};

// None of these is a point at which another thread may go on.
#[derive(Debug)]
pub(super) struct World {
    /// The time, in nanoseconds.
    pub(super) now: AtomicU64,
    /// Waits of so many nanoseconds never come to their end.
    pub(super) for_ever: AtomicU64,
    pub(super) running: AtomicUsize,
    lacks_threads: AtomicBool,
    lacks_watches: AtomicBool,
}

shuttle::lazy_static! {
    pub(super) static ref WORLD: World = World {
        now: AtomicU64::new(0),
        for_ever: AtomicU64::new(u64::MAX),
        running: AtomicUsize::new(0),
        lacks_threads: AtomicBool::new(false),
        lacks_watches: AtomicBool::new(false),
    };
}

/// Any number below `bound`; part of what the seed decides.
pub(crate) fn any(bound: u64) -> u64 {
    thread_rng().next_u64() % bound
}

/// Whether something happens that does in one of `n` cases.
pub(crate) fn one_in(n: u64) -> bool {
    any(n) == 0
}

/// Some of `count`, at least one: most often all.
pub(crate) fn some_of(count: usize) -> usize {
    if one_in(4) { 1 + any(count as u64) as usize } else { count }
}

/// From now on the system has no thread now and then.
pub(crate) fn lack_threads() {
    WORLD.lacks_threads.store(true, Ordering::Relaxed);
}

/// From now on the system cannot watch sockets now and then.
pub(crate) fn lack_watches() {
    WORLD.lacks_watches.store(true, Ordering::Relaxed);
}

/// Whether the system refuses a thread.
pub(crate) fn has_no_thread() -> bool {
    WORLD.lacks_threads.load(Ordering::Relaxed) && one_in(4)
}

/// Whether the system refuses to watch sockets.
pub(crate) fn has_no_watch() -> bool {
    WORLD.lacks_watches.load(Ordering::Relaxed) && one_in(4)
}

/// Waits that are as long as this, or longer, have no end.
pub(crate) fn never_waits_for(long: Duration) {
    WORLD.for_ever.store(u64::try_from(long.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Threads of the broker that have not come to their end.
pub(crate) fn running_threads() -> usize {
    WORLD.running.load(Ordering::Relaxed)
}
