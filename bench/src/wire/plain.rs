//! What the bare relay and the CPython translator carry: a header as long as babelmq's, and the
//! payload alone.

use anyhow::Result;

use super::{Babelmq, Format, Role, Scanned, Wire};
use crate::payload::Payload;
use crate::stream::Message;

/// Publishes payloads in that spelling.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain(pub(crate) Format);

impl Plain {
    pub(crate) fn json() -> Plain {
        Plain(Format::Json)
    }
}

/// The first byte of a connection that takes, and of one that gives; and the answer to the former.
pub(crate) const SUBSCRIBER: u8 = b'S';
pub(crate) const PUBLISHER: u8 = b'P';
pub(crate) const TAKEN_IN: u8 = b'K';

fn put(format: Format, payload: &[u8], out: &mut Vec<u8>) {
    out.push(format.byte());
    out.extend((payload.len() as u32).to_be_bytes());
    out.extend(payload);
}

impl Wire for Plain {
    fn open(&self, role: Role<'_>, out: &mut Vec<u8>) {
        out.push(match role {
            Role::Publisher => PUBLISHER,
            Role::Subscriber(_) => SUBSCRIBER,
        });
    }

    fn is_open(&self, role: Role<'_>, answer: &[u8]) -> bool {
        match role {
            Role::Publisher => true,
            Role::Subscriber(_) => answer == [TAKEN_IN],
        }
    }

    fn publish(&self, _topic: &str, payload: &Payload, _retain: bool, out: &mut Vec<u8>) {
        let bytes = match self.0 {
            Format::Json => &payload.json,
            Format::Pickle => &payload.pickle,
            Format::Xml => &payload.xml,
        };
        put(self.0, bytes, out);
    }

    fn carry(&self, message: &Message, format: Format, out: &mut Vec<u8>) {
        put(format, message.payload(format), out);
    }

    fn scan(&self, bytes: &[u8]) -> Result<Scanned> {
        Babelmq::json().scan(bytes)
    }
}
