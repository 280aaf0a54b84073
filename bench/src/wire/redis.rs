//! RESP: arrays of counted strings. Redis publishes with its replies switched off, or it would
//! answer every message.

use anyhow::{Result, bail};

use super::{Format, Role, Scanned, Wire, number_line};
use crate::payload::Payload;
use crate::stream::Message;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Redis;

fn put(words: &[&[u8]], out: &mut Vec<u8>) {
    out.extend(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend(format!("${}\r\n", word.len()).as_bytes());
        out.extend(*word);
        out.extend(b"\r\n");
    }
}

impl Wire for Redis {
    fn open(&self, role: Role<'_>, out: &mut Vec<u8>) {
        match role {
            Role::Publisher => out.extend(b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n"),
            Role::Subscriber(topic) => {
                let (command, topic) = match topic.strip_suffix('#') {
                    Some(above) => ("PSUBSCRIBE", format!("{above}*")),
                    None => ("SUBSCRIBE", topic.to_owned()),
                };
                put(&[command.as_bytes(), topic.as_bytes()], out);
            }
        }
    }

    fn is_open(&self, role: Role<'_>, answer: &[u8]) -> bool {
        match role {
            Role::Publisher => true,
            Role::Subscriber(_) => answer.ends_with(b":1\r\n"),
        }
    }

    fn publish(&self, topic: &str, payload: &Payload, _retain: bool, out: &mut Vec<u8>) {
        put(&[b"PUBLISH", topic.as_bytes(), &payload.json], out);
    }

    fn carry(&self, message: &Message, format: Format, out: &mut Vec<u8>) {
        put(&[b"PUBLISH", message.topic.as_bytes(), message.payload(format)], out);
    }

    fn scan(&self, bytes: &[u8]) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        'messages: loop {
            let rest = &bytes[scanned.consumed..];
            let Some(first) = rest.first() else { break };
            if *first != b'*' {
                bail!("Redis says {}", String::from_utf8_lossy(&rest[..rest.len().min(100)]));
            }
            let Some((strings, mut at)) = number_line(&rest[1..]) else { break };
            at += 1;
            for _ in 0..strings {
                // Past `$` or, in the answer to a subscription, `:`.
                let Some(line) = rest.get(at + 1..) else { break 'messages };
                let Some((length, taken)) = number_line(line) else { break 'messages };
                at += 1 + taken;
                if rest[at - taken - 1] == b'$' {
                    at += length + 2;
                }
            }
            if rest.len() < at {
                break;
            }
            scanned.consumed += at;
            scanned.messages += 1;
        }
        Ok(scanned)
    }
}
