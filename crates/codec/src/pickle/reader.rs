//! Where the machine is in the pickle: the next opcode, its argument, and what to say when there is
//! none.

use std::fmt;
use std::ops::Range;

use super::opcode;
use crate::Text;
use crate::protocol::{ErrorCode, Refusal};

/// A position in a pickle.
pub(super) struct Reader<'a> {
    /// The source as far as the pickle's end: positions are positions in the source.
    source: &'a [u8],
    /// Where the pickle begins.
    base: usize,
    /// The next byte to be read.
    at: usize,
    /// The opcode that was read last, and where: error messages name both.
    opcode: u8,
    opcode_at: usize,
}

impl<'a> Reader<'a> {
    /// Begins at the start of `range`.
    pub(super) fn new(source: &'a [u8], range: Range<usize>) -> Result<Reader<'a>, Refusal> {
        // A text's position is kept in 31 bits.
        const LONGEST: usize = i32::MAX as usize;
        match source.get(..range.end) {
            Some(source) if range.start <= range.end && range.end <= LONGEST => Ok(Reader {
                source,
                base: range.start,
                at: range.start,
                opcode: 0,
                opcode_at: range.start,
            }),
            _ => Err(Refusal::new(
                ErrorCode::TooLarge,
                format!("a pickle cannot lie at {range:?} of {} bytes", source.len()),
            )),
        }
    }

    /// A reader that only looks: where texts lie in what it read is of no use if the source is over
    /// 2 GiB.
    pub(super) fn whole(source: &'a [u8]) -> Reader<'a> {
        Reader { source, base: 0, at: 0, opcode: 0, opcode_at: 0 }
    }

    /// The source that texts point into.
    pub(super) fn source(&self) -> &'a [u8] {
        self.source
    }

    /// The next opcode.
    #[inline]
    pub(super) fn opcode(&mut self) -> Result<u8, Refusal> {
        match self.source.get(self.at) {
            Some(&opcode) => {
                self.opcode = opcode;
                self.opcode_at = self.at;
                self.at += 1;
                Ok(opcode)
            }
            None => Err(self.unfinished()),
        }
    }

    /// Passes over the next opcode if it is `opcode`, and says whether it was.
    #[inline]
    pub(super) fn pass(&mut self, opcode: u8) -> bool {
        let is = self.source.get(self.at) == Some(&opcode);
        self.at += usize::from(is);
        is
    }

    /// A number of `N` bytes, or any other argument of fixed length.
    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        match self.source.get(self.at..).and_then(<[u8]>::first_chunk::<N>) {
            Some(&array) => {
                self.at += N;
                Ok(array)
            }
            None => Err(self.truncated(N as u64)),
        }
    }

    /// One byte of argument.
    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Refusal> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A length of one byte.
    #[inline]
    pub(super) fn length1(&mut self) -> Result<u64, Refusal> {
        self.byte().map(u64::from)
    }

    /// A length of four bytes.
    #[inline]
    pub(super) fn length4(&mut self) -> Result<u64, Refusal> {
        self.array().map(|bytes| u64::from(u32::from_le_bytes(bytes)))
    }

    /// A length of eight bytes.
    pub(super) fn length8(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next `count` bytes, and where they are.
    #[inline]
    pub(super) fn take(&mut self, count: u64) -> Result<(&'a [u8], Text), Refusal> {
        let start = self.at;
        let end = usize::try_from(count).ok().and_then(|count| start.checked_add(count));
        match end.and_then(|end| self.source.get(start..end)) {
            Some(bytes) => {
                self.at = start + bytes.len();
                Ok((bytes, Text::in_source(start..self.at)))
            }
            None => Err(self.truncated(count)),
        }
    }

    /// The bytes before the next newline, which is passed over, and where they begin.
    pub(super) fn line(&mut self) -> Result<(&'a [u8], usize), Refusal> {
        let start = self.at;
        let rest = self.source.get(start..).unwrap_or_default();
        match memchr::memchr(b'\n', rest) {
            Some(length) => {
                self.at = start + length + 1;
                Ok((&rest[..length], start))
            }
            None => Err(self.malformed("the newline that ends its argument is missing")),
        }
    }

    /// The class that protocols 0 and 1 name after `copy_reg._reconstructor`, so that a refusal can
    /// name it rather than the function that would build it. Nothing is passed over.
    pub(super) fn reconstructed(&self) -> Option<(&'a [u8], &'a [u8])> {
        let rest = self.source.get(self.at..)?;
        let mark = memchr::memchr(opcode::MARK, rest.get(..rest.len().min(16))?)?;
        let mut lines = match rest.get(mark + 1..)? {
            [opcode::GLOBAL, names @ ..] => names.splitn(3, |&byte| byte == b'\n'),
            _ => return None,
        };
        Some((lines.next()?, lines.next()?))
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.source.len().saturating_sub(self.at)
    }

    /// `GLOBAL at byte 12`.
    pub(super) fn here(&self) -> impl fmt::Display {
        let name = opcode::name(self.opcode).unwrap_or("opcode");
        format!("{name} at byte {} of the pickle", self.opcode_at - self.base)
    }

    /// Refuses the pickle for what is wrong with the present opcode.
    #[cold]
    pub(super) fn malformed(&self, what: impl fmt::Display) -> Refusal {
        self.refuse(ErrorCode::MalformedPickle, what)
    }

    /// Refuses with any code, naming the present opcode.
    #[cold]
    pub(super) fn refuse(&self, code: ErrorCode, what: impl fmt::Display) -> Refusal {
        Refusal::new(code, format!("{}: {what}", self.here()))
    }

    #[cold]
    fn truncated(&self, wanted: u64) -> Refusal {
        self.malformed(format_args!("it needs {wanted} bytes, but only {} are left", self.left()))
    }

    #[cold]
    fn unfinished(&self) -> Refusal {
        Refusal::new(
            ErrorCode::MalformedPickle,
            format!(
                "the pickle ends after {} bytes without STOP; was it cut short?",
                self.source.len() - self.base
            ),
        )
    }
}

/// A name from the pickle, made fit to be shown.
pub(super) fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 80;
    let head = &name[..name.len().min(LONGEST)];
    let mut shown = String::from_utf8_lossy(head).escape_debug().to_string();
    if head.len() < name.len() {
        shown.push('…');
    }
    shown
}
