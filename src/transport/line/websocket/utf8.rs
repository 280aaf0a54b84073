//! UTF-8 that comes in pieces.

/// Judges text, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// The beginning of a character whose rest is to come.
    begun: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Whether the text can be UTF-8 with this piece.
    pub(super) fn take(&mut self, mut piece: &[u8]) -> bool {
        while self.length > 0 {
            let [next, rest @ ..] = piece else { return true };
            self.begun[self.length] = *next;
            self.length += 1;
            piece = rest;
            match std::str::from_utf8(&self.begun[..self.length]) {
                Ok(_) => self.length = 0,
                // A character has four bytes at most, so one that is whole is told above.
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                let rest = &piece[error.valid_up_to()..];
                self.length = rest.len();
                self.begun[..rest.len()].copy_from_slice(rest);
                true
            }
        }
    }

    /// Whether the text may end here.
    pub(super) fn is_whole(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_judged_as_the_whole_is() {
        let texts: [&[u8]; 12] = [
            b"",
            b"plain",
            "κόσμε".as_bytes(),
            "a\u{10ffff}\u{800}\u{7f}".as_bytes(),
            b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
            b"\xf4\x90\x80\x80",
            b"\xf0\x9f\x98",
            b"\xc0\xaf",
            b"\xe2\x28\xa1",
            b"\x80",
            b"ok\xff",
            b"\xf8\x88\x80\x80\x80",
        ];
        for text in texts {
            let expected = std::str::from_utf8(text).is_ok();
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let mut utf8 = Utf8::default();
                    let pieces = [&text[..first], &text[first..second], &text[second..]];
                    let judged = pieces.iter().all(|piece| utf8.take(piece)) && utf8.is_whole();
                    assert_eq!(judged, expected, "{text:?} {first} {second}");
                }
            }
        }
    }
}
