//! Where a broker is: `HOST:PORT`, or a URL.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::secret::Secret;

/// Where a broker is looked for when nothing says where.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:5000";
/// The port of a URL that names none.
const DEFAULT_PORT: u16 = 5000;
/// Characters that no name of a host has.
const NOT_IN_A_HOST: &str = "%\\<>\"'^`{|}[],;&=+$!*()";
/// Bytes that the name of a host and one of its labels may have (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Where a broker is, and whether it speaks TLS there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// A place, and as whom to log in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
}

/// An address as a program gave it, which may hold a password.
#[derive(Clone)]
pub(super) struct Given(pub(super) String);

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&shown(&self.0), f)
    }
}

impl Place {
    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Place::Tcp { tls: true, .. })
    }
}

/// As it is read, without what could be left out.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp { host, port, tls } => {
                let scheme = if *tls { "babelmqs://" } else { "" };
                match host.contains(':') {
                    true => write!(f, "{scheme}[{host}]:{port}"),
                    false => write!(f, "{scheme}{host}:{port}"),
                }
            }
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Reads an address.
///
/// # Errors
/// Why it is none, without what may be a password.
pub(super) fn parse(text: &str) -> Result<Address, String> {
    let at = |place| Address { place, user: None, password: None };
    if text.starts_with("unix:/") || text.starts_with("unix:.") {
        return unix(&text["unix:".len()..]).map(at);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return url(scheme, rest);
    }
    if text.contains('@') {
        return Err("a user is named in a URL, as in babelmq://user@127.0.0.1".into());
    }
    let found = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) =
        found.ok_or_else(|| format!("one looks like {DEFAULT_ADDRESS} or babelmq://127.0.0.1"))?;
    let host = match host.trim_matches(['[', ']']) {
        "" => "127.0.0.1",
        host => host,
    };
    Ok(at(Place::Tcp { host: host.to_owned(), port, tls: false }))
}

/// Whether an address holds a password, be it an address or not.
#[cfg(feature = "cli")]
pub(crate) fn holds_password(text: &str) -> bool {
    let login = text.rsplit_once('@').map(|(login, _)| login);
    login.is_some_and(|login| login.split_once("://").map_or(login, |(_, rest)| rest).contains(':'))
}

/// An address without a user and a password, for errors end up in logs.
pub(super) fn shown(text: &str) -> String {
    let Some((login, host)) = text.rsplit_once('@') else { return text.to_owned() };
    match login.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://…@{host}"),
        None => format!("…@{host}"),
    }
}

fn url(scheme: &str, rest: &str) -> Result<Address, String> {
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "babelmq" => false,
        "babelmqs" => true,
        _ => {
            return Err(format!(
                "the scheme {scheme:?} is unknown; it is babelmq://, babelmqs:// for TLS, or \
                 unix:/path"
            ));
        }
    };
    let (login, authority) = match rest.rsplit_once('@') {
        Some((login, authority)) => (Some(login), authority),
        None => (None, rest),
    };
    for (mark, name) in [('#', "fragment"), ('?', "query"), ('/', "path")] {
        if let Some(at) = authority.find(mark) {
            let part = &authority[at..];
            return Err(format!(
                "it has a {name}, {part:?}, and an address has none; leave that out"
            ));
        }
    }
    let (user, password) = login.map(user_and_password).transpose()?.unwrap_or_default();
    let (host, port) = host_and_port(authority)?;
    Ok(Address { place: Place::Tcp { host, port, tls }, user, password })
}

fn user_and_password(login: &str) -> Result<(Option<String>, Option<Secret>), String> {
    if login.contains(['/', '?', '#', '@']) {
        return Err("the user or the password has a '/', '?', '#' or '@', which in a URL is \
                    written %2F, %3F, %23 or %40"
            .into());
    }
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let user = decoded(user, "user")?;
    if user.is_empty() {
        return Err("the user before the '@' is empty".into());
    }
    let password = password.map(|password| decoded(password, "password")).transpose()?;
    Ok((Some(user), password.map(Secret::new)))
}

/// Text with its percent signs decoded; none of it is in the error.
fn decoded(text: &str, what: &str) -> Result<String, String> {
    let is_byte = |after: &str| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_byte) {
        return Err(format!(
            "the {what} has a '%' without two hexadecimal digits behind it; '%' itself is written \
             %25"
        ));
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(format!("the {what} is not UTF-8 when its percent signs are decoded")),
    }
}

fn host_and_port(authority: &str) -> Result<(String, u16), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => bracketed(rest).ok_or_else(|| {
            format!("{authority:?} is not an IPv6 address in brackets, as in [::1]:{DEFAULT_PORT}")
        })?,
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(format!("an IPv6 address is in brackets, as in [::1]:{DEFAULT_PORT}"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("it names no host; one looks like babelmq://127.0.0.1".into());
    }
    if !host.contains(':') && !is_name(host) {
        return Err(format!("{host:?} is not the name of a host"));
    }
    let Some(digits) = port else { return Ok((host.to_owned(), DEFAULT_PORT)) };
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    match digits.parse() {
        Ok(port) if is_number && port > 0 => Ok((host.to_owned(), port)),
        _ => Err(format!(
            "the port {digits:?} is not a number from 1 to 65535; without ':' it is {DEFAULT_PORT}"
        )),
    }
}

/// What follows a bracket: an IPv6 address, and the port behind it where there is one.
fn bracketed(rest: &str) -> Option<(&str, Option<&str>)> {
    let (inside, behind) = rest.split_once(']')?;
    inside.parse::<Ipv6Addr>().ok()?;
    match behind {
        "" => Some((inside, None)),
        _ => Some((inside, Some(behind.strip_prefix(':')?))),
    }
}

/// Whether a name can be looked up: what cannot is said at once, and not tried for ever. One in
/// other letters than ASCII's is written as its registry has it, `xn--…`.
fn is_name(host: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_graphic() && !NOT_IN_A_HOST.contains(letter);
    let labels = host.strip_suffix('.').unwrap_or(host);
    labels.len() <= LONGEST_NAME
        && labels.split('.').all(|label| (1..=LONGEST_LABEL).contains(&label.len()))
        && host.chars().all(is_letter)
}

fn unix(path: &str) -> Result<Place, String> {
    // As a broker's --listen does, it takes unix:///path too.
    let path = path.strip_prefix("//").unwrap_or(path);
    if !path.starts_with('/') {
        return Err(
            "the path of a Unix socket begins with '/', as in unix:/run/babelmq.sock".to_owned()
        );
    }
    if path.contains(['?', '#', '\0']) {
        return Err("a path is all that follows 'unix:', without '?', '#' and null bytes".into());
    }
    Ok(Place::Unix(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, tls: bool) -> Place {
        Place::Tcp { host: host.into(), port, tls }
    }

    #[test]
    fn addresses_are_read() {
        for (text, place) in [
            ("babelmq://h:7", tcp("h", 7, false)),
            ("babelmq://h", tcp("h", 5000, false)),
            ("babelmqs://h:7", tcp("h", 7, true)),
            ("babelmqs://h", tcp("h", 5000, true)),
            ("BabelMQs://h", tcp("h", 5000, true)),
            ("babelmq://[::1]:7", tcp("::1", 7, false)),
            ("babelmqs://[::1]", tcp("::1", 5000, true)),
            ("babelmq://127.0.0.1:1", tcp("127.0.0.1", 1, false)),
            ("babelmq://h.example.", tcp("h.example.", 5000, false)),
            ("unix:/run/b.sock", Place::Unix("/run/b.sock".into())),
            ("unix:///run/b.sock", Place::Unix("/run/b.sock".into())),
            ("h:7", tcp("h", 7, false)),
            ("unix:7", tcp("unix", 7, false)),
            ("[::1]:7", tcp("::1", 7, false)),
            ("::1:7", tcp("::1", 7, false)),
            (":7", tcp("127.0.0.1", 7, false)),
        ] {
            assert_eq!(parse(text).map(|address| address.place), Ok(place), "{text}");
        }
    }

    #[test]
    fn a_place_is_written_as_it_is_read() {
        for text in ["h:7", "babelmqs://h:7", "[::1]:7", "babelmqs://[::1]:5000", "unix:/b"] {
            assert_eq!(parse(text).unwrap().place.to_string(), text);
        }
        let address = parse("babelmq://ada:secret@h").unwrap();
        assert_eq!(address.place.to_string(), "h:5000");
    }

    #[test]
    fn users_and_passwords_are_decoded() {
        for (text, user, password) in [
            ("babelmq://ada@h", "ada", None),
            ("babelmqs://ada:secret@h:7", "ada", Some("secret")),
            ("babelmq://ada:@h", "ada", Some("")),
            ("babelmq://a%40b:%3A%2f%25%20+:x@[::1]", "a@b", Some(":/% +:x")),
            ("babelmq://%C3%BC:%e2%82%ac@h", "ü", Some("€")),
            ("babelmq://ü:€@h", "ü", Some("€")),
        ] {
            let address = parse(text).unwrap();
            assert_eq!(address.user.as_deref(), Some(user), "{text}");
            assert_eq!(address.password, password.map(|text| Secret::new(text.into())), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_says_why_and_no_password() {
        for (text, says) in [
            ("user:secret@h:7", "a user is named in a URL"),
            ("babelmq://user:se/cret@h:7", "written %2F"),
            ("babelmq://user:se?cret#@h:7", "written %2F"),
            ("babelmq://user:se@cret@h:7", "written %2F"),
            ("babelmq://user:%secret@h:7", "the password has a '%' without two"),
            ("babelmq://user:secret%2@h:7", "the password has a '%' without two"),
            ("babelmq://%secret:x@h:7", "the user has a '%' without two"),
            ("babelmq://user:%FFsecret@h:7", "the password is not UTF-8"),
            ("babelmq://:secret@h:7", "the user before the '@' is empty"),
            ("babelmq://user:secret@h/x", "it has a path, \"/x\""),
            ("babelmq://user:secret@", "it names no host"),
            ("babelmq://h/topic", "it has a path, \"/topic\""),
            ("babelmq://h:7/", "it has a path, \"/\""),
            ("babelmq://h?tls=1", "it has a query, \"?tls=1\""),
            ("babelmq://h/a?b", "leave that out"),
            ("babelmq://h#there", "it has a fragment, \"#there\""),
            ("http://h:7", "the scheme \"http\" is unknown; it is babelmq://, babelmqs:// for TLS"),
            ("tls://h:7", "the scheme \"tls\" is unknown"),
            ("://h:7", "the scheme \"\" is unknown"),
            ("babelmq://", "it names no host"),
            ("babelmq://:7", "it names no host"),
            ("babelmq://h:", "the port \"\" is not a number from 1 to 65535"),
            ("babelmq://h:0", "the port \"0\""),
            ("babelmq://h:65536", "the port \"65536\""),
            ("babelmq://h:x", "the port \"x\""),
            ("babelmq://h:+7", "the port \"+7\""),
            ("babelmq://::1", "an IPv6 address is in brackets"),
            ("babelmq://::1:7", "an IPv6 address is in brackets"),
            ("babelmq://[::1", "is not an IPv6 address in brackets"),
            ("babelmq://[h]:7", "is not an IPv6 address in brackets"),
            ("babelmq://[::1]7", "is not an IPv6 address in brackets"),
            ("babelmq://a b", "\"a b\" is not the name of a host"),
            ("babelmq://a%20b", "\"a%20b\" is not the name of a host"),
            ("babelmq://a..b", "\"a..b\" is not the name of a host"),
            ("babelmq://ü", "\"ü\" is not the name of a host"),
            ("unix:run/b.sock:", "one looks like 127.0.0.1:5000"),
            ("unix:./b.sock", "begins with '/'"),
            ("unix://b.sock", "begins with '/', as in unix:/run/babelmq.sock"),
            ("unix:/run/b.sock?mode=600", "a path is all that follows 'unix:'"),
            ("host", "one looks like 127.0.0.1:5000 or babelmq://127.0.0.1"),
            ("babelmq:h:x", "one looks like"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("cret") && !shown(text).contains("cret"), "{text}: {error}");
            assert!(!format!("{:?}", Given(text.into())).contains("cret"), "{text}");
        }
        let long = format!("babelmq://{}", "a".repeat(64));
        assert!(parse(&long).unwrap_err().contains("is not the name of a host"));
    }

    #[test]
    #[cfg(feature = "cli")]
    fn a_password_in_an_address_is_noticed() {
        for (text, is) in [
            ("babelmq://ada:secret@h:7", true),
            ("ada:secret@h", true),
            ("babelmq://ada:@h", true),
            ("babelmq://ada:a/@@h", true),
            ("babelmq://ada@h:7", false),
            ("babelmq://h:7", false),
            ("h:7", false),
        ] {
            assert_eq!(holds_password(text), is, "{text}");
        }
    }
}
