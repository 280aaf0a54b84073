//! The content of one write: runs that are shared with other writers, and bytes of its own.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use crate::broker::Charge;
use crate::codec::{Batch, Dialect};

/// Deliveries that wait are gathered for one write until it has this many bytes or segments.
pub(crate) const MAX_BYTES: usize = 256 << 10;
/// Memory for encoding that is kept while there is nothing to write.
pub(crate) const IDLE_BYTES: usize = 16 << 10;
const MAX_SEGMENTS: usize = 64;
/// Shorter segments are cheaper to copy than to hand to the kernel one by one.
const WORTH_A_STRETCH: usize = 4 << 10;

/// The content of the next write.
#[derive(Debug, Default)]
pub(crate) struct WriteBatch {
    pub(crate) segments: Vec<Segment>,
    /// Bytes that no batch holds.
    pub(crate) own: Vec<u8>,
    /// To be given back once it is written.
    pub(crate) charges: Vec<Charge>,
    pub(crate) bytes: usize,
    /// Whether there is memory for no more than a few bytes of its own.
    pub(crate) is_short: bool,
}

#[derive(Debug)]
pub(crate) enum Segment {
    /// Part of a run that is shared with other writers.
    Shared(Arc<Batch>, Dialect, Range<usize>),
    /// Part of what a batch came in.
    Source(Arc<Batch>, Range<usize>),
    /// Part of `own`.
    Own(Range<usize>),
}

impl WriteBatch {
    pub(crate) fn is_enough(&self) -> bool {
        self.bytes >= MAX_BYTES
            || self.segments.len() >= MAX_SEGMENTS
            || self.is_short && self.own.len() >= IDLE_BYTES
    }

    /// Adds part of a run.
    pub(super) fn share(
        &mut self,
        batch: &Arc<Batch>,
        dialect: Dialect,
        run: &[u8],
        segment: Range<usize>,
    ) {
        if segment.is_empty() {
            return;
        }
        if segment.len() < WORTH_A_STRETCH {
            self.append(|out| out.extend_from_slice(&run[segment]));
        } else {
            self.bytes += segment.len();
            self.segments.push(Segment::Shared(batch.clone(), dialect, segment));
        }
    }

    /// Adds part of what a batch came in.
    pub(super) fn share_source(&mut self, batch: &Arc<Batch>, segment: Range<usize>) {
        if segment.len() < WORTH_A_STRETCH {
            self.append(|out| out.extend_from_slice(&batch.bytes()[segment]));
        } else {
            self.bytes += segment.len();
            self.segments.push(Segment::Source(batch.clone(), segment));
        }
    }

    /// Adds what `write` appends.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.own.len();
        write(&mut self.own);
        let end = self.own.len();
        self.bytes += end - start;
        match self.segments.last_mut() {
            Some(Segment::Own(last)) => last.end = end,
            _ => self.segments.push(Segment::Own(start..end)),
        }
    }

    /// Everything that was added, in order.
    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        self.segments.iter().map(|segment| IoSlice::new(segment.bytes(&self.own))).collect()
    }

    pub(crate) fn clear(&mut self) {
        self.segments.clear();
        self.own.clear();
        self.own.shrink_to(MAX_BYTES);
        self.bytes = 0;
    }

    /// Gives back what is not needed while there is nothing to write.
    pub(crate) fn shrink(&mut self) {
        self.own.shrink_to(IDLE_BYTES);
        self.segments.shrink_to(MAX_SEGMENTS);
        self.charges.shrink_to(MAX_SEGMENTS);
    }
}

impl Segment {
    fn bytes<'a>(&'a self, own: &'a [u8]) -> &'a [u8] {
        match self {
            Segment::Shared(batch, dialect, range) => {
                &batch.run_bytes(batch.run(*dialect))[range.clone()]
            }
            Segment::Source(batch, range) => &batch.bytes()[range.clone()],
            Segment::Own(range) => &own[range.clone()],
        }
    }
}
