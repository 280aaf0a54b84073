//! MQTT 3.1.1: a type, a length in a varint, and the rest.

use anyhow::{Context, Result, bail, ensure};

use super::{Format, Role, Scanned, Wire};
use crate::payload::Payload;
use crate::stream::Message;

const PUBLISH: u8 = 0x30;
const RETAIN: u8 = 0x01;
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x60;
const PUBCOMP: u8 = 0x70;

/// Quality of service 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mqtt;

/// Messages that are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assured {
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

/// What some bytes brought to one end of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brought {
    pub(crate) messages: u64,
    /// Messages of one's own that the broker is done with.
    pub(crate) settled: u64,
    /// The rest is the beginning of what has not arrived in full.
    pub(crate) consumed: usize,
}

impl Assured {
    pub(crate) fn subscribe(self, topic: &str, out: &mut Vec<u8>) {
        connect(out);
        subscribe(topic, self as u8, out);
    }

    pub(crate) fn publish(self, topic: &str, number: u16, payload: &Payload, out: &mut Vec<u8>) {
        let kind = PUBLISH | (self as u8) << 1;
        let parts = [&length_of(topic), topic.as_bytes(), &number.to_be_bytes(), &payload.json];
        packet(kind, &parts, out);
    }

    /// Takes in what the broker sent, and writes what has to be answered.
    pub(crate) fn take(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Brought> {
        let mut brought = Brought::default();
        for (_, end) in packets(bytes) {
            let packet = &bytes[brought.consumed..end];
            match packet[0] & 0xf0 {
                PUBLISH => {
                    brought.messages += 1;
                    ensure!(packet[0] & 0x06 == (self as u8) << 1, "not of the QoS asked for");
                    let (kind, number) = match self {
                        Assured::AtLeastOnce => (PUBACK, number_of_message(packet)?),
                        Assured::ExactlyOnce => (PUBREC, number_of_message(packet)?),
                    };
                    out.extend([kind, 2, number[0], number[1]]);
                }
                PUBACK | PUBCOMP => brought.settled += 1,
                PUBREC => out.extend([PUBREL | 2, 2, packet[2], packet[3]]),
                PUBREL => out.extend([PUBCOMP, 2, packet[2], packet[3]]),
                kind => bail!("a packet of type {kind:#x} where messages are expected"),
            }
            brought.consumed = end;
        }
        Ok(brought)
    }
}

/// The Packet Identifier of a whole PUBLISH.
fn number_of_message(packet: &[u8]) -> Result<[u8; 2]> {
    let length = packet[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let body = packet.get(1 + length..).context("no body")?;
    let (topic, rest) = body.split_first_chunk::<2>().context("no topic")?;
    let rest = rest.get(usize::from(u16::from_be_bytes(*topic))..).context("half a topic")?;
    Ok(*rest.first_chunk().context("no Packet Identifier")?)
}

fn connect(out: &mut Vec<u8>) {
    // Level 4, a clean session, no keep-alive, and an empty name: the broker makes one up.
    packet(0x10, &[&[0, 4], b"MQTT", &[4, 0x02, 0, 0, 0, 0]], out);
}

fn subscribe(topic: &str, qos: u8, out: &mut Vec<u8>) {
    packet(0x82, &[&[0, 1], &length_of(topic), topic.as_bytes(), &[qos]], out);
}

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
        connect(out);
        if let Role::Subscriber(topic) = role {
            subscribe(topic, 0, out);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged() {
        let payload = Payload::of_size(128).unwrap();
        let (mut messages, mut answers) = (Vec::new(), Vec::new());
        Assured::AtLeastOnce.publish("a/b", 7, &payload, &mut messages);
        Assured::AtLeastOnce.publish("a/b", 0x1234, &payload, &mut messages);
        let one = messages.len() / 2;
        let first = Assured::AtLeastOnce.take(&messages[..one + 5], &mut answers).unwrap();
        assert_eq!(first, Brought { messages: 1, settled: 0, consumed: one });
        let second = Assured::AtLeastOnce.take(&messages[one..], &mut answers).unwrap();
        assert_eq!(second, Brought { messages: 1, settled: 0, consumed: one });
        assert_eq!(answers, [0x40, 2, 0, 7, 0x40, 2, 0x12, 0x34]);
        // Another QoS than was asked for is no figure of the one that was.
        assert!(Assured::ExactlyOnce.take(&messages, &mut answers).is_err());
    }

    #[test]
    fn what_comes_exactly_once() {
        let all = Assured::ExactlyOnce;
        let mut out = Vec::new();
        let taken = all.take(&[0x50, 2, 1, 2, 0x70, 2, 3, 4, 0x62, 2, 5, 6], &mut out).unwrap();
        assert_eq!(taken, Brought { messages: 0, settled: 1, consumed: 12 });
        assert_eq!(out, [0x62, 2, 1, 2, 0x70, 2, 5, 6]);
        out.clear();
        let message = [0x34, 7, 0, 1, b'a', 0, 9, b'{', b'}'];
        assert_eq!(all.take(&message, &mut out).unwrap().messages, 1);
        assert_eq!(out, [0x50, 2, 0, 9]);
    }
}
