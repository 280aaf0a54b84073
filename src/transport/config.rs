//! How a broker runs: what it listens on, and what it holds its clients to.

use std::net::SocketAddr;
use std::time::Duration;

use super::listen_url::ListenUrl;
use crate::broker::{Fsync, QueueLimits, StoreLimits, Subtree};
use crate::protocol::{
    DEFAULT_FRAME_TIMEOUT, DEFAULT_FSYNC_INTERVAL, DEFAULT_KEEPALIVE, DEFAULT_MAX_CONNECTIONS,
    DEFAULT_MAX_SUBSCRIPTIONS, DEFAULT_WRITE_TIMEOUT, Limits,
};

/// How a broker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens, all of it; port 0 takes any that is free. Default 127.0.0.1:5000.
    pub listeners: Vec<ListenUrl>,
    /// Bytes of memory that the broker may use, all in all; `None` is three quarters of what the
    /// machine has, or the group of processes that it runs in, where that is less. `limits` and
    /// `store` are cut to what fits.
    pub memory: Option<usize>,
    /// What a client may send.
    pub limits: Limits,
    /// What may wait for one subscriber.
    pub queue: QueueLimits,
    /// What may be remembered.
    pub store: StoreLimits,
    /// What may be remembered of parts of the topic tree. Default: no rules.
    pub subtrees: Vec<Subtree>,
    /// When last values are on the disk, where there is a store. Default [`Fsync::Interval`].
    pub fsync: Fsync,
    /// The interval. Default 1 s.
    pub fsync_interval: Duration,
    /// Connections at the same time. Default 10,000.
    pub max_connections: usize,
    /// Connections from one address, or from one user by Unix sockets, at the same time. Default:
    /// as many as there may be.
    pub max_connections_per_address: usize,
    /// Subscriptions of one connection. Default 65,536.
    pub max_subscriptions: usize,
    /// Time to finish a frame that was begun. Default 10 s.
    pub frame_timeout: Duration,
    /// Time in which a client must take some of what is written to it. Default 30 s.
    pub write_timeout: Duration,
    /// Time without a byte after which the system asks a peer whether it is there; `None` never
    /// asks. Default 60 s. What does not answer is gone after three questions more, 10 s apart, or
    /// as far apart as this is long if that is less; and one that acknowledges nothing after as
    /// much time, or after `write_timeout` if that is more.
    pub keepalive: Option<Duration>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listeners: vec![SocketAddr::from(([127, 0, 0, 1], 5000)).into()],
            memory: None,
            limits: Limits::default(),
            queue: QueueLimits::default(),
            store: StoreLimits::default(),
            subtrees: Vec::new(),
            fsync: Fsync::default(),
            fsync_interval: DEFAULT_FSYNC_INTERVAL,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_connections_per_address: usize::MAX,
            max_subscriptions: DEFAULT_MAX_SUBSCRIPTIONS,
            frame_timeout: DEFAULT_FRAME_TIMEOUT,
            write_timeout: DEFAULT_WRITE_TIMEOUT,
            keepalive: Some(DEFAULT_KEEPALIVE),
        }
    }
}

impl Config {
    /// The default, but for where the broker listens.
    ///
    /// ```
    /// let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
    /// assert_ne!(broker.local_addr().port(), 0);
    /// # Ok::<(), babelmq::StartError>(())
    /// ```
    pub fn listening_on(address: impl Into<SocketAddr>) -> Config {
        Config { listeners: vec![address.into().into()], ..Config::default() }
    }
}
