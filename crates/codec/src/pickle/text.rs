//! Strings: UTF-8, the escapes of protocol 0, and the `str` of Python 2.

use super::reader::{Reader, shown};
use super::store::Item;
use crate::protocol::{ErrorCode, Refusal};
use crate::{Budget, Document, Node, Text};

/// `length` bytes of UTF-8.
#[inline]
pub(super) fn utf8(reader: &mut Reader<'_>, length: u64) -> Result<Item, Refusal> {
    let (bytes, text) = reader.take(length)?;
    match str::from_utf8(bytes) {
        Ok(_) => Ok(Item::Leaf(Node::Str(text))),
        Err(error) => Err(not_utf8(reader, bytes.get(error.valid_up_to()..).unwrap_or_default())),
    }
}

/// Pickle's UTF-8 may hold lone surrogates; to no other format can they be carried.
#[cold]
fn not_utf8(reader: &Reader<'_>, from_error: &[u8]) -> Refusal {
    if let [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] = from_error {
        surrogate(reader)
    } else {
        reader.malformed("the string is not UTF-8")
    }
}

#[cold]
fn surrogate(reader: &Reader<'_>) -> Refusal {
    reader.refuse(
        ErrorCode::InvalidValue,
        "the string holds a lone surrogate (\\ud800 to \\udfff); send it as bytes",
    )
}

/// `length` bytes of a Python 2 `str`, which Python 3 reads as ASCII.
pub(super) fn ascii(reader: &mut Reader<'_>, length: u64) -> Result<Item, Refusal> {
    let (bytes, text) = reader.take(length)?;
    if bytes.is_ascii() { Ok(Item::Leaf(Node::Str(text))) } else { Err(not_ascii(reader)) }
}

#[cold]
fn not_ascii(reader: &Reader<'_>) -> Refusal {
    reader.refuse(
        ErrorCode::InvalidValue,
        "the str of Python 2 holds bytes beyond ASCII, and it does not say in which encoding; \
         send unicode, or bytearray for binary data",
    )
}

/// `S'…'\n`: a quoted Python 2 `str` with the escapes of a literal.
pub(super) fn string_line(
    reader: &mut Reader<'_>,
    document: &mut Document,
    work: &mut Budget,
) -> Result<Item, Refusal> {
    let (line, start) = reader.line()?;
    let (&[quote, ref inner @ .., last], b'\'' | b'"') = (line, line.first().unwrap_or(&0)) else {
        return Err(reader.malformed(format_args!("{} is not a quoted string", shown(line))));
    };
    if quote != last {
        return Err(reader.malformed(format_args!("{} is not a quoted string", shown(line))));
    }
    if !inner.is_ascii() {
        return Err(not_ascii(reader));
    }
    let text = if memchr::memchr(b'\\', inner).is_none() {
        Text::in_source(start + 1..start + 1 + inner.len())
    } else {
        work.bytes(inner.len())?;
        document.own_text(|own| unescape_string(reader, inner, own))?
    };
    Ok(Item::Leaf(Node::Str(text)))
}

/// Python's `codecs.escape_decode`.
fn unescape_string(reader: &Reader<'_>, mut rest: &[u8], own: &mut Vec<u8>) -> Result<(), Refusal> {
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            own.push(*byte);
            continue;
        }
        let [escaped, after @ ..] = rest else {
            return Err(reader.malformed("the string ends in a lone backslash"));
        };
        rest = after;
        let byte = match *escaped {
            b'\n' => continue,
            same @ (b'\\' | b'\'' | b'"') => same,
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'x' => {
                let Some(code) = hex(rest, 2) else {
                    return Err(reader.malformed("\\x is not followed by two hexadecimal digits"));
                };
                rest = &rest[2..];
                code as u8
            }
            first @ b'0'..=b'7' => {
                let mut code = u32::from(first - b'0');
                for _ in 0..2 {
                    let [digit @ b'0'..=b'7', after @ ..] = rest else { break };
                    code = code * 8 + u32::from(digit - b'0');
                    rest = after;
                }
                code as u8
            }
            other => {
                own.push(b'\\');
                other
            }
        };
        if !byte.is_ascii() {
            return Err(not_ascii(reader));
        }
        own.push(byte);
    }
    Ok(())
}

/// `V…\n`: Latin-1, and `\uXXXX` and `\UXXXXXXXX` for everything else.
pub(super) fn unicode_line(
    reader: &mut Reader<'_>,
    document: &mut Document,
    work: &mut Budget,
) -> Result<Item, Refusal> {
    let (line, start) = reader.line()?;
    let text = if line.is_ascii() && memchr::memchr(b'\\', line).is_none() {
        Text::in_source(start..start + line.len())
    } else {
        // One byte of Latin-1 becomes two of UTF-8 at most, and escapes become shorter.
        work.bytes(line.len().saturating_mul(2))?;
        document.own_text(|own| unescape_unicode(reader, line, own))?
    };
    Ok(Item::Leaf(Node::Str(text)))
}

/// Python's codec `raw_unicode_escape`.
fn unescape_unicode(
    reader: &Reader<'_>,
    mut rest: &[u8],
    own: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let push = |character: char, own: &mut Vec<u8>| {
        own.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    };
    while let [byte, after @ ..] = rest {
        rest = after;
        let escaped = match (*byte, rest.first()) {
            (b'\\', Some(escaped)) => *escaped,
            (byte, _) => {
                push(char::from(byte), own);
                continue;
            }
        };
        rest = &rest[1..];
        let digits = match escaped {
            b'u' => 4,
            b'U' => 8,
            other => {
                own.push(b'\\');
                push(char::from(other), own);
                continue;
            }
        };
        let Some(code) = hex(rest, digits) else {
            return Err(reader.malformed(format_args!(
                "\\{} is not followed by {digits} hexadecimal digits",
                char::from(escaped)
            )));
        };
        rest = &rest[digits..];
        match char::from_u32(code) {
            Some(character) => push(character, own),
            None if code <= 0xffff => return Err(surrogate(reader)),
            None => return Err(reader.malformed(format_args!("\\U{code:08x} is no character"))),
        }
    }
    Ok(())
}

/// The number that the first `digits` bytes spell in hexadecimal.
fn hex(bytes: &[u8], digits: usize) -> Option<u32> {
    bytes.get(..digits)?.iter().try_fold(0u32, |code, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(code << 4 | digit)
    })
}
