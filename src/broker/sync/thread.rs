//! `std::thread`, as much of it as the broker uses, on the model checker's.

use std::io::{self, ErrorKind};
use std::num::NonZero;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::world::{WORLD, has_no_thread};

pub(crate) use shuttle::thread::{JoinHandle, current, yield_now};

/// Counts a thread until its end.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        WORLD.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Its stacks are all of the same size: the model checker uses them again.
#[derive(Debug, Default)]
pub(crate) struct Builder(Option<String>);

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder(None)
    }

    pub(crate) fn name(self, name: String) -> Builder {
        Builder(Some(name))
    }

    pub(crate) fn stack_size(self, _: usize) -> Builder {
        self
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        if has_no_thread() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let builder = shuttle::thread::Builder::new().name(self.0.unwrap_or_default());
        WORLD.running.fetch_add(1, Ordering::Relaxed);
        builder.spawn(move || {
            let _running = Running;
            run()
        })
    }
}

/// Two, on every machine.
#[allow(clippy::unnecessary_wraps, reason = "the real one can fail")]
pub(crate) fn available_parallelism() -> io::Result<NonZero<usize>> {
    Ok(NonZero::<usize>::MIN.saturating_add(1))
}

/// The clock goes on by as much, for everybody.
pub(crate) fn sleep(time: Duration) {
    let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    WORLD.now.fetch_add(time, Ordering::Relaxed);
    yield_now();
}

pub(crate) fn park_timeout(_: Duration) {
    yield_now();
}
