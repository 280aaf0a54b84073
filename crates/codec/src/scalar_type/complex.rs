//! `complex`: two doubles, spelled as `str()` does.

use super::{Key, NotOfType};
use crate::number::{parse_decimal, write_float};
use crate::pickle::{Calls, Class};

const WANTED: NotOfType = NotOfType::Wanted("a complex number as Python's str() has it: (1+2j)");

/// The parts of the number that a text spells: `2j`, `(1+2j)` or a real number.
pub(crate) fn parts(text: &[u8]) -> Option<(f64, f64)> {
    let inside = match text {
        [b'(', inside @ .., b')'] => inside,
        text => text,
    };
    let Some(text) = inside.strip_suffix(b"j") else { return Some((float(inside)?, 0.0)) };
    // The sign between the parts is the last one that is not of an exponent.
    let between = (1..text.len())
        .rev()
        .find(|&at| matches!(text[at], b'+' | b'-') && !matches!(text[at - 1], b'e' | b'E'));
    match between {
        Some(at) => Some((float(&text[..at])?, float(&text[at..])?)),
        None => Some((0.0, float(text)?)),
    }
}

/// A double as Python spells it.
fn float(text: &[u8]) -> Option<f64> {
    let (is_negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let magnitude = match magnitude {
        b"nan" => f64::NAN,
        b"inf" => f64::INFINITY,
        [b'0'..=b'9', ..] => {
            let is_decimal = magnitude
                .iter()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E'));
            parse_decimal(magnitude).filter(|number| is_decimal && number.is_finite())?
        }
        _ => return None,
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

pub(super) fn canonical(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotOfType> {
    let (re, im) = parts(text).ok_or(WANTED)?;
    put(re, im, out);
    Ok(())
}

/// `complex(re, im)`: without its real part where that is a zero without a sign.
pub(crate) fn put(re: f64, im: f64, out: &mut Vec<u8>) {
    let has_real = re.to_bits() != 0;
    if has_real {
        out.push(b'(');
        put_part(re, out);
        if !im.is_sign_negative() || im.is_nan() {
            out.push(b'+');
        }
    }
    put_part(im, out);
    out.push(b'j');
    if has_real {
        out.push(b')');
    }
}

/// `complex(re, im)` in a pickle.
pub(super) fn call(canonical: &[u8], calls: &mut Calls<'_>) {
    let (re, im) = parts(canonical).unwrap_or((f64::NAN, f64::NAN));
    calls.class(Class::Complex);
    calls.float(re);
    calls.float(im);
    calls.call(2);
}

fn put_part(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(b"nan");
    } else if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 { b"inf" } else { b"-inf" });
    } else {
        write_float(number, out);
        if out.ends_with(b".0") {
            out.truncate(out.len() - 2);
        }
    }
}

/// A number without an imaginary part is equal to the real one.
pub(super) fn key(canonical: &[u8], out: &mut Vec<u8>) -> Key {
    match parts(canonical) {
        Some((re, im)) if re.is_nan() || im.is_nan() => Key::Nothing,
        Some((re, 0.0)) => Key::Double(re),
        Some((re, im)) => {
            out.push(b'c');
            for part in [re, im] {
                // The zeros are equal.
                out.extend_from_slice(&(part + 0.0).to_bits().to_be_bytes());
            }
            Key::Spelled
        }
        None => Key::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ScalarType::Complex;
    use super::*;

    #[test]
    fn numbers_are_spelled_as_python_does() {
        let spelled = |re: f64, im: f64| {
            let mut out = Vec::new();
            put(re, im, &mut out);
            String::from_utf8(out).unwrap()
        };
        for (re, im, expected) in [
            (1.0, 2.0, "(1+2j)"),
            (0.0, 2.0, "2j"),
            (-0.0, 2.0, "(-0+2j)"),
            (0.0, -0.0, "-0j"),
            (0.0, 0.0, "0j"),
            (1e16, -1.0e-5, "(1e+16-1e-05j)"),
            (f64::NAN, f64::NEG_INFINITY, "(nan-infj)"),
            (0.0, f64::NAN, "nanj"),
            (f64::INFINITY, f64::NAN, "(inf+nanj)"),
            (0.1, -1.5, "(0.1-1.5j)"),
        ] {
            assert_eq!(spelled(re, im), expected);
            assert_eq!(Complex.canonical(expected).as_deref(), Ok(expected));
        }
        assert_eq!(Complex.canonical("1.50").as_deref(), Ok("(1.5+0j)"));
        for wrong in [
            "",
            "j",
            "()",
            "(1",
            "1+2",
            "(1+2j",
            "1 + 2j",
            "++1j",
            "1e999j",
            "0x1j",
            "infinityj",
            "-j",
            "(.5j)",
        ] {
            assert_eq!(Complex.canonical(wrong), Err(WANTED), "{wrong}");
        }
    }
}
