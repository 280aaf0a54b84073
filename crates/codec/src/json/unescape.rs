//! The escapes of a string, on their way in.

use super::grammar::hex_value;

/// Appends what the inside of a string means. The grammar has accepted its escapes.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(position) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..position]);
        let escape = &rest[position + 1..];
        let (byte, length) = match escape.first() {
            Some(b'u') => {
                let (character, length) = unicode(escape);
                let mut utf8 = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
                rest = &escape[length..];
                continue;
            }
            Some(b'b') => (8, 1),
            Some(b'f') => (12, 1),
            Some(b'n') => (b'\n', 1),
            Some(b'r') => (b'\r', 1),
            Some(b't') => (b'\t', 1),
            Some(&itself) => (itself, 1),
            None => (b'\\', 0),
        };
        out.push(byte);
        rest = &escape[length..];
    }
    out.extend_from_slice(rest);
}

/// The character of `uXXXX` or `uXXXX\uXXXX`, and how many bytes spell it.
fn unicode(escape: &[u8]) -> (char, usize) {
    fn unit(digits: &[u8]) -> u32 {
        digits.iter().take(4).fold(0, |unit, &digit| unit * 16 + hex_value(digit))
    }
    let first = unit(&escape[1..]);
    if (0xd800..0xdc00).contains(&first) && escape.len() >= 11 {
        let second = unit(&escape[7..]);
        let code = 0x1_0000 + ((first - 0xd800) << 10) + second.saturating_sub(0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5.min(escape.len()))
}
