//! Bugs that were found, each with the input that showed it.

#![cfg(all(feature = "broker", feature = "middleware"))]

use babelmq::{Format, XmlQueue};

use crate::support;

/// Judging a JSON payload did not charge for moving what stands under duplicate keys, and decoding
/// it did: an accepted message was lost to everyone who wanted it translated.
#[test]
fn what_was_judged_is_never_too_large_to_translate() {
    let broker = support::start();
    let mut consumer = XmlQueue::builder("t").address(broker.local_addr()).consumer().unwrap();
    let items = vec!["1"; 300_001].join(",");
    let message = format!("{}[{items}]{}", r#"{"a":0,"a":"#.repeat(100), "}".repeat(100));
    let mut producer = support::Client::connect(&broker);
    let publish = format!(r#"{{"command":"publish","topic":"t","message":{message}}}"#);
    producer.send_raw(&support::frame(0, publish.as_bytes()));
    let (_, value) = consumer.pull_timeout(std::time::Duration::from_secs(30)).unwrap();
    assert!(value.get("a").is_some());
    assert_eq!(broker.stats().encoding_failures, 0);
}

/// A namespace prefix was not held to be a name, and the default namespace was judged before its
/// references were read: both were passed on to consumers whose parsers (expat, for one) refuse the
/// whole document.
#[test]
fn namespaces_that_parsers_refuse_are_refused() {
    let broker = support::start();
    let mut producer = support::Client::connect(&broker);
    for declaration in ["xmlns:2a='u'", "xmlns='http://www.w3.org/2000/xmln&#115;/'"] {
        let body = format!("<f command='publish' topic='t'><message {declaration}/></f>");
        producer.send(Format::Xml, body.as_bytes());
        let answers = producer.flush(Format::Xml);
        assert_eq!(answers.len(), 1, "{declaration}");
        answers[0].refuses("malformed-xml", false);
    }
}

/// An error repeated the topic that it refused, however long it was, and what waits for a client
/// that asks and does not read was counted without it: 65,536 answers of 16 MiB.
#[test]
fn an_error_does_not_repeat_a_topic_that_is_too_long() {
    let broker = support::start();
    let mut client = support::Client::connect(&broker);
    let topic = "x".repeat(1 << 20);
    for format in support::FORMATS {
        for command in ["publish", "subscribe", "get", "fetch"] {
            let payload = support::number(format, 1);
            let fields = [
                ("command", support::Field::Str(command)),
                ("topic", support::Field::Str(&topic)),
                ("message", support::Field::Raw(&payload)),
            ];
            client.command(format, &fields);
            let error = client.next();
            assert!(error.body.len() < 1_000, "{format} {command}: {} bytes", error.body.len());
            assert_eq!(error.fields().get("topic"), None, "{format} {command}");
        }
    }
}

/// The reason of a refusal repeated a name that is not closed, however long it was.
#[test]
fn a_reason_is_brief_whatever_it_is_about() {
    let broker = support::start();
    let mut client = support::Client::connect(&broker);
    let name = "a".repeat(1 << 20);
    for body in [format!("<f><{name}></f>"), format!("<{name}></f>"), format!("<f></{name}>")] {
        client.send(babelmq::Format::Xml, body.as_bytes());
        let error = client.next();
        error.refuses("malformed-xml", false);
        assert!(error.body.len() < 2_000, "{} bytes", error.body.len());
    }
}

/// An attribute that means nothing to the broker on an element with a `type` was passed on without
/// a look at its references.
#[test]
fn references_in_attributes_that_nobody_reads_are_judged() {
    let broker = support::start();
    let mut producer = support::Client::connect(&broker);
    for (value, code) in
        [("&en", "malformed-xml"), ("&en;", "forbidden-xml"), ("&#0;", "malformed-xml")]
    {
        let message = format!("<message type='int' xml:lang='{value}'>5</message>");
        let body = format!("<f command='publish' topic='t'>{message}</f>");
        producer.send(Format::Xml, body.as_bytes());
        let answers = producer.flush(Format::Xml);
        assert_eq!(answers.len(), 1, "{value}");
        answers[0].refuses(code, false);
    }
}

/// A connection that was cut off while many values were read for it was told that those were all.
#[test]
fn an_answer_that_is_cut_off_does_not_pass_for_a_whole_one() {
    let broker = support::start();
    let mut producer = support::Client::connect(&broker);
    let many = 50_000;
    for topic in 0..many {
        producer.publish(Format::Json, &format!("t/{topic}"), b"1");
    }
    producer.flush(Format::Json);
    for command in ["subscribe", "list"] {
        let mut client = support::Client::connect(&broker);
        let body = format!(r#"{{"command":"{command}","topic":"t"}}"#);
        // No frame begins with a 9.
        client.send_raw(&[support::frame(0, body.as_bytes()), vec![9]].concat());
        let mut values = 0;
        let last = loop {
            let frame = client.next();
            if frame.field("command") != "publish" {
                break frame;
            }
            values += 1;
        };
        assert!(values < many, "{command}: nothing was cut off");
        last.refuses("unknown-format", true);
        client.ends();
    }
}

/// Lists of `times` references to the list before, `levels` of them, around a text of 1,000 control
/// characters.
fn references(levels: u8, times: usize) -> Vec<u8> {
    let text = [&b"X\xe8\x03\0\0"[..], &[1; 1_000], b"q\0"].concat();
    let level =
        |number: u8| [b"](", &[b'h', number].repeat(times)[..], b"eq", &[number + 1]].concat();
    // All but the last are gathered in a tuple that nobody keeps.
    let inside: Vec<u8> = (0..levels).flat_map(level).collect();
    [b"(", &text[..], &inside, b"h", &[levels], b"1h", &[levels]].concat()
}

/// 1.3 KB that share references were 1.4 GB of JSON for each `get`: four clients held 7.2 GB.
#[test]
fn what_repeats_itself_beyond_its_length_is_refused() {
    let broker = support::start();
    let mut client = support::Client::connect(&broker);
    let pickle = references(4, 22);
    assert!(pickle.len() < 1_300);
    client.publish(Format::Pickle, "t", &pickle);
    client.next().refuses("too-large", false);
    // 362 bytes that decoded to the whole budget, times connections.
    let mut short = [b"(](", &b"N".repeat(147)[..], b"eq\x01"].concat();
    for level in 2..9 {
        short.extend([b"](", &[b'h', level - 1].repeat(12)[..], b"eq", &[level]].concat());
    }
    short.extend(b"h\x081h\x08");
    client.publish(Format::Pickle, "t", &short);
    client.next().refuses("too-large", false);
    assert!(broker.list_topics().is_empty());
}

/// What was stored and no client with the usual limit could read kept every consumer of a parent
/// topic from being made.
#[test]
fn what_no_client_could_read_is_refused() {
    let publish = |payload: &[u8]| {
        let padding = [b"X\x07\0\0\0paddingX\x70\x17\0\0", &[b'x'; 6_000][..]].concat();
        let head =
            b"X\x07\0\0\0commandX\x07\0\0\0publishX\x05\0\0\0topicX\x01\0\0\0tX\x07\0\0\0message";
        [b"}(", &padding[..], head, payload, b"u."].concat()
    };
    let broker = support::start();
    let mut client = support::Client::connect(&broker);
    client.send(Format::Pickle, &publish(&references(3, 23)));
    let refusal = client.next();
    refusal.refuses("too-large", false);
    let reason = refusal.field("reason");
    assert!(
        reason.contains("as JSON the message would be a frame of 73")
            && reason.contains("--max-encoded"),
        "{reason}"
    );
    assert_eq!(broker.get_topic("t"), Ok(None));
    // The same value from the program that the broker is part of, and one that is not too long.
    let text = babelmq::Value::Str("\u{1}".repeat(12_000_000));
    let refused = broker.put_topic("t", &text).unwrap_err();
    assert_eq!(refused.code, babelmq::ErrorCode::TooLarge, "{refused}");
    client.send(Format::Pickle, &publish(&references(3, 12)));
    let mut consumer = XmlQueue::builder("t").address(broker.local_addr()).consumer().unwrap();
    assert!(consumer.pull_timeout(std::time::Duration::from_secs(30)).is_ok());
}

/// A name that only the fifth edition of XML 1.0 allows was passed on, and expat, which reads by
/// the fourth, refused the whole delivery.
#[test]
fn names_that_not_every_parser_takes_are_written_anew() {
    let broker = support::start();
    let mut producer = support::Client::connect(&broker);
    let mut consumer = support::Client::connect(&broker);
    consumer.subscribe(Format::Xml, "t");
    for (message, delivered) in [
        (
            "<message><egg\u{17f}/></message>",
            "<message type=\"dict\"><item key=\"egg\u{17f}\" type=\"null\"></item></message>",
        ),
        (
            "<message \u{17f}='1'/>",
            "<message type=\"dict\"><item key=\"@\u{17f}\" type=\"str\">1</item></message>",
        ),
        ("<message type='int'><?\u{17f}?>5</message>", "<message type=\"int\">5</message>"),
        ("<message><Stra\u{df}e/></message>", "<message><Stra\u{df}e/></message>"),
    ] {
        let body = format!("<f command='publish' topic='t'>{message}</f>");
        producer.send(Format::Xml, body.as_bytes());
        let body = String::from_utf8(consumer.next().body).unwrap();
        assert!(body.contains(delivered), "{body}");
    }
}

/// Python's `json.loads` takes bytes with a byte order mark; consumers of text do not.
#[test]
fn a_byte_order_mark_is_passed_over_and_not_passed_on() {
    let broker = support::start();
    let mut client = support::Client::connect(&broker);
    client.subscribe(Format::Json, "t");
    for number in 0..3 {
        let body =
            format!("\u{feff}{{\"command\":\"publish\",\"topic\":\"t\",\"message\":{number}}}");
        client.send(Format::Json, body.as_bytes());
        let body = String::from_utf8(client.next().body).unwrap();
        assert_eq!(body, format!(r#"{{"command":"publish","topic":"t","message":{number}}}"#));
    }
    let message = babelmq::Message::parse(Format::Json, b"\xef\xbb\xbf [1] ").unwrap();
    assert_eq!(message.bytes(), b"[1]");
}
