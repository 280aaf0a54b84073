//! The meeting points of a broker's threads: channels, locks, atomics, the clock.
//!
//! They come from here so that a model checker can take their place: with `--cfg shuttle` each of
//! them is a point at which any other thread may go on, and `make model` tries many orders (see
//! `model`).

mod spin_wait;
mod wakeup;

pub(in crate::broker) use spin_wait::SpinWait;
pub(in crate::broker) use wakeup::Wakeup;

#[cfg(not(shuttle))]
mod system {
    pub(in crate::broker) use std::hint::spin_loop;
    pub(in crate::broker) use std::sync::atomic::{AtomicBool, AtomicUsize};
    pub(in crate::broker) use std::thread::yield_now;
    pub(in crate::broker) use std::time::Instant;

    pub(in crate::broker) use crossbeam_channel::{
        Receiver, RecvError, Sender, TryRecvError, unbounded,
    };
    pub(in crate::broker) use parking_lot::{Condvar, Mutex};
}

#[cfg(not(shuttle))]
pub(super) use system::*;

#[cfg(shuttle)]
mod channel;
#[cfg(shuttle)]
mod lock;

#[cfg(shuttle)]
mod simulated {
    use std::time::Duration;

    use shuttle::rand::{RngCore, thread_rng};

    pub(in crate::broker) use super::channel::*;
    pub(in crate::broker) use super::lock::Condvar;
    pub(in crate::broker) use super::lock::Mutex;
    pub(in crate::broker) use shuttle::hint::spin_loop;
    pub(in crate::broker) use shuttle::sync::atomic::{AtomicBool, AtomicUsize};
    pub(in crate::broker) use shuttle::thread::yield_now;

    /// A clock by which any wait may have been short or long.
    #[derive(Clone, Copy, Debug)]
    pub(in crate::broker) struct Instant;

    impl Instant {
        pub(in crate::broker) fn now() -> Instant {
            Instant
        }

        pub(in crate::broker) fn elapsed(self) -> Duration {
            Duration::from_secs(thread_rng().next_u64() % 2)
        }
    }
}

#[cfg(shuttle)]
pub(super) use simulated::*;
