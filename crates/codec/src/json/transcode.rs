//! JSON that was judged, written in another format while it is read: no document between.
//!
//! This goes through a text once and tells a [`Target`] what it meets. It relies on the text having
//! been judged and looks at nothing twice; what it does not know (`$` tags, keys with escapes, two
//! keys that may be one, many keys, unusual depth) it leaves to those who decode it, with
//! [`Stop::Unusual`]. The bytes that a target has written then are those that they would have
//! written.

use std::borrow::Cow;
use std::ops::Range;

use super::fast_validate::is_number;
use super::unescape::unescape;
use crate::number::{parse_decimal, quotient};
use crate::out_buf::Stop;
use crate::span::Span;
use crate::swar::{HIGH, fingerprint, place_of, short_print, stops};

/// Keys of all objects that are open.
const KEYS: usize = 64;
/// Containers inside each other.
const DEPTH: usize = 24;

/// Where the values go.
pub(crate) trait Target<'a>: Sized {
    /// What a value is called, as far as its end has to know that.
    type Name: Copy;

    /// The name of an array's elements.
    const ITEM: Self::Name;

    /// Marks bytes that literal text of the format cannot hold; of false marks, only above a true
    /// one.
    fn stops(word: u64) -> u64;

    /// Whether text that is not ASCII alone can be written as it is, the marks aside.
    fn is_literal(text: &[u8]) -> bool;

    /// A key of an object, and its fingerprint: the key itself where it has eight bytes or fewer.
    fn key(&mut self, key: Span<'a>, print: u64) -> Result<Self::Name, Stop>;

    /// A string that is written as it is.
    fn literal(&mut self, name: Self::Name, text: Span<'a>) -> Result<(), Stop>;

    /// Any other string.
    fn string(&mut self, name: Self::Name, text: &[u8]) -> Result<(), Stop>;

    fn integer(&mut self, name: Self::Name, number: &Spelled<'a>) -> Result<(), Stop>;

    /// A number with a fraction or an exponent.
    fn float(&mut self, name: Self::Name, number: &Spelled<'a>) -> Result<(), Stop>;

    fn bool(&mut self, name: Self::Name, truth: bool) -> Result<(), Stop>;

    fn null(&mut self, name: Self::Name) -> Result<(), Stop>;

    fn open(&mut self, name: Self::Name, is_object: bool, is_empty: bool) -> Result<(), Stop>;

    /// Ends a container, an empty one as well.
    fn close(&mut self, name: Self::Name, is_object: bool, is_empty: bool) -> Result<(), Stop>;
}

/// A number as it stands in the text.
pub(crate) struct Spelled<'a> {
    pub(crate) span: Span<'a>,
    pub(crate) negative: bool,
    /// Its digits, those of the fraction included, as one number; of more than 19 digits it means
    /// nothing.
    pub(crate) mantissa: u64,
    /// How many digits these are.
    pub(crate) digits: usize,
    /// How many of them are the fraction.
    pub(crate) decimals: usize,
    pub(crate) has_exponent: bool,
}

impl Spelled<'_> {
    /// Whether a number with a fraction is spelled as the double next to it is written. Of the
    /// decimals of up to 15 digits no two have the same double, so without a zero at its end this
    /// one is the shortest; below 1e-4 an exponent would be written.
    #[inline(always)]
    pub(crate) fn is_shortest(&self) -> bool {
        const POWERS: [u64; 16] = {
            let mut powers = [1; 16];
            let mut at = 1;
            while at < powers.len() {
                powers[at] = powers[at - 1] * 10;
                at += 1;
            }
            powers
        };
        !self.has_exponent
            && self.digits <= 15
            && (self.decimals == 1 || self.span.text().last() != Some(&b'0'))
            && (self.decimals <= 4 || self.mantissa * POWERS[4] >= POWERS[self.decimals & 15])
    }

    /// The double next to it; `None` where that is infinite.
    #[inline(always)]
    pub(crate) fn to_double(&self) -> Option<f64> {
        if !self.has_exponent
            && let Some(magnitude) = quotient(self.mantissa, self.digits, self.decimals)
        {
            return Some(if self.negative { -magnitude } else { magnitude });
        }
        any_double(self.span.text())
    }
}

#[inline(never)]
fn any_double(text: &[u8]) -> Option<f64> {
    parse_decimal(text).filter(|number| number.is_finite())
}

/// A container whose end has not come yet.
#[derive(Clone, Copy)]
struct Open<N> {
    name: N,
    is_object: bool,
    /// Where its keys begin among those of all, and a bit for each of them.
    first: u32,
    bits: u64,
}

/// Goes through the value that begins `source[range]`, and returns where it ends; `root` is what it
/// is called.
///
/// The value has been judged, or with `JUDGE` the text is an [everyday](super::fast_validate) one,
/// and what is no JSON is found out here.
#[inline(always)]
pub(crate) fn walk<'a, T: Target<'a>, const JUDGE: bool>(
    source: &'a [u8],
    range: Range<usize>,
    root: T::Name,
    mut target: T,
) -> Result<(T, usize), Stop> {
    let text = source.get(..range.end).ok_or(Stop::Unusual)?;
    let mut at = range.start;
    let mut name = root;
    let mut keys = [0; KEYS];
    let mut count = 0;
    let mut open = Open { name: root, is_object: false, first: 0, bits: 0 };
    let mut outer = [open; DEPTH];
    let mut depth = 0;
    loop {
        match after_space(text, &mut at)? {
            b'"' => {
                let start = at + 1;
                let (end, is_literal) = string_end::<T>(source, text, start)?;
                if is_literal {
                    target.literal(name, span(source, start, end)?)?;
                    at = end + 1;
                } else {
                    let (spelled, end) = unusual_string(text, start, end)?;
                    target.string(name, &spelled)?;
                    at = end;
                }
            }
            b'-' | b'0'..=b'9' => {
                let spelled = number(source, text, at)?;
                if JUDGE && !is_number(spelled.span.text()) {
                    return Err(Stop::Unusual);
                }
                at += spelled.span.len();
                if spelled.decimals > 0 || spelled.has_exponent {
                    target.float(name, &spelled)?;
                } else {
                    target.integer(name, &spelled)?;
                }
            }
            bracket @ (b'{' | b'[') => {
                let is_object = bracket == b'{';
                at += 1;
                let follows = after_space(text, &mut at)?;
                let is_empty = follows == bracket + 2;
                target.open(name, is_object, is_empty)?;
                if is_empty {
                    at += 1;
                    target.close(name, is_object, true)?;
                } else {
                    *outer.get_mut(depth).ok_or(Stop::Unusual)? = open;
                    depth += 1;
                    open = Open { name, is_object, first: count as u32, bits: 0 };
                    name = T::ITEM;
                    if is_object {
                        name = key::<T, JUDGE>(
                            source,
                            text,
                            &mut at,
                            &mut target,
                            &mut keys,
                            &mut count,
                            &mut open,
                        )?;
                    }
                    continue;
                }
            }
            b't' => {
                at = word::<4, JUDGE>(text, at, b"true")?;
                target.bool(name, true)?;
            }
            b'f' => {
                at = word::<5, JUDGE>(text, at, b"false")?;
                target.bool(name, false)?;
            }
            b'n' => {
                at = word::<4, JUDGE>(text, at, b"null")?;
                target.null(name)?;
            }
            _ => return Err(Stop::Unusual),
        }
        // What follows a value.
        loop {
            if depth == 0 {
                return Ok((target, at));
            }
            let follows = after_space(text, &mut at)?;
            at += 1;
            if follows == b',' {
                if open.is_object {
                    after_space(text, &mut at)?;
                    name = key::<T, JUDGE>(
                        source,
                        text,
                        &mut at,
                        &mut target,
                        &mut keys,
                        &mut count,
                        &mut open,
                    )?;
                }
                break;
            }
            if JUDGE && follows != if open.is_object { b'}' } else { b']' } {
                return Err(Stop::Unusual);
            }
            target.close(open.name, open.is_object, false)?;
            count = open.first as usize;
            depth -= 1;
            open = outer[depth];
            if !open.is_object {
                name = T::ITEM;
            }
        }
    }
}

/// The next byte that is no space; it stays to be read.
#[inline(always)]
fn after_space(text: &[u8], at: &mut usize) -> Result<u8, Stop> {
    match text.get(*at) {
        Some(&byte) if byte > b' ' => Ok(byte),
        _ => {
            *at = skip_space(text, *at);
            text.get(*at).copied().ok_or(Stop::Unusual)
        }
    }
}

/// Not inlined, so that loops over spaces do not get in the way of texts without any.
#[inline(never)]
fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// The text from `start` to `end`, and what follows it.
#[inline(always)]
fn span(source: &[u8], start: usize, end: usize) -> Result<Span<'_>, Stop> {
    Ok(Span::new(source.get(start..).ok_or(Stop::Unusual)?, end - start))
}

/// A key and its colon.
#[inline(always)]
fn key<'a, T: Target<'a>, const JUDGE: bool>(
    source: &'a [u8],
    text: &[u8],
    at: &mut usize,
    target: &mut T,
    keys: &mut [u64; KEYS],
    count: &mut usize,
    open: &mut Open<T::Name>,
) -> Result<T::Name, Stop> {
    if JUDGE && text.get(*at) != Some(&b'"') {
        return Err(Stop::Unusual);
    }
    let start = *at + 1;
    let end = key_end(source, text, start).ok_or(Stop::Unusual)?;
    let key = span(source, start, end)?;
    // An object that may be a tag is not for here.
    if key.text().first() == Some(&b'$') {
        return Err(Stop::Unusual);
    }
    let print = match key.len() {
        1..=8 => short_print(key.sixteen(), key.len()),
        _ => fingerprint(key.text()),
    };
    let bit = 1 << place_of(print);
    if open.bits & bit != 0
        && keys.get(open.first as usize..*count).is_none_or(|keys| keys.contains(&print))
    {
        return Err(Stop::Unusual);
    }
    open.bits |= bit;
    *keys.get_mut(*count).ok_or(Stop::Unusual)? = print;
    *count += 1;
    *at = end + 1;
    if after_space(text, at)? != b':' {
        return Err(Stop::Unusual);
    }
    *at += 1;
    target.key(key, print)
}

/// Where the quote lies that ends a key; `None` where the key has an escape.
#[inline(always)]
fn key_end(source: &[u8], text: &[u8], start: usize) -> Option<usize> {
    let mut end = start;
    loop {
        let Some(word) = source.get(end..)?.first_chunk::<8>() else {
            return end_of_key_at_the_end(text, end);
        };
        let stops = stops(u64::from_le_bytes(*word), b'"', b'\\');
        if stops != 0 {
            end += stops.trailing_zeros() as usize / 8;
            return (text.get(end) == Some(&b'"')).then_some(end);
        }
        end += 8;
    }
}

#[cold]
fn end_of_key_at_the_end(text: &[u8], start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let length = rest.iter().position(|&byte| matches!(byte, b'"' | b'\\'))?;
    (rest[length] == b'"').then_some(start + length)
}

/// Where the quote lies that ends a string, and that the string is written as it is; or where
/// something else in it lies.
#[inline(always)]
fn string_end<'a, T: Target<'a>>(
    source: &[u8],
    text: &[u8],
    start: usize,
) -> Result<(usize, bool), Stop> {
    let mut end = start;
    let mut seen = 0;
    for _ in 0..4 {
        let Some(word) = source.get(end..).and_then(<[u8]>::first_chunk::<8>) else { break };
        let word = u64::from_le_bytes(*word);
        let stops = T::stops(word);
        if stops == 0 {
            seen |= word;
            end += 8;
            continue;
        }
        // The lowest mark is exact; only marks above a true one can be false.
        seen |= word & ((stops & stops.wrapping_neg()) - 1);
        end += stops.trailing_zeros() as usize / 8;
        let is_end = text.get(end) == Some(&b'"');
        return Ok((end, is_end && (seen & HIGH == 0 || T::is_literal(&text[start..end]))));
    }
    long_string_end::<T>(text, start)
}

#[inline(never)]
fn long_string_end<'a, T: Target<'a>>(text: &[u8], start: usize) -> Result<(usize, bool), Stop> {
    let rest = text.get(start..).ok_or(Stop::Unusual)?;
    let length = memchr::memchr2(b'"', b'\\', rest).ok_or(Stop::Unusual)?;
    let (string, is_end) = (&rest[..length], rest[length] == b'"');
    let marks = |word: [u8; 8]| {
        let word = u64::from_le_bytes(word);
        (T::stops(word), word)
    };
    let (words, last) = string.as_chunks::<8>();
    // In a way that compilers turn into sixteen bytes or more at a time.
    let (mut stops, mut seen) =
        words.iter().map(|word| marks(*word)).fold((0, 0), |a, b| (a.0 | b.0, a.1 | b.1));
    if !last.is_empty() {
        let mut filled_up = [b' '; 8];
        filled_up[..last.len()].copy_from_slice(last);
        let (mark, word) = marks(filled_up);
        stops |= mark;
        seen |= word;
    }
    Ok((start + length, is_end && stops == 0 && (seen & HIGH == 0 || T::is_literal(string))))
}

/// What a string says that is not literal all through, and where the text goes on after it. As far
/// as `known` it holds no quote.
#[cold]
fn unusual_string(text: &[u8], start: usize, known: usize) -> Result<(Cow<'_, [u8]>, usize), Stop> {
    let mut end = known;
    let mut is_escaped = false;
    loop {
        let rest = text.get(end..).ok_or(Stop::Unusual)?;
        end += memchr::memchr2(b'"', b'\\', rest).ok_or(Stop::Unusual)?;
        if text[end] == b'"' {
            break;
        }
        is_escaped = true;
        end += 2;
    }
    let raw = &text[start..end];
    if !is_escaped {
        return Ok((raw.into(), end + 1));
    }
    let mut spelled = Vec::with_capacity(raw.len());
    unescape(raw, &mut spelled);
    Ok((spelled.into(), end + 1))
}

#[inline(always)]
fn word<const N: usize, const JUDGE: bool>(
    text: &[u8],
    at: usize,
    word: &[u8; N],
) -> Result<usize, Stop> {
    if JUDGE && text.get(at..).and_then(<[u8]>::first_chunk::<N>) != Some(word) {
        return Err(Stop::Unusual);
    }
    Ok(at + N)
}

#[inline(always)]
fn number<'a>(source: &'a [u8], text: &[u8], start: usize) -> Result<Spelled<'a>, Stop> {
    let negative = text[start] == b'-';
    let first = start + usize::from(negative);
    let mut at = first;
    let mut mantissa: u64 = 0;
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
    let mut digits = at - first;
    let mut decimals = 0;
    let mut has_exponent = false;
    if let Some(b'.') = text.get(at) {
        let first = at + 1;
        at = first;
        while let Some(digit @ b'0'..=b'9') = text.get(at) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            at += 1;
        }
        decimals = at - first;
        digits += decimals;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        has_exponent = true;
        at += 1;
        while let Some(b'0'..=b'9' | b'+' | b'-') = text.get(at) {
            at += 1;
        }
    }
    Ok(Spelled {
        span: span(source, start, at)?,
        negative,
        mantissa,
        digits,
        decimals,
        has_exponent,
    })
}
