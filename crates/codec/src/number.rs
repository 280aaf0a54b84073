//! Numbers as text, the same in every format that is text.

use super::document::Document;
use super::node::{Node, Text};
use super::out_buf::{OutBuf, Stop};
use super::swar::push;
use crate::protocol::MAX_INT_DIGITS;

/// Why a text is no integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntFault {
    /// It is not an optional sign and decimal digits.
    NotDigits,
    /// It has more than [`MAX_INT_DIGITS`] digits.
    TooMany,
}

/// The integer that `digits` spells; `spelled` is where the document finds the same text again.
pub(super) fn parse_int(
    digits: &[u8],
    spelled: Text,
    document: &mut Document,
) -> Result<Node, IntFault> {
    let (negative, unsigned) = match digits {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, digits),
    };
    if unsigned.len() > MAX_INT_DIGITS {
        return Err(IntFault::TooMany);
    }
    if unsigned.is_empty() || !unsigned.iter().all(u8::is_ascii_digit) {
        return Err(IntFault::NotDigits);
    }
    // 18 digits cannot overflow 64 bits.
    if unsigned.len() <= 18 {
        let magnitude =
            unsigned.iter().fold(0, |number, &digit| number * 10 + i64::from(digit - b'0'));
        return Ok(Node::Int(if negative { -magnitude } else { magnitude }));
    }
    if let Some(small) = str::from_utf8(digits).ok().and_then(|text| text.parse().ok()) {
        return Ok(Node::Int(small));
    }
    let significant = unsigned.iter().position(|&digit| digit != b'0').unwrap_or(0);
    if significant == 0 && digits.first() != Some(&b'+') {
        return Ok(Node::BigInt(spelled));
    }
    let plain = &unsigned[significant..];
    Ok(Node::BigInt(document.append_text(|own| {
        own.extend_from_slice(if negative { b"-" } else { b"" });
        own.extend_from_slice(plain);
    })))
}

/// The double that a decimal number spells: an optional sign, digits, perhaps a fraction and an
/// exponent, as JSON and XML have them. Infinite where it is too large for one; `None` where the
/// text is no number.
#[inline]
pub(super) fn parse_decimal(text: &[u8]) -> Option<f64> {
    parse_few_digits(text).or_else(|| str::from_utf8(text).ok()?.parse().ok())
}

/// The usual number: no exponent, and of few digits.
#[inline]
fn parse_few_digits(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut number: u64 = 0;
    let mut point = None;
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() && at > 0 && at + 1 < digits.len() => point = Some(at),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |point| digits.len() - point - 1);
    let magnitude = quotient(number, digits.len(), decimals)?;
    Some(if digits.len() < text.len() { -magnitude } else { magnitude })
}

/// The double next to a number of `digits` digits, of which the last `decimals` are a fraction,
/// where these are few: then they are an integer that a double holds exactly, and so is the power
/// of ten that they are divided by, so the quotient is the nearest double.
#[inline(always)]
pub(super) fn quotient(number: u64, digits: usize, decimals: usize) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    // 16 digits may be more than a double holds.
    if digits > 16 || number >= 1 << 53 {
        return None;
    }
    Some(number as f64 / POWERS.get(decimals)?)
}

/// Appends an integer.
#[inline]
pub(super) fn write_int(number: i64, out: &mut Vec<u8>) {
    push(itoa::Buffer::new().format(number).as_bytes(), out);
}

/// Appends a finite double as Python's `repr` spells it: the shortest text that reads back as the
/// same double, with an exponent from `1e16` up and below `1e-4`.
pub(super) fn write_float(number: f64, out: &mut Vec<u8>) {
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(number);
    if is_spelled_alike(number) {
        out.extend_from_slice(shortest.as_bytes());
    } else {
        respell(shortest, out);
    }
}

/// Bytes that [`write_float`] appends; without `EXACT`, as many as it appends at most, which need
/// not be found out.
pub(super) fn float_size<const EXACT: bool>(number: f64) -> usize {
    if !EXACT {
        return b"-1.7976931348623157e+308".len();
    }
    let mut spelled = Vec::with_capacity(32);
    write_float(number, &mut spelled);
    spelled.len()
}

/// Whether the library spells a double as Python does, whatever its digits.
#[inline(always)]
fn is_spelled_alike(number: f64) -> bool {
    (1e-4..1e16).contains(&number.abs()) || number == 0.0
}

/// Appends a double that the library spells in another way: `1e-5` is `1e-05` in Python, and
/// `0.00001234` is `1.234e-05`.
#[cold]
fn respell(shortest: &str, out: &mut Vec<u8>) {
    if let Some((digits, exponent)) = shortest.split_once('e') {
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => (b'-', exponent),
            None => (b'+', exponent.strip_prefix('+').unwrap_or(exponent)),
        };
        out.extend_from_slice(digits.as_bytes());
        let padding = if exponent.len() < 2 { 3 } else { 2 };
        out.extend_from_slice(&[b'e', sign, b'0'][..padding]);
        out.extend_from_slice(exponent.as_bytes());
        return;
    }
    let (sign, magnitude) = match shortest.strip_prefix('-') {
        Some(magnitude) => ("-", magnitude),
        None => ("", shortest),
    };
    let (first, rest) = magnitude.trim_start_matches("0.0000").split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    for part in [sign, first, point, rest, "e-05"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Bytes that [`write_int`] appends.
pub(super) fn int_size(number: i64) -> usize {
    let digits = number.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
    digits + usize::from(number < 0)
}

/// The same on a page.
#[inline(always)]
pub(super) fn put_float(page: &mut OutBuf<'_>, number: f64) -> Result<(), Stop> {
    page.aside(|page| put_any_float(page, number))
}

#[inline(never)]
fn put_any_float(mut page: OutBuf<'_>, number: f64) -> Result<OutBuf<'_>, Stop> {
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(number);
    if is_spelled_alike(number) {
        page.slice(shortest.as_bytes())?;
    } else {
        let mut respelled = Vec::with_capacity(32);
        respell(shortest, &mut respelled);
        page.slice(&respelled)?;
    }
    Ok(page)
}

/// An integer on a page.
#[inline(always)]
pub(super) fn put_int(page: &mut OutBuf<'_>, number: i64) -> Result<(), Stop> {
    match u8::try_from(number) {
        Ok(digit @ 0..=9) => page.put(&[b'0' + digit]),
        _ => page.aside(|page| put_any_int(page, number)),
    }
}

#[inline(never)]
fn put_any_int(mut page: OutBuf<'_>, number: i64) -> Result<OutBuf<'_>, Stop> {
    page.slice(itoa::Buffer::new().format(number).as_bytes())?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_python_repr_spells_them() {
        for (number, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (21.5, "21.5"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1_580_422_808_221_865.0 / 8.0, "197552851027733.12"),
            (1e22, "1e+22"),
            (1e100, "1e+100"),
            (0.0001, "0.0001"),
            (0.000_123, "0.000123"),
            (0.000_01, "1e-05"),
            (-0.000_012_34, "-1.234e-05"),
            (0.000_099_99, "9.999e-05"),
            (1e-6, "1e-06"),
            (1.5e-10, "1.5e-10"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            let mut out = Vec::new();
            write_float(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    /// As many digits as in the standard library's shortest spelling, in Python's notation. Where
    /// two are as near, the library takes the odd one and Python the even.
    #[test]
    fn doubles_are_spelled_as_shortly_as_they_can_be() {
        let digits_of = |text: &str| {
            let mantissa = text.split('e').next().unwrap().replace(['.', '-'], "");
            mantissa.trim_matches('0').to_owned()
        };
        let check = |number: f64| {
            if !number.is_finite() {
                return;
            }
            let mut spelled = Vec::new();
            write_float(number, &mut spelled);
            let spelled = String::from_utf8(spelled).unwrap();
            assert_eq!(spelled.parse::<f64>().unwrap().to_bits(), number.to_bits(), "{spelled}");
            let shortest = digits_of(&format!("{number:e}"));
            assert_eq!(digits_of(&spelled).len(), shortest.len(), "{spelled}");
            assert_eq!(float_size::<true>(number), spelled.len());
            let is_small_or_large = number != 0.0 && !(1e-4..1e16).contains(&number.abs());
            assert_eq!(spelled.contains('e'), is_small_or_large, "{spelled}");
        };
        let mut bits: u64 = 0x9e37_79b9_7f4a_7c15;
        for round in 0..100_000_u64 {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            let power = 10f64.powi((bits % 20) as i32 - 6);
            let few = (bits >> 32) % 10u64.pow((round % 10) as u32 + 1);
            check(few as f64 / power);
            check(-(few as f64) * power);
            check((bits >> (round % 60)) as f64);
            check((bits >> 10) as f64 / (1u64 << (round % 64)) as f64);
            check(f64::from_bits(bits));
            check(f64::from_bits((few as f64 / power).to_bits() + 1));
        }
    }

    #[test]
    fn few_digits_are_read_exactly() {
        let mut digits: u64 = 1;
        for round in 0..100_000_usize {
            digits = digits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mut text = (digits >> (round % 64)).to_string();
            text.insert(1 + round % text.len(), '.');
            if round % 3 == 0 {
                text.insert(0, '-');
            }
            let expected = text.parse::<f64>().unwrap();
            if let Some(number) = parse_few_digits(text.as_bytes()) {
                assert_eq!(number.to_bits(), expected.to_bits(), "{text}");
            }
            assert_eq!(
                parse_decimal(text.as_bytes()).map(f64::to_bits),
                Some(expected.to_bits()),
                "{text}"
            );
        }
        assert_eq!(parse_few_digits(b"-0.0").map(f64::to_bits), Some((-0.0f64).to_bits()));
        for other in ["", "-", ".5", "5.", "1.2.3", "1e5", "+1", "--1"] {
            assert_eq!(parse_few_digits(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn integers_have_one_spelling() {
        let check = |digits: &str| {
            let mut document = Document::new();
            let node =
                parse_int(digits.as_bytes(), Text::in_source(0..digits.len()), &mut document)?;
            Ok(match node {
                Node::BigInt(text) => {
                    String::from_utf8_lossy(document.text(digits.as_bytes(), text)).into_owned()
                }
                Node::Int(small) => format!("{small}i"),
                other => format!("{other:?}"),
            })
        };
        let long = "9".repeat(MAX_INT_DIGITS);
        assert_eq!(check("-0"), Ok("0i".into()));
        assert_eq!(check("0007"), Ok("7i".into()));
        assert_eq!(check("-9223372036854775808"), Ok("-9223372036854775808i".into()));
        assert_eq!(check("9223372036854775808"), Ok("9223372036854775808".into()));
        assert_eq!(check("+0009223372036854775808"), Ok("9223372036854775808".into()));
        assert_eq!(check("-0009223372036854775809"), Ok("-9223372036854775809".into()));
        assert_eq!(check("+9223372036854775808"), Ok("9223372036854775808".into()));
        assert_eq!(check("00000000000000000000000007"), Ok("7i".into()));
        assert_eq!(check(&long), Ok(long.clone()));
        assert_eq!(check(&format!("{long}0")), Err(IntFault::TooMany));
        for bad in ["", "-", "1.0", "1_0", " 1", "0x1", "--1", "-+1"] {
            assert_eq!(check(bad), Err(IntFault::NotDigits), "{bad:?}");
        }
    }
}
