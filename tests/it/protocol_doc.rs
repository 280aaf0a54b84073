//! `docs/protocol.md` is what clients are written from, so it is held to the code: its examples are
//! run against a broker, and its tables of commands, error codes and limits are compared with what
//! the library says of itself.
#![cfg(feature = "broker")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use babelmq::broker::{METRICS, QueueLimits, STREAM_NAME_BYTES};
use babelmq::protocol::{
    Command, DECODED_FLOOR, DECODED_PER_BYTE, ENCODED_FLOOR, ENCODED_PER_BYTE, HEADER_LEN,
    MAX_BACKOFF, MAX_DEPTH, MAX_INT_DIGITS, MAX_LAST, MAX_PATTERNS, MAX_PUBLISH_ID_BYTES,
    MAX_SECONDS, MAX_SHAPES_OF_BROKER, MAX_TOPIC_BYTES, MAX_TOPIC_SEGMENTS, MAX_WINDOW,
    MAXIMUM_MAX_ENCODED, MAXIMUM_MAX_FRAME, NODE_SIZE,
};
use babelmq::{Broker, BrokerHandle, Config, ErrorCode, Format, Limits};
#[cfg(feature = "storage")]
use babelmq::{Storage, StreamDefinition, TopicFilter};

const DOCUMENT: &str = include_str!("../../docs/protocol.md");

/// Who sends the frame of an example.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sender {
    Client,
    Broker,
}

/// A fenced block such as ```` ```json,client ````: the body of one frame.
#[derive(Debug)]
struct Example {
    line: usize,
    format: Format,
    sender: Sender,
    body: String,
}

/// A part of the document.
struct Section {
    heading: &'static str,
    examples: Vec<Example>,
    /// The users file of the broker, if it has one: a block of `toml`.
    users: Option<String>,
}

impl Section {
    fn new(heading: &'static str) -> Section {
        Section { heading, examples: Vec::new(), users: None }
    }
}

/// The sections of the document that have examples, each with its heading.
fn sections() -> Vec<Section> {
    let mut sections = vec![Section::new("")];
    let mut lines = DOCUMENT.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let body: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let section = sections.last_mut().unwrap();
            if info == "toml" {
                section.users = Some(body.join("\n"));
            }
            let Some((format, sender)) = info.split_once(',') else { continue };
            let format = match format {
                "json" => Format::Json,
                "xml" => Format::Xml,
                other => panic!("line {}: no example can be in {other:?}", number + 1),
            };
            let sender = match sender {
                "client" => Sender::Client,
                "broker" => Sender::Broker,
                other => panic!("line {}: {other:?} sends nothing", number + 1),
            };
            let example = Example { line: number + 1, format, sender, body: body.join("\n") };
            section.examples.push(example);
        } else if line.starts_with('#') {
            sections.push(Section::new(line));
        }
    }
    sections.retain(|section| !section.examples.is_empty());
    sections
}

fn send(connection: &mut TcpStream, format: Format, body: &str) {
    let mut frame = vec![format.byte()];
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(body.as_bytes());
    connection.write_all(&frame).unwrap();
}

/// The next frame: its format byte and its body.
fn receive(connection: &mut TcpStream) -> std::io::Result<(u8, String)> {
    let mut header = [0; 5];
    connection.read_exact(&mut header)?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    let mut body = vec![0; length as usize];
    connection.read_exact(&mut body)?;
    Ok((header[0], String::from_utf8(body).unwrap()))
}

/// Whether `found` is what is printed, where `…` in a broker's frame stands for anything.
fn is_said(found: &str, printed: &str) -> bool {
    let mut pieces = printed.split('…');
    let mut rest = found.strip_prefix(pieces.next().unwrap());
    for piece in pieces {
        rest = rest.and_then(|rest| rest.split_once(piece)).map(|(_, after)| after);
    }
    rest == Some("")
}

/// A broker for a section, with a stream where that is of one.
fn start(heading: &str, config: Config) -> BrokerHandle {
    #[cfg(feature = "storage")]
    if heading.contains("of a stream") {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("protocol-streams");
        // What a failed run left behind.
        let _ = std::fs::remove_dir_all(&folder);
        let filter = TopicFilter::parse("/orders").unwrap();
        let config = config.streams([StreamDefinition::new("orders", filter).unwrap()]);
        let storage = Storage::open(&folder, true).unwrap();
        return Broker::start_with(config, Box::new(storage)).unwrap();
    }
    Broker::start(config).unwrap()
}

/// Every section is one connection to a broker of its own, and the broker says what is printed and
/// nothing else.
#[test]
fn the_examples_are_what_happens() {
    let sections = sections();
    for Section { heading, examples, users } in &sections {
        let mut config = Config::listening_on(([127, 0, 0, 1], 0));
        if let Some(users) = users {
            let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("protocol-users.toml");
            std::fs::write(&file, users).unwrap();
            config = config.users(file);
        }
        let broker = start(heading, config);
        let mut connection = TcpStream::connect(broker.local_addr()).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for Example { line, format, sender, body } in examples {
            match sender {
                Sender::Client => send(&mut connection, *format, body),
                Sender::Broker => {
                    let received = receive(&mut connection).unwrap_or_else(|error| {
                        panic!("{heading}, line {line}: no frame came: {error}")
                    });
                    assert_eq!(received.0, format.byte(), "{heading}, line {line}");
                    assert!(is_said(&received.1, body), "{heading}, line {line}: {}", received.1);
                }
            }
        }
        send(&mut connection, Format::Json, r#"{"command":"ping","id":"the end"}"#);
        let end = receive(&mut connection).unwrap();
        assert_eq!(
            end,
            (0, r#"{"command":"pong","id":"the end"}"#.into()),
            "{heading}: a frame is not printed"
        );
    }
    let said = |word: &str| {
        let field = [format!("\"command\":\"{word}\""), format!("command=\"{word}\"")];
        let mut bodies = sections.iter().flat_map(|section| &section.examples);
        bodies.any(|example| field.iter().any(|field| example.body.contains(field)))
    };
    let replies =
        ["subscribed", "cancelled", "cleared", "topics", "value", "pong", "stats", "error"];
    for word in Command::ALL.into_iter().map(Command::as_str).chain(replies) {
        assert!(said(word), "no example of {word:?}");
    }
}

/// The cells of the tables under a heading, without the backquotes around a cell.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = DOCUMENT.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect()).collect()
}

#[test]
fn every_error_code_is_there_and_no_other() {
    let documented: Vec<(&str, &str)> =
        rows("Error codes").iter().skip(1).map(|row| (row[0], row[1])).collect();
    let codes: Vec<(&str, &str)> = ErrorCode::ALL
        .iter()
        .map(|code| (code.as_str(), if code.is_fatal() { "yes" } else { "no" }))
        .collect();
    assert_eq!(documented, codes);
}

#[test]
fn every_command_is_there_and_no_other() {
    let documented: BTreeSet<&str> =
        rows("Messages").iter().filter(|row| row[1] == "client").map(|row| row[0]).collect();
    assert_eq!(documented, Command::ALL.into_iter().map(Command::as_str).collect());
}

#[test]
fn every_counter_is_there_and_no_other() {
    let documented: Vec<[&str; 4]> =
        rows("Counters").iter().skip(1).map(|row| [row[0], row[1], row[2], row[3]]).collect();
    let counted: Vec<[&str; 4]> = METRICS
        .iter()
        .map(|metric| [metric.name, metric.kind.name(), metric.unit.name(), metric.help])
        .collect();
    assert_eq!(documented, counted);
}

#[test]
fn every_limit_is_what_the_code_says() {
    let limits = Limits::default();
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    let count = |number: usize| match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{},{:03}", number / 1_000, number % 1_000),
        _ => format!("{},{:03},{:03}", number / 1_000_000, number / 1_000 % 1_000, number % 1_000),
    };
    let config = Config::default();
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    let expected = [
        ("frame header", format!("{HEADER_LEN} bytes")),
        ("body of a frame", mib(limits.max_frame as usize)),
        ("body of a frame, at most", mib(MAXIMUM_MAX_FRAME as usize)),
        ("decoded size of a payload", mib(limits.decoded_size)),
        ("decoded size of a payload, for each byte", format!("{} bytes", count(DECODED_PER_BYTE))),
        ("decoded size of a short payload", format!("{} KiB", DECODED_FLOOR >> 10)),
        (
            "decoded size of a payload, at most",
            mib(Limits::with_max_frame(MAXIMUM_MAX_FRAME).decoded_size),
        ),
        ("decoded size of one value, beside its text", format!("{NODE_SIZE} bytes")),
        ("body of a frame that a message becomes", mib(limits.max_encoded as usize)),
        (
            "body of a frame that a message becomes, for each byte",
            format!("{} bytes", count(ENCODED_PER_BYTE)),
        ),
        ("body of a frame that a short message becomes", mib(ENCODED_FLOOR)),
        (
            "body of a frame that a message becomes, at most",
            format!("{} MiB", count((MAXIMUM_MAX_ENCODED >> 20) as usize)),
        ),
        ("nesting", count(MAX_DEPTH)),
        ("digits of an int", count(MAX_INT_DIGITS)),
        ("topic or filter", format!("{} bytes", count(MAX_TOPIC_BYTES))),
        ("segments of a topic or filter", count(MAX_TOPIC_SEGMENTS)),
        ("the `id` of a publish", format!("1 to {MAX_PUBLISH_ID_BYTES} bytes")),
        ("name of a stream or a consumer", format!("{STREAM_NAME_BYTES} bytes")),
        ("the `last` of a get", count(MAX_LAST as usize)),
        ("the `window` of a subscribe", count(MAX_WINDOW as usize)),
        ("the `backoff` of a subscribe", count(MAX_BACKOFF)),
        ("fields that are seconds", count(MAX_SECONDS as usize)),
        ("waiting messages of a connection", count(QueueLimits::default().messages)),
        ("waiting bytes of a connection", mib(QueueLimits::default().bytes)),
        ("connections", count(config.max_connections)),
        ("subscriptions of a connection", count(config.max_subscriptions)),
        ("patterns of `+` of a connection", count(MAX_PATTERNS)),
        ("patterns of `+` of all connections", count(MAX_SHAPES_OF_BROKER)),
        ("stored values", count(config.store.values)),
        ("bytes of stored values", format!("{} MiB", count(config.store.bytes >> 20))),
        ("a frame that was begun", seconds(config.frame_timeout)),
        ("a client that takes little", seconds(config.write_timeout)),
        ("a client that says nothing", seconds(config.keepalive.unwrap())),
        ("a disk that a broker waits for that stops", seconds(config.stop_timeout)),
    ];
    let documented = rows("Limits");
    for (name, value) in expected {
        let row = documented
            .iter()
            .find(|row| row[0] == name)
            .unwrap_or_else(|| panic!("no row {name:?}"));
        assert_eq!(row[1], value, "{name}");
    }
}
