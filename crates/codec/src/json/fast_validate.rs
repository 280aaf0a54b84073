//! The payload that most producers send, judged with as few instructions as it takes.
//!
//! This knows a part of JSON: no escapes, no control characters, numbers and nesting of everyday
//! size, no key that may be a tag. The text that it accepts, the [scan](super::scan) accepts as
//! well, and ends in the same place; text that it does not know it leaves to the scan, which also
//! finds the words for what is wrong. Tests hold the two against each other.
//!
//! It pays for itself where JSON goes to JSON, and judging is most of what there is to do: the loop
//! from a read to a write takes 3 to 11 % less on six streams of eight.

use crate::lanes::{LANES, Lanes, at_most, bits, equal, lanes, last_lanes};

/// Digits in a number, all of them together. No number of so few, its exponent at most [`EXPONENT`]
/// digits, is too large for a double.
const DIGITS: usize = 200;
const EXPONENT: usize = 2;

/// Judges the value that begins at `start`, and returns where it ends. `None` where it is not of
/// the everyday kind.
pub(super) fn fast_validate(text: &[u8], start: usize) -> Option<usize> {
    if is_everyday(text.get(start..)?) { value(text, start) } else { None }
}

/// Whether a text is UTF-8 without control characters and backslashes, whatever else it is.
#[inline(always)]
fn is_everyday(text: &[u8]) -> bool {
    if text.len() > PIECE {
        return is_everyday_by_pieces(text);
    }
    let texture = Texture::of(text);
    !texture.is_special && (texture.is_ascii || simdutf8::basic::from_utf8(text).is_ok())
}

/// A text that is not everyday mostly shows it soon.
const PIECE: usize = 256;

#[inline(never)]
fn is_everyday_by_pieces(text: &[u8]) -> bool {
    let mut is_ascii = true;
    for piece in text.chunks(PIECE) {
        let texture = Texture::of(piece);
        if texture.is_special {
            return false;
        }
        is_ascii &= texture.is_ascii;
    }
    is_ascii || simdutf8::basic::from_utf8(text).is_ok()
}

/// What there is anywhere in a text.
struct Texture {
    is_ascii: bool,
    /// A control character or a backslash.
    is_special: bool,
}

impl Texture {
    #[inline(always)]
    fn of(text: &[u8]) -> Texture {
        let special = |text: Lanes| equal(text, b'\\') | at_most(text, 0x1f);
        let look_at =
            |(all, found): (Lanes, Lanes), text: Lanes| (all | text, found | special(text));
        let (pieces, _) = text.as_chunks::<LANES>();
        // Some of the last bytes are looked at twice.
        let start = look_at((Lanes::ZERO, Lanes::ZERO), last_lanes(text));
        let (all, found) = pieces.iter().fold(start, |seen, piece| look_at(seen, lanes(piece)));
        Texture { is_ascii: bits(all) == 0, is_special: bits(found) != 0 }
    }
}

/// The value at `at`, in a text without control characters and backslashes.
#[inline(always)]
fn value(text: &[u8], mut at: usize) -> Option<usize> {
    // A bit for each open bracket, 1 for an object; above them a 1 that stands for none.
    let mut open: u64 = 1;
    loop {
        match *text.get(at)? {
            b'"' => at = string(text, at + 1)?,
            b'0'..=b'9' | b'-' => at = number(text, at)?,
            b'{' => {
                open = nest(open, 1)?;
                at += 1;
                if peek(text, &mut at)? != b'}' {
                    at = key(text, at)?;
                    continue;
                }
            }
            b'[' => {
                open = nest(open, 0)?;
                at += 1;
                if peek(text, &mut at)? != b']' {
                    continue;
                }
            }
            b't' => at = word(text, at, b"true")?,
            b'f' => at = word(text, at, b"false")?,
            b'n' => at = word(text, at, b"null")?,
            b' ' => {
                at = skip_space(text, at);
                continue;
            }
            _ => return None,
        }
        // A value is complete, or a container was just opened and is empty.
        loop {
            if open == 1 {
                return Some(at);
            }
            let is_object = open & 1 == 1;
            let byte = peek(text, &mut at)?;
            if byte == b',' {
                at += 1;
                if is_object {
                    at = key(text, at)?;
                }
                break;
            }
            if byte != if is_object { b'}' } else { b']' } {
                return None;
            }
            at += 1;
            open >>= 1;
        }
    }
}

/// The brackets that are open when one more is.
#[inline(always)]
fn nest(open: u64, bracket: u64) -> Option<u64> {
    (open >> 63 == 0).then_some(open << 1 | bracket)
}

/// The next byte that is no space, and where it is.
#[inline(always)]
fn peek(text: &[u8], at: &mut usize) -> Option<u8> {
    let byte = *text.get(*at)?;
    if byte != b' ' {
        return Some(byte);
    }
    *at = skip_space(text, *at);
    text.get(*at).copied()
}

/// Not inlined, so that loops over spaces do not get in the way of texts without any.
#[inline(never)]
fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at) == Some(&b' ') {
        at += 1;
    }
    at
}

/// A key and the colon after it. A key that may be a tag is not for here.
#[inline(always)]
fn key(text: &[u8], mut at: usize) -> Option<usize> {
    if peek(text, &mut at)? != b'"' || *text.get(at + 1)? == b'$' {
        return None;
    }
    let mut at = string(text, at + 1)?;
    (peek(text, &mut at)? == b':').then_some(at + 1)
}

/// The rest of a string after its opening quote: nothing in the text but a quote can end it.
#[inline(always)]
fn string(text: &[u8], mut at: usize) -> Option<usize> {
    /// How often a string is looked at on the spot.
    const FEW: usize = 4;
    for _ in 0..FEW {
        let Some(piece) = text.get(at..)?.first_chunk() else { break };
        let quotes = bits(equal(lanes(piece), b'"'));
        if quotes != 0 {
            return Some(at + quotes.trailing_zeros() as usize + 1);
        }
        at += LANES;
    }
    long_string(text, at)
}

#[inline(never)]
fn long_string(text: &[u8], start: usize) -> Option<usize> {
    memchr::memchr(b'"', text.get(start..)?).map(|position| start + position + 1)
}

#[inline(always)]
fn number(text: &[u8], start: usize) -> Option<usize> {
    let first = start + usize::from(text[start] == b'-');
    let mut at = digits(text, first)?;
    if text[first] == b'0' && at > first + 1 {
        return None;
    }
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if at - start > DIGITS {
        return None;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let first = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = digits(text, first)?;
        if at - first > EXPONENT {
            return None;
        }
    }
    Some(at)
}

/// At least one digit.
#[inline(always)]
fn digits(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    (at > start).then_some(at)
}

#[inline(always)]
fn word<const N: usize>(text: &[u8], at: usize, word: &[u8; N]) -> Option<usize> {
    (text.get(at..)?.first_chunk::<N>()? == word).then_some(at + N)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyday_values_are_judged_to_their_end() {
        for text in [
            "0",
            "-0",
            "12",
            "-1.5",
            "1e5",
            "1.25E-10",
            "true",
            "false",
            "null",
            "\"\"",
            "\"abc\"",
            "[]",
            "{}",
            "[1,[],{}]",
            "{\"a\":{\"b\":[\"c\"]},\"\":0}",
            "[ 1 , 2 ]",
            "{ \"a\" : 1 , \"b\" : [ ] }",
            "\"\u{fc}\u{1f600}\"",
            "\"a text of more than sixteen bytes, and of more than two words\"",
        ] {
            for after in ["", "}", ",", " }", "]", "\"", "x"] {
                let longer = format!("{text}{after}");
                assert_eq!(fast_validate(longer.as_bytes(), 0), Some(text.len()), "{longer}");
                assert_eq!(
                    fast_validate(format!("\n{longer}").as_bytes(), 1),
                    Some(text.len() + 1),
                    "{longer}"
                );
            }
        }
    }

    #[test]
    fn long_texts_are_looked_at_to_their_end() {
        for length in [254, 255, 256, 257, 512, 1_000] {
            let text = format!("\"{}\"", "x".repeat(length));
            assert_eq!(fast_validate(text.as_bytes(), 0), Some(length + 2));
            for at in [1, 7, length / 2, length] {
                for special in [b'\\', b'\n', 0xff] {
                    let mut text = text.clone().into_bytes();
                    text[at] = special;
                    assert_eq!(fast_validate(&text, 0), None, "{special} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn everything_else_is_left_to_the_scan() {
        let deep = "[".repeat(64) + &"]".repeat(64);
        let digits = "1".repeat(DIGITS + 1);
        for text in [
            "",
            "+1",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e100",
            "1e-100",
            "tru",
            "nul",
            "\"",
            "\"a",
            "[1,]",
            "[,1]",
            "[1}",
            "{\"a\":1]",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1,}",
            "{,}",
            "[1 2]",
            "{\"$a\":1}",
            "\"\\n\"",
            "[\n1]",
            "\"\t\"",
            "\"\0\"",
            &deep,
            &digits,
        ] {
            assert_eq!(fast_validate(text.as_bytes(), 0), None, "{text}");
        }
        assert_eq!(fast_validate(b"\"\xff\"", 0), None);
        assert_eq!(fast_validate(b"1", 2), None);
    }
}
