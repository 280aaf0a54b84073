//! Live deliveries: what [`write_frame`](super::write_frame) would write for them, of which only
//! topic and payload differ from one message to the next.

use std::ops::Range;

use super::dialect::Dialect;
use super::longest::encoded_room;
use super::write::{Content, Field, header, write_frame};
use crate::out_buf::{OutBuf, OutVec, Stop};
use crate::protocol::{HEADER_LEN, Limits};
use crate::xml::KnownNames;
use crate::{json, pickle, xml};

/// Appends a delivery that is no stored value.
#[inline]
pub(crate) fn write_live(
    sheet: &mut OutVec,
    dialect: Dialect,
    topic: &str,
    message: Content<'_>,
    known: &mut KnownNames,
) {
    // Asked for where there is not room enough.
    let size = || match message {
        Content::Decoded(view) => encoded_room(view, dialect),
        Content::Published(bytes) => bytes.len() as u64,
    };
    let is_written = match dialect {
        Dialect::Json | Dialect::ExactJson => {
            let exact = dialect == Dialect::ExactJson;
            in_json(sheet, dialect, topic, size, |mut page| match message {
                Content::Published(bytes) => {
                    page.slice(bytes)?;
                    Ok(page)
                }
                Content::Decoded(view) => json::put(view, exact, page),
            })
        }
        Dialect::Xml => in_xml(sheet, topic, size, |mut page| match message {
            Content::Published(element) => {
                page.slice(element)?;
                Ok(page)
            }
            Content::Decoded(view) => xml::put(view, known, page),
        }),
        Dialect::Pickle => match message {
            Content::Decoded(view) => in_pickle(sheet, topic, size, |page| pickle::put(view, page)),
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
    known: &mut KnownNames,
) -> bool {
    translate::<false>(sheet, dialect, topic, source, json, known).is_some()
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
    known: &mut KnownNames,
) -> Option<usize> {
    let (dialect, topic) = to;
    if !json::may_be_everyday(source, &text, start, limits) {
        return None;
    }
    translate::<true>(sheet, dialect, topic, source, start..text.end, known)
}

#[inline(always)]
fn translate<const JUDGE: bool>(
    sheet: &mut OutVec,
    dialect: Dialect,
    topic: &str,
    source: &[u8],
    json: Range<usize>,
    known: &mut KnownNames,
) -> Option<usize> {
    let mut end = 0;
    let is_written = match dialect {
        Dialect::Xml => in_xml(
            sheet,
            topic,
            || 0,
            |page| {
                let (page, at) = xml::put_json::<JUDGE>(source, json.clone(), known, page)?;
                end = at;
                Ok(page)
            },
        ),
        Dialect::Pickle => in_pickle(
            sheet,
            topic,
            || 0,
            |page| {
                let (page, at) = pickle::put_json::<JUDGE>(source, json.clone(), page)?;
                end = at;
                Ok(page)
            },
        ),
        Dialect::Json | Dialect::ExactJson => false,
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
        page.put(b"\0\0\0\0\0{\"command\":\"publish\",\"topic\":")?;
        page = json::put_text(topic.as_bytes(), page)?;
        page.put(b",\"message\":")?;
        page = payload(page)?;
        page.put(b"}")?;
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
        page.put(b"\0\0\0\0\0<frame command=\"publish\" topic=\"")?;
        page.slice(topic.as_bytes())?;
        page.put(b"\">")?;
        page = payload(page)?;
        page.put(b"</frame>")?;
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
        page.put(b"\0\0\0\0\0\x80\x04}(\x8c\x07command\x8c\x07publish\x8c\x05topic")?;
        page = pickle::put_text(topic.as_bytes(), page)?;
        page.put(b"\x8c\x07message")?;
        page = payload(page)?;
        page.put(b"u.")?;
        Ok(page)
    })
}

/// Appends a frame: `write` leaves room for its header. `size` says how long its payload is, or 0
/// where nobody knows.
#[inline(always)]
fn framed(
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
    use crate::{Document, Node};

    #[test]
    fn a_live_delivery_is_a_frame_like_any_other() {
        let mut document = Document::new();
        let root = document.push(Node::Int(1));
        let view = document.view(b"", root);
        for topic in ["weather/oslo", "a&b", "a\"b", "ü", "\u{ffff}", "x", &"long".repeat(200)] {
            for dialect in Dialect::ALL {
                for message in [
                    Content::Decoded(view),
                    Content::Published(b"<message type=\"int\">1</message>"),
                ] {
                    let fields = [("command", Field::Str("publish")), ("topic", Field::Str(topic))];
                    let (mut live, mut frame) = (OutVec::default(), Vec::new());
                    write_live(&mut live, dialect, topic, message, &mut KnownNames::default());
                    write_frame(&mut frame, dialect, fields.iter(), Some(message));
                    assert_eq!(live.into_bytes(), frame);
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
        for dialect in [Dialect::Xml, Dialect::Pickle] {
            for topic in ["weather/oslo", "a&b", "ü"] {
                let (mut judged, mut decoded) = (OutVec::default(), OutVec::default());
                let mut known = KnownNames::default();
                let written =
                    write_judged(&mut judged, dialect, topic, json, 0..json.len(), &mut known);
                assert_eq!(written, dialect == Dialect::Pickle || topic == "weather/oslo");
                write_live(&mut decoded, dialect, topic, content, &mut known);
                if written {
                    assert_eq!(judged.into_bytes(), decoded.into_bytes());
                }
            }
        }
    }
}
