//! The writing half of a connection whose frames of our protocol lie in frames of another.
//!
//! What goes before and between them, and what is short, is put together here and kept until it is
//! sent; what is long goes to the system from where it lies.

use std::fmt::Debug;
use std::io::{self, IoSlice};

use super::native::Pieces;
use super::{Pushed, Sealing, Wait};
use crate::transport::net::Socket;

/// Bytes that are put together for one write. Each connection may have as many.
pub(super) const TOGETHER: usize = 32 << 10;
/// Shorter pieces are cheaper to copy than to hand to the system one by one.
pub(super) const WORTH_A_PIECE: usize = 4 << 10;
/// Bytes of memory that are kept when all is sent.
const KEPT: usize = 64;
/// Pieces that are handed over at once: more than a writer gathers.
const MOST: usize = 80;

/// The other frames.
pub(super) trait Frames: Debug {
    /// Puts together what comes next in `out`, and takes what it has copied. Returns how many of
    /// the next bytes follow as they are.
    fn fill(&mut self, out: &mut Vec<u8>, pieces: &mut Pieces<'_>) -> usize;

    /// Notes that so many bytes have gone as they are.
    fn note_passed(&mut self, count: usize);

    /// Whether nothing is to be put together where there are no more pieces.
    fn is_settled(&self) -> bool;

    /// Puts together what is the last.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// The frames, and what was put together and not sent.
#[derive(Debug)]
pub(super) struct Framing<F> {
    below: Sealing,
    frames: F,
    /// `together[start..]` is not sent.
    together: Vec<u8>,
    start: usize,
    /// So many of the next bytes of the pieces follow as they are.
    as_they_are: usize,
}

impl<F: Frames> Framing<F> {
    pub(super) fn new(below: Sealing, frames: F) -> Framing<F> {
        Framing { below, frames, together: Vec::new(), start: 0, as_they_are: 0 }
    }

    pub(super) fn frames(&self) -> &F {
        &self.frames
    }

    pub(super) fn is_settled(&self) -> bool {
        self.start == self.together.len() && self.frames.is_settled() && self.below.is_settled()
    }

    /// See [`Outgoing::push`](super::Outgoing::push).
    pub(super) fn push(
        &mut self,
        socket: &Socket,
        pieces: &[IoSlice<'_>],
        wait: Wait,
    ) -> io::Result<Pushed> {
        let mut pieces = Pieces::new(pieces);
        if self.start == self.together.len() && self.as_they_are == 0 {
            self.together.clear();
            self.start = 0;
            self.as_they_are = self.frames.fill(&mut self.together, &mut pieces);
        }
        let taken = pieces.taken();
        let mut slices = [IoSlice::new(&[]); MOST];
        let ahead = &self.together[self.start..];
        let begin = usize::from(!ahead.is_empty());
        slices[0] = IoSlice::new(ahead);
        let end = begin + pieces.lend(self.as_they_are, &mut slices[begin..]);
        let pushed = self.below.push(socket, &slices[..end], wait)?;
        let of_together = pushed.taken.min(ahead.len());
        self.start += of_together;
        let passed = pushed.taken - of_together;
        self.as_they_are -= passed;
        self.frames.note_passed(passed);
        if self.start == self.together.len() && self.together.capacity() > KEPT {
            // Most of the time there is nothing to send.
            self.together = Vec::new();
            self.start = 0;
        }
        Ok(Pushed { taken: taken + passed, sent: pushed.sent })
    }

    /// See [`Outgoing::finish`](super::Outgoing::finish).
    pub(super) fn finish(&mut self) {
        // Within a frame nothing else can be said.
        if self.as_they_are == 0 {
            self.frames.finish(&mut self.together);
        }
    }

    /// Says that nothing follows, if the socket takes that at once.
    pub(super) fn end(&mut self, socket: &Socket) {
        self.finish();
        while let Ok(pushed) = self.push(socket, &[], Wait::No)
            && pushed.sent > 0
        {}
        self.below.end(socket);
    }
}
