//! A user: a name, how somebody proves to be that user, and what the user may.

use std::sync::Arc;

use super::grant::Grant;
use super::password::PasswordHash;
use super::token::TokenHash;

/// How somebody proves to be a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    Password(PasswordHash),
    Token(TokenHash),
    /// A certificate, or what the system says of who is at the other end.
    Certificate,
    /// Nothing: the user is whoever has not logged in.
    Nothing,
}

/// A user of the file.
#[derive(Clone, Debug)]
pub struct User {
    pub(super) name: Arc<str>,
    pub(super) credential: Credential,
    pub(super) grant: Grant,
}

impl User {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, to be kept.
    pub fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// What the user may.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Whether a certificate with this name, or the system's word for who is at the other end of a
    /// unix socket, logs this user in.
    pub fn has_certificate(&self) -> bool {
        matches!(self.credential, Credential::Certificate)
    }
}
