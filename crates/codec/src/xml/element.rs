//! Typed elements on a page: tags of a few bytes are one piece each.

use super::chars;
use super::escape::{is_carriable, push_attribute, push_base64};
use crate::out_buf::{OutBuf, Stop};
use crate::span::Span;
use crate::swar::{HIGH, ONES, fingerprint, place_of, short_print};

/// The name of an element: the first `length` of 16 bytes, or an [`UnusualName`].
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    bytes: &'a [u8; 16],
    /// Beyond 16 it says which of the unusual names it is, counted from 17.
    length: u32,
}

impl Name<'_> {
    pub(super) const MESSAGE: Name<'static> = Name { bytes: b"message         ", length: 7 };
    pub(super) const KEY: Name<'static> = Name { bytes: b"key             ", length: 3 };
    pub(super) const VALUE: Name<'static> = Name { bytes: b"value           ", length: 5 };
    pub(super) const ITEM: Name<'static> = Name { bytes: b"item            ", length: 4 };

    /// How long the name is, where it is one of 16 bytes at most.
    #[inline(always)]
    fn short(self) -> Option<usize> {
        (self.length <= 16).then_some(self.length as usize)
    }
}

/// A name that is long, or none.
pub(super) struct UnusualName<'a> {
    key: Span<'a>,
    /// Whether the element is called by it; otherwise it is an `item` that says for which key it
    /// stands.
    is_name: bool,
}

/// Short keys that were found to be elements' names, so that they are not looked at again: with the
/// same fields come the same keys. Each lies at a place that follows from its fingerprint.
#[derive(Debug)]
pub(crate) struct KnownNames {
    prints: [u64; 64],
    /// With its length a fingerprint is a key.
    lengths: [u8; 64],
}

impl Default for KnownNames {
    fn default() -> KnownNames {
        KnownNames { prints: [0; 64], lengths: [u8::MAX; 64] }
    }
}

/// The bytes of a type: its attribute and the end of the start tag, 16 bytes and how many of them.
pub(super) type Kind = (&'static [u8; 16], usize);

pub(super) const STR: Kind = (b" type=\"str\">    ", 12);
pub(super) const INT: Kind = (b" type=\"int\">    ", 12);
pub(super) const FLOAT: Kind = (b" type=\"float\">  ", 14);
pub(super) const BOOL: Kind = (b" type=\"bool\">   ", 13);
pub(super) const NULL: Kind = (b" type=\"null\">   ", 13);
pub(super) const LIST: Kind = (b" type=\"list\">   ", 13);
pub(super) const TUPLE: Kind = (b" type=\"tuple\">  ", 14);
pub(super) const SET: Kind = (b" type=\"set\">    ", 12);
/// Two bytes short of its end.
pub(super) const FROZEN_SET: Kind = (b" type=\"frozenset", 16);
pub(super) const DICT: Kind = (b" type=\"dict\">   ", 13);
pub(super) const MAP: Kind = (b" type=\"map\">    ", 12);

/// The fingerprint of a key, see [`name_of`].
#[inline(always)]
pub(super) fn print_of(key: Span<'_>) -> u64 {
    match key.len() {
        1..=8 => short_print(key.sixteen(), key.len()),
        _ => fingerprint(key.text()),
    }
}

/// The name of the element of a dict's entry. `print` is the key's fingerprint, or the key itself
/// where it has eight bytes or fewer.
#[inline(always)]
pub(super) fn name_of<'a>(
    key: Span<'a>,
    print: u64,
    known: &mut KnownNames,
    unusual: &mut Vec<UnusualName<'a>>,
) -> Name<'a> {
    let place = place_of(print);
    let (known_print, known_length) = (&mut known.prints[place], &mut known.lengths[place]);
    if let Some(bytes) = key.tail().first_chunk()
        && key.len() <= 8
        && (*known_print == print && usize::from(*known_length) == key.len()
            || is_word_of_letters(print, key.len()))
    {
        *known_print = print;
        *known_length = key.len() as u8;
        return Name { bytes, length: key.len() as u32 };
    }
    other_name(key, unusual)
}

#[inline(never)]
fn other_name<'a>(key: Span<'a>, unusual: &mut Vec<UnusualName<'a>>) -> Name<'a> {
    let is_name = key.text() != b"item" && chars::is_element_name(key.text());
    match key.tail().first_chunk() {
        Some(bytes) if is_name && key.len() <= 16 => Name { bytes, length: key.len() as u32 },
        _ => {
            unusual.push(UnusualName { key, is_name });
            Name { bytes: Name::ITEM.bytes, length: 16 + unusual.len() as u32 }
        }
    }
}

/// Whether the first `length` bytes, up to eight, surely are an element's name: a letter other than
/// `x`, and then letters, digits and `_`. False for `item`.
#[inline(always)]
fn is_word_of_letters(word: u64, length: usize) -> bool {
    let (1..=8, low) = (length, word & !HIGH) else { return false };
    let meant = u64::MAX >> (64 - 8 * length);
    // The high bit of each byte: whether it lies between two others.
    let between = |low: u64, first: u8, last: u8| {
        (low + ONES * (0x80 - u64::from(first))) & !(low + ONES * (0x7f - u64::from(last)))
    };
    let folded = low | (ONES * 0x20);
    let letters = between(folded, b'a', b'z');
    let named = (letters | between(low, b'0', b'9') | between(low, b'_', b'_')) & !word & HIGH;
    let begins = letters & 0x80 != 0 && folded as u8 != b'x';
    begins
        && named & meant == HIGH & meant
        && word & meant != u64::from(u32::from_le_bytes(*b"item"))
}

/// Appends a start tag.
#[inline(always)]
pub(super) fn begin(
    page: &mut OutBuf<'_>,
    name: Name<'_>,
    kind: Kind,
    unusual: &[UnusualName<'_>],
) -> Result<(), Stop> {
    let (kind, length) = kind;
    match name.short() {
        Some(short) => page.with(|place: &mut [u8; 33]| {
            place[0] = b'<';
            place[1..17].copy_from_slice(name.bytes);
            place[1 + short..17 + short].copy_from_slice(kind);
            1 + short + length
        }),
        None => {
            page.aside(|page| begin_unusual(page, name, unusual))?;
            page.part(kind, length)
        }
    }
}

#[cold]
fn begin_unusual<'p>(
    mut page: OutBuf<'p>,
    name: Name<'_>,
    unusual: &[UnusualName<'_>],
) -> Result<OutBuf<'p>, Stop> {
    let name = unusual.get(name.length as usize - 17).ok_or(Stop::Unusual)?;
    if name.is_name {
        page.put(b"<")?;
        page.slice(name.key.text())?;
    } else {
        let mut tag = Vec::new();
        push_key(name.key.text(), &mut tag);
        page.slice(&tag)?;
    }
    Ok(page)
}

/// Begins the element of an entry whose key is no element's name.
#[cold]
fn push_key(key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"<item key=\"");
    if is_carriable(key) {
        push_attribute(key, out);
        out.push(b'"');
    } else {
        push_base64(key, out);
        out.extend_from_slice(b"\" key-encoding=\"base64\"");
    }
}

/// Appends an end tag.
#[inline(always)]
pub(super) fn end(
    page: &mut OutBuf<'_>,
    name: Name<'_>,
    unusual: &[UnusualName<'_>],
) -> Result<(), Stop> {
    match name.short() {
        Some(short) => page.with(|place: &mut [u8; 19]| {
            place[..2].copy_from_slice(b"</");
            place[2..18].copy_from_slice(name.bytes);
            place[2 + short] = b'>';
            3 + short
        }),
        None => page.aside(|page| end_unusual(page, name, unusual)),
    }
}

#[cold]
fn end_unusual<'p>(
    mut page: OutBuf<'p>,
    name: Name<'_>,
    unusual: &[UnusualName<'_>],
) -> Result<OutBuf<'p>, Stop> {
    let name = unusual.get(name.length as usize - 17).ok_or(Stop::Unusual)?;
    if !name.is_name {
        page.put(b"</item>")?;
        return Ok(page);
    }
    page.put(b"</")?;
    page.slice(name.key.text())?;
    page.put(b">")?;
    Ok(page)
}

/// Appends the rest of a string's start tag and its text, whatever that holds.
#[inline(never)]
pub(super) fn unusual_text<'p>(mut page: OutBuf<'p>, text: &[u8]) -> Result<OutBuf<'p>, Stop> {
    if !is_carriable(text) {
        page.put(b" type=\"str\" encoding=\"base64\">")?;
        return page.base64(text);
    }
    let (kind, length) = STR;
    page.part(kind, length)?;
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'&' | b'<' | b'>' | b'\r')) {
        page.slice(&rest[..at])?;
        match rest[at] {
            b'&' => page.put(b"&amp;")?,
            b'<' => page.put(b"&lt;")?,
            b'>' => page.put(b"&gt;")?,
            _ => page.put(b"&#13;")?,
        }
        rest = &rest[at + 1..];
    }
    page.slice(rest)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_their_words() {
        let mut words = 0;
        for word in [
            "a",
            "id",
            "Zip",
            "name",
            "x1",
            "xml",
            "Xyz",
            "item",
            "items",
            "a_b",
            "_a",
            "1a",
            "a1",
            "a b",
            "a.b",
            "a-b",
            "a:b",
            "\u{e4}",
            "straße",
            "eight_by",
            "ninebytes",
            "",
            "@",
            "`",
            "[",
            "{",
            "a@",
            "a`",
            "a[",
            "a{",
            "/",
            "a/",
        ] {
            for behind in ["", "\"", "\":\"xxxxxxxxxxxxxxxx", "\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}"] {
                let source = format!("{word}{behind}");
                let key = Span::new(source.as_bytes(), word.len());
                let is_name = word != "item" && chars::is_element_name(word.as_bytes());
                let print = short_print(key.sixteen(), word.len());
                let (mut known, mut unusual) = (KnownNames::default(), Vec::new());
                for _ in 0..2 {
                    let name = name_of(key, print, &mut known, &mut unusual);
                    let is_known = match name.short() {
                        Some(length) => name.bytes[..length] == *word.as_bytes(),
                        None => unusual[name.length as usize - 17].is_name,
                    };
                    assert_eq!(is_known, is_name, "{source}");
                }
                let is_word = is_word_of_letters(print, word.len());
                assert!(is_name || !is_word, "{source}");
                words += usize::from(is_word);
            }
        }
        assert_eq!(words, 8 * 4);
    }
}
