//! What a JSON text says, in order: a scan tells it to a sink.

use super::fault::Fault;
use crate::lanes::Lanes;
use crate::number::{parse_decimal, quotient};
use crate::span::Span;

/// Where the values of a text go; what a sink does not care for is passed over.
pub(crate) trait Events<'a> {
    /// Marks the bytes that make a text unusual for the sink.
    #[inline(always)]
    fn marks(_: Lanes) -> Lanes {
        Lanes::ZERO
    }

    #[inline(always)]
    fn null(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    #[inline(always)]
    fn bool(&mut self, _truth: bool) -> Result<(), Fault> {
        Ok(())
    }

    /// An integer, of at most [`MAX_INT_DIGITS`](crate::protocol::MAX_INT_DIGITS) digits.
    #[inline(always)]
    fn integer(&mut self, _number: &Number<'a>) -> Result<(), Fault> {
        Ok(())
    }

    /// A number with a fraction or an exponent; the double next to it is finite.
    #[inline(always)]
    fn float(&mut self, _number: &Number<'a>) -> Result<(), Fault> {
        Ok(())
    }

    #[inline(always)]
    fn string(&mut self, _text: Str<'a>) -> Result<(), Fault> {
        Ok(())
    }

    /// A key of the object that was begun last; its value follows.
    #[inline(always)]
    fn key(&mut self, _key: Str<'a>) -> Result<(), Fault> {
        Ok(())
    }

    /// Containers nest deeper than those of values may: brackets of tags, perhaps.
    fn deep(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    #[inline(always)]
    fn begin(&mut self, _bracket: Bracket, _is_empty: bool) -> Result<(), Fault> {
        Ok(())
    }

    /// Ends what was begun last, and is not ended.
    #[inline(always)]
    fn end(&mut self, _bracket: Bracket, _is_empty: bool) -> Result<(), Fault> {
        Ok(())
    }
}

/// A sink to which nothing matters but whether a text is JSON.
impl Events<'_> for () {}

/// The two kinds of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bracket {
    Object,
    Array,
}

/// A string as it stands between its quotes.
#[derive(Clone, Copy)]
pub(crate) struct Str<'a> {
    pub(crate) raw: Span<'a>,
    /// Whether it contains a `\`, and so is not spelled literally.
    pub(crate) is_escaped: bool,
    /// Whether it contains what the sink [marks](Events::marks). Not said of escaped strings.
    pub(crate) is_marked: bool,
}

/// A number as it stands in the text.
#[derive(Clone, Copy)]
pub(crate) struct Number<'a> {
    pub(crate) raw: Span<'a>,
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

impl Number<'_> {
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
            && (self.decimals == 1 || self.raw.text().last() != Some(&b'0'))
            && (self.decimals <= 4 || self.mantissa * POWERS[4] >= POWERS[self.decimals & 15])
    }

    /// The integer, where it has few enough digits that it fits 64 bits whatever they are.
    #[inline(always)]
    pub(crate) fn small_int(&self) -> Option<i64> {
        if self.digits > 18 {
            return None;
        }
        let magnitude = self.mantissa as i64;
        Some(if self.negative { -magnitude } else { magnitude })
    }

    /// The double next to it.
    #[inline(always)]
    pub(crate) fn to_double(self) -> f64 {
        if !self.has_exponent
            && let Some(magnitude) = quotient(self.mantissa, self.digits, self.decimals)
        {
            return if self.negative { -magnitude } else { magnitude };
        }
        any_double(self.raw.text())
    }
}

/// The double that a JSON number spells; infinite where it is too large for one.
#[inline(never)]
pub(super) fn any_double(text: &[u8]) -> f64 {
    parse_decimal(text).unwrap_or(f64::NAN)
}
