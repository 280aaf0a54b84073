//! Starting a broker.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use crossbeam_channel::bounded;
use socket2::{Domain, Socket, Type};

use super::connections::Connections;
use super::handle::BrokerHandle;
use super::listener::Listener;
use super::session::Shared;
use crate::broker::{Counters, Dispatcher, QueueLimits};
use crate::protocol::Limits;

/// Events that may wait for the dispatcher. An event is what one read brought, so this is a bound on memory: sessions
/// that find it full stop reading, and TCP slows their producers down.
const EVENTS: usize = 256;
/// Connections that the system may hold before they are accepted.
const BACKLOG: i32 = 1_024;

/// How a broker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens; port 0 takes any that is free. Default 127.0.0.1:5000.
    pub listen: SocketAddr,
    /// What a client may send.
    pub limits: Limits,
    /// What may wait for one subscriber.
    pub queue: QueueLimits,
    /// Connections at the same time. Default 10,000.
    pub max_connections: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 5000)),
            limits: Limits::default(),
            queue: QueueLimits::default(),
            max_connections: 10_000,
        }
    }
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {}", explain(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the address is in use; is another broker running? (--listen takes another)".into()
        }
        io::ErrorKind::PermissionDenied => "permission denied; ports below 1024 need privileges".into(),
        _ => error.to_string(),
    }
}

/// A broker that runs in this process.
#[derive(Debug)]
pub struct Broker;

impl Broker {
    /// Starts a broker; it accepts connections when this returns.
    ///
    /// # Errors
    /// [`StartError`] where the address cannot be listened on.
    pub fn start(config: Config) -> Result<BrokerHandle, StartError> {
        let address = config.listen;
        let socket = listen(address).map_err(|source| StartError::Listen { address, source })?;
        let local_addr = socket.local_addr().map_err(|source| StartError::Listen { address, source })?;

        let (events, dispatcher_events) = bounded(EVENTS);
        let (alive, all_gone) = bounded(0);
        let shared = Arc::new(Shared {
            limits: config.limits,
            queue: config.queue,
            counters: Arc::new(Counters::default()),
            connections: Connections::default(),
            stopping: AtomicBool::new(false),
        });
        let dispatcher = thread::Builder::new()
            .name("dispatcher".into())
            .spawn(move || Dispatcher::new().run(&dispatcher_events))?;
        let listener = Listener {
            socket,
            events: events.clone(),
            alive,
            shared: shared.clone(),
            max_connections: config.max_connections,
        };
        let listener = thread::Builder::new().name("listener".into()).spawn(move || listener.run())?;
        Ok(BrokerHandle::new(local_addr, events, shared, all_gone, dispatcher, listener))
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A broker that is restarted need not wait for the connections of the one before to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
