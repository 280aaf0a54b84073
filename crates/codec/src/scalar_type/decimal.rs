//! `decimal.Decimal`: what its constructor reads of ASCII, and `str()` writes ("to-scientific-
//! string" of the General Decimal Arithmetic Specification).

use std::io::Write;

use num_bigint::BigUint;

use super::rational::{LONG_INTEGER, key_of_ratio, spell_long, without_fives};
use super::{Key, NotOfType};
use crate::protocol::MAX_INT_DIGITS;

const WANTED: NotOfType = NotOfType::Wanted("a decimal number, as 1.10, 1E+3, NaN or -Infinity");
/// Python's limits: of the exponent of the first digit, and of that of the last.
const MAX_EXPONENT: i64 = 999_999_999_999_999_999;
const MIN_EXPONENT: i64 = -1_999_999_999_999_999_997;
/// Digits of a number and of its fraction up to which it is compared with fractions and doubles. Of
/// doubles some have more, if they are spelled in full: most of those below 1e-100.
const COMPARED: usize = 400;

/// A number's parts: its sign, its digits without leading zeros, and the exponent of the last.
struct Parts<'a> {
    is_negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

pub(super) fn canonical(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let (is_negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if magnitude.first().is_some_and(u8::is_ascii_alphabetic) {
        return word(is_negative, magnitude, out);
    }
    if is_plain(magnitude) {
        if is_negative {
            out.push(b'-');
        }
        out.extend_from_slice(magnitude);
        return Ok(());
    }
    let parts = parts(text).ok_or(WANTED)?;
    if parts.whole.len() + parts.fraction.len() > MAX_INT_DIGITS {
        return Err(NotOfType::TooManyDigits);
    }
    let mut digits = [parts.whole, parts.fraction].concat();
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.drain(..zeros.min(digits.len() - 1));
    put(parts.is_negative, &digits, parts.exponent, out)
}

/// Whether digits with a point between them, or without one, are spelled canonically beyond doubt:
/// prices and amounts are.
fn is_plain(magnitude: &[u8]) -> bool {
    /// So many digits are never too many.
    const SHORT: usize = 64;
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(magnitude);
    let has_few_zeros = whole > 0 && (magnitude[0] != b'0' || whole == 1 && magnitude.len() <= 8);
    let is_number = match &magnitude[whole..] {
        [] => true,
        [b'.', fraction @ ..] => !fraction.is_empty() && digits(fraction) == fraction.len(),
        _ => false,
    };
    magnitude.len() <= SHORT && has_few_zeros && is_number
}

/// What is no number: `NaN` may have digits behind it, which mean nothing.
fn word(is_negative: bool, word: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (letters, digits) = word.split_at(letters);
    let letters: &[u8] = match letters.to_ascii_lowercase().as_slice() {
        b"inf" | b"infinity" if digits.is_empty() => b"Infinity",
        b"nan" => b"NaN",
        b"snan" => b"sNaN",
        _ => return Err(WANTED),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(WANTED);
    }
    if digits.len() > MAX_INT_DIGITS {
        return Err(NotOfType::TooManyDigits);
    }
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    if is_negative {
        out.push(b'-');
    }
    out.extend_from_slice(letters);
    out.extend_from_slice(&digits[zeros..]);
    Ok(())
}

/// The parts of a number; `None` for what is none, and where its exponent is beyond all bounds.
fn parts(text: &[u8]) -> Option<Parts<'_>> {
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (number, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = match number.iter().position(|&byte| byte == b'.') {
        Some(at) => (&number[..at], &number[at + 1..]),
        None => (number, &[][..]),
    };
    let is_number =
        whole.len() + fraction.len() > 0 && whole.iter().chain(fraction).all(u8::is_ascii_digit);
    is_number.then(|| Parts {
        is_negative,
        whole,
        fraction,
        exponent: exponent - fraction.len() as i64,
    })
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.len() > MAX_INT_DIGITS {
        return None;
    }
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let digits = &digits[zeros..];
    if digits.len() > 18 && digits > b"1999999999999999999".as_slice() || digits.len() > 19 {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    Some(if is_negative { -number } else { number })
}

/// Digits with a point in or before them as long as there are few zeros, else with an exponent.
fn put(
    is_negative: bool,
    digits: &[u8],
    exponent: i64,
    out: &mut Vec<u8>,
) -> Result<(), NotOfType> {
    let length = digits.len() as i64;
    // Where the point is, counted from the first digit.
    let point = exponent + length;
    if exponent < MIN_EXPONENT || point - 1 > MAX_EXPONENT {
        return Err(WANTED);
    }
    if is_negative {
        out.push(b'-');
    }
    let place = if exponent <= 0 && point > -6 { point } else { 1 };
    if place <= 0 {
        out.extend_from_slice(b"0.");
        out.extend((place..0).map(|_| b'0'));
        out.extend_from_slice(digits);
    } else {
        let (whole, fraction) = digits.split_at(digits.len().min(place as usize));
        out.extend_from_slice(whole);
        if !fraction.is_empty() {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    }
    if point != place {
        // To a vector nothing fails to be written.
        let _ = write!(out, "E{:+}", point - place);
    }
    Ok(())
}

/// Decimals are equal to every number that is the same.
pub(super) fn key(canonical: &[u8], out: &mut Vec<u8>) -> Key {
    let magnitude = canonical.strip_prefix(b"-").unwrap_or(canonical);
    match magnitude.first() {
        Some(b'I') => {
            let is_negative = magnitude.len() < canonical.len();
            return Key::Double(if is_negative { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        Some(b'N') => return Key::Nothing,
        Some(b's') => return Key::Unhashable,
        _ => {}
    }
    let Some(parts) = parts(canonical) else { return Key::Nothing };
    let mut digits = [parts.whole, parts.fraction].concat();
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.drain(..zeros);
    let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
    digits.truncate(digits.len() - zeros);
    if digits.is_empty() {
        return Key::Double(0.0);
    }
    let exponent = parts.exponent + zeros as i64;
    if exponent >= 0 && digits.len() as i64 + exponent <= LONG_INTEGER as i64 {
        if parts.is_negative {
            out.push(b'-');
        }
        out.extend_from_slice(&digits);
        out.extend((0..exponent).map(|_| b'0'));
        return Key::Integer;
    }
    let places = usize::try_from(-exponent).unwrap_or(usize::MAX);
    if exponent < 0
        && digits.len().saturating_add(places) <= COMPARED
        && let Some(number) = BigUint::parse_bytes(&digits, 10)
    {
        // The number is no multiple of ten, so it has factors of two or of five, or neither.
        let places = places as u64;
        let twos = number.trailing_zeros().unwrap_or(0).min(places);
        let (number, fives) = without_fives(number >> twos, places);
        let of = (BigUint::from(5u8).pow((places - fives) as u32)) << (places - twos);
        return key_of_ratio(parts.is_negative, &number, &of, out);
    }
    spell_long(parts.is_negative, &digits, exponent, out);
    Key::Spelled
}

#[cfg(test)]
mod tests {
    use super::super::ScalarType::Decimal;
    use super::*;

    #[test]
    fn decimals_are_spelled_as_python_does() {
        for (spelled, canonical) in [
            ("1.10", "1.10"),
            ("1e3", "1E+3"),
            ("+1E-3", "0.001"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1E-7"),
            ("0E-7", "0E-7"),
            ("-0", "-0"),
            ("0.00", "0.00"),
            ("000", "0"),
            ("007.50", "7.50"),
            (".5", "0.5"),
            ("5.", "5"),
            ("123456789E-3", "123456.789"),
            ("12E+1", "1.2E+2"),
            ("1.5E+20", "1.5E+20"),
            ("1E-10", "1E-10"),
            ("-1.234E-8", "-1.234E-8"),
            ("inf", "Infinity"),
            ("-INFINITY", "-Infinity"),
            ("nan", "NaN"),
            ("-sNaN0123", "-sNaN123"),
            ("NaN000", "NaN"),
            ("1E+999999999999999999", "1E+999999999999999999"),
            ("1E-999999999999999999", "1E-999999999999999999"),
            ("15E-1999999999999999997", "1.5E-1999999999999999996"),
        ] {
            assert_eq!(Decimal.canonical(spelled).as_deref(), Ok(canonical), "{spelled}");
            assert_eq!(Decimal.canonical(canonical).as_deref(), Ok(canonical), "{canonical}");
        }
        for wrong in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1_0",
            " 1",
            "1 ",
            "0x1",
            "1.2.3",
            "infi",
            "inf1",
            "NaN-1",
            "--1",
            "1E+1000000000000000000",
            "10E+999999999999999999",
            "1E-1999999999999999998",
            "1E-9999999999999999999",
            "\u{661}",
        ] {
            assert_eq!(Decimal.canonical(wrong), Err(WANTED), "{wrong}");
        }
        let long = "1".repeat(MAX_INT_DIGITS);
        assert!(Decimal.canonical(&long).is_ok());
        assert_eq!(Decimal.canonical(&format!("{long}.1")), Err(NotOfType::TooManyDigits));
        assert_eq!(Decimal.canonical(&format!("NaN{long}1")), Err(NotOfType::TooManyDigits));
    }

    #[test]
    fn what_is_spelled_canonically_stays() {
        let slowly = |text: &[u8]| {
            let parts = parts(text)?;
            let mut digits = [parts.whole, parts.fraction].concat();
            let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
            digits.drain(..zeros.min(digits.len() - 1));
            let mut out = Vec::new();
            put(parts.is_negative, &digits, parts.exponent, &mut out).ok().map(|()| out)
        };
        let mut plain = 0;
        for length in 0..8 {
            for number in 0..5usize.pow(length) {
                let letter = |at| b"019.E"[number / 5usize.pow(at) % 5];
                let text: Vec<u8> = (0..length).map(letter).collect();
                if is_plain(&text) {
                    plain += 1;
                    assert_eq!(slowly(&text).as_ref(), Some(&text), "{}", text.escape_ascii());
                }
            }
        }
        assert!(plain > 5_000, "only {plain} are plain");
        for (text, expected) in [("0.000000", true), ("0.0000001", false), ("", false)] {
            assert_eq!(is_plain(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn decimals_are_equal_to_what_is_the_same_number() {
        let key = |text: &str| {
            let mut out = Vec::new();
            (
                Decimal.key(Decimal.canonical(text).unwrap().as_bytes(), &mut out),
                String::from_utf8(out).unwrap(),
            )
        };
        assert_eq!(key("1.0"), (Key::Integer, "1".into()));
        assert_eq!(key("-1E+3"), (Key::Integer, "-1000".into()));
        assert_eq!(key("-0.00"), (Key::Double(0.0), String::new()));
        assert_eq!(key("0.5"), (Key::Double(0.5), String::new()));
        assert_eq!(key("-1.2500"), (Key::Double(-1.25), String::new()));
        assert_eq!(key("0.1"), (Key::Spelled, "q1/10".into()));
        assert_eq!(key("0.15"), (Key::Spelled, "q3/20".into()));
        assert_eq!(key("-0.12"), (Key::Spelled, "q-3/25".into()));
        assert_eq!(key("-Infinity"), (Key::Double(f64::NEG_INFINITY), String::new()));
        assert_eq!(key("NaN1").0, Key::Nothing);
        assert_eq!(key("sNaN").0, Key::Unhashable);
        assert_eq!(key("1E+5000"), key("10.0E+4999"));
        assert_ne!(key("1E+5000"), key("1E+5001"));
        assert_eq!(key("1E-5000"), key("10E-5001"));
    }
}
