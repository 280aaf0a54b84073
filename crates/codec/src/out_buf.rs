//! Room for a whole message, made once and filled from the front.
//!
//! A vector asks at every append whether there is room, reads where it ends and writes that back. A
//! page is a slice: it asks once for each piece, and a piece is of a fixed size wherever it can be,
//! longer than what is meant, and the rest is written over. A writer whose page turns out too small
//! is asked again with a larger one.

use std::mem;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::lanes::{Lanes, bits, lanes, last_lanes};
use super::span::Span;
use crate::protocol::NODE_SIZE;

/// Why a page was not filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is too small.
    Full,
    /// The value is not for this writer.
    Unusual,
}

/// The part of a page that is not written yet. Functions that are not inlined get it by value and
/// give it back, so that on the way it stays in registers.
#[derive(Default)]
pub(super) struct OutBuf<'a> {
    room: &'a mut [u8],
}

/// Bytes that grow a page at a time. The room behind those that are written is there already.
#[derive(Debug)]
pub(super) struct OutVec {
    bytes: Vec<u8>,
    used: usize,
    /// It does not grow any more when it has so many bytes.
    most: usize,
}

impl OutVec {
    /// As little as a page has.
    const SMALLEST: usize = 64;

    /// No bytes, and as much room as `bytes` is long. Their values do not matter.
    pub(super) fn new(bytes: Vec<u8>) -> OutVec {
        OutVec { bytes, used: 0, most: usize::MAX }
    }

    /// The same sheet, that becomes twice as large as `most` at most. A text that does not fit is
    /// not written.
    #[must_use]
    pub(super) fn growing_to(self, most: usize) -> OutVec {
        OutVec { most, ..self }
    }

    /// How many bytes are written.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The bytes that are written from `start` on.
    #[inline(always)]
    pub(super) fn written_mut(&mut self, start: usize) -> &mut [u8] {
        &mut self.bytes[start..self.used]
    }

    /// The written bytes alone.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.used);
        self.bytes
    }

    /// Appends what `write` puts on a page, and says whether it did: what is not for this writer,
    /// or too long for a sheet that grows no more, leaves nothing.
    #[inline(always)]
    pub(super) fn fill(
        &mut self,
        write: impl for<'a> FnMut(OutBuf<'a>) -> Result<OutBuf<'a>, Stop>,
    ) -> bool {
        self.fill_growing(write, OutVec::grow)
    }

    #[inline(always)]
    fn fill_growing(
        &mut self,
        mut write: impl for<'a> FnMut(OutBuf<'a>) -> Result<OutBuf<'a>, Stop>,
        mut grow: impl FnMut(&mut OutVec) -> bool,
    ) -> bool {
        loop {
            match write(OutBuf { room: &mut self.bytes[self.used..] }) {
                Ok(page) => {
                    let left = page.room.len();
                    self.used = self.bytes.len() - left;
                    return true;
                }
                Err(Stop::Full) => {
                    if !grow(self) {
                        return false;
                    }
                }
                Err(Stop::Unusual) => return false,
            }
        }
    }

    /// The same for what takes `size` bytes and as many as a topic may beside. That is asked for
    /// when there is not room enough: what is long would be written several times over while the
    /// page grows.
    #[inline(always)]
    pub(super) fn fill_sized(
        &mut self,
        size: impl FnOnce() -> u64,
        mut write: impl for<'a> FnMut(OutBuf<'a>) -> Result<OutBuf<'a>, Stop>,
    ) -> bool {
        let mut size = Some(size);
        self.fill_growing(&mut write, |sheet| match size.take() {
            Some(size) => sheet.make_room(size()),
            None => sheet.grow(),
        })
    }

    /// Makes room for so many bytes and some more, at least as much as [`grow`](Self::grow) does.
    #[cold]
    fn make_room(&mut self, size: u64) -> bool {
        const BESIDE: usize = 2 << 10;
        let size = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(BESIDE);
        let length = self.used.saturating_add(size);
        if self.most < usize::MAX || length <= 2 * self.bytes.len() {
            return self.grow();
        }
        if self.used == 0 {
            // Memory that the system has cleared.
            self.bytes = vec![0; length];
        } else {
            self.bytes.resize(length, 0);
        }
        true
    }

    /// Appends a text.
    #[inline]
    pub(super) fn append(&mut self, text: &[u8]) {
        self.fill(|mut page| {
            page.slice(text)?;
            Ok(page)
        });
    }

    /// Makes more room, unless there is as much as there may be.
    #[cold]
    fn grow(&mut self) -> bool {
        if self.bytes.len() >= self.most {
            return false;
        }
        self.bytes.resize((2 * self.bytes.len()).max(OutVec::SMALLEST), 0);
        true
    }
}

impl Default for OutVec {
    fn default() -> OutVec {
        OutVec::new(Vec::new())
    }
}

/// Lets `write` append to a vector, which gets room for so many bytes first.
#[inline(always)]
pub(super) fn at_the_end_of<T>(
    out: &mut Vec<u8>,
    room: usize,
    write: impl FnOnce(&mut OutVec) -> T,
) -> T {
    let mut sheet = OutVec { used: out.len(), ..OutVec::new(mem::take(out)) };
    sheet.bytes.resize(sheet.used + room.max(OutVec::SMALLEST), 0);
    let result = write(&mut sheet);
    *out = sheet.into_bytes();
    result
}

/// Room for a value of so many nodes: the guess for a usual one, and what it takes for a large one,
/// which would be written several times over while its page grows.
pub(super) fn room(nodes: usize, guess: usize, size: impl FnOnce() -> u64) -> usize {
    /// Nodes, and bytes of guess, of a large value.
    const LARGE: usize = 32 << 10;
    if nodes < LARGE / NODE_SIZE && guess < LARGE {
        return guess;
    }
    usize::try_from(size()).unwrap_or(usize::MAX).saturating_add(64)
}

/// As [`OutVec::fill`], at the end of a vector.
#[inline(always)]
pub(super) fn fill(
    out: &mut Vec<u8>,
    guess: usize,
    write: impl for<'a> FnMut(OutBuf<'a>) -> Result<OutBuf<'a>, Stop>,
) -> bool {
    at_the_end_of(out, guess, |sheet| sheet.fill(write))
}

impl<'a> OutBuf<'a> {
    /// Appends as many of `N` bytes as `write` says that it wrote.
    #[inline(always)]
    pub(super) fn with<const N: usize>(
        &mut self,
        write: impl FnOnce(&mut [u8; N]) -> usize,
    ) -> Result<(), Stop> {
        let room = mem::take(&mut self.room);
        let used = write(room.first_chunk_mut().ok_or(Stop::Full)?);
        self.room = room.get_mut(used..).ok_or(Stop::Full)?;
        Ok(())
    }

    /// Appends what `write` does, which need not be inlined.
    #[inline(always)]
    pub(super) fn aside(
        &mut self,
        write: impl FnOnce(OutBuf<'a>) -> Result<OutBuf<'a>, Stop>,
    ) -> Result<(), Stop> {
        *self = write(mem::take(self))?;
        Ok(())
    }

    /// Appends a piece.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, piece: &[u8; N]) -> Result<(), Stop> {
        self.part(piece, N)
    }

    /// Appends the first `length` bytes of a piece.
    #[inline(always)]
    pub(super) fn part<const N: usize>(
        &mut self,
        piece: &[u8; N],
        length: usize,
    ) -> Result<(), Stop> {
        self.with(|room| {
            *room = *piece;
            length
        })
    }

    /// Appends a text.
    #[inline(always)]
    pub(super) fn span(&mut self, span: Span<'_>) -> Result<(), Stop> {
        if span.len() <= 16 {
            self.part(&span.sixteen(), span.len())
        } else {
            self.slice(span.text())
        }
    }

    /// Appends the base64 of bytes, padded.
    #[inline(never)]
    pub(super) fn base64(self, bytes: &[u8]) -> Result<OutBuf<'a>, Stop> {
        let length = bytes.len().div_ceil(3) * 4;
        let (place, room) = self.room.split_at_mut_checked(length).ok_or(Stop::Full)?;
        STANDARD.encode_slice(bytes, place).map_err(|_| Stop::Unusual)?;
        Ok(OutBuf { room })
    }

    /// Appends a text in which `marks` marks nothing, and says whether it did: copied and looked at
    /// at once.
    #[inline(always)]
    pub(super) fn unmarked(
        &mut self,
        text: &[u8],
        marks: impl Fn(Lanes) -> Lanes,
    ) -> Result<bool, Stop> {
        let room = mem::take(&mut self.room);
        let (place, _) = room.split_at_mut_checked(text.len()).ok_or(Stop::Full)?;
        let (pieces, rest) = text.as_chunks();
        let (places, last) = place.as_chunks_mut();
        let mut found = Lanes::ZERO;
        for (place, piece) in places.iter_mut().zip(pieces) {
            *place = *piece;
            found |= marks(lanes(piece));
        }
        last.copy_from_slice(rest);
        found |= marks(last_lanes(text));
        let is_unmarked = bits(found) == 0;
        self.room = if is_unmarked { &mut room[text.len()..] } else { room };
        Ok(is_unmarked)
    }

    /// Appends a text of any length.
    #[inline(always)]
    pub(super) fn slice(&mut self, text: &[u8]) -> Result<(), Stop> {
        let (place, rest) =
            mem::take(&mut self.room).split_at_mut_checked(text.len()).ok_or(Stop::Full)?;
        let is_copied =
            text.len() <= 64 && (in_two::<32>(text, place) || in_two::<16>(text, place));
        if !is_copied {
            place.copy_from_slice(text);
        }
        self.room = rest;
        Ok(())
    }
}

/// Copies a text of `N` to `2 * N` bytes in two pieces that overlap, and says whether it is as long
/// as that. Longer ones are for a loop.
#[inline(always)]
fn in_two<const N: usize>(text: &[u8], place: &mut [u8]) -> bool {
    let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else {
        return false;
    };
    let Some(start) = place.first_chunk_mut::<N>() else { return false };
    *start = *first;
    let Some(end) = place.last_chunk_mut::<N>() else { return false };
    *end = *last;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_too_small_is_made_larger() {
        let text: Vec<u8> = (0..200).collect();
        for length in 0..text.len() {
            for behind in [0, 1, 15, 40] {
                let span = Span::new(&text[..(length + behind).min(text.len())], length);
                let mut out = b"before".to_vec();
                let filled = fill(&mut out, 0, |mut page| {
                    page.put(b"<")?;
                    page.span(span)?;
                    page.slice(&text[..length])?;
                    page.part(b"12345678", 3)?;
                    Ok(page)
                });
                assert!(filled);
                assert_eq!(out, [b"before<", &text[..length], &text[..length], b"123"].concat());
            }
        }
    }

    #[test]
    fn what_is_left_to_others_leaves_nothing() {
        let mut out = b"before".to_vec();
        let filled = fill(&mut out, 10, |mut page| {
            page.put(b"something")?;
            Err(Stop::Unusual)
        });
        assert_eq!((filled, &*out), (false, &b"before"[..]));
    }
}
