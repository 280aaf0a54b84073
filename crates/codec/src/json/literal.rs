//! What the inside of a string is made of: text that stands for itself, and hexadecimal digits.

use crate::lanes::{LANES, bits, lanes, string_stops};

/// The number that four hexadecimal digits spell.
#[inline(always)]
pub(super) fn hex(digits: &[u8; 4]) -> Option<u32> {
    const NONE: u16 = 1 << 8;
    /// What each byte stands for as a digit.
    const DIGITS: [u16; 256] = {
        let mut digits = [NONE; 256];
        let mut value = 0;
        while value < 16 {
            digits[b"0123456789abcdef"[value] as usize] = value as u16;
            digits[b"0123456789ABCDEF"[value] as usize] = value as u16;
            value += 1;
        }
        digits
    };
    let [a, b, c, d] = digits.map(|digit| u32::from(DIGITS[usize::from(digit)]));
    ((a | b | c | d) < u32::from(NONE)).then_some(a << 12 | b << 8 | c << 4 | d)
}

/// How many bytes at the beginning of `text` a string may hold as they are.
#[inline]
pub(crate) fn literal_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(piece) = text[at..].first_chunk::<LANES>() {
        let stops = bits(string_stops(lanes(piece)));
        if stops != 0 {
            return at + stops.trailing_zeros() as usize;
        }
        at += LANES;
    }
    let rest = text[at..].iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
    rest.map_or(text.len(), |position| at + position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_text_ends_where_it_should() {
        for stop in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for length in 0..40 {
                let mut text = vec![b'x'; length];
                text[..length / 2].fill(0xff);
                text.extend([stop, b'"', 0x20, 0x21, 0x7f]);
                assert_eq!(literal_length(&text), length, "{stop} at {length}");
            }
        }
        assert_eq!(literal_length(&[b' '; 31]), 31);
    }

    #[test]
    fn hexadecimal_digits_are_read_in_either_case() {
        for unit in 0..=u16::MAX {
            for spelled in [format!("{unit:04x}"), format!("{unit:04X}")] {
                let digits = spelled.as_bytes().first_chunk().unwrap();
                assert_eq!(hex(digits), Some(u32::from(unit)));
            }
        }
        for wrong in [b"00g0", b"+123", b" 123", b"\xff\xff\xff\xff"] {
            assert_eq!(hex(wrong), None);
        }
    }
}
