//! What a person at a terminal sees: the binary runs in a real pseudo-terminal, and its screen is
//! looked at.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::process::Child;
use std::time::Instant;

use vt100::{Color, Parser};

use babelmq::{Arrival, Broker, Client, Config, Format, ListenUrl, Subscribe, TopicFilter};

use super::Served;
use super::outages::start_at;
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5};
use crate::support::{PATIENCE, start};

const ROWS: NonZero<u16> = NonZero::new(30).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(100).unwrap();

/// A program in a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    pty: pty_process::blocking::Pty,
    screen: Parser,
}

impl Terminal {
    pub(crate) fn run(arguments: &[&str]) -> Terminal {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(ROWS.get(), COLUMNS.get())).unwrap();
        let mut command =
            pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_babelmq")).args(arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BABELMQ_") || name == "NO_COLOR" {
                command = command.env_remove(name);
            }
        }
        let child = command.env("TERM", "xterm-256color").spawn(pts).unwrap();
        Terminal { child, pty, screen: Parser::new(ROWS, COLUMNS, 1_000) }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).unwrap();
    }

    /// Takes in what was written since; whether there can be more.
    pub(crate) fn read(&mut self) -> bool {
        let mut bytes = [0; 4_096];
        match self.pty.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.screen.process(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            // So the system says that the program has ended.
            Err(_) => false,
        }
    }

    /// Waits until the screen says it.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) {
        while !self.text().contains(text) {
            assert!(self.read(), "it ended without {text:?}:\n{}", self.text());
        }
    }

    /// Waits for the end; returns the screen and the exit code.
    pub(crate) fn end(&mut self) -> (String, Option<i32>) {
        while self.read() {}
        (self.text(), self.child.wait().unwrap().code())
    }

    pub(crate) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// The colour of the first character of `text` on the screen.
    #[track_caller]
    fn color_of(&self, text: &str) -> Color {
        let screen = self.screen.screen();
        for row in 0..ROWS.get() {
            let line = screen.contents_between(row, 0, row, COLUMNS.get());
            if let Some(at) = line.find(text) {
                let column = u16::try_from(line[..at].chars().count()).unwrap();
                return screen.cell(row, column).unwrap().fgcolor();
            }
        }
        panic!("no {text:?} in\n{}", self.text());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn messages_have_colours() {
    let broker = Served::start(&[]);
    let (said, code) =
        Terminal::run(&broker.at("pub", &["/t", r#"{"key": [1, "text", null]}"#])).end();
    assert_eq!(code, Some(0));
    assert!(said.starts_with("published 1 message as json in "), "{said}");

    let mut terminal = Terminal::run(&broker.at("sub", &["/t", "-n", "1"]));
    assert_eq!(terminal.end(), ("/t {\"key\": [1, \"text\", null]}".into(), Some(0)));
    assert_eq!(terminal.color_of("/t"), Color::Idx(6));
    assert_eq!(terminal.color_of("\"key\""), Color::Idx(4));
    assert_eq!(terminal.color_of("1"), Color::Idx(3));
    assert_eq!(terminal.color_of("\"text\""), Color::Idx(2));
    assert_eq!(terminal.color_of("null"), Color::Idx(5));
    assert_eq!(terminal.color_of("{"), Color::Default);

    let mut plain = Terminal::run(&broker.at("sub", &["/t", "-n", "1", "--color", "never"]));
    plain.end();
    assert_eq!(plain.color_of("/t"), Color::Default);
}

#[test]
fn a_message_cannot_move_the_cursor() {
    let broker = Served::start(&[]);
    // A C1 control character, which JSON lets stand: it clears the screen of many terminals.
    Terminal::run(&broker.at("pub", &["/t", "before\u{9b}2Jafter", "--string"])).end();
    for (format, shown) in [("json", "\"before\\u009b2Jafter\""), ("xml", "before&#x9b;2Jafter")] {
        let (said, _) = Terminal::run(&broker.at("get", &["/t", "--format", format])).end();
        assert!(said.contains(shown), "{said}");
    }
}

/// Characters that turn around what stands beside them, or that are not seen: what is read is what
/// is there.
#[test]
fn nothing_that_a_client_says_is_hidden_or_turned_around() {
    let broker = Served::start(&[]);
    let topic = "/exe.\u{202e}gpj/\u{200b}a\u{e0041}";
    let shown = "/exe.\\u202egpj/\\u200ba\\udb40\\udc41";
    Terminal::run(&broker.at("pub", &[topic, "x\u{2066}y\u{feff}z\u{ad}", "--string"])).end();
    let json = "\"x\\u2066y\\ufeffz\\u00ad\"";
    let xml = "x&#x2066;y&#xfeff;z&#xad;";
    let of =
        |command: &str, arguments: &[&str]| Terminal::run(&broker.at(command, arguments)).end().0;
    assert_eq!(of("sub", &["#", "-n", "1"]), format!("{shown} {json}"));
    assert!(of("sub", &["#", "-n", "1", "--format", "xml"]).contains(xml));
    let python = of("sub", &["#", "-n", "1", "--format", "pickle"]);
    assert!(python.contains("2066") && !python.contains('\u{2066}'), "{python}");
    assert_eq!(of("get", &[topic, "--pretty"]), json);
    assert_eq!(of("topics", &[]), shown);
    assert!(of("topics", &["--values"]).contains(shown));
    let tree = of("topics", &["--tree"]);
    assert!(tree.contains("exe.\\u202egpj") && tree.contains("\\u200ba\\udb40"), "{tree}");
    let refused = of("get", &["/no\u{202e}thing"]);
    assert!(refused.contains("/no\\u202ething holds no value"), "{refused}");
    let mut top = Terminal::run(&broker.at("top", &[]));
    top.shows("exe.\\u202egpj");

    // A program gets the topic that it can ask for, and the value as it is.
    let piped = super::run(&broker.at("sub", &["#", "-n", "1"]));
    assert_eq!(piped.1, format!("{topic} \"x\u{2066}y\u{feff}z\u{ad}\"\n"));
}

/// What a terminal obeys, at the other end of a pipe: escaped as the format can, so that the value
/// is the same.
#[test]
fn no_control_character_leaves_by_a_pipe_unless_bytes_are_asked_for() {
    let broker = Served::start(&[]);
    let text = "a\u{85}b\u{7f}c\u{9b}2J";
    Terminal::run(&broker.at("pub", &["/t", text, "--string"])).end();
    let of = |arguments: &[&str]| super::run(&broker.at("get", arguments)).1;
    let json = of(&["/t"]);
    assert_eq!(json, "\"a\\u0085b\\u007fc\\u009b2J\"\n");
    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    assert!(of(&["/t", "--format", "xml"]).contains(">a&#x85;b&#x7f;c&#x9b;2J<"));
    assert!(of(&["/t", "--format", "pickle"]).is_ascii());
    assert_eq!(of(&["/t", "--raw"]), format!("\"{text}\"\n"));
    // Where no reference can stand, the element is written anew.
    let cdata = format!("<message type=\"str\"><![CDATA[{text}]]></message>");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cdata.xml");
    std::fs::write(&file, cdata).unwrap();
    let published =
        super::run(&broker.at("pub", &["/c", "--file", file.to_str().unwrap(), "--format", "xml"]));
    assert_eq!(published.0, Some(0), "{published:?}");
    assert!(of(&["/c", "--format", "xml"]).contains(">a&#x85;b&#x7f;c&#x9b;2J<"));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_file_has_a_progress_bar() {
    let broker = Served::start(&[]);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("progress.ndjson");
    let mut lines = File::create(&file).unwrap();
    for number in 0..200 {
        writeln!(lines, "{number}").unwrap();
    }
    drop(lines);
    let file = file.to_str().unwrap();
    let mut terminal = Terminal::run(&broker.at("pub", &["/t", "--file", file, "--rate", "400"]));
    terminal.shows("% ");
    terminal.shows(" left");
    let (said, code) = terminal.end();
    assert_eq!(code, Some(0));
    // The bar is gone when it is done.
    assert!(
        said.starts_with("published 200 messages as json in ") && !said.contains('%'),
        "{said}"
    );
    std::fs::remove_file(file).unwrap();
}

#[test]
fn top_goes_on_when_its_broker_was_restarted() {
    let broker = start();
    let address = broker.local_addr();
    let address_text = address.to_string();
    let mut top = Terminal::run(&["top", "--interval", "0.05", "--address", &address_text]);
    broker.put_topic("/before", &1.into()).unwrap();
    top.shows("/before");
    broker.shutdown();
    top.shows("the connection ended; waiting for the broker");
    // What it said last stays there to be read, and keys are obeyed.
    top.press("p");
    top.shows("(paused)");
    assert!(top.text().contains("/before"));
    top.press("p");
    let broker = start_at(address);
    broker.put_topic("/after", &2.into()).unwrap();
    top.shows("/after");
    assert!(!top.text().contains("waiting for") && !top.text().contains("/before"));
    broker.shutdown();
    top.shows("waiting for the broker");
    top.press("q");
    assert_eq!(top.end().1, Some(0));
}

#[test]
fn sub_ends_at_a_key_and_pub_takes_what_is_typed() {
    let broker = Served::start(&[]);
    let mut typed = Terminal::run(&broker.at("pub", &["/t", "-", "--string"]));
    typed.press("hello\n");
    let mut terminal = Terminal::run(&broker.at("sub", &["/t"]));
    terminal.shows("/t \"hello\"");
    typed.press("bye\n\x04");
    terminal.shows("/t \"bye\"");
    assert_eq!(typed.end().1, Some(0));
    terminal.press("\x03");
    // The signal of the key ends it.
    assert_eq!(terminal.end().1, None);
}

#[test]
fn top_shows_streams_and_how_far_their_consumers_are() {
    let folder = super::scratch("top-streams");
    let broker = Served::start(&["--data-dir", folder.to_str().unwrap()]);
    let shown = |terminal: &mut Terminal, name: &str| {
        let text = terminal.text();
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or("");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut top = Terminal::run(&broker.at("top", &["--interval", "0.05"]));
    top.shows("subscribers");
    assert!(!top.text().contains("STREAM"), "there is none");
    for words in ["stream add orders orders/#", "stream add jobs jobs"] {
        let words: Vec<_> = words.split(' ').chain(["--address", &broker.text]).collect();
        assert_eq!(Terminal::run(&words).end().1, Some(0));
    }
    top.shows("STREAM");
    let mut client = Client::connect(&broker.text, PATIENCE).unwrap();
    let how = Subscribe::default().consumer("billing");
    client.subscribe(&TopicFilter::parse("orders").unwrap(), Format::Json, how).unwrap();
    let mut origins = Vec::new();
    while origins.len() < 3 {
        match client.next(Some(Instant::now() + PATIENCE)).unwrap() {
            Some(Arrival::Subscribed { .. }) => {
                for message in ["1", "2", "3"] {
                    let words = broker.at("pub", &["orders/7", message]);
                    assert_eq!(Terminal::run(&words).end().1, Some(0));
                }
            }
            Some(Arrival::Delivery { origin, .. }) => origins.extend(origin),
            other => panic!("{other:?}"),
        }
    }
    client.ack(&origins[0]).unwrap();
    client.reject(&origins[1], "broken").unwrap();
    // One member, one message before it, none again, one dead.
    while shown(&mut top, "billing").get(2..) != Some(&["1", "1", "0", "1"].map(str::to_owned)) {
        assert!(top.read(), "{}", top.text());
    }
    // There is the topic, too.
    let orders = shown(&mut top, "orders 1 consumer");
    assert_eq!(
        (&orders[1..3], &orders[4]),
        (&["1", "consumer"].map(str::to_owned)[..], &"3".into())
    );
    assert_eq!(shown(&mut top, "jobs")[2], "0");
    top.press("q");
    assert_eq!(top.end().1, Some(0));
}

/// What a client of MQTT calls itself is text of a stranger, too.
#[test]
fn top_shows_clients_of_mqtt_with_what_they_call_themselves() {
    let listen = ["tcp://127.0.0.1:0", "mqtt://127.0.0.1:0"];
    let config = Config::default().listeners(listen.map(|url| url.parse::<ListenUrl>().unwrap()));
    let broker = Broker::start(config).unwrap();
    let address = broker.local_addr().to_string();
    // Receive Maximum.
    let hello = Hello { properties: &[33, 0, 20], ..Hello::new(V5, "a\u{202e}b\x1b[2J") };
    let (mut sensor, _) = Mqtt::hello(&broker, &hello);
    sensor.subscribe("t", 1);
    let mut phone = Mqtt::hello(&broker, &Hello::new(V3_1_1, "phone").staying()).0;
    phone.subscribe("t", 1);
    phone.disconnect();
    let words = ["top", "--address", &address, "--interval", "0.05"];
    let mut top = Terminal::run(&words);
    top.shows("MQTT sessions, 1 away");
    top.shows("(away) phone");
    let line = |top: &Terminal, words: &str| {
        let text = top.text();
        let line = text.lines().find(|line| line.contains(words)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{words}: {text}"))
    };
    let sensor = line(&top, "mqtt 5");
    assert!(sensor.contains("a\\u202eb\\u001b[2J") && sensor.contains("0 of 20"), "{sensor}");
    assert!(line(&top, "(away) phone").contains("mqtt 3.1.1"), "{}", top.text());
    top.press("q");
    assert_eq!(top.end().1, Some(0));
}
