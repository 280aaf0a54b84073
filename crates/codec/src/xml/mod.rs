//! XML: a message body, or one element of it, to values, and values to an element.
//!
//! `type` attributes say what a value is; without them an element is read as Python's `xmltodict`
//! reads it. The rules are those of `docs/protocol.md`, and where they leave a choice, it is made
//! here:
//!
//! - An element with a `type` of ours may have no other attribute than `encoding`, `xmlns…` and
//!   `xml:…`: what would have no place in the value is refused, not dropped.
//! - A dict key that XML cannot carry is written `<item key="…" key-encoding="base64">`.
//! - An `entry` of a map holds its `key` first, then its `value`.
//!
//! Bytes from clients are read through quick-xml's events, and everything that quick-xml leaves
//! unchecked is checked here: names, attributes, characters, references, prefixes, the prolog, what
//! follows the root.

mod body;
mod chars;
mod element;
mod escape;
mod fast_decode;
mod fault;
mod named;
mod names;
mod plain;
mod prolog;
mod read;
mod scope;
mod size;
mod tag;
mod text;
mod transcode;
mod typed;
mod unparse;
mod untyped;
mod write;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::identity::values;

use std::ops::Range;

pub use body::Body;
pub(super) use element::release_scratch;
pub use escape::{fits_attribute, is_plain, write_attribute};
pub(super) use size::{size, untyped_size};
pub use transcode::encode_json;
pub(super) use transcode::put_json;
pub use unparse::{PlainNames, encode_plain};
pub(super) use unparse::{is_short_enough, plain_size, put_plain};
pub(super) use untyped::is_untyped;
pub(super) use write::put;
pub use write::{encode, write_text};

use self::body::Root;

use crate::Document;
use crate::protocol::{Limits, Refusal};

/// Reads `source[range]` as a whole message body: one element of any name, whose attributes and
/// child elements are the fields. Appends it to `document`; after an error the caller takes back
/// what was appended.
///
/// The body itself does not count for the depth of its fields.
///
/// # Errors
/// [`MalformedXml`](crate::protocol::ErrorCode::MalformedXml),
/// [`ForbiddenXml`](crate::protocol::ErrorCode::ForbiddenXml),
/// [`NotAMap`](crate::protocol::ErrorCode::NotAMap) for text beside the fields,
/// [`DuplicateField`](crate::protocol::ErrorCode::DuplicateField), and whatever a value can be
/// refused for.
pub fn decode_body(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<Body, Refusal> {
    read::decode(source, range, document, limits, Root::Body)
}

/// Reads `source[range]` as one value, an element as [`Body::message`] shows where it lies. Appends
/// the value to `document` and returns its index; after an error the caller takes back what was
/// appended.
///
/// # Errors
/// As for [`decode_body`].
pub fn decode_message(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<usize, Refusal> {
    read::decode(source, range, document, limits, Root::Value).map(|body| body.root)
}
