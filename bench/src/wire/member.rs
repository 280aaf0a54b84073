//! babelmq's protocol for a client that logs in.

use anyhow::Result;
use serde_json::json;

use super::{Babelmq, Format, Role, Scanned, Wire};
use crate::payload::Payload;
use crate::stream::Message;

/// JSON, after a login.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) token: String,
    /// A subscription is answered with `limited`: a part of it is not allowed.
    pub(crate) is_limited: bool,
}

/// A login as a frame.
pub(crate) fn login(user: &str, password: &str) -> Vec<u8> {
    let body = json!({ "command": "login", "user": user, "password": password }).to_string();
    let mut out = Vec::new();
    super::babelmq::frame(Format::Json, body.as_bytes(), &mut out);
    out
}

impl Wire for Member {
    fn open(&self, role: Role<'_>, out: &mut Vec<u8>) {
        let body = json!({ "command": "login", "token": self.token }).to_string();
        super::babelmq::frame(Format::Json, body.as_bytes(), out);
        Babelmq::json().open(role, out);
    }

    fn is_open(&self, role: Role<'_>, answer: &[u8]) -> bool {
        let Ok(Scanned { messages, .. }) = self.scan(answer) else { return false };
        let is_limited = memchr::memmem::find(answer, br#""limited":true"#).is_some();
        match role {
            Role::Publisher => messages > 0,
            Role::Subscriber(_) => messages > 1 && is_limited == self.is_limited,
        }
    }

    fn publish(&self, topic: &str, payload: &Payload, retain: bool, out: &mut Vec<u8>) {
        Babelmq::json().publish(topic, payload, retain, out);
    }

    fn carry(&self, message: &Message, format: Format, out: &mut Vec<u8>) {
        Babelmq::json().carry(message, format, out);
    }

    fn scan(&self, bytes: &[u8]) -> Result<Scanned> {
        Babelmq::json().scan(bytes)
    }

    fn ping(&self, out: &mut Vec<u8>) {
        Babelmq::json().ping(out);
    }

    fn is_pong(&self, answer: &[u8]) -> bool {
        Babelmq::json().is_pong(answer)
    }
}
