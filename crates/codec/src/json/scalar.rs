//! Strings, keys and numbers in JSON.

use super::literal::literal_length;
use super::tags::Tags;
use crate::document::View;
use crate::lanes::{has_any, string_stops};
use crate::node::Node;
use crate::number::{write_float, write_int};
use crate::out_buf::{OutBuf, Stop, fill};
use crate::protocol::ScalarType;
use crate::scalar_type::{Untyped, complex_parts};
use crate::span::Span;
use crate::swar::push;

/// A string between quotes, `before` in front of it; the closing quote is the first byte of
/// `after`.
#[inline(always)]
pub(super) fn put_string<const B: usize, const A: usize>(
    page: &mut OutBuf<'_>,
    text: Span<'_>,
    before: &[u8; B],
    after: &[u8; A],
) -> Result<(), Stop> {
    if text.len() <= 16
        && let bytes = text.sixteen()
        && text.has_no(&bytes, string_stops)
    {
        return page.with(|place: &mut [u8; 24]| {
            let start = B + 1;
            place[..B].copy_from_slice(before);
            place[B] = b'"';
            place[start..start + 16].copy_from_slice(&bytes);
            place[start + text.len()..start + text.len() + A].copy_from_slice(after);
            start + text.len() + A
        });
    }
    page.put(before)?;
    page.aside(|page| put_text(text.text(), page))?;
    // Its closing quote is written.
    page.slice(&after[1..])
}

/// A string of any length in its quotes.
#[inline(never)]
pub(crate) fn put_text<'p>(text: &[u8], mut page: OutBuf<'p>) -> Result<OutBuf<'p>, Stop> {
    page.put(b"\"")?;
    if !page.unmarked(text, string_stops)? {
        page = put_escaped(text, page)?;
    }
    page.put(b"\"")?;
    Ok(page)
}

/// How a byte is escaped, and in how many bytes; in none where it is not.
const ESCAPES: [([u8; 8], usize); 0x5d] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut escapes = [([0; 8], 0); 0x5d];
    let mut control = 0;
    while control < 0x20 {
        let digits = (HEX[control >> 4], HEX[control & 15]);
        escapes[control] = ([b'\\', b'u', b'0', b'0', digits.0, digits.1, 0, 0], 6);
        control += 1;
    }
    let (bytes, letters) = (b"\"\\\n\r\t\x08\x0c", b"\"\\nrtbf");
    let mut short = 0;
    while short < bytes.len() {
        escapes[bytes[short] as usize] = ([b'\\', letters[short], 0, 0, 0, 0, 0, 0], 2);
        short += 1;
    }
    escapes
};

/// A string with escapes, without its quotes.
#[inline(never)]
fn put_escaped<'p>(text: &[u8], mut page: OutBuf<'p>) -> Result<OutBuf<'p>, Stop> {
    let mut rest = text;
    loop {
        let literal = literal_length(rest);
        page.slice(&rest[..literal])?;
        rest = &rest[literal..];
        // Escapes come in runs.
        while let Some((&byte, after)) = rest.split_first()
            && let Some(&(escape, length)) = ESCAPES.get(usize::from(byte))
            && length > 0
        {
            page.part(&escape, length)?;
            rest = after;
        }
        if rest.is_empty() {
            return Ok(page);
        }
    }
}

/// A key that is no string, and its colon.
#[cold]
pub(super) fn put_other_key<'p>(
    view: View<'_>,
    key: Node,
    mut page: OutBuf<'p>,
) -> Result<OutBuf<'p>, Stop> {
    let mut spelled = Vec::with_capacity(64);
    spell_key(&view, key, &mut spelled);
    page.slice(&spelled)?;
    page.put(b":")?;
    Ok(page)
}

/// A scalar that is met less often.
#[inline(never)]
pub(super) fn put_scalar<'p>(
    view: View<'_>,
    scalar: Node,
    tags: Tags,
    mut page: OutBuf<'p>,
) -> Result<OutBuf<'p>, Stop> {
    if scalar == Node::None {
        page.put(b"null")?;
        return Ok(page);
    }
    if let Node::Bytes(bytes) = scalar {
        page.put(b"{\"$bytes\":\"")?;
        page.aside(|page| page.base64(view.text(bytes)))?;
        page.put(b"\"}")?;
        return Ok(page);
    }
    if let Node::Typed(of, text) = scalar
        && !tags.has_tagged_scalars()
        && let Untyped::Text(text) = of.untyped(view.text(text))
    {
        // It has nothing that is to be escaped.
        page.put(b"\"")?;
        page.slice(text)?;
        page.put(b"\"")?;
        return Ok(page);
    }
    let mut spelled = Vec::with_capacity(64);
    write_scalar(&view, scalar, tags, &mut spelled);
    page.slice(&spelled)?;
    Ok(page)
}

/// A key as `json.dumps` spells it.
#[inline]
pub(super) fn spell_key(view: &View<'_>, key: Node, out: &mut Vec<u8>) {
    match key {
        Node::Str(text) => write_str(view.text(text), out),
        scalar => {
            out.push(b'"');
            match scalar {
                Node::Typed(of, text) => match of.untyped(view.text(text)) {
                    // It has nothing that is to be escaped.
                    Untyped::Text(text) => out.extend_from_slice(text),
                    Untyped::Float(number) => write_float(number, out),
                },
                Node::Float(number) if number.is_nan() => out.extend_from_slice(b"NaN"),
                Node::Float(number) if number.is_infinite() => {
                    out.extend_from_slice(if number > 0.0 { b"Infinity" } else { b"-Infinity" });
                }
                Node::BigInt(digits) => out.extend_from_slice(view.text(digits)),
                other => write_scalar(view, other, Tags::Needed, out),
            }
            out.push(b'"');
        }
    }
}

fn write_scalar(view: &View<'_>, scalar: Node, tags: Tags, out: &mut Vec<u8>) {
    match scalar {
        Node::Bool(true) => out.extend_from_slice(b"true"),
        Node::Bool(false) => out.extend_from_slice(b"false"),
        Node::Int(number) if number.unsigned_abs() <= tags.widest_int() => write_int(number, out),
        Node::Int(number) => {
            out.extend_from_slice(b"{\"$int\":\"");
            write_int(number, out);
            out.extend_from_slice(b"\"}");
        }
        Node::BigInt(digits) if tags.has_tagged_big_ints() => {
            out.extend_from_slice(b"{\"$int\":\"");
            out.extend_from_slice(view.text(digits));
            out.extend_from_slice(b"\"}");
        }
        Node::BigInt(digits) => out.extend_from_slice(view.text(digits)),
        Node::Float(number) => write_float_or_tag(number, out),
        Node::Typed(of, text) => write_typed(of, view.text(text), tags, out),
        Node::Str(text) => write_str(view.text(text), out),
        _ => out.extend_from_slice(b"null"),
    }
}

/// A scalar of the standard library. Its canonical text has nothing that is to be escaped.
pub(super) fn write_typed(of: ScalarType, canonical: &[u8], tags: Tags, out: &mut Vec<u8>) {
    if !tags.has_tagged_scalars() {
        match of.untyped(canonical) {
            Untyped::Text(text) => write_str(text, out),
            Untyped::Float(number) => write_float(number, out),
        }
        return;
    }
    for part in ["{\"$", of.name(), "\":"] {
        out.extend_from_slice(part.as_bytes());
    }
    match (of, complex_parts(canonical)) {
        (ScalarType::Complex, Some((re, im))) => {
            out.push(b'[');
            write_float_or_tag(re, out);
            out.push(b',');
            write_float_or_tag(im, out);
            out.push(b']');
        }
        _ => write_str(canonical, out),
    }
    out.push(b'}');
}

fn write_float_or_tag(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(b"{\"$float\":\"nan\"}");
    } else if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 {
            b"{\"$float\":\"inf\"}"
        } else {
            b"{\"$float\":\"-inf\"}"
        });
    } else {
        write_float(number, out);
    }
}

/// Appends a string in its quotes.
#[inline(always)]
pub fn write_str(text: &[u8], out: &mut Vec<u8>) {
    if !has_any(text, string_stops) {
        out.push(b'"');
        push(text, out);
        out.push(b'"');
    } else {
        out.push(b'"');
        fill(out, 2 * text.len(), |page| put_escaped(text, page));
        out.push(b'"');
    }
}
