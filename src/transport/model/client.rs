//! A client of a model, in JSON.

use serde_json::Value;

use crate::broker::sync::world::any;
use crate::protocol::{Format, HEADER_LEN, Header};
use crate::transport::line::{Unsealed, seal};
use crate::transport::net;

/// The frames that it hears, one each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Message(String, u64),
    Dropped(String, u64),
    Subscribed,
    Cancelled,
    Pong,
    Error(String),
}

pub(super) struct Client {
    end: net::Client,
    /// Where its connection is sealed.
    unsealed: Option<Unsealed>,
    /// The outcome of the next frame.
    bytes: Vec<u8>,
    /// All that it has heard.
    pub(super) heard: Vec<Line>,
}

impl Client {
    /// One whose end is sealed or not.
    pub(super) fn new(end: net::Client, is_sealed: bool) -> Client {
        let unsealed = is_sealed.then(Unsealed::default);
        Client { end, unsealed, bytes: Vec::new(), heard: Vec::new() }
    }

    /// One that has connected, with room for much that it has not read.
    pub(super) fn connect() -> Client {
        Client::connect_with(4_096)
    }

    /// The same, with so much room.
    pub(super) fn connect_with(room: usize) -> Client {
        Client::new(net::connect(room), net::is_sealed())
    }

    /// Sends a frame; returns whether the broker took all of it.
    pub(super) fn send(&self, body: &str) -> bool {
        let header = Header { format: Format::Json, length: body.len() as u32 };
        self.send_bytes(&[&header.to_bytes(), body.as_bytes()].concat())
    }

    pub(super) fn send_bytes(&self, bytes: &[u8]) -> bool {
        if self.unsealed.is_none() {
            return self.end.send(bytes);
        }
        let mut sealed = Vec::new();
        seal(bytes, &mut sealed);
        self.end.send(&sealed)
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
            let more = match &mut self.unsealed {
                None => self.end.receive(&mut self.bytes),
                Some(unsealed) => {
                    let mut sealed = Vec::new();
                    let more = self.end.receive(&mut sealed);
                    unsealed.take_in(&sealed);
                    self.bytes.append(&mut unsealed.plain);
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

/// Bytes that a connection has room for: some of a frame, or all there is.
pub(super) fn any_room() -> usize {
    [40, 4_096][any(2) as usize]
}

fn line(body: &[u8]) -> Line {
    let frame: Value = serde_json::from_slice(body).unwrap();
    let text = |name: &str| frame[name].as_str().unwrap().to_owned();
    match frame["command"].as_str().unwrap() {
        "publish" => Line::Message(text("topic"), frame["message"].as_u64().unwrap()),
        "dropped" => Line::Dropped(text("topic"), frame["count"].as_u64().unwrap()),
        "subscribed" => Line::Subscribed,
        "cancelled" => Line::Cancelled,
        "pong" => Line::Pong,
        "error" => Line::Error(text("code")),
        other => panic!("no model asks for {other}"),
    }
}
