//! A connection that seals its bytes by TLS 1.2 or 1.3 (RFC 5246, RFC 8446).
//!
//! The session opens records and the writer seals them, both with the one state of the connection,
//! which is locked for that and not while the system reads or writes. The session answers what
//! belongs to TLS itself (a change of keys, say) only by way of the writer: what is to be sent
//! waits in the state until the writer takes it, before anything that it seals.

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;

use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};

use super::{Arrived, Incoming, Line, Outgoing, Pushed, SHORTEST_WAIT, Wait, arrived, send};
use crate::broker::sync::{Instant, Mutex};
use crate::protocol::FrameBuffer;
use crate::transport::handshakes::Handshakes;
use crate::transport::net::Socket;
use crate::transport::x509::{UserFrom, name_of};

/// Bytes of memory that a connection takes with it, at most: a read, the record of it that is being
/// opened and its plain text, and what is sealed of a write, a part of it twice.
pub(in crate::transport) const SEALED: usize = 4 * READ;

/// Bytes that are read from the socket at once, and that are sealed at once. The longest record
/// has 16 KiB and a little more (RFC 8446 §5.2).
const READ: usize = 32 << 10;
/// Records are opened until there is so much plain text.
const ENOUGH: usize = 8 << 10;
/// Bytes of a record that say what it is and how long.
const HEAD: usize = 5;
/// Bytes of a record behind its head, at most (RFC 5246 §6.2.3); a head that says more is none.
const LONGEST: usize = (16 << 10) + 2_048;
/// Bytes that a record has besides its plain text, at least: the head and a tag.
const LEAST_ADDED: usize = HEAD + 16;

type State = Arc<Mutex<ServerConnection>>;

/// The bytes that were read and not asked for yet.
#[derive(Debug)]
pub(super) struct Opening {
    state: State,
    user_from: UserFrom,
    /// The user's name in the certificate of the peer.
    certificate_name: Option<String>,
    /// What was read and not opened.
    sealed: FrameBuffer,
    /// Bytes of plain text that were not asked for.
    plain: usize,
    /// The peer has said that nothing follows.
    is_over: bool,
    /// Why nothing is opened any more; said when the plain text before it was asked for.
    failed: Option<io::Error>,
}

/// The bytes that are sealed and not sent.
#[derive(Debug)]
pub(super) struct Sealing {
    state: State,
    /// `left[start..]` is not sent.
    left: Vec<u8>,
    start: usize,
}

impl Line {
    /// A connection that is sealed as `config` says. It begins with a handshake, and what
    /// `user_from` says of the client's certificate is known then.
    ///
    /// # Errors
    /// What is wrong with `config`.
    pub(in crate::transport) fn tls(
        socket: Socket,
        config: Arc<ServerConfig>,
        user_from: UserFrom,
    ) -> io::Result<(Line, Incoming, Outgoing)> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(READ));
        let state = Arc::new(Mutex::new(connection));
        let (line, mut incoming, mut outgoing) = Line::plain(socket);
        let (mut sealed, left) = (FrameBuffer::new(), Vec::new());
        sealed.grow_to(READ);
        let opening = Opening {
            state: state.clone(),
            user_from,
            certificate_name: None,
            sealed,
            plain: 0,
            is_over: false,
            failed: None,
        };
        incoming.text = super::Opening::Tls(Box::new(opening));
        outgoing.text = super::Sealing::Tls(Box::new(Sealing { state, left, start: 0 }));
        Ok((line, incoming, outgoing))
    }
}

impl Opening {
    pub(super) fn is_amid(&self) -> bool {
        self.plain > 0 || !self.sealed.bytes().is_empty()
    }

    /// Reads what the peer has to say before the connection can be used, and answers it. Returns
    /// whether there was something to do.
    ///
    /// # Errors
    /// Any error of the system; `InvalidData` where the peer does not speak TLS, or not as it is
    /// wanted here; `ConnectionAborted` where it is not done at `until`.
    pub(super) fn shake_hands(
        &mut self,
        outgoing: &mut Outgoing,
        handshakes: &Handshakes,
        until: Instant,
    ) -> io::Result<bool> {
        if !self.state.lock().is_handshaking() {
            return Ok(false);
        }
        let line = outgoing.line().clone();
        while self.state.lock().is_handshaking() {
            line.0.set_read_timeout(Some(time_left(until)?))?;
            let opened = match self.receive(&line.0)? {
                Arrived::End => return Err(ErrorKind::UnexpectedEof.into()),
                // Only what is whole costs time, and whoever is waited for has no turn.
                _ if whole_record(self.sealed.bytes()) == 0 => Ok(()),
                _ => {
                    let _turn = handshakes.turn(until).ok_or_else(took_too_long)?;
                    self.open()
                }
            };
            // What is wrong is told to the peer as well.
            loop {
                line.0.set_write_timeout(Some(time_left(until)?))?;
                if outgoing.push(&[], Wait::Tick)? == Pushed::default() {
                    break;
                }
            }
            opened?;
            // A peer may have sent all it has to say, and its end, with the end of the handshake.
            if self.is_over && self.state.lock().is_handshaking() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let certificate = {
            let state = self.state.lock();
            let first = state.peer_certificates().and_then(<[_]>::first);
            first.map(|certificate| certificate.to_vec())
        };
        self.certificate_name =
            certificate.and_then(|certificate| name_of(&certificate, self.user_from));
        Ok(true)
    }

    /// See [`Incoming::certificate_name`].
    pub(super) fn certificate_name(&self) -> Option<&str> {
        self.certificate_name.as_deref()
    }

    /// See [`Incoming::read`].
    pub(super) fn read(
        &mut self,
        socket: &Socket,
        buffer: &mut FrameBuffer,
        size: usize,
    ) -> io::Result<Arrived> {
        // Of what was read before, there may be whole records.
        self.open()?;
        if self.plain == 0 && !self.is_over {
            match self.receive(socket)? {
                Arrived::Bytes(_) => self.open()?,
                other => {
                    // It may be silent for long.
                    self.sealed.release();
                    return Ok(other);
                }
            }
        }
        if self.plain == 0 {
            return Ok(if self.is_over { Arrived::End } else { Arrived::Progress });
        }
        let count = buffer.read_with(size, &mut self.state.lock().reader())?;
        self.plain -= count;
        Ok(Arrived::Bytes(count))
    }

    /// Reads once from the socket. The buffer begins small and grows with what arrives: of many
    /// connections most say little, and what all of them had at once stays with the process.
    fn receive(&mut self, socket: &Socket) -> io::Result<Arrived> {
        let size = self.sealed.next_size().wanted.min(READ);
        arrived(|| self.sealed.read_with(size, &mut &*socket))
    }

    /// Opens the whole records of what was read, until there is some plain text.
    ///
    /// # Errors
    /// `InvalidData` where they are none, and there is no plain text from before.
    fn open(&mut self) -> io::Result<()> {
        while self.plain < ENOUGH && !self.is_over && self.failed.is_none() {
            let whole = whole_record(self.sealed.bytes());
            if whole == 0 {
                break;
            }
            self.failed = self.open_record(whole).err();
            self.sealed.take(whole);
        }
        if self.plain == 0 && !self.is_over {
            self.failed.take().map_or(Ok(()), Err)
        } else {
            Ok(())
        }
    }

    /// Opens the first `whole` bytes of what was read.
    fn open_record(&mut self, whole: usize) -> io::Result<()> {
        let mut record = &self.sealed.bytes()[..whole];
        let mut state = self.state.lock();
        // Behind the end nothing is taken any more.
        while !record.is_empty() && !self.is_over {
            state.read_tls(&mut record)?;
            let now = state
                .process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            (self.plain, self.is_over) = (now.plaintext_bytes_to_read(), now.peer_has_closed());
        }
        Ok(())
    }
}

impl Sealing {
    pub(super) fn is_settled(&self) -> bool {
        self.start == self.left.len()
    }

    /// Seals some of the pieces, unless something is left, and sends.
    pub(super) fn push(
        &mut self,
        socket: &Socket,
        pieces: &[IoSlice<'_>],
        wait: Wait,
    ) -> io::Result<Pushed> {
        let mut taken = 0;
        if self.is_settled() {
            self.left.clear();
            self.start = 0;
            let mut state = self.state.lock();
            // A write that takes nothing is an end to some of the traits.
            if pieces.iter().any(|piece| !piece.is_empty()) {
                taken = state.writer().write_vectored(pieces)?;
            }
            while state.wants_write() {
                state.write_tls(&mut self.left)?;
            }
            drop(state);
            // What is sealed is longer. Where it is not, there is at most an alert: keys of TLS 1.2
            // do for so many records (RFC 9325 §4.4), and then rustls ends the connection.
            if taken > 0 && self.left.len() < taken + LEAST_ADDED {
                if !self.left.is_empty() {
                    self.start = send(socket, &[IoSlice::new(&self.left)], Wait::No)?;
                }
                return Err(io::Error::new(
                    ErrorKind::ConnectionAborted,
                    "the keys of this connection are used up; TLS 1.3 would make new ones",
                ));
            }
        }
        if self.is_settled() {
            return Ok(Pushed { taken, sent: 0 });
        }
        let sent = send(socket, &[IoSlice::new(&self.left[self.start..])], wait)?;
        self.start += sent;
        if self.is_settled() {
            // Most of the time there is nothing to send.
            self.left = Vec::new();
            self.start = 0;
        }
        Ok(Pushed { taken, sent })
    }

    /// Says that nothing follows (`close_notify`), if the socket takes that at once.
    pub(super) fn end(&mut self, socket: &Socket) {
        self.state.lock().send_close_notify();
        // A peer that takes nothing is told by the end of the connection.
        while let Ok(pushed) = self.push(socket, &[], Wait::No)
            && pushed.sent > 0
        {}
    }
}

/// The time until `until`.
///
/// # Errors
/// `ConnectionAborted` where that is over.
fn time_left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(took_too_long());
    }
    Ok(left.max(SHORTEST_WAIT))
}

fn took_too_long() -> io::Error {
    io::Error::new(ErrorKind::ConnectionAborted, "it took too long")
}

/// Bytes of the record that `sealed` begins with, if it is whole. What is none is for whoever opens
/// it to refuse.
fn whole_record(sealed: &[u8]) -> usize {
    // The types of records: change_cipher_spec, alert, handshake, application_data, heartbeat. The
    // last is refused only when it is opened.
    if sealed.first().is_some_and(|kind| !(20..=24).contains(kind)) {
        return sealed.len();
    }
    let Some([_, _, _, high, low]) = sealed.first_chunk::<HEAD>() else { return 0 };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > LONGEST {
        return sealed.len();
    }
    if sealed.len() < HEAD + length { 0 } else { HEAD + length }
}
