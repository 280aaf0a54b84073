//! The opening handshake of a WebSocket (RFC 6455 §4.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::problem::Problem;
use super::request::Head;
use super::response::Response;

/// The version of the protocol.
const VERSION: &str = "13";
/// What the answer to a key is made with (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key.
const KEY: usize = 16;

/// How messages of a WebSocket become frames of babelmq's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subprotocol {
    /// The payloads of binary messages, one behind the other, are the stream of frames.
    Native,
    /// Each text message is the body of a frame in JSON.
    Json,
}

/// What is spoken behind a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// The broker's own protocol.
    Own(Subprotocol),
    /// MQTT: the payloads of binary messages, one behind the other, are its packets (MQTT 5, 6.0).
    Mqtt,
}

/// A handshake that can be answered.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) spoken: Spoken,
    key: String,
}

impl Spoken {
    /// All of them.
    const ALL: [Spoken; 3] =
        [Spoken::Own(Subprotocol::Native), Spoken::Own(Subprotocol::Json), Spoken::Mqtt];

    /// Its name in a handshake.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Spoken::Own(Subprotocol::Native) => "babelmq",
            Spoken::Own(Subprotocol::Json) => "babelmq.json",
            Spoken::Mqtt => "mqtt",
        }
    }
}

impl Handshake {
    /// The handshake that a request is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of(head: &Head) -> Result<Handshake, Problem> {
        let has =
            |name: &str, word: &[u8]| head.list(name).any(|item| item.eq_ignore_ascii_case(word));
        if !has("upgrade", b"websocket") {
            return Err(upgrade_required("here are WebSockets: say Upgrade: websocket"));
        }
        if !has("connection", b"upgrade") {
            let what = "a handshake says Connection: Upgrade; is there a proxy that drops it?";
            return Err(Problem::new(400, what));
        }
        if head.method != "GET" || head.has_body() {
            return Err(Problem::new(400, "a handshake is a GET without a body"));
        }
        if head.text("sec-websocket-version") != Some(VERSION) {
            return Err(upgrade_required("13 is the only version of WebSocket that is known"));
        }
        let key = head.text("sec-websocket-key").unwrap_or_default();
        if STANDARD.decode(key).map(|key| key.len()) != Ok(KEY) {
            let what = "Sec-WebSocket-Key is 16 bytes in base64, once";
            return Err(Problem::new(400, what));
        }
        let offered = || head.list("sec-websocket-protocol");
        let known = offered()
            .find_map(|name| Spoken::ALL.into_iter().find(|known| known.name().as_bytes() == name));
        let spoken = known.ok_or_else(|| {
            let what = match offered().next() {
                None => {
                    "Sec-WebSocket-Protocol says what is spoken: babelmq (binary), babelmq.json \
                     (text) or mqtt"
                }
                Some(_) => {
                    "the subprotocols that are known are babelmq (binary), babelmq.json (text) \
                     and mqtt"
                }
            };
            Problem::new(400, what)
        })?;
        Ok(Handshake { spoken, key: key.to_owned() })
    }

    /// The answer behind which frames of WebSocket follow.
    pub(crate) fn response(&self) -> Response {
        let digest = Sha1::new().chain_update(&self.key).chain_update(GUID).finalize();
        Response::new(101)
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")
            .with("Sec-WebSocket-Accept", STANDARD.encode(digest))
            .with("Sec-WebSocket-Protocol", self.spoken.name())
    }
}

fn upgrade_required(what: &str) -> Problem {
    Problem::new(426, what)
        .with("Upgrade", "websocket")
        .with("Connection", "Upgrade")
        .with("Sec-WebSocket-Version", VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A handshake of which one field has another value, or is missing where that is empty.
    fn handshake(change: (&str, &str)) -> Result<Handshake, Response> {
        let mut text = "GET /ws HTTP/1.1\r\n".to_owned();
        let fields = [
            ("Host", "server.example.com"),
            ("Upgrade", "h2c, WebSocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "amqp, babelmq.json, babelmq"),
            ("Sec-WebSocket-Version", "13"),
        ];
        for (name, usual) in fields {
            let value = if name == change.0 { change.1 } else { usual };
            if !value.is_empty() {
                text += &format!("{name}: {value}\r\n");
            }
        }
        text += "\r\n";
        let (head, _) = Head::parse(text.as_bytes()).unwrap();
        Handshake::of(&head).map_err(Problem::response)
    }

    #[test]
    fn a_handshake_is_answered_as_in_the_rfc() {
        let handshake = handshake(("", "")).unwrap();
        // The first of the client's that is known.
        assert_eq!(handshake.spoken, Spoken::Own(Subprotocol::Json));
        let response = handshake.response();
        assert_eq!(response.status(), 101);
        let accept = response.field("Sec-WebSocket-Accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let head = String::from_utf8(response.head(true, "now")).unwrap();
        assert_eq!(head.matches("Connection:").count(), 1, "{head}");
        assert!(!head.contains("Content-Length"), "{head}");
    }

    #[test]
    fn what_is_no_handshake_is_refused_with_what_would_be_one() {
        for (name, value, status, says) in [
            ("Upgrade", "", 426, "Upgrade: websocket"),
            ("Upgrade", "h2c", 426, "Upgrade: websocket"),
            ("Connection", "", 400, "Connection: Upgrade"),
            ("Connection", "keep-alive", 400, "Connection: Upgrade"),
            ("Sec-WebSocket-Version", "", 426, "13"),
            ("Sec-WebSocket-Version", "8", 426, "13"),
            ("Sec-WebSocket-Key", "", 400, "16 bytes"),
            ("Sec-WebSocket-Key", "c2hvcnQ=", 400, "16 bytes"),
            ("Sec-WebSocket-Key", "no base64", 400, "16 bytes"),
            ("Sec-WebSocket-Protocol", "", 400, "babelmq.json"),
            ("Sec-WebSocket-Protocol", "amqp, BABELMQ", 400, "are known are babelmq"),
        ] {
            let response = handshake((name, value)).unwrap_err();
            let body = String::from_utf8_lossy(response.body()).into_owned();
            assert_eq!(response.status(), status, "{name}: {value}: {body}");
            assert!(body.contains(says), "{name}: {value}: {body}");
            if status == 426 {
                assert_eq!(response.field("Sec-WebSocket-Version"), Some("13"));
            }
        }
    }
}
