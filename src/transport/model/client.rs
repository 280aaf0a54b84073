//! A client of a model, in JSON.

use std::cell::RefCell;
use std::io::{Read, Write};

use rustls::ClientConnection;
use serde_json::Value;

use crate::broker::sync::world::any;
use crate::protocol::{Format, HEADER_LEN, Header};
use crate::transport::line::{Unsealed, seal};
use crate::transport::net::{self, Text};

/// The frames that it hears, one each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Message(String, u64),
    Dropped(String, u64),
    /// A message of a stream.
    Kept {
        seq: u64,
        number: u64,
        attempt: u64,
    },
    /// A dead letter, of the message with this number.
    Letter(u64),
    /// Something was done.
    Done,
    Subscribed,
    Cancelled,
    Pong,
    Error(String),
}

pub(super) struct Client {
    end: net::Client,
    text: Opened,
    /// The outcome of the next frame.
    bytes: Vec<u8>,
    /// All that it has heard.
    pub(super) heard: Vec<Line>,
}

/// Bytes that a broker sends at the end of a handshake by TLS (RFC 8446 §4.6.1), and a little more.
const TICKETS: usize = 256;

/// How it reads what arrives, and writes what it says.
enum Opened {
    Plain,
    Sealed(Unsealed),
    Tls(Box<RefCell<ClientConnection>>),
}

impl Client {
    /// One whose end is sealed or not.
    pub(super) fn new(end: net::Client, text: Text) -> Client {
        let text = match text {
            Text::Plain => Opened::Plain,
            Text::Sealed => Opened::Sealed(Unsealed::default()),
            Text::Tls => Opened::Tls(Box::new(net::tls::client().into())),
        };
        Client { end, text, bytes: Vec::new(), heard: Vec::new() }
    }

    /// One that has connected, with room for much that it has not read.
    pub(super) fn connect() -> Client {
        Client::connect_with(4_096)
    }

    /// The same, with so much room.
    pub(super) fn connect_with(room: usize) -> Client {
        let text = net::text();
        // A session that has shaken hands waits until what it sends then fits the socket, while a
        // client here does one thing at a time. Systems have more room than that.
        let room = if text == Text::Tls { room.max(TICKETS) } else { room };
        Client::new(net::connect(room), text)
    }

    /// Sends a frame; returns whether the broker took all of it.
    pub(super) fn send(&self, body: &str) -> bool {
        let header = Header { format: Format::Json, length: body.len() as u32 };
        self.send_bytes(&[&header.to_bytes(), body.as_bytes()].concat())
    }

    pub(super) fn send_bytes(&self, bytes: &[u8]) -> bool {
        match &self.text {
            Opened::Plain => self.end.send(bytes),
            Opened::Sealed(_) => {
                let mut sealed = Vec::new();
                seal(bytes, &mut sealed);
                self.end.send(&sealed)
            }
            Opened::Tls(state) => {
                while state.borrow().is_handshaking() {
                    if !exchange(&self.end, state) {
                        return false;
                    }
                }
                state.borrow_mut().writer().write_all(bytes).unwrap();
                send_sealed(&self.end, state)
            }
        }
    }

    /// Changes its keys, where it has some, and asks for the same. The broker is told with what is
    /// sent next.
    pub(super) fn change_keys(&self) {
        if let Opened::Tls(state) = &self.text {
            state.borrow_mut().refresh_traffic_keys().unwrap();
        }
    }

    pub(super) fn ping(&self) -> bool {
        self.send(r#"{"command":"ping"}"#)
    }

    pub(super) fn publish(&self, topic: &str, number: u64) -> bool {
        self.send(&format!(r#"{{"command":"publish","topic":"{topic}","message":{number}}}"#))
    }

    pub(super) fn subscribe(&self, topic: &str, more: &str) -> bool {
        self.send(&format!(r#"{{"command":"subscribe","topic":"{topic}"{more}}}"#))
    }

    /// Says that it sends nothing any more.
    pub(super) fn finish(&self) {
        self.end.finish();
    }

    /// The next line, if one comes.
    pub(super) fn hear(&mut self) -> Option<Line> {
        loop {
            if let Some(header) = self.bytes.first_chunk::<HEADER_LEN>() {
                let end = HEADER_LEN + Header::parse(*header, 1 << 20).unwrap().length as usize;
                if let Some(body) = self.bytes.get(HEADER_LEN..end) {
                    let line = line(body);
                    self.bytes.drain(..end);
                    self.heard.push(line.clone());
                    return Some(line);
                }
            }
            let more = match &mut self.text {
                Opened::Plain => self.end.receive(&mut self.bytes),
                Opened::Sealed(unsealed) => {
                    let mut sealed = Vec::new();
                    let more = self.end.receive(&mut sealed);
                    unsealed.take_in(&sealed);
                    self.bytes.append(&mut unsealed.plain);
                    more
                }
                Opened::Tls(state) => {
                    let more = exchange(&self.end, state);
                    // That it is not there yet, or at an end, is no failure.
                    let _ = state.borrow_mut().reader().read_to_end(&mut self.bytes);
                    more
                }
            };
            if !more {
                return None;
            }
        }
    }

    /// Waits for a line; returns whether it came.
    pub(super) fn await_line(&mut self, line: &Line) -> bool {
        while let Some(heard) = self.hear() {
            if heard == *line {
                return true;
            }
        }
        false
    }

    /// All that it has heard, when nothing comes any more.
    pub(super) fn hear_all(&mut self) -> &[Line] {
        while self.hear().is_some() {}
        &self.heard
    }
}

/// Sends what TLS has to say; returns whether the broker took all of it.
fn send_sealed(end: &net::Client, state: &RefCell<ClientConnection>) -> bool {
    let mut sealed = Vec::new();
    while state.borrow().wants_write() {
        state.borrow_mut().write_tls(&mut sealed).unwrap();
    }
    end.send(&sealed)
}

/// Waits for something from the broker, and answers what TLS itself answers; returns whether more
/// may come.
fn exchange(end: &net::Client, state: &RefCell<ClientConnection>) -> bool {
    send_sealed(end, state);
    let mut sealed = Vec::new();
    let more = end.receive(&mut sealed);
    let mut records = &sealed[..];
    while !records.is_empty() {
        let mut state = state.borrow_mut();
        state.read_tls(&mut records).unwrap();
        // The broker's records are whole, and none is missing.
        state.process_new_packets().unwrap();
    }
    send_sealed(end, state);
    more
}

/// Bytes that a connection has room for: some of a frame, or all there is.
pub(super) fn any_room() -> usize {
    [40, 4_096][any(2) as usize]
}

fn line(body: &[u8]) -> Line {
    let frame: Value = serde_json::from_slice(body).unwrap();
    let text = |name: &str| frame[name].as_str().unwrap().to_owned();
    match frame["command"].as_str().unwrap() {
        "publish" if frame["message"]["reason"].is_string() => {
            Line::Letter(frame["message"]["seq"].as_u64().unwrap())
        }
        "publish" if frame["seq"].is_u64() => Line::Kept {
            seq: frame["seq"].as_u64().unwrap(),
            number: frame["message"].as_u64().unwrap(),
            attempt: frame["attempt"].as_u64().unwrap_or(1),
        },
        "done" => Line::Done,
        "publish" => Line::Message(text("topic"), frame["message"].as_u64().unwrap()),
        "dropped" => Line::Dropped(text("topic"), frame["count"].as_u64().unwrap()),
        "subscribed" => Line::Subscribed,
        "cancelled" => Line::Cancelled,
        "pong" => Line::Pong,
        "error" => Line::Error(text("code")),
        other => panic!("no model asks for {other}"),
    }
}
