//! Values and messages as media types.

use std::hash::{Hash, Hasher};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rustc_hash::FxHasher;

use super::problem::Problem;
use super::request::Head;
use super::response::Response;
use crate::broker::Stored;
use crate::codec::{Dialect, Document, Node, to_value};
use crate::protocol::{Format, Limits, Refusal, Value};

const JSON: &str = "application/json";
const XML: &str = "application/xml";
const PICKLE: &str = "application/x-python-pickle";
const TEXT: &str = "text/plain";
const BYTES: &str = "application/octet-stream";

/// The media types that a value can be had in, the first where nothing else is wanted.
pub(super) const MEDIA_TYPES: &[&str] = &[JSON, XML, PICKLE, TEXT, BYTES];
/// Those that a message can be sent in.
const OF_MESSAGES: &[&str] = &[JSON, XML, PICKLE, TEXT];

/// What a topic may have and a field may not, or would lose at its end, and the sign that says so;
/// all that is not ASCII besides.
const NOT_IN_A_FIELD: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// A last value as an answer, in the first of these media types that it can be written in; it is
/// decoded to `decoded` bytes at most.
///
/// # Errors
/// [`TooLarge`](crate::protocol::ErrorCode::TooLarge) where it decodes to more.
pub(crate) fn value(
    stored: &Stored,
    (wanted, exact): (&[&'static str], bool),
    scratch: &mut Document,
    (limits, decoded): (&Limits, usize),
) -> Result<Response, Refusal> {
    let payload = stored.payload();
    for media in wanted {
        let (name, dialect) = match *media {
            TEXT => {
                scratch.clear();
                let root = payload.decode_within(scratch, limits, decoded)?;
                let value = to_value(scratch.view(payload.source(), root));
                match plain_text(&value) {
                    Some(text) => return Ok(found(stored, "text/plain; charset=utf-8", text)),
                    None => continue,
                }
            }
            BYTES => {
                scratch.clear();
                let root = payload.decode_within(scratch, limits, decoded)?;
                let view = scratch.view(payload.source(), root);
                match view.nodes() {
                    [Node::Bytes(bytes)] => {
                        return Ok(found(stored, BYTES, view.text(*bytes).to_vec()));
                    }
                    _ => continue,
                }
            }
            XML => (XML, Dialect::Xml),
            PICKLE => (PICKLE, Dialect::new(Format::Pickle, exact)),
            _ => (JSON, Dialect::new(Format::Json, exact)),
        };
        let body = payload.encode_within(dialect, scratch, limits, decoded)?;
        return Ok(found(stored, name, body));
    }
    Ok(not_acceptable().response())
}

fn found(stored: &Stored, media: &'static str, body: Vec<u8>) -> Response {
    let topic = utf8_percent_encode(stored.topic().as_str(), NOT_IN_A_FIELD);
    Response::new(200)
        .with_body(media, body)
        .with("ETag", etag(stored, media))
        .with("Cache-Control", "no-cache")
        .with("Vary", "Accept")
        .with("Babelmq-Topic", topic.to_string())
}

/// The name of a publication in a media type. The bytes are in it because a broker without a store
/// counts its publications anew when it starts.
fn etag(stored: &Stored, media: &str) -> String {
    let mut hasher = FxHasher::default();
    let payload = stored.payload();
    (payload.source(), payload.encoding().byte(), media).hash(&mut hasher);
    format!("\"{:x}-{:x}\"", stored.published(), hasher.finish())
}

/// The answer, or that nothing has changed where the client has it already (RFC 9110 §13.1.2).
pub(crate) fn unless_known(head: &Head, response: Response) -> Response {
    let Some(etag) = response.field("ETag") else { return response };
    let same = |item: &[u8]| {
        let item = item.strip_prefix(b"W/").unwrap_or(item);
        item == b"*" || item == etag.as_bytes()
    };
    if head.list("if-none-match").any(same) { response.not_modified() } else { response }
}

/// A value as plain text, if it is one that has no parts.
fn plain_text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Str(text) | Value::Typed(_, text) => Some(text.clone().into_bytes()),
        Value::None | Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_) => {
            let message = crate::codec::Message::of_value(value, Dialect::Json).ok()?;
            Some(message.into_bytes())
        }
        _ => None,
    }
}

/// Where the client takes nothing that the value can be written in.
pub(super) fn not_acceptable() -> Problem {
    let what = format!(
        "a value is {MEDIA_TYPES:?}: plain text only where it has no parts, and \
         application/octet-stream only where it is bytes"
    );
    Problem::new(406, what)
}

/// The format of a body; `None` for plain text.
///
/// # Errors
/// Where it is none that can be translated.
pub(super) fn format_of_body(head: &Head) -> Result<Option<Format>, Problem> {
    let Some(value) = head.text("content-type") else { return Ok(Some(Format::Json)) };
    let (media, parameters) = value.split_once(';').unwrap_or((value, ""));
    let media = media.trim().to_ascii_lowercase();
    let format = match media.as_str() {
        JSON => Some(Format::Json),
        XML | "text/xml" => Some(Format::Xml),
        PICKLE | "application/python-pickle" | "application/x-pickle" => Some(Format::Pickle),
        TEXT => None,
        other if other.ends_with("+json") => Some(Format::Json),
        other if other.ends_with("+xml") => Some(Format::Xml),
        "application/x-www-form-urlencoded" => {
            let what = "a message is no form; with curl, send it by --json, or add \
                        -H 'Content-Type: application/json'";
            return Err(Problem::new(415, what));
        }
        _ => {
            let what = format!("a message is one of {OF_MESSAGES:?}, and not {media:?}");
            return Err(Problem::new(415, what));
        }
    };
    let is_utf8 = |charset: &str| {
        let charset = charset.trim().trim_matches('"');
        charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("us-ascii")
    };
    let charset = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    });
    if charset.is_some_and(|charset| !is_utf8(charset)) {
        return Err(Problem::new(415, "text is in UTF-8 here"));
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Payload;
    use crate::protocol::TopicName;

    #[test]
    fn what_came_in_no_format_goes_as_it_came() {
        let limits = Limits::default();
        let text = Payload::of_text("/a", " \0h\u{e9} ", &limits).unwrap();
        let bytes = Payload::of_bytes("/a", b"1\xff", &limits).unwrap();
        let of = |payload: &Payload, wanted: &[&'static str]| {
            let topic = TopicName::parse("/a").unwrap();
            let stored = Stored::new(topic, payload.borrow(), 7);
            let limits = (&limits, usize::MAX);
            let response = value(&stored, (wanted, false), &mut Document::new(), limits).unwrap();
            let media = response.field("Content-Type").map(str::to_owned);
            (response.status(), media, response.body().to_vec())
        };
        for (payload, wanted, expected) in [
            (&text, &[TEXT][..], (200, "text/plain; charset=utf-8", " \0h\u{e9} ".as_bytes())),
            (&text, &[BYTES, JSON], (200, JSON, "\" \\u0000h\u{e9} \"".as_bytes())),
            (&bytes, &[TEXT, BYTES], (200, BYTES, b"1\xff")),
            (&bytes, &[JSON], (200, JSON, b"{\"$bytes\":\"Mf8=\"}")),
        ] {
            let (status, media, body) = of(payload, wanted);
            let (expected_status, expected_media, expected_body) = expected;
            assert_eq!((status, media.as_deref()), (expected_status, Some(expected_media)));
            assert_eq!(body, expected_body);
        }
        assert_eq!(of(&text, &[BYTES]).0, 406);
        assert_eq!(of(&bytes, &[TEXT]).0, 406);
    }

    fn stored(value: &Value) -> Stored {
        let payload = Payload::of_value("/a", value, &Limits::default()).unwrap();
        Stored::new(TopicName::parse("/a").unwrap(), payload.borrow(), 7)
    }

    fn written(value: &Value, wanted: &[&'static str], exact: bool) -> (u16, Vec<u8>) {
        let stored = stored(value);
        let limits = (&Limits::default(), usize::MAX);
        let response = super::value(&stored, (wanted, exact), &mut Document::new(), limits);
        let response = response.unwrap();
        (response.status(), response.body().to_vec())
    }

    #[test]
    fn a_value_is_written_in_what_is_wanted() {
        let list = Value::Tuple(vec![Value::Int(1), Value::Str("b".into())]);
        for (value, wanted, exact, status, body) in [
            (&list, &[JSON][..], false, 200, &br#"[1,"b"]"#[..]),
            (&list, &[JSON], true, 200, br#"{"$tuple":[1,"b"]}"#),
            (&list, &[TEXT, JSON], false, 200, br#"[1,"b"]"#),
            (&Value::Str("h\u{e9}".into()), &[TEXT], false, 200, "h\u{e9}".as_bytes()),
            (&Value::Float(1.5), &[TEXT], false, 200, b"1.5"),
        ] {
            assert_eq!(written(value, wanted, exact), (status, body.to_vec()));
        }
        assert_eq!(written(&list, &[TEXT], false).0, 406);
        assert!(written(&list, &[XML], false).1.starts_with(b"<message"));
        assert!(written(&list, &[PICKLE], false).1.starts_with(b"\x80"));
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let limits = (&Limits::default(), usize::MAX);
        let of = |media: &'static str| {
            let scratch = &mut Document::new();
            super::value(&stored(&Value::Int(1)), (&[media], false), scratch, limits).unwrap()
        };
        let known = |etag: &str, response| {
            let text = format!("GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: {etag}\r\n\r\n");
            let (head, _) = Head::parse(text.as_bytes()).unwrap();
            unless_known(&head, response).status()
        };
        let etag = of(JSON).field("ETag").unwrap().to_owned();
        assert_eq!(known(&format!("\"x\", W/{etag}"), of(JSON)), 304);
        assert_eq!(known("*", of(JSON)), 304);
        assert_eq!((known(&etag, of(XML)), known("\"x\"", of(JSON))), (200, 200));
    }

    #[test]
    fn the_format_of_a_body_is_what_it_says() {
        let format = |value: &str| {
            let text = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: {value}\r\n\r\n");
            let (head, _) = Head::parse(text.as_bytes()).unwrap();
            format_of_body(&head).map_err(|problem| problem.status())
        };
        for (value, expected) in [
            ("application/JSON; charset=\"UTF-8\"", Ok(Some(Format::Json))),
            ("application/geo+json", Ok(Some(Format::Json))),
            ("image/svg+xml", Ok(Some(Format::Xml))),
            ("text/plain;charset=us-ascii", Ok(None)),
            ("text/plain;charset=latin-1", Err(415)),
            ("application/x-www-form-urlencoded", Err(415)),
            ("application/octet-stream", Err(415)),
        ] {
            assert_eq!(format(value), expected, "{value}");
        }
    }
}
