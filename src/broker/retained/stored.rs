//! A topic's last value and its name, in one piece of memory that can be shared.
//!
//! ```text
//! bytes 0 to 7  the place in the order of all publications, little-endian
//! bytes 8 and 9 how long the name is (bits 0 to 10), the format (11 and 12; 3 is none), whether the payload is a whole
//!               body, or of no format, bytes and no text (13), whether there is a payload at all (14), whether
//!               something was said beside it (15); little-endian
//! byte  10      bytes at the end that are not used
//! bytes 11 on   the name, what was said beside the payload, the payload, what is not used
//! ```
//!
//! What was said beside it is its QoS and its properties: the byte of
//! [`PayloadRef::spelled_kind`], and the properties as [`PayloadRef::put_properties`] has them.

use std::sync::Arc;

use crate::codec::{Encoding, PayloadKind, PayloadRef};
use crate::protocol::{MAX_TOPIC_BYTES, TopicName};

const HEAD: usize = 11;
const NAME_LENGTH: u16 = 0x7ff;
const FORMAT_SHIFT: u16 = 11;
/// The bits of a [`PayloadKind`], and where they lie.
const FORMAT: u16 = 3;
const BODY: u16 = 0x80;
const BODY_SHIFT: u16 = 6;
const HELD: u16 = 1 << 14;
const BESIDE: u16 = 1 << 15;

/// Memory comes in steps of so many bytes, with so many of the allocator's own and the two counters
/// of an [`Arc`].
const STEP: usize = 16;
const OUTSIDE: usize = 8 + 2 * size_of::<usize>();
/// Bytes that may be left unused where a shorter payload takes the place of a longer one.
const MOST_UNUSED: usize = 128;

/// The last value of a topic, as a [`Store`](crate::broker::Store) is told of it. Cloning one is
/// cheap: clones share it.
///
/// ```
/// use babelmq::Stored;
///
/// fn line(stored: &Stored) -> String {
///     let payload = stored.payload();
///     let text = String::from_utf8_lossy(payload.source());
///     format!("{} {} {text}", stored.topic(), payload.format())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Stored(Arc<[u8]>);

impl Stored {
    /// A value of a topic, published as the `published`-th message of all.
    pub fn new(topic: TopicName<'_>, payload: PayloadRef<'_>, published: u64) -> Stored {
        let name = topic.as_str().as_bytes();
        let needed = HEAD + name.len() + Stored::weight_of(payload);
        let unused = (needed + OUTSIDE).next_multiple_of(STEP) - (needed + OUTSIDE);
        let mut bytes = Vec::with_capacity(needed + unused);
        bytes.extend_from_slice(&head(published, name.len(), Some(payload), unused));
        bytes.extend_from_slice(name);
        if !payload.is_plain() {
            put_beside(payload, &mut bytes);
        }
        bytes.extend_from_slice(payload.source());
        bytes.resize(needed + unused, 0);
        Stored(bytes.into())
    }

    /// A topic that holds no value.
    pub(in crate::broker) fn nothing(topic: TopicName<'_>) -> Stored {
        let name = topic.as_str().as_bytes();
        // As a topic may have 64 of them above it, one is made with one allocation.
        let mut bytes = [0; HEAD + MAX_TOPIC_BYTES];
        bytes[..HEAD].copy_from_slice(&head(0, name.len(), None, 0));
        bytes[HEAD..HEAD + name.len()].copy_from_slice(name);
        Stored(bytes[..HEAD + name.len()].into())
    }

    /// Becomes another value of the same topic, if nobody shares it and its memory is neither too
    /// small for that nor far too large. Returns whether it has.
    pub(in crate::broker) fn replace(&mut self, payload: PayloadRef<'_>, published: u64) -> bool {
        let name = self.name_length();
        let mut start = HEAD + name;
        let end = start + Stored::weight_of(payload);
        let Some(bytes) = Arc::get_mut(&mut self.0) else { return false };
        let Some(unused) = bytes.len().checked_sub(end).filter(|unused| *unused <= MOST_UNUSED)
        else {
            return false;
        };
        bytes[..HEAD].copy_from_slice(&head(published, name, Some(payload), unused));
        if !payload.is_plain() {
            start = replace_beside(payload, start, bytes);
        }
        bytes[start..end].copy_from_slice(payload.source());
        true
    }

    /// The topic.
    pub fn topic(&self) -> TopicName<'_> {
        // What is there was a name, so it is a text.
        TopicName::judged(str::from_utf8(self.name()).unwrap_or_default())
    }

    /// The payload; an empty one where no value is held.
    pub fn payload(&self) -> PayloadRef<'_> {
        let flags = self.flags();
        let bytes =
            &self.0[HEAD + self.name_length()..self.0.len() - usize::from(self.0[HEAD - 1])];
        if flags & BESIDE != 0 {
            return with_beside(bytes);
        }
        let bits = (flags >> FORMAT_SHIFT & FORMAT | flags >> BODY_SHIFT & BODY) as u8;
        PayloadRef::of_kind(bytes, PayloadKind::of_bits(bits))
    }

    /// The place in the order of all publications.
    pub fn published(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Bytes of the payload, and of what was said beside it.
    pub fn weight(&self) -> usize {
        self.0.len() - HEAD - self.name_length() - usize::from(self.0[HEAD - 1])
    }

    /// The [`weight`](Self::weight) of a value of this payload.
    #[inline]
    pub(in crate::broker) fn weight_of(payload: PayloadRef<'_>) -> usize {
        let beside = if payload.is_plain() { 0 } else { 1 + payload.properties_len() };
        beside + payload.source().len()
    }

    /// Whether a value is held; otherwise it is but a topic's name.
    pub fn is_held(&self) -> bool {
        self.flags() & HELD != 0
    }

    /// The bytes of the topic's name.
    pub(in crate::broker) fn name(&self) -> &[u8] {
        &self.0[HEAD..HEAD + self.name_length()]
    }

    /// Some of the bytes, one of each line of the cache that a small value takes: a thread that
    /// will look at all of it soon has it fetched.
    pub(in crate::broker) fn glance(&self) -> u8 {
        let last = self.0.len() - 1;
        self.0[0] ^ self.0[last.min(48)] ^ self.0[last.min(112)]
    }

    fn flags(&self) -> u16 {
        u16::from_le_bytes([self.0[8], self.0[9]])
    }

    fn name_length(&self) -> usize {
        usize::from(self.flags() & NAME_LENGTH)
    }
}

fn head(published: u64, name: usize, payload: Option<PayloadRef<'_>>, unused: usize) -> [u8; HEAD] {
    // A name has at most 1,024 bytes.
    let mut flags = name as u16 & NAME_LENGTH;
    if let Some(payload) = payload {
        let bits = u16::from(payload.kind().bits_of_encoding());
        let beside = if payload.is_plain() { 0 } else { BESIDE };
        flags |= HELD | (bits & FORMAT) << FORMAT_SHIFT | (bits & BODY) << BODY_SHIFT | beside;
    }
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&published.to_le_bytes());
    head[8..10].copy_from_slice(&flags.to_le_bytes());
    head[10] = unused as u8;
    head
}

#[cold]
fn put_beside(payload: PayloadRef<'_>, out: &mut Vec<u8>) {
    out.push(payload.spelled_kind());
    payload.put_properties(out);
}

/// Writes what was said beside a payload in the place of what is there, and returns where the
/// payload begins.
#[cold]
fn replace_beside(payload: PayloadRef<'_>, start: usize, bytes: &mut [u8]) -> usize {
    let mut beside = Vec::with_capacity(1 + payload.properties_len());
    put_beside(payload, &mut beside);
    let end = start + beside.len();
    bytes[start..end].copy_from_slice(&beside);
    end
}

#[cold]
fn with_beside(bytes: &[u8]) -> PayloadRef<'_> {
    let payload = bytes.split_first().and_then(|(kind, rest)| PayloadRef::of_spelled(*kind, rest));
    debug_assert!(payload.is_some(), "it is read as it was written");
    payload.unwrap_or(PayloadRef::new(&[], Encoding::Bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Format, Qos, Topic};

    #[test]
    fn what_is_put_in_comes_out_again() {
        for name in ["a", "ü/漢", &"x".repeat(MAX_TOPIC_BYTES)] {
            let topic = Topic::parse(name).unwrap();
            for (encoding, length, qos, properties, beside) in [
                (Encoding::Value(Format::Json), 1, None, 0, 0),
                (Encoding::Body(Format::Xml), 300, None, 0, 0),
                (Encoding::Value(Format::Pickle), 0, None, 0, 0),
                (Encoding::Text, 5, None, 0, 0),
                (Encoding::Bytes, 5, None, 0, 0),
                (Encoding::Bytes, 0, Some(Qos::AtMostOnce), 0, 1),
                (Encoding::Body(Format::Pickle), 5, Some(Qos::ExactlyOnce), 300, 305),
                (Encoding::Text, 5, None, 70_000, 70_005),
            ] {
                let (bytes, properties) = (vec![7; length], vec![8; properties]);
                let payload = PayloadRef::new(&bytes, encoding);
                let payload = payload.with_qos(qos).with_properties(&properties);
                let stored = Stored::new(topic.name(), payload, u64::MAX - 1);
                assert_eq!((stored.topic().as_str(), stored.payload()), (name, payload));
                assert_eq!((stored.published(), stored.weight()), (u64::MAX - 1, length + beside));
                assert!(stored.is_held());
                assert_eq!(
                    (stored.0.len() + OUTSIDE) % STEP,
                    0,
                    "no memory is lost to the allocator"
                );
            }
            let nothing = Stored::nothing(topic.name());
            assert_eq!(
                (nothing.topic().as_str(), nothing.is_held(), nothing.weight()),
                (name, false, 0)
            );
        }
    }

    #[test]
    fn memory_is_used_again_where_it_fits_and_nobody_shares_it() {
        let topic = Topic::parse("a/b").unwrap();
        let payload = |bytes: &'static [u8]| PayloadRef::new(bytes, Format::Json);
        let mut stored = Stored::new(topic.name(), payload(b"[1,2]"), 1);
        assert!(stored.replace(payload(b"3"), 2));
        assert_eq!(
            (stored.payload().source(), stored.published(), stored.weight()),
            (&b"3"[..], 2, 1)
        );
        assert!(stored.replace(payload(b"[4,5]"), 3));
        let sending = stored.clone();
        assert!(!stored.replace(payload(b"6"), 4), "somebody is sending it");
        assert_eq!(sending.payload().source(), b"[4,5]");
        drop(sending);
        assert!(stored.replace(payload(b"6"), 4));
        assert!(!stored.replace(PayloadRef::new(&[b'1'; 100], Format::Json), 5), "it is too small");
        let mut beside = Stored::new(topic.name(), payload(b"[1,2]"), 1);
        let text = payload(b"3").with_qos(Some(Qos::AtLeastOnce));
        assert!(beside.replace(text, 2));
        assert_eq!((beside.payload(), beside.weight()), (text, 2));
        let text = text.with_properties(b"0123456789");
        assert!(!beside.replace(text, 2), "it is too small for them");
        assert!(beside.replace(payload(b"[4,5]"), 3));
        assert_eq!(beside.payload(), payload(b"[4,5]"));
        let mut large = Stored::new(topic.name(), PayloadRef::new(&[b'1'; 1_000], Format::Json), 1);
        assert!(!large.replace(payload(b"1"), 2), "it is far too large");
        assert_eq!(large.weight(), 1_000);
    }
}
