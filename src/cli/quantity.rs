//! Numbers as people read them.

/// A count: exact where it is small, else to three digits.
pub(super) fn count(number: f64) -> String {
    match number {
        few if few < 10.0 && few.fract() > 0.05 => format!("{few:.1}"),
        few if few < 10_000.0 => format!("{few:.0}"),
        more if more < 999_500.0 => three(more / 1e3) + " k",
        many if many < 999.5e6 => three(many / 1e6) + " M",
        huge => three(huge / 1e9) + " G",
    }
}

/// An amount of bytes.
pub(super) fn bytes(number: f64) -> String {
    const STEP: f64 = 1_024.0;
    match number {
        few if few < STEP => format!("{few:.0} B"),
        more if more < STEP * STEP => three(more / STEP) + " KiB",
        many if many < STEP * STEP * STEP => three(many / STEP / STEP) + " MiB",
        huge => three(huge / STEP / STEP / STEP) + " GiB",
    }
}

fn three(number: f64) -> String {
    match number {
        one if one < 9.995 => format!("{one:.2}"),
        two if two < 99.95 => format!("{two:.1}"),
        more => format!("{more:.0}"),
    }
}

/// A span of time.
pub(super) fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_have_a_prefix() {
        for (number, expected) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (7.0, "7"),
            (9_999.0, "9999"),
            (12_345.0, "12.3 k"),
            (999_999.0, "1.00 M"),
            (2e9, "2.00 G"),
        ] {
            assert_eq!(count(number), expected);
        }
        for (number, expected) in [
            (0.0, "0 B"),
            (1_023.0, "1023 B"),
            (1_536.0, "1.50 KiB"),
            (123e6, "117 MiB"),
            (5e9, "4.66 GiB"),
        ] {
            assert_eq!(bytes(number), expected);
        }
        for (seconds, expected) in
            [(5.9, "5 s"), (65.0, "1 min 5 s"), (7_300.0, "2 h 1 min"), (180_000.0, "2 d 2 h")]
        {
            assert_eq!(time(seconds), expected);
        }
    }
}
