//! Bytes of our protocol to messages of WebSocket.

use std::sync::Arc;

use super::Ends;
use super::frame::{Close, Head, LONGEST_HEAD, Opcode};
use crate::http::Subprotocol;
use crate::transport::line::framing::{Frames, TOGETHER, WORTH_A_PIECE};
use crate::transport::line::native::{NativeHeader, Pieces};

/// Messages, and what the session wants to be answered between them.
#[derive(Debug)]
pub(in crate::transport::line) struct Messages {
    subprotocol: Subprotocol,
    ends: Arc<Ends>,
    header: NativeHeader,
    /// Bytes of the message that are to come.
    left: usize,
    has_closed: bool,
}

impl Messages {
    pub(super) fn new(subprotocol: Subprotocol, ends: Arc<Ends>) -> Messages {
        Messages { subprotocol, ends, header: NativeHeader::default(), left: 0, has_closed: false }
    }

    /// Says how the connection is to end, unless that is known already.
    pub(in crate::transport::line) fn end_with(&self, close: Close) {
        self.ends.end_with(close);
    }

    /// Each frame in JSON is a text message. Short ones are put together.
    fn texts(&mut self, out: &mut Vec<u8>, pieces: &mut Pieces<'_>) -> usize {
        while out.len() < TOGETHER - LONGEST_HEAD {
            if self.left == 0 {
                let Some(length) = self.header.take(pieces) else { return 0 };
                Head::put(out, Opcode::Text, length);
                self.left = length;
            }
            let first = pieces.first();
            let count = first.len().min(self.left);
            if count >= WORTH_A_PIECE || count > TOGETHER - out.len() {
                return self.left.min(pieces.left());
            }
            if count == 0 && self.left > 0 {
                return 0;
            }
            out.extend_from_slice(&first[..count]);
            pieces.take(count);
            self.left -= count;
        }
        0
    }
}

impl Frames for Messages {
    fn fill(&mut self, out: &mut Vec<u8>, pieces: &mut Pieces<'_>) -> usize {
        if self.has_closed {
            return 0;
        }
        if self.left == 0
            && let Some(pong) = self.ends.take_pong()
        {
            Head::put(out, Opcode::Pong, pong.len());
            out.extend_from_slice(&pong);
        }
        match self.subprotocol {
            Subprotocol::Native => {
                let length = if self.left == 0 { pieces.left() } else { 0 };
                if length > 0 {
                    Head::put(out, Opcode::Binary, length);
                    self.left = length;
                }
                self.left.min(pieces.left())
            }
            Subprotocol::Json => {
                out.reserve(pieces.left().min(TOGETHER) + LONGEST_HEAD);
                self.texts(out, pieces)
            }
        }
    }

    fn note_passed(&mut self, count: usize) {
        self.left -= count;
    }

    fn is_settled(&self) -> bool {
        self.left > 0 || self.has_closed || !self.ends.has_pong()
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.left == 0 && !self.has_closed {
            self.has_closed = true;
            let payload = self.ends.close().unwrap_or(Close::NORMAL).payload();
            Head::put(out, Opcode::Close, payload.len());
            out.extend_from_slice(&payload);
        }
    }
}
