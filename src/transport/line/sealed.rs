//! A connection that seals and splits its bytes as TLS does, so that tests find what takes a read
//! for a frame, or a write that was accepted for one that was sent.
//!
//! A record is two bytes of length and so many bytes, each of them changed. No secret is kept.

use std::io::{self, IoSlice};

use super::{
    Arrived, Incoming, Line, Outgoing, Pushed, Sealing as OutgoingText, Wait, arrived, send,
};
use crate::protocol::FrameBuffer;
use crate::transport::net::Socket;

/// Bytes of plain text in a record, at most: fewer than most frames have.
const RECORD: usize = 100;
/// Bytes of a record that say how long it is.
const HEAD: usize = 2;
/// Bytes that are read from the socket at once.
const READ: usize = 1_500;

/// The bytes that were read and not asked for yet.
#[derive(Debug, Default)]
pub(super) struct Opening(Unsealed);

/// Records that are opened.
#[derive(Debug, Default)]
pub(in crate::transport) struct Unsealed {
    /// Less than a record.
    sealed: Vec<u8>,
    pub(in crate::transport) plain: Vec<u8>,
}

/// The bytes that are sealed and not sent.
#[derive(Debug, Default)]
pub(super) struct Sealing {
    left: Vec<u8>,
    /// Every other write that does not wait finds no room.
    has_balked: bool,
}

impl Line {
    /// A connection that is sealed.
    pub(in crate::transport) fn sealed(socket: Socket) -> (Line, Incoming, Outgoing) {
        let (line, mut incoming, mut outgoing) = Line::plain(socket);
        incoming.text = super::Opening::Sealed(Opening::default());
        outgoing.text = OutgoingText::Sealed(Sealing::default());
        (line, incoming, outgoing)
    }
}

impl Opening {
    pub(super) fn is_amid(&self) -> bool {
        !self.0.sealed.is_empty() || !self.0.plain.is_empty()
    }

    pub(super) fn read(
        &mut self,
        socket: &Socket,
        buffer: &mut FrameBuffer,
        size: usize,
    ) -> io::Result<Arrived> {
        let Opening(unsealed) = self;
        if unsealed.plain.is_empty() {
            let mut read = [0; READ];
            let count = match arrived(|| io::Read::read(&mut &*socket, &mut read))? {
                Arrived::Bytes(count) => count,
                other => return Ok(other),
            };
            unsealed.take_in(&read[..count]);
        }
        if unsealed.plain.is_empty() {
            return Ok(Arrived::Progress);
        }
        let count = buffer.read_with(size, &mut &unsealed.plain[..])?;
        unsealed.plain.drain(..count);
        Ok(Arrived::Bytes(count))
    }
}

impl Unsealed {
    pub(in crate::transport) fn take_in(&mut self, sealed: &[u8]) {
        self.sealed.extend_from_slice(sealed);
        let mut start = 0;
        while let Some(head) = self.sealed[start..].first_chunk::<HEAD>() {
            let end = start + HEAD + usize::from(u16::from_be_bytes(*head));
            let Some(record) = self.sealed.get(start + HEAD..end) else { break };
            self.plain.extend(record.iter().copied().map(change));
            start = end;
        }
        self.sealed.drain(..start);
    }
}

impl Sealing {
    pub(super) fn is_settled(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn push(
        &mut self,
        socket: &Socket,
        pieces: &[IoSlice<'_>],
        wait: Wait,
    ) -> io::Result<Pushed> {
        let mut taken = 0;
        if self.left.is_empty() {
            let plain: Vec<u8> =
                pieces.iter().flat_map(|piece| piece.iter().copied()).take(16 * RECORD).collect();
            taken = plain.len();
            seal(&plain, &mut self.left);
        }
        if wait == Wait::No {
            self.has_balked = !self.has_balked;
            if self.has_balked {
                return Ok(Pushed { taken, sent: 0 });
            }
        }
        // A few bytes less, so that records are sent in parts.
        let some = self.left.len().div_ceil(2).max(HEAD);
        let sent = send(socket, &[IoSlice::new(&self.left[..some.min(self.left.len())])], wait)?;
        self.left.drain(..sent);
        Ok(Pushed { taken, sent })
    }
}

fn change(byte: u8) -> u8 {
    byte ^ 0x5a
}

/// Appends records that hold `plain`.
pub(in crate::transport) fn seal(plain: &[u8], out: &mut Vec<u8>) {
    for record in plain.chunks(RECORD) {
        out.extend_from_slice(&(record.len() as u16).to_be_bytes());
        out.extend(record.iter().copied().map(change));
    }
}
