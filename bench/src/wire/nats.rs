//! Lines of text, and a payload after some of them.

use anyhow::{Result, bail};

use super::{Format, Role, Scanned, Wire};
use crate::payload::Payload;
use crate::stream::Message;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Nats;

fn put(subject: &str, payload: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("PUB {subject} {}\r\n", payload.len()).as_bytes());
    out.extend(payload);
    out.extend(b"\r\n");
}

impl Wire for Nats {
    fn begins_in_plain(&self) -> bool {
        true
    }

    fn open(&self, role: Role<'_>, out: &mut Vec<u8>) {
        out.extend(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
        if let Role::Subscriber(topic) = role {
            let subject = topic.replace("/#", ".>");
            out.extend(format!("SUB {subject} 1\r\n").as_bytes());
        }
        out.extend(b"PING\r\n");
    }

    fn is_open(&self, _role: Role<'_>, answer: &[u8]) -> bool {
        memchr::memmem::find(answer, b"PONG\r\n").is_some()
    }

    fn publish(&self, topic: &str, payload: &Payload, _retain: bool, out: &mut Vec<u8>) {
        put(topic, &payload.json, out);
    }

    fn carry(&self, message: &Message, format: Format, out: &mut Vec<u8>) {
        put(&message.topic.replace('/', "."), message.payload(format), out);
    }

    fn scan(&self, bytes: &[u8]) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        loop {
            let rest = &bytes[scanned.consumed..];
            let Some(end) = memchr::memchr(b'\n', rest) else { break };
            match rest[0] {
                b'M' => {
                    let line = &rest[..=end];
                    let last = memchr::memrchr(b' ', line).map_or(0, |at| at + 1);
                    let length = super::number_line(&line[last..]).map_or(0, |(length, _)| length);
                    let whole = end + 1 + length + 2;
                    if rest.len() < whole {
                        break;
                    }
                    scanned.consumed += whole;
                    scanned.messages += 1;
                }
                b'-' => bail!("NATS says {}", String::from_utf8_lossy(&rest[..end])),
                _ => scanned.consumed += end + 1,
            }
        }
        Ok(scanned)
    }

    fn ping(&self, out: &mut Vec<u8>) {
        out.extend(b"PING\r\n");
    }

    fn is_pong(&self, answer: &[u8]) -> bool {
        memchr::memmem::find(answer, b"PONG\r\n").is_some()
    }
}
