//! Messages as NATS carries them: headers, and a payload as it was published.

use async_nats::{HeaderMap, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::broker::{SharedContent, SharedPayload};
use crate::codec::Encoding;
use crate::protocol::{Format, Qos};

const TYPE: &str = "Content-Type";
const RETAIN: &str = "Babelmq-Retain";
const TTL: &str = "Babelmq-Ttl";
const CLEAR: &str = "Babelmq-Clear";
const QOS: &str = "Babelmq-Qos";
const PROPERTIES: &str = "Babelmq-Properties";
const ID: &str = "Nats-Msg-Id";
/// The server's own word that a subject's last message was deleted.
const MARKER: &str = "Nats-Marker-Reason";
/// All that are of interest in what comes.
const NAMES: [&str; 8] = [TYPE, RETAIN, TTL, CLEAR, QOS, PROPERTIES, ID, MARKER];

/// What the ids of publishers begin with, so that none is one that a broker makes.
const OF_A_PUBLISHER: &str = "id-";

const JSON: &str = "application/json";
const XML: &str = "application/xml";
const PICKLE: &str = "application/x-python-pickle";
const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// What a header's value cannot have, or would lose at its ends, and the sign that says so.
const NOT_IN_A_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// A message on its way out, as NATS takes it.
#[derive(Debug)]
pub(super) struct Outbound {
    /// Of two with the same id the stream keeps one.
    id: String,
    said: Said,
    /// The payload.
    pub(super) payload: Bytes,
}

/// What is said beside a payload.
#[derive(Debug)]
enum Said {
    Cleared,
    Payload {
        media: Option<&'static str>,
        retain: bool,
        ttl: Option<u32>,
        qos: Option<Qos>,
        properties: Box<[u8]>,
    },
}

impl Outbound {
    /// A message that is known by `id`.
    ///
    /// # Errors
    /// Why it cannot be carried.
    pub(super) fn new(content: SharedContent, id: String) -> Result<Outbound, String> {
        let payload = match content {
            SharedContent::Cleared => {
                return Ok(Outbound { id, said: Said::Cleared, payload: Bytes::new() });
            }
            SharedContent::Payload(payload) => payload,
        };
        let SharedPayload { encoding, bytes, retain, ttl, qos, properties } = payload;
        let media = encoding.map(|encoding| match encoding {
            Encoding::Value(Format::Json) => Ok(JSON),
            Encoding::Value(Format::Xml) => Ok(XML),
            Encoding::Value(Format::Pickle) => Ok(PICKLE),
            Encoding::Text => Ok(TEXT),
            Encoding::Bytes => Ok(BYTES),
            // Its payload lies somewhere inside, where nobody else finds it.
            Encoding::Body(_) => Err("it is no payload by itself".to_owned()),
        });
        let said = Said::Payload { media: media.transpose()?, retain, ttl, qos, properties };
        Ok(Outbound { id, said, payload: bytes.into() })
    }

    /// What is said beside the payload.
    pub(super) fn headers(&self) -> HeaderMap {
        let named = HeaderName::from_static;
        let mut headers = HeaderMap::new();
        headers.insert(named(ID), self.id.as_str());
        let (media, retain, ttl, qos, properties) = match &self.said {
            Said::Cleared => {
                headers.insert(named(CLEAR), "true");
                return headers;
            }
            Said::Payload { media, retain, ttl, qos, properties } => {
                (media, retain, ttl, qos, properties)
            }
        };
        if let Some(media) = media {
            headers.insert(named(TYPE), *media);
        }
        if !retain {
            headers.insert(named(RETAIN), "false");
        }
        if let Some(ttl) = ttl {
            headers.insert(named(TTL), ttl.to_string());
        }
        if let Some(qos) = qos {
            headers.insert(named(QOS), qos.byte().to_string());
        }
        if !properties.is_empty() {
            headers.insert(named(PROPERTIES), STANDARD.encode(properties));
        }
        headers
    }

    /// About how many bytes it takes here.
    pub(super) fn weight(&self) -> usize {
        let properties = match &self.said {
            Said::Cleared => 0,
            Said::Payload { properties, .. } => properties.len(),
        };
        self.id.len() + properties + self.payload.len()
    }

    /// Bytes that NATS counts against its `max_payload`.
    pub(super) fn size(&self, headers: &HeaderMap) -> usize {
        // "NATS/1.0\r\n", a line for each, and an empty one.
        let lines = headers.iter().map(|(name, values)| {
            let name: &str = name.as_ref();
            values.iter().map(|value| name.len() + value.as_str().len() + 4).sum::<usize>()
        });
        12 + lines.sum::<usize>() + self.payload.len()
    }
}

/// The `Nats-Msg-Id` of a message that its publisher calls `id`: the same at every broker.
pub(super) fn id_of_publisher(id: &str) -> String {
    format!("{OF_A_PUBLISHER}{}", utf8_percent_encode(id, NOT_IN_A_HEADER))
}

/// A message as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inbound {
    /// What it says.
    pub(super) content: SharedContent,
    /// What its publisher called it.
    pub(super) id: Option<Box<str>>,
    /// The header that was not understood, and is taken as if it were not there.
    pub(super) odd: Option<&'static str>,
}

/// A message as NATS had it; `None` where it is a word of the server's, and no message.
pub(super) fn read(headers: Option<&HeaderMap>, payload: &[u8]) -> Option<Inbound> {
    // They are gone through once, and not asked for one by one.
    let mut found = [None; NAMES.len()];
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        let name: &str = name.as_ref();
        if let Some(at) = NAMES.iter().position(|known| *known == name) {
            found[at] = values.first().map(|value| value.as_str().trim());
        }
    }
    let header = |name: &str| found[NAMES.iter().position(|known| *known == name)?];
    if header(MARKER).is_some() {
        return None;
    }
    let mut odd = None;
    let id = header(ID).and_then(|id| id.strip_prefix(OF_A_PUBLISHER)).and_then(|id| {
        let id = percent_decode_str(id).decode_utf8();
        odd = odd.or(id.is_err().then_some(ID));
        Some(Box::from(id.ok()?))
    });
    if is_true(CLEAR, header(CLEAR), false, &mut odd) {
        return Some(Inbound { content: SharedContent::Cleared, id, odd });
    }
    let retain = is_true(RETAIN, header(RETAIN), true, &mut odd);
    let ttl = read_as(TTL, header(TTL), |text| text.parse().ok(), &mut odd);
    let qos = read_as(QOS, header(QOS), |text| Qos::from_byte(text.parse().ok()?), &mut odd);
    let properties =
        read_as(PROPERTIES, header(PROPERTIES), |text| STANDARD.decode(text).ok(), &mut odd);
    let content = SharedContent::Payload(SharedPayload {
        encoding: header(TYPE).map(encoding),
        bytes: payload.to_vec(),
        retain,
        ttl,
        qos,
        properties: properties.unwrap_or_default().into(),
    });
    Some(Inbound { content, id, odd })
}

/// A header that says yes or no.
fn is_true(
    name: &'static str,
    value: Option<&str>,
    unsaid: bool,
    odd: &mut Option<&'static str>,
) -> bool {
    let read = |text: &str| match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    };
    read_as(name, value, read, odd).unwrap_or(unsaid)
}

fn read_as<T>(
    name: &'static str,
    value: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
    odd: &mut Option<&'static str>,
) -> Option<T> {
    let value = value?;
    let found = read(value);
    if found.is_none() {
        *odd = Some(name);
    }
    found
}

/// What a media type says of a payload. What is none of ours is bytes: it is said, and so not to be
/// guessed.
fn encoding(value: &str) -> Encoding {
    let (media, parameters) = value.split_once(';').unwrap_or((value, ""));
    let media = media.trim().to_ascii_lowercase();
    match media.as_str() {
        JSON => Encoding::Value(Format::Json),
        XML | "text/xml" => Encoding::Value(Format::Xml),
        PICKLE | "application/python-pickle" | "application/x-pickle" => {
            Encoding::Value(Format::Pickle)
        }
        other if other.ends_with("+json") => Encoding::Value(Format::Json),
        other if other.ends_with("+xml") => Encoding::Value(Format::Xml),
        other if other.starts_with("text/") && is_utf8(parameters) => Encoding::Text,
        _ => Encoding::Bytes,
    }
}

fn is_utf8(parameters: &str) -> bool {
    parameters.split(';').all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        !name.trim().eq_ignore_ascii_case("charset")
            || value.eq_ignore_ascii_case("utf-8")
            || value.eq_ignore_ascii_case("us-ascii")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(encoding: Option<Encoding>) -> SharedPayload {
        SharedPayload {
            encoding,
            bytes: b"\x00\xff{}".to_vec(),
            retain: true,
            ttl: None,
            qos: None,
            properties: Box::default(),
        }
    }

    fn named<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        Some(headers.get(name)?.as_str())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        pairs.iter().for_each(|(name, value)| headers.insert(*name, *value));
        headers
    }

    #[test]
    fn a_format_is_a_media_type() {
        for (encoding, media) in [
            (Some(Encoding::Value(Format::Json)), Some("application/json")),
            (Some(Encoding::Value(Format::Xml)), Some("application/xml")),
            (Some(Encoding::Value(Format::Pickle)), Some("application/x-python-pickle")),
            (Some(Encoding::Text), Some("text/plain; charset=utf-8")),
            (Some(Encoding::Bytes), Some("application/octet-stream")),
            (None, None),
        ] {
            let content = SharedContent::Payload(payload(encoding));
            let outbound = Outbound::new(content.clone(), "7".to_owned()).unwrap();
            let headers = outbound.headers();
            assert_eq!(named(&headers, TYPE), media);
            // Nothing is said of what is as usual.
            assert_eq!(headers.len(), 1 + usize::from(media.is_some()));
            let inbound = read(Some(&headers), &outbound.payload).unwrap();
            assert_eq!(inbound, Inbound { content, id: None, odd: None });
        }
        let body = payload(Some(Encoding::Body(Format::Pickle)));
        assert!(Outbound::new(SharedContent::Payload(body), "7".to_owned()).is_err());
    }

    #[test]
    fn other_programs_say_what_their_payloads_are() {
        for (media, expected) in [
            ("APPLICATION/JSON", Encoding::Value(Format::Json)),
            ("application/geo+json; v=1", Encoding::Value(Format::Json)),
            ("text/xml", Encoding::Value(Format::Xml)),
            ("text/csv", Encoding::Text),
            ("text/plain;charset=\"UTF-8\"", Encoding::Text),
            ("text/plain; charset=latin-1", Encoding::Bytes),
            ("image/png", Encoding::Bytes),
        ] {
            assert_eq!(encoding(media), expected, "{media}");
        }
    }

    #[test]
    fn what_is_not_understood_is_as_if_it_were_not_there() {
        let plain = SharedContent::Payload(SharedPayload { bytes: b"1".to_vec(), ..payload(None) });
        for (name, value) in [
            (RETAIN, "perhaps"),
            (TTL, "-1"),
            (TTL, "99999999999"),
            (QOS, "3"),
            (PROPERTIES, "%%%"),
            (CLEAR, "1"),
            (ID, "id-%FF"),
        ] {
            let inbound = read(Some(&headers(&[(name, value)])), b"1").unwrap();
            assert_eq!(inbound, Inbound { content: plain.clone(), id: None, odd: Some(name) });
        }
        let strange = headers(&[("X-Other", "1"), (ID, "7-8-9")]);
        let inbound = read(Some(&strange), b"1").unwrap();
        assert_eq!(inbound, Inbound { content: plain.clone(), id: None, odd: None });
        let without = read(None, b"1").unwrap();
        assert_eq!(without, Inbound { content: plain, id: None, odd: None });
        // A word of the server's own is no message.
        assert_eq!(read(Some(&headers(&[(MARKER, "MaxAge")])), b""), None);
    }

    #[test]
    fn a_size_is_what_the_server_counts() {
        let outbound = Outbound::new(SharedContent::Cleared, "abc".to_owned()).unwrap();
        let expected = "NATS/1.0\r\nNats-Msg-Id: abc\r\nBabelmq-Clear: true\r\n\r\n".len();
        assert_eq!(outbound.size(&outbound.headers()), expected);
    }

    proptest! {
        #[test]
        fn every_message_comes_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            retain in any::<bool>(),
            ttl in any::<Option<u32>>(),
            qos in proptest::option::of(0..3_u8),
            properties in proptest::collection::vec(any::<u8>(), 0..20),
            id in any::<Option<String>>(),
        ) {
            let qos = qos.and_then(Qos::from_byte);
            let encoding = Some(Encoding::Text);
            let properties = properties.into();
            let payload = SharedPayload { encoding, bytes, retain, ttl, qos, properties };
            let content = SharedContent::Payload(payload);
            let name = id.as_deref().map_or_else(|| "b-e-1".to_owned(), id_of_publisher);
            let outbound = Outbound::new(content.clone(), name).unwrap();
            let inbound = read(Some(&outbound.headers()), &outbound.payload).unwrap();
            let id = id.map(String::into_boxed_str);
            prop_assert_eq!(inbound, Inbound { content, id, odd: None });
        }
    }
}
