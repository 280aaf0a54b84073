//! The limits of a user, beside those that the broker has for everyone.

/// Limits of a user, as the roles name them: for a user with several roles the largest of each.
/// A limit that no role names is `None`, and holds nobody up.
///
/// ```
/// use babelmq::access::Policy;
///
/// let policy = Policy::parse(
///     "[[user]]\nname = 'anonymous'\nroles = ['guest']\n[role.guest]\nconnections = 10\n",
/// )?;
/// let limits = policy.user("anonymous").map(|user| user.grant().limits());
/// assert_eq!(limits.and_then(|limits| limits.connections), Some(10));
/// # Ok::<(), babelmq::access::UsersError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantLimits {
    /// Connections at the same time.
    pub connections: Option<u64>,
    /// Messages that are published in a second, over all connections of the user.
    pub messages_per_second: Option<u64>,
    /// Bytes that are sent to the broker in a second, over all connections of the user.
    pub bytes_per_second: Option<u64>,
}

impl GrantLimits {
    /// What holds for a user who has both: the larger one of each limit.
    pub(super) fn united(self, other: GrantLimits) -> GrantLimits {
        // `None` is less than every number, so a role without a limit lifts none.
        GrantLimits {
            connections: self.connections.max(other.connections),
            messages_per_second: self.messages_per_second.max(other.messages_per_second),
            bytes_per_second: self.bytes_per_second.max(other.bytes_per_second),
        }
    }
}
