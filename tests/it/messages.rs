//! Every command and its answer, in every format.
#![cfg(all(feature = "broker", feature = "middleware"))]

use babelmq::Format::{self, Json, Pickle, Xml};

use crate::support::Field::{Bool, Int, Raw, Str};
use crate::support::{Client, FORMATS, Frame, number, start};

fn topics_of(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(|frame| frame.field("topic")).collect()
}

/// Sends a command with a topic.
fn ask(client: &mut Client, format: Format, command: &str, topic: &str) -> Frame {
    client.command(format, &[("command", Str(command)), ("topic", Str(topic))]);
    client.next()
}

fn listed(client: &mut Client, format: Format, topic: Option<&str>) -> Vec<String> {
    match topic {
        Some(topic) => client.command(format, &[("command", Str("list")), ("topic", Str(topic))]),
        None => client.command(format, &[("command", Str("list"))]),
    }
    let reply = client.next();
    assert_eq!((reply.format, reply.field("command").as_str()), (format, "topics"));
    let topics = reply.field("topics");
    match format {
        Json => serde_json::from_str(&topics).unwrap(),
        Xml => topics.split(',').filter(|topic| !topic.is_empty()).map(str::to_owned).collect(),
        // A list of strings is spelled alike in JSON and by `repr` here.
        Pickle => serde_json::from_str(&topics).unwrap(),
    }
}

#[test]
fn ping_gives_its_id_back_in_the_format_of_the_ping() {
    let broker = start();
    let mut client = Client::connect(&broker);
    for format in FORMATS {
        for (id, expected) in [
            (None, None),
            (Some(Str("a<\"&>b €")), Some("a<\"&>b €")),
            (Some(Int(-5)), Some("-5")),
            (Some(Int(i64::MAX)), Some("9223372036854775807")),
            (Some(Str("")), Some("")),
        ] {
            let fields: Vec<_> =
                [("command", Str("ping"))].into_iter().chain(id.map(|id| ("id", id))).collect();
            client.command(format, &fields);
            let pong = client.next();
            assert_eq!(pong.format, format);
            let expected: Vec<_> =
                [("command", "pong")].into_iter().chain(expected.map(|id| ("id", id))).collect();
            pong.says(&expected);
        }
    }
    // An integer comes back as an integer and a string as a string.
    client.send(Json, br#"{"command":"ping","id":"7"}"#);
    assert_eq!(client.next().text(), r#"{"command":"pong","id":"7"}"#);
    client.send(Json, br#"{"command":"ping","id":7}"#);
    assert_eq!(client.next().text(), r#"{"command":"pong","id":7}"#);
}

#[test]
fn subscribe_gives_stored_values_marked_and_counted_then_what_is_live() {
    let broker = start();
    for format in FORMATS {
        let topic = format!("/{format}");
        let mut producer = Client::connect(&broker);
        for (place, last) in [("b", 1), ("a", 2), ("b", 3)] {
            producer.publish(format, &format!("{topic}/{place}"), &number(format, last));
        }
        producer.flush(format);
        let mut consumer = Client::connect(&broker);
        let stored = consumer.subscribe(format, &topic);
        let truth = if format == Pickle { "True" } else { "true" };
        for (frame, place, value) in [(&stored[0], "a", 2), (&stored[1], "b", 3)] {
            let topic = format!("{topic}/{place}");
            frame.says(&[("command", "publish"), ("topic", &topic), ("retained", truth)]);
            assert_eq!((frame.format, frame.number()), (format, value));
        }
        assert_eq!(stored.len(), 2);
        producer.publish(format, &format!("{topic}/b"), &number(format, 4));
        let live = consumer.next();
        live.says(&[("command", "publish"), ("topic", &format!("{topic}/b"))]);
        assert_eq!(live.number(), 4);
        consumer.is_quiet();
    }
}

#[test]
fn what_is_not_retained_is_delivered_and_not_stored() {
    let broker = start();
    let mut client = Client::connect(&broker);
    for format in FORMATS {
        let topic = format!("/{format}");
        client.subscribe(format, &topic);
        client.publish(format, &topic, &number(format, 1));
        let passing = number(format, 2);
        client.command(
            format,
            &[
                ("command", Str("publish")),
                ("topic", Str(&topic)),
                ("retain", Bool(false)),
                ("message", Raw(&passing)),
            ],
        );
        let delivered = client.flush(format);
        assert_eq!(delivered.iter().map(Frame::number).collect::<Vec<_>>(), [1, 2], "{format}");
        assert_eq!(ask(&mut client, format, "get", &topic).number(), 1, "{format}");
        let retained: Vec<_> =
            Client::connect(&broker).subscribe(format, &topic).iter().map(Frame::number).collect();
        assert_eq!(retained, [1]);
    }
}

#[test]
fn get_list_and_clear_are_about_stored_values() {
    let broker = start();
    let mut client = Client::connect(&broker);
    for format in FORMATS {
        assert_eq!(listed(&mut client, format, None), [""; 0]);
        for topic in ["b/é&<", "a", "/z", "b", "b/a", "B", "bb"] {
            client.publish(format, topic, &number(format, 7));
        }
        // Known, and without a value.
        client.subscribe(format, "/known");
        assert_eq!(listed(&mut client, format, None), ["/z", "B", "a", "b", "b/a", "b/é&<", "bb"]);
        assert_eq!(listed(&mut client, format, Some("b")), ["b", "b/a", "b/é&<"]);
        assert_eq!(listed(&mut client, format, Some("/")), ["/z"]);
        assert_eq!(listed(&mut client, format, Some("+/a")), ["b/a"]);
        assert_eq!(listed(&mut client, format, Some("/nothing")), [""; 0]);

        let value = ask(&mut client, format, "get", "b/é&<");
        value.says(&[("command", "value"), ("topic", "b/é&<")]);
        assert_eq!((value.format, value.number()), (format, 7));
        // Its ancestor `get` does not see the subtree, and no `message` means no value.
        let none = ask(&mut client, format, "get", "b/é&</x");
        none.says(&[("command", "value"), ("topic", "b/é&</x")]);
        assert_eq!(none.try_message(), None);

        // `clear` forgets one topic and is not answered.
        client.command(format, &[("command", Str("clear")), ("topic", Str("b"))]);
        client.command(format, &[("command", Str("clear")), ("topic", Str("/never"))]);
        client.is_quiet();
        assert_eq!(ask(&mut client, format, "get", "b").try_message(), None);
        assert_eq!(listed(&mut client, format, Some("b")), ["b/a", "b/é&<"]);
        assert_eq!(topics_of(&Client::connect(&broker).subscribe(format, "b")), ["b/é&<", "b/a"]);
        for topic in ["b/é&<", "a", "/z", "b/a", "B", "bb"] {
            client.command(format, &[("command", Str("clear")), ("topic", Str(topic))]);
        }
        client.command(format, &[("command", Str("cancel")), ("topic", Str("/known"))]);
        client.next().says(&[("command", "cancelled"), ("topic", "/known")]);
    }
}

#[test]
fn a_stored_null_is_a_value() {
    let broker = start();
    let mut client = Client::connect(&broker);
    client.publish(Json, "n", b"null");
    assert_eq!(ask(&mut client, Json, "get", "n").try_message().as_deref(), Some("null"));
    assert_eq!(ask(&mut client, Xml, "get", "n").message(), r#"<message type="null"></message>"#);
    assert_eq!(ask(&mut client, Pickle, "get", "n").message(), "None");
    assert_eq!(listed(&mut client, Json, None), ["n"]);
}

#[test]
fn after_cancelled_nothing_comes() {
    let broker = start();
    let mut producer = Client::connect(&broker);
    for format in FORMATS {
        let mut consumer = Client::connect(&broker);
        consumer.subscribe(format, "/t");
        consumer.subscribe(format, "/u");
        producer.publish(Json, "/t/a", b"1");
        producer.flush(Json);
        consumer.command(format, &[("command", Str("cancel")), ("topic", Str("/t"))]);
        assert_eq!(consumer.next().number(), 1);
        let cancelled = consumer.next();
        assert_eq!(cancelled.format, format);
        cancelled.says(&[("command", "cancelled"), ("topic", "/t")]);
        producer.publish(Json, "/t/a", b"2");
        producer.publish(Json, "/u", b"3");
        producer.flush(Json);
        let after: Vec<_> = consumer.flush(format).iter().map(Frame::number).collect();
        assert_eq!(after, [3], "the other subscription goes on");
        // What there is not can be cancelled as well.
        ask(&mut consumer, format, "cancel", "/t")
            .says(&[("command", "cancelled"), ("topic", "/t")]);
        for topic in ["/t/a", "/u"] {
            producer.command(Json, &[("command", Str("clear")), ("topic", Str(topic))]);
        }
        producer.flush(Json);
    }
}

#[test]
fn unknown_fields_are_ignored_in_every_command() {
    let broker = start();
    let mut client = Client::connect(&broker);
    for format in FORMATS {
        for (command, answer) in [
            ("subscribe", "subscribed"),
            ("get", "value"),
            ("list", "topics"),
            ("ping", "pong"),
            ("cancel", "cancelled"),
        ] {
            client.command(
                format,
                &[
                    ("x", Int(1)),
                    ("command", Str(command)),
                    ("topic", Str("t")),
                    ("values", Str("2")),
                ],
            );
            assert_eq!(client.next().field("command"), answer, "{format}");
        }
    }
}

#[test]
fn one_connection_mixes_formats_and_a_subscription_keeps_its_own() {
    let broker = start();
    let mut client = Client::connect(&broker);
    for (format, topic) in [(Json, "j"), (Xml, "x"), (Pickle, "p")] {
        client.subscribe(format, topic);
    }
    for format in FORMATS {
        for topic in ["j", "x", "p"] {
            client.publish(format, topic, &number(format, 5));
        }
        let delivered = client.flush(format);
        let mut formats: Vec<_> =
            delivered.iter().map(|frame| (frame.format, frame.field("topic"))).collect();
        // Order is a promise for each topic, not among them.
        formats.sort();
        let expected = [(Json, "j".to_owned()), (Xml, "x".to_owned()), (Pickle, "p".to_owned())];
        assert_eq!(formats, expected, "published in {format} by the subscriber itself");
        assert!(delivered.iter().all(|frame| frame.number() == 5));
    }
}

#[test]
fn fields_of_xml_may_be_elements_and_the_root_any_name() {
    let broker = start();
    let mut client = Client::connect(&broker);
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- x --><anything>\n \
    <command>publish</command>\
                <topic>/t</topic>\n<retain type=\"bool\">true</retain><message \
                type=\"int\">5</message></anything>\n";
    client.subscribe(Xml, "/t");
    client.send(Xml, body.as_bytes());
    client.next().says(&[("command", "publish"), ("topic", "/t")]);
    client.send(Xml, b"<get command=\"publish\" topic=\"/t\" message=\"text\"/>");
    assert_eq!(client.next().message(), r#"<message type="str">text</message>"#);
    client.is_quiet();
}

#[test]
fn subscribing_again_replaces_and_gives_the_stored_values_again() {
    let broker = start();
    let mut client = Client::connect(&broker);
    client.publish(Json, "t/a", br#"{"$tuple":[]}"#);
    for (format, exact, expected) in [
        (Json, true, r#"{"$tuple":[]}"#),
        (Xml, false, r#"<message type="tuple"></message>"#),
        (Pickle, false, "()"),
        (Xml, false, r#"<message type="tuple"></message>"#),
    ] {
        let stored = client.subscribe_with(format, "t", &[("exact", Bool(exact))]);
        assert_eq!(stored.iter().map(Frame::message).collect::<Vec<_>>(), [expected]);
        client.publish(Pickle, "t/a", b")");
        let live = client.flush(Json);
        assert_eq!(
            live.iter().map(Frame::message).collect::<Vec<_>>(),
            [expected],
            "once, in {format}"
        );
    }
    // `t/#` means the same as `t`.
    assert_eq!(client.subscribe(Json, "t/#").len(), 1);
    client.publish(Json, "t", b"1");
    assert_eq!(client.flush(Json).len(), 1);
    ask(&mut client, Json, "cancel", "t").says(&[("command", "cancelled"), ("topic", "t")]);
    client.publish(Json, "t", b"2");
    client.is_quiet();
}

#[test]
fn overlapping_subscriptions_deliver_once() {
    let broker = start();
    let mut client = Client::connect(&broker);
    for filter in ["#", "/", "/a", "/a/b", "/+/b", "/a/#"] {
        client.subscribe(Json, filter);
    }
    client.publish(Json, "/a/b", b"1");
    client.publish(Json, "c", b"2");
    let numbers: Vec<_> = client.flush(Json).iter().map(Frame::number).collect();
    assert_eq!(numbers, [1, 2]);
    // Without one of them the others still deliver.
    ask(&mut client, Json, "cancel", "/a/b");
    client.publish(Json, "/a/b", b"3");
    assert_eq!(client.flush(Json).len(), 1);
}

#[test]
fn a_subscriber_receives_the_topics_that_its_filter_matches() {
    let broker = start();
    let mut producer = Client::connect(&broker);
    let topics = [
        "/weather",
        "/weather/temperature/celsius",
        "/weather2",
        "/wea",
        "weather",
        "/a/b",
        "/a/c/b",
    ];
    let mut check = |filter: &str, expected: &[&str]| {
        let mut live = Client::connect(&broker);
        live.subscribe(Xml, filter);
        for topic in topics {
            producer.publish(Json, topic, b"1");
        }
        producer.flush(Json);
        assert_eq!(topics_of(&live.flush(Xml)), expected, "{filter} live");
        assert_eq!(
            topics_of(&Client::connect(&broker).subscribe(Pickle, filter)),
            expected,
            "{filter} stored"
        );
        for topic in topics {
            producer.command(Json, &[("command", Str("clear")), ("topic", Str(topic))]);
        }
        producer.flush(Json);
    };
    check("/weather", &["/weather", "/weather/temperature/celsius"]);
    check("/we", &[]);
    check("/weather/temperature", &["/weather/temperature/celsius"]);
    check("weather", &["weather"]);
    check(
        "/",
        &["/weather", "/weather/temperature/celsius", "/weather2", "/wea", "/a/b", "/a/c/b"],
    );
    check(
        "/#",
        &["/weather", "/weather/temperature/celsius", "/weather2", "/wea", "/a/b", "/a/c/b"],
    );
    check("#", &topics);
    check("+", &topics);
    check(
        "/+",
        &["/weather", "/weather/temperature/celsius", "/weather2", "/wea", "/a/b", "/a/c/b"],
    );
    check("/+/b", &["/a/b"]);
    check("/a/+/b", &["/a/c/b"]);
    check("/a/#", &["/a/b", "/a/c/b"]);
    check("/+/+/#", &["/weather/temperature/celsius", "/a/b", "/a/c/b"]);
}

/// The topic is not one of XML's characters, and must not become another topic on its way.
#[test]
fn regression_a_topic_that_no_xml_attribute_can_carry_stays_the_same() {
    let broker = start();
    let mut client = Client::connect(&broker);
    client.subscribe(Xml, "#");
    client.publish(Json, "t\u{ffff}", b"1");
    let delivered = client.flush(Json);
    // Either it is refused, or it arrives as it was spelled.
    let [frame] = &delivered[..] else { panic!("{} frames", delivered.len()) };
    if frame.field("command") == "error" {
        frame.refuses("invalid-topic", false);
    } else {
        let element = "<topic type=\"str\" encoding=\"base64\">dO+/vw==</topic>";
        assert!(frame.text().contains(element), "{}", frame.text());
    }
}
