//! The state that all sessions of a broker share.

use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64, AtomicUsize};

use super::allowances::Allowances;
use super::certificates::Certificates;
use super::config::Config;
use super::connections::Connections;
use super::handshakes::Handshakes;
use super::mqtt::Sessions;
use super::pool::Pool;
use super::users::Users;
use super::writer::Common;
use crate::broker::sync::{AtomicBool, Mutex};
use crate::broker::{Backlog, Counters, Memory};
use crate::codec::BufferPool;

/// The state that all sessions of a broker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    /// What connections are sealed with from now on.
    pub(super) tls: Mutex<Option<Arc<Certificates>>>,
    pub(super) handshakes: Handshakes,
    pub(super) users: Users,
    pub(super) counters: Arc<Counters>,
    pub(super) connections: Connections,
    pub(super) pool: Pool,
    pub(super) writing: Arc<Common>,
    pub(super) mqtt: Arc<Sessions>,
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
    /// What connections of a model make of their bytes.
    #[cfg(all(test, shuttle))]
    pub(super) text: super::net::Text,
}

impl Shared {
    /// Seals connections that come from now on with these.
    pub(super) fn use_certificates(&self, certificates: Arc<Certificates>) {
        let end = certificates.expiry.as_ref().map_or(0, |expiry| expiry.end.at);
        self.counters.certificate_expires.store(end, atomic::Ordering::Relaxed);
        *self.tls.lock() = Some(certificates);
        self.log_expiry();
    }

    /// Says in the log if the certificate ends soon.
    pub(super) fn log_expiry(&self) {
        let certificates = self.tls.lock().clone();
        if let Some(expiry) = certificates.as_ref().and_then(|all| all.expiry.as_ref()) {
            expiry.log();
        }
    }
}
