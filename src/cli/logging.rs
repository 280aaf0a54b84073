//! What the broker logs, how, and where to.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use super::failure::Failure;
use super::visible;
use crate::backbone::CLIENT;

/// The settings that concern the log.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct LogSettings {
    /// What to log: error, warn, info, debug or trace, or a level for each part, as in
    /// info,babelmq::transport=debug.
    #[arg(
        long, value_name = "LEVEL", default_value = "info", value_parser = level,
        env = "BABELMQ_LOG",
    )]
    log: String,

    /// How to write the log.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, env = "BABELMQ_LOG_FORMAT")]
    log_format: LogFormat,

    /// Log to a file, and not to standard error; SIGHUP opens it anew.
    #[arg(long, value_name = "FILE", env = "BABELMQ_LOG_FILE")]
    log_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people: coloured on a terminal.
    #[default]
    Text,
    /// For programs: an object on each line.
    Json,
}

fn level(text: &str) -> Result<String, ParseError> {
    EnvFilter::builder().parse(text).map(|_| text.to_owned())
}

impl LogSettings {
    /// What is logged. The client of NATS says of a lost connection, as of errors, what the broker
    /// says in its own words; it is heard where it is asked for by name.
    fn filter(&self) -> EnvFilter {
        match self.log.contains(CLIENT) {
            true => EnvFilter::new(&self.log),
            false => EnvFilter::new(format!("{},{CLIENT}=off", self.log)),
        }
    }
}

/// The running log. There are no spans in it: tracing's registry has room for those of 4,096
/// threads and panics in the next, so each line names its connection itself.
pub(super) struct Log {
    target: Target,
    filter: reload::Handle<EnvFilter, Registry>,
    settings: LogSettings,
}

/// Where lines go to. A line is one write.
#[derive(Clone)]
struct Target(Arc<Mutex<Box<dyn Write + Send>>>);

impl Target {
    fn lock(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Target {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // What a client has said is visible, on whatever terminal the log is read.
        match visible::logged(&String::from_utf8_lossy(line)) {
            Cow::Borrowed(_) => self.lock().write(line),
            Cow::Owned(escaped) => self.lock().write_all(escaped.as_bytes()).map(|()| line.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

fn open(file: Option<&Path>) -> Result<Box<dyn Write + Send>, Failure> {
    let Some(path) = file else { return Ok(Box::new(io::stderr())) };
    let append = |path: &Path| -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(path)
    };
    match append(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(Failure::File { place: format!("the log {}", path.display()), error }),
    }
}

impl Log {
    /// Begins to log.
    pub(super) fn start(settings: LogSettings) -> Result<Log, Failure> {
        let target = Target(Arc::new(Mutex::new(open(settings.log_file.as_deref())?)));
        let writer = target.clone();
        let color = settings.log_file.is_none()
            && io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (filter, handle) = reload::Layer::new(settings.filter());
        let registry = tracing_subscriber::registry().with(filter);
        let lines = fmt::layer().with_writer(move || writer.clone()).with_ansi(color);
        match settings.log_format {
            LogFormat::Text => registry.with(lines).init(),
            LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
        }
        Ok(Log { target, filter: handle, settings })
    }

    /// Opens the file anew, which may have been moved away.
    pub(super) fn reopen(&mut self) -> Result<(), Failure> {
        let opened = open(self.settings.log_file.as_deref())?;
        *self.target.lock() = opened;
        Ok(())
    }

    /// Takes over what can change while the broker runs, and opens the file anew, which may have
    /// been moved away. Returns the names of settings that changed and wait for a restart.
    pub(super) fn reload(&mut self, settings: LogSettings) -> Result<Vec<&'static str>, Failure> {
        let opened = open(settings.log_file.as_deref())?;
        *self.target.lock() = opened;
        let changed = self.filter.reload(settings.filter());
        changed.map_err(|error| Failure::Other(error.to_string()))?;
        let format_changed = self.settings.log_format != settings.log_format;
        self.settings = LogSettings { log_format: self.settings.log_format, ..settings };
        Ok(if format_changed { vec!["log-format"] } else { Vec::new() })
    }
}
