//! Which broker a command talks to, and as whom.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::args::seconds;
use super::failure::Failure;
use super::secret;
use crate::middleware::{Client, Destination, QueueError, holds_password};

/// Which broker to talk to.
#[derive(Debug, clap::Args)]
pub(super) struct Address {
    /// The broker to talk to: HOST:PORT, babelmq://HOST:PORT, babelmqs://HOST:PORT for TLS,
    /// unix:/PATH; a user may come before the host, babelmqs://USER@HOST:PORT. [env: BABELMQ_ADDR]
    /// [default: 127.0.0.1:5000]
    // Not by clap's `env`: what is in the environment may hold a password, and what is an argument
    // may not.
    #[arg(long, short, alias = "addr", value_name = "ADDRESS")]
    address: Option<String>,

    /// The user to log in as. A terminal is asked for the password where nothing else says it.
    /// [env: BABELMQ_USER]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// The file with the user's password, as one line. [env: BABELMQ_PASSWORD, the password itself]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// The file with a token to log in with, as one line. [env: BABELMQ_TOKEN, the token itself]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "password_file"])]
    token_file: Option<PathBuf>,

    /// Send a password or a token to another machine without TLS, where everybody on the way can
    /// read it.
    #[arg(long)]
    allow_plain_login: bool,

    /// The CA certificates to trust with TLS, in PEM, in the place of the system's.
    /// [env: BABELMQ_CA]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// A client certificate in PEM, for a broker that asks for one. [env: BABELMQ_CERT]
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The key of --cert in PEM; in the file of the certificate where it is not given.
    /// [env: BABELMQ_KEY]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// How long to wait for the broker's answers.
    #[arg(
        long, value_name = "SECONDS", default_value = "10", value_parser = seconds,
        env = "BABELMQ_TIMEOUT", hide_env_values = true
    )]
    pub(super) timeout: Duration,

    /// How long to wait for a broker that is not there yet.
    #[arg(
        long, value_name = "SECONDS", default_value = "0", value_parser = seconds,
        env = "BABELMQ_WAIT_FOR_BROKER", hide_env_values = true
    )]
    pub(super) wait_for_broker: Duration,
}

/// A broker that can be connected to, as often as it takes.
pub(super) struct Broker {
    to: Arc<Destination>,
    wait: Duration,
    /// The address, without a user.
    pub(super) address: String,
    /// How long to wait for its answers.
    pub(super) timeout: Duration,
}

impl Address {
    /// Reads what there is to read, and asks for a password where that is wanting.
    pub(super) fn broker(&self) -> Result<Broker, Failure> {
        if self.address.as_deref().is_some_and(holds_password) {
            return Err(Failure::Usage(
                "a password in an argument can be read by every user of this machine; leave it \
                 out of --address, and use BABELMQ_PASSWORD, --password-file, or BABELMQ_ADDR for \
                 the whole address"
                    .into(),
            ));
        }
        let mut builder = Client::builder()
            .with_the_login_of_the_environment()
            .timeout(self.timeout)
            .allow_plain_login(self.allow_plain_login);
        if let Some(address) = &self.address {
            builder = builder.address(address);
        }
        if let Some(user) = &self.user {
            builder = builder.user(user);
        }
        if let Some(file) = &self.password_file {
            builder = builder.password(secret::in_file(file, "password")?);
        }
        if let Some(file) = &self.token_file {
            builder = builder.token(secret::in_file(file, "token")?);
        }
        if let Some(ca) = &self.ca {
            builder = builder.ca(ca);
        }
        if let Some(cert) = &self.cert {
            builder = builder.cert(cert);
        }
        if let Some(key) = &self.key {
            builder = builder.key(key);
        }
        if let Some(user) = builder.lone_user().map_err(wrong)? {
            if !io::stdin().is_terminal() {
                return Err(Failure::Usage(format!(
                    "the user {user:?} has no password: give it with BABELMQ_PASSWORD or \
                     --password-file; it is asked for on a terminal only"
                )));
            }
            builder = builder.password(secret::of_user(&user)?);
        }
        let to = builder.destination().map_err(wrong)?;
        let (address, timeout) = (to.to_string(), self.timeout);
        Ok(Broker { to, wait: self.wait_for_broker, address, timeout })
    }
}

impl Broker {
    /// A client of that broker, which is waited for if need be.
    pub(super) fn connect(&self) -> Result<Client, QueueError> {
        Client::open(&self.to, self.wait)
    }

    /// The same of one that is there.
    pub(super) fn connect_at_once(&self) -> Result<Client, QueueError> {
        Client::open(&self.to, Duration::ZERO)
    }

    /// A failure that concerns this broker.
    pub(super) fn failed(&self) -> impl Fn(QueueError) -> Failure + use<> {
        Failure::broker(&self.address)
    }
}

fn wrong(error: QueueError) -> Failure {
    Failure::Usage(error.to_string())
}
