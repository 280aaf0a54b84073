//! Pages of other hosts: who may ask from a browser, and what for (the Fetch standard, "CORS").

use std::net::{Ipv4Addr, Ipv6Addr};

use super::call::Call;
use super::problem::Problem;
use super::request::Head;
use super::response::Response;

/// The origins, besides the broker's own, whose pages may use it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origins<'a> {
    /// As browsers spell them: `https://example.org`.
    pub(crate) allowed: &'a [String],
    /// Whether the connection is sealed: then a page that came without that is another's.
    pub(crate) is_tls: bool,
    /// Whether the broker trusts whoever reaches it, because only this machine does: then a name of
    /// somebody else's that leads to this machine is not believed (DNS rebinding).
    pub(crate) only_this_machine: bool,
}

/// The page that a request comes from.
#[derive(Debug, Default)]
pub(crate) struct Page<'a> {
    /// Its origin, if it is another one that may read answers.
    allowed: Option<&'a str>,
    /// Its origin, if it is another one that may not.
    foreign: Option<String>,
    /// Whether answers depend on it.
    varies: bool,
}

impl<'a> Origins<'a> {
    /// The page that a request comes from.
    ///
    /// # Errors
    /// Where the host is not this broker's.
    pub(crate) fn judge(&self, head: &Head) -> Result<Page<'a>, Problem> {
        let host = head.text("host").unwrap_or_default();
        if self.only_this_machine && !self.is_name_of_this_machine(host) {
            let what = format!(
                "{host:?} is no name of this broker, which listens to this machine alone; use \
                 localhost, or say --http-origin http://{host}"
            );
            return Err(Problem::new(421, what));
        }
        let page = Page { varies: !self.allowed.is_empty(), ..Page::default() };
        let Some(origin) = head.text("origin") else { return Ok(page) };
        if is_of_host(origin, host) && (origin.starts_with("https:") || !self.is_tls) {
            return Ok(page);
        }
        let allowed = self.allowed.iter().find(|allowed| allowed.eq_ignore_ascii_case(origin));
        Ok(match allowed {
            Some(allowed) => Page { allowed: Some(allowed), ..page },
            None => Page { foreign: Some(origin.to_owned()), ..page },
        })
    }

    fn is_name_of_this_machine(&self, host: &str) -> bool {
        let name = without_port(host);
        let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let is_number = name.parse::<Ipv4Addr>().is_ok()
            || bracketed.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok());
        let is_local = name.eq_ignore_ascii_case("localhost") || name.is_empty();
        is_number || is_local || self.allowed.iter().any(|allowed| is_of_host(allowed, host))
    }
}

/// Whether an origin is that of the host of a request.
fn is_of_host(origin: &str, host: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let usual = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |text: &str| text.strip_suffix(usual).unwrap_or(text).to_ascii_lowercase();
    ["http", "https"].contains(&scheme) && bare(rest) == bare(host)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

impl Page<'_> {
    /// Whether the page may ask for this.
    ///
    /// # Errors
    /// Where a page of another host would change something.
    pub(crate) fn may_ask(&self, call: &Call) -> Result<(), Problem> {
        match &self.foreign {
            Some(origin) if !call.is_safe() => {
                let what = format!(
                    "pages of {origin} may change nothing here; --http-origin {origin} allows it"
                );
                Err(Problem::new(403, what))
            }
            _ => Ok(()),
        }
    }

    /// The same answer, that the page may read if it is allowed to.
    pub(crate) fn told(&self, response: Response) -> Response {
        let response = if self.varies { response.with("Vary", "Origin") } else { response };
        match self.allowed {
            None => response,
            Some(origin) => response
                .with("Access-Control-Allow-Origin", origin)
                .with("Access-Control-Expose-Headers", "ETag, Babelmq-Topic"),
        }
    }

    /// The answer to what a browser asks before it asks.
    pub(crate) fn preflight(&self, response: Response) -> Response {
        match self.allowed {
            None => response,
            Some(_) => response
                .with("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
                .with("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match")
                .with("Access-Control-Max-Age", "600"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Limits;

    fn judge(line: &str, host: &str, origin: &str, only_this_machine: bool) -> Result<bool, u16> {
        let origin =
            if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
        let text = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n");
        let (head, _) = Head::parse(text.as_bytes()).unwrap();
        let call = Call::of(&head, &Limits::default()).unwrap();
        let allowed = ["https://app.example".to_owned()];
        let origins = Origins { allowed: &allowed, is_tls: false, only_this_machine };
        let judged = origins.judge(&head).and_then(|page| page.may_ask(&call).map(|()| page));
        judged.map(|page| page.allowed.is_some()).map_err(|problem| problem.status())
    }

    #[test]
    fn pages_of_other_hosts_change_nothing_and_read_nothing_unless_they_may() {
        const GET: &str = "GET /healthz";
        const POST: &str = "POST /api/v1/publish?topic=a";
        for (line, host, origin, expected) in [
            (GET, "localhost:8080", "", Ok(false)),
            (POST, "localhost:8080", "", Ok(false)),
            (POST, "localhost:8080", "http://localhost:8080", Ok(false)),
            (POST, "LOCALHOST", "http://localhost:80", Ok(false)),
            (POST, "localhost:8080", "http://localhost:9090", Err(403)),
            (POST, "localhost:8080", "null", Err(403)),
            (POST, "127.0.0.1", "https://evil.example", Err(403)),
            ("DELETE /api/v1/value?topic=a", "127.0.0.1", "https://evil.example", Err(403)),
            (GET, "127.0.0.1", "https://evil.example", Ok(false)),
            (POST, "127.0.0.1", "https://app.example", Ok(true)),
            (GET, "[::1]:8080", "https://app.example", Ok(true)),
        ] {
            assert_eq!(judge(line, host, origin, true), expected, "{line} {host} {origin}");
        }
    }

    #[test]
    fn what_came_without_tls_is_not_of_a_host_with_it() {
        let text = "GET /healthz HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\n\r\n";
        let (head, _) = Head::parse(text.as_bytes()).unwrap();
        for is_tls in [false, true] {
            let origins = Origins { allowed: &[], is_tls, only_this_machine: false };
            assert_eq!(origins.judge(&head).unwrap().foreign.is_some(), is_tls);
        }
    }

    #[test]
    fn a_name_of_somebody_elses_is_not_believed_where_this_machine_alone_is() {
        for (host, alone, open) in [
            ("evil.example:8080", Err(421), Ok(false)),
            ("localhost.evil.example", Err(421), Ok(false)),
            ("[::1].evil.example", Err(421), Ok(false)),
            ("[::1]:8080", Ok(false), Ok(false)),
            ("app.example", Ok(false), Ok(false)),
            ("127.0.0.1:8080", Ok(false), Ok(false)),
        ] {
            assert_eq!(judge("GET /healthz", host, "", true), alone, "{host}");
            assert_eq!(judge("GET /healthz", host, "", false), open, "{host}");
        }
    }
}
