//! What can go wrong for a client.

use std::io;

use crate::protocol::{ErrorCode, Format, FrameFault, Refusal};

/// Why a queue could not do what it was asked.
///
/// ```
/// use babelmq::{JsonQueue, QueueError};
///
/// // Nobody listens there.
/// match JsonQueue::builder("/weather").address("127.0.0.1:1").producer() {
///     Ok(_) => unreachable!(),
///     Err(QueueError::Connect { address, source, .. }) => println!("{address}: {source}"),
///     Err(error) => panic!("{error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The broker refused something that this queue sent. The queue goes on, unless the refusal is
    /// fatal.
    #[error("the broker refused it: {0}")]
    Refused(#[source] Refused),
    /// The topic cannot be one, the value cannot be a message: found before anything was sent.
    #[error("not sent: {0}")]
    Invalid(#[from] Refusal),
    /// The value's own `Serialize` or `Deserialize` implementation, or the format, cannot do it.
    #[error("cannot translate between the message and the program's type: {0}")]
    Type(String),
    /// No connection to the broker at this address, or none with TLS.
    #[non_exhaustive]
    #[error("cannot connect to the broker at {address}: {source}{}", hint(.source))]
    Connect {
        /// The address, without a user.
        address: String,
        /// What the system says, or what is wrong with TLS there.
        source: io::Error,
    },
    /// What the program or the environment says of the connection cannot be: an address that is
    /// none, a file of certificates that cannot be read, a password that would go over the network
    /// in plain.
    #[error("{0}")]
    Options(String),
    /// The broker's certificate does not verify, or the broker does not accept this client's.
    ///
    /// Trying again does not change that. So it is said at once, whatever
    /// [`wait`](super::QueueBuilder::wait) says, and where it happens when a connection is made
    /// again, every later call says it.
    #[error("{0}")]
    Certificate(String),
    /// The broker does not let this client in (`login-failed`), or wants to know who it is
    /// (`login-required`).
    ///
    /// That is not tried again either: see [`Certificate`](Self::Certificate).
    #[error("{}", not_let_in(.0))]
    LoginFailed(#[source] Refused),
    /// What was pushed since the last `flush` may be lost, because the connection was. The queue
    /// goes on with another.
    #[error("the connection was lost; what was pushed since the last flush may be lost with it")]
    Lost,
    /// Nothing can ever be pulled: the queue is not subscribed.
    #[error("there is nothing to pull: the queue is not subscribed to anything")]
    NotSubscribed,
    /// A frame was longer than this client takes, and was skipped; what comes after it is not lost.
    #[non_exhaustive]
    #[error("a frame of {length} bytes was skipped; this queue takes {max_frame} (max_frame)")]
    TooLarge {
        /// How long it was, in bytes of body.
        length: u32,
        /// How long it may be.
        max_frame: u32,
    },
    /// The connection of a [`Client`](super::Client) broke, or the first one of a queue. What was
    /// published and not flushed may be lost.
    #[error("the connection to the broker broke: {0}; what was pushed and not flushed may be lost")]
    Connection(#[from] io::Error),
    /// The broker closed the connection of a [`Client`](super::Client), or the first one of a
    /// queue.
    #[error("the broker closed the connection; what was pushed and not flushed may be lost")]
    Closed,
    /// Nothing came within the time given.
    #[error("nothing came within the time given")]
    TimedOut,
    /// What came is no message of the protocol.
    #[error("the broker sent what is no message of the protocol: {0}")]
    Protocol(String),
}

/// Why there is no connection with TLS, said in full.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoTls(pub(super) String);

/// Whether the broker is there, and does not speak TLS with this client.
pub(crate) fn is_no_tls(source: &io::Error) -> bool {
    source.get_ref().is_some_and(|source| source.is::<NoTls>())
}

fn hint(source: &io::Error) -> &'static str {
    if is_no_tls(source) { "" } else { " (is it running?)" }
}

fn not_let_in(refused: &Refused) -> String {
    let advice = if refused.is(ErrorCode::LoginRequired) {
        "; say who this is with user and password, with token, or with BABELMQ_USER and \
         BABELMQ_PASSWORD, or BABELMQ_TOKEN"
    } else {
        ""
    };
    format!("the broker does not let this client in: {refused}{advice}")
}

impl From<Refused> for QueueError {
    fn from(refused: Refused) -> QueueError {
        match refused.error_code() {
            Some(ErrorCode::LoginFailed | ErrorCode::LoginRequired) => {
                QueueError::LoginFailed(refused)
            }
            _ => QueueError::Refused(refused),
        }
    }
}

impl From<FrameFault> for QueueError {
    fn from(fault: FrameFault) -> QueueError {
        match fault {
            FrameFault::TooLarge { length, max_frame, .. } => {
                QueueError::TooLarge { length, max_frame }
            }
            // The types of records with which TLS begins, and ends before it has begun.
            FrameFault::UnknownFormat(byte @ (21 | 22)) => QueueError::Protocol(format!(
                "a frame begins with byte {byte}, as what TLS says does; if the broker speaks TLS \
                 there, its address begins with babelmqs://"
            )),
            FrameFault::UnknownFormat(_) => QueueError::Protocol(fault.to_string()),
        }
    }
}

impl QueueError {
    /// The code of what was refused, by the broker or before it was sent; `None` where nothing was,
    /// and where a newer broker has a code that this library does not know.
    ///
    /// ```
    /// use babelmq::{ErrorCode, JsonQueue};
    ///
    /// let error = JsonQueue::producer("no//topic").unwrap_err();
    /// assert_eq!(error.code(), Some(ErrorCode::InvalidTopic));
    /// ```
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            QueueError::Refused(refused) | QueueError::LoginFailed(refused) => refused.error_code(),
            QueueError::Invalid(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    /// The same, where no other attempt would come to anything else.
    pub(super) fn finally(&self) -> Option<QueueError> {
        match self {
            QueueError::Options(reason) => Some(QueueError::Options(reason.clone())),
            QueueError::Certificate(reason) => Some(QueueError::Certificate(reason.clone())),
            QueueError::LoginFailed(refused) => Some(QueueError::LoginFailed(refused.clone())),
            _ => None,
        }
    }

    /// A frame in a format that this queue does not speak.
    pub(super) fn foreign(found: Format, wanted: Format) -> QueueError {
        QueueError::Protocol(format!("a frame in {found}; this queue speaks {wanted}"))
    }
}

/// A refusal, as the broker's `error` message says it.
///
#[cfg_attr(feature = "broker", doc = "```")]
#[cfg_attr(not(feature = "broker"), doc = "```ignore")]
/// use babelmq::{ErrorCode, JsonQueue, QueueError};
/// # use babelmq::{Broker, Config, StoreLimits};
/// # let config = Config::listening_on(([127, 0, 0, 1], 0)).store(StoreLimits::default().values(0));
/// # let broker = Broker::start(config)?;
///
/// // This broker remembers nothing.
/// let mut queue = JsonQueue::builder("/weather").address(broker.local_addr()).producer()?;
/// queue.push(&21.5)?;
/// let Err(QueueError::Refused(refused)) = queue.flush() else { panic!() };
/// assert_eq!(refused.error_code(), Some(ErrorCode::StoreFull));
/// assert_eq!((refused.topic.as_deref(), refused.fatal), (Some("/weather"), false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
#[non_exhaustive]
pub struct Refused {
    /// The stable word for programs, see [`error_code`](Self::error_code).
    pub code: String,
    /// The explanation for people.
    pub reason: String,
    /// The topic that it concerns, where it concerns one.
    pub topic: Option<String>,
    /// Whether the connection ends with it.
    pub fatal: bool,
}

impl Refused {
    /// The code; `None` for one that a newer broker has and this library does not know.
    pub fn error_code(&self) -> Option<ErrorCode> {
        ErrorCode::ALL.into_iter().find(|code| code.as_str() == self.code)
    }

    /// Whether the refusal bears this code.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code.as_str()
    }

    /// Whether it answers a ping in the place of a pong: what was published before is not known to
    /// be safe. Said of a topic it refuses a message.
    pub(super) fn is_of_ping(&self) -> bool {
        let codes = [ErrorCode::StorageFailed, ErrorCode::BackboneUnavailable];
        self.topic.is_none() && codes.into_iter().any(|code| self.is(code))
    }
}
