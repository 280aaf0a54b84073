//! Reading a stream without acknowledgements, and a topic's last messages.

use babelmq::Format;
use babelmq::broker::{Number, Samples};

use super::{Json, start};
use crate::support::process::until;

#[test]
fn a_follower_reads_what_is_kept_and_goes_on_live() {
    let broker = start("follower");
    let (mut producer, mut follower) = (Json::connect(&broker), Json::connect(&broker));
    producer.publish("orders/a", 0..3);
    follower.subscribe("orders", r#""start":2"#).says(&[
        ("command", "subscribed"),
        ("topic", "orders"),
        ("values", "0"),
        ("stream", "orders"),
        ("pending", "2"),
        ("next", "2"),
    ]);
    assert_eq!(follower.seqs(2), [2, 3]);
    producer.publish("orders/a", 3..6);
    assert_eq!(follower.seqs(3), [4, 5, 6]);
    let mut follower = Json::connect(&broker);
    let begins = follower.subscribe("orders", r#""start":"last""#).field("next");
    assert_eq!(begins, "6");
    assert_eq!(follower.seqs(1), [6]);
    producer.publish("orders/b", [7]);
    assert_eq!(follower.seqs(1), [7]);
}

#[test]
fn a_follower_of_a_part_reads_that_part() {
    let broker = start("follower-part");
    let (mut producer, mut follower) = (Json::connect(&broker), Json::connect(&broker));
    for topic in ["orders/a", "orders/b", "orders/a"] {
        producer.publish(topic, [1]);
    }
    let begins = follower.subscribe("orders/a", r#""start":"new""#).field("next");
    follower.subscribe("orders/a", r#""start":"all""#);
    assert_eq!(follower.seqs(2), [1, 3]);
    assert_eq!(begins, "4", "whatever it matches");
    follower.client.is_quiet();
    follower.ask(r#"{"command":"cancel","topic":"orders/a"}"#);
    producer.publish("orders/a", [2]);
    follower.client.is_quiet();
}

#[test]
fn a_follower_that_is_far_behind_gets_everything() {
    let broker = start("far-behind");
    let mut producer = Json::connect(&broker);
    for _ in 0..20 {
        for number in 0..1_000 {
            producer.client.publish(
                babelmq::Format::Json,
                "orders/a",
                number.to_string().as_bytes(),
            );
        }
    }
    producer.client.is_quiet();
    let mut follower = Json::connect(&broker);
    follower.subscribe("orders", r#""start":"all""#);
    assert_eq!(follower.seqs(20_000), (1..=20_000).collect::<Vec<_>>());
}

#[test]
fn a_topics_last_messages_are_given() {
    let broker = start("last");
    let mut client = Json::connect(&broker);
    for number in 0..5 {
        client.publish("orders/a", [number]);
        client.publish("orders/b", [number]);
    }
    client.send(r#"{"command":"get","topic":"orders/a","last":2}"#);
    for (seq, number) in [("7", 3), ("9", 4)] {
        let value = client.client.next();
        assert_eq!((value.field("command"), value.field("seq")), ("value".into(), seq.into()));
        assert_eq!((value.field("stream"), value.number()), ("orders".into(), number));
    }
    let expected = [("command", "values"), ("topic", "orders/a"), ("count", "2")];
    client.client.next().says(&expected);
    let none = client.ask(r#"{"command":"get","topic":"orders/c","last":2}"#);
    none.says(&[("command", "values"), ("topic", "orders/c"), ("count", "0")]);
    client.ask(r#"{"command":"get","topic":"weather","last":2}"#).refuses("no-stream", false);
}

#[test]
fn what_is_read_from_streams_counts_as_delivered() {
    let broker = start("delivered");
    let mut producer = Json::connect(&broker);
    producer.publish("orders/a", 0..3);
    let (mut follower, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    follower.subscribe("orders", r#""start":"all""#);
    consumer.consume("orders", "billing", r#","start":"all""#);
    producer.publish("orders/b", [3]);
    assert_eq!((follower.seqs(4), consumer.seqs(4)), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
    // What is asked for is no delivery.
    producer.send(r#"{"command":"get","topic":"orders/a","last":2}"#);
    producer.client.flush(Format::Json);
    let (mut in_json, mut by_client) = (0, 0);
    // A writer counts what it has gathered, and that may have been written already.
    until("all are counted", || {
        let stats = broker.stats();
        let (_, samples) = stats
            .samples()
            .find(|(metric, _)| metric.prometheus == "babelmq_messages_delivered_total")
            .unwrap();
        in_json = match samples {
            Samples::Numbers(of_formats) => match of_formats[0].number {
                Number::Whole(number) => number,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        by_client = delivered(&mut producer);
        (stats.delivered, in_json, by_client) == (8, 8, 8)
    });
    // They stay counted when the subscription is over.
    consumer.ask(r#"{"command":"cancel","topic":"orders","consumer":"billing"}"#);
    consumer.subscribe("elsewhere", r#""cleared":true"#);
    assert_eq!(delivered(&mut producer), 8);
}

/// What the broker says that its subscribers were given.
fn delivered(client: &mut Json) -> u64 {
    let stats: serde_json::Value =
        serde_json::from_str(&client.ask(r#"{"command":"stats"}"#).message()).unwrap();
    let subscribers = stats["subscribers"].as_array().unwrap();
    subscribers.iter().map(|one| one["delivered"].as_u64().unwrap()).sum()
}
