//! Sockets and threads: who listens, who reads, who writes.
//!
//! [`Broker::start`] opens the listening socket and spawns the dispatcher, the listener and the
//! attendant. The listener spawns a session for each connection, and a session a writer when there
//! is first something to write. A session whose client is silent is parked with the attendant,
//! without a thread; where there are many writers, those that are silent share the threads of a
//! pool.

mod allowances;
#[cfg(not(shuttle))]
mod bound;
mod capacity;
mod certificates;
mod closing;
mod config;
mod connections;
mod expiry;
mod guards;
mod handle;
mod handshakes;
mod line;
mod listen_url;
mod listener;
mod log_limit;
#[cfg(test)]
#[cfg(shuttle)]
mod model;
mod mqtt;
mod net;
mod pace;
mod parked;
mod pool;
mod priority;
mod process;
mod purse;
mod refusal_log;
mod server;
mod session;
mod shared;
mod threads;
mod turns;
mod users;
mod write_deadline;
mod writer;
mod x509;

pub use certificates::{ClientAuth, TlsError, TlsFiles};
pub use config::Config;
pub use handle::BrokerHandle;
pub use line::Unframing;
pub use listen_url::{ListenScheme, ListenUrl, ParseListenUrlError};
#[cfg(feature = "cli")]
pub(crate) use server::check;
pub use server::{Broker, StartError};
pub use users::UsersFileError;
#[cfg(feature = "cli")]
pub(crate) use users::load_users;
pub use x509::UserFrom;
