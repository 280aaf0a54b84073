//! Threads, as many as the system has room for and no more.
//!
//! A thread that is started where the memory maps run out does not fail to start: it starts and
//! aborts the process, because Rust cannot give it the stack that signals need. So threads are
//! counted from their start until they are joined, and one too many fails as if the system had
//! refused it.

use std::io::{self, ErrorKind};
#[cfg(not(shuttle))]
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(not(shuttle))]
use super::capacity::most_threads;
use crate::broker::sync::thread::{self, Builder, JoinHandle};

/// Bytes of stack for a thread that serves a client. Nothing on it recurses, and a tenth would do,
/// four tenths in a program that is not optimized. But of stacks of threads that have ended the
/// system's library keeps 40 MiB for the next ones, with all that was written to them: of larger
/// ones it keeps fewer.
const STACK: usize = 1 << 20;

/// How long to wait before the next try when the system has no descriptors or threads left.
pub(super) const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// The threads of this process that serve clients, of all brokers together.
#[cfg(not(shuttle))]
static THREADS: LazyLock<Threads> = LazyLock::new(|| Threads::at_most(most_threads()));
#[cfg(shuttle)]
shuttle::lazy_static! {
    static ref THREADS: Threads = Threads::at_most(usize::MAX);
}

#[derive(Debug)]
struct Threads {
    most: usize,
    running: AtomicUsize,
}

/// A running thread, or one that has ended and was not joined.
#[derive(Debug)]
pub(super) struct Thread {
    handle: JoinHandle<()>,
    /// Given back when the thread is joined: until then its stack is there.
    _place: Place,
}

#[derive(Debug)]
struct Place(&'static Threads);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Starts a thread that serves a client.
///
/// # Errors
/// [`ErrorKind::WouldBlock`] if there are as many threads as there may be, and whatever the system
/// says.
pub(super) fn start(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    THREADS.start(name, run)
}

#[cfg(test)]
#[cfg(not(shuttle))]
thread_local! {
    /// For tests: the thread that sets it finds that there are as many threads as there may be.
    pub(super) static NONE_LEFT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[cfg(test)]
#[cfg(not(shuttle))]
thread_local! {
    /// For tests: so many more calls of [`spawn`] by the thread that sets it succeed, and the next
    /// one fails.
    pub(super) static SPAWNS_LEFT: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
    /// For tests: every thread that the thread that sets it has spawned holds a clone until it
    /// ends.
    pub(super) static SPAWNED: std::sync::Arc<()> = std::sync::Arc::default();
}

/// Starts one of the few threads that serve no one client, with the system's stack.
///
/// # Errors
/// The error of the system.
pub(super) fn spawn<T: Send + 'static>(
    name: String,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    #[cfg(all(test, not(shuttle)))]
    let run = {
        let Some(left) = SPAWNS_LEFT.get().checked_sub(1) else {
            return Err(io::Error::from(ErrorKind::WouldBlock));
        };
        SPAWNS_LEFT.set(left);
        let held = SPAWNED.with(std::sync::Arc::clone);
        move || {
            let result = run();
            drop(held);
            result
        }
    };
    Builder::new().name(name).spawn(run)
}

impl Threads {
    fn at_most(most: usize) -> Threads {
        Threads { most, running: AtomicUsize::new(0) }
    }

    fn start(
        &'static self,
        name: String,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<Thread> {
        let before = self.running.fetch_add(1, Ordering::AcqRel);
        let place = Place(self);
        #[cfg(all(test, not(shuttle)))]
        let before = if NONE_LEFT.get() { self.most } else { before };
        if before >= self.most {
            return Err(io::Error::new(
                ErrorKind::WouldBlock,
                format!("there are {} threads, as many as the system has room for", self.most),
            ));
        }
        let handle = Builder::new().name(name).stack_size(STACK).spawn(run)?;
        Ok(Thread { handle, _place: place })
    }
}

impl Thread {
    /// Whether it is the thread that asks.
    pub(super) fn is_this(&self) -> bool {
        self.handle.thread().id() == thread::current().id()
    }

    /// Waits for its end. A panic in it was counted and logged where it happened.
    pub(super) fn join(self) {
        let _ = self.handle.join();
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_refused_until_another_was_joined() {
        let threads: &'static Threads = Box::leak(Box::new(Threads::at_most(2)));
        let start = || threads.start("t".into(), || {});
        let first = start().unwrap();
        let second = start().unwrap();
        assert_eq!(start().unwrap_err().kind(), ErrorKind::WouldBlock);
        first.join();
        let third = start().unwrap();
        assert!(start().is_err());
        second.join();
        third.join();
        assert_eq!(threads.running.load(Ordering::Acquire), 0);
    }
}
