//! The brackets that are open while a text is read: a bit for each, and no recursion.

use super::events::Bracket;
use crate::protocol::MAX_DEPTH;

/// How deep brackets may nest. A `$dict` takes three of them for one level of values, and the tag
/// of a scalar inside is one more.
const MAX_BRACKETS: usize = 3 * MAX_DEPTH + 1;

/// The brackets that are open, one bit each: 1 for an object.
pub(super) struct OpenBrackets {
    /// The innermost ones, the last opened in the lowest bit. A bit that is shifted out was put
    /// into `outer` before.
    inner: u64,
    /// The brackets around each 64th one.
    outer: [u64; MAX_BRACKETS / 64],
    depth: usize,
}

impl OpenBrackets {
    #[inline(always)]
    pub(super) fn new() -> OpenBrackets {
        OpenBrackets { inner: 0, outer: [0; MAX_BRACKETS / 64], depth: 0 }
    }

    /// Returns how many are open then.
    #[inline(always)]
    pub(super) fn open(&mut self, bracket: Bracket) -> usize {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.keep_inner();
        }
        self.inner = self.inner << 1 | u64::from(bracket == Bracket::Object);
        self.depth += 1;
        self.depth
    }

    #[cold]
    fn keep_inner(&mut self) {
        if let Some(place) = self.outer.get_mut(self.depth / 64 - 1) {
            *place = self.inner;
        }
    }

    pub(super) fn is_within_bounds(&self) -> bool {
        self.depth <= MAX_BRACKETS
    }

    #[inline(always)]
    pub(super) fn close(&mut self) {
        self.inner >>= 1;
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.inner = self.outer[self.depth / 64 - 1];
        }
    }

    #[inline(always)]
    pub(super) fn innermost(&self) -> Option<Bracket> {
        let bracket = if self.inner & 1 == 1 { Bracket::Object } else { Bracket::Array };
        (self.depth > 0).then_some(bracket)
    }
}
