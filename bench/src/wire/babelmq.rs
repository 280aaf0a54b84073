//! Five bytes of header, and a body in one of three formats.

use anyhow::{Result, bail};
pub(crate) use babelmq::Format;
use serde_json::{Value, json};

use super::{Role, Scanned, Wire};
use crate::payload::Payload;
use crate::pickle;
use crate::stream::Message;

const HEADER: usize = 5;

/// Publishes in one format and subscribes in another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Babelmq {
    pub(crate) producer: Format,
    pub(crate) consumer: Format,
}

impl Babelmq {
    pub(crate) fn json() -> Babelmq {
        Babelmq { producer: Format::Json, consumer: Format::Json }
    }
}

pub(crate) fn frame(format: Format, body: &[u8], out: &mut Vec<u8>) {
    out.push(format.byte());
    out.extend((body.len() as u32).to_be_bytes());
    out.extend(body);
}

impl Wire for Babelmq {
    fn open(&self, role: Role<'_>, out: &mut Vec<u8>) {
        let Role::Subscriber(topic) = role else { return };
        match self.consumer {
            Format::Xml => {
                let body = format!("<frame command=\"subscribe\" topic=\"{topic}\"/>");
                frame(Format::Xml, body.as_bytes(), out);
            }
            Format::Json => {
                let body = json!({ "command": "subscribe", "topic": topic });
                frame(Format::Json, body.to_string().as_bytes(), out);
            }
            Format::Pickle => {
                frame(
                    Format::Pickle,
                    &pickle::dumps(&json!({ "command": "subscribe", "topic": topic })),
                    out,
                );
            }
        }
    }

    fn is_open(&self, role: Role<'_>, answer: &[u8]) -> bool {
        match role {
            Role::Publisher => true,
            Role::Subscriber(_) => self.scan(answer).is_ok_and(|scanned| scanned.messages > 0),
        }
    }

    fn publish(&self, topic: &str, payload: &Payload, retain: bool, out: &mut Vec<u8>) {
        let _ = retain; // the default is to retain
        match self.producer {
            Format::Json => {
                let mut body =
                    format!("{{\"command\":\"publish\",\"topic\":\"{topic}\",\"message\":")
                        .into_bytes();
                body.extend(&payload.json);
                body.push(b'}');
                frame(Format::Json, &body, out);
            }
            Format::Pickle => {
                let message: &Value = &payload.value;
                let body = json!({ "command": "publish", "topic": topic, "message": message });
                frame(Format::Pickle, &pickle::dumps(&body), out);
            }
            Format::Xml => {
                let mut body =
                    format!("<frame command=\"publish\" topic=\"{topic}\">").into_bytes();
                body.extend(&payload.xml);
                body.extend(b"</frame>");
                frame(Format::Xml, &body, out);
            }
        }
    }

    fn carry(&self, message: &Message, format: Format, out: &mut Vec<u8>) {
        out.push(format.byte());
        let start = out.len();
        out.extend([0; 4]);
        message.write_body(format, out);
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn scan(&self, bytes: &[u8]) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        while let Some((header, rest)) = bytes[scanned.consumed..].split_first_chunk::<HEADER>() {
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
            let Some(body) = rest.get(..length) else { break };
            // The other formats are looked at when messages are missing: an error is no delivery
            // less.
            if body.starts_with(b"{\"command\":\"e") {
                bail!("babelmq says {}", String::from_utf8_lossy(body));
            }
            scanned.consumed += HEADER + length;
            scanned.messages += 1;
        }
        Ok(scanned)
    }

    fn ping(&self, out: &mut Vec<u8>) {
        frame(Format::Json, br#"{"command":"ping"}"#, out);
    }

    fn is_pong(&self, answer: &[u8]) -> bool {
        self.scan(answer).is_ok_and(|scanned| scanned.messages > 0)
    }
}
