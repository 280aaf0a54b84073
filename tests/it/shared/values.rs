//! What is published at one broker is delivered and remembered by all.

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::broker::{SharedContent, SharedMessage, SharedPayload};
use babelmq::codec::Encoding;
use babelmq::{StreamDefinition, Topic, TopicFilter, Value};

use super::{delivery, publish, scratch, sharing, start, start_in, start_with, until_value};
use crate::support::Field::{Bool, Int, Raw, Str};
use crate::support::backbone::LocalBackbone;
use crate::support::process::until;
use crate::support::{Client, number};

#[test]
fn every_broker_delivers_what_one_of_them_was_given_once() {
    let backbone = LocalBackbone::default();
    let (one, other) = (start(&backbone), start(&backbone));
    let (mut producer, mut here, mut there) =
        (Client::connect(&one), Client::connect(&one), Client::connect(&other));
    here.subscribe(Pickle, "orders");
    there.subscribe(Xml, "orders/#");
    for (value, format) in (1..).zip([Json, Xml, Pickle]) {
        publish(&mut producer, format, "orders/eu/1", value);
    }
    for subscriber in [&mut here, &mut there] {
        for value in 1..=3 {
            assert_eq!(delivery(subscriber), ("orders/eu/1".to_owned(), value));
        }
        subscriber.is_quiet();
    }
    for broker in [&one, &other] {
        until_value(broker, "orders/eu/1", Some(3));
    }
    assert_eq!(backbone.messages().len(), 3);
}

#[test]
fn what_is_not_shared_stays_where_it_is() {
    let backbone = LocalBackbone::default();
    let (one, other) = (start(&backbone), start(&backbone));
    let (mut producer, mut there) = (Client::connect(&one), Client::connect(&other));
    there.subscribe(Json, "#");
    // One write, and so one batch, with both.
    let topics = ["weather/oslo", "orders/1", "weather/oslo", "orders", "ordersx"];
    let frames = (1..)
        .zip(topics)
        .map(|(value, topic)| crate::support::publish(Json, topic, &number(Json, value)));
    producer.send_raw(&frames.collect::<Vec<_>>().concat());
    producer.is_quiet();
    assert_eq!(delivery(&mut there), ("orders/1".to_owned(), 2));
    assert_eq!(delivery(&mut there), ("orders".to_owned(), 4));
    there.is_quiet();
    assert_eq!(one.get_topic("weather/oslo").unwrap(), Some(Value::Int(3)));
    assert_eq!(other.get_topic("weather/oslo").unwrap(), None);
    until_value(&other, "orders", Some(4));
}

#[test]
fn values_are_cleared_and_expire_everywhere() {
    let backbone = LocalBackbone::default();
    let (one, other) = (start(&backbone), start(&backbone));
    let mut producer = Client::connect(&one);
    for value in 1..=3 {
        publish(&mut producer, Json, &format!("orders/{value}"), value);
    }
    until_value(&other, "orders/3", Some(3));
    producer.command(Json, &[("command", Str("clear")), ("topic", Str("orders/1"))]);
    producer.is_quiet();
    until_value(&other, "orders/1", None);
    assert!(one.clear_topic("orders/2").unwrap());
    until_value(&other, "orders/2", None);
    let mut admin = Client::connect(&other);
    admin.command(Json, &[("command", Str("clear")), ("topic", Str("orders/#"))]);
    admin.is_quiet();
    until_value(&one, "orders/3", None);
    let fields = [
        ("command", Str("publish")),
        ("topic", Str("orders/4")),
        ("message", Raw(b"4")),
        ("ttl", Int(1)),
    ];
    producer.command(Json, &fields);
    until_value(&other, "orders/4", Some(4));
    until_value(&other, "orders/4", None);
    until_value(&one, "orders/4", None);
}

#[test]
fn what_is_not_to_be_remembered_is_delivered_only() {
    let backbone = LocalBackbone::default();
    let (one, other) = (start(&backbone), start(&backbone));
    let (mut producer, mut there) = (Client::connect(&one), Client::connect(&other));
    there.subscribe(Json, "orders");
    publish(&mut producer, Json, "orders/1", 1);
    let fields = [
        ("command", Str("publish")),
        ("topic", Str("orders/1")),
        ("message", Raw(b"2")),
        ("retain", Bool(false)),
    ];
    producer.command(Json, &fields);
    producer.is_quiet();
    assert_eq!((delivery(&mut there).1, delivery(&mut there).1), (1, 2));
    assert_eq!(other.get_topic("orders/1").unwrap(), Some(Value::Int(1)));
}

#[test]
fn a_broker_goes_on_where_it_was_and_one_that_is_new_gets_last_values() {
    let (backbone, folder) = (LocalBackbone::default(), scratch("position"));
    let (one, other) = (start(&backbone), start_in(&folder, &backbone));
    let mut producer = Client::connect(&one);
    for value in 1..=5 {
        publish(&mut producer, Json, &format!("orders/{}", value % 2), value);
    }
    until_value(&other, "orders/1", Some(5));
    other.close().unwrap();
    for value in 6..=8 {
        publish(&mut producer, Json, &format!("orders/{}", value % 3), value);
    }
    let other = start_in(&folder, &backbone);
    for (topic, value) in [("orders/0", 6), ("orders/1", 7), ("orders/2", 8)] {
        until_value(&other, topic, Some(value));
    }
    let new = start(&backbone);
    for (topic, value) in [("orders/0", 6), ("orders/1", 7), ("orders/2", 8)] {
        until_value(&new, topic, Some(value));
    }
    backbone.begin_anew();
    publish(&mut producer, Json, "orders/0", 9);
    for broker in [&one, &other, &new] {
        until_value(broker, "orders/0", Some(9));
    }
}

#[test]
fn what_comes_again_is_not_delivered_again() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let (mut producer, mut subscriber) = (Client::connect(&broker), Client::connect(&broker));
    subscriber.subscribe(Json, "orders");
    for value in 1..=3 {
        publish(&mut producer, Json, "orders/1", value);
        assert_eq!(delivery(&mut subscriber).1, value);
    }
    backbone.repeat();
    publish(&mut producer, Json, "orders/1", 4);
    assert_eq!(delivery(&mut subscriber).1, 4);
    subscriber.is_quiet();
}

#[test]
fn an_id_is_there_once_from_whichever_broker() {
    let backbone = LocalBackbone::default();
    let (one, other) = (start(&backbone), start(&backbone));
    let (mut first, mut second) = (Client::connect(&one), Client::connect(&other));
    let mut subscriber = Client::connect(&other);
    subscriber.subscribe(Json, "orders");
    for (client, value) in [(&mut first, b"1"), (&mut second, b"2")] {
        let fields = [
            ("command", Str("publish")),
            ("topic", Str("orders/1")),
            ("message", Raw(value)),
            ("id", Str("order-7")),
        ];
        client.command(Json, &fields);
        client.is_quiet();
    }
    assert_eq!(delivery(&mut subscriber).1, 1);
    subscriber.is_quiet();
}

#[test]
fn others_may_publish_there_and_what_is_no_message_harms_nothing() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let mut subscriber = Client::connect(&broker);
    subscriber.subscribe(Json, "orders");
    let publish = |topic: &str, encoding, bytes: &[u8]| {
        let content = SharedPayload {
            encoding,
            bytes: bytes.into(),
            retain: true,
            ttl: None,
            qos: None,
            properties: Box::default(),
        };
        let topic = Topic::parse(topic).unwrap();
        backbone.publish(SharedMessage { topic, content: SharedContent::Payload(content) });
    };
    let pickle = Some(Encoding::Value(Pickle));
    publish("orders/1", pickle, b"cos\nsystem\n(S'id'\ntR.");
    publish("orders/1", Some(Encoding::Value(Xml)), b"<a><b></a>");
    publish("orders/1", Some(Encoding::Text), b"\xff");
    publish("orders/1", pickle, b"\x80\x04K\x07.");
    publish("orders/2", None, b"{\"a\": 1}");
    assert_eq!(delivery(&mut subscriber), ("orders/1".to_owned(), 7));
    assert_eq!(subscriber.next().message(), "{\"a\": 1}");
    subscriber.is_quiet();
}

#[test]
fn a_value_without_room_is_delivered_and_an_old_one_forgotten() {
    let backbone = LocalBackbone::default();
    let config = sharing().store(babelmq::StoreLimits::default().values(10).bytes(4_096));
    let broker = start_with(&backbone, config);
    let mut subscriber = Client::connect(&broker);
    subscriber.subscribe(Json, "orders");
    let mut producer = Client::connect(&broker);
    publish(&mut producer, Json, "orders/1", 1);
    let long = format!("\"{}\"", "x".repeat(8_000));
    producer.publish(Json, "orders/1", long.as_bytes());
    producer.is_quiet();
    assert_eq!(delivery(&mut subscriber).1, 1);
    assert_eq!(subscriber.next().message(), long);
    until_value(&broker, "orders/1", None);
    assert_eq!(broker.stats().shared_unremembered, 1);
    publish(&mut producer, Json, "orders/1", 2);
    until_value(&broker, "orders/1", Some(2));
}

#[test]
fn what_the_backbone_does_not_take_is_refused_with_both_limits() {
    let backbone = LocalBackbone::default();
    backbone.take_at_most(2_000);
    let broker = start(&backbone);
    let mut producer = Client::connect(&broker);
    publish(&mut producer, Json, "orders/1", 1);
    let long = format!("\"{}\"", "x".repeat(3_000));
    producer.publish(Json, "orders/1", long.as_bytes());
    let refused = producer.next();
    refused.refuses("too-large", false);
    for words in ["3002 bytes", "2000 at most", "16777216"] {
        assert!(refused.field("reason").contains(words), "{}", refused.field("reason"));
    }
    producer.publish(Json, "weather", long.as_bytes());
    producer.is_quiet();
    publish(&mut producer, Json, "orders/1", 2);
    until_value(&broker, "orders/1", Some(2));
}

#[test]
fn topics_that_a_stream_keeps_are_not_shared() {
    use babelmq::{Broker, Storage};
    let start = |filter: &str, shared: &str| {
        let storage = Box::new(Storage::open(&scratch("conflict"), true).unwrap());
        let stream = StreamDefinition::new("own", TopicFilter::parse(filter).unwrap()).unwrap();
        let config = sharing().streams([stream]).shared([shared.parse().unwrap()]);
        Broker::start_sharing(config, storage, Box::new(LocalBackbone::default()))
    };
    assert!(start("weather/#", "orders/#").is_ok());
    for (filter, shared) in [("orders/eu/#", "orders/#"), ("#", "orders/#"), ("a/#", "own=b/#")] {
        let error = start(filter, shared).unwrap_err().to_string();
        assert!(error.contains("the stream own") || error.contains("a stream own"), "{error}");
    }
    let error = babelmq::Broker::start(sharing()).unwrap_err().to_string();
    assert!(error.contains("--backbone"), "{error}");
}

#[test]
fn a_stream_is_not_added_over_topics_that_are_shared() {
    let (backbone, folder) = (LocalBackbone::default(), scratch("added"));
    let broker = start_in(&folder, &backbone);
    let mut admin = Client::connect(&broker);
    let add = |topic: &'static str| {
        [("command", Str("add-stream")), ("stream", Str("own")), ("topic", Str(topic))]
    };
    admin.command(Json, &add("orders/eu"));
    let refused = admin.next();
    refused.refuses("invalid-field", false);
    assert!(refused.field("reason").contains("shared"), "{}", refused.field("reason"));
    admin.command(Json, &[("command", Str("remove-stream")), ("stream", Str("orders"))]);
    admin.next().refuses("invalid-field", false);
    admin.command(Json, &add("weather"));
    assert_eq!(admin.next().field("command"), "done");
    until("it is listed", || {
        admin.command(Json, &[("command", Str("streams"))]);
        let listed = admin.next().message();
        listed.contains("\"orders\"") && listed.contains("\"own\"")
    });
}

#[test]
fn clients_of_mqtt_share_them_with_all_that_they_say() {
    use crate::support::mqtt::{Mqtt, V5};
    let backbone = LocalBackbone::default();
    let start = || {
        let listeners = ["tcp://127.0.0.1:0", "mqtt://127.0.0.1:0"];
        let urls = listeners.map(|url| url.parse::<babelmq::ListenUrl>().unwrap());
        start_with(&backbone, sharing().listeners(urls))
    };
    let (one, other) = (start(), start());
    let mut subscriber = Mqtt::connect(&other, V5, "subscriber");
    assert_eq!(subscriber.subscribe("orders/#", 1), 1);
    let mut sensor = Mqtt::connect(&one, V5, "sensor");
    // A user property, and a payload that is in no format.
    let property = [&[38, 0, 1][..], b"k", &[0, 1], b"v"].concat();
    sensor.publish_with("orders/1", b"\xff\x00", (1, true, 7), &property);
    assert_eq!(sensor.read().kind(), "PUBACK");
    let message = subscriber.message();
    assert_eq!(
        (&*message.topic, &*message.payload, message.qos),
        ("orders/1", &b"\xff\x00"[..], 1)
    );
    let has = |properties: &[u8]| properties.windows(property.len()).any(|part| part == property);
    assert!(has(&message.properties), "{:?}", message.properties);
    subscriber.ack(0x40, message.id);
    until("it is remembered", || {
        other.get_topic("orders/1").unwrap() == Some(Value::Bytes(vec![255, 0]))
    });
    // An empty one that is retained: there is no value any more.
    sensor.publish("orders/1", b"", 1, true, 8);
    assert_eq!(sensor.read().kind(), "PUBACK");
    until_value(&other, "orders/1", None);
    backbone.go_down();
    sensor.publish("orders/1", b"1", 1, false, 9);
    // What cannot be confirmed is not.
    let packet = sensor.read();
    assert!(packet.kind() != "PUBACK" || packet.body.get(2).is_some_and(|it| *it >= 0x80));
}
