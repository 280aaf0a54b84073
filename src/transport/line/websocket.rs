//! A connection whose frames of our protocol lie in messages of WebSocket (RFC 6455).
//!
//! The session unmasks and unpacks what its client sends, and answers what belongs to WebSocket
//! itself only by way of the writer: the answer to the last ping, and the code that the connection
//! ends with, wait where both can see them until the writer is between two messages. A writer that
//! has nothing else to write is woken for it by way of the dispatcher.

mod frame;
mod messages;
#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
mod unframe;
mod utf8;

use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;

use super::framing::{Framing, TOGETHER};
use super::{Arrived, Opening, Outgoing};
use crate::broker::sync::Mutex;
use crate::http::Subprotocol;
use crate::protocol::FrameBuffer;
use crate::transport::net::Socket;
pub(in crate::transport) use frame::Close;
pub(super) use messages::Messages;
pub use unframe::Unframing;

/// Bytes of memory that a connection takes with it, at most: a read, and what is put together for a
/// write.
pub(in crate::transport) const UNFRAMED: usize = unframe::READ + TOGETHER + (1 << 10);

/// The reading half.
#[derive(Debug)]
pub(super) struct Reading {
    below: Opening,
    unframing: Unframing,
    ends: Arc<Ends>,
    /// The writer may not know of the answer to a ping.
    has_answer: bool,
}

/// What the reading half leaves for the writing half.
#[derive(Debug, Default)]
struct Ends(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    /// The payload of the last ping that was not answered: an older one need not be (RFC 6455
    /// §5.5.3).
    pong: Option<Vec<u8>>,
    /// The writer was called for it.
    is_called: bool,
    /// How the connection ends, as soon as that is known.
    close: Option<Close>,
}

impl Ends {
    fn take_pong(&self) -> Option<Vec<u8>> {
        let mut answers = self.0.lock();
        answers.is_called = false;
        answers.pong.take()
    }

    fn has_pong(&self) -> bool {
        self.0.lock().pong.is_some()
    }

    fn close(&self) -> Option<Close> {
        self.0.lock().close
    }

    fn end_with(&self, close: Close) {
        self.0.lock().close.get_or_insert(close);
    }
}

impl Reading {
    /// The two halves of a connection, behind the handshake. `first` is what was read behind it.
    pub(super) fn begin(
        below: Opening,
        outgoing: &mut Outgoing,
        subprotocol: Subprotocol,
        first: FrameBuffer,
    ) -> Reading {
        let ends = Arc::new(Ends::default());
        let messages = Messages::new(subprotocol, ends.clone());
        outgoing.wrap(|below| super::Sealing::WebSocket(Box::new(Framing::new(below, messages))));
        let unframing = Unframing::new(subprotocol, first);
        Reading { below, unframing, ends, has_answer: false }
    }

    pub(super) fn below(&self) -> &Opening {
        &self.below
    }

    pub(super) fn is_amid(&self) -> bool {
        self.unframing.is_amid() || self.below.is_amid()
    }

    /// See [`Incoming::read`](super::Incoming::read).
    pub(super) fn read(
        &mut self,
        socket: &Socket,
        buffer: &mut FrameBuffer,
        size: usize,
    ) -> io::Result<Arrived> {
        if let Some(arrived) = self.give(buffer, size)? {
            return Ok(arrived);
        }
        let (raw, room) = self.unframing.room();
        match self.below.read(socket, raw, room)? {
            Arrived::Bytes(_) => match self.give(buffer, size)? {
                Some(Arrived::Bytes(count)) => Ok(self.read_on(socket, buffer, size, count)),
                arrived => Ok(arrived.unwrap_or(Arrived::Progress)),
            },
            other => {
                // It may be silent for long.
                self.unframing.release();
                Ok(other)
            }
        }
    }

    /// Reads on behind the first `count` bytes while more is there, so that the session takes in as
    /// much at once as where nothing is unpacked. The end, and what is wrong, is found again by the
    /// next read.
    fn read_on(
        &mut self,
        socket: &Socket,
        buffer: &mut FrameBuffer,
        size: usize,
        mut count: usize,
    ) -> Arrived {
        // Who sends little but pings does not keep the session here.
        for _ in 0..size / unframe::READ {
            if !self.unframing.may_read_on() {
                break;
            }
            let (raw, room) = self.unframing.room();
            let Ok(Arrived::Bytes(_)) = self.below.read_at_once(socket, raw, room) else { break };
            let Ok(Some(Arrived::Bytes(more))) = self.give(buffer, size) else { break };
            count += more;
        }
        Arrived::Bytes(count)
    }

    /// Gives what was read, and takes note of what is to be answered.
    fn give(&mut self, buffer: &mut FrameBuffer, size: usize) -> io::Result<Option<Arrived>> {
        let count = self.unframing.give(buffer, size)?;
        if let Some(pong) = self.unframing.take_pong() {
            self.ends.0.lock().pong = Some(pong);
            self.has_answer = true;
        }
        if count.is_some() {
            return Ok(count.map(|count| match count {
                // A header has changed.
                0 => Arrived::Progress,
                count => Arrived::Bytes(count),
            }));
        }
        let Some(close) = self.unframing.close() else { return Ok(None) };
        self.end_with(close);
        match self.unframing.ended() {
            Some((_, true)) => Ok(Some(Arrived::End)),
            _ => Err(io::Error::new(ErrorKind::InvalidData, close.reason())),
        }
    }

    /// Says how the connection is to end, unless it ends already.
    pub(super) fn end_with(&self, close: Close) {
        self.ends.end_with(close);
    }

    /// See [`Incoming::has_answer`](super::Incoming::has_answer).
    pub(super) fn has_answer(&mut self) -> bool {
        mem::take(&mut self.has_answer)
    }

    /// See [`Incoming::may_call`](super::Incoming::may_call).
    pub(super) fn may_call(&self) -> bool {
        let mut answers = self.ends.0.lock();
        answers.pong.is_some() && !mem::replace(&mut answers.is_called, true)
    }

    /// See [`Incoming::skip_message`](super::Incoming::skip_message).
    pub(super) fn skip_message(&mut self) -> bool {
        self.unframing.skip_message()
    }
}
