//! What an element is written with: on a page, or only counted.

use crate::number::{float_size, int_size, put_float, put_int};
use crate::out_buf::{OutBuf, Stop};

/// A page, or the bytes that would be on one.
pub(super) trait Ink {
    fn text(&mut self, text: &[u8]) -> Result<(), Stop>;
    fn base64(&mut self, bytes: &[u8]) -> Result<(), Stop>;
    fn int(&mut self, number: i64) -> Result<(), Stop>;
    /// A finite double.
    fn float(&mut self, number: f64) -> Result<(), Stop>;
}

impl Ink for OutBuf<'_> {
    #[inline(always)]
    fn text(&mut self, text: &[u8]) -> Result<(), Stop> {
        self.slice(text)
    }

    fn base64(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.aside(|page| page.base64(bytes))
    }

    #[inline(always)]
    fn int(&mut self, number: i64) -> Result<(), Stop> {
        put_int(self, number)
    }

    fn float(&mut self, number: f64) -> Result<(), Stop> {
        put_float(self, number)
    }
}

/// How many bytes it would be.
#[derive(Default)]
pub(super) struct Count(pub(super) u64);

impl Ink for Count {
    #[inline(always)]
    fn text(&mut self, text: &[u8]) -> Result<(), Stop> {
        self.0 += text.len() as u64;
        Ok(())
    }

    fn base64(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.0 += bytes.len().div_ceil(3) as u64 * 4;
        Ok(())
    }

    #[inline(always)]
    fn int(&mut self, number: i64) -> Result<(), Stop> {
        self.0 += int_size(number) as u64;
        Ok(())
    }

    fn float(&mut self, number: f64) -> Result<(), Stop> {
        self.0 += float_size::<true>(number) as u64;
        Ok(())
    }
}
