//! A byte that says what a payload is: its encoding, and with which QoS it was published.

use std::ops::Range;

use super::encoding::Encoding;
use super::envelope::Part;
use crate::protocol::{Format, Qos};

/// The bits of an encoding, and those of a QoS.
const ENCODING: u8 = 0x83;
const QOS_SHIFT: u8 = 3;
const QOS: u8 = 3 << QOS_SHIFT;

/// What a payload is, in a byte: of a message that is published by the million there is no more to
/// carry. Bits 0, 1 and 7 are those of [`Encoding::byte`], 3 and 4 the QoS and 1, or 0 where it is
/// unsaid. The others are nought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadKind(u8);

impl PayloadKind {
    /// A payload so encoded, whose QoS is unsaid.
    #[inline]
    pub fn new(encoding: Encoding) -> PayloadKind {
        PayloadKind(encoding.byte())
    }

    /// The kind whose bits are among these: every set of them says something.
    #[inline]
    pub fn of_bits(bits: u8) -> PayloadKind {
        PayloadKind(bits & (ENCODING | QOS))
    }

    /// Its bits.
    #[inline]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Its bits without those of the QoS.
    #[inline]
    pub fn bits_of_encoding(self) -> u8 {
        self.0 & ENCODING
    }

    /// The same with a QoS, where that was said.
    #[must_use]
    #[inline]
    pub fn with_qos(self, qos: Option<Qos>) -> PayloadKind {
        PayloadKind(self.0 & ENCODING | Qos::to_bits(qos) << QOS_SHIFT)
    }

    /// The encoding.
    #[inline]
    pub fn encoding(self) -> Encoding {
        Encoding::of_bits(self.0)
    }

    /// The format, see [`Encoding::format`].
    #[inline]
    pub fn format(self) -> Format {
        match self.0 & 3 {
            0 => Format::Json,
            1 => Format::Xml,
            _ => Format::Pickle,
        }
    }

    /// The QoS, where it was said.
    #[inline]
    pub fn qos(self) -> Option<Qos> {
        Qos::from_bits((self.0 & QOS) >> QOS_SHIFT)
    }

    /// Whether the QoS was said.
    #[inline]
    pub fn has_qos(self) -> bool {
        self.0 & QOS != 0
    }

    /// The part that is so encoded, and lies there.
    #[inline]
    pub fn part(self, range: Range<usize>) -> Part {
        self.encoding().part(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_bits_is_what_it_says() {
        for bits in 0..=u8::MAX {
            let kind = PayloadKind::of_bits(bits);
            assert_eq!(PayloadKind::new(kind.encoding()).with_qos(kind.qos()), kind);
            assert_eq!(
                (kind.format(), kind.has_qos()),
                (kind.encoding().format(), kind.qos().is_some())
            );
            assert_eq!(PayloadKind::of_bits(kind.bits()), kind);
            assert_eq!(PayloadKind::of_bits(kind.bits_of_encoding()), kind.with_qos(None));
        }
    }
}
