//! What one write will write: runs that are shared with other writers, and bytes of its own.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use super::line::{Outgoing, Pushed, Wait};
use super::writer::IDLE_BYTES;
use crate::broker::Charge;
use crate::codec::{Batch, Dialect};

/// What is waiting is gathered for one write until it has this many bytes or segments.
pub(super) const MAX_BYTES: usize = 256 << 10;
const MAX_SEGMENTS: usize = 64;
/// Shorter segments are cheaper to copy than to hand to the kernel one by one.
const WORTH_A_STRETCH: usize = 4 << 10;

/// What the next write will write.
#[derive(Debug, Default)]
pub(super) struct WriteBatch {
    pub(super) segments: Vec<Segment>,
    /// Bytes that no batch holds.
    pub(super) own: Vec<u8>,
    /// To be given back once it is written.
    pub(super) charges: Vec<Charge>,
    pub(super) bytes: usize,
    /// Whether there is memory for no more than a few bytes of its own.
    pub(super) is_short: bool,
}

#[derive(Debug)]
pub(super) enum Segment {
    /// Part of a run that is shared with other writers.
    Shared(Arc<Batch>, Dialect, Range<usize>),
    /// Part of `own`.
    Own(Range<usize>),
}

impl WriteBatch {
    pub(super) fn is_enough(&self) -> bool {
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
    pub(super) fn slices(&self) -> Vec<IoSlice<'_>> {
        self.segments.iter().map(|segment| IoSlice::new(segment.bytes(&self.own))).collect()
    }

    /// Sends what lies behind the first `sent` bytes, as far as the socket takes it at once, and
    /// returns how many bytes are sent now.
    ///
    /// # Errors
    /// Whatever the system says; that the socket is full is none.
    pub(super) fn send_at_once(
        &self,
        outgoing: &mut Outgoing,
        mut sent: usize,
    ) -> io::Result<usize> {
        let mut slices = self.slices();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, sent);
        while sent < self.bytes || !outgoing.is_settled() {
            let pushed = outgoing.push(rest, Wait::No)?;
            if pushed == Pushed::default() {
                break;
            }
            sent += pushed.taken;
            IoSlice::advance_slices(&mut rest, pushed.taken);
        }
        Ok(sent)
    }

    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.own.clear();
        self.own.shrink_to(MAX_BYTES);
        self.bytes = 0;
    }

    /// Gives back what is not needed while there is nothing to write.
    pub(super) fn shrink(&mut self) {
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
            Segment::Own(range) => &own[range.clone()],
        }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use crate::transport::line::Line;

    #[test]
    fn more_stretches_than_the_kernel_takes_at_once_are_sent_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (line, incoming, mut outgoing) = Line::plain(listener.accept().unwrap().0.into());
        let own: Vec<u8> = (0..3 * 1_024).map(|index| index as u8).collect();
        let segments = (0..own.len()).map(|index| Segment::Own(index..index + 1)).collect();
        let gathered = WriteBatch { segments, bytes: own.len(), own, ..WriteBatch::default() };
        assert_eq!(gathered.send_at_once(&mut outgoing, 5).unwrap(), gathered.bytes);
        drop((line, incoming, outgoing));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, gathered.own[5..]);
    }
}
