//! The frames of a client, as they come, to the bytes of our protocol. It has no socket.

use std::io::{self, Read};
use std::mem;

use super::frame::{Close, Head, Opcode, unmask};
use super::utf8::Utf8;
use crate::http::Subprotocol;
use crate::protocol::{Format, FrameBuffer, HEADER_LEN, Header};

/// Bytes that are read from the line at once: more would be copied out of the processor's cache.
pub(super) const READ: usize = 32 << 10;

/// What was read of frames, and what of it was not asked for yet.
///
/// Binary messages are a stream of bytes, and pass through as they come. A text message is the body
/// of a frame of ours, whose header has to say how long it is. Where the message is one frame, its
/// head says so. Where it is in fragments, the header announces a byte more than there are so far,
/// so that the frame is never whole, and is mended as they come; so a message lies nowhere but in
/// the buffer of its session, which has claimed memory for it.
#[derive(Debug)]
pub struct Unframing {
    raw: FrameBuffer,
    /// There was no room for more of it.
    was_full: bool,
    frames: Frames,
}

/// The state between two bytes.
#[derive(Debug)]
struct Frames {
    subprotocol: Subprotocol,
    mask: [u8; 4],
    /// Bytes of the frame's payload so far, and those to come.
    at: u64,
    left: u64,
    is_final: bool,
    /// A frame of data has begun and not ended, or the message that it is a part of has not.
    in_frame: bool,
    in_message: bool,
    text: Text,
    /// The payload of the last ping, until it is asked for.
    pong: Option<Vec<u8>>,
    /// Nothing is read behind it.
    end: Option<End>,
}

/// The message of text that has begun.
#[derive(Debug, Default)]
struct Text {
    /// The header of our frame, and how much of it was given.
    header: [u8; HEADER_LEN],
    given: usize,
    /// Bytes of our frame that were given, the header among them.
    passed: usize,
    /// Bytes of the message, as far as they were announced.
    length: u64,
    /// What was given of the header says something else by now.
    is_stale: bool,
    /// Nobody wants the rest.
    is_skipped: bool,
    utf8: Utf8,
}

/// Why nothing is read any more.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The peer has said so.
    Closed(Close),
    /// The peer does not keep to the protocol.
    Broken(Close),
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    read: usize,
    written: usize,
    /// A header that was given has changed: it begins so many bytes before the end.
    is_stale: bool,
}

impl Unframing {
    /// What comes behind `first`, which was read already.
    pub fn new(subprotocol: Subprotocol, first: FrameBuffer) -> Unframing {
        let mut raw = first;
        raw.grow_to(READ);
        let frames = Frames {
            subprotocol,
            mask: [0; 4],
            at: 0,
            left: 0,
            is_final: true,
            in_frame: false,
            in_message: false,
            text: Text { given: HEADER_LEN, ..Text::default() },
            pong: None,
            end: None,
        };
        Unframing { raw, was_full: false, frames }
    }

    /// Where what comes next is to be put, and how large it is to be.
    pub fn room(&mut self) -> (&mut FrameBuffer, usize) {
        let mut size = self.raw.next_size().wanted.min(READ);
        if self.may_read_on() && size < READ {
            // A buffer that was emptied does not know that it was full.
            size = (size * 2).min(READ);
            self.raw.release();
        }
        (&mut self.raw, size)
    }

    /// Whether the last read was cut short, and all that it brought was given.
    pub(super) fn may_read_on(&self) -> bool {
        self.was_full && self.raw.bytes().is_empty()
    }

    /// Gives memory back, if nothing is in it.
    pub fn release(&mut self) {
        self.raw.release();
    }

    /// Gives what there is to a buffer of `size` bytes. Returns how many bytes that are; none where
    /// more has to be read first.
    ///
    /// # Errors
    /// What the buffer says.
    pub fn give(&mut self, buffer: &mut FrameBuffer, size: usize) -> io::Result<Option<usize>> {
        if self.raw.bytes().is_empty() && self.frames.text.given == HEADER_LEN {
            return Ok(None);
        }
        let held = self.raw.bytes().len();
        self.was_full = held > 0 && held == self.raw.size();
        let mut source = Source { unframing: self, is_stale: false };
        let count = buffer.read_with(size, &mut source)?;
        let is_stale = source.is_stale;
        if is_stale {
            let Text { header, passed, .. } = &self.frames.text;
            if let Some(start) = buffer.bytes().len().checked_sub(*passed) {
                buffer.overwrite(start, header);
            }
        }
        Ok((count > 0 || is_stale).then_some(count))
    }

    /// Whether something has begun and not ended.
    pub fn is_amid(&self) -> bool {
        let Frames { left, in_message, subprotocol, .. } = &self.frames;
        let is_text = *subprotocol == Subprotocol::Json;
        !self.raw.bytes().is_empty() || *left > 0 || (is_text && *in_message)
    }

    /// Forgets the rest of a message that is the frame that a session has begun to read; false
    /// where messages are no frames.
    pub fn skip_message(&mut self) -> bool {
        let Frames { subprotocol, in_message, in_frame, text, .. } = &mut self.frames;
        if *subprotocol == Subprotocol::Json && (*in_message || *in_frame) {
            (text.is_skipped, text.given, text.is_stale) = (true, HEADER_LEN, false);
        }
        *subprotocol == Subprotocol::Json
    }

    /// What the last ping has said, once.
    pub fn take_pong(&mut self) -> Option<Vec<u8>> {
        self.frames.pong.take()
    }

    /// The answer to the end, if it has come: the code, and whether the peer has ended the
    /// connection as one does.
    pub fn ended(&self) -> Option<(Option<u16>, bool)> {
        match self.frames.end? {
            End::Closed(close) => Some((close.code, true)),
            End::Broken(close) => Some((close.code, false)),
        }
    }

    /// The close frame that answers the end.
    pub(super) fn close(&self) -> Option<Close> {
        match self.frames.end? {
            End::Closed(close) | End::Broken(close) => Some(close),
        }
    }
}

/// The bytes of our protocol.
struct Source<'a> {
    unframing: &'a mut Unframing,
    is_stale: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Unframing { raw, frames, .. } = self.unframing;
        let step = frames.step(raw.bytes(), out);
        raw.take(step.read);
        self.is_stale = step.is_stale;
        Ok(step.written)
    }
}

impl Frames {
    /// Goes on until one of the two is used up, or a message of fragments has ended.
    fn step(&mut self, raw: &[u8], out: &mut [u8]) -> Step {
        let mut step = Step::default();
        let end = match self.end {
            None => self.try_step(raw, out, &mut step).err(),
            end => end,
        };
        if end.is_some() {
            self.end = end;
            // What follows is not read, and what was begun is never whole.
            step.read = raw.len();
            if self.text.is_stale {
                self.text.announce(false);
            }
        }
        step.is_stale = mem::take(&mut self.text.is_stale);
        step
    }

    fn try_step(&mut self, raw: &[u8], out: &mut [u8], step: &mut Step) -> Result<(), End> {
        loop {
            if !self.text.give_header(out, step) {
                return Ok(());
            }
            if self.in_frame {
                self.payload(raw, out, step).map_err(End::Broken)?;
                if self.left > 0 {
                    return Ok(());
                }
                (self.in_frame, self.in_message) = (false, !self.is_final);
                // The next message has a header of its own.
                if self.is_final && self.text.is_stale {
                    return Ok(());
                }
            }
            let rest = &raw[step.read..];
            let head = Head::parse(rest).map_err(End::Broken)?;
            let Some((head, length)) = head else { return Ok(()) };
            if head.opcode.is_control() {
                let end = length + head.length as usize;
                let Some(masked) = rest.get(length..end) else { return Ok(()) };
                self.control(&head, masked)?;
                step.read += end;
            } else {
                self.begin(&head).map_err(End::Broken)?;
                step.read += length;
            }
        }
    }

    fn control(&mut self, head: &Head, masked: &[u8]) -> Result<(), End> {
        let mut payload = vec![0; masked.len()];
        unmask(masked, &mut payload, head.mask, 0);
        match head.opcode {
            Opcode::Ping => self.pong = Some(payload),
            Opcode::Close => {
                let close = Close::of_peer(&payload).map_err(End::Broken)?;
                return Err(End::Closed(close));
            }
            _ => {}
        }
        Ok(())
    }

    /// Begins a frame of data.
    fn begin(&mut self, head: &Head) -> Result<(), Close> {
        match (head.opcode, self.in_message, self.subprotocol) {
            (Opcode::Continuation, false, _) => {
                return Err(Close::protocol_error("a continuation of nothing"));
            }
            (Opcode::Continuation, true, _) => {}
            (_, true, _) => {
                return Err(Close::protocol_error("a message within another"));
            }
            (Opcode::Text, _, Subprotocol::Native) => {
                return Err(Close::unsupported("babelmq has binary messages"));
            }
            (Opcode::Text, _, Subprotocol::Json) => {
                self.text = Text { given: HEADER_LEN, ..Text::default() };
            }
            (_, _, Subprotocol::Native) => {}
            (_, _, Subprotocol::Json) => {
                return Err(Close::unsupported("babelmq.json has text messages"));
            }
        }
        (self.in_frame, self.in_message) = (true, true);
        let Head { mask, length, is_final, .. } = *head;
        (self.mask, self.at, self.left, self.is_final) = (mask, 0, length, is_final);
        if self.subprotocol == Subprotocol::Json {
            let text = &mut self.text;
            text.length = text.length.saturating_add(length);
            if text.length > u64::from(u32::MAX) {
                return Err(Close::too_big());
            }
            if head.opcode == Opcode::Text {
                text.given = 0;
            } else {
                text.is_stale = !text.is_skipped;
            }
            text.announce(is_final);
        }
        Ok(())
    }

    /// Passes payload on.
    fn payload(&mut self, raw: &[u8], out: &mut [u8], step: &mut Step) -> Result<(), Close> {
        let from = &raw[step.read..];
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let mut count = from.len().min(most);
        let is_text = self.subprotocol == Subprotocol::Json;
        if !(is_text && self.text.is_skipped) {
            let to = &mut out[step.written..];
            count = count.min(to.len());
            let to = &mut to[..count];
            unmask(&from[..count], to, self.mask, self.at);
            if is_text {
                let is_last = self.is_final && count == most;
                let utf8 = &mut self.text.utf8;
                if !utf8.take(to) || (is_last && !utf8.is_whole()) {
                    return Err(Close::not_utf8());
                }
                self.text.passed += count;
            }
            step.written += count;
        }
        step.read += count;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(())
    }
}

impl Text {
    /// Says how long the message is, as far as that is known.
    fn announce(&mut self, is_whole: bool) {
        let length = self.length + u64::from(!is_whole);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.header = Header { format: Format::Json, length }.to_bytes();
    }

    /// Gives as much of the header as there is room for; returns whether that is all.
    fn give_header(&mut self, out: &mut [u8], step: &mut Step) -> bool {
        let rest = &self.header[self.given..];
        let room = &mut out[step.written..];
        let count = rest.len().min(room.len());
        room[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        self.passed += count;
        step.written += count;
        self.given == HEADER_LEN
    }
}
