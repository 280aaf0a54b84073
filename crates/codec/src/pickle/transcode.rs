//! JSON that was judged, written as opcodes while it is read.

use std::ops::Range;

use super::opcode::*;
use super::piece::{put_float, put_int, put_str};
use crate::json::{Spelled, Target, walk};
use crate::out_buf::{OutBuf, Stop, fill};
use crate::span::Span;
use crate::swar::{HIGH, ONES};

/// Puts the opcodes of the JSON value that begins `source[range]` on a page, and returns where it
/// ends. It has been judged, or with `JUDGE` is judged now. JSON that is not of the everyday kind
/// is to be decoded and then [written](super::encode).
pub(crate) fn put_json<'p, const JUDGE: bool>(
    source: &[u8],
    range: Range<usize>,
    page: OutBuf<'p>,
) -> Result<(OutBuf<'p>, usize), Stop> {
    walk::<_, JUDGE>(source, range, (), Opcodes { page }).map(|(opcodes, end)| (opcodes.page, end))
}

/// Appends the opcodes of the JSON value in `source[range]`, which has been judged, and says
/// whether it did; the other way, by a document and `encode`, is always open.
pub fn encode_json(source: &[u8], range: Range<usize>, out: &mut Vec<u8>) -> bool {
    fill(out, 2 * range.len() + 64, |page| {
        put_json::<false>(source, range.clone(), page).map(|(page, _)| page)
    })
}

struct Opcodes<'p> {
    page: OutBuf<'p>,
}

impl<'a> Target<'a> for Opcodes<'_> {
    type Name = ();

    const ITEM: () = ();

    #[inline(always)]
    fn stops(word: u64) -> u64 {
        let is = |byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
        (is(b'"') | is(b'\\')) & !word & HIGH
    }

    #[inline(always)]
    fn is_literal(_: &[u8]) -> bool {
        true
    }

    #[inline(always)]
    fn key(&mut self, key: Span<'a>, _: u64) -> Result<(), Stop> {
        put_str(&mut self.page, key)
    }

    #[inline(always)]
    fn literal(&mut self, (): (), text: Span<'a>) -> Result<(), Stop> {
        put_str(&mut self.page, text)
    }

    #[inline(always)]
    fn string(&mut self, (): (), text: &[u8]) -> Result<(), Stop> {
        put_str(&mut self.page, Span::new(text, text.len()))
    }

    #[inline(always)]
    fn integer(&mut self, (): (), number: &Spelled<'a>) -> Result<(), Stop> {
        // 18 digits cannot overflow 64 bits.
        if number.digits > 18 {
            return Err(Stop::Unusual);
        }
        let magnitude = number.mantissa as i64;
        put_int(&mut self.page, if number.negative { -magnitude } else { magnitude })
    }

    #[inline(always)]
    fn float(&mut self, (): (), number: &Spelled<'a>) -> Result<(), Stop> {
        put_float(&mut self.page, number.to_double().ok_or(Stop::Unusual)?)
    }

    #[inline(always)]
    fn bool(&mut self, (): (), truth: bool) -> Result<(), Stop> {
        self.page.put(&[if truth { NEWTRUE } else { NEWFALSE }])
    }

    #[inline(always)]
    fn null(&mut self, (): ()) -> Result<(), Stop> {
        self.page.put(&[NONE])
    }

    #[inline(always)]
    fn open(&mut self, (): (), is_object: bool, is_empty: bool) -> Result<(), Stop> {
        let opcode = if is_object { EMPTY_DICT } else { EMPTY_LIST };
        self.page.part(&[opcode, MARK], if is_empty { 1 } else { 2 })
    }

    #[inline(always)]
    fn close(&mut self, (): (), is_object: bool, is_empty: bool) -> Result<(), Stop> {
        let opcode = if is_object { SETITEMS } else { APPENDS };
        self.page.part(&[opcode], usize::from(!is_empty))
    }
}
