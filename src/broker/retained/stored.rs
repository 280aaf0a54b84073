//! A topic's last value and its name, in one piece of memory that can be shared.
//!
//! ```text
//! bytes 0 to 7  the place in the order of all publications, little-endian
//! bytes 8 and 9 how long the name is (bits 0 to 10), the format (11 and 12), whether the payload is a whole body (13),
//!               whether there is a payload at all (14); little-endian
//! byte  10      bytes at the end that are not used
//! bytes 11 on   the name, the payload, what is not used
//! ```

use std::sync::Arc;

use crate::codec::PayloadRef;
use crate::protocol::{Format, MAX_TOPIC_BYTES, TopicName};

const HEAD: usize = 11;
const NAME_LENGTH: u16 = 0x7ff;
const FORMAT_SHIFT: u16 = 11;
const IN_BODY: u16 = 1 << 13;
const HELD: u16 = 1 << 14;

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
        let needed = HEAD + name.len() + payload.source().len();
        let unused = (needed + OUTSIDE).next_multiple_of(STEP) - (needed + OUTSIDE);
        let mut bytes = Vec::with_capacity(needed + unused);
        bytes.extend_from_slice(&head(published, name.len(), Some(payload), unused));
        bytes.extend_from_slice(name);
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
        let start = HEAD + name;
        let end = start + payload.source().len();
        let Some(bytes) = Arc::get_mut(&mut self.0) else { return false };
        let Some(unused) = bytes.len().checked_sub(end).filter(|unused| *unused <= MOST_UNUSED)
        else {
            return false;
        };
        bytes[..HEAD].copy_from_slice(&head(published, name, Some(payload), unused));
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
        let format = Format::from_byte((flags >> FORMAT_SHIFT & 3) as u8);
        debug_assert!(format.is_some(), "two bits hold the byte of a format");
        let format = format.unwrap_or(Format::Json);
        PayloadRef::new(bytes, format, flags & IN_BODY != 0)
    }

    /// The place in the order of all publications.
    pub fn published(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Bytes of the payload.
    pub fn weight(&self) -> usize {
        self.0.len() - HEAD - self.name_length() - usize::from(self.0[HEAD - 1])
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
        flags |= HELD | u16::from(payload.format().byte()) << FORMAT_SHIFT;
        if payload.is_in_body() {
            flags |= IN_BODY;
        }
    }
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&published.to_le_bytes());
    head[8..10].copy_from_slice(&flags.to_le_bytes());
    head[10] = unused as u8;
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Topic;

    #[test]
    fn what_is_put_in_comes_out_again() {
        for name in ["a", "ü/漢", &"x".repeat(MAX_TOPIC_BYTES)] {
            let topic = Topic::parse(name).unwrap();
            for (format, in_body, length) in
                [(Format::Json, false, 1), (Format::Xml, true, 300), (Format::Pickle, false, 0)]
            {
                let bytes = vec![7; length];
                let payload = PayloadRef::new(&bytes, format, in_body);
                let stored = Stored::new(topic.name(), payload, u64::MAX - 1);
                assert_eq!((stored.topic().as_str(), stored.payload()), (name, payload));
                assert_eq!((stored.published(), stored.weight()), (u64::MAX - 1, length));
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
        let payload = |bytes: &'static [u8]| PayloadRef::new(bytes, Format::Json, false);
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
        assert!(
            !stored.replace(PayloadRef::new(&[b'1'; 100], Format::Json, false), 5),
            "it is too small"
        );
        let mut large =
            Stored::new(topic.name(), PayloadRef::new(&[b'1'; 1_000], Format::Json, false), 1);
        assert!(!large.replace(payload(b"1"), 2), "it is far too large");
        assert_eq!(large.weight(), 1_000);
    }
}
