//! The head of a request: its line and its fields (RFC 9112 §3 and §5).

use super::problem::Problem;

/// Bytes of a head, at most.
const LONGEST_HEAD: usize = 16 << 10;
/// Bytes of a target, at most.
const LONGEST_TARGET: usize = 8 << 10;
/// Fields of a head, at most.
const MOST_FIELDS: usize = 100;

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    /// As it was sent: methods are case-sensitive.
    pub(crate) method: String,
    /// The path of the target, as it was sent.
    pub(crate) path: String,
    /// What follows its question mark.
    pub(crate) query: String,
    /// Whether the connection can be used once more.
    pub(crate) keep_alive: bool,
    /// How its body is framed.
    pub(crate) body: Body,
    /// Whether the client waits for a word before it sends the body.
    pub(crate) expects_continue: bool,
    /// Names in lower case. What is secret of them is not shown by `Debug`.
    fields: Vec<Field>,
}

struct Field {
    name: String,
    value: Vec<u8>,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// How the body of a request is framed (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// By so many bytes; 0 where there is none.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// Why there is no head.
#[derive(Debug)]
pub(crate) enum HeadError {
    /// Not all of it is there.
    Partial,
    /// It is refused, and nothing behind it can be understood.
    Refused(Problem),
}

impl Head {
    /// The head that some bytes begin with, and how long it is.
    ///
    /// # Errors
    /// [`HeadError::Partial`] where more is to come, and why it is none.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Head, usize), HeadError> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length <= LONGEST_HEAD => length,
            Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => {
                return Err(HeadError::Partial);
            }
            Ok(_) if !bytes[..LONGEST_TARGET.min(bytes.len())].contains(&b'\n') => {
                return refused(414, format!("the target has over {LONGEST_TARGET} bytes"));
            }
            Ok(_) => {
                let what = format!("the head of the request has over {LONGEST_HEAD} bytes");
                return refused(431, what);
            }
            Err(httparse::Error::TooManyHeaders) => {
                return refused(431, format!("the head has over {MOST_FIELDS} fields"));
            }
            Err(error) => {
                let what =
                    format!("this is no head of an HTTP/1.1 request ({error}){}", hint(bytes));
                return refused(400, what);
            }
        };
        if !has_whole_lines(&bytes[..length]) {
            let what = "a line of the head ends with a line feed alone; it is CR LF";
            return refused(400, what.to_owned());
        }
        let minor = request.version.unwrap_or(1);
        let target = request.path.unwrap_or_default();
        if target.len() > LONGEST_TARGET {
            return refused(414, format!("the target has over {LONGEST_TARGET} bytes"));
        }
        let method = request.method.unwrap_or_default().to_owned();
        let fields = request.headers.iter().map(|field| Field {
            name: field.name.to_ascii_lowercase(),
            value: field.value.to_vec(),
        });
        let mut head = Head {
            method,
            path: String::new(),
            query: String::new(),
            keep_alive: false,
            body: Body::Length(0),
            expects_continue: false,
            fields: fields.collect(),
        };
        head.set_target(target).map_err(HeadError::Refused)?;
        head.set_framing(minor).map_err(HeadError::Refused)?;
        Ok((head, length))
    }

    /// Understands a target in origin form, in absolute form, or `*` (RFC 9112 §3.2).
    fn set_target(&mut self, target: &str) -> Result<(), Problem> {
        let target = match target.split_once("://") {
            Some((scheme, rest)) if is_http(scheme) => {
                let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                // It stands for the host, which is judged elsewhere.
                if self.text("host").is_some_and(|host| !host.eq_ignore_ascii_case(authority)) {
                    return Err(Problem::new(400, "the target is of another host than Host says"));
                }
                if path.is_empty() { "/" } else { path }
            }
            _ => target,
        };
        if !target.starts_with('/') && target != "*" {
            return Err(Problem::new(400, "the target of a request is a path, such as /healthz"));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        (self.path, self.query) = (path.to_owned(), query.to_owned());
        Ok(())
    }

    /// Understands the fields by which requests are told apart. What two readers could understand
    /// in two ways is refused (RFC 9112 §11.2).
    fn set_framing(&mut self, minor: u8) -> Result<(), Problem> {
        let hosts = self.all("host").count();
        if hosts > 1 || (hosts == 0 && minor > 0) {
            return Err(Problem::new(400, "a request has one Host field (RFC 9112, 3.2)"));
        }
        for name in ["host", "origin", "authorization", "content-type"] {
            let mut all = self.all(name);
            let is_text = all.next().is_none_or(|value| std::str::from_utf8(value).is_ok());
            if !is_text || all.next().is_some() {
                let what = format!("a request has one {name} field at most, which is text");
                return Err(Problem::new(400, what));
            }
        }
        self.body = self.framing(minor)?;
        match self.field("expect") {
            None => {}
            Some(expected) if expected.eq_ignore_ascii_case(b"100-continue") => {
                self.expects_continue = minor > 0 && self.has_body();
            }
            Some(_) => {
                return Err(Problem::new(417, "100-continue is all that can be expected"));
            }
        }
        let says = |word: &[u8]| self.list("connection").any(|it| it.eq_ignore_ascii_case(word));
        self.keep_alive = !says(b"close") && (minor > 0 || says(b"keep-alive"));
        Ok(())
    }

    fn framing(&self, minor: u8) -> Result<Body, Problem> {
        let mut lengths = self.all("content-length").flat_map(|value| value.split(|b| *b == b','));
        let codings: Vec<&[u8]> = self.list("transfer-encoding").collect();
        let first = lengths.next();
        match (codings.as_slice(), first) {
            ([], _) if self.all("transfer-encoding").next().is_some() => {
                Err(Problem::new(400, "the Transfer-Encoding is empty"))
            }
            ([], None) => Ok(Body::Length(0)),
            ([], Some(first)) => {
                let first = first.trim_ascii();
                if lengths.any(|other| other.trim_ascii() != first) {
                    return Err(Problem::new(400, "a request has one Content-Length"));
                }
                let digits = std::str::from_utf8(first).ok();
                let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let length = digits.and_then(|text| text.parse().ok());
                let wrong = || Problem::new(400, "the Content-Length is no number of bytes");
                length.map(Body::Length).ok_or_else(wrong)
            }
            (_, Some(_)) => {
                let what = "a body has a Content-Length or a Transfer-Encoding, and not both";
                Err(Problem::new(400, what))
            }
            _ if minor == 0 => Err(Problem::new(400, "HTTP/1.0 has no Transfer-Encoding")),
            ([coding], None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::Chunked),
            _ => Err(Problem::new(501, "chunked is the only Transfer-Encoding that is known")),
        }
    }

    /// Whether a body follows.
    pub(crate) fn has_body(&self) -> bool {
        self.body != Body::Length(0)
    }

    /// The values of the fields of a name, which is in lower case.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter().filter(move |field| field.name == name);
        fields.map(|field| field.value.trim_ascii())
    }

    /// The value of a field that there is once; none where it is repeated.
    pub(crate) fn field<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    /// The same, if it is text.
    pub(crate) fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.field(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The items of a field that is a list, over all fields of the name.
    pub(crate) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let items = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        items.map(|item| item.trim_ascii()).filter(|item| !item.is_empty())
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// Whether each line feed ends a line as HTTP does, with a carriage return before it: one alone may
/// be a part of a value to somebody else (RFC 9112 §2.2).
pub(super) fn has_whole_lines(bytes: &[u8]) -> bool {
    let mut before = 0;
    bytes.iter().all(|byte| std::mem::replace(&mut before, *byte) == b'\r' || *byte != b'\n')
}

fn refused<T>(status: u16, what: String) -> Result<T, HeadError> {
    Err(HeadError::Refused(Problem::new(status, what)))
}

/// What somebody may have meant who speaks something else.
fn hint(bytes: &[u8]) -> &'static str {
    match bytes {
        [22, 3, ..] => {
            "; this looks like TLS, and the listener is a plain one: take an https:// one"
        }
        [0..=2, ..] => {
            "; this looks like babelmq's own protocol, which another listener speaks: babelmq \
             serve --listen"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Head, u16> {
        match Head::parse(text.as_bytes()) {
            Ok((head, length)) => {
                assert_eq!(length, text.len());
                Ok(head)
            }
            Err(HeadError::Partial) => Err(0),
            Err(HeadError::Refused(problem)) => Err(problem.status()),
        }
    }

    #[test]
    fn a_head_is_understood() {
        let head = parse(
            "POST /a/b?c=d HTTP/1.1\r\nHost: h\r\ncontent-LENGTH:  12 \r\nAccept: a, b\r\n\
             accept:c\r\nConnection: x, Close\r\nExpect: 100-Continue\r\n\r\n",
        )
        .unwrap();
        assert_eq!((&*head.method, &*head.path, &*head.query), ("POST", "/a/b", "c=d"));
        assert_eq!((head.body, head.keep_alive), (Body::Length(12), false));
        assert!(head.expects_continue);
        let accept: Vec<&[u8]> = head.list("accept").collect();
        assert_eq!(accept, [b"a", b"b", b"c"]);
        assert_eq!((head.field("accept"), head.text("host")), (None, Some("h")));
    }

    #[test]
    fn what_two_readers_could_understand_in_two_ways_is_refused() {
        let with = |fields: &str| {
            parse(&format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).map(|head| head.body)
        };
        for (fields, expected) in [
            ("", Ok(Body::Length(0))),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Ok(Body::Length(5))),
            ("Content-Length: 5, 5\r\n", Ok(Body::Length(5))),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(400)),
            ("Content-Length: 5, 6\r\n", Err(400)),
            ("Content-Length: +5\r\n", Err(400)),
            ("Content-Length: 0x5\r\n", Err(400)),
            ("Content-Length: \r\n", Err(400)),
            ("Content-Length: 99999999999999999999\r\n", Err(400)),
            ("Transfer-Encoding: Chunked\r\n", Ok(Body::Chunked)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(501)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(501)),
            ("Transfer-Encoding: xchunked\r\n", Err(501)),
            ("Transfer-Encoding:\r\n", Err(400)),
            ("Transfer-Encoding: ,\r\nContent-Length: 5\r\n", Err(400)),
            ("Origin: http://h\r\nOrigin: http://h\r\n", Err(400)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(400)),
            ("Transfer-Encoding: \r\n", Err(400)),
            ("Transfer-Encoding: ,\r\nContent-Length: 5\r\n", Err(400)),
            ("A: b\nTransfer-Encoding: chunked\r\n", Err(400)),
            ("A: b\rTransfer-Encoding: chunked\r\n", Err(400)),
            ("Host: other\r\n", Err(400)),
            ("Origin: null\r\nOrigin: http://h\r\n", Err(400)),
            ("Content-Type: text/plain\r\nContent-Type: text/xml\r\n", Err(400)),
            ("Expect: tea\r\n", Err(417)),
            (" folded\r\n", Err(400)),
            ("Content-Length : 5\r\n", Err(400)),
            ("A\0: 5\r\n", Err(400)),
        ] {
            assert_eq!(with(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn lines_that_are_no_request_are_refused() {
        let long = "x".repeat(9_000);
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 400),
            ("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", 200),
            ("GET http://h?x=/healthz HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET HTTP://h/a HTTP/1.1\r\nHost: h\r\n\r\n", 200),
            ("GET http://h/a?b HTTP/1.1\r\nHost: H\r\n\r\n", 200),
            ("GET http://other/a?b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET http://user@h/a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET / HTTP/1.1\nHost: h\n\n", 400),
            ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 200),
            ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\n\r\n", 200),
            ("GET /", 0),
            ("GET / HTTP/1.1\r\nHost: h\r\n", 0),
            ("\u{16}\u{3}\u{1}", 400),
            ("\0\0\0\0\u{5}", 400),
            (&format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 414),
            (&format!("GET /{long}{long}"), 414),
            (&format!("GET / HTTP/1.1\r\nA: {long}{long}"), 431),
            (&format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(101)), 431),
        ] {
            let found = parse(text).map_or_else(|status| status, |_| 200);
            assert_eq!(found, status, "{:?}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn fields_that_decide_who_may_ask_are_text() {
        for name in ["Host", "Origin", "Authorization", "Content-Type", "Accept"] {
            let host = if name == "Host" { "" } else { "Host: h\r\n" };
            let text = format!("GET / HTTP/1.1\r\n{host}{name}: a");
            let bytes = [text.as_bytes(), b"\xff\r\n\r\n"].concat();
            assert_eq!(Head::parse(&bytes).is_ok(), name == "Accept", "{name}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let head = parse("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer s3cret\r\n\r\n");
        assert!(!format!("{head:?}").contains("s3cret"));
    }
}
