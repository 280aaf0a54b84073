//! UUIDs, in the form with hyphens (RFC 9562 §4).

use super::{Key, NotOfType};
use crate::pickle::{Calls, Class};

const WANTED: NotOfType =
    NotOfType::Wanted("a UUID of 36 characters, as 12345678-1234-5678-1234-567812345678");

/// Where the hyphens stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const LENGTH: usize = 36;

/// Letters become small.
pub(super) fn canonical(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let is_one = text.len() == LENGTH
        && text.iter().enumerate().all(|(at, byte)| match HYPHENS.contains(&at) {
            true => *byte == b'-',
            false => byte.is_ascii_hexdigit(),
        });
    if !is_one {
        return Err(WANTED);
    }
    out.extend(text.iter().map(u8::to_ascii_lowercase));
    Ok(())
}

/// UUIDs are equal where their canonical texts are.
pub(super) fn key(canonical: &[u8], out: &mut Vec<u8>) -> Key {
    out.push(b'g');
    out.extend_from_slice(canonical);
    Key::Spelled
}

/// The UUID of a number, its first byte the highest, as `UUID.int` has it.
pub(crate) fn put(number: u128, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; LENGTH];
    for (index, byte) in number.to_be_bytes().into_iter().enumerate() {
        let hyphens = [4, 6, 8, 10].map(|before| usize::from(index >= before));
        let at = 2 * index + hyphens.iter().sum::<usize>();
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 0xf)];
    }
    out.extend_from_slice(&text);
}

/// `UUID` in a pickle: an object whose state is its number.
pub(super) fn call(canonical: &[u8], calls: &mut Calls<'_>) {
    let digit = |byte: u8| match byte {
        b'a'..=b'f' => byte - b'a' + 10,
        byte => byte.wrapping_sub(b'0'),
    };
    let digits = canonical.iter().filter(|&&byte| byte != b'-');
    let number = digits.fold(0u128, |number, &byte| number << 4 | u128::from(digit(byte)));
    calls.class(Class::Uuid);
    calls.object();
    calls.dict_of_one("int", |calls| calls.long(number));
    calls.build();
}

#[cfg(test)]
mod tests {
    use super::super::ScalarType::Uuid;
    use super::*;

    #[test]
    fn letters_become_small_and_all_else_is_refused() {
        let one = "12345678-90ab-cdef-1234-567890abcdef";
        assert_eq!(Uuid.canonical(&one.to_uppercase()).as_deref(), Ok(one));
        let mut out = Vec::new();
        put(0x1234_5678_90ab_cdef_1234_5678_90ab_cdef, &mut out);
        assert_eq!(out, one.as_bytes());
        for wrong in [
            "",
            &one[1..],
            &one.replace('-', ""),
            &one.replace('f', "g"),
            &one.replace("8-9", "89-"),
        ] {
            assert_eq!(Uuid.canonical(wrong), Err(WANTED), "{wrong}");
        }
    }
}
