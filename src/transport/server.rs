//! Starting a broker.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::allowances::Allowances;
use super::capacity::{available_memory, shortages};
use super::certificates::{Certificates, TlsError, TlsFiles};
use super::closing::Threads;
use super::config::Config;
use super::connections::Connections;
use super::guards::AbortOnPanic;
use super::handle::BrokerHandle;
use super::handshakes::Handshakes;
use super::listen_url::ListenUrl;
use super::listener::Listener;
use super::mqtt::{Sessions, restore, sys_topics};
use super::net::Bound;
use super::parked::{Attendant, Parked};
use super::pool::Pool;
use super::priority::go_behind;
use super::shared::Shared;
use super::threads;
use super::turns;
use super::users::{Users, UsersFileError, load_users};
use super::writer::{Common, Shares};
use crate::broker::sync::{AtomicBool, Mutex, Receiver, Sender, bounded};
use crate::broker::{
    Announcer, BACKLOG_COST, Backbone, Backlog, ClientId, Counters, Dispatcher, Event, Memory,
    NoBackbone, NoStore, Shared as SharedBy, Store, StoreError, StoreWriter, StreamsPlan, Use,
};
use crate::codec::BufferPool;

/// Events that may wait for the dispatcher. An event is what one read brought, so this is a bound
/// on memory: sessions that find it full stop reading, and TCP slows their producers down.
const EVENTS: usize = if cfg!(shuttle) { 2 } else { 256 };

/// Why a broker did not start.
///
/// ```
/// use std::{error::Error, io};
/// use babelmq::{Broker, Config, StartError};
///
/// let first = Broker::start(Config::listening_on(([127, 0, 0, 1], 0)))?;
/// let error = Broker::start(Config::listening_on(first.local_addr())).unwrap_err();
/// assert!(error.to_string().contains("is another broker running?"));
/// let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
/// assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::AddrInUse));
/// # Ok::<(), StartError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[non_exhaustive]
    #[error("cannot listen on {url}: {}", explain(url, source))]
    Listen {
        /// Where.
        url: ListenUrl,
        /// The error of the system.
        source: io::Error,
    },
    /// The values that the store has kept cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It would be open to other machines in a way that has to be meant.
    #[error("{url} can be reached from other machines, {why}")]
    Unprotected {
        /// Where it would listen.
        url: ListenUrl,
        /// What is missing, and what to add.
        why: &'static str,
    },
    /// The users file cannot be used.
    #[error(transparent)]
    Users(#[from] UsersFileError),
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
        (io::ErrorKind::PermissionDenied, ListenUrl::Unix { .. }) => {
            "permission denied; the broker must be allowed to write to the folder that the socket \
             lies in"
                .into()
        }
        (io::ErrorKind::PermissionDenied, _) => {
            "permission denied; ports below 1024 need privileges".into()
        }
        _ => error.to_string(),
    }
}

/// Refuses to listen beyond this machine without users, or without TLS, unless that is meant.
fn hold_to_protection(config: &Config) -> Result<(), StartError> {
    if config.allow_anonymous {
        return Ok(());
    }
    for url in config.listeners.iter().filter(|url| !url.is_of_this_machine()) {
        let why = match (config.users.is_some(), url.is_tls()) {
            (true, true) => continue,
            (false, _) => {
                "and there are no users: add --users FILE (`babelmq passwd` makes an entry), or \
                 --allow-anonymous if anybody may do everything"
            }
            (true, false) => {
                "and what is sent there can be read on the way, passwords too: use tls:// or \
                 https://, and --tls-cert, or add --allow-anonymous if that is meant"
            }
        };
        return Err(StartError::Unprotected { url: url.clone(), why });
    }
    Ok(())
}

/// Reads the certificates that a broker of this configuration has.
///
/// # Errors
/// What is wrong with them; [`TlsError::Missing`] where there are none, and a listener needs them.
fn certificates(config: &Config) -> Result<Option<Arc<Certificates>>, TlsError> {
    let certificates = config.tls.as_ref().map(TlsFiles::load).transpose()?;
    if certificates.is_none() && config.listeners.iter().any(ListenUrl::is_tls) {
        return Err(TlsError::Missing);
    }
    Ok(certificates)
}

/// Looks whether a broker of this configuration could start, as far as the files go that it reads
/// first.
///
/// # Errors
/// As for [`Broker::start`].
#[cfg(feature = "cli")]
pub(crate) fn check(config: &Config) -> Result<(), StartError> {
    hold_to_protection(config)?;
    certificates(config)?;
    config.users.as_deref().map(load_users).transpose()?;
    Ok(())
}

/// Listens where `url` says: on every address of a name that this machine has.
fn listen(url: &ListenUrl) -> Result<Vec<Arc<Bound>>, StartError> {
    let failed = |source| StartError::Listen { url: url.clone(), source };
    let (mut bound, mut missing) = (Vec::new(), None);
    for address in url.resolve().map_err(failed)? {
        match Bound::listen(&address) {
            Ok(socket) => bound.push(Arc::new(socket)),
            // A name has an IPv6 address on machines without IPv6 too.
            Err(error) if is_missing(&error) => missing = Some(error),
            Err(error) => return Err(failed(error)),
        }
    }
    if bound.is_empty() {
        let none = || io::Error::other("the name has no address");
        return Err(failed(missing.unwrap_or_else(none)));
    }
    Ok(bound)
}

/// Whether the machine does not have an address.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// A broker that runs in this process.
///
#[cfg_attr(feature = "storage", doc = "```no_run")]
#[cfg_attr(not(feature = "storage"), doc = "```ignore")]
/// use babelmq::{Broker, Config, Storage};
///
/// let config = Config::listening_on(([127, 0, 0, 1], 5000));
/// // Its memory ends with the process.
/// let broker = Broker::start(config.clone())?;
/// broker.shutdown();
/// // Its last values are kept in a directory.
/// let storage = Storage::open("/var/lib/babelmq".as_ref(), true)?;
/// let broker = Broker::start_with(config, Box::new(storage))?;
/// # Ok::<(), babelmq::StartError>(())
/// ```
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
    pub fn start_with(config: Config, store: Box<dyn Store>) -> Result<BrokerHandle, StartError> {
        Broker::start_sharing(config, store, Box::new(NoBackbone))
    }

    /// The same of a broker that shares topics with others: what is published to
    /// [`Config::shared`] goes to `backbone`, and is remembered and delivered when it comes back
    /// from there, as what other brokers publish is.
    ///
    /// # Errors
    /// [`StartError`] as above, and where the broker's own part of the backbone cannot be begun.
    /// Whether there is a server is found out later: until then publishing waits.
    pub fn start_sharing(
        mut config: Config,
        mut store: Box<dyn Store>,
        backbone: Box<dyn Backbone>,
    ) -> Result<BrokerHandle, StartError> {
        hold_to_protection(&config)?;
        let tls = certificates(&config)?;
        let users = config.users.as_deref().map(load_users).transpose()?;
        let bound = config.listeners.iter().map(listen).collect::<Result<Vec<_>, _>>()?.concat();

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
        let urls = bound.iter().map(|bound| bound.url().with_scheme());
        let counters = Arc::new(Counters::of_listeners(urls));
        let mut dispatcher = Dispatcher::new(config.store, config.max_subscriptions)
            .with_subtrees(config.subtrees.clone())
            .with_memory(memory.clone())
            .with_counters(counters.clone())
            .with_policy(users.as_ref().map(|(policy, _)| policy.clone()));
        let announcer = Announcer::new(events.clone());
        let streams = StreamsPlan {
            store: store.streams()?,
            definitions: config.streams.clone(),
            announcer: announcer.clone(),
            fsync: config.fsync,
            interval: config.fsync_interval,
            limits: config.limits,
        };
        let store_writer = dispatcher.keep_in(store, config.fsync, config.fsync_interval)?;
        dispatcher.open_streams(streams)?;
        let mut shared_by = SharedBy::by(backbone, config.backbone_wait);
        dispatcher.share_topics(&config.shared, &mut shared_by, &announcer, config.limits)?;
        let ending = dispatcher.ending();
        let mqtt = Arc::new(Sessions::new(counters.clone()));
        let share = |of| memory.of(of).clone();
        let shares = Shares {
            in_flight: share(Use::InFlight),
            writing: share(Use::Writing),
            answers: share(Use::Answers),
        };
        let shared = Arc::new(Shared {
            tls: Mutex::default(),
            handshakes: Handshakes::new(),
            users: Users::new(users, memory.clone()),
            writing: Common::new(&config, &counters, shares, &mqtt),
            config,
            mqtt,
            counters,
            connections: Connections::default(),
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
            #[cfg(all(test, shuttle))]
            text: super::net::text(),
        });
        shared.mqtt.set_waker(parked.waker());
        if let Some(tls) = tls {
            shared.use_certificates(tls);
        }
        let mut handle = BrokerHandle::new(
            bound.clone(),
            events.clone(),
            shared.clone(),
            parked.clone(),
            all_gone,
            announcer,
            ending,
        );
        let listener = |(number, bound)| {
            let (events, alive) = (events.clone(), alive.clone());
            let (shared, parked) = (shared.clone(), parked.clone());
            Listener { number, bound, events, alive, shared, parked }
        };
        let speaks_mqtt = bound.iter().any(|bound| bound.url().mqtt().is_some());
        let sys_topics = speaks_mqtt.then(|| events.clone());
        let restoring = events.clone();
        let listeners = bound.into_iter().enumerate().map(listener).collect();
        // The threads wait for each other by these, so nobody else may keep them.
        drop((events, alive));
        let work = Work {
            dispatcher,
            dispatcher_events,
            store_writer,
            attendant,
            calls,
            listeners,
            sys_topics,
            restoring,
        };
        // Where a thread cannot be started, the handle ends those that run.
        work.start(&mut handle.threads, &shared)?;
        Ok(handle)
    }
}

/// The work of a broker's threads.
struct Work {
    dispatcher: Dispatcher,
    dispatcher_events: Receiver<Event>,
    store_writer: Option<StoreWriter>,
    attendant: Attendant,
    calls: Receiver<ClientId>,
    listeners: Vec<Listener>,
    /// Where what says `$SYS` says it, if MQTT is spoken.
    sys_topics: Option<Sender<Event>>,
    /// Where sessions are asked for that were there before.
    restoring: Sender<Event>,
}

impl Work {
    /// Starts the threads. One that runs is in `threads` at once, and when this returns an error,
    /// nothing keeps it from ending: what it would wait for is gone.
    fn start(self, threads: &mut Threads, shared: &Arc<Shared>) -> io::Result<()> {
        let Work {
            dispatcher,
            dispatcher_events,
            store_writer,
            attendant,
            calls,
            listeners,
            sys_topics,
            restoring,
        } = self;
        threads.dispatcher = Some(threads::spawn("dispatcher".into(), move || {
            let _guard = AbortOnPanic;
            dispatcher.run(&dispatcher_events);
        })?);
        if let Some(store_writer) = store_writer {
            threads.store_writer = Some(threads::spawn("store".into(), move || {
                // Messages of streams are on their way at the same moment, and waited for more.
                go_behind();
                store_writer.run();
            })?);
        }
        threads.attendant = Some({
            let shared = shared.clone();
            threads::spawn("attendant".into(), move || attendant.run(&shared))?
        });
        for number in 0..turns::thread_count() {
            let (shared, calls) = (shared.clone(), calls.clone());
            threads.pool.push(threads::spawn(format!("pool-{number}"), move || {
                turns::run(&shared, &calls)
            })?);
        }
        if let Some(events) = sys_topics {
            let (stop, stopped) = bounded(0);
            let shared = shared.clone();
            let run = move || sys_topics::run(&shared, &events, &stopped);
            threads.sys_topics = Some((stop, threads::spawn("sys-topics".into(), run)?));
        }
        restore(&shared.mqtt, &restoring, shared.config.limits);
        drop(restoring);
        // The last: until they run there are no clients.
        for listener in listeners {
            threads.listeners.push(threads::spawn("listener".into(), move || listener.run())?);
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
