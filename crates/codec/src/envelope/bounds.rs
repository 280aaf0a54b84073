//! How long a frame may become at most, from what is known before anybody looks: its length, or how
//! much it decodes to.

use crate::protocol::{ENCODED_FLOOR, ENCODED_PER_BYTE, Limits, NODE_SIZE, plain_size};

/// Bytes that a payload in JSON or XML becomes at most in any dialect, for each of its own: of `1,`
/// the element `<item type="int">1</item>`.
pub(super) const PER_BYTE: usize = 13;

/// Bytes that one value becomes at most beside its text: a double that is the key of a map, or a
/// key that XML cannot carry.
pub(super) const PER_NODE: usize = 66;

/// Bytes that a byte of text becomes at most: a control character in JSON, a quote in an attribute
/// of XML.
pub(super) const PER_TEXT: usize = 6;

/// Bytes of everything around a payload at most. The topic is judged elsewhere; one that is longer
/// than a topic may be is refused.
pub(super) const AROUND: usize = 8 << 10;

/// Bytes that a payload may become so that its frames are surely not over the limit.
#[inline(always)]
pub(crate) fn longest_unjudged(limits: &Limits) -> usize {
    (limits.max_encoded as usize).saturating_sub(AROUND)
}

/// Whether a body of `len` bytes in JSON cannot become a frame over the limit, whatever it holds.
#[inline(always)]
pub(super) fn surely_fits(len: usize, limits: &Limits) -> bool {
    len.saturating_mul(PER_BYTE) <= longest_unjudged(limits)
}

/// Whether a payload that decodes to `size` bytes, as [`Document::value_size`] counts them, cannot
/// become a frame over `limit`.
#[inline(always)]
pub(crate) fn decoded_surely_fits(size: usize, limit: usize) -> bool {
    size.saturating_mul(PER_TEXT) <= limit.saturating_sub(AROUND)
}

// A value costs at least a node, so what holds for nodes and texts holds for decoded bytes.
// JSON and XML stay far below what each of their bytes may become.
const _: () =
    assert!(PER_BYTE < ENCODED_PER_BYTE && AROUND + (64 << 10) * PER_BYTE < ENCODED_FLOOR);
const _: () = assert!(PER_NODE <= PER_TEXT * NODE_SIZE && PER_BYTE <= plain_size(1));
