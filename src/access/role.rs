//! A role: lists of rules for each right, and what else a user with it may.

use super::limits::GrantLimits;
use super::trie::Trie;

/// A right that rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Right {
    /// To publish to a topic, and to clear it.
    Publish,
    /// To see a topic: to subscribe to it, list it, get its value.
    Subscribe,
}

/// The rules of a role for one right.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) allow: Trie,
    /// A topic that one of these matches is denied, whatever allows it.
    pub(super) deny: Trie,
}

impl Rules {
    pub(super) fn list(&self, denies: bool) -> &Trie {
        if denies { &self.deny } else { &self.allow }
    }
}

/// What the file says of a role.
#[derive(Debug, Default)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) publish: Rules,
    pub(super) subscribe: Rules,
    pub(super) stats: bool,
    pub(super) admin: bool,
    pub(super) limits: GrantLimits,
}

impl Role {
    pub(super) fn rules(&self, right: Right) -> &Rules {
        match right {
            Right::Publish => &self.publish,
            Right::Subscribe => &self.subscribe,
        }
    }

    /// Whether the name of a user stands in any of its filters.
    pub(super) fn has_user(&self) -> bool {
        [&self.publish, &self.subscribe]
            .iter()
            .any(|rules| rules.allow.has_user() || rules.deny.has_user())
    }
}
