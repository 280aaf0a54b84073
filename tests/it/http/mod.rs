//! HTTP: what is asked of the broker by it, over plain TCP and over TLS.
#![cfg(feature = "broker")]

mod api;
mod events;
mod limits;
pub mod monitor;
mod requests;
mod streams;
mod users;

use std::io::{Read, Write};

use babelmq::{Broker, BrokerHandle, Config, ListenUrl};

use crate::support::line::{Kind, Line, kind};

/// A configuration of a broker that listens for its own protocol and for HTTP, of the test's kind.
pub fn config() -> Config {
    let url = |text: &str| text.parse::<ListenUrl>().unwrap();
    let config = crate::support::config();
    match kind() {
        Kind::Plain => config.listeners([url("127.0.0.1:0"), url("http://127.0.0.1:0")]),
        Kind::WebSocket => unreachable!("it is tested by itself"),
        Kind::Tls => config.listeners([url("tls://127.0.0.1:0"), url("https://127.0.0.1:0")]),
    }
}

pub fn start(change: impl FnOnce(Config) -> Config) -> BrokerHandle {
    Broker::start(change(config())).unwrap()
}

/// A client that speaks HTTP.
pub struct Web {
    line: Line,
    /// What was read and is not understood yet.
    ahead: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?} is no JSON"))
    }

    /// It is a problem with this status, and this code of the broker.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"].as_str().unwrap_or_default(), code, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{problem}");
    }
}

impl Web {
    pub fn connect(broker: &BrokerHandle) -> Web {
        let address = broker.http_addr();
        let line = match kind() {
            Kind::Plain => Line::plain(std::net::TcpStream::connect(address).unwrap()),
            Kind::Tls | Kind::WebSocket => Line::tls(address),
        };
        Web { line, ahead: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        (&self.line).write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request with these lines of fields; its length is said where there is a body.
    pub fn request(&mut self, line: &str, fields: &str, body: &[u8]) {
        let length = match body {
            [] => String::new(),
            body => format!("Content-Length: {}\r\n", body.len()),
        };
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{length}{fields}\r\n");
        self.send([head.as_bytes(), body].concat());
    }

    fn read(&mut self) -> bool {
        let mut bytes = vec![0; 64 << 10];
        let count = (&self.line).read(&mut bytes).unwrap_or(0);
        self.ahead.extend_from_slice(&bytes[..count]);
        count > 0
    }

    /// The head that comes next, without its empty line; `None` where the connection has ended.
    pub fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.ahead.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<u8> = self.ahead.drain(..end + 4).take(end).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            if !self.read() {
                assert!(self.ahead.is_empty(), "{}", self.ahead.escape_ascii());
                return None;
            }
        }
    }

    /// The event that comes next, without its empty line and without comments; `None` where the
    /// connection has ended.
    pub fn event(&mut self) -> Option<String> {
        // What was searched is not searched again.
        let mut searched = 0;
        loop {
            let rest = &self.ahead[searched..];
            if let Some(end) = rest.windows(2).position(|bytes| bytes == b"\n\n") {
                let end = searched + end;
                let event: Vec<u8> = self.ahead.drain(..end + 2).take(end).collect();
                searched = 0;
                if event.starts_with(b":") {
                    continue;
                }
                return Some(String::from_utf8(event).unwrap());
            }
            searched = self.ahead.len().saturating_sub(1);
            if !self.read() {
                assert!(self.ahead.is_empty(), "{} bytes of an event", self.ahead.len());
                return None;
            }
        }
    }

    /// The answer to a request that wanted its body too.
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET").expect("the connection has ended")
    }

    pub fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let head = self.head()?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.field("content-length").map_or(0, |length| length.parse().unwrap());
        let length: usize = if method == "HEAD" { 0 } else { length };
        while self.ahead.len() < length {
            assert!(self.read(), "the body is cut off");
        }
        answer.body = self.ahead.drain(..length).collect();
        Some(answer)
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.request(&format!("GET {target}"), "", b"");
        self.answer()
    }

    /// Publishes JSON.
    pub fn publish(&mut self, topic: &str, message: &str) -> Answer {
        let line = format!("POST /api/v1/publish?topic={topic}");
        self.request(&line, "Content-Type: application/json\r\n", message.as_bytes());
        self.answer()
    }

    /// Whether the broker has ended the connection, and nothing comes before that.
    pub fn is_over(&mut self) -> bool {
        self.head().is_none()
    }
}
