//! What can happen to a consumer.

use proptest::prelude::*;

use super::super::*;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Publish(u64),
    Join(u64, u32),
    Leave(u64),
    Assign {
        most: usize,
        looks: usize,
    },
    Ack(usize),
    AckUpto(u64, usize),
    Nak(usize, Option<u64>),
    Touch(usize),
    Reject(usize),
    Wait(u64),
    Bury,
    Retry(usize),
    Trim(u64),
    PassOver(usize, u64),
    Reset(usize, bool),
    Change {
        max_deliver: u32,
        order: Option<Order>,
    },
    TakeNotes,
    Snapshot,
    /// A restart for which so many of the last notes are lost, in 16ths of those not durable.
    Restart(usize),
    /// Messages are lost with the notes.
    PowerCut(u64),
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let which = 0..64usize;
    prop_oneof![
        8 => (1..12u64).prop_map(Op::Publish),
        3 => (0..4u64, 1..12u32).prop_map(|(member, window)| Op::Join(member, window)),
        1 => (0..4u64).prop_map(Op::Leave),
        12 => (1..20usize, prop_oneof![0..8usize, Just(1000)])
            .prop_map(|(most, looks)| Op::Assign { most, looks }),
        10 => which.clone().prop_map(Op::Ack),
        2 => (0..4u64, which.clone()).prop_map(|(member, at)| Op::AckUpto(member, at)),
        4 => (which.clone(), prop::option::of(0..9u64)).prop_map(|(at, delay)| Op::Nak(at, delay)),
        2 => which.clone().prop_map(Op::Touch),
        1 => which.clone().prop_map(Op::Reject),
        4 => (0..8u64).prop_map(Op::Wait),
        2 => Just(Op::Bury),
        2 => which.clone().prop_map(Op::Retry),
        1 => (0..4u64).prop_map(Op::Trim),
        1 => (which.clone(), 0..6u64).prop_map(|(at, many)| Op::PassOver(at, many)),
        1 => (which, any::<bool>()).prop_map(|(at, selects)| Op::Reset(at, selects)),
        1 => (1..4u32, prop::option::of(prop_oneof![Just(Order::None), Just(Order::ByTopic)]))
            .prop_map(|(max_deliver, order)| Op::Change { max_deliver, order }),
        5 => Just(Op::TakeNotes),
        1 => Just(Op::Snapshot),
        2 => (0..17usize).prop_map(Op::Restart),
        2 => (0..9u64).prop_map(Op::PowerCut),
    ]
}
