//! How much of what a filter asks for is allowed: by the filters alone, without any topic.
//!
//! A segment that no rule names can always be found. Where it stands in the place of every `+` of a
//! filter, only rules with a `+` there match, and a topic that ends where the filter does is matched
//! by no longer rule. So one rule covers a filter if any number of rules do
//! together, and it is enough to look for that one. The answers are exact but for two cases, both
//! of which are `Some` where nothing can come: filters that meet only in topics longer than a topic
//! may be, and more than [`LOOKED_AT`] allow rules that all meet the filter and are all denied.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::asked::{Asked, normal};
use super::role::{Right, Role};
use super::template::{Template, filled};
use super::trie::{Rule, Trie};

/// Allow rules that are compared with the deny rules before the answer is `Some`.
const LOOKED_AT: usize = 1_024;

/// How much of what a filter matches is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every topic that it matches.
    All,
    /// A part: each topic has to be looked at.
    Some,
    /// No topic that it matches.
    Nothing,
}

/// How much of a filter these roles allow together.
pub(super) fn reach(roles: &[Arc<Role>], right: Right, asked: &Asked<'_>, user: &str) -> Reach {
    let filter = &asked.segments[..];
    let allow = || roles.iter().map(|role| &role.rules(right).allow);
    let deny = || roles.iter().map(|role| &role.rules(right).deny);
    let covered = |by: &Trie, filter: &[&str]| by.covering(filter.iter().copied(), user).is_some();
    let meets = |by: &Trie| {
        let mut any = false;
        by.meeting(asked, user, |_| {
            any = true;
            ControlFlow::Break(())
        });
        any
    };
    if !deny().any(meets) {
        return match () {
            () if allow().any(|allow| covered(allow, filter)) => Reach::All,
            () if allow().any(meets) => Reach::Some,
            () => Reach::Nothing,
        };
    }
    let (mut left, mut some) = (LOOKED_AT, false);
    for allow in allow() {
        allow.meeting(asked, user, |rule: &Rule| {
            let common = common(&rule.filter, filter, user);
            let common = normal(common.iter().map(|segment| &**segment));
            left = left.saturating_sub(1);
            some |= left == 0 || !deny().any(|deny| covered(deny, &common));
            if some { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    if some { Reach::Some } else { Reach::Nothing }
}

/// The topics of two filters that meet, as a filter.
fn common<'a>(rule: &'a Template, filter: &[&'a str], user: &str) -> Vec<Cow<'a, str>> {
    let mut of_filter = filter.iter().copied();
    let mut segments: Vec<Cow<'a, str>> = rule
        .segments()
        .map(|segment| match (segment, of_filter.next()) {
            ("+", Some(other)) => other.into(),
            (segment, _) => filled(segment, user),
        })
        .collect();
    segments.extend(of_filter.map(Cow::from));
    segments
}
