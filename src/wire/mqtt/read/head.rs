//! The fixed header of a packet: its kind, its flags and its length (2.1).

use super::super::fault::Fault;
use super::super::kinds::{Kind, Version};
use super::super::reason::Reason;
use super::super::varint;

/// What is known of a packet before its body is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// The lower four bits of the first byte.
    pub(super) flags: u8,
    /// Bytes of the head.
    pub(super) start: usize,
    /// Bytes of the packet, with its head.
    pub(super) size: usize,
}

/// How long the packet is that begins at `at`, with its head; none where its head is not all there.
///
/// # Errors
/// As [`packet_at`](super::packet_at).
pub fn packet_size(
    region: &[u8],
    at: usize,
    version: Option<Version>,
    max_size: usize,
) -> Result<Option<usize>, Fault> {
    let head = Head::read(region.get(at..).unwrap_or_default(), version, max_size)?;
    Ok(head.map(|head| head.size))
}

impl Head {
    /// The head that some bytes begin with; none where not all of it is there.
    #[inline]
    pub(super) fn read(
        bytes: &[u8],
        version: Option<Version>,
        max_size: usize,
    ) -> Result<Option<Head>, Fault> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let (kind, flags) = first_byte(first, version)?;
        let name = kind.name();
        let malformed = |what| Fault {
            field: "Remaining Length",
            at: 1,
            ..Fault::of(Reason::MALFORMED, name, what)
        };
        let read = varint::read(rest);
        let Some((length, taken)) = read.map_err(|()| malformed("it has over four bytes"))? else {
            return Ok(None);
        };
        // Versions before 5 do not say so, and some clients keep room for a long one.
        if taken > varint::size(length) && version.is_some_and(Version::is_5) {
            return Err(malformed("a number in more bytes than it takes"));
        }
        let start = 1 + taken;
        let size = start + length;
        if size > max_size {
            let what = "it is longer than the broker takes";
            return Err(Fault::of(Reason::TOO_LARGE, name, what));
        }
        Ok(Some(Head { kind, flags, start, size }))
    }
}

/// Judges the first byte by itself, so that what is no MQTT is told before more of it comes.
fn first_byte(first: u8, version: Option<Version>) -> Result<(Kind, u8), Fault> {
    let flags = first & 0x0f;
    let Some(kind) = Kind::of(first >> 4) else {
        return Err(Fault::of(Reason::MALFORMED, "packet", "its type is 0, which is reserved"));
    };
    let protocol_error = |what| Err(Fault::of(Reason::PROTOCOL_ERROR, kind.name(), what));
    if kind.is_servers() {
        return protocol_error("only a server sends it");
    }
    match version {
        None if kind != Kind::Connect => {
            return protocol_error("the first packet of a connection is to be a CONNECT");
        }
        Some(_) if kind == Kind::Connect => {
            return protocol_error("a connection has one CONNECT");
        }
        Some(version) if kind == Kind::Auth && !version.is_5() => {
            let what = "its type is 15, which MQTT 5 has alone";
            return Err(Fault::of(Reason::MALFORMED, kind.name(), what));
        }
        _ => {}
    }
    // MQTT 3.1 has no use for these bits and forbids none; what is sent again has DUP among them.
    let is_3_1 = version == Some(Version::V3_1);
    if kind != Kind::Publish && flags != kind.flags() && !is_3_1 {
        let what = "reserved bits of its first byte are not as they are to be";
        return Err(Fault::of(Reason::MALFORMED, kind.name(), what));
    }
    Ok((kind, flags))
}
