//! Typed elements on a page: tags of a few bytes are one piece each.

use std::borrow::Cow;
use std::cell::Cell;

use super::chars;
use super::escape::{is_carriable, push_attribute, push_base64};
use crate::out_buf::{OutBuf, Stop};
use crate::span::Span;

/// The name of an element: the first `length` of 16 bytes, or one of the [other keys](OtherKeys).
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    bytes: &'a [u8; 16],
    /// Beyond 16 it says which of the other keys it is, counted from 17.
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

/// Keys that are long, no names, or not spelled in the source.
pub(super) type OtherKeys<'a> = Vec<OtherKey<'a>>;

/// One of them.
pub(super) struct OtherKey<'a> {
    key: Cow<'a, [u8]>,
    /// Whether the element is called by it; otherwise it is an `item` that says for which key it
    /// stands.
    is_name: bool,
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

/// Short keys that were found to be elements' names, so that they are not looked at again: with the
/// same fields come the same keys. Each lies at a place that follows from its bytes.
pub(super) struct KnownNames {
    keys: [[u64; 2]; KnownNames::PLACES],
    lengths: [u8; KnownNames::PLACES],
}

thread_local! {
    /// This thread's. Empty while a message is written, and after the thread's destructors.
    static KNOWN: Cell<Option<Box<KnownNames>>> = const { Cell::new(None) };
}

/// Gives back the memory that this thread keeps.
pub(crate) fn release_scratch() {
    let _ = KNOWN.try_with(Cell::take);
}

impl KnownNames {
    const PLACES: usize = 64;

    /// Those that this thread knows.
    pub(super) fn take() -> Box<KnownNames> {
        let none = KnownNames { keys: [[0; 2]; 64], lengths: [u8::MAX; 64] };
        KNOWN.try_with(Cell::take).ok().flatten().unwrap_or_else(|| Box::new(none))
    }

    /// Keeps them for the next message.
    pub(super) fn keep(self: Box<KnownNames>) {
        let _ = KNOWN.try_with(|known| known.set(Some(self)));
    }

    /// The name of the element of a dict's entry.
    #[inline(always)]
    pub(super) fn name_of<'a>(&mut self, key: Span<'a>, others: &mut OtherKeys<'a>) -> Name<'a> {
        let Some((bytes, key @ 1..=16)) = key.tail().first_chunk().map(|bytes| (bytes, key.len()))
        else {
            return other_name(Cow::Borrowed(key.text()), others);
        };
        let [first, last] = words_of(bytes, key);
        let place = (first ^ last.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        let place = place as usize % KnownNames::PLACES;
        if self.keys[place] != [first, last] || usize::from(self.lengths[place]) != key {
            let key = &bytes[..key];
            if !is_name(key) {
                return other_name(Cow::Borrowed(key), others);
            }
            (self.keys[place], self.lengths[place]) = ([first, last], key.len() as u8);
        }
        Name { bytes, length: key as u32 }
    }
}

/// The first `length` bytes, up to sixteen, as two numbers.
#[inline(always)]
fn words_of(bytes: &[u8; 16], length: usize) -> [u64; 2] {
    let word = u128::from_le_bytes(*bytes) & (u128::MAX >> (128 - 8 * length.min(16)));
    [word as u64, (word >> 64) as u64]
}

/// The same for a key that is long, or that the source spells with escapes.
#[inline(never)]
pub(super) fn other_name<'a>(key: Cow<'a, [u8]>, others: &mut OtherKeys<'a>) -> Name<'a> {
    let is_name = is_name(&key);
    others.push(OtherKey { key, is_name });
    Name { bytes: Name::ITEM.bytes, length: 16 + others.len() as u32 }
}

/// Whether an element is called by a key.
#[inline(never)]
fn is_name(key: &[u8]) -> bool {
    key != b"item" && chars::is_element_name(key)
}

/// Appends a start tag.
#[inline(always)]
pub(super) fn begin(
    page: &mut OutBuf<'_>,
    name: Name<'_>,
    kind: Kind,
    others: &[OtherKey<'_>],
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
            page.aside(|page| begin_other(page, name, others))?;
            page.part(kind, length)
        }
    }
}

#[inline(never)]
fn begin_other<'p>(
    mut page: OutBuf<'p>,
    name: Name<'_>,
    others: &[OtherKey<'_>],
) -> Result<OutBuf<'p>, Stop> {
    let other = others.get(name.length as usize - 17).ok_or(Stop::Unusual)?;
    if other.is_name {
        page.put(b"<")?;
        page.slice(&other.key)?;
    } else {
        let mut tag = Vec::new();
        push_key(&other.key, &mut tag);
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
    others: &[OtherKey<'_>],
) -> Result<(), Stop> {
    match name.short() {
        Some(short) => page.with(|place: &mut [u8; 19]| {
            place[..2].copy_from_slice(b"</");
            place[2..18].copy_from_slice(name.bytes);
            place[2 + short] = b'>';
            3 + short
        }),
        None => page.aside(|page| end_other(page, name, others)),
    }
}

#[inline(never)]
fn end_other<'p>(
    mut page: OutBuf<'p>,
    name: Name<'_>,
    others: &[OtherKey<'_>],
) -> Result<OutBuf<'p>, Stop> {
    let other = others.get(name.length as usize - 17).ok_or(Stop::Unusual)?;
    if !other.is_name {
        page.put(b"</item>")?;
        return Ok(page);
    }
    page.put(b"</")?;
    page.slice(&other.key)?;
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
    use crate::out_buf::fill;

    #[test]
    fn a_key_is_a_name_where_every_parser_takes_it() {
        let mut known = KnownNames::take();
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
            "nine bytes",
            "sixteen_bytes_16",
            "sixteen.bytes_16",
            "more_than_sixteen_bytes",
            "more than sixteen bytes",
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
                let mut others = Vec::new();
                let name = known.name_of(key, &mut others);
                let tag = |write: &dyn Fn(&mut OutBuf<'_>) -> Result<(), Stop>| {
                    let mut out = Vec::new();
                    fill(&mut out, 0, |mut page| write(&mut page).map(|()| page));
                    String::from_utf8(out).unwrap()
                };
                let begun = tag(&|page| begin(page, name, INT, &others));
                let ended = tag(&|page| end(page, name, &others));
                if is_name {
                    assert_eq!(begun, format!("<{word} type=\"int\">"), "{source}");
                    assert_eq!(ended, format!("</{word}>"), "{source}");
                } else {
                    assert_eq!(begun, format!("<item key=\"{word}\" type=\"int\">"), "{source}");
                    assert_eq!(ended, "</item>", "{source}");
                }
                let again = known.name_of(key, &mut others);
                assert_eq!(tag(&|page| begin(page, again, INT, &others)), begun);
                let name = other_name(word.as_bytes().to_vec().into(), &mut others);
                assert_eq!(tag(&|page| begin(page, name, INT, &others)), begun);
                assert_eq!(tag(&|page| end(page, name, &others)), ended);
            }
        }
    }
}
