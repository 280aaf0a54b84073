//! RESP: arrays of counted strings. Redis publishes with its replies switched off, or it would
//! answer every message.

use anyhow::{Result, bail};

use super::{Role, Scanned, Wire, number_line};
use crate::payload::Payload;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Redis;

impl Wire for Redis {
    fn open(&self, role: Role<'_>, out: &mut Vec<u8>) {
        match role {
            Role::Publisher => out.extend(b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n"),
            Role::Subscriber(topic) => {
                out.extend(
                    format!("*2\r\n$9\r\nSUBSCRIBE\r\n${}\r\n{topic}\r\n", topic.len()).as_bytes(),
                );
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
        let head = format!(
            "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{topic}\r\n${}\r\n",
            topic.len(),
            payload.json.len()
        );
        out.extend(head.as_bytes());
        out.extend(&payload.json);
        out.extend(b"\r\n");
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
