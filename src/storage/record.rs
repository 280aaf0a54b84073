//! How one value is spelled in the file.
//!
//! ```text
//! byte  0        what the payload is: 0 JSON, 1 XML, 2 pickle, 3 a text; plus 128 where it is a whole message body, or
//!                bytes and no text; plus 8, 16 or 24 where it was published with a QoS of 0, 1 or 2, plus 32 where it has
//!                properties; plus 64 where it is known how long it had left
//! bytes 1 to 8   the place in the order of all publications   unsigned, little-endian
//! bytes 9 to 16  when it expires, in milliseconds since 1970; 0 is never
//! bytes 17 to 20 CRC-32 of the topic and all other bytes
//! bytes 21 to 28 with 64 in byte 0 only: how long it had left when it was written, in milliseconds
//! then           with 32 in byte 0 only: how long the properties are (4 bytes, unsigned, little-endian), and they
//! then           the payload, as it was published
//! ```
//!
//! Version 1 of the format knew no 64, and version 2 none of 3, 8, 16 and 32. The topic is in the
//! checksum, so that a record that turns up under another topic is known to be foreign.

use crate::broker::{Expires, Kept, Stored};
use crate::codec::PayloadRef;
use crate::protocol::Topic;

/// The bit that no payload uses.
const WITH_TTL: u8 = 0x40;
const CHECKSUM: std::ops::Range<usize> = 17..21;
const HEAD: usize = 21;

/// Spells a value, in the place of what is in `record`.
pub(super) fn write(stored: &Stored, expires: Option<Expires>, record: &mut Vec<u8>) {
    let payload = stored.payload();
    record.clear();
    let ttl = expires.and_then(|expires| expires.ttl);
    record.push(payload.spelled_kind() | if ttl.is_some() { WITH_TTL } else { 0 });
    record.extend_from_slice(&stored.published().to_le_bytes());
    record.extend_from_slice(&expires.map_or(0, |expires| expires.at).to_le_bytes());
    record.extend_from_slice(&[0; 4]);
    if let Some(ttl) = ttl {
        record.extend_from_slice(&ttl.to_le_bytes());
    }
    payload.put_properties(record);
    record.extend_from_slice(payload.source());
    let checksum = checksum(stored.topic().as_str(), record).to_le_bytes();
    record[CHECKSUM].copy_from_slice(&checksum);
}

/// Reads a value; `None` if it is not as it was written.
pub(super) fn read(topic: &str, record: &[u8]) -> Option<Kept> {
    let stored = u32::from_le_bytes(*record.get(CHECKSUM)?.first_chunk()?);
    if checksum(topic, record) != stored {
        return None;
    }
    let number =
        |at: usize| record.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let (ttl, spelled) = match record[0] & WITH_TTL {
        0 => (None, record.get(HEAD..)?),
        _ => (Some(number(HEAD)?), record.get(HEAD + 8..)?),
    };
    Some(Kept {
        topic: Topic::parse(topic).ok()?,
        payload: PayloadRef::of_spelled(record[0] & !WITH_TTL, spelled)?.to_payload(),
        published: number(1)?,
        expires: number(9).filter(|at| *at > 0).map(|at| Expires { at, ttl }),
    })
}

fn checksum(topic: &str, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(topic.as_bytes());
    hasher.update(&record[..CHECKSUM.start]);
    hasher.update(&record[CHECKSUM.end..]);
    hasher.finalize()
}
