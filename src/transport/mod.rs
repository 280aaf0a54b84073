//! Sockets and threads: who listens, who reads, who writes.
//!
//! [`Broker::start`] opens the listening socket and spawns the dispatcher and the listener; the listener spawns a
//! session for each connection, and a session a writer when there is first something to write.

mod connections;
mod handle;
mod intake;
mod listener;
mod server;
mod session;
mod writer;

pub use handle::BrokerHandle;
pub use server::{Broker, Config, StartError};
