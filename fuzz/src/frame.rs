//! Bytes of a connection to frames.

use std::io::{self, Read};

use babelmq::protocol::{Format, FrameBuffer, FrameFault, HEADER_LEN, Header, frame_at};

use crate::{Bound, linear};

/// Small, so that a short input can pass it.
const MAX_FRAME: u32 = 1_000;

/// The buffer doubles up to what has arrived; the first read takes 4 KiB.
const BOUND: Bound = Bound { base: 16 << 10, per_byte: 8 };

/// The input is two bytes that say how the stream is cut, and the stream. However it is cut, the
/// frames and the fault are those that stand in it.
pub fn frame(input: &[u8]) {
    let [cut, more, stream @ ..] = input else { return };
    let mut pieces = Pieces { left: stream, state: u32::from(u16::from_be_bytes([*cut, *more])) };
    let (frames, fault) = linear("frames", stream.len(), BOUND, || {
        let mut buffer = FrameBuffer::new();
        // As the session does it: whatever one read brought is taken at once. No allocation but the
        // buffer's own.
        let mut frames = 0;
        let mut hash = 0;
        loop {
            let (whole, fault) = whole_frames(buffer.bytes());
            let mut taken = 0;
            while let Ok(Some((header, body))) = buffer.first(MAX_FRAME) {
                frames += 1;
                hash = fold(hash, header, &buffer.bytes()[body.clone()]);
                taken += body.end;
                buffer.take(body.end);
            }
            assert_eq!(taken, whole);
            if fault.is_some() || buffer.read_from(&mut pieces).unwrap_or(0) == 0 {
                assert_eq!(buffer.first(MAX_FRAME).err(), fault);
                return ((frames, hash), fault);
            }
        }
    });
    assert_eq!((frames, fault), expected(stream));
}

/// How many bytes of the beginning are whole frames, and what ends the stream behind them.
fn whole_frames(bytes: &[u8]) -> (usize, Option<FrameFault>) {
    let mut whole = 0;
    loop {
        match frame_at(bytes, whole, MAX_FRAME) {
            Ok(Some((_, body))) => whole = body.end,
            Ok(None) => return (whole, None),
            Err(fault) => return (whole, Some(fault)),
        }
    }
}

/// The same without a buffer.
fn expected(mut stream: &[u8]) -> ((u32, u64), Option<FrameFault>) {
    let mut frames = 0;
    let mut hash = 0;
    loop {
        let format = match stream.first() {
            None => return ((frames, hash), None),
            Some(0) => Format::Json,
            Some(1) => Format::Xml,
            Some(2) => Format::Pickle,
            Some(&other) => return ((frames, hash), Some(FrameFault::UnknownFormat(other))),
        };
        let Some((header, rest)) = stream.split_first_chunk::<HEADER_LEN>() else {
            return ((frames, hash), None);
        };
        let length = header[1..].iter().fold(0u32, |length, &byte| length << 8 | u32::from(byte));
        if length > MAX_FRAME {
            let fault = FrameFault::TooLarge { format, length, max_frame: MAX_FRAME };
            return ((frames, hash), Some(fault));
        }
        let Some((body, rest)) = rest.split_at_checked(length as usize) else {
            return ((frames, hash), None);
        };
        let parsed = Header { format, length };
        assert_eq!(&parsed.to_bytes(), header);
        frames += 1;
        hash = fold(hash, parsed, body);
        stream = rest;
    }
}

fn fold(hash: u64, header: Header, body: &[u8]) -> u64 {
    let start = (hash ^ u64::from(header.format.byte())).wrapping_mul(0x0100_0000_01b3);
    body.iter().fold(start, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A socket that brings the stream in pieces of 1 to 64 bytes, or now and then as much as is asked
/// for.
struct Pieces<'a> {
    left: &'a [u8],
    state: u32,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wanted = match self.state >> 24 {
            0..32 => usize::MAX,
            size => (size as usize & 63) + 1,
        };
        let (piece, rest) = self.left.split_at(wanted.min(self.left.len()).min(buffer.len()));
        buffer[..piece.len()].copy_from_slice(piece);
        self.left = rest;
        Ok(piece.len())
    }
}
