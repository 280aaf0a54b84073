//! Packets of MQTT, byte by byte.

mod connecting;
mod reading;
mod refusing;
mod topics;
mod writing;

use super::*;

/// A packet of a first byte and what follows the length, which is short.
fn packet(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    assert!(body.len() < 128);
    [&[first, body.len() as u8], &body[..]].concat()
}

/// A text with its length.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// The one packet in some bytes.
#[track_caller]
fn read(version: Version, bytes: &[u8]) -> Packet<'_> {
    let said = if bytes[0] >> 4 == 1 { None } else { Some(version) };
    let (packet, end) = packet_at(bytes, 0, said, usize::MAX).unwrap().unwrap();
    assert_eq!(end, bytes.len());
    packet
}

/// Why some bytes are refused, and where.
#[track_caller]
fn refused(version: Option<Version>, bytes: &[u8]) -> (Reason, &'static str, usize) {
    let fault = packet_at(bytes, 0, version, usize::MAX).unwrap_err();
    (fault.reason, fault.field, fault.at)
}
