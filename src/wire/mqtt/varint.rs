//! Numbers in one to four bytes, seven bits in each, the lowest first (MQTT 5, 1.5.5).

/// The largest such number.
pub(super) const LARGEST: usize = 268_435_455;
/// Bytes of the longest.
const LONGEST: usize = 4;

/// A number, and how many bytes it takes; none where more of them are to come.
///
/// # Errors
/// It goes on behind the fourth byte.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(usize, usize)>, ()> {
    let mut number = 0;
    for (place, byte) in bytes.iter().take(LONGEST).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((number, place + 1)));
        }
    }
    if bytes.len() < LONGEST { Ok(None) } else { Err(()) }
}

/// How many bytes a number takes.
pub(super) fn size(number: usize) -> usize {
    match number {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => LONGEST,
    }
}

/// Appends a number, which is no larger than [`LARGEST`].
pub(super) fn put(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
