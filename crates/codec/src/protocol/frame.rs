//! Frames: a format byte, a length, a body.

use std::io::{self, Read};
use std::ops::Range;

use super::{ErrorCode, Format, Refusal};

/// Bytes in a frame's header: the format byte, then the body's length as an unsigned 32-bit
/// big-endian number.
pub const HEADER_LEN: usize = 5;

/// A read asks the kernel for at least this much.
const SMALLEST_BUFFER: usize = 4 << 10;
/// A buffer that reads keep filling grows to this where nobody says otherwise; it grows beyond only
/// for a frame that is larger.
pub const LARGEST_BUFFER: usize = 256 << 10;

/// The header of a frame.
///
/// ```
/// use babelmq_codec::{Format, protocol::Header};
///
/// let header = Header { format: Format::Xml, length: 258 };
/// assert_eq!(header.to_bytes(), [1, 0, 0, 1, 2]);
/// assert_eq!(Header::parse([1, 0, 0, 1, 2], 1 << 20), Ok(header));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The format of the body.
    pub format: Format,
    /// Bytes in the body.
    pub length: u32,
}

impl Header {
    /// Reads a header and judges it.
    ///
    /// # Errors
    /// [`FrameFault`] for an unknown format byte or a body over `max_frame` bytes. After either
    /// there is no telling where the next frame begins, so both are fatal for the connection.
    pub fn parse(bytes: [u8; HEADER_LEN], max_frame: u32) -> Result<Header, FrameFault> {
        let [format, length @ ..] = bytes;
        let length = u32::from_be_bytes(length);
        let format = Format::from_byte(format).ok_or(FrameFault::UnknownFormat(format))?;
        if length > max_frame {
            return Err(FrameFault::TooLarge { format, length, max_frame });
        }
        Ok(Header { format, length })
    }

    /// The header as it stands on the wire.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.length.to_be_bytes();
        [self.format.byte(), a, b, c, d]
    }
}

/// A stream of frames that cannot be followed any further.
///
/// ```
/// use babelmq_codec::{ErrorCode, Format, Refusal, protocol::{FrameFault, Header}};
///
/// let fault = Header::parse(*b"GET /", 1 << 20).unwrap_err();
/// assert_eq!(fault, FrameFault::UnknownFormat(b'G'));
/// assert_eq!(fault.answer_in(), Format::Json);
/// assert_eq!(Refusal::from(fault).code, ErrorCode::UnknownFormat);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// The first byte of a frame is not 0, 1 or 2.
    #[error(
        "a frame began with byte {byte}; the first byte is the format: 0 JSON, 1 XML, 2 pickle. \
         Is this connection speaking babelmq's protocol?{hint}",
        byte = .0, hint = hint(*.0)
    )]
    UnknownFormat(u8),
    /// A body longer than the receiver takes.
    #[error("a frame announced {length} bytes; the limit is {max_frame} bytes")]
    TooLarge {
        /// The format that the frame announced.
        format: Format,
        /// The length that the frame announced, in bytes.
        length: u32,
        /// The limit, in bytes.
        max_frame: u32,
    },
}

/// What a byte that is no format may be.
fn hint(byte: u8) -> &'static str {
    /// The type of the record that a client of TLS begins with (RFC 8446 §5.1).
    const HANDSHAKE: u8 = 22;
    if byte == HANDSHAKE {
        " This looks like TLS, and the listener is a plain one: take babelmq://, or a tls:// \
         listener."
    } else {
        ""
    }
}

impl FrameFault {
    /// The format to answer in: the frame's own, or JSON where that is unknown.
    pub fn answer_in(&self) -> Format {
        match self {
            FrameFault::UnknownFormat(_) => Format::Json,
            FrameFault::TooLarge { format, .. } => *format,
        }
    }
}

impl From<FrameFault> for Refusal {
    fn from(fault: FrameFault) -> Refusal {
        let code = match fault {
            FrameFault::UnknownFormat(_) => ErrorCode::UnknownFormat,
            FrameFault::TooLarge { .. } => ErrorCode::FrameTooLarge,
        };
        Refusal::new(code, fault.to_string())
    }
}

/// The bytes of a connection that were read and not yet taken as frames.
///
/// It grows with what has arrived, never with what a header claims is coming, and shrinks again.
///
/// ```
/// use babelmq_codec::protocol::FrameBuffer;
///
/// let mut buffer = FrameBuffer::new();
/// buffer.read_from(&mut &b"\0\0\0\0\x02{}\0\0"[..])?;
/// let (header, body) = buffer.first(1 << 20)?.unwrap();
/// assert_eq!((header.length, &buffer.bytes()[body.clone()]), (2, &b"{}"[..]));
/// buffer.take(body.end);
/// assert_eq!(buffer.first(1 << 20)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FrameBuffer {
    buffer: Vec<u8>,
    /// The size that it grows to.
    largest: usize,
    /// `buffer[start..end]` was read and not taken; `buffer[end..]` is room for the next read.
    start: usize,
    end: usize,
}

impl FrameBuffer {
    /// An empty buffer; it takes no memory before the first read.
    pub fn new() -> FrameBuffer {
        FrameBuffer { buffer: Vec::new(), largest: LARGEST_BUFFER, start: 0, end: 0 }
    }

    /// Lets reads fill up to `largest` bytes from now on; a power of two. A frame that is larger
    /// still finds room.
    pub fn grow_to(&mut self, largest: usize) {
        self.largest = largest;
    }

    /// Reads once from `source` and returns how many bytes came; 0 is the end of the stream.
    ///
    /// # Errors
    /// Whatever `source` says.
    pub fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.read_with(self.next_size().wanted, source)
    }

    /// The same in a buffer of `size` bytes, as [`next_size`](Self::next_size) says.
    ///
    /// # Errors
    /// Whatever `source` says.
    pub fn read_with(&mut self, size: usize, source: &mut impl Read) -> io::Result<usize> {
        if self.buffer.is_empty() && size <= SMALLEST_BUFFER {
            return self.begin_with(size, source);
        }
        self.resize(size);
        let count = source.read(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// The first read of a buffer: who waits for something takes no memory until it comes, because
    /// there may be thousands who wait.
    fn begin_with(&mut self, size: usize, source: &mut impl Read) -> io::Result<usize> {
        let mut first = [0; SMALLEST_BUFFER];
        let first = &mut first[..size];
        let count = source.read(first)?;
        if count > 0 {
            self.buffer = first.to_vec();
            (self.start, self.end) = (0, count);
        }
        Ok(count)
    }

    /// The bytes that were read and not yet taken.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The first frame: its header, and where in [`bytes`](Self::bytes) its body lies. `None` when
    /// it is not there yet as a whole.
    ///
    /// # Errors
    /// [`FrameFault`] as soon as the header alone shows it.
    pub fn first(&self, max_frame: u32) -> Result<Option<(Header, Range<usize>)>, FrameFault> {
        frame_at(self.bytes(), 0, max_frame)
    }

    /// Forgets the first `count` of [`bytes`](Self::bytes).
    pub fn take(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > self.largest {
                self.buffer = Vec::new();
            }
        }
    }

    /// Writes `bytes` over some of [`bytes`](Self::bytes) that begin at `at`, as far as they reach:
    /// a header, say, that could not be known before.
    pub fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        let held = &mut self.buffer[self.start..self.end];
        let held = held.get_mut(at..).unwrap_or_default();
        for (held, byte) in held.iter_mut().zip(bytes) {
            *held = *byte;
        }
    }

    /// Bytes of memory that the buffer takes.
    pub fn size(&self) -> usize {
        self.buffer.len()
    }

    /// Gives the memory back that an empty buffer has.
    pub fn release(&mut self) {
        if self.bytes().is_empty() {
            (self.start, self.end) = (0, 0);
            self.buffer = Vec::new();
        }
    }

    /// The size that the next read asks for, and the least that it can do with.
    pub fn next_size(&self) -> NextSize {
        let (size, held) = (self.buffer.len(), self.end - self.start);
        let same = NextSize { wanted: size, least: size };
        if self.end < size {
            return same;
        }
        if self.largest < size && size <= LARGEST_BUFFER && held < self.largest {
            // It may not be as large any more. (What a large frame needed, the next one may need
            // again.)
            return NextSize { wanted: self.largest, least: self.largest };
        }
        // The last read filled the buffer: more is waiting, so the next read may be larger.
        if size >= self.largest && held <= size / 2 {
            return same;
        }
        let mut wanted = (size * 2).max(SMALLEST_BUFFER);
        if size >= self.largest
            && let Some(frame) = self.announced()
            && frame > size
        {
            wanted = wanted.min(frame);
        }
        NextSize { wanted, least: if held < size { size } else { wanted } }
    }

    /// Bytes of the first frame, its header included, as far as they were announced.
    pub fn announced(&self) -> Option<usize> {
        let [_, length @ ..] = *self.bytes().first_chunk::<HEADER_LEN>()?;
        Some(HEADER_LEN + u32::from_be_bytes(length) as usize)
    }

    fn resize(&mut self, size: usize) {
        if self.end < self.buffer.len() {
            return;
        }
        let held = self.end - self.start;
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.start = 0;
            self.end = held;
        }
        if size < self.buffer.len() {
            self.buffer.truncate(size);
            self.buffer.shrink_to_fit();
        } else {
            self.buffer.reserve_exact(size - self.buffer.len());
            self.buffer.resize(size, 0);
        }
    }
}

/// How large a [`FrameBuffer`] is to be, in bytes.
///
/// ```
/// use babelmq_codec::protocol::{FrameBuffer, NextSize};
///
/// // Before the first read.
/// assert_eq!(FrameBuffer::new().next_size(), NextSize { wanted: 4_096, least: 4_096 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextSize {
    /// The size that the reads so far suggest.
    pub wanted: usize,
    /// The size that there must be for anything to be read.
    pub least: usize,
}

impl Default for FrameBuffer {
    fn default() -> FrameBuffer {
        FrameBuffer::new()
    }
}

/// Bytes of the whole frames that `bytes` begin with.
pub fn whole_frames(bytes: &[u8], max_frame: u32) -> usize {
    let mut whole = 0;
    while let Ok(Some((_, body))) = frame_at(bytes, whole, max_frame) {
        whole = body.end;
    }
    whole
}

/// The frame that begins at `at`: its header, and where its body lies. `None` when it is not there
/// yet as a whole.
///
/// # Errors
/// [`FrameFault`] as soon as the header alone shows it.
#[inline]
pub fn frame_at(
    bytes: &[u8],
    at: usize,
    max_frame: u32,
) -> Result<Option<(Header, Range<usize>)>, FrameFault> {
    let rest = &bytes[at..];
    let Some(header) = rest.first_chunk::<HEADER_LEN>() else {
        // One byte is enough to know that no frame will follow.
        return match rest.first() {
            Some(&format) if Format::from_byte(format).is_none() => {
                Err(FrameFault::UnknownFormat(format))
            }
            _ => Ok(None),
        };
    };
    let header = Header::parse(*header, max_frame)?;
    let start = at + HEADER_LEN;
    let end = start + header.length as usize;
    Ok((end <= bytes.len()).then_some((header, start..end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut frame =
            Header { format: Format::Xml, length: body.len() as u32 }.to_bytes().to_vec();
        frame.extend_from_slice(body);
        frame
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let stream = [frame(b"one"), frame(b""), frame(&[7; 9_000])].concat();
        for step in [1, 2, 3, 4, 5, 7, 4_096, 100_000] {
            let mut buffer = FrameBuffer::new();
            let mut bodies = Vec::new();
            for piece in stream.chunks(step) {
                let mut piece = piece;
                while !piece.is_empty() {
                    buffer.read_from(&mut piece).unwrap();
                }
                while let Some((header, body)) = buffer.first(10_000).unwrap() {
                    assert_eq!(header.format, Format::Xml);
                    bodies.push(buffer.bytes()[body.clone()].to_vec());
                    buffer.take(body.end);
                }
            }
            assert_eq!(bodies, [b"one".to_vec(), vec![], vec![7; 9_000]], "in steps of {step}");
            assert!(buffer.bytes().is_empty());
        }
    }

    #[test]
    fn a_fault_is_seen_at_once_and_after_the_frames_before_it() {
        let mut buffer = FrameBuffer::new();
        let mut stream = frame(b"good");
        stream.push(b'G');
        buffer.read_from(&mut &stream[..]).unwrap();
        assert_eq!(buffer.first(10).unwrap().unwrap().1, 5..9);
        buffer.take(9);
        assert_eq!(buffer.first(10), Err(FrameFault::UnknownFormat(b'G')));

        let mut buffer = FrameBuffer::new();
        buffer.read_from(&mut &[0, 0, 0, 0, 11][..]).unwrap();
        let fault = FrameFault::TooLarge { format: Format::Json, length: 11, max_frame: 10 };
        assert_eq!(buffer.first(10), Err(fault));
    }

    #[test]
    fn memory_follows_what_arrived_and_not_what_was_claimed() {
        let mut buffer = FrameBuffer::new();
        buffer.read_from(&mut &[0, 0, 0xff, 0xff, 0xff][..]).unwrap();
        assert_eq!(buffer.first(u32::MAX), Ok(None));
        assert_eq!(buffer.buffer.len(), SMALLEST_BUFFER);

        let large = frame(&vec![1; 3 * LARGEST_BUFFER]);
        let mut buffer = FrameBuffer::new();
        let mut source = &large[..];
        while buffer.read_from(&mut source).unwrap() > 0 {}
        assert!(buffer.first(u32::MAX).unwrap().is_some());
        buffer.take(large.len());
        assert_eq!(buffer.buffer.len(), 0, "a buffer that one large frame blew up is given back");

        for largest in [LARGEST_BUFFER, SMALLEST_BUFFER * 2, LARGEST_BUFFER / 2] {
            buffer.grow_to(largest);
            for _ in 0..20 {
                buffer.read_from(&mut io::repeat(1)).unwrap();
                // The beginning of the next frame.
                buffer.take(buffer.bytes().len() - 1);
            }
            assert_eq!(buffer.buffer.len(), largest);
            buffer.take(1);
        }
    }
}
