//! The tests that look at the whole process: at its threads, its descriptors, its memory.
//!
//! They run one after the other, each with [`alone`] in its hand, and no other test is in this
//! program.
#![cfg(feature = "broker")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod allocations;
mod capacity;
mod crowd;
mod half_open;
mod idle;
mod leaving;
mod resident;
mod silence;
mod soak;
mod watchers;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts what the process holds and asks for.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What each test here holds as long as it runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
