//! Where a broker listens.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use crate::wire::MqttFormat;

/// Permissions of a Unix socket where nothing else is said: its owner and their group may connect.
const DEFAULT_MODE: u32 = 0o660;
/// All permissions that there are.
pub(super) const LARGEST_MODE: u32 = 0o777;

/// Where a broker listens, as a URL: `tcp://127.0.0.1:5000`, for which `127.0.0.1:5000` is short,
/// or with a name `localhost:5000`; `tls://0.0.0.0:5000`, where other machines can connect;
/// `unix:/run/babelmq.sock`, or with permissions in octal `unix:/run/babelmq.sock?mode=600`;
/// `http://127.0.0.1:8080` and `https://0.0.0.0:8443`, for what speaks HTTP; or
/// `mqtt://127.0.0.1:1883` and `mqtts://0.0.0.0:8883`, for what speaks MQTT, which may say what its
/// payloads are: `mqtt://127.0.0.1:1883?format=json`.
///
/// ```
/// use babelmq::ListenUrl;
///
/// let tcp: ListenUrl = "tcp://127.0.0.1:5000".parse()?;
/// assert_eq!(tcp.to_string(), "127.0.0.1:5000");
/// let unix: ListenUrl = "unix:/run/babelmq.sock".parse()?;
/// assert_eq!(unix, ListenUrl::Unix { path: "/run/babelmq.sock".into(), mode: 0o660 });
/// assert!("unix:babelmq.sock".parse::<ListenUrl>().is_err());
/// # Ok::<(), babelmq::ParseListenUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenUrl {
    /// An address and a port; port 0 takes any that is free.
    Tcp(SocketAddr),
    /// The same, for clients that speak TLS.
    Tls(SocketAddr),
    /// The same, for clients that speak HTTP, or WebSocket.
    Http(SocketAddr),
    /// The same, for clients that speak HTTP, or WebSocket, over TLS.
    Https(SocketAddr),
    /// The same, for clients that speak MQTT, and what their payloads are.
    Mqtt(SocketAddr, MqttFormat),
    /// The same, for clients that speak MQTT over TLS.
    Mqtts(SocketAddr, MqttFormat),
    /// A name and a port: all addresses that the name has when the broker starts.
    Host {
        /// The name.
        name: String,
        /// The port; 0 takes any that is free, another one for each address.
        port: u16,
        /// What clients speak there.
        scheme: ListenScheme,
    },
    /// A Unix socket, for clients on the same machine.
    Unix {
        /// Where it lies. A socket that an earlier broker has left there is replaced; one that
        /// somebody listens on, or any other file, is not.
        path: PathBuf,
        /// The users that may connect, as permissions of the file.
        mode: u32,
    },
}

/// What clients speak where a broker listens on an address.
///
/// ```
/// use babelmq::{ListenScheme, ListenUrl};
///
/// let url: ListenUrl = "https://localhost:8443".parse()?;
/// let ListenUrl::Host { scheme, .. } = url else { panic!("localhost is a name") };
/// assert_eq!((scheme, scheme.name()), (ListenScheme::Https, "https"));
/// # Ok::<(), babelmq::ParseListenUrlError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenScheme {
    /// The broker's own protocol.
    Tcp,
    /// The same over TLS.
    Tls,
    /// HTTP, and WebSocket.
    Http,
    /// The same over TLS.
    Https,
    /// MQTT 3.1.1 and 5, and what payloads are.
    Mqtt(MqttFormat),
    /// The same over TLS.
    Mqtts(MqttFormat),
}

impl ListenScheme {
    const ALL: [ListenScheme; 6] = [
        ListenScheme::Tcp,
        ListenScheme::Tls,
        ListenScheme::Http,
        ListenScheme::Https,
        ListenScheme::Mqtt(MqttFormat::Auto),
        ListenScheme::Mqtts(MqttFormat::Auto),
    ];

    /// The scheme as URLs have it.
    pub fn name(self) -> &'static str {
        match self {
            ListenScheme::Tcp => "tcp",
            ListenScheme::Tls => "tls",
            ListenScheme::Http => "http",
            ListenScheme::Https => "https",
            ListenScheme::Mqtt(_) => "mqtt",
            ListenScheme::Mqtts(_) => "mqtts",
        }
    }

    /// What payloads are, where MQTT is spoken.
    fn format(self) -> Option<MqttFormat> {
        match self {
            ListenScheme::Mqtt(format) | ListenScheme::Mqtts(format) => Some(format),
            _ => None,
        }
    }

    /// The same with other payloads; `None` where MQTT is not spoken.
    fn with_format(self, format: MqttFormat) -> Option<ListenScheme> {
        match self {
            ListenScheme::Mqtt(_) => Some(ListenScheme::Mqtt(format)),
            ListenScheme::Mqtts(_) => Some(ListenScheme::Mqtts(format)),
            _ => None,
        }
    }
}

/// Why a text does not say where to listen. What it is of the text that does not is in the variant.
///
/// ```
/// use babelmq::{ListenUrl, ParseListenUrlError};
///
/// let error = "ftp://127.0.0.1:21".parse::<ListenUrl>().unwrap_err();
/// assert_eq!(error, ParseListenUrlError::Scheme("ftp".into()));
/// assert!(error.to_string().contains("there are tcp://HOST:PORT, tls://HOST:PORT, http:"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseListenUrlError {
    /// It has a scheme that no listener speaks.
    #[error(
        "{0}:// is no scheme that can be listened on; there are tcp://HOST:PORT, tls://HOST:PORT, \
         http://HOST:PORT, https://HOST:PORT, mqtt://HOST:PORT, mqtts://HOST:PORT and unix:/PATH"
    )]
    Scheme(String),
    /// Its address is none.
    #[error(
        "{0:?} is no address to listen on; it is a number or a name, and a port, as in \
         127.0.0.1:5000, [::1]:5000 or localhost:5000"
    )]
    Address(String),
    /// It is beyond this machine, and does not say in which protocol.
    #[error(
        "{0} can be reached from other machines, so it says how: tls://{0}, or tcp://{0} for plain \
         text"
    )]
    Bare(String),
    /// Its path is relative: that would depend on where the broker was started.
    #[error(
        "the path of a Unix socket begins with a slash, as in unix:/run/babelmq.sock, and {0:?} \
         does not"
    )]
    Path(String),
    /// It sets what cannot be set there.
    #[error("{0:?} cannot be set of a Unix socket; there is mode, in octal, as in ?mode=660")]
    Option(String),
    /// It sets what cannot be set of a listener for MQTT.
    #[error(
        "{0:?} cannot be set of a listener for MQTT; there is format, as in ?format=json, and it is \
         auto, json, xml, pickle, text or bytes"
    )]
    MqttOption(String),
}

impl From<SocketAddr> for ListenUrl {
    fn from(address: SocketAddr) -> ListenUrl {
        ListenUrl::Tcp(address)
    }
}

impl FromStr for ListenUrl {
    type Err = ParseListenUrlError;

    fn from_str(text: &str) -> Result<ListenUrl, ParseListenUrlError> {
        if let Some(rest) = text.strip_prefix("unix:") {
            return unix(rest.strip_prefix("//").unwrap_or(rest));
        }
        let (scheme, address) = match text.split_once("://") {
            Some((name, address)) => {
                let scheme = ListenScheme::ALL.into_iter().find(|scheme| scheme.name() == name);
                (scheme.ok_or_else(|| ParseListenUrlError::Scheme(name.to_owned()))?, address)
            }
            None => (ListenScheme::Tcp, text),
        };
        let (address, scheme) = match address.split_once('?') {
            Some((address, options)) if scheme.format().is_some() => {
                (address, mqtt(scheme, options)?)
            }
            _ => (address, scheme),
        };
        let url = address.parse().ok().map(|address| ListenUrl::at(address, scheme));
        let url = url
            .or_else(|| host(address, scheme))
            .ok_or_else(|| ParseListenUrlError::Address(address.to_owned()))?;
        if address.len() == text.len() && !url.is_of_this_machine() {
            return Err(ParseListenUrlError::Bare(text.to_owned()));
        }
        Ok(url)
    }
}

impl ListenUrl {
    pub(super) fn at(address: SocketAddr, scheme: ListenScheme) -> ListenUrl {
        match scheme {
            ListenScheme::Tcp => ListenUrl::Tcp(address),
            ListenScheme::Tls => ListenUrl::Tls(address),
            ListenScheme::Http => ListenUrl::Http(address),
            ListenScheme::Https => ListenUrl::Https(address),
            ListenScheme::Mqtt(format) => ListenUrl::Mqtt(address, format),
            ListenScheme::Mqtts(format) => ListenUrl::Mqtts(address, format),
        }
    }

    /// What clients speak there; over a Unix socket the broker's own protocol.
    fn scheme(&self) -> ListenScheme {
        match self {
            ListenUrl::Tcp(_) | ListenUrl::Unix { .. } => ListenScheme::Tcp,
            ListenUrl::Tls(_) => ListenScheme::Tls,
            ListenUrl::Http(_) => ListenScheme::Http,
            ListenUrl::Https(_) => ListenScheme::Https,
            ListenUrl::Mqtt(_, format) => ListenScheme::Mqtt(*format),
            ListenUrl::Mqtts(_, format) => ListenScheme::Mqtts(*format),
            ListenUrl::Host { scheme, .. } => *scheme,
        }
    }

    /// What a connection there speaks first, in a word.
    pub(super) fn protocol(&self) -> &'static str {
        match self {
            ListenUrl::Unix { .. } => "unix",
            _ if self.is_http() => "http",
            _ if self.mqtt().is_some() => "mqtt",
            _ => self.scheme().name(),
        }
    }

    /// The URL with its scheme, which is not written where there is no other way to read it.
    pub(super) fn with_scheme(&self) -> String {
        let text = self.to_string();
        match self {
            ListenUrl::Unix { .. } => text,
            _ if text.contains("://") => text,
            _ => format!("{}://{text}", self.scheme().name()),
        }
    }

    /// Its address, where it has a number.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            ListenUrl::Tcp(address)
            | ListenUrl::Tls(address)
            | ListenUrl::Http(address)
            | ListenUrl::Https(address)
            | ListenUrl::Mqtt(address, _)
            | ListenUrl::Mqtts(address, _) => Some(*address),
            ListenUrl::Host { .. } | ListenUrl::Unix { .. } => None,
        }
    }

    /// The same with another address.
    #[cfg_attr(shuttle, allow(dead_code, reason = "models listen nowhere"))]
    pub(super) fn with_address(&self, address: SocketAddr) -> ListenUrl {
        ListenUrl::at(address, self.scheme())
    }

    /// Whether only clients on this machine can connect, as far as the URL says.
    pub(super) fn is_of_this_machine(&self) -> bool {
        match self {
            ListenUrl::Host { name, .. } => name == "localhost",
            ListenUrl::Unix { .. } => true,
            _ => self.address().is_some_and(|address| address.ip().to_canonical().is_loopback()),
        }
    }

    /// Whether clients speak TLS there.
    pub(super) fn is_tls(&self) -> bool {
        let scheme = self.scheme();
        matches!(scheme, ListenScheme::Tls | ListenScheme::Https | ListenScheme::Mqtts(_))
    }

    /// What payloads are, where clients speak MQTT.
    pub(crate) fn mqtt(&self) -> Option<MqttFormat> {
        self.scheme().format()
    }

    /// Whether clients speak HTTP there.
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.scheme(), ListenScheme::Http | ListenScheme::Https)
    }

    /// The same in addresses that can be listened on: one for each that a name has.
    ///
    /// # Errors
    /// Any error of the system of the name.
    pub(super) fn resolve(&self) -> io::Result<Vec<ListenUrl>> {
        let ListenUrl::Host { name, port, scheme } = self else { return Ok(vec![self.clone()]) };
        let mut found: Vec<ListenUrl> = Vec::new();
        for address in (name.as_str(), *port).to_socket_addrs()? {
            // A name may be told twice, once for each kind of socket.
            let url = ListenUrl::at(address, *scheme);
            if !found.contains(&url) {
                found.push(url);
            }
        }
        Ok(found)
    }
}

/// A name and a port.
fn host(text: &str, scheme: ListenScheme) -> Option<ListenUrl> {
    let (name, port) = text.rsplit_once(':')?;
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_digits = !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
    let is_name = !name.is_empty() && name.bytes().all(is_letter);
    // Numbers alone are an address that is none, such as 127.0.0.256.
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let port = port.parse().ok().filter(|_| is_digits && is_name && !is_number)?;
    Some(ListenUrl::Host { name: name.to_owned(), port, scheme })
}

/// The scheme with what its URL says of payloads.
fn mqtt(scheme: ListenScheme, options: &str) -> Result<ListenScheme, ParseListenUrlError> {
    let said = options.strip_prefix("format=").and_then(MqttFormat::from_name);
    let scheme = said.and_then(|format| scheme.with_format(format));
    scheme.ok_or_else(|| ParseListenUrlError::MqttOption(options.to_owned()))
}

fn unix(text: &str) -> Result<ListenUrl, ParseListenUrlError> {
    let (path, options) =
        text.split_once('?').map_or((text, None), |(path, options)| (path, Some(options)));
    if !path.starts_with('/') {
        return Err(ParseListenUrlError::Path(path.to_owned()));
    }
    let mut mode = DEFAULT_MODE;
    for option in options.into_iter().flat_map(|options| options.split('&')) {
        let digits = option.strip_prefix("mode=").filter(|digits| !digits.starts_with('+'));
        let parsed = digits.and_then(|digits| u32::from_str_radix(digits, 8).ok());
        mode = parsed
            .filter(|mode| *mode <= LARGEST_MODE)
            .ok_or_else(|| ParseListenUrlError::Option(option.to_owned()))?;
    }
    Ok(ListenUrl::Unix { path: path.into(), mode })
}

/// As it is read; a TCP address of this machine in its short form, which older clients understand
/// too.
impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme();
        if let ListenUrl::Unix { path, mode } = self {
            write!(f, "unix:{}", path.display())?;
            return if *mode == DEFAULT_MODE { Ok(()) } else { write!(f, "?mode={mode:o}") };
        }
        if scheme != ListenScheme::Tcp || !self.is_of_this_machine() {
            write!(f, "{}://", scheme.name())?;
        }
        match (self, self.address()) {
            (ListenUrl::Host { name, port, .. }, _) => write!(f, "{name}:{port}")?,
            (_, Some(address)) => address.fmt(f)?,
            (_, None) => {}
        }
        match scheme.format() {
            None | Some(MqttFormat::Auto) => Ok(()),
            Some(format) => write!(f, "?format={}", format.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_it_is_written() {
        for text in [
            "127.0.0.1:5000",
            "[::1]:0",
            "localhost:5000",
            "tls://127.0.0.1:5000",
            "tls://localhost:0",
            "tcp://a-b.example:1",
            "tcp://0.0.0.0:5000",
            "tls://[::]:5000",
            "http://127.0.0.1:8080",
            "https://localhost:8443",
            "unix:/run/b.sock",
            "unix:/run/b.sock?mode=600",
            "mqtt://127.0.0.1:1883",
            "mqtts://localhost:8883?format=json",
            "mqtt://0.0.0.0:1883?format=bytes",
        ] {
            assert_eq!(text.parse::<ListenUrl>().unwrap().to_string(), text);
        }
        for (text, same) in [
            ("tcp://[::1]:1", "[::1]:1"),
            ("tcp://[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1"),
            ("unix:///a b", "unix:/a b"),
            ("unix:/a?mode=0660", "unix:/a"),
            ("mqtt://[::1]:1883?format=auto", "mqtt://[::1]:1883"),
        ] {
            assert_eq!(text.parse::<ListenUrl>().unwrap().to_string(), same);
        }
    }

    #[test]
    fn what_is_no_url_says_what_would_be() {
        for (text, expected) in [
            ("nowhere", "127.0.0.1:5000"),
            ("tcp://localhost", "\"localhost\" is no address"),
            ("localhost:", "no address"),
            ("localhost:+1", "no address"),
            ("localhost:65536", "no address"),
            ("127.0.0.256:5000", "no address"),
            ("::1:5000", "no address"),
            ("local host:1", "no address"),
            ("tcp://127.0.0.1:5000/", "no address"),
            ("ftp://127.0.0.1:21", "ftp:// is no scheme"),
            ("http://127.0.0.1:80/", "no address"),
            ("0.0.0.0:5000", "tls://0.0.0.0:5000, or tcp://0.0.0.0:5000"),
            ("[::]:5000", "from other machines"),
            ("example.org:5000", "from other machines"),
            ("unix:b.sock", "begins with a slash"),
            ("unix:", "begins with a slash"),
            ("unix:/b?mode=888", "mode=888"),
            ("unix:/b?mode=+66", "mode=+66"),
            ("unix:/b?mode=1777", "mode=1777"),
            ("unix:/b?owner=1", "owner=1"),
            ("unix:/b?", "\"\" cannot be set"),
            ("mqtt://127.0.0.1:1?format=yaml", "there is format"),
            ("mqtt://127.0.0.1:1?", "\"\" cannot be set"),
            ("http://127.0.0.1:1?format=json", "no address"),
        ] {
            let error = text.parse::<ListenUrl>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
