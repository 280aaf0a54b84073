//! Live deliveries: what [`write_frame`](super::write_frame) would write for them, of which only
//! topic and payload differ from one message to the next.

use std::ops::Range;

use super::dialect::Dialect;
use super::longest::encoded_room;
use super::write::{Content, Field, header, write_frame};
use crate::json::{self, Scan};
use crate::out_buf::{OutBuf, OutVec, Stop};
use crate::protocol::{HEADER_LEN, Limits};
use crate::xml::PlainNames;
use crate::{pickle, xml};

/// What stands in a live delivery before its topic, between that and the payload, and behind it.
/// The first begins with room for the header.
const JSON_BEFORE: &[u8; 34] = b"\0\0\0\0\0{\"command\":\"publish\",\"topic\":";
const JSON_BETWEEN: &[u8; 11] = b",\"message\":";
const JSON_BEHIND: &[u8; 1] = b"}";
const XML_BEFORE: &[u8; 37] = b"\0\0\0\0\0<frame command=\"publish\" topic=\"";
const XML_BETWEEN: &[u8; 2] = b"\">";
const XML_BEHIND: &[u8; 8] = b"</frame>";
const PICKLE_BEFORE: &[u8; 34] = b"\0\0\0\0\0\x80\x04}(\x8c\x07command\x8c\x07publish\x8c\x05topic";
const PICKLE_BETWEEN: &[u8; 9] = b"\x8c\x07message";
const PICKLE_BEHIND: &[u8; 2] = b"u.";

/// Where the payload lies in a live delivery: a JSON text, an element, or a pickle without its
/// first opcode (`PROTO`) and its last (`STOP`).
pub(crate) fn payload_in(dialect: Dialect, delivery: &[u8]) -> Range<usize> {
    let (start, behind) = match dialect {
        Dialect::Json | Dialect::ExactJson | Dialect::JsJson => {
            let topic = JSON_BEFORE.len();
            let end = topic + json_string_len(&delivery[topic..]);
            (end + JSON_BETWEEN.len(), JSON_BEHIND.len())
        }
        Dialect::Xml | Dialect::PlainXml => {
            // A topic that no attribute can hold is an element, in base64.
            let end = |mark: &[u8]| {
                memchr::memmem::find(delivery, mark).map_or(delivery.len(), |at| at + mark.len())
            };
            let is_attribute = delivery[HEADER_LEN..].starts_with(&XML_BEFORE[HEADER_LEN..]);
            let start = if is_attribute { end(XML_BETWEEN) } else { end(b"</topic>") };
            (start, XML_BEHIND.len())
        }
        Dialect::Pickle | Dialect::ExactPickle => {
            let topic = PICKLE_BEFORE.len();
            let end = topic + pickle_str_len(&delivery[topic..]);
            (end + PICKLE_BETWEEN.len(), PICKLE_BEHIND.len())
        }
    };
    start..delivery.len() - behind
}

/// How long the JSON string is that some JSON begins with.
fn json_string_len(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(length) = memchr::memchr2(b'"', b'\\', &json[at.min(json.len())..]) {
        at += length;
        if json[at] == b'"' {
            return at + 1;
        }
        // An escape, of which the second byte may be a quote.
        at += 2;
    }
    json.len()
}

/// How long the str is that a part of a pickle begins with, its opcode included.
fn pickle_str_len(pickle: &[u8]) -> usize {
    match *pickle {
        [b'\x8c', length, ..] => 2 + usize::from(length),
        [_, a, b, c, d, ..] => 5 + u32::from_le_bytes([a, b, c, d]) as usize,
        _ => pickle.len(),
    }
}

/// Appends a delivery that is no stored value.
#[inline]
pub(crate) fn write_live(sheet: &mut OutVec, dialect: Dialect, topic: &str, message: Content<'_>) {
    // Asked for where there is not room enough.
    let size = || match message {
        Content::Decoded(view) => encoded_room(view, dialect),
        Content::Published(bytes) => bytes.len() as u64,
    };
    let is_written = match dialect {
        Dialect::Json | Dialect::ExactJson | Dialect::JsJson => {
            let tags = dialect.tags();
            in_json(sheet, dialect, topic, size, |mut page| match message {
                Content::Published(bytes) => {
                    page.slice(bytes)?;
                    Ok(page)
                }
                Content::Decoded(view) => json::put(view, tags, page),
            })
        }
        Dialect::Xml => in_xml(sheet, topic, size, |mut page| match message {
            Content::Published(element) => {
                page.slice(element)?;
                Ok(page)
            }
            Content::Decoded(view) => xml::put(view, page),
        }),
        Dialect::PlainXml => in_xml(sheet, topic, size, |mut page| match message {
            Content::Published(element) => {
                page.slice(element)?;
                Ok(page)
            }
            Content::Decoded(view) => xml::put_plain(view, &PlainNames::default(), page),
        }),
        Dialect::Pickle | Dialect::ExactPickle => match message {
            Content::Decoded(view) => {
                let classes = dialect.classes();
                in_pickle(sheet, topic, size, |page| pickle::put(view, classes, page))
            }
            // A producer's pickle is never passed on, so there is no published form of it.
            Content::Published(_) => false,
        },
    };
    if !is_written {
        let fields = [("command", Field::Str("publish")), ("topic", Field::Str(topic))];
        let mut frame = Vec::new();
        write_frame(&mut frame, dialect, fields.iter(), Some(message));
        sheet.append(&frame);
    }
}

/// Appends a delivery, that is no stored value, of JSON that was judged, in another format, and
/// says whether it did: what is unusual is to be decoded first, and nothing is appended then.
#[inline]
pub(crate) fn write_judged(
    sheet: &mut OutVec,
    dialect: Dialect,
    topic: &str,
    source: &[u8],
    json: Range<usize>,
) -> bool {
    translate(sheet, dialect, topic, Scan::of_utf8(source, json)).is_some()
}

/// The same for JSON that is not judged yet and begins at `start` of a text. Returns where it ends;
/// `None` where it is to be judged another way, and nothing is appended then.
#[inline]
pub(crate) fn write_unjudged(
    sheet: &mut OutVec,
    to: (Dialect, &str),
    source: &[u8],
    text: Range<usize>,
    start: usize,
    limits: &Limits,
) -> Option<usize> {
    let (dialect, topic) = to;
    translate(sheet, dialect, topic, json::scan_unjudged(source, text, start, limits)?)
}

#[inline(always)]
fn translate(sheet: &mut OutVec, dialect: Dialect, topic: &str, scan: Scan<'_>) -> Option<usize> {
    let mut end = 0;
    let is_written = match dialect {
        Dialect::Xml => in_xml(
            sheet,
            topic,
            || 0,
            |page| {
                let (page, at) = xml::put_json(scan, page)?;
                end = at;
                Ok(page)
            },
        ),
        // JSON without tags has no types.
        Dialect::Pickle | Dialect::ExactPickle => in_pickle(
            sheet,
            topic,
            || 0,
            |page| {
                let (page, at) = pickle::put_json(scan, page)?;
                end = at;
                Ok(page)
            },
        ),
        Dialect::Json | Dialect::ExactJson | Dialect::JsJson | Dialect::PlainXml => false,
    };
    is_written.then_some(end)
}

#[inline(always)]
fn in_json(
    sheet: &mut OutVec,
    dialect: Dialect,
    topic: &str,
    size: impl FnOnce() -> u64,
    mut payload: impl for<'a> FnMut(OutBuf<'a>) -> Result<OutBuf<'a>, Stop>,
) -> bool {
    framed(sheet, dialect, size, |mut page| {
        page.put(JSON_BEFORE)?;
        page = json::put_text(topic.as_bytes(), page)?;
        page.put(JSON_BETWEEN)?;
        page = payload(page)?;
        page.put(JSON_BEHIND)?;
        Ok(page)
    })
}

#[inline(always)]
fn in_xml(
    sheet: &mut OutVec,
    topic: &str,
    size: impl FnOnce() -> u64,
    mut payload: impl for<'a> FnMut(OutBuf<'a>) -> Result<OutBuf<'a>, Stop>,
) -> bool {
    if !xml::is_plain(topic.as_bytes()) {
        return false;
    }
    framed(sheet, Dialect::Xml, size, |mut page| {
        page.put(XML_BEFORE)?;
        page.slice(topic.as_bytes())?;
        page.put(XML_BETWEEN)?;
        page = payload(page)?;
        page.put(XML_BEHIND)?;
        Ok(page)
    })
}

#[inline(always)]
fn in_pickle(
    sheet: &mut OutVec,
    topic: &str,
    size: impl FnOnce() -> u64,
    mut payload: impl for<'a> FnMut(OutBuf<'a>) -> Result<OutBuf<'a>, Stop>,
) -> bool {
    framed(sheet, Dialect::Pickle, size, |mut page| {
        page.put(PICKLE_BEFORE)?;
        page = pickle::put_text(topic.as_bytes(), page)?;
        page.put(PICKLE_BETWEEN)?;
        page = payload(page)?;
        page.put(PICKLE_BEHIND)?;
        Ok(page)
    })
}

/// Appends a frame: `write` leaves room for its header. `size` says how long its payload is, or 0
/// where nobody knows.
#[inline(always)]
pub(super) fn framed(
    sheet: &mut OutVec,
    dialect: Dialect,
    size: impl FnOnce() -> u64,
    write: impl for<'a> FnMut(OutBuf<'a>) -> Result<OutBuf<'a>, Stop>,
) -> bool {
    let start = sheet.len();
    let is_written = sheet.fill_sized(size, write);
    if is_written {
        let frame = sheet.written_mut(start);
        let header = header(dialect, frame.len() - HEADER_LEN);
        frame[..HEADER_LEN].copy_from_slice(&header);
    }
    is_written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Format;
    use crate::{Document, Node};

    const ELEMENT: &[u8] = b"<message type=\"int\">1</message>";

    #[test]
    fn a_live_delivery_is_a_frame_like_any_other() {
        let mut document = Document::new();
        let root = document.push(Node::Int(1));
        let view = document.view(b"", root);
        for topic in ["weather/oslo", "a&b", "a\"b", "ü", "\u{ffff}", "x", &"long".repeat(200)] {
            for dialect in Dialect::ALL {
                for message in [Content::Decoded(view), Content::Published(ELEMENT)] {
                    let fields = [("command", Field::Str("publish")), ("topic", Field::Str(topic))];
                    let (mut live, mut frame) = (OutVec::default(), Vec::new());
                    let is_pickle = dialect.format() == Format::Pickle;
                    let payload = match (dialect, message) {
                        _ if is_pickle => &b"K\x01"[..],
                        (Dialect::PlainXml, Content::Decoded(_)) => b"<message>1</message>",
                        (Dialect::Xml, _) | (_, Content::Published(_)) => ELEMENT,
                        _ => b"1",
                    };
                    write_live(&mut live, dialect, topic, message);
                    write_frame(&mut frame, dialect, fields.iter(), Some(message));
                    assert_eq!(live.into_bytes(), frame);
                    if !(is_pickle && matches!(message, Content::Published(_))) {
                        assert_eq!(&frame[payload_in(dialect, &frame)], payload, "{topic}");
                    }
                }
            }
        }
    }

    #[test]
    fn judged_json_is_delivered_as_its_value_is() {
        let json = br#"{"a":[1,"x",2.50]}"#;
        let mut document = Document::new();
        let limits = crate::protocol::Limits::NONE;
        let root = json::decode(json, 0..json.len(), &mut document, &limits).unwrap();
        let content = Content::Decoded(document.view(json, root));
        for dialect in [Dialect::Xml, Dialect::Pickle, Dialect::ExactPickle] {
            for topic in ["weather/oslo", "a&b", "ü"] {
                let (mut judged, mut decoded) = (OutVec::default(), OutVec::default());
                let written = write_judged(&mut judged, dialect, topic, json, 0..json.len());
                assert_eq!(written, dialect != Dialect::Xml || topic == "weather/oslo");
                write_live(&mut decoded, dialect, topic, content);
                if written {
                    assert_eq!(judged.into_bytes(), decoded.into_bytes());
                }
            }
        }
    }
}
