//! Which values take a tag in JSON: more of them for a reader that is to lose nothing.

use crate::protocol::ScalarType;

/// The largest integer up to which JavaScript's numbers, which are doubles, lose none.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Whether an object with this key alone is a tagged value.
#[inline(always)]
pub(super) fn is_tag_name(key: &[u8]) -> bool {
    key.first() == Some(&b'$') && is_one_of_the_tags(key)
}

#[cold]
fn is_one_of_the_tags(key: &[u8]) -> bool {
    const TAGS: [&[u8]; 9] = [
        b"$int",
        b"$float",
        b"$bytes",
        b"$tuple",
        b"$set",
        b"$frozenset",
        b"$dict",
        b"$ndarray",
        b"$object",
    ];
    TAGS.contains(&key) || typed_by(key).is_some()
}

/// The scalar type that a tag names.
pub(super) fn typed_by(tag: &[u8]) -> Option<ScalarType> {
    ScalarType::named(tag.strip_prefix(b"$")?)
}

/// What is tagged in JSON besides the values that JSON cannot say at all.
///
/// ```
/// use babelmq_codec::json::{self, Tags};
/// use babelmq_codec::{Document, Node};
///
/// let mut document = Document::new();
/// let root = document.push(Node::Int(1 << 53));
/// let mut out = Vec::new();
/// json::encode(document.view(b"", root), Tags::Js, &mut out);
/// assert_eq!(out, br#"{"$int":"9007199254740992"}"#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// Nothing: tuples are arrays, frozensets are sets, dates and the like are strings, and keys
    /// are spelled as `json.dumps` spells them.
    Needed,
    /// Dates and the like, which a producer has given a type; all else as above.
    Scalars,
    /// Everything that JSON cannot tell apart; an int of any size is a number. It takes no tag for
    /// the broker to read it, and consumers who get the published bytes find what they would from a
    /// pickle.
    Published,
    /// The same, and ints beyond 64 bits.
    Exact,
    /// The same, and ints that JavaScript's numbers lose.
    Js,
}

impl Tags {
    /// Whether everything that JSON cannot tell apart is tagged.
    #[inline(always)]
    pub(super) fn is_exact(self) -> bool {
        !matches!(self, Tags::Needed | Tags::Scalars)
    }

    /// Whether dates and the like are tagged.
    #[inline(always)]
    pub(super) fn has_tagged_scalars(self) -> bool {
        !matches!(self, Tags::Needed)
    }

    /// The magnitude up to which an int of 64 bits is a number.
    #[inline(always)]
    pub(super) fn widest_int(self) -> u64 {
        if matches!(self, Tags::Js) { MAX_SAFE_INTEGER } else { u64::MAX }
    }

    /// Whether ints beyond 64 bits are tagged.
    #[inline(always)]
    pub(super) fn has_tagged_big_ints(self) -> bool {
        matches!(self, Tags::Exact | Tags::Js)
    }
}
