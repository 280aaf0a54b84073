//! Tokens, of which the file holds only a hash.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

use super::constant_time::is_same;

/// The SHA-256 of a token. It is no hash for passwords: a token has at least 128 random bits, so
/// there is nothing to guess.
///
/// ```
/// use babelmq::access::TokenHash;
///
/// let hash = TokenHash::of("5f2b…");
/// assert_eq!(TokenHash::parse(&hash.to_string()), Some(hash));
/// assert_eq!(TokenHash::parse("5f2b"), None);
/// ```
#[derive(Clone, Copy, Debug, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> TokenHash {
        TokenHash(Sha256::digest(token.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits, large or small.
    pub fn parse(hex: &str) -> Option<TokenHash> {
        let digits = hex.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
        }
        Some(TokenHash(bytes))
    }
}

/// In a time that does not say where two hashes differ.
impl PartialEq for TokenHash {
    fn eq(&self, other: &TokenHash) -> bool {
        is_same(&self.0, &other.0)
    }
}

impl Hash for TokenHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// The 64 digits, small ones.
impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_the_standard_and_read_back() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::of("abc").to_string(), abc);
        assert_eq!(TokenHash::parse(&abc.to_uppercase()), Some(TokenHash::of("abc")));
        for bad in ["", &abc[1..], &format!("{abc}0"), &abc.replace('b', "g"), &"ü".repeat(32)] {
            assert_eq!(TokenHash::parse(bad), None, "{bad}");
        }
    }
}
