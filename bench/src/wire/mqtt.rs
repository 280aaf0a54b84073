//! MQTT 3.1.1: a type, a length in a varint, and the rest. Quality of service 0.

use anyhow::Result;

use super::{Format, Role, Scanned, Wire};
use crate::payload::Payload;
use crate::stream::Message;

const PUBLISH: u8 = 0x30;
const RETAIN: u8 = 0x01;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Mqtt;

fn packet(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    out.push(kind);
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            out.push(low);
            break;
        }
        out.push(low | 0x80);
    }
    parts.iter().for_each(|part| out.extend(*part));
}

fn length_of(text: &str) -> [u8; 2] {
    (text.len() as u16).to_be_bytes()
}

/// The types of the whole packets in some bytes, and where each ends.
fn packets(bytes: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &bytes[at..];
        let mut length = 0_usize;
        for place in 0..4 {
            let byte = *rest.get(1 + place)?;
            length |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                let whole = 2 + place + length;
                at += (rest.len() >= whole).then_some(whole)?;
                return Some((rest[0] & 0xf0, at));
            }
        }
        None
    })
}

impl Wire for Mqtt {
    fn open(&self, role: Role<'_>, out: &mut Vec<u8>) {
        // Level 4, a clean session, no keep-alive, and an empty name: the broker makes one up.
        packet(0x10, &[&[0, 4], b"MQTT", &[4, 0x02, 0, 0, 0, 0]], out);
        if let Role::Subscriber(topic) = role {
            packet(0x82, &[&[0, 1], &length_of(topic), topic.as_bytes(), &[0]], out);
        }
    }

    fn is_open(&self, role: Role<'_>, answer: &[u8]) -> bool {
        let awaited = match role {
            Role::Publisher => 0x20,
            Role::Subscriber(_) => 0x90,
        };
        packets(answer).any(|(kind, _)| kind == awaited)
    }

    fn publish(&self, topic: &str, payload: &Payload, retain: bool, out: &mut Vec<u8>) {
        let kind = if retain { PUBLISH | RETAIN } else { PUBLISH };
        packet(kind, &[&length_of(topic), topic.as_bytes(), &payload.json], out);
    }

    fn carry(&self, message: &Message, format: Format, out: &mut Vec<u8>) {
        let Message { topic, .. } = message;
        let payload = message.payload(format);
        packet(PUBLISH, &[&length_of(topic), topic.as_bytes(), payload], out);
    }

    fn scan(&self, bytes: &[u8]) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        for (kind, end) in packets(bytes) {
            scanned.messages += u64::from(kind == PUBLISH);
            scanned.consumed = end;
        }
        Ok(scanned)
    }

    fn ping(&self, out: &mut Vec<u8>) {
        packet(0xc0, &[], out);
    }

    fn is_pong(&self, answer: &[u8]) -> bool {
        packets(answer).any(|(kind, _)| kind == 0xd0)
    }
}
