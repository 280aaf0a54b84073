//! The broker inside another program: what its handle can do.
#![cfg(all(feature = "broker", feature = "middleware"))]

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::{Broker, ErrorCode, Limits, Peer, Topic, Value};

use crate::support::Field::{Bool, Str};
use crate::support::{Client, FORMATS, config, number, start};

fn names(topics: &[Topic]) -> Vec<&str> {
    topics.iter().map(Topic::as_str).collect()
}

/// The value that the tests here put, and what it is on the wire.
fn value() -> Value {
    Value::Dict(vec![
        ("b".into(), Value::Tuple(vec![1.into(), 2.5.into(), Value::None])),
        ("a c".into(), Value::Bytes(vec![0, 255])),
        (7.into(), Value::FrozenSet(vec!["x".into()])),
    ])
}

#[test]
fn the_address_is_the_one_that_was_taken() {
    let broker = start();
    assert!(broker.local_addr().ip().is_loopback());
    assert_ne!(broker.local_addr().port(), 0);
    Client::to(broker.local_addr()).is_quiet();
}

#[test]
fn put_topic_reaches_subscribers_in_each_format_and_is_stored() {
    let broker = start();
    let mut clients: Vec<(Client, &str)> = Vec::new();
    for (format, exact, expected) in [
        (Json, false, r#"{"b":[1,2.5,null],"a c":{"$bytes":"AP8="},"7":{"$set":["x"]}}"#),
        (
            Json,
            true,
            r#"{"$dict":[["b",{"$tuple":[1,2.5,null]}],["a c",{"$bytes":"AP8="}],[7,{"$frozenset":["x"]}]]}"#,
        ),
        (
            Xml,
            false,
            concat!(
                r#"<message type="map"><entry><key type="str">b</key><value type="tuple"><item type="int">1</item>"#,
                r#"<item type="float">2.5</item><item type="null"></item></value></entry>"#,
                r#"<entry><key type="str">a c</key><value type="bytes">AP8=</value></entry><entry>"#,
                r#"<key type="int">7</key><value type="frozenset"><item type="str">x</item></value></entry></message>"#
            ),
        ),
        (Pickle, false, r#"{7: frozenset({"x"}), "a c": b'\x00\xff', "b": (1, 2.5, None)}"#),
    ] {
        let mut client = Client::connect(&broker);
        client.subscribe_with(format, "/t", &[("exact", Bool(exact))]);
        clients.push((client, expected));
    }
    broker.put_topic("/t/x", &value()).unwrap();
    for (client, expected) in &mut clients {
        let delivered = client.next();
        delivered.says(&[("command", "publish"), ("topic", "/t/x")]);
        assert_eq!(delivered.message(), *expected);
        client.is_quiet();
    }
    assert_eq!(broker.get_topic("/t/x"), Ok(Some(value())));
    let stored = Client::connect(&broker).subscribe(Json, "#");
    assert_eq!(stored[0].message(), clients[0].1);
}

#[test]
fn get_topic_gives_what_clients_published() {
    let broker = start();
    let mut client = Client::connect(&broker);
    client.publish(Json, "j", br#"{ "a" : [1, {"$tuple":[]}], "n": 1e2 }"#);
    client.publish(Xml, "x", b"<message><a b='c'/><a/></message>");
    client.publish(Pickle, "p", b"(K\x01\x88N\x87t");
    client.flush(Json);
    let inner = Value::List(vec![1.into(), Value::Tuple(vec![])]);
    let json = Value::Dict(vec![("a".into(), inner), ("n".into(), 100.0.into())]);
    assert_eq!(broker.get_topic("j"), Ok(Some(json)));
    let xml = Value::List(vec![Value::Dict(vec![("@b".into(), "c".into())]), Value::None]);
    assert_eq!(broker.get_topic("x"), Ok(Some(Value::Dict(vec![("a".into(), xml)]))));
    let pickle = Value::Tuple(vec![Value::Tuple(vec![1.into(), true.into(), Value::None])]);
    assert_eq!(broker.get_topic("p"), Ok(Some(pickle)));
    assert_eq!(broker.get_topic("none"), Ok(None));
}

#[test]
fn topics_that_hold_a_value_are_listed_until_they_are_cleared() {
    let broker = start();
    assert_eq!(names(&broker.list_topics()), [""; 0]);
    for topic in ["b", "/a", "a/b", "a"] {
        broker.put_topic(topic, &1.into()).unwrap();
    }
    Client::connect(&broker).subscribe(Json, "/known");
    assert_eq!(names(&broker.list_topics()), ["/a", "a", "a/b", "b"]);
    assert_eq!(broker.clear_topic("a"), Ok(true));
    assert_eq!(broker.clear_topic("a"), Ok(false));
    assert_eq!(broker.clear_topic("/known"), Ok(false));
    assert_eq!(names(&broker.list_topics()), ["/a", "a/b", "b"]);
    assert_eq!(broker.get_topic("a"), Ok(None));
}

#[test]
fn what_is_refused_to_a_client_is_refused_here() {
    let limits = Limits::with_max_frame(1 << 20).decoded_size(10_000);
    let broker = Broker::start(config().limits(limits)).unwrap();
    let mut bystander = Client::connect(&broker);
    bystander.subscribe(Json, "#");
    for topic in ["", "/", "a//b", "a/", "+", "#", "a\n"] {
        let code = Err(ErrorCode::InvalidTopic);
        assert_eq!(
            broker.put_topic(topic, &1.into()).map_err(|refusal| refusal.code),
            code,
            "{topic:?}"
        );
        assert_eq!(
            broker.get_topic(topic).map(drop).map_err(|refusal| refusal.code),
            code,
            "{topic:?}"
        );
        assert_eq!(
            broker.clear_topic(topic).map(drop).map_err(|refusal| refusal.code),
            code,
            "{topic:?}"
        );
        let subscriptions =
            broker.list_subscriptions(topic).map(drop).map_err(|refusal| refusal.code);
        assert_eq!(subscriptions, code, "{topic:?}");
    }
    let mut deep = Value::None;
    for _ in 0..=128 {
        deep = Value::List(vec![deep]);
    }
    let unhashable = Value::Set(vec![Value::List(vec![])]);
    let large = Value::Str("x".repeat(10_001));
    for (value, code) in [
        (deep, ErrorCode::TooDeep),
        (unhashable, ErrorCode::Unhashable),
        (large, ErrorCode::TooLarge),
    ] {
        assert_eq!(broker.put_topic("t", &value).map_err(|refusal| refusal.code), Err(code));
    }
    bystander.is_quiet();
    assert_eq!(names(&broker.list_topics()), [""; 0]);
}

#[test]
fn list_subscriptions_says_who_and_how() {
    let broker = start();
    let mut clients = Vec::new();
    let mut expected = Vec::new();
    for (format, filter, exact) in
        [(Json, "/t", true), (Xml, "/t/+", false), (Pickle, "#", false), (Json, "/t/x/#", false)]
    {
        let mut client = Client::connect(&broker);
        client.subscribe_with(format, filter, &[("exact", Bool(exact))]);
        expected.push((Peer::from(client.local_addr()), filter.to_owned(), format, exact));
        clients.push(client);
    }
    let found = |topic: &str| {
        let mut found: Vec<_> = broker
            .list_subscriptions(topic)
            .unwrap()
            .into_iter()
            .map(|info| (info.peer, info.filter, info.format, info.exact))
            .collect();
        let place = |peer| expected.iter().position(|(expected, ..)| *expected == peer);
        found.sort_by_key(|(peer, ..)| place(*peer));
        found
    };
    assert_eq!(found("/t/x"), expected);
    assert_eq!(found("/t"), [expected[0].clone(), expected[2].clone()]);
    assert_eq!(found("u"), [expected[2].clone()]);
    clients[0].command(Json, &[("command", Str("cancel")), ("topic", Str("/t"))]);
    clients[0].next();
    assert_eq!(found("/t"), [expected[2].clone()]);
    let ids: Vec<_> =
        broker.list_subscriptions("/t/x").unwrap().iter().map(|info| info.client).collect();
    assert_eq!(
        ids.iter().collect::<std::collections::HashSet<_>>().len(),
        3,
        "each its own number"
    );
}

#[test]
fn the_counters_count() {
    let broker = start();
    let mut producer = Client::connect(&broker);
    for format in FORMATS {
        producer.publish(format, "/a", &number(format, 1));
    }
    producer.publish(Json, "/b", b"\"12345\"");
    producer.publish(Json, "/b//", b"1");
    producer.send(Json, b"{");
    producer.flush(Json);
    let mut consumer = Client::connect(&broker);
    consumer.subscribe(Json, "#");
    consumer.subscribe(Xml, "/a");
    producer.publish(Json, "/a", b"12");
    producer.flush(Json);
    consumer.next();
    consumer.is_quiet();
    let stats = broker.stats();
    assert_eq!((stats.connections, stats.open, stats.turned_away), (2, 2, 0));
    assert_eq!((stats.published, stats.delivered, stats.refused), (5, 1, 2));
    assert_eq!((stats.snapshot_values, stats.subscriptions, stats.topics), (3, 2, 2));
    assert_eq!(stats.stored_bytes, (b"12".len() + b"\"12345\"".len()) as u64);
    assert_eq!((stats.slow_consumers, stats.encoding_failures, stats.panics), (0, 0, 0));
    assert!(stats.bytes_in > 300 && stats.bytes_out > 300, "{stats:?}");
}
