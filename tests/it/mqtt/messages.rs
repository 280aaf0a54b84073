//! Messages in both directions, with every quality of service, and between formats.

use babelmq::Config;
use babelmq::Format::{Json, Pickle, Xml};

use super::{reason, start, start_with};
use crate::support::Client;
use crate::support::Field::{Bool, Raw, Str};
use crate::support::mqtt::{Mqtt, V3_1_1, V5, packet, text};
use crate::support::python;

const VERSIONS: [u8; 2] = [V3_1_1, V5];

#[test]
fn a_message_goes_with_the_lesser_of_two_qualities() {
    let broker = start();
    for version in VERSIONS {
        for granted in 0..=2 {
            let mut subscriber = Mqtt::connect(&broker, version, "subscriber");
            assert_eq!(subscriber.subscribe("t", granted), granted);
            let mut publisher = Mqtt::connect(&broker, version, "publisher");
            for qos in 0..=2 {
                publisher.publish("t", b"{\"n\": 1}", qos, false, 5);
                if qos > 0 {
                    let kind = if qos == 1 { "PUBACK" } else { "PUBREC" };
                    let answer = publisher.read();
                    assert_eq!((answer.kind(), &answer.body[..]), (kind, &[0, 5][..]));
                }
                if qos == 2 {
                    publisher.ack(0x62, 5);
                    let pubcomp = publisher.read();
                    assert_eq!((pubcomp.kind(), &pubcomp.body[..]), ("PUBCOMP", &[0, 5][..]));
                }
                let message = subscriber.message();
                assert_eq!(message.payload, b"{\"n\": 1}");
                assert_eq!(
                    (message.qos, message.dup, message.retain),
                    (qos.min(granted), false, false)
                );
                match message.qos {
                    1 => subscriber.ack(0x40, message.id),
                    2 => {
                        subscriber.ack(0x50, message.id);
                        let pubrel = subscriber.read();
                        assert_eq!(pubrel.first, 0x62, "{pubrel:?}");
                        subscriber.ack(0x70, message.id);
                    }
                    _ => {}
                }
            }
            subscriber.ping();
            subscriber.disconnect();
            publisher.disconnect();
        }
    }
}

/// MQTT 5, 4.3.3: a message of QoS 2 that is sent twice before it is released is published once.
#[test]
fn a_message_of_qos_2_is_published_once() {
    let broker = start();
    let mut subscriber = Mqtt::connect(&broker, V5, "subscriber");
    subscriber.subscribe("t", 0);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    for _ in 0..3 {
        publisher.publish("t", b"once", 2, false, 9);
        assert_eq!(publisher.read().kind(), "PUBREC");
    }
    publisher.ack(0x62, 9);
    assert_eq!(publisher.read().kind(), "PUBCOMP");
    publisher.publish("t", b"again", 2, false, 9);
    assert_eq!(publisher.read().kind(), "PUBREC");
    assert_eq!(subscriber.plain_message().1, b"once");
    assert_eq!(subscriber.plain_message().1, b"again");
}

/// From MQTT to MQTT the bytes are the same bytes.
#[test]
fn bytes_are_what_they_were() {
    let broker = start();
    let payloads: [&[u8]; 9] = [
        b" {\"a\" : 1.50, \"b\": [true, null]} ",
        b"{\"not\": json}",
        b"21.5",
        b"\"a text of JSON\"",
        b"plain text, \xc3\xa4",
        b"\xff\xfe\x00",
        b"",
        b"\x00",
        b"\xef\xbb\xbf{}",
    ];
    for version in VERSIONS {
        let mut subscriber = Mqtt::connect(&broker, version, "subscriber");
        subscriber.subscribe("#", 1);
        let mut publisher = Mqtt::connect(&broker, version, "publisher");
        for payload in payloads {
            publisher.publish("a/b", payload, 0, false, 0);
            assert_eq!(subscriber.plain_message(), ("a/b".to_owned(), payload.to_vec()));
        }
        let long = vec![b'x'; 100_000];
        publisher.publish("/a", &long, 0, false, 0);
        assert_eq!(subscriber.plain_message(), ("/a".to_owned(), long));
    }
}

#[test]
fn a_sensors_payload_reaches_every_format() {
    let broker = start();
    let mut json = Client::connect(&broker);
    let mut xml = Client::connect(&broker);
    let mut pickle = Client::connect(&broker);
    for (client, format) in [(&mut json, Json), (&mut xml, Xml), (&mut pickle, Pickle)] {
        client.subscribe(format, "s");
    }
    let mut sensor = Mqtt::connect(&broker, V3_1_1, "sensor");
    for (payload, as_json, as_xml) in [
        (
            &b"{\"temp\": 21.50}"[..],
            "{\"temp\": 21.50}",
            "<message type=\"dict\"><temp type=\"float\">21.5</temp></message>",
        ),
        (b"warm & wet", "\"warm & wet\"", "<message type=\"str\">warm &amp; wet</message>"),
        (b"\xff\x00", "\"\\u00ff\\u0000\"", ""),
    ] {
        sensor.publish("s", payload, 0, false, 0);
        let body = json.next().text().to_owned();
        if !as_xml.is_empty() {
            assert!(body.contains(&format!("\"message\":{as_json}")), "{body}");
        }
        let body = xml.next().text().to_owned();
        assert!(body.contains(as_xml), "{body}");
        python::only_data_opcodes(&pickle.next().body);
    }
}

#[test]
fn a_pickle_reaches_a_phone_as_json() {
    let broker = start();
    let mut phone = Mqtt::connect(&broker, V5, "phone");
    phone.subscribe("orders/+", 1);
    let mut service = Client::connect(&broker);
    service.publish(Pickle, "orders/7", b"}(\x8c\x02idK\x07\x8c\x04paid\x88u");
    let message = phone.message();
    assert_eq!(message.payload, b"{\"id\":7,\"paid\":true}");
    // Content Type.
    let content = [&[3][..], &text("application/json")].concat();
    assert_eq!(message.properties, content);
    // What the broker's own protocol brings is of the highest quality.
    assert_eq!(message.qos, 1);
}

/// What its publisher says nothing of gets no Content Type from the broker, live or as a last
/// value.
#[test]
fn a_payload_that_is_passed_on_is_what_its_publisher_says() {
    let broker = start();
    let content = [&[3][..], &text("application/senml+json")].concat();
    for said in [&[][..], &content] {
        let mut client = Mqtt::connect(&broker, V5, "client");
        client.publish_with("t", b"[ 1 ]", (0, true, 0), said);
        client.subscribe("t", 0);
        let stored = client.message();
        client.publish_with("t", b"[ 1 ]", (0, true, 0), said);
        for message in [stored, client.message()] {
            assert_eq!((&message.payload[..], &message.properties[..]), (&b"[ 1 ]"[..], said));
        }
        client.disconnect();
    }
}

#[test]
fn a_listener_may_say_what_its_payloads_are() {
    let broker = start_with(Config::default(), "mqtt://127.0.0.1:0?format=xml");
    let mut subscriber = Mqtt::connect(&broker, V5, "subscriber");
    subscriber.subscribe("t", 0);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("t", b"no XML", 1, false, 3);
    let puback = publisher.read();
    assert_eq!((puback.kind(), puback.body[2]), ("PUBACK", reason::PAYLOAD_FORMAT));
    // A message of MQTT 5 may say it as well.
    let json = [&[3][..], &text("application/json; charset=utf-8")].concat();
    publisher.publish_with("t", b"{\"a\":1}", (0, false, 0), &json);
    let payload = String::from_utf8(subscriber.message().payload).unwrap();
    assert_eq!(payload, "<message type=\"dict\"><a type=\"int\">1</a></message>");
}

/// What has no name in the broker is refused, and the reason is told where there are words.
#[test]
fn a_topic_that_there_is_not_is_refused_with_the_reason() {
    let broker = start();
    let mut new = Mqtt::connect(&broker, V5, "new");
    for topic in ["a//b", "a/", "$SYS/x"] {
        new.publish(topic, b"1", 1, false, 2);
        let puback = new.read();
        assert_eq!((puback.kind(), puback.body[2]), ("PUBACK", reason::TOPIC_NAME));
        let words = String::from_utf8_lossy(&puback.body).into_owned();
        let expected = if topic.starts_with('$') { "broker's own" } else { "segment" };
        assert!(words.contains(expected) || words.contains("it ends with"), "{words}");
        new.publish(topic, b"1", 2, false, 2);
        assert_eq!(new.read().body[2], reason::TOPIC_NAME);
        new.publish(topic, b"1", 0, false, 0);
    }
    // The connection goes on, and a refused message of QoS 2 is not remembered.
    new.publish("a", b"1", 2, false, 2);
    assert_eq!(new.read().body, [0, 2]);
    // MQTT 3.1.1 has no word for it, and Mosquitto's clients are answered all the same.
    let mut old = Mqtt::connect(&broker, V3_1_1, "old");
    old.publish("a//b", b"1", 1, false, 2);
    assert_eq!((old.read().kind()), "PUBACK");
}

/// MQTT 5, 3.3.2.3: what a publisher says of a message goes on to who receives it.
#[test]
fn properties_are_passed_on() {
    let broker = start();
    let mut subscriber = Mqtt::connect(&broker, V5, "subscriber");
    // Subscription Identifier.
    assert_eq!(subscriber.subscribe_with("t", 1, &[11, 0x80, 1]), 1);
    let mut old = Mqtt::connect(&broker, V3_1_1, "old");
    old.subscribe("t", 1);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    let passed_on = [
        &[1, 1][..],
        &[3],
        &text("text/plain"),
        &[8],
        &text("answers"),
        &[9, 0, 2, 1, 2],
        &[38],
        &text("name"),
        &text("value"),
    ]
    .concat();
    // Message Expiry Interval.
    let all = [&[2, 0, 0, 0, 60][..], &passed_on].concat();
    publisher.publish_with("t", b"hello", (1, true, 1), &all);
    let message = subscriber.message();
    let expected = [&[2, 0, 0, 0, 60, 11, 0x80, 1][..], &passed_on].concat();
    assert_eq!(message.properties, expected);
    assert_eq!(old.plain_message(), ("t".into(), b"hello".to_vec()));
    // They are remembered with the last value, which says how long it has left.
    let mut late = Mqtt::connect(&broker, V5, "late");
    late.subscribe("t", 0);
    let message = late.message();
    assert!(message.retain);
    let (expiry, rest) = message.properties.split_at(5);
    assert!(expiry[..4] == [2, 0, 0, 0] && (30..=60).contains(&expiry[4]), "{expiry:?}");
    assert_eq!(rest, passed_on);
}

#[test]
fn an_alias_stands_for_a_topic() {
    let broker = start();
    let mut subscriber = Mqtt::connect(&broker, V5, "subscriber");
    subscriber.subscribe("#", 0);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    let alias = |number: u8| [35, 0, number];
    publisher.publish_with("long/topic", b"1", (0, false, 0), &alias(1));
    publisher.publish_with("", b"2", (0, false, 0), &alias(1));
    for payload in [b"1", b"2"] {
        assert_eq!(subscriber.plain_message(), ("long/topic".into(), payload.to_vec()));
    }
    publisher.publish_with("t", b"3", (0, false, 0), &[35, 0xff, 0xff]);
    let goodbye = publisher.read();
    assert_eq!((goodbye.kind(), goodbye.body[0]), ("DISCONNECT", reason::TOPIC_ALIAS));
}

/// MQTT 5, 3.1.2.11.4: what is longer than a client takes is not sent to it, and the rest is.
#[test]
fn a_client_gets_no_packet_that_is_too_long_for_it() {
    use crate::support::mqtt::Hello;
    let broker = start();
    // Maximum Packet Size.
    let small = Hello { properties: &[39, 0, 0, 0, 100], ..Hello::new(V5, "small") };
    let (mut subscriber, _) = Mqtt::hello(&broker, &small);
    subscriber.subscribe("t", 1);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("t", &[b'x'; 200], 1, false, 1);
    publisher.publish("t", b"short", 1, false, 2);
    assert_eq!(subscriber.plain_message().1, b"short");
}

/// A packet may come in many pieces, and many packets in one.
#[test]
fn packets_are_cut_anywhere() {
    let broker = start();
    let mut subscriber = Mqtt::connect(&broker, V3_1_1, "subscriber");
    subscriber.subscribe("t", 0);
    let mut publisher = Mqtt::connect(&broker, V3_1_1, "publisher");
    let one = packet(0x30, &[&text("t")[..], b"{\"n\":1}"].concat());
    for byte in &one {
        publisher.send(&[*byte]);
    }
    publisher.send(&one.repeat(100));
    for _ in 0..101 {
        assert_eq!(subscriber.plain_message().1, b"{\"n\":1}");
    }
}

#[test]
fn a_last_value_is_cleared_by_a_retained_message_of_no_bytes() {
    let broker = start();
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("t", b"1", 1, true, 1);
    assert_eq!(publisher.read().kind(), "PUBACK");
    assert!(broker.get_topic("t").unwrap().is_some());
    let mut subscriber = Mqtt::connect(&broker, V5, "subscriber");
    subscriber.subscribe("t", 1);
    assert!(subscriber.message().retain);
    publisher.publish("t", b"", 1, true, 2);
    assert_eq!(publisher.read().kind(), "PUBACK");
    assert!(broker.get_topic("t").unwrap().is_none());
    // Those who are there are told.
    assert_eq!(subscriber.plain_message(), ("t".into(), Vec::new()));
    // What is not retained is not remembered.
    publisher.publish("t", b"2", 1, false, 3);
    assert_eq!(publisher.read().kind(), "PUBACK");
    assert!(broker.get_topic("t").unwrap().is_none());
}

#[test]
fn what_the_broker_does_not_remember_is_not_retained() {
    let broker = start();
    let mut native = Client::connect(&broker);
    let not = [
        ("command", Str("publish")),
        ("topic", Str("t")),
        ("retain", Bool(false)),
        ("message", Raw(b"1")),
    ];
    native.command(Json, &not);
    native.flush(Json);
    let mut late = Mqtt::connect(&broker, V3_1_1, "late");
    assert_eq!(late.subscribe("#", 0), 0);
}

/// From MQTT to MQTT the bytes are the same bytes, also of a document that is kept in others.
#[test]
fn a_document_goes_as_it_came() {
    const KIND: &str = "application/xml";
    let document = b"<?xml version='1.0'?>\n<!-- seven --><order  id='7' />\n";
    let kind = [&[3][..], &text(KIND)].concat();
    for (urls, is_same) in [
        ("mqtt://127.0.0.1:0", true),
        ("mqtt://127.0.0.1:0?format=xml", true),
        ("mqtt://127.0.0.1:0?format=json", false),
    ] {
        let broker = start_with(Config::default(), urls);
        let mut subscriber = Mqtt::connect(&broker, V5, "subscriber");
        subscriber.subscribe("t", 1);
        let mut native = Client::connect(&broker);
        native.subscribe(Json, "t");
        let mut publisher = Mqtt::connect(&broker, V5, "publisher");
        publisher.publish_with("t", document, (1, true, 1), &kind);
        assert_eq!(publisher.read().body, [0, 1]);
        let mut late = Mqtt::connect(&broker, V5, "late");
        late.subscribe("t", 0);
        for mqtt in [&mut subscriber, &mut late] {
            let message = mqtt.message();
            assert_eq!(message.payload == document, is_same, "{urls}: {message:?}");
            assert_eq!(message.properties == kind, is_same, "{urls}: {message:?}");
        }
        let body = native.next().message();
        assert!(body.contains("order") && body.contains('7'), "{body}");
        // One of more than 64 KiB is written anew, and says the same.
        let long = [b"<order>", &b"x".repeat(70_000)[..], b"</order>"].concat();
        publisher.publish_with("t", &long, (1, false, 2), &kind);
        assert!(subscriber.message().payload.len() > 70_000);
    }
}
