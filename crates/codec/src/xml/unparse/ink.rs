//! What an element is written with: on a page, or only counted.

use crate::number::{float_size, int_size, put_float, put_int};
use crate::out_buf::{OutBuf, Stop};
use crate::span::Span;

/// A page, or the bytes that would be on one.
pub(super) trait Ink {
    /// A start tag without attributes.
    fn start(&mut self, name: Span<'_>) -> Result<(), Stop>;
    fn end(&mut self, name: Span<'_>) -> Result<(), Stop>;
    /// Text of up to sixteen bytes.
    fn short(&mut self, text: &[u8; 16], length: usize) -> Result<(), Stop>;
    fn text(&mut self, text: &[u8]) -> Result<(), Stop>;
    fn base64(&mut self, bytes: &[u8]) -> Result<(), Stop>;
    fn int(&mut self, number: i64) -> Result<(), Stop>;
    /// A finite double.
    fn float(&mut self, number: f64) -> Result<(), Stop>;
}

impl Ink for OutBuf<'_> {
    #[inline(always)]
    fn start(&mut self, name: Span<'_>) -> Result<(), Stop> {
        let length = name.len();
        if length <= 16 {
            return self.with(|place: &mut [u8; 18]| {
                place[0] = b'<';
                place[1..17].copy_from_slice(&name.sixteen());
                place[1 + length] = b'>';
                2 + length
            });
        }
        self.put(b"<")?;
        self.slice(name.text())?;
        self.put(b">")
    }

    #[inline(always)]
    fn end(&mut self, name: Span<'_>) -> Result<(), Stop> {
        let length = name.len();
        if length <= 16 {
            return self.with(|place: &mut [u8; 19]| {
                place[..2].copy_from_slice(b"</");
                place[2..18].copy_from_slice(&name.sixteen());
                place[2 + length] = b'>';
                3 + length
            });
        }
        self.put(b"</")?;
        self.slice(name.text())?;
        self.put(b">")
    }

    #[inline(always)]
    fn short(&mut self, text: &[u8; 16], length: usize) -> Result<(), Stop> {
        self.part(text, length)
    }

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
    fn start(&mut self, name: Span<'_>) -> Result<(), Stop> {
        self.0 += b"<>".len() as u64 + name.len() as u64;
        Ok(())
    }

    fn end(&mut self, name: Span<'_>) -> Result<(), Stop> {
        self.0 += b"</>".len() as u64 + name.len() as u64;
        Ok(())
    }

    fn short(&mut self, _: &[u8; 16], length: usize) -> Result<(), Stop> {
        self.0 += length as u64;
        Ok(())
    }

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
