//! Where a client connects from.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The other end of a connection.
///
/// ```
/// use babelmq::Peer;
///
/// let peer = Peer::from(std::net::SocketAddr::from(([10, 0, 0, 1], 5000)));
/// assert_eq!(peer.to_string(), "10.0.0.1:5000");
/// assert!(!peer.is_local());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Peer {
    /// A TCP connection.
    Tcp(SocketAddr),
    /// A connection to a Unix socket, so from this machine. Only what the system vouches for is
    /// known of it.
    #[non_exhaustive]
    Unix {
        /// The user that the process ran as when it connected.
        user: u32,
        /// The process, where the system says which.
        process: Option<u32>,
    },
}

/// The origin that several connections have in common if one party may have made them: limits are
/// counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An address.
    Address(IpAddr),
    /// A user of this machine, by number.
    User(u32),
}

impl Peer {
    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            // An IPv4 client of an IPv6 socket is spelled ::ffff:127.0.0.1.
            Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Peer::Unix { .. } => true,
        }
    }

    /// By what its limits are counted.
    pub(crate) fn origin(&self) -> Origin {
        match *self {
            Peer::Tcp(address) => Origin::Address(address.ip().to_canonical()),
            Peer::Unix { user, .. } => Origin::User(user),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::Tcp(address)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix { user, process: Some(process) } => {
                write!(f, "unix:user={user},process={process}")
            }
            Peer::Unix { user, process: None } => write!(f, "unix:user={user}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Address(address) => address.fmt(f),
            Origin::User(user) => write!(f, "user {user} of this machine"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_local_if_its_address_is_or_if_it_has_none() {
        for (address, expected) in [
            ("127.0.0.1:5", true),
            ("127.8.0.1:5", true),
            ("[::1]:5", true),
            ("[::ffff:127.0.0.1]:5", true),
            ("10.0.0.1:5", false),
            ("[::ffff:10.0.0.1]:5", false),
            ("[fe80::1]:5", false),
        ] {
            assert_eq!(Peer::Tcp(address.parse().unwrap()).is_local(), expected, "{address}");
        }
        assert!(Peer::Unix { user: 1, process: None }.is_local());
    }

    #[test]
    fn connections_of_one_address_or_one_user_have_one_origin() {
        let tcp = |address: &str| Peer::Tcp(address.parse().unwrap()).origin();
        assert_eq!(tcp("10.0.0.1:5"), tcp("10.0.0.1:6"));
        assert_eq!(tcp("10.0.0.1:5"), tcp("[::ffff:10.0.0.1]:5"), "by a listener of IPv6");
        assert_ne!(tcp("10.0.0.1:5"), tcp("10.0.0.2:5"));
        let unix = |user, process| Peer::Unix { user, process: Some(process) }.origin();
        assert_eq!(unix(1, 2), unix(1, 3));
        assert_ne!(unix(1, 2), unix(2, 2));
    }
}
