//! Passwords, of which the file holds only an Argon2id hash (RFC 9106) in a PHC string.

use std::fmt;

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};

use super::constant_time::is_same;

/// Random bytes that go into a new hash.
pub const SALT_BYTES: usize = 16;

/// The most memory that a hash may take, in KiB: 1 GiB.
const MAX_MEMORY: u32 = 1 << 20;
/// The most passes over that memory.
const MAX_PASSES: u32 = 64;
/// The most lanes.
const MAX_LANES: u32 = 16;
/// Bytes of a hash: as many as RFC 9106 recommends. A short one would be found by chance.
const OUTPUT_BYTES: usize = 32;
const MIN_OUTPUT_BYTES: usize = 16;

/// What it costs to compute a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cost {
    /// In KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// The cost that OWASP's cheat sheet on password storage names first: 19 MiB, two passes.
    pub(super) const USUAL: Cost = Cost { memory: 19 * 1_024, passes: 2, lanes: 1 };

    fn params(self, output: usize) -> Result<Params, argon2::Error> {
        Params::new(self.memory, self.passes, self.lanes, Some(output))
    }
}

/// The hash of a password.
///
/// A verification takes as much memory and time as the hash says: 19 MiB and some 20 ms for one
/// that was made here, and at most 1 GiB, 64 passes and 16 lanes.
///
/// ```
/// use babelmq::access::PasswordHash;
///
/// // The salt is of random bytes, and new for each password.
/// let hash = PasswordHash::new("tr0ub4dor", [7; 16]).ok_or("no memory")?;
/// assert!(hash.to_string().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
/// assert!(PasswordHash::parse(&hash.to_string())?.verify("tr0ub4dor"));
/// assert!(!hash.verify("Tr0ub4dor"));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    cost: Cost,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl PasswordHash {
    /// Hashes a password. `None` where there is no memory for it, 19 MiB.
    pub fn new(password: &str, salt: [u8; SALT_BYTES]) -> Option<PasswordHash> {
        let cost = Cost::USUAL;
        let output = compute(password, cost, &salt, OUTPUT_BYTES)?;
        Some(PasswordHash { cost, salt: salt.to_vec(), output })
    }

    /// Reads a PHC string, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it: it may be a password that somebody put there.
    pub fn parse(text: &str) -> Result<PasswordHash, String> {
        if !text.starts_with("$argon2id$") {
            return Err("it is no hash that begins with \"$argon2id$\"".into());
        }
        let read = phc::PasswordHash::new(text)
            .map_err(|error| format!("it is no PHC string ({error}); is a part of it missing?"))?;
        if read.version != Some(Version::V0x13.into()) {
            return Err("it has not the version \"v=19\"".into());
        }
        let params = Params::try_from(&read)
            .map_err(|_| "its parameters are not those of Argon2, as in \"m=19456,t=2,p=1\"")?;
        let cost =
            Cost { memory: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() };
        for (name, value, most) in [
            ("m", cost.memory, MAX_MEMORY),
            ("t", cost.passes, MAX_PASSES),
            ("p", cost.lanes, MAX_LANES),
        ] {
            if value > most {
                return Err(format!("its cost {name}={value} is absurd; {most} is the most"));
            }
        }
        let (Some(salt), Some(output)) = (read.salt, read.hash) else {
            return Err("it has no salt or no hash".into());
        };
        if output.len() < MIN_OUTPUT_BYTES {
            return Err(format!("its hash is shorter than {MIN_OUTPUT_BYTES} bytes"));
        }
        Ok(PasswordHash { cost, salt: salt.to_vec(), output: output.as_bytes().to_vec() })
    }

    /// Bytes of memory that a verification takes.
    pub(super) fn memory(&self) -> usize {
        self.cost.memory as usize * 1_024
    }

    /// Whether this is the password. It takes as long whether it is or not.
    pub fn verify(&self, password: &str) -> bool {
        compute(password, self.cost, &self.salt, self.output.len())
            .is_some_and(|output| is_same(&output, &self.output))
    }

    /// A hash that takes as long as one of this cost, and that no password is known for.
    pub(super) fn of_nothing(cost: Cost) -> PasswordHash {
        PasswordHash { cost, salt: vec![0; SALT_BYTES], output: vec![0; OUTPUT_BYTES] }
    }

    pub(super) fn cost(&self) -> Cost {
        self.cost
    }
}

fn compute(password: &str, cost: Cost, salt: &[u8], length: usize) -> Option<Vec<u8>> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params(length).ok()?);
    let mut output = vec![0; length];
    argon2.hash_password_into(password.as_bytes(), salt, &mut output).ok()?;
    Some(output)
}

/// The PHC string.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params = self.cost.params(self.output.len()).map_err(|_| fmt::Error)?;
        let params = ParamsString::try_from(params).map_err(|_| fmt::Error)?;
        let phc = phc::PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params,
            salt: Some(Salt::new(&self.salt).map_err(|_| fmt::Error)?),
            hash: Some(Output::new(&self.output).map_err(|_| fmt::Error)?),
        };
        write!(f, "{phc}")
    }
}

/// Without the hash, which is nobody's business in a log.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with another implementation, the reference in C, of the password "password".
    const OTHERS: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
                          $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    #[test]
    fn a_hash_of_the_reference_implementation_is_verified() {
        let hash = PasswordHash::parse(OTHERS).unwrap();
        assert!(hash.verify("password") && !hash.verify("Password") && !hash.verify(""));
        assert_eq!(hash.to_string(), OTHERS);
        assert!(!format!("{hash:?}").contains("CTFh"));
    }

    #[test]
    fn what_is_no_hash_is_refused_without_repeating_it() {
        let with = |from: &str, to: &str| OTHERS.replace(from, to);
        for (text, expected) in [
            ("hunter2".to_owned(), "\"$argon2id$\""),
            (with("argon2id", "argon2i"), "\"$argon2id$\""),
            ("$argon2id$".to_owned(), "PHC string"),
            (with("c29tZXNhbHQ$", ""), "no salt or no hash"),
            (with("v=19$", ""), "v=19"),
            (with("v=19", "v=16"), "v=19"),
            (with("m=65536", "m=1048577"), "m=1048577"),
            (with("t=2", "t=65"), "t=65"),
            (with("p=1", "p=17"), "p=17"),
            (with("t=2", "t=0"), "parameters"),
            (with("m=65536", "m=7"), "parameters"),
            (with("m=65536", "x=1"), "parameters"),
            (with("O6Mm5c8y7cJHAph8ArZWb2GRPPc", ""), "shorter than 16"),
        ] {
            let error = PasswordHash::parse(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("CTFh"), "{error}");
        }
    }
}
