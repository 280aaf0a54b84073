//! JSON as opcodes, written while it is read.

use std::ops::Range;

use super::opcode::*;
use super::piece::{put_float, put_int, put_str};
use crate::json::{Bracket, Events, Fault, Number, Scan, Str, is_tag, unescape};
use crate::keys::{KeySet, OpenKeys};
use crate::nesting::Outer;
use crate::out_buf::{OutBuf, Stop, fill};
use crate::span::Span;

/// Puts the opcodes of the JSON value where `scan` is on a page, and returns where it ends. A tag,
/// a key that comes twice, very many keys and an integer beyond 64 bits are [`Stop::Unusual`]: they
/// are to be decoded and then [written](super::encode).
#[inline(always)]
pub(crate) fn put_json<'a, 'p>(
    mut scan: Scan<'a>,
    page: OutBuf<'p>,
) -> Result<(OutBuf<'p>, usize), Stop> {
    let mut keys = KeySet::take_unclaimed();
    let open = OpenKeys::default();
    let opcodes =
        Opcodes { page, keys: &mut keys, open, outer: Outer::new(open), spelled: Vec::new() };
    let written = scan.value(opcodes).map(|opcodes| (opcodes.page, scan.position()));
    let written = written.map_err(Fault::into_stop);
    keys.keep();
    written
}

/// Appends the opcodes of the JSON value in `source[range]`, which has been judged, and says
/// whether it did; the other way, by a document and `encode`, is always open.
pub fn encode_json(source: &[u8], range: Range<usize>, out: &mut Vec<u8>) -> bool {
    fill(out, 2 * range.len() + 64, |page| {
        put_json(Scan::of_utf8(source, range.clone()), page).map(|(page, _)| page)
    })
}

struct Opcodes<'p, 'k> {
    page: OutBuf<'p>,
    keys: &'k mut KeySet,
    open: OpenKeys,
    outer: Outer<OpenKeys>,
    /// What the last string with escapes says.
    spelled: Vec<u8>,
}

impl Opcodes<'_, '_> {
    #[inline(never)]
    fn unescape(&mut self, text: Str<'_>) {
        self.spelled.clear();
        unescape(text.raw.text(), &mut self.spelled);
    }
}

impl<'a> Events<'a> for Opcodes<'_, '_> {
    #[inline(always)]
    fn null(&mut self) -> Result<(), Fault> {
        Ok(self.page.put(&[NONE])?)
    }

    #[inline(always)]
    fn bool(&mut self, truth: bool) -> Result<(), Fault> {
        Ok(self.page.put(&[if truth { NEWTRUE } else { NEWFALSE }])?)
    }

    #[inline(always)]
    fn integer(&mut self, number: &Number<'a>) -> Result<(), Fault> {
        Ok(put_int(&mut self.page, number.small_int().ok_or(Stop::Unusual)?)?)
    }

    #[inline(always)]
    fn float(&mut self, number: &Number<'a>) -> Result<(), Fault> {
        Ok(put_float(&mut self.page, number.to_double())?)
    }

    #[inline(always)]
    fn string(&mut self, text: Str<'a>) -> Result<(), Fault> {
        if text.is_escaped {
            self.unescape(text);
            return Ok(put_str(&mut self.page, Span::new(&self.spelled, self.spelled.len()))?);
        }
        Ok(put_str(&mut self.page, text.raw)?)
    }

    #[inline(always)]
    fn key(&mut self, key: Str<'a>) -> Result<(), Fault> {
        let is_first = self.open.is_empty();
        if key.is_escaped {
            self.unescape(key);
        }
        let spelled = match key.is_escaped {
            false => key.raw,
            true => Span::new(&self.spelled, self.spelled.len()),
        };
        let is_new = self.keys.add(&mut self.open, spelled.text());
        if !is_new || is_first && is_tag(key) {
            return Err(Stop::Unusual.into());
        }
        Ok(put_str(&mut self.page, spelled)?)
    }

    fn deep(&mut self) -> Result<(), Fault> {
        Err(Stop::Unusual.into())
    }

    #[inline(always)]
    fn begin(&mut self, bracket: Bracket, is_empty: bool) -> Result<(), Fault> {
        self.outer.push(self.open);
        self.open = self.keys.begin();
        let opcode = if bracket == Bracket::Object { EMPTY_DICT } else { EMPTY_LIST };
        Ok(self.page.part(&[opcode, MARK], if is_empty { 1 } else { 2 })?)
    }

    #[inline(always)]
    fn end(&mut self, bracket: Bracket, is_empty: bool) -> Result<(), Fault> {
        self.keys.end(self.open);
        self.open = self.outer.pop().unwrap_or_default();
        let opcode = if bracket == Bracket::Object { SETITEMS } else { APPENDS };
        Ok(self.page.part(&[opcode], usize::from(!is_empty))?)
    }
}
