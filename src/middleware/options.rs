//! What a program, or else the environment, says of a connection.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::address::{self, Address, DEFAULT_ADDRESS, Given, Place};
use super::connection::MAX_FRAME;
use super::error::QueueError;
use super::login::Login;
use super::pulse::SILENCE;
use super::secret::Secret;
#[cfg(feature = "tls")]
use super::trust::Trust;
use crate::protocol::Format;

/// How long to wait for a connection and for each answer, where nobody says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) address: Option<Given>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) token: Option<Secret>,
    pub(super) allow_plain_login: bool,
    pub(super) ca: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) timeout: Duration,
    pub(super) silence: Option<Duration>,
    pub(super) max_frame: u32,
    /// Whether the environment's login is for an address that was given as well.
    pub(super) environment_logs_in: bool,
}

/// Where a connection leads, and what it begins with.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(super) place: Place,
    /// What is read of TLS, where it is spoken.
    #[cfg(feature = "tls")]
    pub(super) trust: Option<Trust>,
    /// The `login` frame.
    pub(super) login: Option<Vec<u8>>,
    pub(super) allow_plain_login: bool,
    pub(super) timeout: Duration,
    pub(super) silence: Option<Duration>,
    pub(super) max_frame: u32,
}

/// Variables of the environment, by their names.
type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// As whom to log in, as far as it is known.
#[derive(Debug, Default)]
struct Who {
    user: Option<String>,
    password: Option<Secret>,
    token: Option<Secret>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            address: None,
            user: None,
            password: None,
            token: None,
            allow_plain_login: false,
            ca: None,
            cert: None,
            key: None,
            timeout: DEFAULT_TIMEOUT,
            silence: Some(SILENCE),
            max_frame: MAX_FRAME,
            environment_logs_in: false,
        }
    }
}

impl Options {
    /// What comes of it, for a client that begins in this format.
    ///
    /// # Errors
    /// [`QueueError::Options`].
    pub(super) fn destination(&self, format: Format) -> Result<Destination, QueueError> {
        self.destination_in(format, &|name| env::var_os(name))
    }

    /// The user for whom a password or a token is wanting.
    ///
    /// # Errors
    /// As for [`destination`](Self::destination).
    #[cfg(feature = "cli")]
    pub(super) fn lone_user(&self) -> Result<Option<String>, QueueError> {
        let environment: Environment<'_> = &|name| env::var_os(name);
        let address = self.address(environment)?;
        let who = self.who(&address, environment)?;
        let is_lone = who.password.is_none() && who.token.is_none();
        Ok(who.user.filter(|_| is_lone))
    }

    fn destination_in(
        &self,
        format: Format,
        environment: Environment<'_>,
    ) -> Result<Destination, QueueError> {
        let address = self.address(environment)?;
        let login = self.who(&address, environment)?.login()?;
        let place = address.place;
        self.check_tls(&place)?;
        let destination = Destination {
            #[cfg(feature = "tls")]
            trust: self.trust(&place, environment)?,
            place,
            login: login.map(|login| login.frame(format)).transpose()?,
            allow_plain_login: self.allow_plain_login,
            timeout: self.timeout,
            silence: self.silence,
            max_frame: self.max_frame,
        };
        // A name may turn out to be this machine's.
        if let Place::Tcp { host, .. } = &destination.place
            && let Ok(ip) = host.parse()
        {
            destination.check_login(ip)?;
        }
        Ok(destination)
    }

    fn address(&self, environment: Environment<'_>) -> Result<Address, QueueError> {
        let of_environment = match &self.address {
            Some(_) => None,
            None => variable("BABELMQ_ADDR", environment)?,
        };
        let source = if of_environment.is_some() { "BABELMQ_ADDR: " } else { "" };
        let given = self.address.as_ref().map(|given| given.0.as_str());
        let text = given.or(of_environment.as_deref()).unwrap_or(DEFAULT_ADDRESS);
        address::parse(text).map_err(|why| {
            let shown = address::shown(text);
            QueueError::Options(format!("{source}{shown:?} is not an address: {why}"))
        })
    }

    /// Of a login the environment completes what is wanting: not for an address that a program
    /// names, because it may have several brokers, and a password is for one.
    fn who(&self, address: &Address, environment: Environment<'_>) -> Result<Who, QueueError> {
        let mut who = Who {
            user: self.user.clone().or_else(|| address.user.clone()),
            password: self.password.clone().or_else(|| address.password.clone()),
            token: self.token.clone(),
        };
        if self.address.is_some() && !self.environment_logs_in {
            return Ok(who);
        }
        if who.password.is_none() && who.token.is_none() {
            who.password = variable("BABELMQ_PASSWORD", environment)?.map(Secret::new);
            // A user that was named has no token of somebody else.
            if who.user.is_none() {
                who.token = variable("BABELMQ_TOKEN", environment)?.map(Secret::new);
            }
        }
        if who.user.is_none() && who.token.is_none() {
            who.user = variable("BABELMQ_USER", environment)?;
        }
        Ok(who)
    }

    /// What is for TLS is not given for an address without it. The environment's files are for all
    /// connections of a process, so a plain one does not mind them.
    fn check_tls(&self, place: &Place) -> Result<(), QueueError> {
        if place.is_tls() {
            #[cfg(not(feature = "tls"))]
            return Err(QueueError::Options(format!(
                "{place} is for TLS, and this program was built without it; the feature \"tls\" \
                 of the crate babelmq brings it"
            )));
            #[cfg(feature = "tls")]
            return Ok(());
        }
        let files = [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)];
        let named: Vec<&str> =
            files.iter().filter(|(_, file)| file.is_some()).map(|(name, _)| *name).collect();
        if named.is_empty() {
            return Ok(());
        }
        let advice = match place {
            Place::Unix(_) => "a Unix socket has none".to_owned(),
            Place::Tcp { .. } => format!("with TLS it is babelmqs://{place}"),
        };
        let named = named.join(", ");
        Err(QueueError::Options(format!(
            "{named} is for TLS, and the address {place} is without it; {advice}"
        )))
    }

    #[cfg(feature = "tls")]
    fn trust(
        &self,
        place: &Place,
        environment: Environment<'_>,
    ) -> Result<Option<Trust>, QueueError> {
        let Place::Tcp { host, tls: true, .. } = place else { return Ok(None) };
        let file = |name| {
            environment(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from)
        };
        let ca = self.ca.clone().or_else(|| file("BABELMQ_CA"));
        // A pair: what is given of it is not completed by the environment.
        let (cert, key) = match (&self.cert, &self.key) {
            (None, None) => (file("BABELMQ_CERT"), file("BABELMQ_KEY")),
            given => (given.0.clone(), given.1.clone()),
        };
        let client = match (&cert, &key) {
            (Some(cert), key) => Some((cert.as_path(), key.as_ref().unwrap_or(cert).as_path())),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(QueueError::Options(
                    "a key (key or BABELMQ_KEY) needs its certificate, cert or BABELMQ_CERT".into(),
                ));
            }
        };
        Trust::new(host, ca.as_deref(), client).map(Some)
    }
}

/// A variable that says something.
fn variable(name: &str, environment: Environment<'_>) -> Result<Option<String>, QueueError> {
    match environment(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Err(_)) => Err(QueueError::Options(format!("{name} is not UTF-8"))),
    }
}

impl Who {
    fn login(self) -> Result<Option<Login>, QueueError> {
        let wrong = |what: String| Err(QueueError::Options(what));
        match (self.user, self.password, self.token) {
            (None, None, None) => Ok(None),
            (Some(user), Some(password), None) => Ok(Some(Login::Password { user, password })),
            (None, None, Some(token)) => Ok(Some(Login::Token(token))),
            (Some(user), None, None) => wrong(format!(
                "the user {user:?} has neither a password (password or BABELMQ_PASSWORD) nor a \
                 token in the place of both (token or BABELMQ_TOKEN)"
            )),
            (None, Some(_), None) => {
                wrong("a password needs its user (user or BABELMQ_USER)".into())
            }
            (_, Some(_), Some(_)) => {
                wrong("a login has a password or a token, and not both; leave one out".into())
            }
            (Some(_), None, Some(_)) => {
                wrong("a token says by itself who logs in; leave the user out".into())
            }
        }
    }
}

/// The address, without a user.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Destination {
    /// Whether a password or a token may go to this address.
    ///
    /// # Errors
    /// [`QueueError::Options`] where everybody on the way could read it.
    pub(super) fn check_login(&self, ip: IpAddr) -> Result<(), QueueError> {
        let is_safe = self.place.is_tls() || ip.to_canonical().is_loopback();
        if self.login.is_none() || self.allow_plain_login || is_safe {
            return Ok(());
        }
        let place = &self.place;
        Err(QueueError::Options(format!(
            "the login for {place} would cross the network in plain, for everybody on the way to \
             read; with TLS the address is babelmqs://{place} (allow_plain_login sends it all the \
             same)"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        set: impl FnOnce(&mut Options),
        environment: &[(&str, &str)],
    ) -> Result<Destination, String> {
        let mut options = Options::default();
        set(&mut options);
        let variable = |name: &str| {
            environment.iter().find(|(is, _)| *is == name).map(|(_, value)| OsString::from(value))
        };
        options.destination_in(Format::Json, &variable).map_err(|error| error.to_string())
    }

    /// The `login` frame that comes of it, as text.
    fn login(set: impl FnOnce(&mut Options), environment: &[(&str, &str)]) -> String {
        let frame = of(set, environment).unwrap().login.unwrap_or_default();
        String::from_utf8_lossy(frame.get(5..).unwrap_or_default()).into_owned()
    }

    fn address(text: &str) -> impl FnOnce(&mut Options) {
        move |options| options.address = Some(Given(text.into()))
    }

    const ADA: &str = r#"{"command":"login","user":"ada","password":"secret"}"#;
    const TOKEN: &str = r#"{"command":"login","token":"secret"}"#;

    #[test]
    fn the_address_is_the_given_one_else_the_environments_else_the_usual_one() {
        let environment = [("BABELMQ_ADDR", "babelmq://other:7")];
        let place = |found: Result<Destination, String>| found.unwrap().to_string();
        assert_eq!(place(of(address("h:7"), &environment)), "h:7");
        assert_eq!(place(of(|_| {}, &environment)), "other:7");
        assert_eq!(place(of(|_| {}, &[("BABELMQ_ADDR", "")])), DEFAULT_ADDRESS);
        assert_eq!(place(of(|_| {}, &[])), DEFAULT_ADDRESS);
        let error = of(|_| {}, &[("BABELMQ_ADDR", "babelmq://a:secret@h/x")]).unwrap_err();
        assert!(error.starts_with("BABELMQ_ADDR: \"babelmq://…@h/x\" is not an address: it has a"));
    }

    #[test]
    fn a_login_is_given_by_the_program_the_address_or_the_environment() {
        let user = |options: &mut Options| options.user = Some("ada".into());
        let secret = || Some(Secret::new("secret".into()));
        let (ada, password) = (("BABELMQ_USER", "ada"), ("BABELMQ_PASSWORD", "secret"));
        let token = ("BABELMQ_TOKEN", "secret");
        assert_eq!(login(|_| {}, &[]), "");
        assert_eq!(login(|_| {}, &[ada, password]), ADA);
        assert_eq!(login(|_| {}, &[token]), TOKEN);
        assert_eq!(login(|_| {}, &[("BABELMQ_USER", "bob"), token]), TOKEN);
        assert_eq!(login(|_| {}, &[("BABELMQ_ADDR", "babelmq://ada:secret@[::1]")]), ADA);
        assert_eq!(login(|_| {}, &[("BABELMQ_ADDR", "babelmq://ada@[::1]"), password, token]), ADA);
        assert_eq!(login(user, &[("BABELMQ_USER", "bob"), password]), ADA);
        assert_eq!(login(address("babelmq://ada:secret@127.0.0.1"), &[token]), ADA);
        let given = |options: &mut Options| options.token = secret();
        assert_eq!(login(given, &[ada, password]), TOKEN);
        let given = |options: &mut Options| {
            (options.user, options.password) = (Some("ada".into()), secret());
        };
        assert_eq!(login(given, &[("BABELMQ_PASSWORD", "other"), token]), ADA);
    }

    /// The password of one broker is nothing that another is told.
    #[test]
    fn the_environments_login_is_not_for_an_address_that_a_program_names() {
        let (user, password) = (("BABELMQ_USER", "ada"), ("BABELMQ_PASSWORD", "secret"));
        assert_eq!(login(address("127.0.0.1:7"), &[user, password]), "");
        assert_eq!(login(address("127.0.0.1:7"), &[("BABELMQ_TOKEN", "secret")]), "");
        let error = of(address("babelmq://ada@127.0.0.1"), &[password]).unwrap_err();
        assert!(error.contains("has neither a password"), "{error}");
        let command = |options: &mut Options| {
            address("babelmq://ada@127.0.0.1")(options);
            options.environment_logs_in = true;
        };
        assert_eq!(login(command, &[password]), ADA);
    }

    #[test]
    fn a_login_that_cannot_be_says_why() {
        let (user, password) = (("BABELMQ_USER", "ada"), ("BABELMQ_PASSWORD", "secret"));
        let token = ("BABELMQ_TOKEN", "secret");
        let set = |who: [bool; 3]| {
            move |options: &mut Options| {
                let secret = || Secret::new("secret".into());
                options.user = who[0].then(|| "ada".into());
                options.password = who[1].then(secret);
                options.token = who[2].then(secret);
            }
        };
        for (who, environment, says) in [
            ([true, false, false], &[][..], "the user \"ada\" has neither a password"),
            ([false; 3], &[user], "the user \"ada\" has neither a password"),
            ([false, true, false], &[], "a password needs its user"),
            ([false; 3], &[password], "a password needs its user"),
            ([true, true, true], &[], "a password or a token, and not both"),
            ([false; 3], &[password, token], "a password or a token, and not both"),
            ([true, false, true], &[], "leave the user out"),
        ] {
            let error = of(set(who), environment).unwrap_err();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_login_does_not_cross_a_network_in_plain_unless_that_is_asked_for() {
        for (text, is_allowed) in [
            ("babelmq://ada:secret@127.0.0.1", true),
            ("babelmq://ada:secret@127.1.2.3:7", true),
            ("babelmq://ada:secret@[::1]", true),
            ("babelmq://ada:secret@[::ffff:127.0.0.1]", true),
            ("babelmq://ada:secret@192.0.2.1", false),
            ("babelmq://ada:secret@[2001:db8::1]", false),
            ("babelmq://ada:secret@0.0.0.0", false),
        ] {
            let found = of(address(text), &[]);
            assert_eq!(found.is_ok(), is_allowed, "{text}");
            if let Err(error) = found {
                assert!(error.contains("with TLS the address is babelmqs://"), "{error}");
                assert!(error.contains("allow_plain_login"), "{error}");
                assert!(!error.contains("secret") && !error.contains("ada"), "{error}");
            }
            let asked_for = of(
                |options| {
                    address(text)(options);
                    options.allow_plain_login = true;
                },
                &[],
            );
            assert!(asked_for.is_ok(), "{text}");
        }
        assert!(of(address("192.0.2.1:7"), &[]).is_ok(), "there is no login");
        // Where a name leads is known when it is looked up.
        let named = of(address("babelmq://ada:secret@broker.example"), &[]).unwrap();
        assert!(named.check_login([127, 0, 0, 1].into()).is_ok());
        assert!(named.check_login([192, 0, 2, 1].into()).is_err());
    }

    #[test]
    fn nothing_shows_a_password() {
        let mut options = Options::default();
        address("babelmq://ada:secret@h")(&mut options);
        options.password = Some(Secret::new("secret".into()));
        options.token = Some(Secret::new("secret".into()));
        assert!(!format!("{options:?}").contains("secret"), "{options:?}");
        let found = of(address("babelmq://ada:secret@[::1]"), &[]).unwrap();
        assert!(!format!("{found:?} {found}").contains("secret"), "{found:?}");
        let bytes = format!("{:?}", b"secret");
        assert!(!format!("{found:?}").contains(bytes.trim_matches(['[', ']'])), "{found:?}");
    }

    #[test]
    fn files_for_tls_are_for_tls() {
        for (text, says) in [
            ("h:7", "with TLS it is babelmqs://h:7"),
            ("babelmq://h", "with TLS it is babelmqs://h:5000"),
            ("unix:/b.sock", "a Unix socket has none"),
        ] {
            for name in ["ca", "cert", "key"] {
                let error = of(
                    |options| {
                        address(text)(options);
                        let file = match name {
                            "ca" => &mut options.ca,
                            "cert" => &mut options.cert,
                            _ => &mut options.key,
                        };
                        *file = Some("file.pem".into());
                    },
                    &[],
                );
                let error = error.unwrap_err();
                assert!(error.contains(&format!("{name} is for TLS")), "{error}");
                assert!(error.contains(says), "{error}");
            }
            let environment = [("BABELMQ_CA", "no"), ("BABELMQ_CERT", "no"), ("BABELMQ_KEY", "no")];
            assert!(of(address(text), &environment).is_ok(), "{text}");
        }
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn tls_is_refused_where_it_was_left_out() {
        let error = of(address("babelmqs://h"), &[]).unwrap_err();
        assert!(error.contains("the feature \"tls\" of the crate babelmq"), "{error}");
    }
}
