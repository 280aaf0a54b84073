//! Short texts without the call that a loop or a copy of any length takes: eight bytes are one
//! number. For what is sought in a text there are [`lanes`](super::lanes).

pub(super) const ONES: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;

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
