//! From the bytes of a body to a request, and from those of a payload to its value.

use std::ops::Range;

use super::fields::{Fields, missing};
use super::payload_span::{Part, PayloadSpan};
use super::request::Request;
use crate::budget::Budget;
use crate::node::{Node, Text};
use crate::protocol::{Command, ErrorCode, Format, Limits, Refusal};
use crate::{Document, json, pickle, xml};

/// Reads a message body, and holds its payload to those limits alone that its reader has.
/// `document` may hold a part of it after an error.
///
/// # Errors
/// As for [`read_request`](super::read_request).
pub(super) fn decode_request<'a>(
    source: &'a [u8],
    format: Format,
    body: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<Request<'a>, Refusal> {
    let fields = match format {
        Format::Json => match json::without_mark(source, &body) {
            None => json::read_fields(source, body, document, limits),
            // With the mark, the frame is not what every reader of JSON takes: it is written anew.
            Some(body) => json::read_fields(source, body, document, limits).map(|mut fields| {
                fields.pass_over();
                fields
            }),
        },
        Format::Xml => xml_fields(source, body, document, limits),
        Format::Pickle => pickle_fields(source, body, document, limits),
    };
    fields.and_then(|fields| fields.request(format))
}

/// Decodes a payload again, as [`read_request`](super::read_request) did; it has been judged, so
/// this does not fail for a payload that was published.
///
/// # Errors
/// As for [`read_request`](super::read_request).
pub fn decode_part(
    source: &[u8],
    format: Format,
    part: &Part,
    document: &mut Document,
    limits: &Limits,
) -> Result<usize, Refusal> {
    decode_within(source, format, part, document, limits, usize::MAX)
}

/// The same, for what decodes to at most `decoded` bytes.
///
/// # Errors
/// As for [`decode_part`], and [`ErrorCode::TooLarge`](crate::protocol::ErrorCode::TooLarge).
pub(crate) fn decode_within(
    source: &[u8],
    format: Format,
    part: &Part,
    document: &mut Document,
    limits: &Limits,
    decoded: usize,
) -> Result<usize, Refusal> {
    // A payload that was accepted is within the limits, whichever way it was judged; it is not to
    // be refused now.
    let limits = &Limits { max_frame: limits.max_frame, decoded_size: decoded, ..Limits::NONE };
    let root = match (part, format) {
        (Part::Value(range), Format::Json) => {
            json::decode(source, range.clone(), document, limits)?
        }
        (Part::Value(range), Format::Xml) => {
            xml::decode_message(source, range.clone(), document, limits)?
        }
        (Part::Value(range), Format::Pickle) => {
            pickle::decode(source, range.clone(), document, limits)?
        }
        (Part::Text(range), _) => raw(source, range, document, decoded, Node::Str)?,
        (Part::Bytes(range), _) => raw(source, range, document, decoded, Node::Bytes)?,
        (Part::Body(range), _) => {
            let request = decode_request(source, format, range.clone(), document, limits)?;
            return match request {
                Request::Publish { message: PayloadSpan { document: Some(root), .. }, .. } => {
                    Ok(root)
                }
                _ => Err(missing("message", Command::Publish)),
            };
        }
    };
    Ok(root)
}

/// The one node of a payload that is its own value, and lies where it came.
fn raw(
    source: &[u8],
    range: &Range<usize>,
    document: &mut Document,
    decoded: usize,
    node: fn(Text) -> Node,
) -> Result<usize, Refusal> {
    Budget::of(decoded).node(range.len())?;
    let text = Text::in_source(range.clone());
    let node = node(text);
    let is_text = matches!(node, Node::Str(_));
    if is_text && simdutf8::basic::from_utf8(&source[range.clone()]).is_err() {
        return Err(not_utf8());
    }
    Ok(document.push(node))
}

/// What is said of a text that is none.
#[cold]
pub(super) fn not_utf8() -> Refusal {
    Refusal::new(ErrorCode::InvalidValue, "the text is not in UTF-8")
}

fn xml_fields<'a>(
    source: &'a [u8],
    body: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<Fields<'a>, Refusal> {
    let xml::Body { root, message, is_readable_to_all } =
        xml::decode_body(source, body.clone(), document, limits)?;
    // An element that not every parser can read is not passed on as it came: it is decoded and
    // written anew.
    let part = message.filter(|_| is_readable_to_all).map_or(Part::Body(body), Part::Value);
    Fields::from_document(source, document, root, part)
}

fn pickle_fields<'a>(
    source: &'a [u8],
    body: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<Fields<'a>, Refusal> {
    let root = pickle::decode_body(source, body.clone(), document, limits)?;
    Fields::from_document(source, document, root, Part::Body(body))
}
