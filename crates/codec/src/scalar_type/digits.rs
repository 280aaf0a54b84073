//! Digits of dates and times.

/// The last so many digits of a number.
pub(super) fn spelled<const N: usize>(mut number: u32) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    digits
}

/// The number that so many digits spell.
pub(super) fn number<const N: usize>(digits: [u8; N]) -> Option<u32> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

/// The microseconds that one to six digits behind a decimal point spell.
pub(super) fn microseconds(digits: &[u8]) -> Option<u32> {
    if !(1..=6).contains(&digits.len()) {
        return None;
    }
    let mut all = [b'0'; 6];
    all[..digits.len()].copy_from_slice(digits);
    number(all)
}
