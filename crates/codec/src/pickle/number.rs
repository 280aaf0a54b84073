//! Numbers: decimal lines of protocol 0, and integers of any length.

use num_bigint::BigInt;

use super::reader::{Reader, shown};
use super::store::Item;
use crate::protocol::{ErrorCode, MAX_INT_DIGITS, Refusal};
use crate::{Budget, Document, Node, Text};

/// No integer of [`MAX_INT_DIGITS`] digits has more bytes than this: 4,300 × log2(10) / 8, and the
/// sign.
const MOST_BYTES: usize = 1786;

/// `I12\n`; `I00` and `I01` are how protocols 0 and 1 spell `False` and `True`.
pub(super) fn int_line(reader: &mut Reader<'_>) -> Result<Item, Refusal> {
    let (line, start) = reader.line()?;
    match line {
        b"00" => Ok(Item::Leaf(Node::Bool(false))),
        b"01" => Ok(Item::Leaf(Node::Bool(true))),
        _ => decimal(reader, line, start),
    }
}

/// `L12L\n`; the second `L` may be missing.
pub(super) fn long_line(reader: &mut Reader<'_>) -> Result<Item, Refusal> {
    let (line, start) = reader.line()?;
    decimal(reader, line.strip_suffix(b"L").unwrap_or(line), start)
}

/// A decimal integer as picklers write it: an optional `-`, then digits, without leading zeros. No
/// arithmetic is done on it, however long it is.
fn decimal(reader: &Reader<'_>, line: &[u8], start: usize) -> Result<Item, Refusal> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    if digits.is_empty()
        || !digits.iter().all(u8::is_ascii_digit)
        || (digits.len() > 1 && digits[0] == b'0')
    {
        return Err(reader.malformed(format_args!("\"{}\" is not a decimal integer", shown(line))));
    }
    if digits.len() > MAX_INT_DIGITS {
        return Err(too_many(reader));
    }
    let small = str::from_utf8(line).ok().and_then(|line| line.parse::<i64>().ok());
    Ok(Item::Leaf(match small {
        Some(small) => Node::Int(small),
        None => Node::BigInt(Text::in_source(start..start + line.len())),
    }))
}

/// A little-endian integer in two's complement.
pub(super) fn long(
    reader: &Reader<'_>,
    document: &mut Document,
    work: &mut Budget,
    bytes: &[u8],
) -> Result<Item, Refusal> {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    if bytes.len() <= size_of::<i64>() {
        let mut small = if negative { [0xff; size_of::<i64>()] } else { [0; size_of::<i64>()] };
        for (to, from) in small.iter_mut().zip(bytes) {
            *to = *from;
        }
        return Ok(Item::Leaf(Node::Int(i64::from_le_bytes(small))));
    }
    // Bytes that only repeat the sign say nothing; what remains is judged before it is converted,
    // since printing a number in decimal takes the square of its length.
    let sign = if negative { 0xff } else { 0 };
    let significant = bytes.iter().rposition(|&byte| byte != sign).map_or(1, |last| last + 2);
    let bytes = &bytes[..significant.min(bytes.len())];
    if bytes.len() > MOST_BYTES + 1 {
        return Err(too_many(reader));
    }
    let number = BigInt::from_signed_bytes_le(bytes);
    if let Ok(small) = i64::try_from(&number) {
        return Ok(Item::Leaf(Node::Int(small)));
    }
    let decimal = number.to_string();
    if decimal.len() - usize::from(negative) > MAX_INT_DIGITS {
        return Err(too_many(reader));
    }
    work.bytes(decimal.len())?;
    let text = document.own_text(|own| {
        own.extend_from_slice(decimal.as_bytes());
        Ok::<(), Refusal>(())
    })?;
    Ok(Item::Leaf(Node::BigInt(text)))
}

/// `F1.5\n`: what Python's `float` reads, without underscores and spaces.
pub(super) fn float_line(reader: &mut Reader<'_>) -> Result<Item, Refusal> {
    let (line, _) = reader.line()?;
    let double = str::from_utf8(line).ok().and_then(|line| line.parse::<f64>().ok());
    match double {
        Some(double) if double.is_infinite() && line.iter().any(u8::is_ascii_digit) => Err(reader
            .refuse(ErrorCode::InvalidValue, format_args!("{} is beyond a double", shown(line)))),
        Some(double) => Ok(Item::Leaf(Node::Float(double))),
        None => Err(reader.malformed(format_args!("\"{}\" is not a float", shown(line)))),
    }
}

/// The number of a memo entry.
pub(super) fn memo_line(reader: &mut Reader<'_>) -> Result<u64, Refusal> {
    let (line, _) = reader.line()?;
    str::from_utf8(line)
        .ok()
        .and_then(|line| line.parse().ok())
        .ok_or_else(|| reader.malformed(format_args!("\"{}\" is not a memo number", shown(line))))
}

#[cold]
fn too_many(reader: &Reader<'_>) -> Refusal {
    reader.refuse(
        ErrorCode::TooManyDigits,
        format_args!(
            "the integer has more than {MAX_INT_DIGITS} digits; send it as a str or as bytes"
        ),
    )
}
