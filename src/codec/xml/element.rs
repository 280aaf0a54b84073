//! Typed elements on a page: tags of a few bytes are one piece each.

use super::chars;
use super::write::{push_key, write_str};
use crate::codec::page::{Page, Span, Stop};
use crate::codec::words::{HIGH, ONES};

/// What an element is called.
#[derive(Clone, Copy)]
pub(super) enum Name<'a> {
    /// `message`
    Message,
    /// `item`
    Item,
    /// An `item` that says for which key it stands.
    Keyed(Span<'a>),
    /// By its key.
    Key(Span<'a>),
}

/// What is written of a type: its attribute and the end of the start tag, 16 bytes and how many of them.
pub(super) type Kind = (&'static [u8; 16], usize);

pub(super) const STR: Kind = (b" type=\"str\">    ", 12);
pub(super) const INT: Kind = (b" type=\"int\">    ", 12);
pub(super) const FLOAT: Kind = (b" type=\"float\">  ", 14);
pub(super) const BOOL: Kind = (b" type=\"bool\">   ", 13);
pub(super) const NULL: Kind = (b" type=\"null\">   ", 13);
pub(super) const LIST: Kind = (b" type=\"list\">   ", 13);
pub(super) const DICT: Kind = (b" type=\"dict\">   ", 13);

/// What the element of a dict's entry is called.
#[inline(always)]
pub(super) fn name_of(key: Span<'_>) -> Name<'_> {
    let word = key.sixteen();
    let is_plain = match word.first_chunk::<8>() {
        Some(word) => key.len() <= 8 && is_word_of_letters(u64::from_le_bytes(*word), key.len()),
        None => false,
    };
    if is_plain { Name::Key(key) } else { unusual_name(key) }
}

fn unusual_name(key: Span<'_>) -> Name<'_> {
    let is_name = key.text() != b"item" && chars::is_element_name(key.text());
    if is_name { Name::Key(key) } else { Name::Keyed(key) }
}

/// Whether the first `length` bytes, up to eight, surely are an element's name: a letter other than `x`, and then letters,
/// digits and `_`. False for `item`.
#[inline(always)]
fn is_word_of_letters(word: u64, length: usize) -> bool {
    let (1..=8, low) = (length, word & !HIGH) else { return false };
    let meant = u64::MAX >> (64 - 8 * length);
    // The high bit of each byte: whether it lies between two others.
    let between = |low: u64, first: u8, last: u8| {
        (low + ONES * (0x80 - u64::from(first))) & !(low + ONES * (0x7f - u64::from(last)))
    };
    let folded = low | ONES * 0x20;
    let letters = between(folded, b'a', b'z');
    let named = (letters | between(low, b'0', b'9') | between(low, b'_', b'_')) & !word & HIGH;
    let begins = letters & 0x80 != 0 && folded as u8 != b'x';
    begins && named & meant == HIGH & meant && word & meant != u64::from(u32::from_le_bytes(*b"item"))
}

/// Appends a start tag.
#[inline(always)]
pub(super) fn begin(page: &mut Page<'_>, name: Name<'_>, kind: Kind) -> Result<(), Stop> {
    let (kind, length) = kind;
    match name {
        Name::Key(key) if key.len() <= 16 => page.with(|place: &mut [u8; 33]| {
            let after = 1 + key.len().min(16);
            place[0] = b'<';
            place[1..17].copy_from_slice(&key.sixteen());
            place[after..after + 16].copy_from_slice(kind);
            after + length
        }),
        Name::Item => page.with(|place: &mut [u8; 21]| {
            place[..5].copy_from_slice(b"<item");
            place[5..].copy_from_slice(kind);
            5 + length
        }),
        other => {
            page.aside(|page| begin_unusual(page, other))?;
            page.part(kind, length)
        }
    }
}

#[cold]
fn begin_unusual<'p>(mut page: Page<'p>, name: Name<'_>) -> Result<Page<'p>, Stop> {
    match name {
        Name::Message => page.put(b"<message")?,
        Name::Item => page.put(b"<item")?,
        Name::Key(key) => {
            page.put(b"<")?;
            page.slice(key.text())?;
        }
        Name::Keyed(key) => {
            let mut tag = Vec::new();
            push_key(key.text(), &mut tag);
            page.slice(&tag)?;
        }
    }
    Ok(page)
}

/// Appends an end tag.
#[inline(always)]
pub(super) fn end(page: &mut Page<'_>, name: Name<'_>) -> Result<(), Stop> {
    match name {
        Name::Key(key) if key.len() <= 16 => page.with(|place: &mut [u8; 19]| {
            let after = 2 + key.len().min(16);
            place[..2].copy_from_slice(b"</");
            place[2..18].copy_from_slice(&key.sixteen());
            place[after] = b'>';
            after + 1
        }),
        Name::Item | Name::Keyed(_) => page.put(b"</item>"),
        Name::Message => page.put(b"</message>"),
        Name::Key(key) => page.aside(|page| end_long(page, key.text())),
    }
}

#[inline(never)]
fn end_long<'p>(mut page: Page<'p>, name: &[u8]) -> Result<Page<'p>, Stop> {
    page.put(b"</")?;
    page.slice(name)?;
    page.put(b">")?;
    Ok(page)
}

/// Appends the rest of a string's start tag and its text, whatever that holds.
#[cold]
pub(super) fn unusual_text<'p>(mut page: Page<'p>, text: &[u8]) -> Result<Page<'p>, Stop> {
    let mut rest = Vec::new();
    write_str(text, &mut rest);
    page.slice(&rest)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_their_words() {
        let mut words = 0;
        for word in ["a", "id", "Zip", "name", "x1", "xml", "Xyz", "item", "items", "a_b", "_a", "1a", "a1", "a b", "a.b",
            "a-b", "a:b", "\u{e4}", "straße", "eight_by", "ninebytes", "", "@", "`", "[", "{", "a@", "a`", "a[", "a{", "/", "a/"]
        {
            for behind in ["", "\"", "\":\"xxxxxxxxxxxxxxxx", "\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}"] {
                let source = format!("{word}{behind}");
                let key = Span::new(source.as_bytes(), word.len());
                let is_name = word != "item" && chars::is_element_name(word.as_bytes());
                assert_eq!(matches!(name_of(key), Name::Key(_)), is_name, "{source}");
                let sixteen = key.sixteen();
                let first = u64::from_le_bytes(*sixteen.first_chunk().unwrap());
                let is_word = is_word_of_letters(first, word.len());
                assert!(is_name || !is_word, "{source}");
                words += usize::from(is_word);
            }
        }
        assert_eq!(words, 8 * 4);
    }
}
