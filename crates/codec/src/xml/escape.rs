//! Text and attributes on their way out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::chars;
use super::text::push_char;
use crate::lanes::{Lanes, at_most, equal, has_any};

/// Whether the text, which is UTF-8, is spelled literally in attributes and between tags. Some
/// texts of which this is true are not found.
#[inline]
pub fn is_plain(text: &[u8]) -> bool {
    !has_any(text, |text| marks(text) | equal(text, b'"') | text)
}

/// The same between tags alone, for text of any language: only some rare characters (U+F000 to
/// U+FFFF) are not found to be literal although they are.
#[inline]
pub(super) fn is_literal(text: &[u8]) -> bool {
    !has_any(text, marks)
}

/// Marks what makes a text one to be looked at more closely: markup, control characters, and what
/// begins the characters from U+F000 to U+FFFF.
#[inline(always)]
pub(super) fn marks(text: Lanes) -> Lanes {
    // `<` and `>` differ in one bit.
    let markup = equal(text, b'&') | equal(text | Lanes::splat(2), b'>');
    markup | at_most(text, 0x1f) | equal(text, 0xef)
}

/// Whether XML can carry the text, which is UTF-8.
pub(super) fn is_carriable(text: &[u8]) -> bool {
    chars::first_forbidden(text).is_none()
}

/// Whether [`write_attribute`] writes this value so that it is read as it is: all UTF-8 without
/// control characters (other than tab and line ends), U+FFFE and U+FFFF.
pub fn fits_attribute(value: &[u8]) -> bool {
    str::from_utf8(value).is_ok() && is_carriable(value)
}

/// Appends ` name="value"`, the value escaped. `name` must be an XML name.
///
/// A character that [does not fit](fits_attribute) becomes U+FFFD; a field that must arrive as it
/// is goes into an element, with [`write_text`](super::write_text).
pub fn write_attribute(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    if fits_attribute(value) {
        push_attribute(value, out);
    } else {
        let mut carriable = Vec::with_capacity(value.len());
        for character in String::from_utf8_lossy(value).chars() {
            let from = carriable.len();
            push_char(character, &mut carriable);
            if !is_carriable(&carriable[from..]) {
                carriable.truncate(from);
                push_char(char::REPLACEMENT_CHARACTER, &mut carriable);
            }
        }
        push_attribute(&carriable, out);
    }
    out.push(b'"');
}

/// Appends text as it stands between tags. A carriage return would be read as a line feed if it
/// were not a reference.
pub(super) fn push_text(text: &[u8], out: &mut Vec<u8>) {
    push_escaped(text, out, |byte| match byte {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'>' => Some(b"&gt;"),
        b'\r' => Some(b"&#13;"),
        _ => None,
    });
}

/// Appends text as it stands between double quotes. Tab and line feed would be read as spaces.
pub(super) fn push_attribute(text: &[u8], out: &mut Vec<u8>) {
    push_escaped(text, out, |byte| match byte {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'>' => Some(b"&gt;"),
        b'"' => Some(b"&quot;"),
        b'\t' => Some(b"&#9;"),
        b'\n' => Some(b"&#10;"),
        b'\r' => Some(b"&#13;"),
        _ => None,
    });
}

#[inline]
fn push_escaped(text: &[u8], out: &mut Vec<u8>, escape: impl Fn(u8) -> Option<&'static [u8]>) {
    let mut written = 0;
    for (at, &byte) in text.iter().enumerate() {
        if let Some(escaped) = escape(byte) {
            out.extend_from_slice(&text[written..at]);
            out.extend_from_slice(escaped);
            written = at + 1;
        }
    }
    out.extend_from_slice(&text[written..]);
}

/// Appends the base64 of what XML cannot carry.
pub(super) fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[from..]).unwrap_or(0);
    out.truncate(from + written);
}
