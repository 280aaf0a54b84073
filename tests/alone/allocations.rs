//! A message that passes through costs no allocation of its own.

use babelmq::Limits;
use babelmq::internals::{Recent, take_in};
use babelmq::protocol::{Format, Header};
use stats_alloc::Region;

use crate::{ALLOCATOR, alone};

/// How often memory is asked for while that many messages are read in one go.
fn allocations(messages: usize) -> usize {
    let body =
        br#"{"command":"publish","topic":"a/b","message":{"note":"a text, and a number","at":[1,2.5]}}"#;
    let header = Header { format: Format::Json, length: body.len() as u32 }.to_bytes();
    let region = [&header[..], body].concat().repeat(messages);
    let mut recent = Recent::default();
    drop(take_in(&region, Limits::default(), &mut recent));
    let counts = (0..10).map(|_| {
        let counted = Region::new(ALLOCATOR);
        let taken = take_in(&region, Limits::default(), &mut recent);
        let change = counted.change();
        assert_eq!((taken.steps.len(), taken.refused), (1, 0));
        change.allocations + change.reallocations
    });
    // The harness begins and ends other tests meanwhile, which only adds to a count.
    counts.min().unwrap()
}

#[test]
fn messages_are_read_without_allocating_for_each() {
    let _alone = alone();
    let (few, many) = (allocations(10), allocations(10_000));
    // Lists grow by doubling: a thousand times as many messages are ten steps more.
    assert!(many <= few + 12, "{few} allocations for 10 messages, {many} for 10,000");
}
