//! What one user may: roles united, and the name filled in.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::asked::Asked;
use super::limits::GrantLimits;
use super::reach::{Reach, reach};
use super::role::{Right, Role};
use super::trie::{Rule, Trie};
use crate::protocol::{TopicFilter, TopicName};

/// What a user may. A topic is allowed that an allow rule of any role matches, and no deny rule of
/// any role.
///
/// Cloning one is cheap. A lookup walks down the segments of a topic once for each role, and its
/// cost is bounded by the rules, however they are made.
///
/// ```
/// use babelmq::TopicFilter;
/// use babelmq::access::{Policy, Reach};
///
/// let policy = Policy::parse(
///     "[[user]]\nname = 'anonymous'\nroles = ['guest']\n\
///      [role.guest]\nsubscribe = ['news']\ndeny-subscribe = ['news/drafts']\n",
/// )?;
/// let grant = policy.user("anonymous").map(|user| user.grant()).ok_or("no such user")?;
/// let reach = |filter| TopicFilter::parse(filter).map(|filter| grant.reach(&filter));
/// assert_eq!(reach("news/sports")?, Reach::All);
/// assert_eq!(reach("news")?, Reach::Some);
/// assert_eq!(reach("news/drafts/+")?, Reach::Nothing);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Grant(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    user: Arc<str>,
    roles: Vec<Arc<Role>>,
    stats: bool,
    admin: bool,
    limits: GrantLimits,
}

impl Grant {
    pub(super) fn new(user: Arc<str>, roles: Vec<Arc<Role>>) -> Grant {
        let limits = |all: GrantLimits, role: &Arc<Role>| all.united(role.limits);
        Grant(Arc::new(Inner {
            user,
            stats: roles.iter().any(|role| role.stats),
            admin: roles.iter().any(|role| role.admin),
            limits: roles.iter().fold(GrantLimits::default(), limits),
            roles,
        }))
    }

    /// Whether the user may publish to a topic, or clear it.
    pub fn may_publish(&self, topic: TopicName<'_>) -> bool {
        self.may(Right::Publish, topic)
    }

    /// Whether the user may see a topic: be told of it, and get its value.
    pub fn may_see(&self, topic: TopicName<'_>) -> bool {
        self.may(Right::Subscribe, topic)
    }

    /// Whether the user has a right to a topic.
    pub fn may(&self, right: Right, topic: TopicName<'_>) -> bool {
        let matches = |trie: &Trie| trie.covering(topic.segments(), &self.0.user).is_some();
        self.0.roles.iter().any(|role| matches(&role.rules(right).allow))
            && !self.0.roles.iter().any(|role| matches(&role.rules(right).deny))
    }

    /// How much of what a subscription or a list asks for the user may see.
    pub fn reach(&self, filter: &TopicFilter) -> Reach {
        self.reach_of(Right::Subscribe, filter)
    }

    /// How much of what a filter matches the user has a right to.
    ///
    /// [`Reach::All`] and [`Reach::Nothing`] are always true. [`Reach::Some`] may be said where
    /// there is nothing, when filters meet only in topics that are longer than topics may be, or
    /// when over a thousand allow rules meet the filter and the deny rules cover them all.
    pub fn reach_of(&self, right: Right, filter: &TopicFilter) -> Reach {
        reach(&self.0.roles, right, &filter.into(), &self.0.user)
    }

    /// Whether the user may ask the broker for its counters.
    pub fn stats(&self) -> bool {
        self.0.stats
    }

    /// Whether the user may administrate the broker.
    pub fn admin(&self) -> bool {
        self.0.admin
    }

    /// The limits of the user.
    pub fn limits(&self) -> GrantLimits {
        self.0.limits
    }

    /// A number that clones of a grant share, and no other grant has as long as one of them lives.
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Which rule decides about a topic.
    pub fn explain(&self, right: Right, topic: TopicName<'_>) -> Explanation {
        let find = |denies| self.covering(right, denies, || topic.segments());
        let (allow, deny) = (find(false), find(true));
        let is_allowed = allow.is_some() && deny.is_none();
        Explanation { reach: if is_allowed { Reach::All } else { Reach::Nothing }, allow, deny }
    }

    /// Which rules decide about a filter: those that cover it, or else the first of those that meet
    /// it.
    pub fn explain_filter(&self, right: Right, filter: &TopicFilter) -> Explanation {
        let asked = Asked::from(filter);
        let find = |denies| {
            self.covering(right, denies, || asked.segments.iter().copied())
                .or_else(|| self.meeting(right, denies, &asked))
        };
        Explanation { reach: self.reach_of(right, filter), allow: find(false), deny: find(true) }
    }

    /// A rule about all topics that begin with these segments.
    fn covering<'s, S: Iterator<Item = &'s str>>(
        &self,
        right: Right,
        denies: bool,
        segments: impl Fn() -> S,
    ) -> Option<RuleName> {
        self.0.roles.iter().find_map(|role| {
            let rule = role.rules(right).list(denies).covering(segments(), &self.0.user)?;
            Some(RuleName::new(role, right, denies, rule))
        })
    }

    /// The first rule of the file that is about any topic of what is asked for.
    fn meeting(&self, right: Right, denies: bool, asked: &Asked<'_>) -> Option<RuleName> {
        let mut first: Option<(&Role, &Rule)> = None;
        for role in &self.0.roles {
            role.rules(right).list(denies).meeting(asked, &self.0.user, |rule| {
                if first.is_none_or(|(_, first)| rule.at < first.at) {
                    first = Some((role, rule));
                }
                ControlFlow::Continue(())
            });
        }
        first.map(|(role, rule)| RuleName::new(role, right, denies, rule))
    }
}

/// An answer, with the rules that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// How much is allowed. Of a topic it is all or nothing.
    pub reach: Reach,
    /// A rule that allows it, or a part of it.
    pub allow: Option<RuleName>,
    /// A rule that denies it, or a part of it.
    pub deny: Option<RuleName>,
}

/// A rule, as it is found in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleName {
    /// The name of the role.
    pub role: String,
    /// The list in it, such as `deny-publish`.
    pub list: &'static str,
    /// The filter, as the file has it.
    pub filter: String,
    /// The line of the file, from 1.
    pub line: usize,
}

impl RuleName {
    fn new(role: &Role, right: Right, denies: bool, rule: &Rule) -> RuleName {
        let list = match (right, denies) {
            (Right::Publish, false) => "publish",
            (Right::Publish, true) => "deny-publish",
            (Right::Subscribe, false) => "subscribe",
            (Right::Subscribe, true) => "deny-subscribe",
        };
        let filter = rule.filter.as_str().to_owned();
        RuleName { role: role.name.clone(), list, filter, line: rule.line }
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RuleName { role, list, filter, line } = self;
        write!(f, "role {role:?}, {list} {filter:?} (line {line})")
    }
}
