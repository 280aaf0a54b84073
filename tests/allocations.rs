//! A message that passes through costs no allocation of its own.

#![cfg(feature = "broker")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::alloc::System;

use babelmq::Limits;
use babelmq::internals::{Recent, take_in};
use babelmq::protocol::{Format, Header};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often memory is asked for while that many messages are read in one go.
fn allocations(messages: usize) -> usize {
    let body =
        br#"{"command":"publish","topic":"a/b","message":{"note":"a text, and a number","at":[1,2.5]}}"#;
    let header = Header { format: Format::Json, length: body.len() as u32 }.to_bytes();
    let region = [&header[..], body].concat().repeat(messages);
    let mut recent = Recent::default();
    drop(take_in(&region, Limits::default(), &mut recent));
    let counted = Region::new(ALLOCATOR);
    let taken = take_in(&region, Limits::default(), &mut recent);
    let change = counted.change();
    assert_eq!((taken.steps.len(), taken.refused), (1, 0));
    change.allocations + change.reallocations
}

#[test]
fn messages_are_read_without_allocating_for_each() {
    let (few, many) = (allocations(10), allocations(10_000));
    // Lists grow by doubling: a thousand times as many messages are ten steps more.
    assert!(many <= few + 12, "{few} allocations for 10 messages, {many} for 10,000");
}
