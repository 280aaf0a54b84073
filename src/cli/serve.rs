//! `babelmq serve`.

use std::io::{self, Write};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing_subscriber::EnvFilter;

use super::args::Serve;
use crate::broker::{Fsync, NoStore, Store};
use crate::storage::Storage;
use crate::transport::{Broker, StartError};

/// Why serving ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

/// Serves until a signal comes. The one line on standard output says that the broker is ready, and where; everything
/// else is on standard error.
pub(super) fn serve(arguments: &Serve) -> Result<(), ServeError> {
    log_to_stderr();
    // From here on a signal ends the broker and not the process, even one that comes before it is ready.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(ServeError::Signals)?;
    raise_open_files();
    let config = arguments.config();
    let store: Box<dyn Store> = match &arguments.data_dir {
        Some(directory) => {
            Box::new(Storage::open(directory, config.fsync != Fsync::Never).map_err(StartError::from)?)
        }
        None => Box::new(NoStore),
    };
    let broker = Broker::start_with(config, store)?;
    // Whoever started the broker may have closed the other end of the pipe; it serves all the same.
    let _ = writeln!(io::stdout(), "babelmq listening on {}", broker.local_addr());
    match &arguments.data_dir {
        Some(directory) => tracing::info!("last values are kept in {}", directory.display()),
        None => {
            tracing::info!("last values are in memory only and end with the broker; --data-dir keeps them")
        }
    }
    let signal = signals.forever().next();
    tracing::info!(signal, "stopping: routing and writing out what was accepted");
    broker.shutdown();
    Ok(())
}

/// Takes as many open files as the system grants: its usual limit is for programs that have few.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it is not granted, the broker says how many clients it can have.
    let _ = setrlimit(Resource::Nofile, raised);
}

fn log_to_stderr() {
    let level = EnvFilter::try_from_env("BABELMQ_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(level).with_writer(io::stderr).init();
}
