//! Streams draw on the broker's one budget of memory.

use babelmq::broker::SMALLEST_MEMORY;
use babelmq::{BrokerHandle, Config};

use super::{Json, orders, scratch, start_with};
use crate::support::config;

/// What streams have of the memory, and what they may have of that of the smallest broker.
fn claimed(broker: &BrokerHandle) -> u64 {
    let stats = broker.stats();
    stats.memory_claimed().find(|(name, _)| *name == "streams").unwrap().1
}
const SHARE: u64 = (SMALLEST_MEMORY / 32) as u64;

fn small() -> Config {
    config().memory(SMALLEST_MEMORY).streams(vec![orders()])
}

/// Every topic has a place in the index of what was written last, and every id is remembered.
#[test]
fn streams_take_their_share_of_the_memory_and_lose_nothing_by_it() {
    const TOPICS: u64 = 30_000;
    let folder = scratch("budget");
    let broker = start_with(&folder, small());
    let mut producer = Json::connect(&broker);
    let publish = |producer: &mut Json, number: u64| {
        let topic = format!("orders/{number:0>90}");
        producer.send(&format!(
            r#"{{"command":"publish","topic":"{topic}","id":"{number}","retain":false,"message":{number}}}"#
        ));
    };
    let mut most = 0;
    for number in 1..=TOPICS {
        publish(&mut producer, number);
        if number % 500 == 0 {
            producer.client.is_quiet();
            most = most.max(claimed(&broker));
            assert!(most <= SHARE, "{most} bytes");
        }
    }
    assert!(most > SHARE / 2, "{most} bytes are not much");
    // A repetition of what came last is known.
    publish(&mut producer, TOPICS);
    producer.client.is_quiet();
    let segments = |extension: &str| {
        let files = std::fs::read_dir(folder.join("streams/orders")).unwrap();
        files
            .filter(|file| file.as_ref().unwrap().path().extension() == Some(extension.as_ref()))
            .count()
    };
    assert!(segments("segment") > 1, "one index would have been too large");
    broker.close().unwrap();
    let broker = start_with(&folder, small());
    let mut consumer = Json::connect(&broker);
    publish(&mut consumer, TOPICS);
    publish(&mut consumer, TOPICS + 1);
    consumer.client.is_quiet();
    assert!(claimed(&broker) <= SHARE);
    consumer.consume("orders", "billing", r#","start":"all","window":65536"#);
    for number in 1..=TOPICS + 1 {
        assert_eq!(consumer.delivery(), (number, number as i64, 1));
    }
}
