//! Random schedules of everything that can happen to a consumer.

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use super::model::Messages;
use super::ops::{Op, op};
use super::pair::Pair;
use crate::protocol::TopicFilter;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_naive_one_does(
        ops in prop::collection::vec(op(), 1..120),
        seed in any::<u64>(),
        max_deliver in 1..5u32,
        pauses in any::<bool>(),
        by_topic in any::<bool>(),
        covers_all in any::<bool>(),
    ) {
        let filter = TopicFilter::parse(if covers_all { "#" } else { "a" }).unwrap();
        let backoff = if pauses { vec![3, 7] } else { Vec::new() };
        let settings = ConsumerSettings {
            max_deliver,
            ack_wait: Duration::from_millis(10),
            backoff: backoff.into_iter().map(Duration::from_millis).collect(),
            order: if by_topic { Order::ByTopic } else { Order::None },
            ..ConsumerSettings::new(filter)
        };
        let messages = Messages { seed, some_missing: !covers_all, looks: 0 };
        let mut pair = Pair::new(settings, messages);
        pair.take(Op::Join(0, 8));
        for op in ops {
            pair.take(op);
            pair.check();
        }
        pair.drain();
    }
}
