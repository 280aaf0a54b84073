//! Reading a segment from front to back: record after record, and past what is damaged to the next
//! that is not.

use std::io;
use std::ops::Range;

use super::files::{LogFile, read_up_to};
use super::record::{HEAD, Head};

/// Bytes that are read together. A record that is longer has the buffer grown for it, once its
/// head has proved that it was written so.
const BLOCK: usize = 128 << 10;

/// What the next place holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A message or a mark; its body is in the buffer.
    Record(Head),
    /// A message whose head is whole and whose body is not.
    Damaged(Head),
    /// Bytes that are nothing were passed over.
    Gap,
    /// The end.
    End,
}

/// A place in a segment, with the bytes around it.
#[derive(Debug, Default)]
pub(super) struct Steps {
    salt: u32,
    /// Where the next record begins.
    offset: u64,
    /// The least number that it may have.
    least: u64,
    buffer: Vec<u8>,
    /// Where in the segment the buffer begins, and how much of it is filled.
    start: u64,
    filled: usize,
    /// Where in the buffer the body of the last record is.
    body: Range<usize>,
    /// Where the last record began, and the least number that it might have had.
    before: (u64, u64),
}

impl Steps {
    /// Goes to a place, where the record `least` or a later one begins.
    pub(super) fn go(&mut self, salt: u32, offset: u64, least: u64) {
        (self.salt, self.offset, self.least) = (salt, offset, least);
        // What is in the buffer may be of another segment.
        (self.start, self.filled, self.body) = (offset, 0, 0..0);
    }

    /// Gives the buffer back.
    pub(super) fn release(&mut self) {
        (self.buffer, self.filled, self.body) = (Vec::new(), 0, 0..0);
    }

    /// Where the next record begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the last record began.
    pub(super) fn before(&self) -> u64 {
        self.before.0
    }

    /// The least number that the next record may have.
    pub(super) fn least(&self) -> u64 {
        self.least
    }

    /// The body of the last record.
    pub(super) fn body(&self) -> &[u8] {
        &self.buffer[self.body.clone()]
    }

    /// Goes back before the last record.
    pub(super) fn back(&mut self) {
        (self.offset, self.least) = self.before;
    }

    /// Looks at the next record of a segment that is `end` bytes long and whose messages have
    /// numbers below `below`.
    ///
    /// # Errors
    /// It cannot be read; nothing has moved.
    pub(super) fn step(&mut self, file: &dyn LogFile, end: u64, below: u64) -> io::Result<Step> {
        if self.offset >= end {
            return Ok(Step::End);
        }
        let head = match self.bytes(file, HEAD, end)? {
            Some(bytes) => Head::read(&self.buffer[bytes], self.salt),
            None => None,
        };
        let head = head.filter(|head| self.may_be_next(head, end, below));
        let Some(head) = head else {
            self.offset = self.resynchronise(file, end, below)?;
            self.before = (self.offset, self.least);
            return Ok(Step::Gap);
        };
        let Some(bytes) = self.bytes(file, head.len() as usize, end)? else {
            // The file has become shorter than it was said to be.
            self.offset = end;
            return Ok(Step::Gap);
        };
        self.body = bytes.start + HEAD..bytes.end;
        self.before = (self.offset, self.least);
        self.offset += head.len();
        self.least = if head.is_mark() { head.seq } else { head.seq + 1 };
        let fits = head.fits(self.body(), self.salt);
        Ok(if fits { Step::Record(head) } else { Step::Damaged(head) })
    }

    fn may_be_next(&self, head: &Head, end: u64, below: u64) -> bool {
        // A mark may stand before a message that was not written.
        let below = if head.is_mark() { below.saturating_add(1) } else { below };
        (self.least..below).contains(&head.seq) && head.len() <= end - self.offset
    }

    /// Where the next head is that was written as it is; the end if there is none. It is looked
    /// for byte by byte, for no length can be trusted.
    fn resynchronise(&mut self, file: &dyn LogFile, end: u64, below: u64) -> io::Result<u64> {
        let origin = self.offset;
        let found = loop {
            self.offset += 1;
            if end.saturating_sub(self.offset) < HEAD as u64 {
                break Ok(end);
            }
            let bytes = match self.bytes(file, HEAD, end) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break Ok(end),
                Err(error) => break Err(error),
            };
            let bytes = &self.buffer[bytes];
            // Its number alone rules out almost every place.
            let seq = Head::seq_in(bytes).unwrap_or(0);
            if seq < self.least || seq > below {
                continue;
            }
            let head = Head::read(bytes, self.salt);
            if head.is_some_and(|head| self.may_be_next(&head, end, below)) {
                break Ok(self.offset);
            }
        };
        self.offset = origin;
        found
    }

    /// So many bytes from the next record on, as a range of the buffer; `None` where the segment
    /// has fewer.
    fn bytes(
        &mut self,
        file: &dyn LogFile,
        count: usize,
        end: u64,
    ) -> io::Result<Option<Range<usize>>> {
        if end - self.offset < count as u64 {
            return Ok(None);
        }
        if self.offset < self.start || self.offset > self.start + self.filled as u64 {
            (self.start, self.filled) = (self.offset, 0);
        }
        let mut at = (self.offset - self.start) as usize;
        if self.filled - at < count {
            self.buffer.copy_within(at..self.filled, 0);
            self.filled -= at;
            (self.start, at) = (self.offset, 0);
            // A single message at the end of a log takes no large buffer.
            let wanted = count.max((end - self.offset).min(BLOCK as u64) as usize);
            if self.buffer.len() < wanted || self.buffer.len() > wanted.max(2 * BLOCK) {
                let mut buffer = vec![0; wanted];
                buffer[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
                self.buffer = buffer;
            }
            let behind = self.start + self.filled as u64;
            let room = (end - behind).min((self.buffer.len() - self.filled) as u64) as usize;
            let into = &mut self.buffer[self.filled..self.filled + room];
            self.filled += read_up_to(file, into, behind)?;
        }
        Ok((self.filled - at >= count).then_some(at..at + count))
    }
}
