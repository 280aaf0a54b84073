//! RFC 8259, read once from left to right: what is JSON, and where its pieces lie.
//!
//! The grammar reports to a [`Sink`]. One sink builds a document, another only judges, so both
//! agree on what JSON is. Nesting is kept in a bit set, not on the call stack.

use std::ops::Range;

use crate::protocol::{ErrorCode, MAX_DEPTH, MAX_INT_DIGITS, Refusal};
use crate::swar::{is_utf8, stops};

/// How deep brackets may nest. A `$dict` takes three of them for one level of values, and the
/// object that is the message body is one more.
pub(super) const MAX_BRACKETS: usize = 3 * MAX_DEPTH + 1;

/// The pieces that the grammar finds, in order. Ranges are positions in the source, quotes of
/// strings not included.
pub(super) trait Sink {
    fn null(&mut self) -> Result<(), Refusal>;
    fn bool(&mut self, truth: bool) -> Result<(), Refusal>;
    /// An integer, of at most [`MAX_INT_DIGITS`] digits.
    fn integer(&mut self, digits: Range<usize>) -> Result<(), Refusal>;
    /// A number with a fraction or an exponent, its value finite.
    fn float(&mut self, digits: Range<usize>) -> Result<(), Refusal>;
    fn string(&mut self, text: Piece) -> Result<(), Refusal>;
    fn key(&mut self, text: Piece) -> Result<(), Refusal>;
    fn open(&mut self, bracket: Bracket) -> Result<(), Refusal>;
    fn close(&mut self, bracket: Bracket) -> Result<(), Refusal>;
}

/// A string as it stands between its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    /// Whether it contains a `\`, and so is not spelled literally.
    pub(super) escaped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    Object,
    Array,
}

/// A position in a JSON text that is known to be UTF-8.
///
/// It is handed to cold code as a copy, never by reference, so that on the hot way it lives in
/// registers.
#[derive(Clone, Copy)]
pub(super) struct Grammar<'a> {
    source: &'a [u8],
    at: usize,
    /// Where the body begins in `source`: messages name positions in the body.
    base: usize,
}

impl<'a> Grammar<'a> {
    /// Begins at the start of `range`.
    ///
    /// # Errors
    /// [`ErrorCode::MalformedJson`] where the range is not UTF-8.
    pub(super) fn new(source: &'a [u8], range: Range<usize>) -> Result<Grammar<'a>, Refusal> {
        let grammar = Grammar { source: &source[..range.end], at: range.start, base: range.start };
        let body = &source[range];
        if is_utf8(body) { Ok(grammar) } else { Err(not_utf8(body)) }
    }

    /// The same text, further on.
    pub(super) fn at(self, position: usize) -> Grammar<'a> {
        Grammar { at: position, ..self }
    }

    #[inline(always)]
    pub(super) fn position(&self) -> usize {
        self.at
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    #[inline(always)]
    pub(super) fn skip_space(&mut self) {
        while let Some(0..=b' ') = self.peek() {
            let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() else { return };
            self.at += 1;
        }
    }

    /// Takes `byte`, or says that `what` was expected here.
    #[inline(always)]
    pub(super) fn expect(&mut self, byte: u8, what: &str) -> Result<(), Refusal> {
        if self.peek() != Some(byte) {
            return Err(self.unexpected(what));
        }
        self.at += 1;
        Ok(())
    }

    /// Nothing but space may follow.
    pub(super) fn end(&mut self) -> Result<(), Refusal> {
        self.skip_space();
        if self.at < self.source.len() {
            return Err(self.unexpected("the end of the body"));
        }
        Ok(())
    }

    /// Reads one value, however deep, and reports it.
    #[inline(always)]
    pub(super) fn value(&mut self, sink: &mut impl Sink) -> Result<(), Refusal> {
        let mut nesting = Nesting::new();
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'"') => {
                    let text = self.string()?;
                    sink.string(text)?;
                }
                Some(b'-' | b'0'..=b'9') => self.number(sink)?,
                Some(b'{') => {
                    self.at += 1;
                    nesting.open(Bracket::Object).map_err(|()| too_deep())?;
                    sink.open(Bracket::Object)?;
                    self.skip_space();
                    if self.peek() != Some(b'}') {
                        let key = self.key()?;
                        sink.key(key)?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    nesting.open(Bracket::Array).map_err(|()| too_deep())?;
                    sink.open(Bracket::Array)?;
                    self.skip_space();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                Some(b't') => {
                    self.word(b"true")?;
                    sink.bool(true)?;
                }
                Some(b'f') => {
                    self.word(b"false")?;
                    sink.bool(false)?;
                }
                Some(b'n') => {
                    self.word(b"null")?;
                    sink.null()?;
                }
                _ => return Err(self.unexpected("a value")),
            }
            // A value is complete, or a container was just opened and is empty.
            loop {
                let Some(bracket) = nesting.innermost() else { return Ok(()) };
                self.skip_space();
                match (bracket, self.peek()) {
                    (Bracket::Object, Some(b'}')) | (Bracket::Array, Some(b']')) => {
                        self.at += 1;
                        nesting.close();
                        sink.close(bracket)?;
                    }
                    (Bracket::Object, Some(b',')) => {
                        self.at += 1;
                        self.skip_space();
                        let key = self.key()?;
                        sink.key(key)?;
                        break;
                    }
                    (Bracket::Array, Some(b',')) => {
                        self.at += 1;
                        break;
                    }
                    (Bracket::Object, _) => return Err(self.unexpected("\",\" or \"}\"")),
                    (Bracket::Array, _) => return Err(self.unexpected("\",\" or \"]\"")),
                }
            }
        }
    }

    /// A key and the colon after it.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<Piece, Refusal> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes"));
        }
        let key = self.string()?;
        self.skip_space();
        self.expect(b':', "\":\"")?;
        Ok(key)
    }

    /// A string, at its opening quote.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<Piece, Refusal> {
        let start = self.at + 1;
        let mut end = start + literal_prefix(&self.source[start..]);
        let escaped = self.source.get(end) != Some(&b'"');
        if escaped {
            end = self.at(end).rest_of_string()?;
        }
        self.at = end + 1;
        Ok(Piece { range: start..end, escaped })
    }

    /// Where the closing quote is of a string that is not literal all through.
    #[inline(never)]
    fn rest_of_string(mut self) -> Result<usize, Refusal> {
        loop {
            match self.peek() {
                Some(b'"') => return Ok(self.at),
                Some(b'\\') => self.escape()?,
                Some(_) => {
                    return Err(
                        self.unexpected("no raw control character inside a string; escape it")
                    );
                }
                None => return Err(self.unexpected("the closing quote of a string")),
            }
            self.at += literal_prefix(&self.source[self.at..]);
        }
    }

    /// An escape, at its backslash. A surrogate must come with its other half.
    fn escape(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                let unit = self.hex4()?;
                let pair = match unit {
                    0xd800..=0xdbff if self.source[self.at..].starts_with(b"\\u") => {
                        self.at += 1;
                        (0xdc00..=0xdfff).contains(&self.hex4()?)
                    }
                    0xd800..=0xdfff => false,
                    _ => true,
                };
                if pair {
                    return Ok(());
                }
                Err(Refusal::new(
                    ErrorCode::InvalidValue,
                    format!(
                        "the string escape at byte {} of the body is half of a surrogate pair, \
                         which is no character",
                        start - self.base
                    ),
                ))
            }
            _ => Err(self.unexpected("one of \" \\ / b f n r t u after a backslash")),
        }
    }

    /// Four hexadecimal digits, at the `u` before them.
    fn hex4(&mut self) -> Result<u32, Refusal> {
        let digits = self.source.get(self.at + 1..self.at + 5).unwrap_or_default();
        let unit = (digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit))
            .then(|| digits.iter().fold(0, |unit, &digit| unit * 16 + hex_value(digit)));
        match unit {
            Some(unit) => {
                self.at += 5;
                Ok(unit)
            }
            None => Err(self.unexpected("four hexadecimal digits after \\u")),
        }
    }

    #[inline(always)]
    fn number(&mut self, sink: &mut impl Sink) -> Result<(), Refusal> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.at;
        let digits = self.digits("a digit")?;
        if digits > 1 && self.source[first] == b'0' {
            self.at = first + 1;
            return Err(self.unexpected("no digit after a leading zero"));
        }
        let mut is_float = false;
        // A number without an exponent is finite unless it has more digits than the largest double.
        let mut may_overflow = digits > 308;
        if self.peek() == Some(b'.') {
            is_float = true;
            self.at += 1;
            self.digits("a digit after the decimal point")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            is_float = true;
            may_overflow = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits("a digit in the exponent")?;
        }
        let range = start..self.at;
        if is_float {
            if may_overflow && !float(&self.source[range.clone()]).is_finite() {
                return Err(self.at(start).too_large_for_a_double());
            }
            sink.float(range)
        } else if digits > MAX_INT_DIGITS {
            Err(self.at(start).too_many_digits(digits))
        } else {
            sink.integer(range)
        }
    }

    #[cold]
    fn too_large_for_a_double(self) -> Refusal {
        Refusal::new(
            ErrorCode::InvalidValue,
            format!(
                "the number at byte {} of the body is too large for a double",
                self.at - self.base
            ),
        )
    }

    #[cold]
    fn too_many_digits(self, digits: usize) -> Refusal {
        Refusal::new(
            ErrorCode::TooManyDigits,
            format!(
                "the integer at byte {} of the body has {digits} digits; the limit is \
                 {MAX_INT_DIGITS}",
                self.at - self.base
            ),
        )
    }

    /// At least one digit; returns how many.
    #[inline(always)]
    fn digits(&mut self, what: &str) -> Result<usize, Refusal> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected(what));
        }
        Ok(self.at - start)
    }

    #[inline(always)]
    fn word(&mut self, word: &[u8]) -> Result<(), Refusal> {
        if !self.source[self.at..].starts_with(word) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    #[cold]
    #[inline(never)]
    pub(super) fn unexpected(self, wanted: &str) -> Refusal {
        let found =
            match str::from_utf8(&self.source[self.at..]).ok().and_then(|rest| rest.chars().next())
            {
                Some(character) => format!("{character:?}"),
                None => "the end".to_owned(),
            };
        Refusal::new(
            ErrorCode::MalformedJson,
            format!("byte {} of the body: expected {wanted}, found {found}", self.at - self.base),
        )
    }
}

#[cold]
fn not_utf8(body: &[u8]) -> Refusal {
    let valid_up_to = str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
    Refusal::new(
        ErrorCode::MalformedJson,
        format!("the body is not UTF-8: byte {valid_up_to} of it begins no character"),
    )
}

/// The refusal of a message that nests too deep.
#[cold]
pub(super) fn too_deep() -> Refusal {
    Refusal::new(ErrorCode::TooDeep, format!("the message nests deeper than {MAX_DEPTH} levels"))
}

/// The double that a JSON number spells; infinite where it is too large for one.
#[inline(never)]
pub(super) fn float(digits: &[u8]) -> f64 {
    str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// The number that a hexadecimal digit stands for.
pub(super) fn hex_value(digit: u8) -> u32 {
    char::from(digit).to_digit(16).unwrap_or(0)
}

/// How many bytes of `text` stand for themselves inside a string, eight at a time.
#[inline(always)]
pub(super) fn literal_prefix(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = text[at..].first_chunk::<8>() {
        let stops = stops(u64::from_le_bytes(*chunk), b'"', b'\\');
        if stops != 0 {
            // The lowest mark is exact; only marks above a true one can be false.
            return at + stops.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text[at..].iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
    rest.map_or(text.len(), |position| at + position)
}

/// The brackets that are open, one bit each: 1 for an object.
struct Nesting {
    /// The innermost ones, the last opened in the lowest bit. A bit that is shifted out was put
    /// into `outer` before.
    inner: u64,
    /// The brackets around each 64th one.
    outer: [u64; MAX_BRACKETS / 64],
    depth: usize,
}

impl Nesting {
    #[inline(always)]
    fn new() -> Nesting {
        Nesting { inner: 0, outer: [0; MAX_BRACKETS / 64], depth: 0 }
    }

    #[inline(always)]
    fn open(&mut self, bracket: Bracket) -> Result<(), ()> {
        if self.depth == MAX_BRACKETS {
            return Err(());
        }
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer[self.depth / 64 - 1] = self.inner;
        }
        self.inner = self.inner << 1 | u64::from(bracket == Bracket::Object);
        self.depth += 1;
        Ok(())
    }

    #[inline(always)]
    fn close(&mut self) {
        self.inner >>= 1;
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.inner = self.outer[self.depth / 64 - 1];
        }
    }

    #[inline(always)]
    fn innermost(&self) -> Option<Bracket> {
        let bracket = if self.inner & 1 == 1 { Bracket::Object } else { Bracket::Array };
        (self.depth > 0).then_some(bracket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_text_ends_where_it_should() {
        for stop in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for length in 0..40 {
                let mut text = vec![b'x'; length];
                text[..length / 2].fill(0xff);
                text.extend([stop, b'"', 0x20, 0x21, 0x7f]);
                assert_eq!(literal_prefix(&text), length, "{stop} at {length}");
            }
        }
        assert_eq!(literal_prefix(&[b' '; 31]), 31);
    }
}
