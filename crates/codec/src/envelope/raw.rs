//! Payloads that come by themselves, without a frame around them that says what they are.

use std::ops::Range;

use super::bounds::{AROUND, PER_NODE, PER_TEXT};
use super::decode::{decode_part, not_utf8};
use super::longest::{hold_to_max_encoded, hold_value_to_max_encoded};
use super::payload_span::{Part, PayloadSpan};
use super::tighter::hold_to_tighter_limits;
use crate::Document;
use crate::budget::Budget;
use crate::json;
use crate::protocol::{ErrorCode, Format, Limits, Refusal};

/// What a payload is to be read as that comes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawFormat {
    /// JSON where the reader of JSON takes it, else a text where it is UTF-8, else bytes.
    Auto,
    /// JSON.
    Json,
    /// A text in UTF-8.
    Text,
    /// Bytes.
    Bytes,
}

/// Judges the payload in `source[range]` for `topic`, in time and memory that are linear in its
/// length, and says in which format it is, for a [`BatchEntry`](crate::BatchEntry). Its bytes stay
/// as they are, with the spaces around JSON.
///
/// JSON is decoded into `document` only where nothing less can judge it, and that takes as much as
/// a frame of its length may decode to. With [`Auto`](RawFormat::Auto), what the reader of JSON
/// refuses is a text or bytes, a byte order mark before JSON included. What is JSON and becomes too
/// much is refused: what a value is does not hang on its length.
///
/// # Errors
/// [`ErrorCode::TooLarge`]; of JSON that is asked for all that its reader refuses, and
/// [`ErrorCode::InvalidValue`] for a text that is not UTF-8. `document` is then as it was.
pub fn judge_raw(
    topic: &str,
    source: &[u8],
    range: Range<usize>,
    format: RawFormat,
    document: &mut Document,
    limits: &Limits,
) -> Result<(Format, PayloadSpan), Refusal> {
    let is_utf8 = || simdutf8::basic::from_utf8(&source[range.clone()]).is_ok();
    let part = match format {
        RawFormat::Auto | RawFormat::Json => {
            match judge_json(topic, source, range.clone(), document, limits) {
                Err(refusal)
                    if format == RawFormat::Auto && refusal.code != ErrorCode::TooLarge =>
                {
                    if is_utf8() {
                        Part::Text(range)
                    } else {
                        Part::Bytes(range)
                    }
                }
                judged => return judged.map(|span| (Format::Json, span)),
            }
        }
        RawFormat::Text if is_utf8() => Part::Text(range),
        RawFormat::Text => return Err(not_utf8()),
        RawFormat::Bytes => Part::Bytes(range),
    };
    hold_raw_to_limits(topic, source, &part, limits)?;
    Ok((Format::Pickle, PayloadSpan { part, document: None }))
}

fn judge_json(
    topic: &str,
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<PayloadSpan, Refusal> {
    if json::is_plain_value(source, range.clone(), limits) {
        return Ok(PayloadSpan { part: Part::Value(range), document: None });
    }
    let (mark, length) = (document.mark(), range.len());
    let judged = json::lone_value(source, range, document, limits).and_then(|message| {
        hold_to_tighter_limits(source, Format::Json, &message, document, limits)?;
        hold_to_max_encoded(source, Format::Json, length, topic, &message, document, limits)?;
        Ok(message)
    });
    if judged.is_err() {
        document.truncate(mark);
    }
    judged
}

/// Holds a text or bytes by themselves to what a message may decode to and become.
///
/// # Errors
/// [`ErrorCode::TooLarge`].
pub(crate) fn hold_raw_to_limits(
    topic: &str,
    source: &[u8],
    part: &Part,
    limits: &Limits,
) -> Result<(), Refusal> {
    let length = part.range().len();
    Budget::new(limits, length).node(length)?;
    if length.saturating_mul(PER_TEXT) + PER_NODE + AROUND <= limits.max_encoded as usize {
        return Ok(());
    }
    let mut document = Document::new();
    let root = decode_part(source, Format::Pickle, part, &mut document, &Limits::NONE)?;
    hold_value_to_max_encoded(topic, document.view(source, root), limits)
}

#[cfg(test)]
mod tests;
