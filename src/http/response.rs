//! An answer, and its bytes.

use crate::codec::{Dialect, Message};
use crate::protocol::Value;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Whether a body follows whose length nobody knows: the connection ends with it.
    is_open: bool,
}

impl Response {
    /// An answer without a body.
    pub(crate) fn new(status: u16) -> Response {
        Response { status, fields: Vec::new(), body: Vec::new(), is_open: false }
    }

    /// An answer in JSON.
    pub(crate) fn of_json(members: impl IntoIterator<Item = (&'static str, Value)>) -> Response {
        Response::new(200).with_body("application/json", json(members))
    }

    /// An answer in JSON that is this value.
    pub(crate) fn of_value(value: &Value) -> Response {
        Response::new(200).with_body("application/json", json_of(value))
    }

    /// The same with another status.
    #[must_use]
    pub(crate) fn with_status(self, status: u16) -> Response {
        Response { status, ..self }
    }

    /// The same with a field in its head.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.fields.push((name, value.into()));
        self
    }

    /// The same with this body.
    #[must_use]
    pub(crate) fn with_body(self, media_type: &'static str, body: Vec<u8>) -> Response {
        let mut response = self.with("Content-Type", media_type);
        response.body = body;
        response
    }

    /// The same with a body that follows for as long as the connection lasts.
    #[must_use]
    pub(crate) fn open(mut self, media_type: &'static str) -> Response {
        self.is_open = true;
        self.with("Content-Type", media_type)
    }

    /// Whether the connection ends with its body.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Its status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The first field of a name.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// That the client has it already.
    #[must_use]
    pub(super) fn not_modified(mut self) -> Response {
        self.fields.retain(|(name, _)| *name != "Content-Type");
        Response { status: 304, body: Vec::new(), ..self }
    }

    /// Its body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Its head, for a connection that goes on or not. `date` is the present, as HTTP writes it.
    pub(crate) fn head(&self, keep_alive: bool, date: &str) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nDate: {date}\r\nServer: babelmq/{}\r\n",
            self.status,
            reason(self.status),
            env!("CARGO_PKG_VERSION")
        );
        for (name, value) in &self.fields {
            // No line of it can end before it does.
            let value = value.replace(|c: char| c.is_ascii_control(), " ");
            head.extend([*name, ": ", &value, "\r\n"]);
        }
        // RFC 9110, 8.6: these have none.
        if !self.is_open && self.status >= 200 && ![204, 304].contains(&self.status) {
            head.extend(["Content-Length: ", &self.body.len().to_string(), "\r\n"]);
        }
        if !self.fields.iter().any(|(name, _)| *name == "Cache-Control") {
            head.push_str("Cache-Control: no-store\r\n");
        }
        head.push_str("X-Content-Type-Options: nosniff\r\n");
        if self.status != 101 {
            let connection = if keep_alive && !self.is_open { "keep-alive" } else { "close" };
            head.extend(["Connection: ", connection, "\r\n"]);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// A JSON object.
pub(super) fn json(members: impl IntoIterator<Item = (&'static str, Value)>) -> Vec<u8> {
    let members = members.into_iter().map(|(name, value)| (Value::Str(name.to_owned()), value));
    json_of(&Value::Dict(members.collect()))
}

fn json_of(value: &Value) -> Vec<u8> {
    // What the broker says of itself is a value that a message can hold.
    Message::of_value(value, Dialect::Json).map(Message::into_bytes).unwrap_or_default()
}

/// What a status means, in the words of RFC 9110 §15 and RFC 6585.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_as_the_rfc_says() {
        let response = Response::new(200).with_body("text/plain", b"hello".to_vec());
        assert_eq!(
            String::from_utf8(response.head(true, "now")).unwrap(),
            format!(
                "HTTP/1.1 200 OK\r\nDate: now\r\nServer: babelmq/{}\r\nContent-Type: text/plain\r\n\
                 Content-Length: 5\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
                 Connection: keep-alive\r\n\r\n",
                env!("CARGO_PKG_VERSION")
            )
        );
    }

    #[test]
    fn no_value_ends_its_line() {
        let response = Response::new(204).with("ETag", "a\r\nSet-Cookie: b");
        let head = String::from_utf8(response.head(false, "now")).unwrap();
        assert!(head.contains("ETag: a  Set-Cookie: b\r\n"), "{head}");
        assert!(!head.contains("Content-Length"), "{head}");
    }
}
