//! Numbers that are equal to each other although their types differ.

use std::io::Write;

use num_bigint::BigUint;

use super::Key;

/// Digits of an integer above which it is spelled without the zeros at its end: a Decimal says many
/// of them in a few bytes. No double has as many.
pub(crate) const LONG_INTEGER: usize = 320;

/// Spells a number by its digits, of which the last is no zero, and an exponent.
pub(crate) fn spell_long(is_negative: bool, digits: &[u8], exponent: i64, out: &mut Vec<u8>) {
    out.push(b'q');
    if is_negative {
        out.push(b'-');
    }
    out.extend_from_slice(digits);
    // To a vector nothing fails to be written.
    let _ = write!(out, "E{exponent}");
}

/// How a reduced ratio is compared with other keys: it may be an integer, or a double.
pub(super) fn key_of_ratio(
    is_negative: bool,
    number: &BigUint,
    of: &BigUint,
    out: &mut Vec<u8>,
) -> Key {
    /// Bits that the numerator of a double has, and the exponent of the smallest.
    const MANTISSA: u64 = 53;
    const SMALLEST: u64 = 1074;
    let twos = of.trailing_zeros().unwrap_or(0);
    let is_power = of.bits() == twos + 1;
    if is_power && twos > 0 && twos <= SMALLEST && number.bits() <= MANTISSA {
        let number = number.iter_u64_digits().next().unwrap_or(0) as f64;
        // In two steps, of which each has an exact power.
        let half = (twos / 2) as i32;
        let double = number * 2f64.powi(-half) * 2f64.powi(half - twos as i32);
        return Key::Double(if is_negative { -double } else { double });
    }
    let is_integer = is_power && twos == 0;
    if !is_integer {
        out.push(b'q');
    }
    if is_negative {
        out.push(b'-');
    }
    out.extend_from_slice(number.to_string().as_bytes());
    if is_integer {
        return Key::Integer;
    }
    out.push(b'/');
    out.extend_from_slice(of.to_string().as_bytes());
    Key::Spelled
}

/// A number divided by five as often as it can be, up to `most` times, and how often that was.
pub(super) fn without_fives(mut number: BigUint, most: u64) -> (BigUint, u64) {
    /// The highest power of five that has 64 bits, and others for the rest.
    const POWERS: [(u64, u64); 3] = [(27, 7_450_580_596_923_828_125), (5, 3_125), (1, 5)];
    let mut count = 0;
    for (times, power) in POWERS {
        while count + times <= most && number != BigUint::ZERO && &number % power == BigUint::ZERO {
            number /= power;
            count += times;
        }
    }
    (number, count)
}
