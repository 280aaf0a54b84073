//! Passwords that were verified a while ago, so that a client which connects again costs no hash.
//!
//! What is kept of a password is its SHA-256 with a key of random bytes that lives in this process
//! alone: nothing in it helps to guess one without the key, and it is never written anywhere.

use std::collections::HashSet;
use std::fmt;

use sha2::{Digest, Sha256};

/// Random bytes of a key.
pub const KEY_BYTES: usize = 32;

/// Logins that are remembered: about half a megabyte. When there are more, all are forgotten.
const MOST: usize = 10_000;

/// Names and passwords that belong together.
///
/// ```
/// use babelmq::access::VerifiedLogins;
///
/// // The key is of random bytes.
/// let mut logins = VerifiedLogins::new([7; 32]);
/// logins.remember("ada", "correct horse");
/// assert!(logins.knows("ada", "correct horse"));
/// assert!(!logins.knows("ada", "battery staple"));
/// ```
pub struct VerifiedLogins {
    key: [u8; KEY_BYTES],
    logins: HashSet<[u8; 32]>,
}

impl VerifiedLogins {
    /// None yet.
    pub fn new(key: [u8; KEY_BYTES]) -> VerifiedLogins {
        VerifiedLogins { key, logins: HashSet::new() }
    }

    /// Whether this password of this user was verified.
    pub fn knows(&self, user: &str, password: &str) -> bool {
        self.logins.contains(&self.digest(user, password))
    }

    /// Remembers that this is the password of this user.
    pub fn remember(&mut self, user: &str, password: &str) {
        if self.logins.len() >= MOST {
            self.logins.clear();
        }
        self.logins.insert(self.digest(user, password));
    }

    /// Forgets all of them, because passwords may have changed.
    pub fn forget(&mut self) {
        self.logins.clear();
    }

    fn digest(&self, user: &str, password: &str) -> [u8; 32] {
        let length = (user.len() as u64).to_be_bytes();
        let mut digest = Sha256::new();
        for part in [&self.key[..], &length, user.as_bytes(), password.as_bytes()] {
            digest.update(part);
        }
        digest.finalize().into()
    }
}

impl fmt::Debug for VerifiedLogins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedLogins({})", self.logins.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_password_do_not_run_into_each_other() {
        let mut logins = VerifiedLogins::new([1; KEY_BYTES]);
        logins.remember("ab", "c");
        assert!(logins.knows("ab", "c"));
        assert!(!logins.knows("a", "bc") && !logins.knows("abc", "") && !logins.knows("", "abc"));
        logins.forget();
        assert!(!logins.knows("ab", "c"));
    }

    #[test]
    fn another_process_has_other_digests() {
        let digest = |key| VerifiedLogins::new([key; KEY_BYTES]).digest("ab", "c");
        assert_ne!(digest(1), digest(2));
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let mut logins = VerifiedLogins::new([1; KEY_BYTES]);
        for number in 0..3 * MOST {
            logins.remember("ada", &number.to_string());
            assert!(logins.knows("ada", &number.to_string()) && logins.logins.len() <= MOST);
        }
    }
}
