//! The protocols, as little of each as the load generator needs: how a connection begins, how a
//! message is published, and where one that was delivered ends.

mod babelmq;
mod member;
mod mqtt;
mod nats;
mod plain;
mod redis;
mod stomp;

use anyhow::Result;

pub(crate) use babelmq::{Babelmq, Format, frame};
pub(crate) use member::{Member, login};
pub(crate) use mqtt::{Assured, Brought, Mqtt};
pub(crate) use nats::Nats;
pub(crate) use plain::{PUBLISHER, Plain, SUBSCRIBER, TAKEN_IN};
pub(crate) use redis::Redis;
pub(crate) use stomp::Stomp;

use crate::payload::Payload;
use crate::stream::Message;

/// What a connection is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role<'a> {
    Publisher,
    /// Of this topic, or of all below one: `topic/#`.
    Subscriber(&'a str),
}

/// How many messages end in some bytes, and where the last of them does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) messages: u64,
    /// The rest is the beginning of what has not arrived in full.
    pub(crate) consumed: usize,
}

/// One protocol.
pub(crate) trait Wire: Send + Sync {
    /// Whether the broker says a line in plain before the handshake of TLS.
    fn begins_in_plain(&self) -> bool {
        false
    }

    /// What a connection of that role sends first.
    fn open(&self, role: Role<'_>, out: &mut Vec<u8>);

    /// Whether the answer to `open` has arrived in full.
    fn is_open(&self, role: Role<'_>, answer: &[u8]) -> bool;

    /// One message. `retain`: to be kept as the topic's last value, in the protocols that can.
    fn publish(&self, topic: &str, payload: &Payload, retain: bool, out: &mut Vec<u8>);

    /// One message of a stream, in the spelling of its producer.
    fn carry(&self, message: &Message, format: Format, out: &mut Vec<u8>);

    /// Counts the deliveries among what has arrived.
    fn scan(&self, bytes: &[u8]) -> Result<Scanned>;

    /// A question whose answer means that all before it has been taken in. Nothing in protocols
    /// that have none.
    fn ping(&self, _out: &mut Vec<u8>) {}

    /// Whether the answer to `ping` has arrived.
    fn is_pong(&self, _answer: &[u8]) -> bool {
        true
    }
}

/// The number that starts a line, and the bytes up to the end of that line.
fn number_line(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let digits = bytes[..end].iter().take_while(|byte| byte.is_ascii_digit());
    let number =
        digits.fold(0_usize, |number, digit| number.saturating_mul(10) + usize::from(digit - b'0'));
    Some((number, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is cut off, only whole messages are counted, and counting goes on where it stopped.
    fn whole_messages_only(wire: &dyn Wire, stream: &[u8], messages: u64) {
        for cut in 0..=stream.len() {
            let first = wire.scan(&stream[..cut]).unwrap();
            let second = wire.scan(&stream[first.consumed..]).unwrap();
            assert_eq!(first.messages + second.messages, messages, "cut at {cut}");
            assert_eq!(first.consumed + second.consumed, stream.len(), "cut at {cut}");
        }
    }

    #[test]
    fn scanners() {
        whole_messages_only(
            &Nats,
            b"PING\r\nMSG a/b 1 3\r\nx\r\n\r\nMSG a/b 1 0\r\n\r\n+OK\r\n",
            2,
        );
        let push = b"*3\r\n$7\r\nmessage\r\n$3\r\na/b\r\n$5\r\n12\r\n3\r\n";
        whole_messages_only(&Redis, &push.repeat(3), 3);
        let push = b"*4\r\n$8\r\npmessage\r\n$3\r\na/*\r\n$3\r\na/b\r\n$1\r\n1\r\n";
        whole_messages_only(&Redis, push, 1);
        let mut packet = vec![0x30, 0x85, 0x01, 0, 1, b'a'];
        packet.extend([0; 130]);
        packet.extend([0xd0, 0]);
        whole_messages_only(&Mqtt, &packet.repeat(2), 2);
        let stomp = b"\nMESSAGE\na:b\n\n{}\0\nRECEIPT\n\n\0\nMESSAGE\n\n<a/>\0\n";
        whole_messages_only(&Stomp { consumer: Format::Json }, stomp, 2);
        whole_messages_only(&Plain::json(), &[0, 0, 0, 0, 2, 7, 7, 0, 0, 0, 0, 0], 2);
    }

    #[test]
    fn refusals_are_not_deliveries() {
        assert!(Nats.scan(b"-ERR 'no'\r\n").is_err());
        assert!(Redis.scan(b"-ERR no\r\n").is_err());
        let mut frame = vec![0, 0, 0, 0, 21];
        frame.extend(br#"{"command":"error",1}"#);
        assert!(Babelmq::json().scan(&frame).is_err());
    }
}
