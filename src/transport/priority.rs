//! Threads that take long give way to those that do not.
//!
//! There is a thread for each client, and where hundreds of them compute at once on a few
//! processors, whoever has only a small message to pass waits for its turn behind all of them. So
//! in a crowd a session that takes in much at once, and a writer that writes much, lowers its own
//! priority, which every thread may; it lasts as long as the thread. Nothing is slower for it as
//! long as there are processors to spare.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::thread;

use rustix::process::{getpriority_process, setpriority_process};

/// Bytes from which on it takes long: about a hundred microseconds for most messages.
const LONG: usize = 16 << 10;
/// So many connections are a crowd.
pub(super) const CROWD: usize = 64;
/// The lowest priority that there is.
const LOWEST: i32 = 19;
/// How much lower the priority is of a thread that goes behind others.
const BEHIND: i32 = 5;

thread_local! {
    static HAS_GIVEN_WAY: Cell<bool> = const { Cell::new(false) };
}

/// Lowers the priority of this thread, if so many bytes take long and the thread is one of many.
pub(super) fn give_way(bytes: usize, is_crowded: bool) {
    if bytes >= LONG && is_crowded && !HAS_GIVEN_WAY.replace(true) {
        // Of Linux's threads each has a priority of its own. Where it cannot be lowered, it stays
        // as it is.
        let _ = setpriority_process(None, LOWEST);
    }
}

/// Lowers the priority of this thread a little, and with it that of those that it starts: where it
/// and another want a processor at one moment, the other goes first.
pub(super) fn go_behind() {
    // Elsewhere threads have no priority of their own.
    if cfg!(target_os = "linux")
        && let Ok(now) = getpriority_process(None)
    {
        let _ = setpriority_process(None, (now + BEHIND).min(LOWEST));
    }
}

/// Does at the lowest priority what takes a processor for long and anybody may ask for, in a thread
/// of its own: this one's priority stays what it is. Where the system has no thread left, this one
/// does it.
pub(super) fn at_lowest<R: Send>(work: impl Fn() -> R + Sync) -> R {
    let lowered = || {
        let _ = setpriority_process(None, LOWEST);
        work()
    };
    thread::scope(|scope| match thread::Builder::new().spawn_scoped(scope, lowered) {
        Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        Err(_) => work(),
    })
}

/// Whether this thread has, and with it those that it would start.
pub(super) fn has_given_way() -> bool {
    HAS_GIVEN_WAY.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_gives_way_and_whoever_waits_for_it_does_not() {
        let before = getpriority_process(None).unwrap();
        assert_eq!(at_lowest(|| getpriority_process(None).unwrap()), LOWEST);
        assert_eq!(getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn a_thread_that_goes_behind_is_a_little_lower_and_no_other_is() {
        let before = getpriority_process(None).unwrap();
        let behind = thread::spawn(|| {
            go_behind();
            getpriority_process(None).unwrap()
        });
        assert_eq!(behind.join().unwrap(), (before + BEHIND).min(LOWEST));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn a_thread_that_takes_long_in_a_crowd_gives_way_and_no_other() {
        let before = getpriority_process(None).unwrap();
        let after = |bytes, is_crowded| {
            let thread = std::thread::spawn(move || {
                give_way(bytes, is_crowded);
                assert_eq!(has_given_way(), getpriority_process(None).unwrap() != before);
                getpriority_process(None).unwrap()
            });
            thread.join().unwrap()
        };
        assert_eq!((after(LONG - 1, true), after(LONG, false)), (before, before));
        assert_eq!(after(LONG, true), LOWEST);
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
