//! What one write will write: runs that are shared with other writers, and bytes of its own.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use super::writer::IDLE_BYTES;
use crate::broker::Charge;
use crate::codec::{Batch, Dialect};

/// What is waiting is gathered for one write until it has this many bytes or stretches.
const MAX_BYTES: usize = 256 << 10;
const MAX_STRETCHES: usize = 64;
/// Shorter stretches are cheaper to copy than to hand to the kernel one by one.
const WORTH_A_STRETCH: usize = 4 << 10;

/// What the next write will write.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) stretches: Vec<Stretch>,
    /// Bytes that no batch holds.
    pub(super) own: Vec<u8>,
    /// To be given back once it is written.
    pub(super) charges: Vec<Charge>,
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) enum Stretch {
    /// Part of a run that is shared with other writers.
    Shared(Arc<Batch>, Dialect, Range<usize>),
    /// Part of `own`.
    Own(Range<usize>),
}

impl Gathered {
    pub(super) fn is_enough(&self) -> bool {
        self.bytes >= MAX_BYTES || self.stretches.len() >= MAX_STRETCHES
    }

    /// Adds part of a run.
    pub(super) fn share(&mut self, batch: &Arc<Batch>, dialect: Dialect, run: &[u8], stretch: Range<usize>) {
        if stretch.len() < WORTH_A_STRETCH {
            self.append(|out| out.extend_from_slice(&run[stretch]));
        } else {
            self.bytes += stretch.len();
            self.stretches.push(Stretch::Shared(batch.clone(), dialect, stretch));
        }
    }

    /// Adds what `write` appends.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.own.len();
        write(&mut self.own);
        let end = self.own.len();
        self.bytes += end - start;
        match self.stretches.last_mut() {
            Some(Stretch::Own(last)) => last.end = end,
            _ => self.stretches.push(Stretch::Own(start..end)),
        }
    }

    /// Everything that was added, in order.
    pub(super) fn slices(&self) -> Vec<IoSlice<'_>> {
        self.stretches.iter().map(|stretch| IoSlice::new(stretch.bytes(&self.own))).collect()
    }

    pub(super) fn clear(&mut self) {
        self.stretches.clear();
        self.own.clear();
        self.own.shrink_to(MAX_BYTES);
        self.bytes = 0;
    }

    /// Gives back what is not needed while there is nothing to write.
    pub(super) fn shrink(&mut self) {
        self.own.shrink_to(IDLE_BYTES);
        self.stretches.shrink_to(MAX_STRETCHES);
        self.charges.shrink_to(MAX_STRETCHES);
    }
}

impl Stretch {
    fn bytes<'a>(&'a self, own: &'a [u8]) -> &'a [u8] {
        match self {
            Stretch::Shared(batch, dialect, range) => &batch.run_bytes(batch.run(*dialect))[range.clone()],
            Stretch::Own(range) => &own[range.clone()],
        }
    }
}
