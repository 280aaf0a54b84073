//! Comparison of secrets, in a time that does not say where they differ.

use std::hint::black_box;

/// Whether two texts of bytes are the same. Only how long they are may show in the time.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = |all: u8, (one, other): (&u8, &u8)| black_box(all | (one ^ other));
    one.len() == other.len() && one.iter().zip(other).fold(0, differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        assert!(is_same(b"", b"") && is_same(b"abc", b"abc"));
        for other in [&b"abd"[..], b"bbc", b"ab", b"abcd", b""] {
            assert!(!is_same(b"abc", other), "{other:?}");
        }
    }
}
