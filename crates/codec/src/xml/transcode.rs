//! JSON that was judged, written as an element while it is read.

use std::ops::Range;

use super::element::{
    BOOL, DICT, FLOAT, INT, Kind, KnownNames, LIST, NULL, Name, STR, UnusualName, begin, end,
    name_of, unusual_text,
};
use crate::json::{Spelled, Target, walk};
use crate::number::{parse_decimal, write_float};
use crate::out_buf::{OutBuf, Stop, fill};
use crate::span::Span;
use crate::swar::{HIGH, ONES, every_word, has_byte};

/// Puts the JSON value that begins `source[range]` on a page, as an element `message`, and returns
/// where it ends. It has been judged, or with `JUDGE` is judged now. JSON that is not of the
/// everyday kind is to be decoded and then [written](super::encode).
pub(crate) fn put_json<'p, const JUDGE: bool>(
    source: &[u8],
    range: Range<usize>,
    known: &mut KnownNames,
    page: OutBuf<'p>,
) -> Result<(OutBuf<'p>, usize), Stop> {
    let mut unusual = Vec::new();
    let elements = Elements { page, known, unusual: &mut unusual };
    walk::<_, JUDGE>(source, range, Name::MESSAGE, elements)
        .map(|(elements, end)| (elements.page, end))
}

/// Appends the JSON value in `source[range]`, which has been judged, as an element `message`, and
/// says whether it did; the other way, by a document and [`encode`](super::encode), is always open.
pub fn encode_json(source: &[u8], range: Range<usize>, out: &mut Vec<u8>) -> bool {
    let mut known = KnownNames::default();
    fill(out, 3 * range.len() + 64, |page| {
        put_json::<false>(source, range.clone(), &mut known, page).map(|(page, _)| page)
    })
}

struct Elements<'p, 'n, 'a> {
    page: OutBuf<'p>,
    known: &'n mut KnownNames,
    unusual: &'n mut Vec<UnusualName<'a>>,
}

impl<'a> Elements<'_, '_, 'a> {
    #[inline(always)]
    fn begin(&mut self, name: Name<'a>, kind: Kind) -> Result<(), Stop> {
        begin(&mut self.page, name, kind, self.unusual)
    }

    #[inline(always)]
    fn end(&mut self, name: Name<'a>) -> Result<(), Stop> {
        end(&mut self.page, name, self.unusual)
    }

    #[inline(always)]
    fn scalar(&mut self, name: Name<'a>, kind: Kind, text: Span<'a>) -> Result<(), Stop> {
        self.begin(name, kind)?;
        self.page.span(text)?;
        self.end(name)
    }
}

impl<'a> Target<'a> for Elements<'_, '_, 'a> {
    type Name = Name<'a>;

    const ITEM: Name<'a> = Name::ITEM;

    #[inline(always)]
    fn stops(word: u64) -> u64 {
        let is = |word: u64, byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
        // `<` and `>` differ in one bit.
        (is(word, b'"') | is(word, b'\\') | is(word, b'&') | is(word | (ONES * 2), b'>'))
            & !word
            & HIGH
    }

    /// Some rare characters (U+F000 to U+FFFF) are looked at more closely.
    #[inline(always)]
    fn is_literal(text: &[u8]) -> bool {
        every_word(text, |word| !has_byte(word, 0xef))
    }

    #[inline(always)]
    fn key(&mut self, key: Span<'a>, print: u64) -> Result<Name<'a>, Stop> {
        Ok(name_of(key, print, self.known, self.unusual))
    }

    #[inline(always)]
    fn literal(&mut self, name: Name<'a>, text: Span<'a>) -> Result<(), Stop> {
        self.scalar(name, STR, text)
    }

    #[inline(always)]
    fn string(&mut self, name: Name<'a>, text: &[u8]) -> Result<(), Stop> {
        let (kind, _) = STR;
        self.begin(name, (kind, 0))?;
        self.page.aside(|page| unusual_text(page, text))?;
        self.end(name)
    }

    #[inline(always)]
    fn integer(&mut self, name: Name<'a>, number: &Spelled<'a>) -> Result<(), Stop> {
        // An integer has no negative zero.
        if number.negative && number.mantissa == 0 {
            return Err(Stop::Unusual);
        }
        self.scalar(name, INT, number.span)
    }

    #[inline(always)]
    fn float(&mut self, name: Name<'a>, number: &Spelled<'a>) -> Result<(), Stop> {
        self.begin(name, FLOAT)?;
        if number.is_shortest() {
            self.page.span(number.span)?;
        } else {
            let text = number.span.text();
            self.page.aside(|page| float(page, text))?;
        }
        self.end(name)
    }

    #[inline(always)]
    fn bool(&mut self, name: Name<'a>, truth: bool) -> Result<(), Stop> {
        self.begin(name, BOOL)?;
        if truth { self.page.put(b"true") } else { self.page.put(b"false") }?;
        self.end(name)
    }

    #[inline(always)]
    fn null(&mut self, name: Name<'a>) -> Result<(), Stop> {
        self.begin(name, NULL)?;
        self.end(name)
    }

    #[inline(always)]
    fn open(&mut self, name: Name<'a>, is_object: bool, _: bool) -> Result<(), Stop> {
        self.begin(name, if is_object { DICT } else { LIST })
    }

    #[inline(always)]
    fn close(&mut self, name: Name<'a>, _: bool, _: bool) -> Result<(), Stop> {
        self.end(name)
    }
}

/// A number that is not spelled as its double is.
#[inline(never)]
fn float<'p>(mut page: OutBuf<'p>, text: &[u8]) -> Result<OutBuf<'p>, Stop> {
    let mut spelled = Vec::with_capacity(32);
    write_float(
        parse_decimal(text).filter(|number| number.is_finite()).ok_or(Stop::Unusual)?,
        &mut spelled,
    );
    page.slice(&spelled)?;
    Ok(page)
}
