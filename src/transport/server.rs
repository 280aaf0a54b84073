//! Starting a broker.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use super::allowances::Allowances;
use super::capacity::{available_memory, shortages};
use super::connections::Connections;
use super::guards::AbortOnPanic;
use super::handle::{BrokerHandle, Threads};
use super::listen_url::ListenUrl;
use super::listener::Listener;
use super::net::Bound;
use super::parked::{Attendant, Parked};
use super::pool::{self, Pool};
use super::session::Shared;
use super::threads;
use crate::broker::sync::{AtomicBool, Receiver, bounded};
use crate::broker::{
    BACKLOG_COST, Backlog, ClientId, Counters, Dispatcher, Event, Fsync, Memory, NoStore,
    QueueLimits, Store, StoreError, StoreLimits, StoreWriter, Subtree,
};
use crate::codec::BufferPool;
use crate::protocol::{
    DEFAULT_FRAME_TIMEOUT, DEFAULT_FSYNC_INTERVAL, DEFAULT_KEEPALIVE, DEFAULT_MAX_CONNECTIONS,
    DEFAULT_MAX_SUBSCRIPTIONS, DEFAULT_WRITE_TIMEOUT, Limits,
};

/// Events that may wait for the dispatcher. An event is what one read brought, so this is a bound
/// on memory: sessions that find it full stop reading, and TCP slows their producers down.
const EVENTS: usize = if cfg!(shuttle) { 2 } else { 256 };

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

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {url}: {}", explain(url, source))]
    Listen {
        /// Where.
        url: ListenUrl,
        /// What the system says.
        source: io::Error,
    },
    /// What the store has kept cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread could not be started, or the system has no descriptor for watching idle
    /// connections.
    #[error("cannot start the broker's threads: {0}")]
    Thread(#[from] io::Error),
}

fn explain(url: &ListenUrl, error: &io::Error) -> String {
    match (error.kind(), url) {
        (io::ErrorKind::AddrInUse, _) if error.get_ref().is_none() => {
            "the address is in use; is another broker running? (--listen takes another)".into()
        }
        (io::ErrorKind::PermissionDenied, ListenUrl::Tcp(_)) => {
            "permission denied; ports below 1024 need privileges".into()
        }
        (io::ErrorKind::PermissionDenied, ListenUrl::Unix { .. }) => {
            "permission denied; the broker must be allowed to write to the folder that the socket \
             lies in"
                .into()
        }
        _ => error.to_string(),
    }
}

/// A broker that runs in this process.
#[derive(Debug)]
pub struct Broker;

impl Broker {
    /// Starts a broker whose memory ends with the process; it accepts connections when this
    /// returns.
    ///
    /// # Errors
    /// [`StartError`] where the address cannot be listened on.
    pub fn start(config: Config) -> Result<BrokerHandle, StartError> {
        Broker::start_with(config, Box::new(NoStore))
    }

    /// Starts a broker that remembers what `store` has kept, and keeps its last values there.
    ///
    /// # Errors
    /// [`StartError`] where the address cannot be listened on, the store cannot be read, or a
    /// thread cannot be started. Nothing of the broker runs then.
    pub fn start_with(
        mut config: Config,
        store: Box<dyn Store>,
    ) -> Result<BrokerHandle, StartError> {
        let bound = |url: &ListenUrl| {
            let bound = Bound::listen(url)
                .map_err(|source| StartError::Listen { url: url.clone(), source });
            bound.map(Arc::new)
        };
        let bound = config.listeners.iter().map(bound).collect::<Result<Vec<_>, _>>()?;

        for shortage in shortages(config.max_connections) {
            let max_connections = config.max_connections;
            tracing::warn!(max_connections, "{shortage}");
        }
        let memory =
            config.memory.or_else(available_memory).map_or_else(Memory::unlimited, Memory::new);
        let cut = memory.cut(config.limits);
        let wanted = mem::replace(&mut config.limits, cut);
        if wanted != config.limits {
            let (memory, limits) = (memory.total(), config.limits);
            tracing::info!(
                memory,
                ?limits,
                "what a message may be was cut to what fits the memory"
            );
        }
        let (events, dispatcher_events) = bounded(EVENTS);
        let (alive, all_gone) = bounded(0);
        let (parked, attendant) = Parked::new()?;
        let (pool, calls) = Pool::new();
        let mut dispatcher = Dispatcher::new(config.store, config.max_subscriptions)
            .with_subtrees(config.subtrees.clone())
            .with_memory(memory.clone());
        let store_writer = dispatcher.keep_in(store, config.fsync, config.fsync_interval)?;
        let shared = Arc::new(Shared {
            config,
            counters: Arc::new(Counters::default()),
            connections: Connections::default(),
            parked,
            pool,
            backlog: Backlog::new(BACKLOG_COST),
            memory,
            allowances: Allowances::new(),
            spares: BufferPool::new(),
            shapes: dispatcher.shapes(),
            store_full: dispatcher.store_full(),
            awake: AtomicUsize::new(0),
            next_client: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
            #[cfg(test)]
            is_sealed: is_sealed(),
        });
        let mut handle = BrokerHandle::new(bound.clone(), events.clone(), shared.clone(), all_gone);
        let listener = |bound| {
            let (events, alive, shared) = (events.clone(), alive.clone(), shared.clone());
            Listener { bound, events, alive, shared }
        };
        let listeners = bound.into_iter().map(listener).collect();
        // The threads wait for each other by these, so nobody else may keep them.
        drop((events, alive));
        let work =
            Work { dispatcher, dispatcher_events, store_writer, attendant, calls, listeners };
        // Where a thread cannot be started, the handle ends those that run.
        work.start(&mut handle.threads, &shared)?;
        Ok(handle)
    }
}

/// What a broker's threads are to do.
struct Work {
    dispatcher: Dispatcher,
    dispatcher_events: Receiver<Event>,
    store_writer: Option<StoreWriter>,
    attendant: Attendant,
    calls: Receiver<ClientId>,
    listeners: Vec<Listener>,
}

impl Work {
    /// Starts the threads. One that runs is in `threads` at once, and when this returns an error,
    /// nothing keeps it from ending: what it would wait for is gone.
    fn start(self, threads: &mut Threads, shared: &Arc<Shared>) -> io::Result<()> {
        let Work { dispatcher, dispatcher_events, store_writer, attendant, calls, listeners } =
            self;
        threads.dispatcher = Some(threads::spawn("dispatcher".into(), move || {
            let _guard = AbortOnPanic;
            dispatcher.run(&dispatcher_events);
        })?);
        if let Some(store_writer) = store_writer {
            threads.store_writer =
                Some(threads::spawn("store".into(), move || store_writer.run())?);
        }
        threads.attendant = Some({
            let shared = shared.clone();
            threads::spawn("attendant".into(), move || attendant.run(&shared.connections))?
        });
        for number in 0..pool::thread_count() {
            let (shared, calls) = (shared.clone(), calls.clone());
            threads.pool.push(threads::spawn(format!("pool-{number}"), move || {
                pool::run(&shared, &calls)
            })?);
        }
        // The last: until they run there are no clients.
        for listener in listeners {
            threads.listeners.push(threads::spawn("listener".into(), move || listener.run())?);
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
pub(super) mod tests;

#[cfg(test)]
#[cfg(not(shuttle))]
fn is_sealed() -> bool {
    tests::SEALED.get()
}

#[cfg(all(test, shuttle))]
use super::net::is_sealed;
