//! What the bytes of a payload are to be read as.

use std::ops::Range;

use super::envelope::Part;
use crate::protocol::Format;

/// What the bytes of a payload are.
///
/// ```
/// use babelmq_codec::{Encoding, Format};
///
/// assert_eq!(Encoding::from(Format::Xml).byte(), 1);
/// assert_eq!(Encoding::from_byte(0x82), Some(Encoding::Body(Format::Pickle)));
/// assert_eq!(Encoding::Text.format(), Format::Pickle);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A value in a format, see [`Part::Value`].
    Value(Format),
    /// A whole message body in a format, see [`Part::Body`].
    Body(Format),
    /// A text by itself, in UTF-8.
    Text,
    /// Bytes by themselves.
    Bytes,
}

/// What is in none of the formats, which have 0 to 2.
const RAW: u8 = 3;
/// A whole body, or of what is raw, bytes.
const BODY: u8 = 0x80;

impl Encoding {
    /// What a part is, in a frame of `format`.
    #[inline]
    pub fn of(format: Format, part: &Part) -> Encoding {
        match part {
            Part::Value(_) => Encoding::Value(format),
            Part::Body(_) => Encoding::Body(format),
            Part::Text(_) => Encoding::Text,
            Part::Bytes(_) => Encoding::Bytes,
        }
    }

    /// The part that is so encoded, and lies there.
    #[inline]
    pub fn part(self, range: Range<usize>) -> Part {
        match self {
            Encoding::Value(_) => Part::Value(range),
            Encoding::Body(_) => Part::Body(range),
            Encoding::Text => Part::Text(range),
            Encoding::Bytes => Part::Bytes(range),
        }
    }

    /// The format, for what tells formats apart: of a text and of bytes it is pickle. That is what
    /// the broker itself spells values in that came in no format, and it is the one of which
    /// nothing is ever passed on as it came, which holds for these as well: in no format is a text
    /// by itself what a reader expects.
    #[inline]
    pub fn format(self) -> Format {
        match self {
            Encoding::Value(format) | Encoding::Body(format) => format,
            Encoding::Text | Encoding::Bytes => Format::Pickle,
        }
    }

    /// The name as it is written in an export: that of the format, `text` or `bytes`.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Value(format) | Encoding::Body(format) => format.name(),
            Encoding::Text => "text",
            Encoding::Bytes => "bytes",
        }
    }

    /// The number that says it in files: the byte of the format or 3 for a text, and 128 more for a
    /// whole message body, or bytes. The bits between are nought.
    #[inline]
    pub fn byte(self) -> u8 {
        match self {
            Encoding::Value(format) => format.byte(),
            Encoding::Body(format) => format.byte() | BODY,
            Encoding::Text => RAW,
            Encoding::Bytes => RAW | BODY,
        }
    }

    /// What a number says; `None` where it says nothing.
    pub fn from_byte(byte: u8) -> Option<Encoding> {
        (byte & !(RAW | BODY) == 0).then(|| Encoding::of_bits(byte))
    }

    /// The same of the bits that say something.
    #[inline]
    pub(crate) fn of_bits(bits: u8) -> Encoding {
        let format = match bits & RAW {
            0 => Format::Json,
            1 => Format::Xml,
            2 => Format::Pickle,
            _ => return if bits & BODY == 0 { Encoding::Text } else { Encoding::Bytes },
        };
        if bits & BODY == 0 { Encoding::Value(format) } else { Encoding::Body(format) }
    }
}

/// A value by itself.
impl From<Format> for Encoding {
    fn from(format: Format) -> Encoding {
        Encoding::Value(format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_says_one_thing_or_nothing() {
        let known: Vec<u8> =
            (0..=u8::MAX).filter(|at| Encoding::from_byte(*at).is_some()).collect();
        assert_eq!(known, [0, 1, 2, 3, 0x80, 0x81, 0x82, 0x83]);
        for byte in known {
            let encoding = Encoding::from_byte(byte).unwrap();
            assert_eq!(encoding.byte(), byte);
            assert_eq!(Encoding::of(encoding.format(), &encoding.part(3..5)), encoding);
        }
    }
}
