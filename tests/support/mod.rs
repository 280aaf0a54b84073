//! A raw client for the black-box tests: it knows the wire from the contract alone, and reads what
//! the broker writes with parsers that are not the broker's.

#![allow(dead_code, reason = "each program of tests uses its own part of it")]
#![allow(unreachable_pub, missing_docs)]

#[cfg(feature = "tls")]
pub mod authority;
pub mod backbone;
pub mod cluster;
pub mod line;
pub mod mqtt;
pub mod nats;
pub mod plain_nats;
pub mod process;
pub mod proxy;
pub mod python;
pub mod random;
pub mod served;
pub mod websocket;
pub mod xml;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::broker::Use;
use babelmq::{Broker, BrokerHandle, Config, Format};

use line::Line;

/// Nothing that a test waits for takes as long as this; where it does the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const FORMATS: [Format; 3] = [Json, Xml, Pickle];

/// A configuration of a broker that listens for the kind of connection that the test is run over.
pub fn config() -> Config {
    line::config()
}

pub fn start() -> BrokerHandle {
    Broker::start(config()).unwrap()
}

/// Bytes of the broker's memory that are claimed for a use.
pub fn claimed(broker: &BrokerHandle, of: Use) -> u64 {
    let mut claimed = broker.stats().memory_claimed();
    claimed.find(|(name, _)| *name == of.name()).unwrap().1
}

/// A field of a message to the broker. A payload is spelled in the format of its frame.
#[derive(Clone, Copy)]
pub enum Field<'a> {
    Str(&'a str),
    Bool(bool),
    Int(i64),
    /// JSON text, a whole XML element, or opcodes without PROTO and STOP.
    Raw(&'a [u8]),
}

use Field::{Bool, Int, Raw, Str};

/// A message body, written by hand.
pub fn body(format: Format, fields: &[(&str, Field<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    match format {
        Json => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, field)| match field {
                    Str(text) => format!("{name:?}:{}", serde_json::to_string(text).unwrap()),
                    Bool(truth) => format!("{name:?}:{truth}"),
                    Int(number) => format!("{name:?}:{number}"),
                    Raw(raw) => format!("{name:?}:{}", str::from_utf8(raw).unwrap()),
                })
                .collect();
            out.extend_from_slice(format!("{{{}}}", fields.join(",")).as_bytes());
        }
        Xml => {
            out.extend_from_slice(b"<f");
            for (name, field) in fields {
                let value = match field {
                    Str(text) => xml::escape(text),
                    Bool(truth) => truth.to_string(),
                    Int(number) => number.to_string(),
                    Raw(_) => continue,
                };
                out.extend_from_slice(format!(" {name}=\"{value}\"").as_bytes());
            }
            out.push(b'>');
            for (_, field) in fields {
                if let Raw(raw) = field {
                    out.extend_from_slice(raw);
                }
            }
            out.extend_from_slice(b"</f>");
        }
        Pickle => {
            out.extend_from_slice(b"\x80\x02}(");
            for (name, field) in fields {
                out.extend_from_slice(&python::unicode(name));
                match field {
                    Str(text) => out.extend_from_slice(&python::unicode(text)),
                    Bool(truth) => out.push(if *truth { 0x88 } else { 0x89 }),
                    // LONG1 of eight bytes takes any i64.
                    Int(number) => {
                        out.extend_from_slice(b"\x8a\x08");
                        out.extend_from_slice(&number.to_le_bytes());
                    }
                    Raw(raw) => out.extend_from_slice(raw),
                }
            }
            out.extend_from_slice(b"u.");
        }
    }
    out
}

/// A frame around a body, whatever the body is.
pub fn frame(format: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![format];
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

/// The frame of a `publish`; the payload is spelled as [`Raw`] is.
pub fn publish(format: Format, topic: &str, message: &[u8]) -> Vec<u8> {
    let fields = [("command", Str("publish")), ("topic", Str(topic)), ("message", Raw(message))];
    frame(format.byte(), &body(format, &fields))
}

/// A payload that says a number, spelled as [`Raw`] is.
pub fn number(format: Format, number: i64) -> Vec<u8> {
    match format {
        Json => number.to_string().into_bytes(),
        Xml => format!("<message type=\"int\">{number}</message>").into_bytes(),
        Pickle => [b"\x8a\x08", &number.to_le_bytes()[..]].concat(),
    }
}

/// A payload that is a text of nothing that needs to be escaped, spelled as [`Raw`] is.
pub fn text(format: Format, text: &str) -> Vec<u8> {
    match format {
        Json => format!("\"{text}\"").into_bytes(),
        Xml => format!("<message>{text}</message>").into_bytes(),
        Pickle => python::unicode(text),
    }
}

/// A frame from the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub format: Format,
    pub body: Vec<u8>,
}

impl Frame {
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// The fields other than `message`, as text: strings by themselves, everything else as its
    /// format writes it.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let mut fields = match self.format {
            Json => {
                let all = json_entries(&self.body);
                let text = |raw: &str| serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
                all.into_iter().map(|(name, raw)| (name, text(raw.get()))).collect()
            }
            Xml => xml::fields(self.text()),
            Pickle => python::fields(&self.body),
        };
        fields.remove("message");
        fields
    }

    pub fn field(&self, name: &str) -> String {
        let fields = self.fields();
        fields.get(name).unwrap_or_else(|| panic!("no {name} in {fields:?}")).clone()
    }

    /// The payload: JSON text as it stands, the XML element as it stands, or the pickled value as
    /// Python's `repr`.
    pub fn message(&self) -> String {
        self.try_message().unwrap_or_else(|| panic!("no message in {:?}", self.fields()))
    }

    pub fn try_message(&self) -> Option<String> {
        match self.format {
            Json => json_entries(&self.body).get("message").map(|message| message.get().to_owned()),
            Xml => xml::child(self.text(), "message"),
            Pickle => {
                python::only_data_opcodes(&self.body);
                python::entry(&self.body, "message")
            }
        }
    }

    /// The number that the payload says.
    pub fn number(&self) -> i64 {
        let message = self.message();
        let digits = message.strip_prefix("<message type=\"int\">").unwrap_or(&message);
        digits
            .strip_suffix("</message>")
            .unwrap_or(digits)
            .parse()
            .unwrap_or_else(|_| panic!("{message:?}"))
    }

    /// Fails unless the frame says this and nothing else.
    #[track_caller]
    pub fn says(&self, expected: &[(&str, &str)]) {
        let expected =
            expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        assert_eq!(self.fields(), expected.collect(), "{:?}", self.format);
    }

    /// Fails unless the frame is an `error` with this code that ends the connection or does not.
    #[track_caller]
    pub fn refuses(&self, code: &str, fatal: bool) {
        let fields = self.fields();
        let found = |name: &str| fields.get(name).map(String::as_str);
        // A pickled boolean is spelled as Python spells it.
        let expected = match (self.format, fatal) {
            (Pickle, true) => "True",
            (Pickle, false) => "False",
            (_, true) => "true",
            (_, false) => "false",
        };
        assert_eq!(
            (found("command"), found("code"), found("fatal")),
            (Some("error"), Some(code), Some(expected)),
            "{fields:?}"
        );
        assert!(found("reason").is_some_and(|reason| reason.len() > 10), "{fields:?}");
    }
}

/// Numbers may be longer than serde_json can read, so every entry stays as it is spelled.
fn json_entries(body: &[u8]) -> BTreeMap<String, Box<serde_json::value::RawValue>> {
    serde_json::from_slice(body)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}

/// A connection that sends and reads frames, and judges nothing.
pub struct Client {
    line: Line,
}

impl Client {
    pub fn connect(broker: &BrokerHandle) -> Client {
        Client { line: Line::connect(broker) }
    }

    pub fn to(address: SocketAddr) -> Client {
        Client::of(TcpStream::connect(address).unwrap())
    }

    /// The same, by TLS.
    pub fn to_tls(address: SocketAddr) -> Client {
        Client { line: Line::tls(address) }
    }

    /// The other end of a connection: what a test needs to be the broker itself.
    pub fn of(stream: TcpStream) -> Client {
        Client { line: Line::plain(stream) }
    }

    /// A client of a Unix socket.
    pub fn of_unix(path: &Path) -> Client {
        Client::of_descriptor(UnixStream::connect(path).unwrap().into())
    }

    /// The same of a socket that is connected, or its other end.
    pub fn of_descriptor(socket: OwnedFd) -> Client {
        // To whoever only reads and writes, a socket is a socket.
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { line: Line::Plain(Arc::new(stream)) }
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.stream().local_addr().unwrap()
    }

    pub fn stream(&self) -> &TcpStream {
        self.line.socket()
    }

    /// The same connection, to read from one thread and write from another.
    pub fn share(&self) -> Client {
        Client { line: self.line.clone() }
    }

    /// Sends bytes, whatever they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        (&self.line).write_all(bytes).unwrap();
    }

    /// Sends bytes that the broker may not want any more.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        (&self.line).write_all(bytes)
    }

    /// Sends a frame but for so many bytes of its end as it is on its way: of a record, where the
    /// connection is sealed.
    pub fn send_without_the_last(&mut self, frame: &[u8], missing: usize) {
        self.line.send_without_the_last(frame, missing);
    }

    /// Reads whatever comes next; returns 0 where nothing does.
    pub fn read_some(&mut self, into: &mut Vec<u8>) -> usize {
        let mut bytes = [0; 4_096];
        let count = (&self.line).read(&mut bytes).unwrap_or(0);
        into.extend_from_slice(&bytes[..count]);
        count
    }

    /// Sends a body in a frame.
    pub fn send(&mut self, format: Format, body: &[u8]) {
        self.send_raw(&frame(format.byte(), body));
    }

    pub fn command(&mut self, format: Format, fields: &[(&str, Field<'_>)]) {
        self.send(format, &body(format, fields));
    }

    pub fn publish(&mut self, format: Format, topic: &str, message: &[u8]) {
        self.send_raw(&publish(format, topic, message));
    }

    /// The next frame, or `None` at the end of the connection. A reset, or an end within a frame,
    /// fails the test.
    pub fn next_or_end(&mut self) -> Option<Frame> {
        let mut header = [0; 5];
        let mut have = 0;
        while have < header.len() {
            match (&self.line).read(&mut header[have..]) {
                Ok(0) if have == 0 => return None,
                Ok(0) => panic!("the connection ends within a header"),
                Ok(count) => have += count,
                // A signal to the test itself.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("instead of a frame: {error}"),
            }
        }
        let format = Format::from_byte(header[0]).expect("a format byte");
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![0; length as usize];
        (&self.line).read_exact(&mut body).expect("the rest of the frame");
        Some(Frame { format, body })
    }

    #[track_caller]
    pub fn next(&mut self) -> Frame {
        self.next_or_end().expect("a frame, and not the end of the connection")
    }

    /// Fails unless the connection ends here, and not with a reset.
    #[track_caller]
    pub fn ends(&mut self) {
        if let Some(frame) = self.next_or_end() {
            panic!("{:?}", String::from_utf8_lossy(&frame.body));
        }
    }

    /// Sends a ping and returns what came before its pong.
    pub fn flush(&mut self, format: Format) -> Vec<Frame> {
        self.command(format, &[("command", Str("ping")), ("id", Str("flush"))]);
        let mut before = Vec::new();
        loop {
            let frame = self.next();
            let fields = frame.fields();
            if fields["command"] == "pong" {
                assert_eq!((frame.format, fields["id"].as_str()), (format, "flush"));
                return before;
            }
            before.push(frame);
        }
    }

    /// Fails unless the broker answers a ping, and has sent nothing before.
    #[track_caller]
    pub fn is_quiet(&mut self) {
        let before = self.flush(Json);
        assert_eq!(before, [], "{:?}", before.iter().map(Frame::fields).collect::<Vec<_>>());
    }

    /// Subscribes and returns the stored values.
    pub fn subscribe(&mut self, format: Format, topic: &str) -> Vec<Frame> {
        self.subscribe_with(format, topic, &[])
    }

    pub fn subscribe_with(
        &mut self,
        format: Format,
        topic: &str,
        options: &[(&str, Field<'_>)],
    ) -> Vec<Frame> {
        let fields = [&[("command", Str("subscribe")), ("topic", Str(topic))], options].concat();
        self.command(format, &fields);
        let mut stored = Vec::new();
        loop {
            let frame = self.next();
            if frame.field("command") == "subscribed" {
                let values = stored.len().to_string();
                frame.says(&[("command", "subscribed"), ("topic", topic), ("values", &values)]);
                return stored;
            }
            assert_eq!(frame.field("command"), "publish", "{:?}", frame.fields());
            stored.push(frame);
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) {
        self.line.finish();
    }
}
