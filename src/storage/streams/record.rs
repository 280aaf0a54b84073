//! How one message is spelled in a segment.
//!
//! ```text
//! bytes  0 to  3  CRC-32 of the rest of the head
//! bytes  4 to  7  CRC-32 of the body
//! bytes  8 to 11  the length of the body                        all numbers are unsigned,
//! bytes 12 to 15  where in the segment the message before       little-endian
//!                 of the same topic begins; 0 where there is none
//! bytes 16 to 23  its number
//! bytes 24 to 31  when it was published, in milliseconds since 1970
//! byte  32        what the payload is: 0 JSON, 1 XML, 2 pickle, 3 a text; plus 128 where it is a whole
//!                 message body, or bytes and no text; plus 8, 16 or 24 where it was published with a QoS of 0, 1 or 2,
//!                 plus 32 where it has properties. 64 is a mark, which is no message
//! byte  33        the length of the id, and 1; 0 where there is none
//! bytes 34 to 35  the length of the topic
//! then            the body: topic, id, with 32 in byte 32 how long the properties are (4 bytes) and
//!                 they, and the payload
//! ```
//!
//! Both checksums begin with the salt of the segment, a random number that is told nobody: what a
//! publisher writes into a payload is never taken for a record, however it looks. The head has a
//! checksum of its own, so that no length is believed that was not written, and what is damaged in
//! one body costs that message alone.
//!
//! A mark says that everything up to a number was on the disk when the mark was written. Its body
//! is that number; its own number is that of the message behind it.

use crate::broker::Record;
use crate::codec::PayloadRef;
use crate::protocol::TopicName;

/// Bytes of a head.
pub(super) const HEAD: usize = 36;
/// The bit that no payload uses.
const MARK: u8 = 0x40;
/// Bytes of a mark.
pub(super) const MARK_BYTES: usize = HEAD + 8;

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    checksum: u32,
    pub(super) body: u32,
    /// Where the message before of the same topic begins.
    pub(super) previous: u32,
    pub(super) seq: u64,
    pub(super) time: u64,
    kind: u8,
    id: u8,
    topic: u16,
}

fn bytes<const N: usize>(from: &[u8; HEAD], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&from[at..at + N]);
    bytes
}

pub(super) fn checksum(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

impl Head {
    /// The number that a head would have, before anything is known of it.
    pub(super) fn seq_in(bytes: &[u8]) -> Option<u64> {
        bytes.get(16..)?.first_chunk().map(|seq| u64::from_le_bytes(*seq))
    }

    /// Reads a head; `None` if it is not as it was written.
    pub(super) fn read(from: &[u8], salt: u32) -> Option<Head> {
        let from: &[u8; HEAD] = from.first_chunk()?;
        if checksum(salt, &from[4..]) != u32::from_le_bytes(bytes(from, 0)) {
            return None;
        }
        let head = Head {
            checksum: u32::from_le_bytes(bytes(from, 4)),
            body: u32::from_le_bytes(bytes(from, 8)),
            previous: u32::from_le_bytes(bytes(from, 12)),
            seq: u64::from_le_bytes(bytes(from, 16)),
            time: u64::from_le_bytes(bytes(from, 24)),
            kind: from[32],
            id: from[33],
            topic: u16::from_le_bytes(bytes(from, 34)),
        };
        let least = usize::from(head.topic) + usize::from(head.id.saturating_sub(1));
        (least <= head.body as usize).then_some(head)
    }

    fn write(&self, salt: u32) -> [u8; HEAD] {
        let mut out = [0; HEAD];
        out[4..8].copy_from_slice(&self.checksum.to_le_bytes());
        out[8..12].copy_from_slice(&self.body.to_le_bytes());
        out[12..16].copy_from_slice(&self.previous.to_le_bytes());
        out[16..24].copy_from_slice(&self.seq.to_le_bytes());
        out[24..32].copy_from_slice(&self.time.to_le_bytes());
        (out[32], out[33]) = (self.kind, self.id);
        out[34..].copy_from_slice(&self.topic.to_le_bytes());
        let sum = checksum(salt, &out[4..]);
        out[..4].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Bytes of the record.
    pub(super) fn len(&self) -> u64 {
        HEAD as u64 + u64::from(self.body)
    }

    pub(super) fn is_mark(&self) -> bool {
        self.kind == MARK
    }

    /// Whether a body is the one that was written.
    pub(super) fn fits(&self, body: &[u8], salt: u32) -> bool {
        body.len() == self.body as usize && checksum(salt, body) == self.checksum
    }

    /// The message of a body that fits; `None` if that is none.
    pub(super) fn record<'a>(&self, body: &'a [u8]) -> Option<Record<'a>> {
        let (topic, rest) = body.split_at_checked(self.topic.into())?;
        let (id, spelled) = rest.split_at_checked(self.id.saturating_sub(1).into())?;
        Some(Record {
            seq: self.seq,
            time: self.time,
            topic: TopicName::parse(str::from_utf8(topic).ok()?).ok()?,
            id: if self.id == 0 { None } else { Some(str::from_utf8(id).ok()?) },
            payload: PayloadRef::of_spelled(self.kind, spelled)?,
        })
    }

    /// What a mark says.
    pub(super) fn synced(&self, body: &[u8]) -> u64 {
        body.first_chunk().map_or(0, |synced| u64::from_le_bytes(*synced))
    }
}

/// Bytes that a message takes.
pub(super) fn size(record: &Record<'_>) -> u64 {
    let id = record.id.map_or(0, str::len);
    let payload = record.payload.properties_len() + record.payload.source().len();
    (HEAD + record.topic.as_str().len() + id + payload) as u64
}

/// Appends a message to `out`; its payload as well, unless the caller writes it `apart`. `None` if
/// a length of it cannot be spelled.
pub(super) fn put(
    record: &Record<'_>,
    previous: u32,
    salt: u32,
    apart: bool,
    out: &mut Vec<u8>,
) -> Option<()> {
    let (topic, payload) = (record.topic.as_str(), record.payload);
    let id = record.id.unwrap_or_default();
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    let start = out.len();
    let head = Head {
        checksum: 0,
        body: (size(record) - HEAD as u64).try_into().ok()?,
        previous,
        seq: record.seq,
        time: record.time,
        kind: payload.spelled_kind(),
        id: match record.id {
            Some(id) => (id.len() + 1).try_into().ok()?,
            None => 0,
        },
        topic: topic.len().try_into().ok()?,
    };
    out.extend_from_slice(&[0; HEAD]);
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(id.as_bytes());
    payload.put_properties(out);
    if apart {
        hasher.update(&out[start + HEAD..]);
        hasher.update(payload.source());
    } else {
        out.extend_from_slice(payload.source());
        hasher.update(&out[start + HEAD..]);
    }
    let head = Head { checksum: hasher.finalize(), ..head };
    out[start..start + HEAD].copy_from_slice(&head.write(salt));
    Some(())
}

/// Appends a mark before the message `seq`.
pub(super) fn put_mark(synced: u64, seq: u64, time: u64, salt: u32, out: &mut Vec<u8>) {
    let body = synced.to_le_bytes();
    let head = Head {
        checksum: checksum(salt, &body),
        body: body.len() as u32,
        previous: 0,
        seq,
        time,
        kind: MARK,
        id: 0,
        topic: 0,
    };
    out.extend_from_slice(&head.write(salt));
    out.extend_from_slice(&body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoding;
    use crate::protocol::{Format, Qos};

    const SALT: u32 = 0x0102_0304;

    fn record<'a>(seq: u64, id: Option<&'a str>, payload: PayloadRef<'a>) -> Record<'a> {
        let topic = TopicName::parse("a/b").unwrap();
        Record { seq, time: seq * 1_000, topic, id, payload }
    }

    #[track_caller]
    fn assert_read(spelled: &[u8], expected: &Record<'_>) {
        let head = Head::read(spelled, SALT).unwrap();
        assert_eq!((head.len(), head.is_mark()), (spelled.len() as u64, false));
        assert!(head.fits(&spelled[HEAD..], SALT));
        let read = head.record(&spelled[HEAD..]).unwrap();
        assert_eq!((read.seq, read.time, read.id), (expected.seq, expected.time, expected.id));
        assert_eq!((read.topic, read.payload), (expected.topic, expected.payload));
    }

    /// Bytes of before there were texts, bytes, QoS and properties.
    #[test]
    fn what_was_written_before_is_read_and_is_still_written_so() {
        let json = b"\x9b\x1aU\xe2_\xeb\xf65\x0b\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\
            \x00\x00\x00\x00\xe8\x03\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00a/b{\x22x\x22: 1}";
        let body = b"\xcc&O\x95\x97\x8fD\xe9\x14\x00\x00\x00\x80\x00\x00\x00\x02\x00\x00\x00\x00\
            \x00\x00\x00\xd0\x07\x00\x00\x00\x00\x00\x00\x81\x02\x03\x00a/b7<f message='1'/>";
        let xml = Encoding::Body(Format::Xml);
        for (spelled, previous, record) in [
            (&json[..], 0, record(1, None, PayloadRef::new(b"{\"x\": 1}", Format::Json))),
            (body, 128, record(2, Some("7"), PayloadRef::new(b"<f message='1'/>", xml))),
        ] {
            assert_read(spelled, &record);
            let mut written = Vec::new();
            put(&record, previous, SALT, false, &mut written).unwrap();
            assert_eq!(written, spelled);
        }
    }

    #[test]
    fn what_was_said_beside_a_payload_is_kept_with_it() {
        for encoding in [Encoding::Text, Encoding::Bytes, Encoding::Body(Format::Pickle)] {
            for qos in [None, Some(Qos::AtMostOnce), Some(Qos::ExactlyOnce)] {
                for properties in [&b""[..], b"\x26\x00\x01a\x00\x01b", &[7; 70_000]] {
                    let payload = PayloadRef::new(b"\x00\xff", encoding).with_qos(qos);
                    let record = record(3, Some(""), payload.with_properties(properties));
                    let (mut whole, mut apart) = (Vec::new(), Vec::new());
                    put(&record, 7, SALT, false, &mut whole).unwrap();
                    put(&record, 7, SALT, true, &mut apart).unwrap();
                    apart.extend_from_slice(record.payload.source());
                    assert!(whole == apart && whole.len() as u64 == size(&record));
                    assert_read(&whole, &record);
                }
            }
        }
    }

    /// A checksum that is right says nothing of what the bytes mean.
    #[test]
    fn what_is_no_message_is_none() {
        let payload = PayloadRef::new(b"x", Encoding::Text).with_properties(b"abc");
        let mut written = Vec::new();
        put(&record(1, None, payload), 0, SALT, false, &mut written).unwrap();
        let head = Head::read(&written, SALT).unwrap();
        assert!(head.record(&written[HEAD..]).is_some());
        for kind in [4, 0x84, 0x40, 0x60, 0xff] {
            assert!(Head { kind, ..head }.record(&written[HEAD..]).is_none(), "{kind:#x}");
        }
        assert!(head.record(&written[HEAD..HEAD + 8]).is_none(), "the properties are cut");
    }
}
