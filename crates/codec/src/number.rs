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

/// Spells a double that is a decimal of few digits, as most that people send are; returns how many
/// bytes that are, or `None` where it is not one.
///
/// Numbers below 2^51 with up to 8 decimals are looked at: the quotient of two integers that a
/// double holds exactly is the double next to it, so what was found here reads back, and of the
/// decimals with as few or fewer digits no other does, because two of them are further apart than
/// two doubles. More decimals are tried than are needed, and the zeros at the end left out again:
/// it is the same quotient.
#[inline]
fn spell_decimal(number: f64, out: &mut [u8; 32]) -> Option<usize> {
    const POWERS: [(f64, u64, usize); 4] =
        [(1e2, 100, 2), (1e4, 10_000, 4), (1e8, 100_000_000, 8), (1e0, 1, 0)];
    const LARGEST: f64 = (1_u64 << 51) as f64;
    let magnitude = number.abs();
    if !(1e-4..LARGEST).contains(&magnitude) {
        return None;
    }
    for (power, divisor, mut decimals) in POWERS {
        let scaled = magnitude * power;
        let digits = (scaled + 0.5) as u64;
        if scaled >= LARGEST || digits as f64 / power != magnitude {
            // A decimal of fewer digits is one of eight as well: mostly this ends it, after two
            // divisions.
            if decimals == 2 && magnitude < LARGEST / 1e8 {
                let eight = (magnitude * 1e8 + 0.5) as u64;
                if eight as f64 / 1e8 != magnitude {
                    return None;
                }
            }
            continue;
        }
        let (whole, mut fraction) = (digits / divisor, digits % divisor);
        while decimals > 1 && fraction.is_multiple_of(10) {
            fraction /= 10;
            decimals -= 1;
        }
        let decimals = decimals.max(1);
        out[0] = b'-';
        let sign = usize::from(number < 0.0);
        let mut spelled = itoa::Buffer::new();
        let whole = spelled.format(whole).as_bytes();
        let point = sign + whole.len();
        out[sign..point].copy_from_slice(whole);
        out[point] = b'.';
        // From the right to the left: as many digits as there are decimals, zeros in front
        // included.
        for place in out[point + 1..=point + decimals].iter_mut().rev() {
            *place = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        return Some(point + 1 + decimals);
    }
    None
}

/// Appends a finite double as Python's `repr` spells it: the shortest text that reads back as the
/// same double, with an exponent from `1e16` up and below `1e-4`.
pub(super) fn write_float(number: f64, out: &mut Vec<u8>) {
    let mut spelled = [0; 32];
    match spell_decimal(number, &mut spelled) {
        Some(length) => out.extend_from_slice(&spelled[..length]),
        None => write_shortest(number, out),
    }
}

/// Bytes that [`write_float`] appends; without `EXACT`, as many as it appends at most, which need
/// not be found out.
pub(super) fn float_size<const EXACT: bool>(number: f64) -> usize {
    if !EXACT {
        return b"-1.7976931348623157e+308".len();
    }
    let mut spelled = [0; 32];
    spell_decimal(number, &mut spelled).unwrap_or_else(|| {
        let mut shortest = Vec::with_capacity(32);
        write_shortest(number, &mut shortest);
        shortest.len()
    })
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
    let mut spelled = [0; 32];
    match spell_decimal(number, &mut spelled) {
        Some(length) => page.part(&spelled, length)?,
        None => {
            let mut buffer = ryu::Buffer::new();
            let shortest = buffer.format_finite(number).as_bytes();
            if (1e-4..1e16).contains(&number.abs()) {
                page.slice(shortest)?;
            } else {
                let mut shortest = Vec::with_capacity(32);
                write_shortest(number, &mut shortest);
                page.slice(&shortest)?;
            }
        }
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

fn write_shortest(number: f64, out: &mut Vec<u8>) {
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(number);
    match shortest.split_once('e') {
        Some((digits, exponent)) => {
            out.extend_from_slice(digits.as_bytes());
            out.push(b'e');
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => (b'-', exponent),
                None => (b'+', exponent),
            };
            out.push(sign);
            if exponent.len() < 2 {
                out.push(b'0');
            }
            out.extend_from_slice(exponent.as_bytes());
        }
        // The one place where ryu's habit and Python's differ: 0.00001234 against 1.234e-05.
        None if number != 0.0 && number.abs() < 1e-4 => {
            let (sign, fraction) = match shortest.strip_prefix("-0.0000") {
                Some(fraction) => ("-", fraction),
                None => ("", shortest.trim_start_matches("0.0000")),
            };
            let (first, rest) = fraction.split_at(1);
            out.extend_from_slice(sign.as_bytes());
            out.extend_from_slice(first.as_bytes());
            if !rest.is_empty() {
                out.push(b'.');
                out.extend_from_slice(rest.as_bytes());
            }
            out.extend_from_slice(b"e-05");
        }
        None => out.extend_from_slice(shortest.as_bytes()),
    }
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

    #[test]
    fn few_digits_are_the_shortest() {
        let decimal = |number: f64| {
            let mut spelled = [0; 32];
            spell_decimal(number, &mut spelled)
                .map(|length| String::from_utf8(spelled[..length].to_vec()).unwrap())
        };
        let both = |number: f64| {
            let mut shortest = Vec::new();
            write_shortest(number, &mut shortest);
            if let Some(decimal) = decimal(number) {
                assert_eq!(decimal, String::from_utf8(shortest).unwrap());
            }
        };
        let mut bits: u64 = 0x9e37_79b9_7f4a_7c15;
        for round in 0..200_000_u64 {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            let power = 10f64.powi((bits % 20) as i32 - 6);
            let few = (bits >> 32) % 10u64.pow((round % 10) as u32 + 1);
            both(few as f64 / power);
            both(-(few as f64) * power);
            both((bits >> (round % 60)) as f64);
            both((bits >> 10) as f64 / (1u64 << (round % 64)) as f64);
            both(f64::from_bits(bits));
            // The neighbours of a decimal are none.
            both(f64::from_bits((few as f64 / power).to_bits() + 1));
        }
        assert_eq!(decimal(-21.05).as_deref(), Some("-21.05"));
        assert_eq!(decimal(1e15).as_deref(), Some("1000000000000000.0"));
        assert_eq!(decimal(0.1 + 0.2), None);
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
