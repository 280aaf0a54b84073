//! How long the frames are that a message may become, before one is written.
//!
//! A translation can be many times as long as what was published: a control character takes one
//! byte in a pickle and six in JSON, and a pickle that refers to its parts repeats them. A message
//! whose longest frame is over the limit is refused when it is published, so that whatever was
//! accepted can be read by every client.

use super::bounds::{AROUND, PER_NODE, PER_TEXT, decoded_surely_fits, surely_fits};
use super::decode::decode_part;
use super::dialect::Dialect;
use super::payload_span::{Part, PayloadSpan};
use super::write::{Content, Field, write_frame};
use crate::document::{Document, View};
use crate::protocol::{
    ENCODED_FLOOR, ENCODED_PER_BYTE, ErrorCode, Format, HEADER_LEN, Limits, Refusal,
    STREAM_NAME_BYTES,
};
use crate::xml::{self, PlainNames};
use crate::{json, pickle};

/// Bytes that a value becomes in a dialect: what writing it appends, without the writing.
pub fn encoded_size(view: View<'_>, dialect: Dialect) -> u64 {
    match dialect {
        Dialect::Json | Dialect::ExactJson | Dialect::JsJson => {
            json::size::<true>(view, dialect.tags())
        }
        Dialect::Xml => xml::size::<true>(view),
        Dialect::PlainXml => xml::plain_size(view, &PlainNames::default()),
        Dialect::Pickle | Dialect::ExactPickle => pickle::size(view, dialect.classes()),
    }
}

/// Bytes that a value becomes in a dialect, or some more: room to write it in.
pub(super) fn encoded_room(view: View<'_>, dialect: Dialect) -> u64 {
    match dialect {
        Dialect::Json | Dialect::ExactJson | Dialect::JsJson => {
            json::size::<false>(view, dialect.tags())
        }
        Dialect::Xml => xml::size::<false>(view),
        Dialect::PlainXml => xml::plain_size(view, &PlainNames::default()),
        Dialect::Pickle | Dialect::ExactPickle => pickle::size(view, dialect.classes()),
    }
}

/// Bytes in the body of a delivery of a stream whose fields are as long as they may be, the longest
/// frame that a message becomes.
pub fn longest_body(dialect: Dialect, topic: &str, message: Content<'_>) -> u64 {
    /// Any name of a stream or a consumer, and any time.
    const NAME: &str = match str::from_utf8(&[b'x'; STREAM_NAME_BYTES]) {
        Ok(name) => name,
        Err(_) => "",
    };
    const TIME: &str = "2026-11-29T17:00:00.000Z";
    let fields = [
        ("command", Field::Str("publish")),
        ("topic", Field::Str(topic)),
        ("stream", Field::Str(NAME)),
        ("consumer", Field::Str(NAME)),
        ("seq", Field::Int(i64::MAX)),
        ("time", Field::Str(TIME)),
        ("attempt", Field::Int(i64::from(u32::MAX))),
    ];
    let mut empty = Vec::new();
    write_frame(&mut empty, dialect, fields.iter(), Some(Content::Published(b"")));
    let key = if dialect.format() == Format::Pickle { b"\x8c\x07message".len() } else { 0 };
    let payload = match message {
        Content::Published(bytes) => bytes.len() as u64,
        Content::Decoded(view) => encoded_size(view, dialect),
    };
    (empty.len() - HEADER_LEN + key) as u64 + payload
}

/// Holds a message that was read from a body of `len` bytes to [`Limits::max_encoded`]. `document`
/// may hold it, and is as it was afterwards.
///
/// # Errors
/// [`ErrorCode::TooLarge`], and how long the longest of its frames would be.
pub(super) fn hold_to_max_encoded(
    source: &[u8],
    format: Format,
    len: usize,
    topic: &str,
    message: &PayloadSpan,
    document: &mut Document,
    limits: &Limits,
) -> Result<(), Refusal> {
    // The most that this length may decode to says enough of a usual message.
    let limit = limits.encoded_budget(len);
    let fits = match format {
        Format::Json | Format::Xml => {
            // A few bytes of an array are many items.
            let may_be_array = message.document.is_some() && document.has_arrays();
            surely_fits(len, limits) && !may_be_array
        }
        Format::Pickle => decoded_surely_fits(limits.decoded_budget(len), limit),
    };
    if fits || limit == usize::MAX {
        return Ok(());
    }
    match message.document {
        Some(root) => {
            judge(topic, source, format, &message.part, document.view(source, root), (len, limit))
        }
        None => {
            let mark = document.mark();
            let judged = decode_part(source, format, &message.part, document, &Limits::NONE)
                .and_then(|root| {
                    judge(
                        topic,
                        source,
                        format,
                        &message.part,
                        document.view(source, root),
                        (len, limit),
                    )
                });
            document.truncate(mark);
            judged
        }
    }
}

/// The same for a value that no frame brought.
pub(crate) fn hold_value_to_max_encoded(
    topic: &str,
    value: View<'_>,
    limits: &Limits,
) -> Result<(), Refusal> {
    // In a pickle of the broker's own nothing is passed on as it came.
    let limit = limits.max_encoded as usize;
    judge(topic, &[], Format::Pickle, &Part::Body(0..0), value, (usize::MAX, limit))
}

fn judge(
    topic: &str,
    source: &[u8],
    format: Format,
    part: &Part,
    value: View<'_>,
    (len, limit): (usize, usize),
) -> Result<(), Refusal> {
    /// As many values for each byte are no reason to look at the lists of arrays.
    const FEW: usize = 4;
    let most = value.nodes().len() * PER_NODE + value.text_size() * PER_TEXT + AROUND;
    let passed_on = match part {
        Part::Value(range) => range.len(),
        _ => 0,
    };
    if most.max(passed_on + AROUND) <= limit {
        return Ok(());
    }
    let (mut longest, mut its_dialect) = (0, Dialect::Json);
    // Without types XML is not judged: where it would be longer, it has them.
    for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::PlainXml) {
        let content = match part {
            Part::Value(range) if dialect.passes_on(format) => {
                Content::Published(&source[range.clone()])
            }
            _ => Content::Decoded(value),
        };
        let size = match (dialect, content) {
            // Without types XML has arrays as lists. Where few bytes are many of them, that counts.
            (Dialect::Xml, Content::Decoded(view)) if view.nodes().len() / FEW > len => {
                let around = longest_body(dialect, topic, Content::Published(b""));
                around + xml::untyped_size(view).max(xml::size::<true>(view))
            }
            _ => longest_body(dialect, topic, content),
        };
        if size > longest {
            (longest, its_dialect) = (size, dialect);
        }
    }
    if longest > limit as u64 { Err(too_long(longest, its_dialect, limit)) } else { Ok(()) }
}

#[cold]
fn too_long(size: u64, dialect: Dialect, limit: usize) -> Refusal {
    let format = match dialect {
        Dialect::Json => "JSON",
        Dialect::ExactJson => "exact JSON",
        Dialect::JsJson => "exact JSON for JavaScript",
        Dialect::Xml | Dialect::PlainXml => "XML",
        Dialect::Pickle => "pickle",
        Dialect::ExactPickle => "exact pickle",
    };
    Refusal::new(
        ErrorCode::TooLarge,
        format!(
            "as {format} the message would be a frame of {size} bytes; the limit is {limit}: \
             {ENCODED_PER_BYTE} for each byte \
             that was sent, {ENCODED_FLOOR} at least, and this broker's --max-encoded at most, so \
             that every client can read \
             it (max_frame of the Python client)"
        ),
    )
}

#[cfg(test)]
mod tests;
