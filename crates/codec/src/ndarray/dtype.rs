//! What the items of a numpy array are: `dtype.str`, read and written.

/// The units of datetime64 and timedelta64, as numpy names them.
const UNITS: [&str; 13] = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"];

/// The parts of `'<f8'`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dtype {
    /// `b` bool, `i` and `u` integers, `f` float, `c` complex, `U` str, `S` bytes, `M` datetime64,
    /// `m` timedelta64.
    pub(crate) kind: u8,
    /// Bytes of an item; of a str, characters.
    size: usize,
    pub(crate) is_big_endian: bool,
    /// Of times; none where numpy's is generic.
    pub(crate) unit: Option<(&'static str, i64)>,
}

impl Dtype {
    /// The dtype that `code` says, as `f8` and `U5`, which is what a pickle names it by; `None`
    /// where its items are nothing in Python, as objects and long doubles.
    pub(crate) fn named(code: &[u8], is_big_endian: bool) -> Option<Dtype> {
        let (&kind, size) = code.split_first()?;
        if size.len() > 9 || !size.iter().all(u8::is_ascii_digit) || size.is_empty() {
            return None;
        }
        let size = size.iter().fold(0, |size, digit| size * 10 + usize::from(digit - b'0'));
        let is_known = match kind {
            b'b' => size == 1,
            b'i' | b'u' => matches!(size, 1 | 2 | 4 | 8),
            b'f' => matches!(size, 2 | 4 | 8),
            b'c' => matches!(size, 8 | 16),
            b'M' | b'm' => size == 8,
            // numpy has the length in 32 bits.
            b'U' => size <= i32::MAX as usize / 4,
            b'S' => true,
            _ => false,
        };
        let dtype = Dtype { kind, size, is_big_endian, unit: None };
        // Single bytes have no order.
        let is_big_endian = is_big_endian && dtype.has_order();
        is_known.then_some(Dtype { is_big_endian, ..dtype })
    }

    /// The same of times, so many of a unit each; `None` where numpy has no such unit.
    pub(crate) fn in_units(self, unit: &[u8], count: i64) -> Option<Dtype> {
        if unit == b"generic" {
            return Some(self);
        }
        let unit = UNITS.into_iter().find(|name| name.as_bytes() == unit)?;
        // And how many of a unit.
        (1..=i32::MAX.into())
            .contains(&count)
            .then_some(Dtype { unit: Some((unit, count)), ..self })
    }

    /// What `dtype.str` spells: `'<f8'`, `'|b1'`, `'<M8[25s]'`.
    pub(crate) fn parse(text: &[u8]) -> Option<Dtype> {
        let (&order, code) = text.split_first()?;
        let bracket = memchr::memchr(b'[', code).unwrap_or(code.len());
        let (code, unit) = code.split_at(bracket);
        let dtype = Dtype::named(code, order == b'>')?;
        let is_fit = match order {
            b'<' | b'>' => true,
            b'|' => !dtype.has_order(),
            _ => false,
        };
        let is_time = matches!(dtype.kind, b'M' | b'm');
        if !is_fit || !is_time && !unit.is_empty() {
            return None;
        }
        if unit.is_empty() {
            return Some(dtype);
        }
        let unit = unit.strip_prefix(b"[")?.strip_suffix(b"]")?;
        let digits = unit.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (count, unit) = unit.split_at(digits);
        let count = match count {
            b"" => 1,
            count => str::from_utf8(count).ok()?.parse().ok()?,
        };
        (unit != b"generic").then(|| dtype.in_units(unit, count)).flatten()
    }

    /// What `dtype.str` gives.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        out.push(self.order());
        self.put_code(out);
        match self.unit {
            None => {}
            Some((unit, 1)) => out.extend_from_slice(format!("[{unit}]").as_bytes()),
            Some((unit, count)) => out.extend_from_slice(format!("[{count}{unit}]").as_bytes()),
        }
    }

    /// The name without order and unit.
    pub(crate) fn put_code(self, out: &mut Vec<u8>) {
        out.push(self.kind);
        out.extend_from_slice(self.size.to_string().as_bytes());
    }

    pub(crate) fn order(self) -> u8 {
        match (self.has_order(), self.is_big_endian) {
            (false, _) => b'|',
            (true, false) => b'<',
            (true, true) => b'>',
        }
    }

    /// Bytes of an item.
    pub(crate) fn length(self) -> usize {
        if self.kind == b'U' { self.size.saturating_mul(4) } else { self.size }
    }

    fn has_order(self) -> bool {
        self.kind != b'S' && self.length() != 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_writes_is_read_and_written() {
        for text in [
            "|b1", "|i1", "|u1", "<i2", ">i4", "<u8", "<f2", ">f8", "<c8", "<c16", "|S5", "|S0",
            "<U0", ">U12", "<M8", "<M8[ns]", ">m8[25s]", "<m8[D]",
        ] {
            let mut out = Vec::new();
            Dtype::parse(text.as_bytes()).expect(text).put(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        let mut out = Vec::new();
        Dtype::parse(b">S5").unwrap().put(&mut out);
        assert_eq!(out, b"|S5");
    }

    #[test]
    fn what_is_nothing_in_python_is_no_dtype() {
        for text in [
            "",
            "f8",
            "=f8",
            "|f8",
            "|O8",
            "<O8",
            "<f16",
            "<c32",
            "<i3",
            "|V8",
            "<U",
            "<f8[s]",
            "<M8[x]",
            "<M8[]",
            "<M8[0s]",
            "<M8[generic]",
            "<M8[s",
            "<M8[99999999999999999999s]",
            "<f8,<i4",
            "<U9999999999",
            "<U536870912",
            "<M8[2147483648s]",
        ] {
            assert_eq!(Dtype::parse(text.as_bytes()), None, "{text}");
        }
    }
}
