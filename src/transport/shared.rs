//! The state that all sessions of a broker share.

use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64, AtomicUsize};

use rustls::ServerConfig;

use super::allowances::Allowances;
use super::config::Config;
use super::connections::Connections;
use super::pool::Pool;
use super::users::Users;
use crate::broker::sync::{AtomicBool, Mutex};
use crate::broker::{Backlog, Counters, Memory};
use crate::codec::BufferPool;

/// The state that all sessions of a broker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    /// What connections are sealed with from now on.
    pub(super) tls: Mutex<Option<Arc<ServerConfig>>>,
    pub(super) users: Users,
    pub(super) counters: Arc<Counters>,
    pub(super) connections: Connections,
    pub(super) pool: Pool,
    pub(super) backlog: Arc<Backlog>,
    pub(super) memory: Memory,
    pub(super) allowances: Arc<Allowances>,
    /// The dispatcher says here how many shapes of filters there are.
    pub(super) shapes: Arc<AtomicUsize>,
    pub(super) spares: BufferPool,
    /// The dispatcher says here whether the store is full.
    pub(super) store_full: Arc<atomic::AtomicBool>,
    /// Sessions that have a thread.
    pub(super) awake: AtomicUsize,
    /// The number of the client that comes next.
    pub(super) next_client: AtomicU64,
    /// No new clients, and whoever is connected gets no more than what had arrived.
    pub(super) stopping: AtomicBool,
    /// Whether connections are sealed.
    #[cfg(test)]
    pub(super) is_sealed: bool,
}
