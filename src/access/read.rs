//! From the text of a users file to its users: all mistakes are found that can be.

mod user;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fields::{Found, Text, number, strings, table, truth};
use super::mistakes::{Mistakes, UsersError};
use super::role::Role;
use super::template::Template;
use super::token::TokenHash;
use super::trie::{Rule, Trie};
use super::user::User;

type Roles = HashMap<String, Arc<Role>>;

/// What a file has had so far.
struct Reader<'t> {
    mistakes: Mistakes<'t>,
    roles: Roles,
    users: HashMap<Arc<str>, Arc<User>>,
    /// The line of each name and of each token.
    names: HashMap<Arc<str>, usize>,
    tokens: HashMap<TokenHash, usize>,
    anonymous: &'static str,
}

/// Reads a file of at most so many bytes; `anonymous` is the name of the user that has no
/// credential.
pub(super) fn read(
    text: &str,
    most: usize,
    anonymous: &'static str,
) -> Result<HashMap<Arc<str>, Arc<User>>, UsersError> {
    if text.len() > most {
        let mut mistakes = Mistakes::new("");
        mistakes.add(0, format!("the file is {} bytes long; the limit is {most}", text.len()));
        mistakes.end()?;
    }
    let mut mistakes = Mistakes::new(text);
    // The first mistake alone: each byte of what is no TOML may be another one.
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            mistakes.add(at, format!("this is no TOML: {}", error.message()));
            mistakes.end()?;
            return Ok(HashMap::new());
        }
    };
    let mut reader = Reader {
        mistakes,
        roles: Roles::new(),
        users: HashMap::new(),
        names: HashMap::new(),
        tokens: HashMap::new(),
        anonymous,
    };
    reader.file(table.get_ref());
    reader.mistakes.end()?;
    Ok(reader.users)
}

impl Reader<'_> {
    fn file(&mut self, table: &DeTable<'_>) {
        let (mut users, mut roles) = (None, None);
        for (key, value) in table {
            match &**key.get_ref() {
                "user" => users = Some(value),
                "role" => roles = Some(value),
                _ => {
                    let what = unknown("the file", key, "[[user]] and [role.NAME]");
                    self.mistakes.add(key.span().start, what);
                }
            }
        }
        // Roles first, wherever they stand: users name them.
        if let Some(roles) = roles
            && let Some(roles) = table_of("roles are written as [role.NAME]", roles, self)
        {
            roles.iter().for_each(|(name, value)| self.role(name, value));
        }
        match users.map(|users| (users.span().start, users.get_ref())) {
            Some((_, DeValue::Array(users))) => users.iter().for_each(|user| self.user(user)),
            Some((at, _)) => self.mistakes.add(at, "users are written as [[user]]"),
            None => {}
        }
    }

    fn role(&mut self, name: &Spanned<Cow<'_, str>>, value: &Found<'_>) {
        let mut role = Role { name: name.get_ref().to_string(), ..Role::default() };
        let Some(fields) = table_of("a role is written as [role.NAME]", value, self) else {
            return;
        };
        let to = &mut self.mistakes;
        for (key, value) in fields {
            let name = &**key.get_ref();
            match name {
                "publish" => rules(&mut role.publish.allow, name, value, to),
                "deny-publish" => rules(&mut role.publish.deny, name, value, to),
                "subscribe" => rules(&mut role.subscribe.allow, name, value, to),
                "deny-subscribe" => rules(&mut role.subscribe.deny, name, value, to),
                "stats" => role.stats = truth(name, value, to),
                "admin" => role.admin = truth(name, value, to),
                "connections" => role.limits.connections = number(name, value, to),
                "messages-per-second" => role.limits.messages_per_second = number(name, value, to),
                "bytes-per-second" => role.limits.bytes_per_second = number(name, value, to),
                _ => to.add(
                    key.span().start,
                    unknown(
                        "a role",
                        key,
                        "publish, subscribe, deny-publish, deny-subscribe, stats, admin, \
                         connections, messages-per-second, bytes-per-second",
                    ),
                ),
            }
        }
        self.roles.insert(role.name.clone(), Arc::new(role));
    }
}

/// A table, or the mistake that it is none.
fn table_of<'v, 'i>(
    what: &str,
    value: &'v Found<'i>,
    reader: &mut Reader<'_>,
) -> Option<&'v DeTable<'i>> {
    table(what, value, &mut reader.mistakes)
}

fn rules(trie: &mut Trie, key: &str, value: &Found<'_>, to: &mut Mistakes<'_>) {
    for Text { at, text } in strings(key, value, to) {
        match Template::parse(text) {
            Ok(filter) => trie.insert(Rule { filter, line: to.line(at), at }),
            Err(why) => to.add(at, format!("{key} has {text:?}, which is no filter: {why}")),
        }
    }
}

fn unknown(of: &str, key: &Spanned<Cow<'_, str>>, known: &str) -> String {
    format!("{of} has no {:?}; it has {known}", key.get_ref())
}
