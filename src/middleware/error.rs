//! What can go wrong for a client.

use std::io;

use crate::protocol::{ErrorCode, Format, FrameFault, Refusal};

/// Why a queue could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The broker refused something that this queue sent. The queue goes on, unless the refusal is fatal.
    #[error("the broker refused it: {0}")]
    Refused(Refused),
    /// The topic cannot be one, the value cannot be a message: found before anything was sent.
    #[error("not sent: {0}")]
    Invalid(#[from] Refusal),
    /// The value's own `Serialize` or `Deserialize` implementation, or the format, cannot do it.
    #[error("cannot translate between the message and the program's type: {0}")]
    Type(String),
    /// No connection to the broker at this address.
    #[error("cannot connect to the broker at {address}: {source} (is it running?)")]
    Connect {
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke. What was pushed and not flushed may be lost.
    #[error("the connection to the broker broke: {0}; what was pushed and not flushed may be lost")]
    Connection(#[from] io::Error),
    /// The broker closed the connection.
    #[error("the broker closed the connection; what was pushed and not flushed may be lost")]
    Closed,
    /// Nothing came within the time given.
    #[error("nothing came within the time given")]
    TimedOut,
    /// What came is no message of the protocol.
    #[error("the broker sent what is no message of the protocol: {0}")]
    Protocol(String),
}

impl From<FrameFault> for QueueError {
    fn from(fault: FrameFault) -> QueueError {
        let more = match fault {
            FrameFault::TooLarge { .. } => ", and no broker's --max-encoded can be more",
            FrameFault::UnknownFormat(_) => "",
        };
        QueueError::Protocol(format!("{fault}{more}"))
    }
}

impl QueueError {
    /// A frame in a format that this queue does not speak.
    pub(super) fn foreign(found: Format, wanted: Format) -> QueueError {
        QueueError::Protocol(format!("a frame in {found}; this queue speaks {wanted}"))
    }
}

/// A refusal, as the broker's `error` message says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub struct Refused {
    /// The stable word for programs.
    pub code: String,
    /// The explanation for people.
    pub reason: String,
    /// The topic that it concerns, where it concerns one.
    pub topic: Option<String>,
    /// Whether the connection ends with it.
    pub fatal: bool,
}

impl Refused {
    /// Whether the refusal bears this code.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code.as_str()
    }
}
