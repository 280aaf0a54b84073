//! How a broker runs: all that an embedding program or a command can choose.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::certificates::TlsFiles;
use super::listen_url::ListenUrl;
use crate::broker::{Fsync, QueueLimits, SharedTopics, StoreLimits, StreamDefinition, Subtree};
use crate::protocol::{
    DEFAULT_BACKBONE_WAIT, DEFAULT_FRAME_TIMEOUT, DEFAULT_FSYNC_INTERVAL, DEFAULT_KEEPALIVE,
    DEFAULT_LOGIN_TIMEOUT, DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_SUBSCRIPTIONS,
    DEFAULT_STOP_TIMEOUT, DEFAULT_WRITE_TIMEOUT, Limits,
};

/// How a broker runs. Each field has a method of its name that sets it.
///
/// ```
/// use std::time::Duration;
/// use babelmq::{Broker, Config, Limits};
///
/// let config = Config::listening_on(([127, 0, 0, 1], 0))
///     .max_connections(100)
///     .limits(Limits::with_max_frame(1 << 20))
///     .frame_timeout(Duration::from_secs(1));
/// let broker = Broker::start(config)?;
/// # Ok::<(), babelmq::StartError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Where it listens, all of it; port 0 takes any that is free. Default 127.0.0.1:5000.
    pub listeners: Vec<ListenUrl>,
    /// The certificate that the broker shows where it listens for TLS. Default: none.
    pub tls: Option<TlsFiles>,
    /// The file that says who may connect and what they may do, as docs/users.md describes it.
    /// Default: none, and everybody may do everything.
    pub users: Option<PathBuf>,
    /// Whether it may listen on an address beyond this machine without users, or without TLS, where
    /// anybody may do everything or listen in. Default false.
    pub allow_anonymous: bool,
    /// Origins, besides the broker's own, whose pages may use its HTTP, as browsers spell them:
    /// `https://example.org`. Default: none.
    pub http_origins: Vec<String>,
    /// Time to log in, where one has to. Default 10 s.
    pub login_timeout: Duration,
    /// Bytes of memory that the broker may use, all in all; `None` is three quarters of what the
    /// machine has, or the group of processes that it runs in, where that is less. `limits` and
    /// `store` are cut to what fits.
    pub memory: Option<usize>,
    /// Limits of what a client may send.
    pub limits: Limits,
    /// Limits of what may wait for one subscriber.
    pub queue: QueueLimits,
    /// Limits of what is remembered.
    pub store: StoreLimits,
    /// Rules for what is remembered of parts of the topic tree. Default: none.
    pub subtrees: Vec<Subtree>,
    /// Streams, beside those that the store keeps already; one of the same name takes the place of
    /// that. They need a store that keeps streams. Default: none.
    pub streams: Vec<StreamDefinition>,
    /// Topics that the broker shares with others, by a backbone. Default: none.
    pub shared: Vec<SharedTopics>,
    /// Time that what is published to them waits for a backbone that does not answer, before it is
    /// refused. Default 10 s.
    pub backbone_wait: Duration,
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
    /// Time without an answer after which a broker that stops waits no longer for a disk. Default
    /// 30 s.
    pub stop_timeout: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listeners: vec![SocketAddr::from(([127, 0, 0, 1], 5000)).into()],
            tls: None,
            users: None,
            allow_anonymous: false,
            http_origins: Vec::new(),
            login_timeout: DEFAULT_LOGIN_TIMEOUT,
            memory: None,
            limits: Limits::default(),
            queue: QueueLimits::default(),
            store: StoreLimits::default(),
            subtrees: Vec::new(),
            streams: Vec::new(),
            shared: Vec::new(),
            backbone_wait: DEFAULT_BACKBONE_WAIT,
            fsync: Fsync::default(),
            fsync_interval: DEFAULT_FSYNC_INTERVAL,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_connections_per_address: usize::MAX,
            max_subscriptions: DEFAULT_MAX_SUBSCRIPTIONS,
            frame_timeout: DEFAULT_FRAME_TIMEOUT,
            write_timeout: DEFAULT_WRITE_TIMEOUT,
            keepalive: Some(DEFAULT_KEEPALIVE),
            stop_timeout: DEFAULT_STOP_TIMEOUT,
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
        Config::default().listeners([address.into()])
    }

    /// Listens on these, addresses or [`ListenUrl`]s, and nowhere else.
    #[must_use]
    pub fn listeners(self, listeners: impl IntoIterator<Item = impl Into<ListenUrl>>) -> Config {
        Config { listeners: listeners.into_iter().map(Into::into).collect(), ..self }
    }

    /// Shows this certificate where it listens for TLS.
    #[must_use]
    pub fn tls(self, files: impl Into<Option<TlsFiles>>) -> Config {
        Config { tls: files.into(), ..self }
    }

    /// Has the users of this file.
    #[must_use]
    pub fn users(self, file: impl Into<PathBuf>) -> Config {
        Config { users: Some(file.into()), ..self }
    }

    /// Says that it may be open to anybody, or to whoever listens in.
    #[must_use]
    pub fn allow_anonymous(self, allow: bool) -> Config {
        Config { allow_anonymous: allow, ..self }
    }

    /// Lets pages of these origins use the broker's HTTP.
    #[must_use]
    pub fn http_origins(self, origins: impl IntoIterator<Item = impl Into<String>>) -> Config {
        Config { http_origins: origins.into_iter().map(Into::into).collect(), ..self }
    }

    /// Gives a client so long to log in.
    #[must_use]
    pub fn login_timeout(self, timeout: Duration) -> Config {
        Config { login_timeout: timeout, ..self }
    }

    /// Uses so many bytes of memory, all in all.
    #[must_use]
    pub fn memory(self, bytes: usize) -> Config {
        Config { memory: Some(bytes), ..self }
    }

    /// Says what a client may send.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Config {
        Config { limits, ..self }
    }

    /// Says what may wait for one subscriber.
    #[must_use]
    pub fn queue(self, queue: QueueLimits) -> Config {
        Config { queue, ..self }
    }

    /// Says what may be remembered.
    #[must_use]
    pub fn store(self, store: StoreLimits) -> Config {
        Config { store, ..self }
    }

    /// Says what may be remembered of parts of the topic tree, by these rules and no others.
    #[must_use]
    pub fn subtrees(self, subtrees: impl IntoIterator<Item = Subtree>) -> Config {
        Config { subtrees: subtrees.into_iter().collect(), ..self }
    }

    /// Has these streams, beside those that the store keeps already.
    #[must_use]
    pub fn streams(self, streams: impl IntoIterator<Item = StreamDefinition>) -> Config {
        Config { streams: streams.into_iter().collect(), ..self }
    }

    /// Shares these topics with other brokers, by the backbone that it is
    /// [started](crate::Broker::start_sharing) with.
    #[must_use]
    pub fn shared(self, topics: impl IntoIterator<Item = SharedTopics>) -> Config {
        Config { shared: topics.into_iter().collect(), ..self }
    }

    /// Lets what is published to shared topics wait so long for a backbone that does not answer.
    #[must_use]
    pub fn backbone_wait(self, wait: Duration) -> Config {
        Config { backbone_wait: wait, ..self }
    }

    /// Says when last values are on the disk.
    #[must_use]
    pub fn fsync(self, fsync: Fsync) -> Config {
        Config { fsync, ..self }
    }

    /// Writes last values so often, with [`Fsync::Interval`] and [`Fsync::Never`].
    #[must_use]
    pub fn fsync_interval(self, interval: Duration) -> Config {
        Config { fsync_interval: interval, ..self }
    }

    /// Lets so many connections be open at the same time.
    #[must_use]
    pub fn max_connections(self, connections: usize) -> Config {
        Config { max_connections: connections, ..self }
    }

    /// Lets so many connections from one address, or one user, be open at the same time.
    #[must_use]
    pub fn max_connections_per_address(self, connections: usize) -> Config {
        Config { max_connections_per_address: connections, ..self }
    }

    /// Lets one connection have so many subscriptions.
    #[must_use]
    pub fn max_subscriptions(self, subscriptions: usize) -> Config {
        Config { max_subscriptions: subscriptions, ..self }
    }

    /// Gives a client so long to finish a frame that it began.
    #[must_use]
    pub fn frame_timeout(self, timeout: Duration) -> Config {
        Config { frame_timeout: timeout, ..self }
    }

    /// Gives a client so long to take some of what is written to it.
    #[must_use]
    pub fn write_timeout(self, timeout: Duration) -> Config {
        Config { write_timeout: timeout, ..self }
    }

    /// Has a silent client asked after so long whether it is there; `None` never asks.
    #[must_use]
    pub fn keepalive(self, idle: impl Into<Option<Duration>>) -> Config {
        Config { keepalive: idle.into(), ..self }
    }

    /// Waits so long for a disk that does not answer when the broker stops.
    #[must_use]
    pub fn stop_timeout(self, timeout: Duration) -> Config {
        Config { stop_timeout: timeout, ..self }
    }
}
