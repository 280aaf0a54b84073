//! The escapes of a string, on their way in.

use super::literal::{hex, literal_length};

/// Appends what the inside of a string means. The scan has accepted its escapes.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    out.reserve(raw.len());
    let mut rest = raw;
    loop {
        let literal = literal_length(rest);
        out.extend_from_slice(&rest[..literal]);
        rest = &rest[literal..];
        // Escapes come in runs.
        while let [b'\\', escape @ ..] = rest {
            let (byte, length) = match escape {
                [b'u', ..] => {
                    let (character, length) = unicode(escape);
                    let mut utf8 = [0; 4];
                    out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
                    rest = escape.get(length..).unwrap_or_default();
                    continue;
                }
                [b'b', ..] => (8, 1),
                [b'f', ..] => (12, 1),
                [b'n', ..] => (b'\n', 1),
                [b'r', ..] => (b'\r', 1),
                [b't', ..] => (b'\t', 1),
                [itself, ..] => (*itself, 1),
                [] => (b'\\', 0),
            };
            out.push(byte);
            rest = &escape[length..];
        }
        if literal == 0 && !rest.is_empty() {
            // No string that was accepted has such a byte.
            out.push(rest[0]);
            rest = &rest[1..];
        }
        if rest.is_empty() {
            return;
        }
    }
}

/// The character of `uXXXX` or `uXXXX\uXXXX`, and how many bytes spell it.
#[inline]
fn unicode(escape: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at..).and_then(<[u8]>::first_chunk::<4>);
        digits.and_then(hex).unwrap_or(u32::from(char::REPLACEMENT_CHARACTER))
    };
    let first = unit(1);
    if (0xd800..0xdc00).contains(&first) {
        let code = 0x1_0000 + ((first - 0xd800) << 10) + unit(7).saturating_sub(0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5)
}
