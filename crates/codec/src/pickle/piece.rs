//! The opcodes of scalars on a page.

use super::opcode::*;
use crate::out_buf::{OutBuf, Stop};
use crate::span::Span;

/// Appends a str, UTF-8.
#[inline(always)]
pub(super) fn put_str(page: &mut OutBuf<'_>, text: Span<'_>) -> Result<(), Stop> {
    if text.len() > 16 {
        return page.aside(|page| put_long(page, SHORT_BINUNICODE, BINUNICODE, text.text()));
    }
    page.with(|place: &mut [u8; 18]| {
        place[0] = SHORT_BINUNICODE;
        place[1] = text.len() as u8;
        place[2..].copy_from_slice(&text.sixteen());
        2 + text.len()
    })
}

/// Appends a text after its opcode and length.
#[inline(never)]
pub(super) fn put_long<'p>(
    mut page: OutBuf<'p>,
    short: u8,
    long: u8,
    text: &[u8],
) -> Result<OutBuf<'p>, Stop> {
    if let Ok(length) = u8::try_from(text.len()) {
        page.put(&[short, length])?;
    } else {
        let [a, b, c, d] = (text.len() as u32).to_le_bytes();
        page.put(&[long, a, b, c, d])?;
    }
    page.slice(text)?;
    Ok(page)
}

/// Appends an integer.
#[inline(always)]
pub(crate) fn put_int(page: &mut OutBuf<'_>, number: i64) -> Result<(), Stop> {
    if let Ok(number) = u8::try_from(number) {
        return page.put(&[BININT1, number]);
    }
    let [a, b, c, d, ..] = number.to_le_bytes();
    if u16::try_from(number).is_ok() {
        page.put(&[BININT2, a, b])
    } else if i32::try_from(number).is_ok() {
        page.put(&[BININT, a, b, c, d])
    } else {
        let sign_bits = if number < 0 { number.leading_ones() } else { number.leading_zeros() };
        let length = (64 - sign_bits) as usize / 8 + 1;
        page.put(&[LONG1, length as u8])?;
        page.part(&number.to_le_bytes(), length)
    }
}

/// Appends a double.
#[inline(always)]
pub(super) fn put_float(page: &mut OutBuf<'_>, number: f64) -> Result<(), Stop> {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    page.put(&[BINFLOAT, a, b, c, d, e, f, g, h])
}
