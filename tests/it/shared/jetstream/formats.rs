//! What brokers and programs of NATS read of each other.

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::Value;

use super::{patient, server, server_with, start, start_with};
use crate::shared::{delivery, publish, until_value};
use crate::support::Field::{Bool, Int, Raw, Str};
use crate::support::mqtt::{Mqtt, V5};
use crate::support::process::until;
use crate::support::{Client, FORMATS, number};

#[test]
fn every_format_arrives_in_every_format_at_the_other_broker() {
    let (server, _nats) = server();
    let brokers = [start(&server), start(&server)];
    let mut subscribers = Vec::new();
    for broker in &brokers {
        for format in FORMATS {
            let mut client = Client::connect(broker);
            client.subscribe(format, "orders");
            subscribers.push(client);
        }
    }
    let mut producers = brokers.each_ref().map(Client::connect);
    let mut expected = Vec::new();
    for value in 0..60 {
        let at = value as usize;
        let topic = format!("orders/{}", at % 5);
        publish(&mut producers[at % 2], FORMATS[at % 3], &topic, value);
        expected.push((topic, value));
    }
    for subscriber in &mut subscribers {
        for expected in &expected {
            assert_eq!(delivery(subscriber), *expected);
        }
        subscriber.is_quiet();
    }
}

#[test]
fn what_a_broker_publishes_says_what_it_is() {
    let (server, mut nats) = server();
    let broker = start(&server);
    let mut client = Client::connect(&broker);
    publish(&mut client, Json, "orders", 1);
    client.publish(Xml, "orders/a b", b"<message type=\"int\">2</message>");
    client.publish(Pickle, "orders/1.5", &number(Pickle, 3));
    let more = [
        ("command", Str("publish")),
        ("topic", Str("orders/4")),
        ("message", Raw(b"{\"a\": 4}")),
        ("retain", Bool(false)),
        ("ttl", Int(60)),
        ("id", Str("cash 7")),
    ];
    client.command(Json, &more);
    client.command(Json, &[("command", Str("clear")), ("topic", Str("orders"))]);
    client.is_quiet();
    let kept = nats.kept("orders");
    let said = kept.iter().map(|kept| {
        let message = &kept.message;
        let of = |name: &str| message.headers.get(name).map_or("", String::as_str).to_owned();
        let beside = ["Content-Type", "Babelmq-Retain", "Babelmq-Ttl", "Babelmq-Clear"].map(of);
        (kept.seq, message.subject.clone(), beside.join(";"))
    });
    let expected = [
        (1, "orders", "application/json;;;"),
        (2, "orders.a%20b", "application/xml;;;"),
        (3, "orders.1%2E5", "application/x-python-pickle;;;"),
        (4, "orders.4", "application/json;false;60;"),
        (5, "orders", ";;;true"),
    ];
    let expected =
        expected.map(|(seq, subject, beside)| (seq, subject.to_owned(), beside.to_owned()));
    assert_eq!(said.collect::<Vec<_>>(), expected);
    let payloads: Vec<&[u8]> = kept.iter().map(|kept| &*kept.message.payload).collect();
    assert_eq!(payloads[0], b"1");
    assert_eq!(payloads[1], b"<message type=\"int\">2</message>");
    // A whole pickle by itself: its protocol, and its end.
    assert!(payloads[2].starts_with(b"\x80") && payloads[2].ends_with(b"."));
    assert_eq!((payloads[3], payloads[4]), (&b"{\"a\": 4}"[..], &b""[..]));
    let ids: Vec<&str> = kept.iter().map(|kept| &*kept.message.headers["Nats-Msg-Id"]).collect();
    assert_eq!(ids[3], "id-cash%207");
    assert!([0, 1, 2, 4].iter().all(|at| !ids[*at].starts_with("id-")), "{ids:?}");
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 5, "{ids:?}");
}

#[test]
fn a_plain_client_takes_part() {
    let (server, mut nats) = server();
    let (broker, other) = (start(&server), start(&server));
    let mut subscriber = Client::connect(&broker);
    subscriber.subscribe(Pickle, "orders");
    nats.publish("orders.eu.7", &[], b"{\"price\": 3, \"paid\": true}");
    let frame = subscriber.next();
    assert_eq!(frame.field("topic"), "orders/eu/7");
    assert_eq!(frame.message(), r#"{"paid": True, "price": 3}"#);
    nats.publish("orders.a%20b", &[("Content-Type", "text/xml")], b"<order><id>9</id></order>");
    assert_eq!(subscriber.next().field("topic"), "orders/a b");
    nats.publish("orders.1", &[], b"21.5 C");
    assert_eq!(subscriber.next().message(), "\"21.5 C\"");
    // What cannot be read, what is no topic's subject, and a word of nobody's.
    let pickle = [("Content-Type", "application/x-python-pickle")];
    nats.publish("orders.1", &pickle, b"cos\nsystem\n(S'id'\ntR.");
    nats.publish("orders.%31", &[], b"1");
    nats.publish("orders.2", &[("Content-Type", "application/xml")], b"<a><b></a>");
    nats.publish("orders.2", &[("Babelmq-Retain", "false")], b"5");
    assert_eq!(delivery(&mut subscriber), ("orders/2".to_owned(), 5));
    subscriber.is_quiet();
    assert_eq!(broker.shared_topics()[0].rejected, 2);
    for broker in [&broker, &other] {
        until("it has everything", || broker.shared_topics()[0].applied == 7);
        assert_eq!(broker.get_topic("orders/2").unwrap(), None);
        assert_eq!(broker.get_topic("orders/1").unwrap(), Some(Value::Str("21.5 C".into())));
    }
}

#[test]
fn values_are_cleared_and_expire_whoever_says_so() {
    let (mut server, mut nats) = server();
    let (one, other) = (start(&server), start(&server));
    let mut client = Client::connect(&one);
    for value in 1..=3 {
        publish(&mut client, Json, &format!("orders/{value}"), value);
    }
    until_value(&other, "orders/3", Some(3));
    client.command(Json, &[("command", Str("clear")), ("topic", Str("orders/1"))]);
    client.is_quiet();
    nats.publish("orders.2", &[("Babelmq-Clear", "true")], b"");
    for broker in [&one, &other] {
        until_value(broker, "orders/1", None);
        until_value(broker, "orders/2", None);
    }
    let ttl = |seconds| {
        let publish = [("command", Str("publish")), ("topic", Str("orders/3"))];
        [&publish[..], &[("message", Raw(b"4")), ("ttl", Int(seconds))]].concat()
    };
    client.command(Json, &ttl(2));
    client.is_quiet();
    until_value(&other, "orders/3", Some(4));
    for broker in [&one, &other] {
        until_value(broker, "orders/3", None);
    }
    // Who comes later has no value that is over, and others for as long as they have left.
    client.command(Json, &ttl(60));
    client.is_quiet();
    nats.publish("orders.4", &[("Babelmq-Ttl", "2")], b"5");
    until_value(&one, "orders/4", Some(5));
    until_value(&one, "orders/4", None);
    server.kill();
    let urls = ["tcp://127.0.0.1:0", "mqtt://127.0.0.1:0"];
    let urls = urls.map(|url| url.parse::<babelmq::ListenUrl>().unwrap());
    let third = start_with(&server, patient().listeners(urls));
    let mut late = Mqtt::connect(&third, V5, "late");
    late.subscribe("orders/#", 1);
    server.start_again();
    let message = late.message();
    assert_eq!((&*message.topic, &*message.payload), ("orders/3", &b"4"[..]));
    // The message expiry interval, in seconds.
    let properties = message.properties;
    assert!(matches!(properties[..], [2, 0, 0, 0, 30..=59, ..]), "{properties:?}");
    assert_eq!(third.get_topic("orders/4").unwrap(), None);
}

#[test]
fn what_is_too_large_is_refused_with_both_limits() {
    let (server, _nats) = server_with(&["max_payload: 4000"], serde_json::json!({}));
    let broker = start(&server);
    let mut client = Client::connect(&broker);
    let long = format!("\"{}\"", "x".repeat(5_000));
    client.publish(Json, "orders/1", long.as_bytes());
    let refused = client.next();
    refused.refuses("too-large", false);
    for words in ["5002 bytes", "4000 at most", "max_payload", "16777216"] {
        assert!(refused.field("reason").contains(words), "{}", refused.field("reason"));
    }
    // It is refused where it comes in: a ping has nothing to say of it. Headers take room too.
    client.is_quiet();
    let long = format!("\"{}\"", "x".repeat(3_900));
    client.publish(Json, "orders/1", long.as_bytes());
    client.next().refuses("too-large", false);
    client.is_quiet();
    publish(&mut client, Json, "orders/1", 2);
    until_value(&broker, "orders/1", Some(2));
}
