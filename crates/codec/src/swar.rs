//! Text eight bytes at a time: most strings of a message are shorter than what it costs to call a
//! function that is made for long ones.

pub(super) const ONES: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;

/// Whether the text is UTF-8, which for ASCII needs no call.
#[inline]
pub(super) fn is_utf8(text: &[u8]) -> bool {
    /// For longer texts there are loops over many bytes at a time.
    const SHORT: usize = 64;
    let is_ascii = match text.last_chunk::<8>() {
        Some(last) if text.len() > SHORT => {
            let (words, _) = text.as_chunks::<8>();
            let all = words
                .iter()
                .fold(u64::from_le_bytes(*last), |all, word| all | u64::from_le_bytes(*word));
            all & HIGH == 0
        }
        _ => every_word(text, |word| word & HIGH == 0),
    };
    is_ascii || simdutf8::basic::from_utf8(text).is_ok()
}

/// The number that eight digits spell, if that is what they are. (Lemire, "Number parsing at a
/// gigabyte per second", §5.)
#[inline(always)]
pub(super) fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(digits);
    // The upper half of each byte is 3, also with 6 more.
    let halves = (word & (ONES * 0xf0)) | ((word.wrapping_add(ONES * 6) & (ONES * 0xf0)) >> 4);
    if halves != ONES * 0x33 {
        return None;
    }
    // Neighbours become numbers of two digits, then of four, then of eight.
    let twos = (word & (ONES * 0x0f)).wrapping_mul(10 << 8 | 1) >> 8;
    let fours = (twos & 0x00ff_00ff_00ff_00ff).wrapping_mul(100 << 16 | 1) >> 16;
    Some((fours & 0x0000_ffff_0000_ffff).wrapping_mul(10_000 << 32 | 1) >> 32)
}

/// Marks the high bit of each byte that is `a`, `b` or below space, and perhaps of bytes above one;
/// `a` and `b` are ASCII.
#[inline(always)]
pub(super) const fn stops(word: u64, a: u8, b: u8) -> u64 {
    // The high bit of a difference shows a borrow: where the byte itself has none, it was too
    // small. A borrow from a neighbour only adds to what a true one has found.
    let zero_a = (word ^ (ONES * a as u64)).wrapping_sub(ONES);
    let zero_b = (word ^ (ONES * b as u64)).wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * 0x20);
    (zero_a | zero_b | control) & !word & HIGH
}

/// The same for the bytes that a string of JSON cannot hold as they are: a quote, a backslash, and
/// what is below space.
#[inline(always)]
pub(super) const fn string_stops(word: u64) -> u64 {
    // With one bit changed, a quote is the next above those that are below space.
    let quote_or_control = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (quote_or_control | backslash) & !word & HIGH
}

/// Whether none of the bytes is `a`, `b` or below space; `a` and `b` are ASCII.
#[inline(always)]
pub(super) const fn has_neither(word: u64, a: u8, b: u8) -> bool {
    stops(word, a, b) == 0
}

/// Whether one of the bytes is `byte`.
#[inline(always)]
pub(super) const fn has_byte(word: u64, byte: u8) -> bool {
    let zero = word ^ (ONES * byte as u64);
    zero.wrapping_sub(ONES) & !zero & HIGH != 0
}

/// Whether `judge` takes all words of the text. Words overlap, and a short text is filled up with
/// bytes of its own, so `judge` must not mind to see a byte twice nor where; it is not asked about
/// an empty text.
#[inline(always)]
pub(super) fn every_word(text: &[u8], judge: impl Fn(u64) -> bool) -> bool {
    if let Some(last) = text.last_chunk::<8>() {
        let (words, _) = text.as_chunks::<8>();
        return words.iter().all(|word| judge(u64::from_le_bytes(*word)))
            && judge(u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let word =
            u64::from(u32::from_le_bytes(*first)) | (u64::from(u32::from_le_bytes(*last)) << 32);
        return judge(word);
    }
    match *text {
        [] => true,
        [a] => judge(u64::from(a) * ONES),
        [a, .., b] => {
            let middle = text[text.len() / 2];
            judge(u64::from(a) | (u64::from(b) << 8) | (u64::from(middle) * (ONES << 16)))
        }
    }
}

/// Whether `marks` marks nothing in a text, which is filled up with spaces to whole words. For long
/// texts: in a way that compilers turn into more than a word at a time.
#[inline(always)]
pub(super) fn is_free_of(text: &[u8], marks: impl Fn(u64) -> u64) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    let found = words.iter().fold(0, |found, word| found | marks(u64::from_le_bytes(*word)));
    found | marks(u64::from_le_bytes(last)) == 0
}

/// Whether two texts are the same; short ones without a call.
#[inline(always)]
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    fn both<const N: usize>(text: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        Some((text.first_chunk()?, text.last_chunk()?))
    }
    if one.len() != other.len() || one.len() > 16 {
        return one == other;
    }
    match (both::<8>(one), both::<8>(other)) {
        (Some(one), Some(other)) => one == other,
        _ => match (both::<4>(one), both::<4>(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one.iter().zip(other).all(|(one, other)| one == other),
        },
    }
}

/// Appends a text. A short one is copied in two words that overlap.
#[inline(always)]
pub(super) fn push(text: &[u8], out: &mut Vec<u8>) {
    if text.len() <= 16 {
        if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            return push_both(first, last, text.len(), out);
        }
        if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            return push_both(first, last, text.len(), out);
        }
        match *text {
            [] => {}
            [a] => out.push(a),
            [a, b] => out.extend_from_slice(&[a, b]),
            [a, b, c, ..] => out.extend_from_slice(&[a, b, c]),
        }
    } else if let (Some(first), Some(last)) = (text.first_chunk::<16>(), text.last_chunk::<16>())
        && text.len() <= 32
    {
        push_both(first, last, text.len(), out);
    } else {
        out.extend_from_slice(text);
    }
}

#[inline(always)]
fn push_both<const N: usize>(first: &[u8; N], last: &[u8; N], length: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(first);
    out.truncate(start + length - N);
    out.extend_from_slice(last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits_are_one_number() {
        for number in [0, 1, 9, 10, 12_345_678, 99_999_999, 80_000_007, 10_203_040] {
            let spelled = format!("{number:08}");
            assert_eq!(eight_digits(*spelled.as_bytes().first_chunk().unwrap()), Some(number));
            for (at, other) in (0..8).flat_map(|at| (0..=255).map(move |other| (at, other))) {
                let mut changed: [u8; 8] = *spelled.as_bytes().first_chunk().unwrap();
                changed[at] = other;
                let expected = str::from_utf8(&changed).ok().and_then(|text| text.parse().ok());
                let expected = expected.filter(|_| changed[0] != b'+');
                assert_eq!(eight_digits(changed), expected, "{changed:?}");
            }
        }
    }

    #[test]
    fn every_byte_is_looked_at() {
        for length in 0..70 {
            let text = vec![b'x'; length];
            let is_plain = |text: &[u8]| every_word(text, |word| has_neither(word, b'"', b'\\'));
            assert!(is_utf8(&text) && is_plain(&text));
            for at in 0..length {
                for stop in [b'"', b'\\', 0, 0x1f, b'\n'] {
                    let mut text = text.clone();
                    text[at] = stop;
                    assert!(!is_plain(&text));
                }
                for other in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0x9f, 0xff] {
                    let mut text = text.clone();
                    text[at] = other;
                    assert!(is_plain(&text));
                    assert_eq!(is_utf8(&text), other < 0x80);
                    assert!(!every_word(&text, |word| !has_byte(word, other)));
                }
            }
        }
        assert!(is_utf8("Zoë Brandt & Söhne".as_bytes()));
    }

    #[test]
    fn texts_are_the_same_when_they_are() {
        for length in 0..40 {
            let text = vec![b'x'; length];
            assert!(is_same(&text, &text.clone()) && !is_same(&text, &vec![b'x'; length + 1]));
            for at in 0..length {
                let mut other = text.clone();
                other[at] = b'y';
                assert!(!is_same(&text, &other));
            }
        }
    }

    #[test]
    fn texts_are_copied_as_they_are() {
        for length in 0..70 {
            let text: Vec<u8> = (1..=length).collect();
            let mut out = b"before".to_vec();
            push(&text, &mut out);
            assert_eq!(out, [b"before", &*text].concat());
        }
    }
}
