//! The meeting points of a broker's threads: channels, locks, atomics, threads, the clock.
//!
//! They come from here so that a model checker can take their place: with `--cfg shuttle` each of
//! them is a point at which any other thread may go on, and `make model` tries many orders (see
//! `transport::model`). Sockets, and what waits for many of them, come from `transport::net` in the
//! same way.

mod lifetime;
mod spin_wait;
mod wakeup;

#[cfg_attr(shuttle, allow(unused_imports, reason = "see the world"))]
pub(crate) use lifetime::{Alive, Lifetime, lifetime};
pub(in crate::broker) use spin_wait::SpinWait;
pub(in crate::broker) use wakeup::Wakeup;

#[cfg(not(shuttle))]
mod system {
    pub(crate) use std::collections::HashMap;
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
    pub(crate) use std::thread::{self, yield_now};
    pub(crate) use std::time::Instant;

    pub(crate) use crossbeam_channel::{
        Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError, bounded, unbounded,
    };
    pub(crate) use parking_lot::{Condvar, Mutex};

    /// Runs something that may panic.
    ///
    /// # Errors
    /// What it panicked with.
    pub(crate) fn catch_panic<R>(run: impl FnOnce() -> R) -> thread::Result<R> {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
    }
}

#[cfg(not(shuttle))]
pub(crate) use system::*;

#[cfg(shuttle)]
mod channel;
#[cfg(shuttle)]
mod clock;
#[cfg(all(test, shuttle))]
pub(crate) mod explore;
#[cfg(shuttle)]
mod lock;
#[cfg(shuttle)]
pub(crate) mod thread;
#[cfg(shuttle)]
#[cfg_attr(not(test), allow(dead_code, unused_imports, reason = "only models use all of it"))]
pub(crate) mod world;

#[cfg(shuttle)]
mod simulated {
    use std::collections::hash_map::{self, DefaultHasher};
    use std::hash::BuildHasherDefault;

    pub(crate) use super::channel::*;
    pub(crate) use super::clock::{Instant, Timer};
    pub(crate) use super::lock::{Condvar, Mutex};
    pub(crate) use shuttle::hint::spin_loop;
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
    pub(crate) use shuttle::thread::yield_now;

    /// One that is gone through in the same order every time: a seed leads to one schedule.
    pub(crate) type HashMap<K, V> = hash_map::HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

    /// A panic is what the model is to find, so it is not caught.
    #[allow(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(crate) fn catch_panic<R>(run: impl FnOnce() -> R) -> std::thread::Result<R> {
        Ok(run())
    }
}

#[cfg(shuttle)]
pub(crate) use simulated::*;
