//! `babelmq serve`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::args::Serve;
use super::command::{Cli, Command};
use super::failure::Failure;
use super::logging::Log;
use super::service::Manager;
use super::settings::{self, LoadError, Loaded};
use crate::broker::{Fsync, NoStore, Store};
use crate::storage::Storage;
use crate::transport::{Broker, BrokerHandle, Config, ListenUrl, StartError, check};

/// Serves until a signal comes. The first line on standard output says that the broker is ready,
/// and where, and the second, if it speaks HTTP, where its page is; everything else is the log.
/// `arguments` are what is read again when a signal says so.
pub(super) fn serve(serve: &Serve, arguments: &[OsString]) -> Result<(), Failure> {
    serve.check_together()?;
    if serve.check {
        check(&serve.config())?;
        writeln!(io::stdout(), "the configuration is good")?;
        return Ok(());
    }
    let mut log = Log::start(serve.logging.clone())?;
    // From here on a signal ends the broker and not the process, even one that comes before it is
    // ready.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::Other(format!("cannot wait for signals: {error}")))?;
    raise_open_files();
    let config = serve.config();
    let store = store(serve, &config)?;
    let broker = Broker::start_sharing(config.clone(), store, serve.backbone())?;
    let manager = Manager::from_environment();
    // Whoever started the broker may have closed the other end of the pipe; it serves all the same.
    let listeners = broker.listeners().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let _ = writeln!(io::stdout(), "babelmq listening on {listeners}");
    let pages = broker.listeners().filter_map(page).collect::<Vec<_>>().join(", ");
    if !pages.is_empty() {
        let _ = writeln!(io::stdout(), "babelmq page at {pages}");
        tracing::info!("page at {pages}");
    }
    let memory = match &serve.data_dir {
        Some(directory) => format!("last values in {}", directory.display()),
        None => "last values in memory only (--data-dir keeps them)".to_owned(),
    };
    let shared = match config.shared.as_slice() {
        [] => String::new(),
        topics => {
            let filters: Vec<&str> = topics.iter().map(|topics| topics.filter.as_str()).collect();
            format!("; {} shared", filters.join(", "))
        }
    };
    let status = format!("listening on {listeners}; {memory}{shared}");
    tracing::info!("{status}");
    manager.ready(&status);

    let (stop, stopped) = bounded(0);
    thread::scope(|scope| {
        // Without a watchdog nobody asks for signs of life.
        let _ = manager.watchdog().map(|_| scope.spawn(|| keep_watch(&manager, &broker, &stopped)));
        for signal in signals.forever() {
            if signal != SIGHUP {
                tracing::info!(signal, "stopping: routing and writing out what was accepted");
                break;
            }
            manager.reloading();
            reload(&mut log, &config, arguments);
            if let Err(error) = broker.reload_certificates() {
                tracing::error!(%error, "going on with the certificates as they were");
            }
            if let Err(error) = broker.reload_users() {
                tracing::error!(%error, "going on with the users as they were");
            }
            manager.ready(&status);
        }
        drop(stop);
    });
    manager.stopping();
    Ok(broker.close()?)
}

/// Where a browser finds the page of a listener, if it speaks HTTP.
fn page(listener: &ListenUrl) -> Option<String> {
    let (scheme, address) = match listener {
        ListenUrl::Http(address) => ("http", address),
        ListenUrl::Https(address) => ("https", address),
        _ => return None,
    };
    Some(match address.ip().is_unspecified() {
        // It is reached at every address, and is none itself.
        true => format!("{scheme}://localhost:{}/", address.port()),
        false => format!("{scheme}://{address}/"),
    })
}

/// Takes as many open files as the system grants: its usual limit is for programs that have few.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it is not granted, the broker says how many clients it can have.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Where last values are kept.
fn store(serve: &Serve, config: &Config) -> Result<Box<dyn Store>, StartError> {
    Ok(match &serve.data_dir {
        Some(directory) => Box::new(Storage::open(directory, config.fsync != Fsync::Never)?),
        None => Box::new(NoStore),
    })
}

/// Gives signs of life as long as the dispatcher answers, until the other end of `stopped` is
/// dropped.
fn keep_watch(manager: &Manager, broker: &BrokerHandle, stopped: &Receiver<()>) {
    let Some(interval) = manager.watchdog() else { return };
    while stopped.recv_timeout(interval).is_err_and(|error| error.is_timeout()) {
        // It does not return while the dispatcher hangs, and then the manager hears nothing.
        let _ = broker.stats();
        manager.alive();
    }
}

/// Reads the configuration again and takes over what can change while the broker runs: the log.
fn reload(log: &mut Log, running: &Config, arguments: &[OsString]) {
    let serve = match settings::load(arguments) {
        Ok(Loaded { cli: Cli { command: Command::Serve(serve), .. }, .. }) => serve,
        Ok(_) => return,
        Err(wrong) => {
            // Its file may have been moved away all the same, and that is where one looks for this.
            if let Err(error) = log.reopen() {
                tracing::error!(%error, "going on with the log as it was");
            }
            match wrong {
                LoadError::Config(error) => {
                    tracing::error!(%error, "the configuration is wrong; going on with what was \
                    there before");
                }
                LoadError::Arguments(error) => {
                    tracing::error!(%error, "the environment is wrong; going on with what was \
                    there before");
                }
            }
            return;
        }
    };
    match log.reload(serve.logging.clone()) {
        Ok(waiting) => {
            tracing::info!("the log was opened anew and the configuration read again");
            if serve.config() != *running || !waiting.is_empty() {
                tracing::warn!(
                    "the log's level and file have changed as configured; everything else that was \
                     changed takes effect \
                     after a restart"
                );
            }
        }
        Err(error) => tracing::error!(%error, "going on with the log as it was"),
    }
}
