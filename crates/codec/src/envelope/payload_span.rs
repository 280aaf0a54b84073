//! Where a payload lies in its frame, and what of the frame it takes to read it.

use std::ops::Range;

/// A payload inside a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadSpan {
    /// Where its bytes lie.
    pub part: Part,
    /// The index of its root node, where it was decoded.
    pub document: Option<usize>,
}

/// The bytes that a payload can be decoded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The payload by itself: a JSON value, an XML element.
    Value(Range<usize>),
    /// The whole message body, where the payload cannot be cut out: in a pickle it may refer to
    /// what stands outside of it, and in XML it may be an attribute, or have names that not every
    /// parser takes.
    Body(Range<usize>),
    /// A text by itself, in UTF-8: the value is this string.
    Text(Range<usize>),
    /// Bytes by themselves: the value is these bytes.
    Bytes(Range<usize>),
}

impl Part {
    /// Where the bytes lie.
    pub fn range(&self) -> &Range<usize> {
        match self {
            Part::Value(range) | Part::Body(range) | Part::Text(range) | Part::Bytes(range) => {
                range
            }
        }
    }
}
