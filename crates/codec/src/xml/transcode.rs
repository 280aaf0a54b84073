//! JSON as an element, written while it is read.

use std::mem;
use std::ops::Range;

use super::element::{
    BOOL, DICT, FLOAT, INT, Kind, KnownNames, LIST, NULL, Name, OtherKeys, STR, begin, end,
    other_name, unusual_text,
};
use crate::json::{Bracket, Events, Fault, Number, Scan, Str, is_tag, unescape};
use crate::keys::{KeySet, OpenKeys};
use crate::lanes::{Lanes, equal};
use crate::nesting::Outer;
use crate::number::put_float;
use crate::out_buf::{OutBuf, Stop, fill};
use crate::span::Span;

/// Puts the JSON value where `scan` is on a page, as an element `message`, and returns where it
/// ends. A tag, a key that comes twice and very many keys are [`Stop::Unusual`]: they are to be
/// decoded and then [written](super::encode).
#[inline(always)]
pub(crate) fn put_json<'a, 'p>(
    mut scan: Scan<'a>,
    page: OutBuf<'p>,
) -> Result<(OutBuf<'p>, usize), Stop> {
    let (mut keys, mut known) = (KeySet::take_unclaimed(), KnownNames::take());
    let mut others = Vec::new();
    let open = Open { name: Name::MESSAGE, is_object: true, keys: OpenKeys::default(), others: 0 };
    let elements = Elements {
        page,
        name: Name::MESSAGE,
        open,
        outer: Outer::new(open),
        keys: &mut keys,
        known: &mut known,
        others: &mut others,
        spelled: Vec::new(),
    };
    let written = scan.value(elements).map(|elements| (elements.page, scan.position()));
    let written = written.map_err(Fault::into_stop);
    keys.keep();
    known.keep();
    written
}

/// Appends the JSON value in `source[range]`, which has been judged, as an element `message`, and
/// says whether it did; the other way, by a document and [`encode`](super::encode), is always open.
pub fn encode_json(source: &[u8], range: Range<usize>, out: &mut Vec<u8>) -> bool {
    fill(out, 3 * range.len() + 64, |page| {
        put_json(Scan::of_utf8(source, range.clone()), page).map(|(page, _)| page)
    })
}

struct Elements<'p, 'k, 'a> {
    page: OutBuf<'p>,
    /// That of the next value.
    name: Name<'a>,
    open: Open<'a>,
    outer: Outer<Open<'a>>,
    keys: &'k mut KeySet,
    known: &'k mut KnownNames,
    others: &'k mut OtherKeys<'a>,
    /// What the last string with escapes says.
    spelled: Vec<u8>,
}

/// A container whose start tag is written.
#[derive(Clone, Copy)]
struct Open<'a> {
    name: Name<'a>,
    is_object: bool,
    keys: OpenKeys,
    /// How many other keys name what is around its elements.
    others: u32,
}

impl<'a> Elements<'_, '_, 'a> {
    #[inline(always)]
    fn begin(&mut self, kind: Kind) -> Result<(), Stop> {
        begin(&mut self.page, self.name, kind, self.others)
    }

    #[inline(always)]
    fn end(&mut self) -> Result<(), Stop> {
        end(&mut self.page, self.name, self.others)
    }

    #[inline(always)]
    fn scalar(&mut self, kind: Kind, text: Span<'a>) -> Result<(), Fault> {
        self.begin(kind)?;
        self.page.span(text)?;
        Ok(self.end()?)
    }

    /// The entry that was written last, if there is one, is complete.
    #[inline(always)]
    fn forget_others(&mut self) {
        let around = self.open.others as usize;
        if self.others.len() > around {
            forget(self.others, around);
        }
    }

    #[inline(never)]
    fn unescape(&mut self, text: Str<'_>) {
        self.spelled.clear();
        unescape(text.raw.text(), &mut self.spelled);
    }
}

#[cold]
#[inline(never)]
fn forget(others: &mut OtherKeys<'_>, around: usize) {
    others.truncate(around);
}

impl<'a> Events<'a> for Elements<'_, '_, 'a> {
    /// Markup, and what begins some rare characters (U+F000 to U+FFFF). Control characters come
    /// with escapes.
    #[inline(always)]
    fn marks(text: Lanes) -> Lanes {
        // `<` and `>` differ in one bit.
        equal(text, b'&') | equal(text | Lanes::splat(2), b'>') | equal(text, 0xef)
    }

    #[inline(always)]
    fn null(&mut self) -> Result<(), Fault> {
        self.begin(NULL)?;
        Ok(self.end()?)
    }

    #[inline(always)]
    fn bool(&mut self, truth: bool) -> Result<(), Fault> {
        self.begin(BOOL)?;
        self.page.part(if truth { b"true\0" } else { b"false" }, if truth { 4 } else { 5 })?;
        Ok(self.end()?)
    }

    #[inline(always)]
    fn integer(&mut self, number: &Number<'a>) -> Result<(), Fault> {
        if number.negative && number.mantissa == 0 && number.digits <= 18 {
            // An integer has no negative zero.
            let zero = Span::new(number.raw.tail().get(1..).unwrap_or_default(), 1);
            return self.scalar(INT, zero);
        }
        if number.digits > 18 {
            // Whether a negative zero is spelled with many digits is not for here.
            return Err(Stop::Unusual.into());
        }
        self.scalar(INT, number.raw)
    }

    #[inline(always)]
    fn float(&mut self, number: &Number<'a>) -> Result<(), Fault> {
        if number.is_shortest() {
            return self.scalar(FLOAT, number.raw);
        }
        self.begin(FLOAT)?;
        put_float(&mut self.page, number.to_double())?;
        Ok(self.end()?)
    }

    #[inline(always)]
    fn string(&mut self, text: Str<'a>) -> Result<(), Fault> {
        if !text.is_escaped && !text.is_marked {
            return self.scalar(STR, text.raw);
        }
        let (kind, _) = STR;
        self.begin((kind, 0))?;
        if text.is_escaped {
            self.unescape(text);
            let spelled = &*self.spelled;
            self.page.aside(|page| unusual_text(page, spelled))?;
        } else {
            self.page.aside(|page| unusual_text(page, text.raw.text()))?;
        }
        Ok(self.end()?)
    }

    #[inline(always)]
    fn key(&mut self, key: Str<'a>) -> Result<(), Fault> {
        if self.open.keys.is_empty() && is_tag(key) {
            return Err(Stop::Unusual.into());
        }
        self.forget_others();
        let is_new;
        if key.is_escaped {
            self.unescape(key);
            is_new = self.keys.add(&mut self.open.keys, &self.spelled);
            self.name = other_name(mem::take(&mut self.spelled).into(), self.others);
        } else {
            is_new = self.keys.add(&mut self.open.keys, key.raw.text());
            self.name = self.known.name_of(key.raw, self.others);
        }
        if is_new { Ok(()) } else { Err(Stop::Unusual.into()) }
    }

    fn deep(&mut self) -> Result<(), Fault> {
        Err(Stop::Unusual.into())
    }

    #[inline(always)]
    fn begin(&mut self, bracket: Bracket, _: bool) -> Result<(), Fault> {
        let is_object = bracket == Bracket::Object;
        Elements::begin(self, if is_object { DICT } else { LIST })?;
        self.outer.push(self.open);
        let others = self.others.len() as u32;
        self.open = Open { name: self.name, is_object, keys: self.keys.begin(), others };
        self.name = Name::ITEM;
        Ok(())
    }

    #[inline(always)]
    fn end(&mut self, _: Bracket, _: bool) -> Result<(), Fault> {
        self.name = self.open.name;
        self.keys.end(self.open.keys);
        self.forget_others();
        Elements::end(self)?;
        self.open = self.outer.pop().ok_or(Stop::Unusual)?;
        if !self.open.is_object {
            self.name = Name::ITEM;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Limits;
    use crate::{Document, json, xml};

    /// Keys that are no short names, nested and one after the other.
    #[test]
    fn other_keys_are_forgotten_with_their_entries() {
        let inner =
            r#"[{"":1},{"a b":{"\u00e4\n":[2],"a_name_of_many_letters":{"":null}}},{"c d":3}]"#;
        let entries: Vec<String> = (0..500).map(|key| format!(r#""{key}":{inner}"#)).collect();
        let json = format!(r#"{{"":[{{{}}}],"\u0001":0}}"#, entries.join(","));
        let mut document = Document::new();
        let range = 0..json.len();
        let root =
            json::decode(json.as_bytes(), range.clone(), &mut document, &Limits::NONE).unwrap();
        let (mut expected, mut out) = (Vec::new(), Vec::new());
        xml::encode(document.view(json.as_bytes(), root), &mut expected);
        assert!(encode_json(json.as_bytes(), range.clone(), &mut out) && out == expected);

        let mut others = Vec::new();
        let open =
            Open { name: Name::MESSAGE, is_object: true, keys: OpenKeys::default(), others: 0 };
        let written = fill(&mut Vec::new(), 2 * expected.len(), |page| {
            let elements = Elements {
                page,
                name: Name::MESSAGE,
                open,
                outer: Outer::new(open),
                keys: &mut KeySet::take(),
                known: &mut KnownNames::take(),
                others: &mut others,
                spelled: Vec::new(),
            };
            let written = Scan::of_utf8(json.as_bytes(), range.clone()).value(elements);
            written.map(|elements| elements.page).map_err(Fault::into_stop)
        });
        assert!(written && others.capacity() <= 8, "{} at once", others.capacity());
    }
}
