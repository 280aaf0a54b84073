//! Where frames of our protocol begin, in bytes that come in pieces.

use std::io::IoSlice;

use crate::protocol::HEADER_LEN;

/// What is left of the pieces of a push.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    rest: &'a [IoSlice<'a>],
    /// Bytes of the first of the rest that were taken.
    at: usize,
    /// Bytes that were taken altogether.
    taken: usize,
}

/// The header of a frame, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct NativeHeader {
    bytes: [u8; HEADER_LEN],
    length: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(pieces: &'a [IoSlice<'a>]) -> Pieces<'a> {
        Pieces { rest: pieces, at: 0, taken: 0 }
    }

    /// Bytes that were taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.rest.iter().map(|piece| piece.len()).sum::<usize>() - self.at
    }

    /// What is left of the first piece that is not used up; nothing where all are.
    pub(super) fn first(&mut self) -> &'a [u8] {
        while let [piece, rest @ ..] = self.rest {
            if self.at < piece.len() {
                return &piece[self.at..];
            }
            (self.rest, self.at) = (rest, 0);
        }
        &[]
    }

    /// Takes so many bytes of the [`first`](Self::first).
    pub(super) fn take(&mut self, count: usize) {
        self.at += count;
        self.taken += count;
    }

    /// The pieces that so many bytes lie in, as many as there is room for.
    pub(super) fn lend(&mut self, mut count: usize, room: &mut [IoSlice<'a>]) -> usize {
        let mut used = 0;
        for slot in room {
            let first = self.first();
            let first = &first[..first.len().min(count)];
            if first.is_empty() {
                break;
            }
            *slot = IoSlice::new(first);
            self.at += first.len();
            count -= first.len();
            used += 1;
        }
        used
    }
}

impl NativeHeader {
    /// Takes the header of the next frame. Returns the length of its body; none where a part of it
    /// is to come.
    pub(super) fn take(&mut self, pieces: &mut Pieces<'_>) -> Option<usize> {
        while self.length < HEADER_LEN {
            let first = pieces.first();
            let count = first.len().min(HEADER_LEN - self.length);
            if count == 0 {
                return None;
            }
            self.bytes[self.length..][..count].copy_from_slice(&first[..count]);
            self.length += count;
            pieces.take(count);
        }
        self.length = 0;
        let [_, length @ ..] = self.bytes;
        Some(u32::from_be_bytes(length) as usize)
    }
}
