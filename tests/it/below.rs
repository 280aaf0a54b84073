//! Subscriptions without what is below, and topics of the broker's own, over the wire.
#![cfg(all(feature = "broker", feature = "middleware"))]

use std::time::Duration;

use babelmq::Format::Json;
use babelmq::{ErrorCode, Format, JsonQueue, QueueError};

use crate::support::Field::{Bool, Str};
use crate::support::{Client, FORMATS, number, start};

const PATIENCE: Duration = Duration::from_secs(30);

fn subscribe(client: &mut Client, format: Format, topic: &str, below: bool) -> Vec<String> {
    client.command(
        format,
        &[("command", Str("subscribe")), ("topic", Str(topic)), ("below", Bool(below))],
    );
    let mut stored = Vec::new();
    loop {
        let frame = client.next();
        if frame.field("command") == "subscribed" {
            assert_eq!(frame.field("topic"), topic);
            assert_eq!(frame.field("values"), stored.len().to_string());
            return stored;
        }
        stored.push(frame.field("topic"));
    }
}

fn cancel(client: &mut Client, format: Format, topic: &str) {
    client.command(format, &[("command", Str("cancel")), ("topic", Str(topic))]);
    client.next().says(&[("command", "cancelled"), ("topic", topic)]);
}

#[test]
fn without_what_is_below_a_filter_means_as_many_segments_as_it_has() {
    for format in FORMATS {
        let broker = start();
        let mut producer = Client::connect(&broker);
        let all = ["a", "a/b", "a/b/c", "/a"];
        for (filter, below, expected) in [
            ("a", true, &["a", "a/b", "a/b/c"][..]),
            ("a", false, &["a"]),
            ("a/#", false, &["a", "a/b", "a/b/c"]),
            ("+", false, &["a"]),
            ("/+", false, &["/a"]),
            ("+/+", false, &["/a", "a/b"]),
            ("#", false, &["/a", "a", "a/b", "a/b/c"]),
            ("/", false, &[]),
        ] {
            let mut consumer = Client::connect(&broker);
            assert!(subscribe(&mut consumer, format, filter, below).is_empty());
            all.iter().for_each(|topic| producer.publish(format, topic, &number(format, 1)));
            producer.flush(format);
            let live = consumer.flush(format);
            let mut live: Vec<String> = live.iter().map(|frame| frame.field("topic")).collect();
            live.sort();
            assert_eq!(live, expected, "{format} {filter} {below}");
            let mut stored = subscribe(&mut consumer, format, filter, below);
            stored.sort();
            assert_eq!(stored, expected, "{format} {filter} {below}");
            broker.list_topics().iter().for_each(|topic| {
                broker.clear_topic(topic.as_str()).unwrap();
            });
        }
    }
}

#[test]
fn a_filter_that_is_spelled_alike_is_the_same_subscription() {
    let broker = start();
    let mut producer = Client::connect(&broker);
    for format in FORMATS {
        let mut consumer = Client::connect(&broker);
        let mut comes = |consumer: &mut Client, expected: &[&str]| {
            ["a", "a/b"].iter().for_each(|topic| producer.publish(Json, topic, b"1"));
            producer.command(Json, &[("command", Str("clear")), ("topic", Str("a/#"))]);
            producer.flush(Json);
            let found = consumer.flush(format);
            let found: Vec<String> = found.iter().map(|frame| frame.field("topic")).collect();
            assert_eq!(found, expected, "{format}");
        };
        subscribe(&mut consumer, format, "a", true);
        subscribe(&mut consumer, format, "a", false);
        comes(&mut consumer, &["a"]);
        subscribe(&mut consumer, format, "a/#", true);
        comes(&mut consumer, &["a", "a/b"]);
        cancel(&mut consumer, format, "a/#");
        comes(&mut consumer, &["a"]);
        cancel(&mut consumer, format, "a");
        comes(&mut consumer, &[]);
        assert_eq!(broker.stats().subscriptions, 0);
    }
}

#[test]
fn a_queue_of_the_library_can_leave_out_what_is_below() {
    let broker = start();
    let queue = JsonQueue::builder("/a/+").address(broker.local_addr());
    let mut consumer = queue.below(false).consumer().unwrap();
    for (topic, value) in [("/a/b/c", 1), ("/a", 2), ("/a/b", 3)] {
        broker.put_topic(topic, &value.into()).unwrap();
    }
    let (topic, value) = consumer.pull_timeout(PATIENCE).unwrap();
    assert_eq!((topic.as_str(), value), ("/a/b", 3.into()));
    let found = broker.list_subscriptions("/a/b").unwrap();
    assert_eq!((found[0].filter.as_str(), found[0].below), ("/a/+", false));
    assert!(broker.list_subscriptions("/a/b/c").unwrap().is_empty());
}

#[test]
fn what_embeds_the_broker_publishes_as_clients_do_and_to_none_of_its_own_topics() {
    let broker = start();
    for topic in ["$SYS", "$dead/a"] {
        for refused in [
            broker.put_topic(topic, &1.into()).unwrap_err(),
            broker.clear_topic(topic).map(drop).unwrap_err(),
        ] {
            assert_eq!(refused.code, ErrorCode::InvalidTopic, "{topic}");
            assert!(refused.reason.contains("broker's own"), "{}", refused.reason);
        }
        assert_eq!(broker.get_topic(topic), Ok(None));
    }
    let mut producer =
        JsonQueue::builder("$dead/a").address(broker.local_addr()).producer().unwrap();
    producer.push(&1).unwrap();
    match producer.flush() {
        Err(QueueError::Refused(refused)) => assert_eq!(refused.code, "invalid-topic"),
        other => panic!("{other:?}"),
    }
    // They can be subscribed to all the same, and nothing else is reserved.
    let mut client = Client::connect(&broker);
    assert!(subscribe(&mut client, Json, "$dead/#", true).is_empty());
    broker.put_topic("/$dead", &1.into()).unwrap();
    client.is_quiet();
}
