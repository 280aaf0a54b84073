//! How a client is to connect.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use crate::middleware::address::Given;
use crate::middleware::error::QueueError;
use crate::middleware::options::Options;
use crate::middleware::secret::Secret;
use crate::protocol::Format;

/// How a [`Client`] is to connect: see [`Client::builder`].
///
/// What is not given is taken from the environment, as
/// [`QueueBuilder`](crate::QueueBuilder) says.
///
/// ```no_run
/// let mut client = babelmq::Client::builder()
///     .address("babelmqs://broker.example")
///     .ca("/etc/babelmq/ca.pem")
///     .user("ada")
///     .password(std::fs::read_to_string("/run/secrets/ada")?.trim_end())
///     .connect()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    options: Options,
    wait: Duration,
}

impl ClientBuilder {
    pub(super) fn new() -> ClientBuilder {
        ClientBuilder { options: Options::default(), wait: Duration::ZERO }
    }

    /// The broker's address, see [`QueueBuilder::address`](crate::QueueBuilder::address).
    #[must_use]
    pub fn address(mut self, address: impl fmt::Display) -> Self {
        self.options.address = Some(Given(address.to_string()));
        self
    }

    /// How long to wait for the connection and for each of the broker's answers. Default 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// How long to try again where nobody listens. Default: not at all.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The user to log in as, with [`password`](Self::password).
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.options.user = Some(name.into());
        self
    }

    /// The password of the user. It is never shown, and goes over a network only with TLS: see
    /// [`allow_plain_login`](Self::allow_plain_login).
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.options.password = Some(Secret::new(password.into()));
        self
    }

    /// A token to log in with, in the place of a user and a password.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.options.token = Some(Secret::new(token.into()));
        self
    }

    /// Whether a password or a token may go to another machine without TLS, where everybody on the
    /// way can read it. Default false: such an address is [`QueueError::Options`].
    #[must_use]
    pub fn allow_plain_login(mut self, allow: bool) -> Self {
        self.options.allow_plain_login = allow;
        self
    }

    /// A file of CA certificates in PEM that are trusted with TLS, in the place of the system's.
    #[must_use]
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.ca = Some(path.into());
        self
    }

    /// A file with a client certificate in PEM, for a broker that asks for one.
    #[must_use]
    pub fn cert(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.cert = Some(path.into());
        self
    }

    /// The file with the key of [`cert`](Self::cert) in PEM, not encrypted. Default: the same file.
    #[must_use]
    pub fn key(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.key = Some(path.into());
        self
    }

    /// Connects, and logs in where there is a login.
    ///
    /// # Errors
    /// [`QueueError::Options`] for what cannot be, [`QueueError::Connect`],
    /// [`QueueError::Certificate`], [`QueueError::LoginFailed`], [`QueueError::TimedOut`].
    pub fn connect(self) -> Result<Client, QueueError> {
        let destination = Arc::new(self.options.destination(Format::Json)?);
        Client::open(&destination, self.wait)
    }
}

/// What the command asks for beside.
#[cfg(feature = "cli")]
impl ClientBuilder {
    /// Has the environment's user, password and token be for an address that was given, too.
    pub(crate) fn with_the_login_of_the_environment(mut self) -> Self {
        self.options.environment_logs_in = true;
        self
    }

    /// The user for whom a password or a token is wanting.
    pub(crate) fn lone_user(&self) -> Result<Option<String>, QueueError> {
        self.options.lone_user()
    }

    /// Where it connects to, for more than one connection.
    pub(crate) fn destination(
        &self,
    ) -> Result<Arc<crate::middleware::options::Destination>, QueueError> {
        Ok(Arc::new(self.options.destination(Format::Json)?))
    }
}
