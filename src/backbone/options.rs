//! Where the servers of NATS are, and how this broker proves to them who it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Auth, AuthError, ConnectOptions, ServerAddr};
use nkeys::KeyPair;
use percent_encoding::percent_decode_str;

/// How often a connection is tried for a sign of life; three that stay away end it, and another
/// server is looked for before publishers have waited for too long.
const PING: Duration = Duration::from_secs(2);
/// What a connection may take, and what an answer may before it is asked for again.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// What an answer may take that says whether the server is there at all.
pub(super) const ANSWER: Duration = Duration::from_secs(4);
/// Commands that wait for the connection's turn: more than a publisher and members have on the way.
const COMMANDS: usize = 8_192;

/// Where the servers of NATS are, and what is shown to them.
///
/// ```
/// use babelmq::JetstreamOptions;
///
/// let options = JetstreamOptions::new("nats://a.example:4222,b.example")?;
/// assert_eq!(options.servers(), "nats://a.example:4222, nats://b.example:4222");
/// let private = JetstreamOptions::new("tls://ada:secret@a.example")?.ca("/etc/nats/ca.pem");
/// assert_eq!(private.servers(), "tls://a.example:4222");
/// assert!(JetstreamOptions::new("http://a.example").is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone)]
pub struct JetstreamOptions {
    servers: Vec<ServerAddr>,
    credentials: Option<PathBuf>,
    ca: Option<PathBuf>,
}

impl JetstreamOptions {
    /// Servers by their addresses, divided by commas: `nats://HOST:PORT` or, with TLS, `tls://`; a
    /// user and a password may be in front of the host. Port 4222 where none is said.
    ///
    /// # Errors
    /// Words that say which is no such address.
    pub fn new(servers: &str) -> Result<JetstreamOptions, String> {
        let named = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
        let servers: Vec<ServerAddr> = named.map(server).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err("no server is named, as in nats://a.example:4222".to_owned());
        }
        Ok(JetstreamOptions { servers, credentials: None, ca: None })
    }

    /// A file of credentials, as `nsc` makes them: a JWT and the seed of a key.
    #[must_use]
    pub fn credentials(self, file: impl Into<PathBuf>) -> JetstreamOptions {
        JetstreamOptions { credentials: Some(file.into()), ..self }
    }

    /// Certificates (PEM) of the authorities that may have signed the servers' own; without it,
    /// the system's. With it every connection is by TLS.
    #[must_use]
    pub fn ca(self, file: impl Into<PathBuf>) -> JetstreamOptions {
        JetstreamOptions { ca: Some(file.into()), ..self }
    }

    /// The servers' addresses, without passwords.
    pub fn servers(&self) -> String {
        self.servers.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    /// Reads what files say.
    ///
    /// # Errors
    /// Which file is missing or wrong.
    pub(super) fn read(&self) -> Result<Login, String> {
        let read = |path: &Path, what: &str| {
            fs::read_to_string(path)
                .map_err(|error| format!("{what} {} cannot be read: {error}", path.display()))
        };
        let credentials = match &self.credentials {
            None => None,
            Some(path) => {
                let text = read(path, "the file of credentials")?;
                let credentials = Credentials::parse(&text).ok_or_else(|| {
                    format!(
                        "{} is no file of credentials (a JWT and the seed of a key, as nsc makes \
                         them)",
                        path.display()
                    )
                })?;
                Some(credentials)
            }
        };
        if let Some(path) = &self.ca
            && !read(path, "the file of certificates")?.contains("BEGIN CERTIFICATE")
        {
            return Err(format!("{} has no certificate in PEM", path.display()));
        }
        let user = self.servers.iter().find_map(User::of);
        let tls = self.ca.is_some() || self.servers.iter().any(ServerAddr::tls_required);
        let servers = self.servers.clone();
        Ok(Login { servers, credentials, user, ca: self.ca.clone(), tls })
    }
}

/// Without passwords.
impl std::fmt::Debug for JetstreamOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JetstreamOptions")
            .field("servers", &self.servers())
            .field("credentials", &self.credentials)
            .field("ca", &self.ca)
            .finish()
    }
}

/// What a connection is made with.
#[derive(Clone)]
pub(super) struct Login {
    /// The servers that were named.
    pub(super) servers: Vec<ServerAddr>,
    credentials: Option<Credentials>,
    user: Option<User>,
    ca: Option<PathBuf>,
    tls: bool,
}

/// What an address says in front of the host.
#[derive(Clone)]
enum User {
    Password(String, String),
    /// A user without a password is a token.
    Token(String),
}

/// What a file of credentials says.
#[derive(Clone)]
struct Credentials {
    jwt: String,
    key: Arc<KeyPair>,
}

impl Credentials {
    fn parse(text: &str) -> Option<Credentials> {
        // The line behind the one that says what follows.
        let behind = |title: &str| {
            let mut lines = text.lines().map(str::trim);
            lines.find(|line| line.starts_with("---") && line.contains(title))?;
            lines.next()
        };
        let jwt = behind("BEGIN NATS USER JWT")?.to_owned();
        let key = KeyPair::from_seed(behind("BEGIN USER NKEY SEED")?).ok()?;
        Some(Credentials { jwt, key: Arc::new(key) })
    }
}

impl User {
    fn of(server: &ServerAddr) -> Option<User> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = decoded(server.username()?);
        Some(match server.password() {
            Some(password) => User::Password(user, decoded(password)),
            None => User::Token(user),
        })
    }
}

impl Login {
    /// The options of one connection: that which is made with them, and no other.
    ///
    /// A client that has lost its connection makes another by itself, and sends there what it was
    /// given before. This one is not let in: it would send what is sent again meanwhile, behind
    /// what follows, and when the server knows repeats no more.
    pub(super) fn options(&self, server: &ServerAddr) -> ConnectOptions {
        let (login, server) = (self.clone(), server.clone());
        let was_used = AtomicBool::new(false);
        let callback = move |nonce: Vec<u8>| {
            let auth = match was_used.swap(true, Ordering::Relaxed) {
                true => Err(AuthError::new("it was lost, and is made anew by another client")),
                false => login.auth(&server, &nonce),
            };
            std::future::ready(auth)
        };
        let options = ConnectOptions::with_auth_callback(callback)
            .name("babelmq")
            .ping_interval(PING)
            .connection_timeout(PATIENCE)
            .request_timeout(Some(PATIENCE))
            .client_capacity(COMMANDS)
            .require_tls(self.tls)
            .max_reconnects(1);
        match &self.ca {
            Some(ca) => options.add_root_certificates(ca.clone()),
            None => options,
        }
    }

    /// What is shown to a server. One that was not named, but is known of by another, is shown what
    /// the first one is that names a user.
    fn auth(&self, server: &ServerAddr, nonce: &[u8]) -> Result<Auth, AuthError> {
        let mut auth = Auth::new();
        if let Some(Credentials { jwt, key }) = &self.credentials {
            auth.jwt = Some(jwt.clone());
            auth.signature = Some(key.sign(nonce).map_err(AuthError::new)?);
            return Ok(auth);
        }
        match User::of(server).or_else(|| self.user.clone()) {
            Some(User::Password(user, password)) => {
                (auth.username, auth.password) = (Some(user), Some(password));
            }
            Some(User::Token(token)) => auth.token = Some(token),
            None => {}
        }
        Ok(auth)
    }
}

/// One server's address.
fn server(text: &str) -> Result<ServerAddr, String> {
    let server = ServerAddr::from_str(text).ok();
    server.filter(|server| ["nats", "tls"].contains(&server.scheme())).ok_or_else(|| {
        // A password would stand in front of the host.
        let shown = text.rsplit('@').next().unwrap_or_default();
        format!("{shown:?} is no server's address, as nats://HOST:4222 and tls://HOST:4222 are")
    })
}

/// An address without what is secret.
pub(super) fn shown(server: &ServerAddr) -> String {
    let host = server.host();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("{}://{host}:{}", server.scheme(), server.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let options = JetstreamOptions::new("tls://ada:secret@[::1]:1, b ,").unwrap();
        assert_eq!(options.servers(), "tls://[::1]:1, nats://b:4222");
        assert!(!format!("{options:?}").contains("secret"));
        let wrong = JetstreamOptions::new("ws://ada:secret@a").unwrap_err();
        assert!(!wrong.contains("secret") && wrong.contains("\"a\""), "{wrong}");
        assert!(JetstreamOptions::new(" ,").is_err());
    }

    #[test]
    fn a_file_that_is_missing_or_something_else_is_named() {
        let options = JetstreamOptions::new("nats://a").unwrap();
        let missing = options.clone().credentials("/nowhere/a.creds").read().err().unwrap();
        assert!(missing.contains("/nowhere/a.creds cannot be read"), "{missing}");
        let other = options.clone().credentials(file!()).read().err().unwrap();
        assert!(other.contains("no file of credentials"), "{other}");
        let empty = options.ca("/dev/null").read().err().unwrap();
        assert!(empty.contains("/dev/null has no certificate"), "{empty}");
    }
}
