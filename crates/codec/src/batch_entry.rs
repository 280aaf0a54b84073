//! One published message of a batch: where its parts lie.

use std::num::NonZeroU32;
use std::ops::Range;

use super::encoding::Encoding;
use super::envelope::{Part, PayloadSpan};
use super::payload_kind::PayloadKind;
use crate::protocol::{Format, MAXIMUM_MAX_FRAME, Qos, Token};

/// One published message of a batch, in half a cache line: a batch has a thousand of them.
#[derive(Clone, Debug)]
pub struct BatchEntry {
    topic: u32,
    start: u32,
    end: u32,
    frame_start: u32,
    /// 0 where the frame cannot be passed on as it came.
    frame_end: u32,
    /// The index of the root node and one more.
    document: Option<NonZeroU32>,
    ttl: Option<NonZeroU32>,
    token: Token,
    kind: PayloadKind,
    flags: u8,
}

/// Bits of `flags`: it becomes the topic's last value; it decodes to far more than its length
/// explains.
const RETAIN: u8 = 1;
const EXPANDS: u8 = 2;
/// It is no message: the topic's last value was cleared, or has expired.
const CLEARED: u8 = 4;

// Positions fit: a batch is what one read left in a buffer, and that is less than three of the
// largest frames.
const _: () = assert!(MAXIMUM_MAX_FRAME < u32::MAX / 4);

impl BatchEntry {
    /// A message published in `format` to the topic with the index `topic`; what is in no format
    /// has that of [`Encoding::format`]. `retain` says whether
    /// it becomes the topic's last value, `ttl` for how many seconds, from 1 on; `verbatim` is the
    /// frame, where it can be passed on as it came.
    #[inline]
    pub fn new(
        topic: u32,
        format: Format,
        message: &PayloadSpan,
        retain: bool,
        ttl: Option<u32>,
        verbatim: Option<Range<usize>>,
    ) -> BatchEntry {
        let Range { start, end } = *message.part.range();
        let frame = verbatim.unwrap_or_default();
        BatchEntry {
            topic,
            start: start as u32,
            end: end as u32,
            frame_start: frame.start as u32,
            frame_end: frame.end as u32,
            document: message.document.and_then(|root| NonZeroU32::new(root as u32 + 1)),
            ttl: ttl.and_then(NonZeroU32::new),
            token: Token::default(),
            kind: PayloadKind::new(Encoding::of(format, &message.part)),
            flags: u8::from(retain) * RETAIN,
        }
    }

    /// The note that the last value of a topic was cleared, or has expired.
    pub(crate) fn cleared(topic: u32) -> BatchEntry {
        let nothing = PayloadSpan { part: Part::Value(0..0), document: None };
        let entry = BatchEntry::new(topic, Format::Json, &nothing, false, None, None);
        BatchEntry { flags: CLEARED, ..entry }
    }

    /// Whether it is the note that the topic's last value was cleared, or has expired.
    #[inline]
    pub fn is_cleared(&self) -> bool {
        self.flags & CLEARED != 0
    }

    /// The same message, whose refusal brings back `token`.
    #[must_use]
    #[inline]
    pub fn answered_with(self, token: Token) -> BatchEntry {
        BatchEntry { token, ..self }
    }

    /// What its refusal brings back.
    #[inline]
    pub fn token(&self) -> Token {
        self.token
    }

    /// The same message, published with a quality of service.
    #[must_use]
    #[inline]
    pub fn with_qos(self, qos: Option<Qos>) -> BatchEntry {
        BatchEntry { kind: self.kind.with_qos(qos), ..self }
    }

    /// With which quality of service it was published, where that was said.
    #[inline]
    pub fn qos(&self) -> Option<Qos> {
        self.kind.qos()
    }

    /// The same message, that decodes to far more than its length explains: it is written for each
    /// of its readers by itself.
    #[must_use]
    pub fn expanding(self) -> BatchEntry {
        BatchEntry { flags: self.flags | EXPANDS, document: None, ..self }
    }

    /// Whether it decodes to far more than its length explains.
    #[inline]
    pub fn expands(&self) -> bool {
        self.flags & EXPANDS != 0
    }

    /// Index of the topic in [`Batch::topics`](super::Batch::topics); the same topic may stand
    /// there more than once.
    #[inline]
    pub fn topic(&self) -> usize {
        self.topic as usize
    }

    /// The format in which it was published, see [`Encoding::format`].
    #[inline]
    pub fn format(&self) -> Format {
        self.kind.format()
    }

    /// Where its payload lies.
    #[inline]
    pub fn part(&self) -> Part {
        self.kind.part(self.range())
    }

    /// What its payload is, in a byte.
    #[inline]
    pub(crate) fn kind(&self) -> PayloadKind {
        self.kind
    }

    /// The bytes of its payload.
    #[inline]
    pub(crate) fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The index of its root node, where it was decoded.
    #[inline]
    pub fn document(&self) -> Option<usize> {
        self.document.map(|root| root.get() as usize - 1)
    }

    /// Whether it becomes the topic's last value.
    #[inline]
    pub fn retain(&self) -> bool {
        self.flags & RETAIN != 0
    }

    /// Seconds that it is remembered, where its publisher said so.
    #[inline]
    pub fn ttl(&self) -> Option<u32> {
        self.ttl.map(NonZeroU32::get)
    }

    /// The frame, where it can be passed on as it came.
    #[inline]
    pub fn verbatim(&self) -> Option<Range<usize>> {
        (self.frame_end > 0).then_some(self.frame_start as usize..self.frame_end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_what_was_said() {
        assert_eq!(size_of::<BatchEntry>(), 32);
        let parts = [Part::Value(5..9), Part::Body(5..9), Part::Text(5..9), Part::Bytes(5..9)];
        for part in parts {
            let format = Encoding::of(Format::Xml, &part).format();
            for document in [None, Some(0), Some(7)] {
                for (retain, ttl, verbatim) in [(true, None, None), (false, Some(3), Some(0..10))] {
                    let message = PayloadSpan { part: part.clone(), document };
                    let packed =
                        BatchEntry::new(4, Format::Xml, &message, retain, ttl, verbatim.clone())
                            .answered_with(Token(u16::MAX));
                    assert_eq!((packed.token(), packed.expands()), (Token(u16::MAX), false));
                    assert!(packed.clone().expanding().expands());
                    assert_eq!((packed.topic(), packed.format()), (4, format));
                    assert_eq!((packed.part(), packed.document()), (part.clone(), document));
                    assert_eq!(
                        (packed.retain(), packed.ttl(), packed.verbatim()),
                        (retain, ttl, verbatim)
                    );
                    assert_eq!(packed.qos(), None);
                    for qos in [Some(Qos::ExactlyOnce), Some(Qos::AtMostOnce), None] {
                        let packed = packed.clone().expanding().with_qos(qos);
                        assert_eq!((packed.qos(), packed.part()), (qos, part.clone()));
                        assert!((packed.retain(), packed.expands()) == (retain, true));
                    }
                }
            }
        }
    }
}
