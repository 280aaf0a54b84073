//! Everything that is refused: with its code, to the producer alone, nothing delivered or stored, and what comes next
//! goes on.
#![cfg(all(feature = "broker", feature = "middleware"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use babelmq::Format::{self, Json, Pickle, Xml};
use babelmq::{Broker, BrokerHandle, Config, ErrorCode, Limits};
use support::Field::{Bool, Int, Raw, Str};
use support::python::{hex, unicode};
use support::{Client, FORMATS, body, config, frame, number, start};

/// A producer, somebody who listens to everything, and a topic that holds 1.
struct Scene {
    producer: Client,
    bystander: Client,
    broker: BrokerHandle,
}

impl Scene {
    fn new() -> Scene {
        Scene::with(config())
    }

    fn with(config: Config) -> Scene {
        let broker = Broker::start(config).unwrap();
        let mut producer = Client::connect(&broker);
        producer.publish(Json, "/t", b"1");
        producer.flush(Json);
        let mut bystander = Client::connect(&broker);
        assert_eq!(bystander.subscribe(Json, "#").len(), 1);
        Scene { producer, bystander, broker }
    }

    /// Sends a body that must be refused with `code`; returns the reason.
    #[track_caller]
    fn refused(&mut self, format: Format, body: &[u8], code: &str) -> String {
        let shown = format!("{format} {}", String::from_utf8_lossy(&body[..body.len().min(100)]));
        self.producer.send(format, body);
        let answers = self.producer.flush(format);
        assert_eq!(answers.len(), 1, "{shown}: answers before the pong");
        assert_eq!(answers[0].format, format, "{shown}");
        assert_eq!(answers[0].fields().get("code").map(String::as_str), Some(code), "{shown}");
        answers[0].refuses(code, false);
        self.bystander.is_quiet();
        assert_eq!(self.broker.list_topics().len(), 1, "{shown}: nothing else is stored");
        assert_eq!(self.broker.get_topic("/t").unwrap(), Some(1.into()), "{shown}: the last value stays");
        answers[0].field("reason")
    }

    /// The same for a payload.
    #[track_caller]
    fn payload(&mut self, format: Format, payload: &[u8], code: &str) -> String {
        let fields = [("command", Str("publish")), ("topic", Str("/t")), ("message", Raw(payload))];
        self.refused(format, &body(format, &fields), code)
    }
}

#[test]
fn pickles() {
    let mut scene = Scene::new();
    // Name, code, what the reason names, the pickle: all made with CPython, of protocols 0 to 5. As a body they are
    // refused before anything is asked about fields.
    let mut count = 0;
    for line in include_str!("vectors/pickle/refused.txt").lines().filter(|line| line.contains('\t')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [name, code, named, pickle] = columns[..] else { panic!("{line}") };
        // What passes the budget of a broker of the usual size takes long in a debug build; it has its own test.
        if pickle.len() > 4_000 || code == "too-large" {
            continue;
        }
        let pickle = hex(pickle);
        // As a whole body these are no map, so they stand in one, without PROTO and STOP.
        let opcodes = if pickle.first() == Some(&0x80) { &pickle[2..] } else { &pickle };
        let found_while_reading = ["forbidden-pickle", "malformed-pickle"].contains(&code);
        let reason = match name.starts_with("builtin ") || !found_while_reading {
            true => scene.payload(Pickle, &opcodes[..opcodes.len() - 1], code),
            false => scene.refused(Pickle, &pickle, code),
        };
        assert!(code != "forbidden-pickle" || reason.contains(named), "{name}: {reason}");
        count += 1;
    }
    assert!(count > 100, "{count}");
    let reason = scene.payload(Pickle, b"cposix\nsystem\n(S'true'\ntR", "forbidden-pickle");
    assert!(reason.contains("posix.system"), "{reason}");
    // A list that holds itself, and a dict.
    scene.payload(Pickle, b"]q\x00h\x00a", "cycle");
    scene.payload(Pickle, b"}q\x00K\x01h\x00s", "cycle");
    scene.payload(Pickle, b"}]Ns", "unhashable");
    scene.payload(Pickle, b"\x8f(]\x90", "unhashable");
    // '\ud800' with `surrogatepass`, as CPython writes it; and bytes that are no UTF-8 at all.
    scene.payload(Pickle, b"X\x03\0\0\0\xed\xa0\x80", "invalid-value");
    scene.payload(Pickle, b"X\x01\0\0\0\xff", "malformed-pickle");
    scene.payload(Pickle, &[&b"L"[..], &[b'9'; 4_301], b"L\n"].concat(), "too-many-digits");
    scene.payload(Pickle, &[vec![b']'; 129], vec![b'a'; 128]].concat(), "too-deep");
    scene.refused(Pickle, b"", "malformed-pickle");
    scene.refused(Pickle, b"\x80\x04K", "malformed-pickle");
    scene.refused(Pickle, b"\x80\x06N.", "malformed-pickle");
    scene.refused(Pickle, b"\x80\x02].", "not-a-map");
    scene.refused(Pickle, b"\x80\x02}K\x01K\x02s.", "not-a-map");
}

#[test]
fn xml() {
    let mut scene = Scene::new();
    let frame = |inner: &str| format!("<f command='publish' topic='/t'>{inner}</f>");
    for (xml, code) in [
        ("<!DOCTYPE f><f command='publish' topic='/t' message='1'/>".to_owned(), "forbidden-xml"),
        (format!("<!DOCTYPE f [<!ENTITY a 'b'>]>{}", frame("<message>&a;</message>")), "forbidden-xml"),
        (frame("<message>&nbsp;</message>"), "forbidden-xml"),
        (frame("<message a='&x;'/>"), "forbidden-xml"),
        (frame("<message><p:a/></message>"), "forbidden-xml"),
        (
            "<f command='publish' topic='/t' xmlns:p='u'><message><p:a/></message></f>".to_owned(),
            "forbidden-xml",
        ),
        (frame("<message/>") + "<g/>", "malformed-xml"),
        (frame("<message/>") + "text", "malformed-xml"),
        ("<?xml version='1.0' encoding='ISO-8859-1'?>".to_owned() + &frame("<message/>"), "malformed-xml"),
        (frame("<message>\u{1}</message>"), "malformed-xml"),
        (frame("<message>&#1;</message>"), "malformed-xml"),
        (frame("<message>\u{ffff}</message>"), "malformed-xml"),
        (frame("<message>"), "malformed-xml"),
        (frame("<message type='int'>x</message>"), "invalid-tag"),
        (frame("<message type='bool'>1</message>"), "invalid-tag"),
        (frame("<message type='float'>1e400</message>"), "invalid-value"),
        (frame("<message type='bytes'>A</message>"), "invalid-tag"),
        (frame("<message type='null'>x</message>"), "invalid-tag"),
        (frame("<message type='set'><item type='list'/></message>"), "unhashable"),
        (frame(&format!("<message type='int'>{}</message>", "1".repeat(4_301))), "too-many-digits"),
        (frame(&format!("<message>{}{}</message>", "<a>".repeat(130), "</a>".repeat(130))), "too-deep"),
        (String::new(), "malformed-xml"),
        ("<f>text</f>".to_owned(), "not-a-map"),
        (frame("<message/><message/>"), "duplicate-field"),
        (frame("<topic>/t</topic><message/>"), "duplicate-field"),
    ] {
        scene.refused(Xml, xml.as_bytes(), code);
    }
    scene.refused(Xml, b"<f command='publish' topic='/t' message='\xff'/>", "malformed-xml");
}

#[test]
fn json() {
    let mut scene = Scene::new();
    for (payload, code) in [
        ("[1,]", "malformed-json"),
        ("01", "malformed-json"),
        ("NaN", "malformed-json"),
        ("-Infinity", "malformed-json"),
        ("'a'", "malformed-json"),
        ("\"\t\"", "malformed-json"),
        ("\"\\x\"", "malformed-json"),
        ("1 /* x */", "malformed-json"),
        ("1} {", "malformed-json"),
        ("1e400", "invalid-value"),
        ("-1e400", "invalid-value"),
        ("\"\\ud800\"", "invalid-value"),
        ("{\"\\udc00\":1}", "invalid-value"),
        ("{\"$int\":5}", "invalid-tag"),
        ("{\"$float\":\"1.5\"}", "invalid-tag"),
        ("{\"$bytes\":\"A\"}", "invalid-tag"),
        ("{\"$tuple\":{}}", "invalid-tag"),
        ("{\"$dict\":[[1]]}", "invalid-tag"),
        ("{\"$set\":[[]]}", "unhashable"),
        ("{\"$set\":[{\"$set\":[]}]}", "unhashable"),
        ("{\"$dict\":[[{},1]]}", "unhashable"),
    ] {
        scene.payload(Json, payload.as_bytes(), code);
    }
    scene.payload(Json, "1".repeat(4_301).as_bytes(), "too-many-digits");
    scene.payload(Json, ("[".repeat(129) + &"]".repeat(129)).as_bytes(), "too-deep");
    scene.refused(Json, b"", "malformed-json");
    scene.refused(Json, b"{\"command\":\"ping\"} x", "malformed-json");
    scene.refused(Json, b"\xef\xbb\xbf{\"command\":\"ping\"}", "malformed-json");
    scene.refused(Json, b"{\"command\":\"publish\",\"topic\":\"/t\",\"message\":\"\xff\"}", "malformed-json");
    scene.refused(Json, b"[]", "not-a-map");
    scene.refused(Json, b"null", "not-a-map");
}

/// Just within the limits is accepted, in every format.
#[test]
fn what_is_within_the_limits_passes() {
    let broker = start();
    let mut client = Client::connect(&broker);
    client.subscribe(Pickle, "#");
    let depth_json = "[".repeat(128) + &"]".repeat(128);
    let depth_pickle = [vec![b']'; 128], vec![b'a'; 127]].concat();
    let depth_xml = "<message type='list'>".to_owned()
        + &"<item type='list'>".repeat(127)
        + &"</item>".repeat(127)
        + "</message>";
    client.publish(Json, "/t", depth_json.as_bytes());
    client.publish(Xml, "/t", depth_xml.as_bytes());
    client.publish(Pickle, "/t", &depth_pickle);
    for delivered in client.flush(Json) {
        assert_eq!(delivered.message(), depth_json);
    }
    let topic = "é".repeat(512);
    let segments = vec!["s"; 64].join("/");
    for (format, topic) in FORMATS.into_iter().zip([&topic, &segments, &format!("/{segments}")]) {
        client.publish(format, topic, &number(format, 1));
        assert_eq!(client.next().field("topic"), **topic);
    }
    client.is_quiet();
}

#[test]
fn commands_and_fields_in_every_format() {
    for format in FORMATS {
        let mut scene = Scene::new();
        let one = number(format, 2);
        let message = ("message", Raw(&one));
        let topic = ("topic", Str("/t"));
        let publish = ("command", Str("publish"));
        let subscribe = ("command", Str("subscribe"));
        let long_id = "x".repeat(1_025);
        let table: &[(&[(&str, support::Field<'_>)], &str)] = &[
            (&[], "missing-field"),
            (&[topic, message], "missing-field"),
            (&[publish, topic], "missing-field"),
            (&[publish, message], "missing-field"),
            (&[subscribe], "missing-field"),
            (&[("command", Str("cancel"))], "missing-field"),
            (&[("command", Str("get"))], "missing-field"),
            (&[("command", Str("clear"))], "missing-field"),
            (&[("command", Str("")), topic], "unknown-command"),
            (&[("command", Str("Publish")), topic, message], "unknown-command"),
            (&[("command", Str("subscribed")), topic], "unknown-command"),
            (&[("command", Str("pong"))], "unknown-command"),
            (&[publish, topic, message, ("retain", Str("yes"))], "invalid-field"),
            (&[publish, topic, message, ("retain", Int(1))], "invalid-field"),
            (&[subscribe, topic, ("exact", Str(""))], "invalid-field"),
            (&[subscribe, topic, ("overflow", Str("explode"))], "invalid-field"),
            (&[subscribe, topic, ("overflow", Bool(true))], "invalid-field"),
            (&[subscribe, topic, ("queue", Int(0))], "invalid-field"),
            (&[subscribe, topic, ("queue", Int(-1))], "invalid-field"),
            (&[subscribe, topic, ("queue", Int(1 << 32))], "invalid-field"),
            (&[("command", Str("ping")), ("id", Str(&long_id))], "invalid-field"),
        ];
        for (fields, code) in table {
            scene.refused(format, &body(format, fields), code);
        }
        // Attributes of XML are found to be given twice by their name alone.
        for fields in [&[publish, publish, topic, message][..], &[publish, topic, message, topic]] {
            scene.refused(format, &body(format, fields), "duplicate-field");
        }
        if format != Xml {
            scene.refused(format, &body(format, &[("command", Int(1)), topic]), "invalid-field");
            scene.refused(format, &body(format, &[publish, ("topic", Int(1)), message]), "invalid-field");
            scene.refused(format, &body(format, &[publish, topic, message, message]), "duplicate-field");
        }
    }
}

#[test]
fn topics_in_every_format() {
    let long = "x".repeat(1_025);
    let segments = vec!["s"; 65].join("/");
    for format in FORMATS {
        let mut scene = Scene::new();
        let payload = number(format, 2);
        for topic in
            ["", "/", "//", "a//b", "/t/", "+", "#", "a/+", "a/#", "a+b", &long, &segments, "a\u{85}"]
        {
            for command in ["publish", "get", "clear"] {
                let fields = [("command", Str(command)), ("topic", Str(topic)), ("message", Raw(&payload))];
                scene.refused(format, &body(format, &fields), "invalid-topic");
            }
        }
        for topic in ["", "//", "a//b", "/t/", "a+", "a#", "#/a", "a/#/b", &long, &segments, "a\u{85}"] {
            for command in ["subscribe", "cancel", "list"] {
                let fields = [("command", Str(command)), ("topic", Str(topic))];
                scene.refused(format, &body(format, &fields), "invalid-topic");
            }
        }
        if format != Xml {
            let fields = [("command", Str("subscribe")), ("topic", Str("a\0"))];
            scene.refused(format, &body(format, &fields), "invalid-topic");
        }
    }
}

#[test]
fn the_error_names_the_topic_where_it_could_be_read() {
    let broker = start();
    let mut client = Client::connect(&broker);
    for format in FORMATS {
        let payload = number(format, 1);
        client.publish(format, "a//b", &payload);
        let error = client.next();
        error.refuses("invalid-topic", false);
        assert_eq!(error.field("topic"), "a//b");
        client.command(format, &[("command", Str("publish")), ("topic", Str("a/b"))]);
        assert_eq!(client.next().field("topic"), "a/b");
        client.command(format, &[("command", Str("what"))]);
        assert_eq!(client.next().fields().get("topic"), None);
    }
}

#[test]
fn a_payload_that_decodes_to_more_than_its_budget() {
    let limits = Limits { decoded_size: 20_000, ..Limits::with_max_frame(1 << 20) };
    let mut scene = Scene::with(Config { limits, ..config() });
    let json = format!("[{}0]", "0,".repeat(2_000));
    scene.payload(Json, json.as_bytes(), "too-large");
    let xml = format!("<message type='list'>{}</message>", "<item/>".repeat(2_000));
    scene.payload(Xml, xml.as_bytes(), "too-large");
    // Shared references count as often as they are referred to: 1 KiB, 10 + 10 times.
    let text = unicode(&"x".repeat(1_024));
    let bomb = [b"](", &text[..], b"q\x01", &b"h\x01".repeat(20), b"e"].concat();
    scene.payload(Pickle, &bomb, "too-large");
    // A billion laughs: 2 ** 30 empty lists out of 200 bytes.
    let mut laughs = b"]q\x00".to_vec();
    for level in 0..30_u8 {
        laughs.extend_from_slice(&[b'h', level, b'h', level, 0x86, b'q', level + 1]);
    }
    // What stays on the stack below is gathered: the payload is the last of it.
    laughs.splice(0..0, *b"(");
    laughs.push(b't');
    scene.payload(Pickle, &laughs, "too-large");
}

/// Fatal: the error arrives, then the end of the connection, and not a reset, however much was sent and not read.
#[test]
fn faults_of_framing_end_the_connection_in_order() {
    let limits = Limits::with_max_frame(1_000);
    let big = vec![b' '; 8 << 20];
    for (bytes, code, format) in [
        (vec![3, 0, 0, 0, 0], "unknown-format", Json),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "unknown-format", Json),
        (vec![0xff; 5], "unknown-format", Json),
        (vec![0, 0, 0, 3, 0xe9], "frame-too-large", Json),
        (vec![1, 0xff, 0xff, 0xff, 0xff], "frame-too-large", Xml),
        (vec![2, 0x7f, 0xff, 0xff, 0xff], "frame-too-large", Pickle),
    ] {
        let mut scene = Scene::with(Config { limits, ..config() });
        scene.producer.subscribe(Json, "/own");
        // What was whole before the fault is still routed.
        let before = support::publish(Json, "/own", b"1");
        scene.producer.send_raw(&[&before, &bytes[..]].concat());
        let mut sender = scene.producer.share();
        let sending = std::thread::spawn({
            let big = big.clone();
            move || sender.try_send_raw(&big).map_err(|error| error.to_string())
        });
        assert_eq!(scene.producer.next().number(), 1);
        let error = scene.producer.next();
        assert_eq!(error.format, format, "{bytes:?}");
        error.refuses(code, true);
        scene.producer.ends();
        assert_eq!(sending.join().unwrap(), Ok(()), "what is sent is read away");
        assert_eq!(scene.bystander.flush(Json).len(), 1);
    }
}

#[test]
fn every_code_is_met_here_or_elsewhere() {
    let tests = [include_str!("refusals.rs"), include_str!("leaving.rs"), include_str!("limits.rs")].concat();
    for code in ErrorCode::ALL {
        assert!(tests.contains(&format!("\"{code}\"")), "no test gets {code}");
    }
}

/// A frame of 16 MiB that is only claimed costs nothing, and one that is full of openings is refused at once.
#[test]
fn claims_and_openings_are_cheap() {
    let broker = start();
    let mut claims = Vec::new();
    for format in 0..3_u8 {
        for _ in 0..20 {
            let mut client = Client::connect(&broker);
            client.send_raw(&[format, 1, 0, 0, 0]);
            claims.push(client);
        }
    }
    let mut client = Client::connect(&broker);
    let openings: [(Format, &[u8], &str); 3] =
        [(Json, b"[", "too-deep"), (Xml, b"<a>", "too-deep"), (Pickle, b"(", "malformed-pickle")];
    for (format, opening, code) in openings {
        client.send_raw(&frame(format.byte(), &opening.repeat((4 << 20) / opening.len())));
        client.next().refuses(code, false);
    }
    client.is_quiet();
    let resident = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = resident.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(pages * 4096 < 600 << 20, "{} MiB are resident", pages / 256);
}
