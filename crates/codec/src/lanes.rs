//! Text sixteen bytes at a time, in the registers that all processors of a kind have (SSE2, NEON).
//!
//! A comparison gives a mask of bytes; of a mask, a bit for each byte says where the first is.

use wide::u8x16;

/// Sixteen bytes; of a mask, each 0 or 255.
pub(super) type Lanes = u8x16;

/// So many bytes.
pub(super) const LANES: usize = 16;

/// Bytes of a text.
#[inline(always)]
pub(super) fn lanes(bytes: &[u8; LANES]) -> Lanes {
    Lanes::new(*bytes)
}

/// Marks the bytes that are `byte`.
#[inline(always)]
pub(super) fn equal(lanes: Lanes, byte: u8) -> Lanes {
    lanes.simd_eq(Lanes::splat(byte))
}

/// Marks the bytes that are at most `byte`.
#[inline(always)]
pub(super) fn at_most(lanes: Lanes, byte: u8) -> Lanes {
    lanes.min(Lanes::splat(byte)).simd_eq(lanes)
}

/// Marks the bytes that a string of JSON cannot hold as they are: a quote, a backslash, and what is
/// below space.
#[inline(always)]
pub(super) fn string_stops(text: Lanes) -> Lanes {
    equal(text, b'"') | equal(text, b'\\') | at_most(text, 0x1f)
}

/// Which bytes are marked: the first is the lowest bit.
#[inline(always)]
pub(super) fn bits(mask: Lanes) -> u32 {
    mask.to_bitmask()
}

/// The last bytes of a text; where there are fewer than sixteen, spaces behind them.
#[inline(always)]
pub(super) fn last_lanes(text: &[u8]) -> Lanes {
    match text.last_chunk() {
        Some(last) => lanes(last),
        None => lanes(&filled_up(text)),
    }
}

#[inline(never)]
fn filled_up(text: &[u8]) -> [u8; LANES] {
    let mut last = [b' '; LANES];
    last[..text.len()].copy_from_slice(text);
    last
}

/// Whether `marks` marks one of a text's bytes, some of which it may see twice, and perhaps spaces.
#[inline(always)]
pub(super) fn has_any(text: &[u8], marks: impl Fn(Lanes) -> Lanes) -> bool {
    let (pieces, _) = text.as_chunks();
    let last = marks(last_lanes(text));
    bits(pieces.iter().fold(last, |found, piece| found | marks(lanes(piece)))) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_looked_at() {
        for length in 0..70 {
            let text = vec![b'x'; length];
            assert!(!has_any(&text, string_stops));
            for at in 0..length {
                let with = |byte: u8| {
                    let mut text = text.clone();
                    text[at] = byte;
                    text
                };
                for byte in 0..=u8::MAX {
                    let text = with(byte);
                    let is_stop = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(has_any(&text, string_stops), is_stop, "{byte} at {at}");
                    assert_eq!(has_any(&text, |text| text), byte >= 0x80, "{byte} at {at}");
                    assert!(has_any(&text, |text| equal(text, byte)));
                }
            }
        }
    }

    #[test]
    fn marks_are_exact() {
        for byte in 0..=u8::MAX {
            for at in 0..LANES {
                let mut text = [b'x'; LANES];
                text[at] = byte;
                for most in [0, 0x1f, b'a', 0x7f, 0x80, u8::MAX] {
                    let expected = (0..LANES).filter(|&at| text[at] <= most);
                    let expected = expected.map(|at| 1 << at).sum::<u32>();
                    assert_eq!(bits(at_most(lanes(&text), most)), expected);
                }
                let expected = if byte == b'x' { 0xffff } else { 1 << at };
                assert_eq!(bits(equal(lanes(&text), byte)), expected);
            }
        }
    }
}
