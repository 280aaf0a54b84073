//! A users file that was read: who there is, and how they log in. It does not change any more.

use std::collections::HashMap;
use std::sync::Arc;

use super::mistakes::UsersError;
use super::password::{Cost, PasswordHash};
use super::read::read;
use super::token::TokenHash;
use super::user::{Credential, User};

/// The user that everyone is who has not logged in.
pub const ANONYMOUS: &str = "anonymous";

/// Bytes that a users file may have.
pub const MAX_USERS_FILE: usize = 16 << 20;

/// A snapshot of all users and their rights. Cloning one is cheap: clones share it.
///
/// Its size is linear in that of the file: rules are kept once for each role, not for each user.
///
/// ```
/// use babelmq::access::{Policy, TokenHash};
///
/// let hash = TokenHash::of("a token of at least 128 random bits");
/// let policy = Policy::parse(&format!("[[user]]\nname = 'ci'\ntoken-sha256 = '{hash}'\n"))?;
/// let user = policy.user_with_token("a token of at least 128 random bits");
/// assert_eq!(user.map(|user| user.name()), Some("ci"));
/// assert!(policy.user_with_token("another").is_none());
/// # Ok::<(), babelmq::access::UsersError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    users: HashMap<Arc<str>, Arc<User>>,
    tokens: HashMap<TokenHash, Arc<str>>,
    /// What is verified for a user without a password.
    of_nothing: PasswordHash,
}

impl Policy {
    /// Reads a users file, of at most [`MAX_USERS_FILE`] bytes. docs/users.md has its form.
    ///
    /// # Errors
    /// [`UsersError`] with every mistake that was found; nothing of such a file holds.
    pub fn parse(text: &str) -> Result<Policy, UsersError> {
        let users = read(text, MAX_USERS_FILE, ANONYMOUS)?;
        let mut costs: HashMap<Cost, usize> = HashMap::new();
        let mut tokens = HashMap::new();
        for user in users.values() {
            match &user.credential {
                Credential::Password(hash) => *costs.entry(hash.cost()).or_default() += 1,
                Credential::Token(hash) => drop(tokens.insert(*hash, Arc::clone(&user.name))),
                Credential::Certificate | Credential::Nothing => {}
            }
        }
        let most = costs.into_iter().max_by_key(|(_, users)| *users);
        let cost = most.map_or(Cost::USUAL, |(cost, _)| cost);
        let of_nothing = PasswordHash::of_nothing(cost);
        Ok(Policy(Arc::new(Inner { users, tokens, of_nothing })))
    }

    /// The user of this name. [`ANONYMOUS`] is who has not logged in, where the file has it.
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.0.users.get(name)
    }

    /// The same user in this policy, if it has one of the name that logs in the same way.
    pub fn same_user(&self, user: &User) -> Option<&Arc<User>> {
        self.user(&user.name).filter(|found| found.credential == user.credential)
    }

    /// The users, in no order.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.0.users.values()
    }

    /// The user of this name, if this is the password. Where there is no such user, or none with a
    /// password, it takes as long as for most users of the file: the time does not say who there
    /// is.
    ///
    /// It takes as much memory and time as [`PasswordHash::verify`] does.
    pub fn user_with_password(&self, name: &str, password: &str) -> Option<&Arc<User>> {
        let user = self.user(name);
        match user.map(|user| &user.credential) {
            Some(Credential::Password(hash)) => user.filter(|_| hash.verify(password)),
            _ => {
                std::hint::black_box(self.0.of_nothing.verify(password));
                None
            }
        }
    }

    /// Bytes of memory that [`user_with_password`](Self::user_with_password) takes for this name.
    pub fn memory_to_verify(&self, name: &str) -> usize {
        let user = self.user(name);
        match user.map(|user| &user.credential) {
            Some(Credential::Password(hash)) => hash.memory(),
            _ => self.0.of_nothing.memory(),
        }
    }

    /// The user whose token this is. What is looked for is its hash, and the last comparison takes
    /// the same time wherever two differ.
    pub fn user_with_token(&self, token: &str) -> Option<&Arc<User>> {
        self.0.tokens.get(&TokenHash::of(token)).and_then(|name| self.user(name))
    }
}
