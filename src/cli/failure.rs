//! Why a command did not do what it was told, and the exit code that says so to programs.

use std::io;
use std::process::ExitCode;

use super::visible;
use crate::broker::Unsaved;
use crate::middleware::{QueueError, Refused, is_no_tls};
use crate::protocol::{ErrorCode, Refusal};
use crate::transport::StartError;

/// Every exit code but 0, with what it means: the manual's table.
pub(super) const EXIT_CODES: [(u8, &str); 8] = [
    (1, "it could not be done for another reason: a file cannot be read, a topic holds no value"),
    (2, "the arguments or the configuration are wrong; of `check`: the broker is not well"),
    (3, "no connection: nothing listens there, or not with TLS, or a certificate is not accepted"),
    (
        4,
        "the wrong format: what was to be read is not JSON, XML, a pickle, or no message of the \
         protocol",
    ),
    (
        5,
        "refused: a payload that is forbidden or over a limit, or a request that the broker \
         declines",
    ),
    (6, "nothing came within the time given"),
    (7, "the connection ended before it was done"),
    (8, "of `serve`: it was stopped, and could not save every value and every clear"),
];

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Unsaved(#[from] Unsaved),
    #[error("{0}")]
    Usage(String),
    #[error("{}", say(.error, .address))]
    Broker { error: QueueError, address: String },
    /// A payload that no broker would take. `place` says where it is from.
    #[error("{place}{refusal}")]
    Payload { place: String, refusal: Refusal },
    #[error("{place}: {error}")]
    File { place: String, error: io::Error },
    #[error("nothing came within {0} s")]
    NothingCame(f64),
    #[error("{0}")]
    Other(String),
    /// Everything has been said, and this is the exit code.
    #[error("")]
    Said(u8),
    /// Whoever read the output has had enough, which is no failure.
    #[error("the output was closed")]
    OutputClosed,
}

/// Whether a broker may be there again soon: one that stops, restarts, or has no room for all the
/// clients that come back at once.
pub(super) fn is_outage(error: &QueueError) -> bool {
    match error {
        QueueError::Closed | QueueError::Connection(_) | QueueError::TimedOut => true,
        QueueError::Refused(refused) => refused.is(ErrorCode::TooManyConnections),
        _ => false,
    }
}

impl Failure {
    /// Something that concerns the broker at this address.
    pub(super) fn broker(address: &str) -> impl Fn(QueueError) -> Failure + use<> {
        let address = address.to_owned();
        move |error| Failure::Broker { error, address: address.clone() }
    }

    pub(super) fn code(&self) -> u8 {
        match self {
            Failure::Start(_) | Failure::File { .. } | Failure::Other(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Broker { error, .. } => match error {
                QueueError::Connect { .. } | QueueError::Certificate(_) => 3,
                QueueError::Options(_) => 2,
                QueueError::LoginFailed(_) => 5,
                QueueError::Protocol(_) | QueueError::Type(_) => 4,
                QueueError::Refused(refused) => code_of(&refused.code),
                QueueError::Invalid(refusal) => code_of(refusal.code.as_str()),
                QueueError::TimedOut => 6,
                _ => 7,
            },
            Failure::Payload { refusal, .. } => code_of(refusal.code.as_str()),
            Failure::NothingCame(_) => 6,
            Failure::Unsaved(_) => 8,
            Failure::Said(code) => *code,
            Failure::OutputClosed => 0,
        }
    }

    /// Says it, on standard error, and ends with its code.
    pub(super) fn end(&self) -> ExitCode {
        if !matches!(self, Failure::OutputClosed | Failure::Said(_)) {
            eprintln!("babelmq: {}", visible::lines(&self.to_string()));
        }
        ExitCode::from(self.code())
    }
}

/// The output could not be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::File { place: "standard output".into(), error },
        }
    }
}

/// Whether the format is the matter, or what is said in it.
fn code_of(code: &str) -> u8 {
    let malformed = [
        ErrorCode::MalformedJson,
        ErrorCode::MalformedXml,
        ErrorCode::MalformedPickle,
        ErrorCode::UnknownFormat,
        ErrorCode::NotAMap,
        ErrorCode::InvalidTag,
    ];
    if malformed.iter().any(|malformed| malformed.as_str() == code) { 4 } else { 5 }
}

/// What happened, and what to do about it.
fn say(error: &QueueError, address: &str) -> String {
    match error {
        QueueError::Connect { address, source } if is_no_tls(source) => {
            format!("{address}: {source}")
        }
        QueueError::LoginFailed(Refused { code, reason, .. }) => format!(
            "{address} does not let this client in: {}: {}; --user with --password-file, \
             --token-file, BABELMQ_USER, BABELMQ_PASSWORD and BABELMQ_TOKEN say who this is",
            visible::line(code),
            visible::line(reason)
        ),
        QueueError::Connect { address, source } => format!(
            "nothing listens on {address}: {source}; start a broker with `babelmq serve`, or name \
             another \
             with --address HOST:PORT or BABELMQ_ADDR"
        ),
        QueueError::TimedOut => format!(
            "{address} took the connection and does not answer; is it a babelmq broker, and not \
             overloaded? \
             (--timeout waits longer)"
        ),
        QueueError::Protocol(what) => {
            format!(
                "what answers on {address} is no babelmq broker, or one of another version: {what}"
            )
        }
        QueueError::Closed | QueueError::Connection(_) => {
            format!(
                "the connection to {address} ended before everything was done; has the broker \
                 stopped?"
            )
        }
        QueueError::Refused(Refused { code, reason, .. }) => {
            format!("refused: {}: {}", visible::line(code), visible::line(reason))
        }
        other => other.to_string(),
    }
}
