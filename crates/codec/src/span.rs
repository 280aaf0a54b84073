//! A text that is read in pieces of a fixed size, which reach over its end where more lies behind
//! it.

use super::lanes::{LANES, Lanes, bits, has_any, lanes};

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
    /// [`sixteen`](Self::sixteen).
    #[inline(always)]
    pub(super) fn has_no(self, bytes: &[u8; LANES], marks: impl Fn(Lanes) -> Lanes) -> bool {
        let behind = u32::MAX << (self.length & 31);
        bits(marks(lanes(bytes))) & !behind == 0
    }

    /// Whether the text is UTF-8, which for ASCII is soon known.
    #[inline(always)]
    pub(super) fn is_utf8(self) -> bool {
        let is_ascii = if self.length <= LANES {
            self.has_no(&self.sixteen(), |text| text)
        } else {
            !has_any(self.text(), |text| text)
        };
        is_ascii || simdutf8::basic::from_utf8(self.text()).is_ok()
    }
}

/// The last bytes of a source, and zeros.
#[cold]
fn filled_up(tail: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..tail.len()].copy_from_slice(tail);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_text_is_looked_at_and_no_other() {
        for length in 0..70 {
            let mut source = vec![b'x'; length + 20];
            for at in 0..length + 20 {
                source[at] = 0xff;
                for behind in [0, 3, 20] {
                    let span = Span::new(&source[..length + behind], length);
                    assert_eq!(span.is_utf8(), at >= length, "{at} of {length}");
                }
                source[at] = b'x';
            }
        }
        let text = "Zoë Brandt & Söhne";
        assert!(Span::new(text.as_bytes(), text.len()).is_utf8());
        assert!(!Span::new(text.as_bytes(), 3).is_utf8());
    }
}
