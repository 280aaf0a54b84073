//! A connection whose frames are sent as events of a `text/event-stream` (Server-Sent Events, the
//! HTML standard, "9.2"): each is one frame in JSON.

mod event_id;
#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use memchr::memchr2;

use event_id::EventId;

use super::framing::{Frames, TOGETHER, WORTH_A_PIECE};
use super::native::{NativeHeader, Pieces};
use super::{Arrived, Opening};
use crate::broker::sync::{AtomicBool, Instant};
use crate::protocol::FrameBuffer;
use crate::transport::net::Socket;

/// What only a frame begins with in which the broker says what is wrong.
const REFUSAL: &[u8] = br#"{"command":"error""#;
/// Bytes that an event has besides its frame, at most.
const AROUND: usize = 160;
/// Bytes that are read at once of what nobody wants.
const READ: usize = 4 << 10;

/// An event that is none, which keeps those on the way from taking a silent stream for one that has
/// ended.
const COMMENT: &[u8] = b":\n\n";

/// The events.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// A comment is due.
    is_silent: Arc<AtomicBool>,
    header: NativeHeader,
    /// Bytes of the frame that are to come.
    left: usize,
    state: State,
    /// The beginning of the frame, until its kind is known.
    begun: Vec<u8>,
    /// What the event is called, if the frame says so.
    id: EventId,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between two events.
    #[default]
    Between,
    /// The frame's kind is not known.
    Beginning,
    /// Within the frame.
    Within,
}

impl Events {
    /// Puts together the beginning of an event, when the frame's kind is known.
    fn begin(&mut self, out: &mut Vec<u8>, pieces: &mut Pieces<'_>) -> bool {
        loop {
            let first = pieces.first();
            let count = first.len().min(self.left).min(REFUSAL.len() - self.begun.len());
            if count == 0 {
                break;
            }
            self.begun.extend_from_slice(&first[..count]);
            pieces.take(count);
            self.left -= count;
        }
        if self.begun.len() < REFUSAL.len() && self.left > 0 {
            return false;
        }
        if self.begun == REFUSAL {
            out.extend_from_slice(b"event: refusal\n");
        }
        out.extend_from_slice(b"data: ");
        put_line(out, &self.begun);
        self.id = EventId::default();
        self.id.look(&self.begun);
        self.begun.clear();
        self.state = State::Within;
        true
    }
}

impl Frames for Events {
    fn fill(&mut self, out: &mut Vec<u8>, pieces: &mut Pieces<'_>) -> usize {
        while out.len() < TOGETHER - AROUND - REFUSAL.len() {
            match self.state {
                State::Between if self.is_silent.swap(false, Ordering::Relaxed) => {
                    out.extend_from_slice(COMMENT);
                }
                State::Between => {
                    let Some(length) = self.header.take(pieces) else { return 0 };
                    self.left = length;
                    self.state = State::Beginning;
                }
                State::Beginning => {
                    if !self.begin(out, pieces) {
                        return 0;
                    }
                }
                State::Within if self.left == 0 => {
                    out.push(b'\n');
                    if let Some(id) = self.id.found() {
                        out.extend_from_slice(b"id: ");
                        out.extend_from_slice(id);
                        out.push(b'\n');
                    }
                    out.push(b'\n');
                    self.state = State::Between;
                }
                State::Within => {
                    let first = pieces.first();
                    let some = &first[..first.len().min(self.left)];
                    // The ends of lines are white space of the JSON, and would end the event's.
                    let line = memchr2(b'\n', b'\r', some).unwrap_or(some.len());
                    if line >= WORTH_A_PIECE && !self.id.is_sought() {
                        return line;
                    }
                    let room = TOGETHER - AROUND - out.len().min(TOGETHER - AROUND);
                    let some = &some[..some.len().min(room)];
                    if some.is_empty() {
                        return 0;
                    }
                    put_line(out, some);
                    self.id.look(some);
                    pieces.take(some.len());
                    self.left -= some.len();
                }
            }
        }
        0
    }

    fn note_passed(&mut self, count: usize) {
        self.left -= count;
    }

    fn is_settled(&self) -> bool {
        match self.state {
            State::Between => !self.is_silent.load(Ordering::Relaxed),
            State::Beginning => true,
            State::Within => self.left > 0,
        }
    }

    fn finish(&mut self, _: &mut Vec<u8>) {}
}

/// Appends text without ends of lines.
fn put_line(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(text);
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// The reading half of a connection whose client has nothing more to say.
#[derive(Debug)]
pub(super) struct Deaf {
    below: Opening,
    heard: FrameBuffer,
    is_silent: Arc<AtomicBool>,
    /// How often there is a comment, and when the next is due.
    every: Duration,
    due: Instant,
}

/// The two halves, with a comment `every` so often.
pub(super) fn begin(below: Opening, every: Duration) -> (Deaf, Events) {
    let events = Events::default();
    let is_silent = events.is_silent.clone();
    let (heard, due) = (FrameBuffer::new(), Instant::now() + every);
    (Deaf { below, heard, is_silent, every, due }, events)
}

impl Deaf {
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Leaves a comment to the writer, if it is time.
    pub(super) fn keep_alive(&mut self, now: Instant) {
        if self.due <= now {
            self.due = now + self.every;
            self.is_silent.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn below(&self) -> &Opening {
        &self.below
    }

    /// Reads, and forgets it.
    pub(super) fn read(&mut self, socket: &Socket) -> io::Result<Arrived> {
        let arrived = self.below.read(socket, &mut self.heard, READ)?;
        self.heard.take(self.heard.bytes().len());
        self.heard.release();
        Ok(match arrived {
            Arrived::Bytes(_) => Arrived::Progress,
            other => other,
        })
    }
}
