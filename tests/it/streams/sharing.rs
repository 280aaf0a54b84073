//! Several connections of one consumer share its messages.

use std::collections::BTreeSet;

use super::{Json, start};

#[test]
fn members_share_the_messages_and_each_comes_once() {
    let broker = start("members");
    let mut producer = Json::connect(&broker);
    let mut members: Vec<Json> = (0..4).map(|_| Json::connect(&broker)).collect();
    for member in &mut members {
        member.consume("orders", "workers", r#","window":10"#);
    }
    producer.publish("orders/1", 0..40);
    let mut all = BTreeSet::new();
    for member in &mut members {
        let seqs = member.seqs(10);
        assert!(seqs.is_sorted(), "{seqs:?}");
        member.client.is_quiet();
        all.extend(seqs);
    }
    assert_eq!(all, (1..=40).collect());
}

#[test]
fn what_a_member_had_goes_to_the_others_when_it_leaves() {
    let broker = start("leaves");
    let mut producer = Json::connect(&broker);
    let (mut first, mut second) = (Json::connect(&broker), Json::connect(&broker));
    first.consume("orders", "workers", r#","window":4"#);
    producer.publish("orders/1", 0..4);
    assert_eq!(first.seqs(4), [1, 2, 3, 4]);
    second.consume("orders", "workers", r#","window":4"#);
    second.client.is_quiet();
    first.ack_all([1]);
    drop(first);
    assert_eq!(second.seqs(3), [2, 3, 4]);
    second.ack_all(2..=4);
    second.client.is_quiet();
}

#[test]
fn a_cancelled_member_gives_back_what_it_had() {
    let broker = start("cancelled");
    let mut producer = Json::connect(&broker);
    let (mut first, mut second) = (Json::connect(&broker), Json::connect(&broker));
    first.consume("orders", "workers", r#","window":2"#);
    producer.publish("orders/1", 0..2);
    assert_eq!(first.seqs(2), [1, 2]);
    let cancelled = first.ask(r#"{"command":"cancel","topic":"orders"}"#);
    cancelled.says(&[("command", "cancelled"), ("topic", "orders")]);
    second.consume("orders", "workers", "");
    assert_eq!((second.delivery(), second.delivery()), ((1, 0, 2), (2, 1, 2)));
    first.client.is_quiet();
}

#[test]
fn a_topic_is_with_one_member_at_a_time_where_its_order_counts() {
    let broker = start("by-topic");
    let mut producer = Json::connect(&broker);
    let (mut first, mut second) = (Json::connect(&broker), Json::connect(&broker));
    for member in [&mut first, &mut second] {
        member.consume("orders", "workers", r#","order":"topic","window":8"#);
    }
    for round in 0..3 {
        producer.publish("orders/a", [round]);
        producer.publish("orders/b", [round]);
    }
    // Of each topic, one member has all; whichever it is, a nak keeps the order.
    let mut seen = Vec::new();
    for member in [&mut first, &mut second] {
        let frames = member.client.flush(babelmq::Format::Json);
        seen.extend(frames.iter().map(|frame| (frame.field("topic"), frame.field("seq"))));
    }
    for (topic, expected) in [("orders/a", ["1", "3", "5"]), ("orders/b", ["2", "4", "6"])] {
        let of_topic: Vec<_> =
            seen.iter().filter(|(of, _)| of == topic).map(|(_, seq)| seq.as_str()).collect();
        assert_eq!(of_topic, expected[..of_topic.len()], "{topic}");
        assert!(!of_topic.is_empty());
    }
}
