//! What happens to a queue's connection, for those who log it.

use std::fmt;
use std::sync::Arc;

/// What happened to a queue's connection, see
/// [`QueueBuilder::on_connection`](super::QueueBuilder::on_connection).
///
/// ```
/// use babelmq::{ConnectionEvent, JsonQueue};
///
/// let queue = JsonQueue::builder("/weather").on_connection(|event| match event {
///     ConnectionEvent::Lost { reason, .. } => eprintln!("lost: {reason}"),
///     other => eprintln!("{other}"),
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// It was made, for the first time or again.
    Connected,
    /// It ended, and will be made again when the queue is used.
    #[non_exhaustive]
    Lost {
        /// Why, as far as it is known.
        reason: String,
    },
    /// It could not be made, and is not tried again: a certificate is refused, or a login.
    #[non_exhaustive]
    Ended {
        /// Why.
        reason: String,
    },
    /// It could not be made; that is tried again after a pause.
    #[non_exhaustive]
    Unreachable {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for ConnectionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionEvent::Connected => f.write_str("connected to the broker"),
            ConnectionEvent::Lost { reason } => {
                write!(f, "connection to the broker lost: {reason}")
            }
            ConnectionEvent::Ended { reason } => {
                write!(f, "no connection to the broker is possible any more: {reason}")
            }
            ConnectionEvent::Unreachable { reason } => {
                write!(f, "cannot reach the broker, trying again: {reason}")
            }
        }
    }
}

/// Who is told.
#[derive(Clone)]
pub(super) struct Listener(Arc<dyn Fn(&ConnectionEvent) + Send + Sync>);

impl Listener {
    pub(super) fn new(listener: impl Fn(&ConnectionEvent) + Send + Sync + 'static) -> Listener {
        Listener(Arc::new(listener))
    }

    pub(super) fn tell(&self, event: &ConnectionEvent) {
        (self.0)(event);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
