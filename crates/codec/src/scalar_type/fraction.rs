//! `fractions.Fraction`: two integers without a common factor, the second positive.

use num_bigint::BigUint;

use super::rational::key_of_ratio;
use super::{Key, NotOfType};

const WANTED: NotOfType =
    NotOfType::Wanted("a fraction of two integers, as 1/3, the second not zero");

/// Digits of each integer. To find a common factor takes time with the square of their number.
pub(crate) const MAX_DIGITS: usize = 1_000;

pub(super) fn canonical(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    match text.iter().position(|&byte| byte == b'/') {
        Some(at) => put(&text[..at], &text[at + 1..], out),
        None => put(text, b"1", out),
    }
}

/// The fraction of two integers by their decimal digits, the first perhaps with a sign.
pub(crate) fn put(number: &[u8], of: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let (is_negative, number) = match number {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let is_integer = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !is_integer(number) || !is_integer(of) {
        return Err(WANTED);
    }
    if number.len().max(of.len()) > MAX_DIGITS {
        return Err(NotOfType::TooManyDigits);
    }
    let (number, of) = match (small(number), small(of)) {
        (Some(number), Some(of @ 1..)) => {
            let common = common_factor(number, of);
            ((number / common).to_string(), (of / common).to_string())
        }
        _ => {
            let (Some(number), Some(of)) =
                (BigUint::parse_bytes(number, 10), BigUint::parse_bytes(of, 10))
            else {
                return Err(WANTED);
            };
            if of == BigUint::ZERO {
                return Err(WANTED);
            }
            let common = long_common_factor(&number, &of);
            ((number / &common).to_string(), (of / &common).to_string())
        }
    };
    if is_negative && number != "0" {
        out.push(b'-');
    }
    out.extend_from_slice(number.as_bytes());
    if of != "1" {
        out.push(b'/');
        out.extend_from_slice(of.as_bytes());
    }
    Ok(())
}

/// The number of up to 38 digits, which fit 128 bits.
fn small(digits: &[u8]) -> Option<u128> {
    (digits.len() <= 38)
        .then(|| digits.iter().fold(0, |number, digit| number * 10 + u128::from(digit - b'0')))
}

/// Euclid's algorithm.
fn common_factor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn long_common_factor(a: &BigUint, b: &BigUint) -> BigUint {
    let (mut a, mut b) = (a.clone(), b.clone());
    while b != BigUint::ZERO {
        let rest = &a % &b;
        (a, b) = (b, rest);
    }
    a
}

/// Fractions are equal to every number that is the same.
pub(super) fn key(canonical: &[u8], out: &mut Vec<u8>) -> Key {
    let (is_negative, magnitude) = match canonical {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let Some(at) = magnitude.iter().position(|&byte| byte == b'/') else {
        out.extend_from_slice(canonical);
        return Key::Integer;
    };
    match (
        BigUint::parse_bytes(&magnitude[..at], 10),
        BigUint::parse_bytes(&magnitude[at + 1..], 10),
    ) {
        (Some(number), Some(of)) => key_of_ratio(is_negative, &number, &of, out),
        _ => Key::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ScalarType::{Decimal, Fraction};
    use super::*;

    #[test]
    fn fractions_are_reduced() {
        let long = "9".repeat(MAX_DIGITS);
        let (half, long_half) =
            (format!("{}/{}", "2".repeat(100), "4".repeat(100)), format!("{long}/{long}"));
        for (spelled, canonical) in [
            ("1/3", "1/3"),
            ("-4/2", "-2"),
            ("+6/4", "3/2"),
            ("0/7", "0"),
            ("-0/7", "0"),
            ("007", "7"),
            (half.as_str(), "1/2"),
            (long_half.as_str(), "1"),
        ] {
            assert_eq!(Fraction.canonical(spelled).as_deref(), Ok(canonical), "{spelled:.20}");
        }
        for wrong in ["", "/", "1/", "/2", "1/0", "1/-2", "1.5", "1/2/3", "a", "1 /2", "--1", "1e3"]
        {
            assert_eq!(Fraction.canonical(wrong), Err(WANTED), "{wrong}");
        }
        assert_eq!(Fraction.canonical(&format!("{long}0/3")), Err(NotOfType::TooManyDigits));
    }

    #[test]
    fn fractions_are_equal_to_what_is_the_same_number() {
        let key = |of: super::super::ScalarType, text: &str| {
            let mut out = Vec::new();
            (of.key(text.as_bytes(), &mut out), out)
        };
        for (fraction, decimal) in [
            ("1/10", "0.1"),
            ("3/20", "0.15"),
            ("-7/2", "-3.5"),
            ("5", "5.00"),
            ("1/1024", "0.0009765625"),
        ] {
            assert_eq!(key(Fraction, fraction), key(Decimal, decimal), "{fraction}");
        }
        assert_eq!(key(Fraction, "-7/2").0, Key::Double(-3.5));
        assert_ne!(key(Fraction, "1/3"), key(Decimal, "0.3333333333333333"));
        let tiny = format!("1/{}", BigUint::from(2u8).pow(1074));
        assert_eq!(key(Fraction, &tiny).0, Key::Double(5e-324));
    }
}
