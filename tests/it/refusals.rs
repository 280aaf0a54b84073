//! Commands, fields and limits: what is refused gets its code, to the producer alone, nothing is
//! delivered or stored, and what comes next goes on. Everything else that is refused is in the
//! table of `bad_input`.
#![cfg(all(feature = "broker", feature = "middleware"))]

use babelmq::Format::{self, Json, Pickle, Xml};
use babelmq::{Broker, BrokerHandle, Config, ErrorCode, Limits};

use crate::support::Field::{Bool, Int, Raw, Str};
use crate::support::python::unicode;
use crate::support::{self, Client, FORMATS, body, config, number, start};

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
        assert_eq!(
            self.broker.get_topic("/t").unwrap(),
            Some(1.into()),
            "{shown}: the last value stays"
        );
        answers[0].field("reason")
    }

    /// The same for a payload.
    #[track_caller]
    fn payload(&mut self, format: Format, payload: &[u8], code: &str) -> String {
        let fields = [("command", Str("publish")), ("topic", Str("/t")), ("message", Raw(payload))];
        self.refused(format, &body(format, &fields), code)
    }
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
fn wrong_commands_and_fields_are_refused_in_every_format() {
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
            (&[subscribe, topic, ("exact", Str("JS"))], "invalid-field"),
            (&[subscribe, topic, ("below", Str("no"))], "invalid-field"),
            (&[subscribe, topic, ("below", Int(0))], "invalid-field"),
            (&[subscribe, topic, ("overflow", Str("explode"))], "invalid-field"),
            (&[subscribe, topic, ("overflow", Bool(true))], "invalid-field"),
            (&[subscribe, topic, ("queue", Int(0))], "invalid-field"),
            (&[subscribe, topic, ("queue", Int(-1))], "invalid-field"),
            (&[subscribe, topic, ("queue", Int(1 << 32))], "invalid-field"),
            (&[("command", Str("ping")), ("id", Str(&long_id))], "invalid-field"),
            (&[("command", Str("login"))], "invalid-field"),
            (&[("command", Str("login")), ("user", Str("a"))], "missing-field"),
            (&[("command", Str("login")), ("password", Str("a"))], "missing-field"),
            (
                &[("command", Str("login")), ("user", Str("a")), ("token", Str("a"))],
                "invalid-field",
            ),
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
            scene.refused(
                format,
                &body(format, &[publish, ("topic", Int(1)), message]),
                "invalid-field",
            );
            scene.refused(
                format,
                &body(format, &[publish, topic, message, message]),
                "duplicate-field",
            );
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
fn a_payload_that_decodes_to_more_than_its_budget_is_refused() {
    let limits = Limits::with_max_frame(1 << 20).decoded_size(20_000);
    let mut scene = Scene::with(config().limits(limits));
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

/// Fatal: the error arrives, then the end of the connection, and not a reset, however much was sent
/// and not read.
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
        let mut scene = Scene::with(config().limits(limits));
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
    let tests = [
        include_str!("refusals.rs"),
        include_str!("../alone/leaving.rs"),
        include_str!("limits.rs"),
        include_str!("memory.rs"),
        include_str!("bad_input/json.rs"),
        include_str!("bad_input/pickle.rs"),
        include_str!("bad_input/topics.rs"),
        include_str!("bad_input/xml.rs"),
        include_str!("shared/outages.rs"),
        include_str!("storage/directory.rs"),
        include_str!("stream_requests.rs"),
        include_str!("streams/damage.rs"),
        include_str!("streams/publishing.rs"),
        include_str!("users/logins.rs"),
        include_str!("http/monitor.rs"),
        // No test comes from another machine.
        include_str!("../../src/broker/dispatcher/tests.rs"),
    ]
    .concat();
    for code in ErrorCode::ALL {
        assert!(tests.contains(&format!("\"{code}\"")), "no test gets {code}");
    }
}
