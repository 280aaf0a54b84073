//! What the one at the other end of a connection may do, and what of a filter that leaves.

use std::sync::Arc;

use super::peer::Peer;
use crate::access::{Grant, Reach, Right, User};
use crate::protocol::{Command, ErrorCode, Refusal, TopicFilter, TopicName};

/// What a client may do.
#[derive(Clone, Debug, Default)]
pub enum Rights {
    /// Everything: this broker has no users.
    #[default]
    Everything,
    /// What its user may.
    Of(Arc<User>),
    /// Nothing but to log in.
    Nothing,
}

impl Rights {
    /// The user, where the broker has users and the client is one.
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Rights::Of(user) => Some(user),
            Rights::Everything | Rights::Nothing => None,
        }
    }

    /// Whether these are the rights of the same user of the same policy, or in the same way of
    /// nobody.
    pub(super) fn is_same(&self, other: &Rights) -> bool {
        match (self.user(), other.user()) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// Whether counters may name a topic. Who administrates the broker may know of all.
    pub(super) fn may_name(&self, topic: TopicName<'_>) -> bool {
        match self {
            Rights::Everything => true,
            Rights::Of(user) => user.grant().admin() || user.grant().may_see(topic),
            Rights::Nothing => false,
        }
    }

    /// The same of a filter, of which a part may be seen.
    pub(super) fn may_name_filter(&self, filter: &TopicFilter) -> bool {
        match self {
            Rights::Everything => true,
            Rights::Of(user) => {
                user.grant().admin() || user.grant().reach(filter) != Reach::Nothing
            }
            Rights::Nothing => false,
        }
    }

    /// Whether the client may publish to a topic, or clear it.
    ///
    /// # Errors
    /// [`ErrorCode::NotPermitted`].
    #[inline]
    pub fn publish(&self, topic: TopicName<'_>) -> Result<(), Refusal> {
        match self {
            Rights::Everything => Ok(()),
            Rights::Of(user) if user.grant().may_publish(topic) => Ok(()),
            _ => Err(self.not_permitted("publish to", topic.as_str())),
        }
    }

    /// Whether the client may get the value of a topic.
    ///
    /// # Errors
    /// [`ErrorCode::NotPermitted`].
    pub(super) fn see(&self, topic: TopicName<'_>) -> Result<(), Refusal> {
        match self {
            Rights::Everything => Ok(()),
            Rights::Of(user) if user.grant().may_see(topic) => Ok(()),
            _ => Err(self.not_permitted("get", topic.as_str())),
        }
    }

    /// What a filter comes to that the client subscribes to, lists, or clears.
    ///
    /// # Errors
    /// [`ErrorCode::NotPermitted`] where that is nothing, however many topics there are.
    pub(super) fn scope(
        &self,
        right: Right,
        what: &str,
        filter: TopicFilter,
    ) -> Result<Scope, Refusal> {
        let grant = match self {
            Rights::Everything => return Ok(filter.into()),
            Rights::Of(user) => user.grant(),
            Rights::Nothing => return Err(self.not_permitted(what, filter.as_str())),
        };
        match grant.reach_of(right, &filter) {
            Reach::All => Ok(filter.into()),
            Reach::Some => Ok(Scope { filter, limit: Some((right, grant.clone())) }),
            Reach::Nothing => Err(self.not_permitted(what, filter.as_str())),
        }
    }

    /// Whether the client may ask what the broker counts. Without users, only clients on the
    /// broker's own machine may.
    ///
    /// # Errors
    /// [`ErrorCode::NotPermitted`].
    pub fn stats(&self, peer: Peer) -> Result<(), Refusal> {
        self.administrate("stats", peer, |grant| grant.stats() || grant.admin())
    }

    /// Whether the client may see who is connected, and end connections. Without users, only
    /// clients on the broker's own machine may.
    ///
    /// # Errors
    /// [`ErrorCode::NotPermitted`].
    pub fn clients(&self, peer: Peer) -> Result<(), Refusal> {
        self.administrate("clients", peer, Grant::admin)
    }

    /// Whether the client may have a backup made. Without users, only clients on the broker's own
    /// machine may.
    ///
    /// # Errors
    /// [`ErrorCode::NotPermitted`].
    pub(super) fn backup(&self, peer: Peer) -> Result<(), Refusal> {
        self.administrate("backup", peer, Grant::admin)
    }

    /// Whether the client may see which streams and consumers there are, as it may see what the
    /// broker counts, or change them, as it may have a backup made.
    ///
    /// # Errors
    /// [`ErrorCode::NotPermitted`].
    pub fn streams(&self, command: Command, peer: Peer) -> Result<(), Refusal> {
        let only_looks = matches!(command, Command::Streams | Command::Consumers);
        let may = |grant: &Grant| only_looks && grant.stats() || grant.admin();
        self.administrate(command.as_str(), peer, may)
    }

    fn administrate(
        &self,
        command: &str,
        peer: Peer,
        may: impl Fn(&Grant) -> bool,
    ) -> Result<(), Refusal> {
        let reason = match self {
            Rights::Everything if peer.is_local() => return Ok(()),
            Rights::Everything => format!(
                "a {command} is answered to clients on the broker's own machine only; connect \
                 there, to a loopback address or a Unix socket"
            ),
            Rights::Of(user) if may(user.grant()) => return Ok(()),
            _ => format!("{} may not ask for {command}", self.who()),
        };
        Err(Refusal::new(ErrorCode::NotPermitted, reason))
    }

    #[cold]
    fn not_permitted(&self, what: &str, topic: &str) -> Refusal {
        let reason = format!("{} may not {what} {topic:?}", self.who());
        Refusal::new(ErrorCode::NotPermitted, reason).about(topic)
    }

    fn who(&self) -> String {
        self.user().map_or_else(
            || "who has not logged in".to_owned(),
            |user| format!("user {:?}", user.name()),
        )
    }
}

/// The topics that a filter matches and somebody has a right to.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    filter: TopicFilter,
    /// Where the filter matches more than that.
    limit: Option<(Right, Grant)>,
}

impl From<TopicFilter> for Scope {
    /// All topics that the filter matches.
    fn from(filter: TopicFilter) -> Scope {
        Scope { filter, limit: None }
    }
}

impl Scope {
    pub(super) fn filter(&self) -> &TopicFilter {
        &self.filter
    }

    /// The grant by which each topic is judged, if it is.
    pub(super) fn limit(&self) -> Option<&Grant> {
        self.limit.as_ref().map(|(_, grant)| grant)
    }

    /// Whether a topic that the filter matches is one of them.
    pub(super) fn allows(&self, topic: TopicName<'_>) -> bool {
        self.limit.as_ref().is_none_or(|(right, grant)| grant.may(*right, topic))
    }

    /// Whether a topic is one of them.
    pub(super) fn covers(&self, topic: TopicName<'_>) -> bool {
        self.filter.matches(topic) && self.allows(topic)
    }

    /// Judges each topic by this grant from now on.
    pub(super) fn limit_to(&mut self, right: Right, grant: &Grant) {
        self.limit = Some((right, grant.clone()));
    }
}
