//! Digits of dates and times.

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
