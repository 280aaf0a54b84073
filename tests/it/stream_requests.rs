//! What clients ask of streams is understood alike in every format, and what makes no sense is
//! refused by the name of its field.
#![cfg(all(feature = "broker", feature = "middleware"))]

use babelmq::Format::{self, Json, Pickle, Xml};
use babelmq::codec::{ControlRequest, Document, Request, read_request};
use babelmq::{Limits, Refusal};

use crate::support::Field::{self, Int, Raw, Str};
use crate::support::{Client, FORMATS, body, number, publish, start};

/// A request, read; in words.
fn read(format: Format, fields: &[(&str, Field<'_>)]) -> Result<String, Refusal> {
    let body = body(format, fields);
    let limits = Limits::default();
    let mut document = Document::new();
    Ok(match read_request(&body, format, 0..body.len(), &mut document, &limits)? {
        Request::Publish { id, .. } => format!("{id:?}"),
        Request::Control(ControlRequest::Subscribe { durable, .. }) => format!("{durable:?}"),
        Request::Control(ControlRequest::Get { last, .. }) => format!("{last:?}"),
        Request::Control(ControlRequest::Settle { stream, consumer, what }) => {
            format!("{stream:?} {consumer:?} {what:?}")
        }
        Request::Control(ControlRequest::Admin(request)) => format!("{request:?}"),
        other => format!("{other:?}"),
    })
}

/// A number with a fraction, as each format spells it.
fn float(format: Format, text: &str) -> Vec<u8> {
    match format {
        Json => text.into(),
        Xml => format!("<delay>{text}</delay>").into(),
        Pickle => format!("F{text}\n").into(),
    }
}

/// A list of 1 and 0.5, as the field `backoff`.
fn pauses(format: Format) -> &'static [u8] {
    match format {
        Json => b"[1, 5e-1]",
        Xml => b"<backoff type=\"list\"><item>1</item><item type=\"float\">0.5</item></backoff>",
        Pickle => b"](K\x01F0.5\ne",
    }
}

#[test]
fn what_is_said_is_understood_in_every_format() {
    let (consumer, stream) = (("consumer", Str("billing")), ("stream", Str("orders")));
    for format in FORMATS {
        let half = float(format, "0.5");
        let one = number(format, 1);
        let of = |word| ("command", Str(word));
        let table: &[(&[(&str, Field<'_>)], &str)] = &[
            (
                &[
                    of("subscribe"),
                    ("topic", Str("/orders")),
                    consumer,
                    stream,
                    ("start", Int(7)),
                    ("window", Int(16)),
                    ("ack-wait", Int(2)),
                    ("max-deliver", Int(3)),
                    ("backoff", Raw(pauses(format))),
                    ("order", Str("topic")),
                ],
                "Some(DurableRequest { consumer: Some(\"billing\"), stream: Some(\"orders\"), \
                 start: Some(Seq(7)), window: Some(16), ack_wait: Some(2s), max_deliver: Some(3), \
                 backoff: Some([1s, 500ms]), order: Some(Topic) })",
            ),
            (
                &[of("subscribe"), ("topic", Str("/orders")), ("start", Str("1970-01-01T00:01Z"))],
                "Some(DurableRequest { consumer: None, stream: None, start: Some(Time(60000)), \
                 window: None, ack_wait: None, max_deliver: None, backoff: None, order: None })",
            ),
            // Fields that are another command's mean nothing.
            (&[of("subscribe"), ("topic", Str("a")), ("seq", Int(1))], "None"),
            (&[of("get"), ("topic", Str("a")), ("last", Int(10_000))], "Some(10000)"),
            (&[of("get"), ("topic", Str("a"))], "None"),
            (
                &[of("publish"), ("topic", Str("a")), ("message", Raw(&one)), ("id", Str("é"))],
                "Some(\"é\")",
            ),
            (&[of("ack"), ("seq", Int(i64::MAX))], "None None Ack { seq: 9223372036854775807 }"),
            (
                &[of("ack"), ("upto", Int(5)), consumer, stream],
                "Some(\"orders\") Some(\"billing\") AckUpto { seq: 5 }",
            ),
            (&[of("nak"), ("seq", Int(5))], "None None Nak { seq: 5, delay: None }"),
            (
                &[of("nak"), ("seq", Int(5)), ("delay", Raw(&half))],
                "None None Nak { seq: 5, delay: Some(500ms) }",
            ),
            (
                &[of("nak"), ("seq", Int(5)), ("delay", Int(0))],
                "None None Nak { seq: 5, delay: Some(0ns) }",
            ),
            (&[of("touch"), ("seq", Int(5))], "None None Touch { seq: 5 }"),
            (
                &[of("reject"), ("seq", Int(5)), ("reason", Str("no"))],
                "None None Reject { seq: 5, reason: \"no\" }",
            ),
            (&[of("streams"), stream], "Streams"),
            (&[of("consumers")], "Consumers { stream: None }"),
            (&[of("consumers"), stream], "Consumers { stream: Some(\"orders\") }"),
            (
                &[of("add-stream"), stream, ("topic", Str("/orders/#"))],
                "AddStream { stream: \"orders\", filter: \"/orders/#\", age: None, \
                 bytes: None, messages: None, full: None }",
            ),
            (
                &[
                    of("add-stream"),
                    stream,
                    ("topic", Str("a")),
                    ("age", Int(60)),
                    ("bytes", Int(1 << 40)),
                    ("messages", Int(1)),
                    ("full", Str("refuse")),
                ],
                "AddStream { stream: \"orders\", filter: \"a\", age: Some(60s), \
                 bytes: Some(1099511627776), messages: Some(1), full: Some(Refuse) }",
            ),
            (&[of("remove-stream"), stream], "RemoveStream { stream: \"orders\" }"),
            (
                &[of("reset-consumer"), stream, consumer, ("start", Str("last"))],
                "ResetConsumer { stream: \"orders\", consumer: \"billing\", start: Last }",
            ),
            (
                &[of("remove-consumer"), stream, consumer],
                "RemoveConsumer { stream: \"orders\", consumer: \"billing\" }",
            ),
            (
                &[of("retry"), stream, consumer, ("seq", Int(5))],
                "Retry { stream: \"orders\", consumer: \"billing\", seq: 5 }",
            ),
            (&[of("delete"), stream, ("seq", Int(5))], "Delete { stream: \"orders\", seq: 5 }"),
        ];
        for (fields, expected) in table {
            assert_eq!(read(format, fields).as_deref(), Ok(*expected), "{format}");
        }
    }
}

/// Wherever a consumer may begin.
#[test]
fn every_start_is_understood() {
    for format in FORMATS {
        let start = |field: Field<'_>| {
            let fields = [("command", Str("reset-consumer")), ("start", field)];
            let names = [("stream", Str("s")), ("consumer", Str("c"))];
            read(format, &[&fields[..], &names].concat())
        };
        for (text, expected) in [
            ("new", "New"),
            ("all", "All"),
            ("last", "Last"),
            ("2026-11-29T17:00:00Z", "Time(1795971600000)"),
            ("2026-11-29T18:00:00.1239+01:00", "Time(1795971600123)"),
            ("2026-11-29t11:30:00-05:30", "Time(1795971600000)"),
            ("1969-12-31T23:59:59Z", "Time(0)"),
        ] {
            let said = start(Str(text)).unwrap();
            assert!(said.ends_with(&format!("start: {expected} }}")), "{format} {text}: {said}");
        }
        for text in
            ["", "now", "2026-11-29", "2026-11-29T17:00:00", "2026-11-31T00:00:00Z", "0", "-1"]
        {
            let refusal = start(Str(text)).unwrap_err();
            assert_eq!(refusal.code.as_str(), "invalid-field", "{format} {text:?}");
            let shown =
                if format == Xml && text == "0" { "it is \"0\"" } else { &format!("{text:?}") };
            assert!(refusal.reason.ends_with(shown), "{format}: {}", refusal.reason);
        }
        assert!(start(Int(0)).is_err() && start(Int(1)).is_ok(), "{format}");
    }
    // What `pickle.dumps(datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc))` calls.
    let element = b"<start type=\"datetime\">1970-01-01T00:00:01+00:00</start>";
    let fields = [("command", Str("subscribe")), ("topic", Str("a")), ("start", Raw(element))];
    assert!(read(Xml, &fields).unwrap().contains("start: Some(Time(1000))"));
    let naive = b"<start type=\"datetime\">1970-01-01T00:00:01</start>";
    let fields = [("command", Str("subscribe")), ("topic", Str("a")), ("start", Raw(naive))];
    assert!(read(Xml, &fields).unwrap_err().reason.contains("with its offset"));
}

#[test]
fn wrong_fields_are_refused_by_name() {
    let (consumer, stream) = (("consumer", Str("c")), ("stream", Str("s")));
    let topic = ("topic", Str("/t"));
    let long = "x".repeat(129);
    for format in FORMATS {
        let broker = start();
        let mut client = Client::connect(&broker);
        let one = number(format, 2);
        let message = ("message", Raw(&one));
        let of = |word| ("command", Str(word));
        let empty: &[u8] = match format {
            Json => b"[]",
            Xml => b"<backoff type=\"list\"/>",
            Pickle => b"]",
        };
        let words: &[u8] = match format {
            Json => br#"["soon"]"#,
            Xml => b"<backoff type=\"list\"><item>soon</item></backoff>",
            Pickle => b"](X\x04\x00\x00\x00soone",
        };
        let negative: &[u8] = match format {
            Json => b"[-0.1]",
            Xml => b"<backoff type=\"list\"><item>-0.1</item></backoff>",
            Pickle => b"](F-0.1\ne",
        };
        let many = match format {
            Json => format!("[{}0]", "0,".repeat(32)).into_bytes(),
            Xml => format!("<backoff type='list'>{}</backoff>", "<item>0</item>".repeat(33)).into(),
            Pickle => [b"](", &b"K\0".repeat(33)[..], b"e"].concat(),
        };
        let subscribe = |more: &[(&'static str, Field<'_>)]| {
            body(format, &[&[of("subscribe"), topic, consumer], more].concat())
        };
        let just = |fields: &[(&str, Field<'_>)]| body(format, fields);
        let table: &[(Vec<u8>, &str, &str)] = &[
            (subscribe(&[("start", Str("never"))]), "invalid-field", "start"),
            (subscribe(&[("window", Int(0))]), "invalid-field", "window"),
            (subscribe(&[("window", Int(65_537))]), "invalid-field", "from 1 to 65536"),
            (subscribe(&[("ack-wait", Int(0))]), "invalid-field", "ack-wait"),
            (subscribe(&[("ack-wait", Int(31_536_001))]), "invalid-field", "ack-wait"),
            (subscribe(&[("ack-wait", Str("nan"))]), "invalid-field", "ack-wait"),
            (subscribe(&[("max-deliver", Int(0))]), "invalid-field", "max-deliver"),
            (subscribe(&[("backoff", Int(1))]), "invalid-field", "backoff"),
            (subscribe(&[("backoff", Raw(empty))]), "invalid-field", "an empty list"),
            (subscribe(&[("backoff", Raw(words))]), "invalid-field", "\"soon\""),
            (subscribe(&[("backoff", Raw(negative))]), "invalid-field", "-0.1"),
            (subscribe(&[("backoff", Raw(&many))]), "invalid-field", "a longer list"),
            (subscribe(&[("order", Str("all"))]), "invalid-field", "none, topic"),
            (subscribe(&[("stream", Str("a b"))]), "invalid-field", "stream"),
            (
                just(&[of("subscribe"), topic, ("consumer", Str("../x"))]),
                "invalid-field",
                "consumer",
            ),
            (just(&[of("subscribe"), topic, ("window", Int(1))]), "missing-field", "consumer"),
            (just(&[of("subscribe"), topic, stream]), "missing-field", "start"),
            (just(&[of("get"), topic, ("last", Int(0))]), "invalid-field", "last"),
            (just(&[of("get"), topic, ("last", Int(10_001))]), "invalid-field", "last"),
            (just(&[of("publish"), topic, message, ("id", Str(""))]), "invalid-field", "id"),
            (just(&[of("publish"), topic, message, ("id", Str(&long))]), "invalid-field", "id"),
            (just(&[of("ack")]), "missing-field", "seq"),
            (just(&[of("ack"), ("seq", Int(0))]), "invalid-field", "seq"),
            (just(&[of("ack"), ("seq", Int(-5))]), "invalid-field", "it is"),
            (just(&[of("ack"), ("seq", Int(5)), ("upto", Int(5))]), "invalid-field", "not both"),
            (just(&[of("ack"), ("seq", Int(5)), ("stream", Str("/"))]), "invalid-field", "stream"),
            (just(&[of("nak"), ("seq", Int(1)), ("delay", Int(-1))]), "invalid-field", "delay"),
            (just(&[of("nak"), ("upto", Int(1))]), "missing-field", "seq"),
            (just(&[of("touch")]), "missing-field", "seq"),
            (just(&[of("reject")]), "missing-field", "seq"),
            (just(&[of("add-stream"), topic]), "missing-field", "stream"),
            (just(&[of("add-stream"), stream]), "missing-field", "topic"),
            (just(&[of("add-stream"), stream, ("topic", Str("a/#/b"))]), "invalid-topic", "#"),
            (just(&[of("add-stream"), stream, topic, ("age", Int(0))]), "invalid-field", "age"),
            (just(&[of("add-stream"), stream, topic, ("bytes", Int(0))]), "invalid-field", "bytes"),
            (
                just(&[of("add-stream"), stream, topic, ("full", Str("block"))]),
                "invalid-field",
                "drop-oldest, refuse",
            ),
            (just(&[of("remove-stream")]), "missing-field", "stream"),
            (just(&[of("reset-consumer"), stream, consumer]), "missing-field", "start"),
            (just(&[of("remove-consumer"), stream]), "missing-field", "consumer"),
            (just(&[of("retry"), stream, consumer]), "missing-field", "seq"),
            (just(&[of("delete"), stream]), "missing-field", "seq"),
        ];
        for (body, code, named) in table {
            client.send(format, body);
            let answer = client.next();
            let shown = format!("{format} {}: {:?}", body.escape_ascii(), answer.fields());
            assert_eq!(answer.format, format, "{shown}");
            answer.refuses(code, false);
            assert!(answer.field("reason").contains(named), "{shown}");
        }
        // Attributes of XML are found to be given twice by their name alone.
        let twice = just(&[of("ack"), ("seq", Int(1)), ("seq", Int(1))]);
        client.send(format, &twice);
        client.next().refuses("duplicate-field", false);
        client.is_quiet();
        if format != Xml {
            let text = just(&[of("ack"), ("seq", Str("5"))]);
            client.send(format, &text);
            client.next().refuses("invalid-field", false);
        }
        let fraction = float(format, "1.5");
        if format != Xml {
            client.send(format, &just(&[of("ack"), ("seq", Raw(&fraction))]));
            client.next().refuses("invalid-field", false);
        }
        assert_eq!(broker.list_topics().len(), 0, "nothing of it is stored");
    }
}

/// What is said of a long name, or of a long reason, is short.
#[test]
fn what_is_long_is_cut() {
    let broker = start();
    let mut client = Client::connect(&broker);
    let long = "x".repeat(100_000);
    for format in FORMATS {
        let fields = [("command", Str("ack")), ("seq", Int(1)), ("consumer", Str(&long))];
        client.command(format, &fields);
        let answer = client.next();
        answer.refuses("invalid-field", false);
        assert!(answer.field("reason").len() < 500, "{format}");
        let reason = "é".repeat(1_000);
        let fields = [("command", Str("reject")), ("seq", Int(1)), ("reason", Str(&reason))];
        let said = read(format, &fields).unwrap();
        assert!(said.contains(&"é".repeat(512)) && !said.contains(&"é".repeat(513)), "{format}");
    }
}

/// A broker that keeps no streams says so, once for neighbours that say the same, and goes on.
#[test]
fn a_broker_without_streams_says_that_it_has_none() {
    let broker = start();
    let mut client = Client::connect(&broker);
    for format in FORMATS {
        let of = |word| ("command", Str(word));
        for (fields, code, topic) in [
            (
                &[of("subscribe"), ("topic", Str("a")), ("consumer", Str("c"))][..],
                "no-stream",
                true,
            ),
            (&[of("subscribe"), ("topic", Str("a")), ("start", Str("all"))], "no-stream", true),
            (&[of("get"), ("topic", Str("a")), ("last", Int(3))], "no-stream", true),
            (&[of("consumers"), ("stream", Str("s"))], "no-stream", false),
            (&[of("ack"), ("seq", Int(3)), ("consumer", Str("c"))], "no-consumer", false),
        ] {
            client.command(format, fields);
            let answer = client.next();
            assert_eq!(answer.format, format);
            answer.refuses(code, false);
            assert_eq!(answer.fields().contains_key("topic"), topic, "{:?}", answer.fields());
        }
        let fields = [of("ack"), ("seq", Int(3))];
        let acks: Vec<u8> = (0..50)
            .flat_map(|_| crate::support::frame(format.byte(), &body(format, &fields)))
            .collect();
        client.send_raw(&acks);
        let answers = client.flush(format);
        assert!((1..=50).contains(&answers.len()), "{} answers", answers.len());
        answers.iter().for_each(|answer| answer.refuses("no-consumer", false));
        // The publisher's name for a message does not change what becomes of it.
        client.subscribe(format, "t");
        client.send_raw(&publish(format, "t", &number(format, 7)));
        let named = [of("publish"), ("topic", Str("t")), ("id", Str("x"))];
        let seven = number(format, 7);
        client.command(format, &[&named[..], &[("message", Raw(&seven))]].concat());
        let delivered = client.flush(format);
        assert_eq!(delivered.len(), 2, "{format}");
        assert_eq!(delivered[0], delivered[1], "{format}");
        client.command(format, &[of("cancel"), ("topic", Str("t"))]);
        client.flush(format);
    }
}
