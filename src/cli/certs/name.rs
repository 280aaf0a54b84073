//! The names that certificates are for, as they are given on the command line.

use std::net::IpAddr;

use rustls::pki_types::DnsName;

/// Characters of a common name, at most (ub-common-name, RFC 5280 Appendix A.1).
const LONGEST: usize = 64;

/// A name or an address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Address(IpAddr),
    /// A DNS name in lower case; of one that begins with `*.`, every name with another first label.
    Name(String),
}

/// The name of a client, which is that of its files too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientName(String);

/// Reads a host.
pub(super) fn host(text: &str) -> Result<Host, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse() {
        return Ok(Host::Address(address));
    }
    if is_dns_name(text.strip_prefix("*.").unwrap_or(text)) {
        return Ok(Host::Name(text.to_ascii_lowercase()));
    }
    Err("it is neither an IP address nor a DNS name; one with other letters than a to z is given \
         as xn--…, and no port belongs to it"
        .into())
}

/// Reads the name of a client.
pub(super) fn client(text: &str) -> Result<ClientName, String> {
    let wrong = |what: &str| Err(format!("the name of a client {what}"));
    if text.is_empty() || text.chars().count() > LONGEST {
        return wrong("has 1 to 64 characters");
    }
    if text.chars().any(char::is_control) {
        return wrong("has no control characters");
    }
    // It is that of a file.
    if text.contains('/') || text.starts_with(['.', '-']) {
        return wrong("has no / and does not begin with . or -, for its files have it too");
    }
    if ["ca", "server"].iter().any(|taken| text.eq_ignore_ascii_case(taken)) {
        return wrong("is neither ca nor server: those are the files of others");
    }
    Ok(ClientName(text.into()))
}

fn is_dns_name(text: &str) -> bool {
    // What ends in digits alone is an address that is none.
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    !is_number && !text.ends_with('.') && DnsName::try_from(text).is_ok()
}

impl Host {
    /// As it stands in a URL, where one host is meant.
    pub(super) fn in_url(&self) -> Option<String> {
        match self {
            Host::Address(IpAddr::V6(address)) => Some(format!("[{address}]")),
            Host::Address(address) => Some(address.to_string()),
            Host::Name(name) => (!name.starts_with('*')).then(|| name.clone()),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.fmt(f),
        }
    }
}

impl ClientName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The same as a DNS name, if it is one.
    pub(super) fn as_host(&self) -> Option<Host> {
        is_dns_name(&self.0).then(|| Host::Name(self.0.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_and_dns_names() {
        for text in ["127.0.0.1", "::1", "[2001:db8::1]"] {
            assert!(matches!(host(text), Ok(Host::Address(_))), "{text}");
        }
        for text in ["localhost", "Broker-1.example.org", "*.example.org", "xn--bcher-kva.example"]
        {
            assert!(matches!(host(text), Ok(Host::Name(_))), "{text}");
        }
        for text in
            ["", "a:5000", "1.2.3", "300.1.1.1", "bücher.example", "*", "a.*.b", "a..b", "a "]
        {
            assert!(host(text).is_err(), "{text}");
        }
        assert_eq!(host("::1").unwrap().in_url().as_deref(), Some("[::1]"));
        assert_eq!(host("*.example.org").unwrap().in_url(), None);
    }

    #[test]
    fn names_of_clients_are_names_of_files() {
        for text in ["ada", "Ada Lovelace", "ü", "a.b", "7", &"x".repeat(64)] {
            assert!(client(text).is_ok(), "{text}");
        }
        for text in ["", "a/b", "..", ".a", "-a", "ca", "Server", "a\nb", &"x".repeat(65)] {
            assert!(client(text).is_err(), "{text}");
        }
        assert!(client("ada").unwrap().as_host().is_some());
        assert!(client("Ada Lovelace").unwrap().as_host().is_none());
    }
}
