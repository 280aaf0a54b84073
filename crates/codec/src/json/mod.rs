//! JSON (RFC 8259).
//!
//! One scan tells what a text says to whoever asks: [`decode`] builds a document, `read_fields`
//! judges a message body and leaves its bytes as they are, and XML and pickle are written while a
//! text is read. Written by hand because what is judged here is what serde_json lets through or
//! cannot tell: integers beyond 64 bits, numbers beyond a double, lone surrogates, depth.

mod brackets;
mod events;
mod fast_validate;
mod fault;
mod literal;
mod named;
mod read;
mod scalar;
mod scan;
mod size;
mod style;
mod tags;
mod unescape;
mod validate;
mod write;

use std::ops::Range;

pub(super) use events::{Bracket, Events, Number, Str};
pub(super) use fault::Fault;
pub(super) use literal::literal_length;
pub use read::decode;
pub(super) use scalar::put_text;
pub use scalar::write_str;
pub(super) use scan::Scan;
pub(super) use size::size;
pub use tags::Tags;
pub(super) use unescape::unescape;
pub(super) use validate::{
    is_plain_value, is_tag, lone_value, plain_value, read_fields, scan_unjudged,
};
pub use write::encode;
pub(super) use write::put;

/// The mark with which some programs begin UTF-8. RFC 8259 §8.1 lets a reader pass over it, and
/// Python's `json.loads` does so with bytes.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A text without the mark that it begins with; `None` where there is none.
#[inline]
pub(super) fn without_mark(source: &[u8], text: &Range<usize>) -> Option<Range<usize>> {
    let has_mark = source[text.clone()].starts_with(MARK);
    has_mark.then(|| text.start + MARK.len()..text.end)
}

#[cfg(test)]
mod tests;
