//! The users of a file: a name, a way to log in, roles.

use std::borrow::Cow;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::{Reader, table_of, unknown};
use crate::access::fields::{Found, Text, string, strings, truth};
use crate::access::grant::Grant;
use crate::access::password::PasswordHash;
use crate::access::role::Role;
use crate::access::template::fits_in_a_segment;
use crate::access::token::TokenHash;
use crate::access::user::{Credential, User};

/// Bytes that a user's name may have.
const MAX_NAME: usize = 255;
/// Roles that a user may have: each is a lookup.
const MAX_ROLES: usize = 64;

/// What was found of one user.
#[derive(Default)]
struct Entry<'i> {
    name: Option<Text<'i>>,
    roles: Vec<Text<'i>>,
    credentials: Vec<Credential>,
    /// How many ways to log in there are, those with mistakes among them.
    ways: usize,
}

impl Reader<'_> {
    pub(super) fn user(&mut self, value: &Found<'_>) {
        let at = value.span().start;
        let Some(fields) = table_of("a user is written as [[user]]", value, self) else { return };
        let mut entry = Entry::default();
        for (key, value) in fields {
            self.field(&mut entry, key, value);
        }
        let Some(Text { at: name_at, text }) = entry.name else {
            // A name of another type is a mistake that was counted.
            if !fields.iter().any(|(key, _)| &**key.get_ref() == "name") {
                self.mistakes.add(at, "this user has no name; add name = \"…\"");
            }
            return;
        };
        let name: Arc<str> = text.into();
        if let Some(what) = wrong_name(text) {
            return self.mistakes.add(name_at, what);
        }
        let line = self.mistakes.line(name_at);
        if let Some(first) = self.names.insert(Arc::clone(&name), line) {
            let what = format!("there are two users {text:?}; the other one is on line {first}");
            return self.mistakes.add(name_at, what);
        }
        let may_log_in = text != self.anonymous;
        match (may_log_in, entry.ways) {
            (true, 0) => self.mistakes.add(
                name_at,
                format!(
                    "user {text:?} cannot log in; add password (`babelmq passwd` makes it), \
                     token-sha256 or certificate = true"
                ),
            ),
            (true, 1) | (false, 0) => {}
            (true, _) => self.mistakes.add(
                name_at,
                format!(
                    "user {text:?} has several ways to log in; keep one of password, token-sha256 \
                     and certificate, or make two users"
                ),
            ),
            (false, _) => self.mistakes.add(
                name_at,
                format!(
                    "user {text:?} is who has not logged in; take out its password, token-sha256 \
                     or certificate"
                ),
            ),
        }
        if let Some(Credential::Token(hash)) = entry.credentials.first()
            && let Some(first) = self.tokens.insert(*hash, line)
        {
            let what = format!("user {text:?} has the token of the user on line {first}");
            self.mistakes.add(name_at, format!("{what}; make another one"));
        }
        let roles = self.roles_of(text, &entry.roles);
        let credential = entry.credentials.pop().unwrap_or(Credential::Nothing);
        let grant = Grant::new(Arc::clone(&name), roles);
        self.users.insert(Arc::clone(&name), Arc::new(User { name, credential, grant }));
    }

    fn field<'v>(
        &mut self,
        entry: &mut Entry<'v>,
        key: &Spanned<Cow<'_, str>>,
        value: &'v Found<'_>,
    ) {
        let to = &mut self.mistakes;
        let name = &**key.get_ref();
        match name {
            "name" => entry.name = string(name, value, to),
            "roles" => entry.roles = strings(name, value, to),
            "password" => {
                entry.ways += 1;
                match string(name, value, to)
                    .map(|Text { at, text }| (at, PasswordHash::parse(text)))
                {
                    Some((_, Ok(hash))) => entry.credentials.push(Credential::Password(hash)),
                    Some((at, Err(why))) => {
                        to.add(
                            at,
                            format!("this password is no hash: {why}; `babelmq passwd` makes one"),
                        );
                    }
                    None => {}
                }
            }
            "token-sha256" => {
                entry.ways += 1;
                match string(name, value, to).map(|Text { at, text }| (at, TokenHash::parse(text)))
                {
                    Some((_, Some(hash))) => entry.credentials.push(Credential::Token(hash)),
                    Some((at, None)) => to.add(
                        at,
                        "token-sha256 is the SHA-256 of a token, 64 hexadecimal digits; `babelmq \
                         passwd --token` makes both",
                    ),
                    None => {}
                }
            }
            "certificate" => {
                let is_true = truth(name, value, to);
                let is_false = matches!(value.get_ref(), DeValue::Boolean(false));
                entry.ways += usize::from(!is_false);
                entry.credentials.extend(is_true.then_some(Credential::Certificate));
            }
            _ => {
                let known = "name, password, token-sha256, certificate, roles";
                to.add(key.span().start, unknown("a user", key, known));
            }
        }
    }

    /// The roles of a user, those that there are.
    fn roles_of(&mut self, user: &str, names: &[Text<'_>]) -> Vec<Arc<Role>> {
        let mut roles: Vec<Arc<Role>> = Vec::new();
        if let Some(Text { at, .. }) = names.get(MAX_ROLES) {
            let what = format!("user {user:?} has over {MAX_ROLES} roles; put some together");
            self.mistakes.add(*at, what);
        }
        for Text { at, text } in names.iter().take(MAX_ROLES) {
            let Some(role) = self.roles.get(*text) else {
                let what = format!("there is no role {text:?}; add [role.{text}], or correct it");
                self.mistakes.add(*at, what);
                continue;
            };
            if role.has_user() && !fits_in_a_segment(user) {
                let what = format!(
                    "role {text:?} has {{user}} in its filters, and {user:?} cannot stand in a \
                     topic: no \"/\", \"+\" or \"#\""
                );
                self.mistakes.add(*at, what);
            }
            if !roles.iter().any(|other| other.name == role.name) {
                roles.push(Arc::clone(role));
            }
        }
        roles
    }
}

fn wrong_name(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name cannot be empty".into());
    }
    if name.len() > MAX_NAME {
        return Some(format!("a name has at most {MAX_NAME} bytes; this one has {}", name.len()));
    }
    let control = name.chars().any(char::is_control);
    control.then(|| format!("the name {name:?} has a control character; take it out"))
}
