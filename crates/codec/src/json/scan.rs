//! RFC 8259, read once from left to right: what is JSON, and what it says.
//!
//! There is one scan. It tells a sink of [`Events`] what it meets: one sink only counts, one builds
//! a document, others write another format. So all agree on what JSON is. Nesting is kept in a bit
//! set, not on the call stack.

use std::ops::Range;

use super::brackets::OpenBrackets;
use super::events::{Bracket, Events, Number, Str, any_double};
use super::fault::{Fault, too_deep};
use super::literal::{hex, literal_length};
use crate::lanes::{LANES, bits, has_any, lanes, string_stops};
use crate::protocol::{ErrorCode, MAX_DEPTH, MAX_INT_DIGITS, Refusal};
use crate::span::Span;
use crate::swar::eight_digits;

/// How often a string is looked at on the spot.
const FEW: usize = 4;

/// A position in a JSON text that is known to be UTF-8.
///
/// It is handed to functions that are not inlined as a copy, never by reference, so that on the hot
/// way it lives in registers.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'a> {
    /// What is to be read, and all that lies behind it: words reach over the text's end. What is
    /// read beyond it is found out in the end.
    rest: &'a [u8],
    source: &'a [u8],
    /// Where the text ends in `source`.
    end: usize,
    /// Where the body begins in `source`: messages name positions in the body.
    base: usize,
}

impl<'a> Scan<'a> {
    /// Begins at the start of `range`.
    ///
    /// # Errors
    /// [`ErrorCode::MalformedJson`] where the range is not UTF-8.
    pub(crate) fn new(source: &'a [u8], range: Range<usize>) -> Result<Scan<'a>, Fault> {
        let body = &source[range.clone()];
        if Span::new(&source[range.start..], range.len()).is_utf8() {
            Ok(Scan::of_utf8(source, range))
        } else {
            Err(not_utf8(body))
        }
    }

    /// The same with a range that is known to be UTF-8.
    #[inline(always)]
    pub(crate) fn of_utf8(source: &'a [u8], range: Range<usize>) -> Scan<'a> {
        // A number is to end where the text does.
        let continues =
            matches!(source.get(range.end), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        let source = if continues { &source[..range.end] } else { source };
        Scan { rest: &source[range.start..], source, end: range.end, base: range.start }
    }

    /// The same text, further on.
    #[inline(always)]
    pub(crate) fn at(self, position: usize) -> Scan<'a> {
        Scan { rest: self.source.get(position..).unwrap_or_default(), ..self }
    }

    #[inline(always)]
    pub(crate) fn position(&self) -> usize {
        self.source.len() - self.rest.len()
    }

    /// What positions of texts refer to.
    pub(super) fn source(&self) -> &'a [u8] {
        self.source
    }

    /// What is left of the text.
    fn text(&self) -> &'a [u8] {
        &self.source[..self.end][self.position().min(self.end)..]
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Passes over as many bytes, which are there.
    #[inline(always)]
    fn pass(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Passes over space. Most texts have none, or one at a time.
    #[inline(always)]
    pub(super) fn skip_space(&mut self) {
        if let [0..=b' ', after @ ..] = self.rest {
            if let ([b' ', ..], [b'!'..=u8::MAX, ..]) = (self.rest, after) {
                self.rest = after;
            } else {
                self.rest = after_space(self.rest);
            }
        }
    }

    /// Takes `byte`, and says whether it is there.
    #[inline(always)]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte) && self.position() < self.end;
        self.pass(usize::from(is_there));
        is_there
    }

    /// Nothing but space may follow.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.position() < self.end {
            return Err(self.unexpected("the end of the body"));
        }
        Ok(())
    }

    /// Reads one value, however deep, and tells it to a sink, which it gives back.
    #[inline(always)]
    pub(crate) fn value<S: Events<'a>>(&mut self, sink: S) -> Result<S, Fault> {
        let start = self.position();
        let read = self.value_of_source(sink);
        if self.position() > self.end { Err(self.at(start).incomplete()) } else { read }
    }

    /// What is wrong with a value that goes on where its text ends.
    #[cold]
    #[inline(never)]
    fn incomplete(self) -> Fault {
        let mut alone = self.alone();
        match alone.value_of_source(()) {
            Err(fault) => fault,
            Ok(()) => alone.unexpected("more of a value"),
        }
    }

    /// The same text, and nothing behind it.
    fn alone(self) -> Scan<'a> {
        let source = &self.source[..self.end];
        Scan { rest: &source[self.position().min(source.len())..], source, ..self }
    }

    #[inline(always)]
    fn value_of_source<S: Events<'a>>(&mut self, mut sink: S) -> Result<S, Fault> {
        let mut open = OpenBrackets::new();
        loop {
            self.skip_space();
            match self.rest {
                [b'"', ..] => {
                    let text = self.string::<S>()?;
                    sink.string(text)?;
                }
                [b'-' | b'0'..=b'9', ..] => {
                    let number = self.number()?;
                    if number.decimals > 0 || number.has_exponent {
                        sink.float(&number)?;
                    } else {
                        sink.integer(&number)?;
                    }
                }
                [opening @ (b'{' | b'['), after @ ..] => {
                    let bracket = if *opening == b'{' { Bracket::Object } else { Bracket::Array };
                    self.rest = after;
                    if open.open(bracket) > MAX_DEPTH {
                        open.is_within_bounds().then_some(()).ok_or_else(too_deep)?;
                        sink.deep()?;
                    }
                    self.skip_space();
                    let is_empty = self.peek() == Some(opening + 2);
                    sink.begin(bracket, is_empty)?;
                    if !is_empty {
                        if bracket == Bracket::Object {
                            let key = self.key::<S>()?;
                            sink.key(key)?;
                        }
                        continue;
                    }
                    self.pass(1);
                    open.close();
                    sink.end(bracket, true)?;
                }
                [b't', b'r', b'u', b'e', after @ ..] => {
                    self.rest = after;
                    sink.bool(true)?;
                }
                [b'f', b'a', b'l', b's', b'e', after @ ..] => {
                    self.rest = after;
                    sink.bool(false)?;
                }
                [b'n', b'u', b'l', b'l', after @ ..] => {
                    self.rest = after;
                    sink.null()?;
                }
                _ => return Err(self.unexpected("a value")),
            }
            // A value is complete, and perhaps the containers around it.
            loop {
                let Some(bracket) = open.innermost() else { return Ok(sink) };
                self.skip_space();
                let is_object = bracket == Bracket::Object;
                if let [b',', after @ ..] = self.rest {
                    self.rest = after;
                    if is_object {
                        self.skip_space();
                        let key = self.key::<S>()?;
                        sink.key(key)?;
                    }
                    break;
                }
                if self.peek() != Some(if is_object { b'}' } else { b']' }) {
                    let wanted = if is_object { "\",\" or \"}\"" } else { "\",\" or \"]\"" };
                    return Err(self.unexpected(wanted));
                }
                self.pass(1);
                open.close();
                sink.end(bracket, false)?;
            }
        }
    }

    /// Reads a key by itself, and the colon after it.
    pub(super) fn lone_key<S: Events<'a>>(&mut self) -> Result<Str<'a>, Fault> {
        let start = *self;
        let key = self.key::<S>();
        if self.position() <= self.end { key } else { start.alone().key::<S>() }
    }

    /// A key and the colon after it.
    #[inline(always)]
    fn key<S: Events<'a>>(&mut self) -> Result<Str<'a>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes"));
        }
        let key = self.string::<S>()?;
        if self.peek() != Some(b':') {
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("\":\""));
            }
        }
        self.pass(1);
        Ok(key)
    }

    /// A string, at its opening quote.
    #[inline(always)]
    fn string<S: Events<'a>>(&mut self) -> Result<Str<'a>, Fault> {
        self.pass(1);
        let tail = self.rest;
        let mut marks = 0;
        for _ in 0..FEW {
            let Some((text, after)) = self.rest.split_first_chunk::<LANES>() else { break };
            let text = lanes(text);
            let stops = bits(string_stops(text));
            if stops == 0 {
                marks |= bits(S::marks(text));
                self.rest = after;
                continue;
            }
            marks |= bits(S::marks(text)) & (stops ^ (stops - 1));
            self.pass(stops.trailing_zeros() as usize);
            if let [b'"', after @ ..] = self.rest {
                let (raw, is_marked) = (Span::before(tail, self.rest), marks != 0);
                self.rest = after;
                return Ok(Str { raw, is_escaped: false, is_marked });
            }
            break;
        }
        match self.long_string::<S>(tail, marks != 0) {
            Some(Long { length, is_escaped, is_marked }) => {
                let raw = Span::new(tail, length as usize);
                self.rest = tail.get(length as usize + 1..).unwrap_or_default();
                Ok(Str { raw, is_escaped, is_marked })
            }
            None => Err(self.at(self.source.len() - tail.len()).fault_in_string()),
        }
    }

    /// A string that has more than a few words, or escapes. It begins with `tail`, and is literal
    /// so far. `None` where something is wrong with it.
    #[inline(never)]
    fn long_string<S: Events<'a>>(mut self, tail: &'a [u8], mut is_marked: bool) -> Option<Long> {
        let mut is_escaped = false;
        loop {
            let text = self.text();
            let length = literal_length(text);
            if !is_escaped {
                is_marked |= has_any(&text[..length], S::marks);
            }
            self.pass(length);
            match text.get(length)? {
                b'"' => break,
                b'\\' => is_escaped = true,
                _ => return None,
            }
            // Escapes come in runs.
            while self.peek() == Some(b'\\') {
                self.pass(self.escape_length()?);
            }
        }
        let length = (tail.len() - self.rest.len()) as u32;
        Some(Long { length, is_escaped, is_marked })
    }

    /// How long the escape is that stands here. A surrogate comes with its other half.
    #[inline(always)]
    fn escape_length(self) -> Option<usize> {
        let text = self.text();
        match text.get(1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
            b'u' => match hex(text[2..].first_chunk()?)? {
                0xd800..=0xdbff => {
                    let (half, digits) = (text.get(6..8)?, text[8..].first_chunk()?);
                    let is_pair = half == b"\\u" && (0xdc00..=0xdfff).contains(&hex(digits)?);
                    is_pair.then_some(12)
                }
                0xdc00..=0xdfff => None,
                _ => Some(6),
            },
            _ => None,
        }
    }

    /// What is wrong with the string that begins here, behind its quote.
    #[cold]
    #[inline(never)]
    fn fault_in_string(mut self) -> Fault {
        loop {
            let length = literal_length(self.text());
            self.pass(length);
            match self.text().first() {
                Some(b'\\') => match self.escape_length() {
                    Some(length) => self.pass(length),
                    None => return self.fault_in_escape(),
                },
                Some(b'"') | None => return self.unexpected("the closing quote of a string"),
                Some(_) => {
                    return self.unexpected("no raw control character inside a string; escape it");
                }
            }
        }
    }

    /// What is wrong with the escape that stands here.
    fn fault_in_escape(mut self) -> Fault {
        let start = self;
        let mut pass = |count: usize| {
            self.rest = &self.rest[count.min(self.text().len())..];
            self
        };
        if pass(1).text().first() != Some(&b'u') {
            return pass(0).unexpected("one of \" \\ / b f n r t u after a backslash");
        }
        let unit_at = |at: Scan<'a>| at.text().get(1..).and_then(<[u8]>::first_chunk).and_then(hex);
        let wanted = "four hexadecimal digits after \\u";
        match unit_at(pass(0)) {
            None => pass(0).unexpected(wanted),
            Some(0xd800..=0xdbff) if pass(5).text().starts_with(b"\\u") => {
                let low = pass(1);
                if unit_at(low).is_none() { low.unexpected(wanted) } else { start.half_of_a_pair() }
            }
            Some(_) => start.half_of_a_pair(),
        }
    }

    #[inline(always)]
    fn number(&mut self) -> Result<Number<'a>, Fault> {
        let tail = self.rest;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.pass(1);
        }
        let whole = self.rest;
        let mut mantissa = self.digits(0, "a digit")?;
        let mut digits = whole.len() - self.rest.len();
        if digits > 1 && whole.first() == Some(&b'0') {
            let after_zero = self.source.len() - whole.len() + 1;
            return Err(self.at(after_zero).unexpected("no digit after a leading zero"));
        }
        let mut decimals = 0;
        if let [b'.', after @ ..] = self.rest {
            self.rest = after;
            // Fractions are short, or as long as doubles have them.
            while let Some((eight, after)) = self.rest.split_first_chunk()
                && let Some(eight) = eight_digits(*eight)
            {
                mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(eight);
                self.rest = after;
            }
            let is_long = self.rest.len() < after.len();
            if !is_long || matches!(self.rest, [b'0'..=b'9', ..]) {
                mantissa = self.digits(mantissa, "a digit after the decimal point")?;
            }
            decimals = after.len() - self.rest.len();
            digits += decimals;
        }
        let mut exponent_digits = 0;
        if let [b'e' | b'E', after @ ..] = self.rest {
            self.rest = after;
            if let Some(b'+' | b'-') = self.peek() {
                self.pass(1);
            }
            let exponent = self.rest.len();
            self.digits(0, "a digit in the exponent")?;
            exponent_digits = exponent - self.rest.len();
        }
        let raw = Span::before(tail, self.rest);
        let has_exponent = exponent_digits > 0;
        // No number of so few digits is too large for a double, nor is an integer too long.
        if digits > 200 || exponent_digits > 2 {
            let start = self.source.len() - tail.len();
            self.at(start).check_size(raw.text(), decimals > 0 || has_exponent, digits)?;
        }
        Ok(Number { raw, negative, mantissa, digits, decimals, has_exponent })
    }

    /// Holds a number to what integers and doubles have room for.
    #[inline(never)]
    fn check_size(self, text: &[u8], is_float: bool, digits: usize) -> Result<(), Fault> {
        if is_float && !any_double(text).is_finite() {
            Err(self.too_large_for_a_double())
        } else if !is_float && digits > MAX_INT_DIGITS {
            Err(self.too_many_digits(digits))
        } else {
            Ok(())
        }
    }

    /// At least one digit; returns the number that they spell behind those of `number`.
    #[inline(always)]
    fn digits(&mut self, mut number: u64, what: &str) -> Result<u64, Fault> {
        let [b'0'..=b'9', ..] = self.rest else { return Err(self.unexpected(what)) };
        while let [digit @ b'0'..=b'9', after @ ..] = self.rest {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.rest = after;
        }
        Ok(number)
    }

    #[cold]
    fn half_of_a_pair(self) -> Fault {
        let reason = format!(
            "the string escape at byte {} of the body is half of a surrogate pair, which is no \
             character",
            self.position() - self.base
        );
        Refusal::new(ErrorCode::InvalidValue, reason).into()
    }

    #[cold]
    fn too_large_for_a_double(self) -> Fault {
        let reason = format!(
            "the number at byte {} of the body is too large for a double",
            self.position() - self.base
        );
        Refusal::new(ErrorCode::InvalidValue, reason).into()
    }

    #[cold]
    fn too_many_digits(self, digits: usize) -> Fault {
        let reason = format!(
            "the integer at byte {} of the body has {digits} digits; the limit is {MAX_INT_DIGITS}",
            self.position() - self.base
        );
        Refusal::new(ErrorCode::TooManyDigits, reason).into()
    }

    #[cold]
    #[inline(never)]
    pub(super) fn unexpected(self, wanted: &str) -> Fault {
        let found = self
            .text()
            .utf8_chunks()
            .next()
            .and_then(|chunk| chunk.valid().chars().next())
            .map_or_else(|| "the end".to_owned(), |character| format!("{character:?}"));
        // Space behind the text may have been passed over.
        let at = self.position().min(self.end) - self.base;
        let reason = format!("byte {at} of the body: expected {wanted}, found {found}");
        Refusal::new(ErrorCode::MalformedJson, reason).into()
    }
}

#[cold]
fn not_utf8(body: &[u8]) -> Fault {
    let valid_up_to = str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
    let reason = format!("the body is not UTF-8: byte {valid_up_to} of it begins no character");
    Refusal::new(ErrorCode::MalformedJson, reason).into()
}

/// A string of some length.
struct Long {
    length: u32,
    is_escaped: bool,
    is_marked: bool,
}

/// A text without the space that it begins with.
#[inline(never)]
fn after_space(mut text: &[u8]) -> &[u8] {
    const INDENT: &[u8; 8] = b"        ";
    loop {
        while let Some((INDENT, after)) = text.split_first_chunk() {
            text = after;
        }
        match text {
            [b' ' | b'\n' | b'\r' | b'\t', after @ ..] => text = after,
            _ => return text,
        }
    }
}
