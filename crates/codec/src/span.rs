//! A text that is read in pieces of a fixed size, which reach over its end where more lies behind
//! it.

use super::swar::ONES;

/// A text, and what its source has behind it, so that it can be read in pieces of a fixed size.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    tail: &'a [u8],
    length: usize,
}

impl<'a> Span<'a> {
    /// The first `length` bytes of `tail`; as many as there are, where these are fewer.
    #[inline(always)]
    pub(super) fn new(tail: &'a [u8], length: usize) -> Span<'a> {
        Span { tail, length: length.min(tail.len()) }
    }

    /// What lies before `rest` in `tail`, which ends with it.
    #[inline(always)]
    pub(super) fn before(tail: &'a [u8], rest: &[u8]) -> Span<'a> {
        Span { tail, length: tail.len() - rest.len() }
    }

    #[inline(always)]
    pub(super) fn len(self) -> usize {
        self.length
    }

    /// The text and what follows it.
    #[inline(always)]
    pub(super) fn tail(self) -> &'a [u8] {
        self.tail
    }

    #[inline(always)]
    pub(super) fn text(self) -> &'a [u8] {
        &self.tail[..self.length]
    }

    /// The text, as far as it fits, and something behind it.
    #[inline(always)]
    pub(super) fn sixteen(self) -> [u8; 16] {
        match self.tail.first_chunk() {
            Some(bytes) => *bytes,
            None => filled_up(self.tail),
        }
    }
}

impl Span<'_> {
    /// Whether `marks` marks nothing in a text of up to sixteen bytes; `bytes` are its
    /// [`sixteen`](Self::sixteen). Words are filled up with spaces.
    #[inline(always)]
    pub(super) fn has_no(self, bytes: [u8; 16], marks: impl Fn(u64) -> u64) -> bool {
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        let (first, last) =
            (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(rest));
        let filled_up = |word: u64, length: usize| {
            let meant = WORDS[length & 15];
            (word & meant) | ((ONES * 0x20) & !meant)
        };
        if self.length <= 8 {
            marks(filled_up(first, self.length)) == 0
        } else {
            marks(first) | marks(filled_up(last, self.length - 8)) == 0
        }
    }
}

/// The first bytes of a word: none of them, one, and so on up to all eight.
const WORDS: [u64; 16] = {
    let mut words = [0; 16];
    let mut length = 1;
    while length <= 8 {
        words[length] = u64::MAX >> (64 - 8 * length);
        length += 1;
    }
    words
};

/// The last bytes of a source, and zeros.
#[cold]
fn filled_up(tail: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..tail.len()].copy_from_slice(tail);
    bytes
}
