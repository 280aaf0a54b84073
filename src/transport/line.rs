//! One connection in three parts: a [`Line`] for whoever may only look at it or shut it down,
//! [`Incoming`] for the session, which reads, and [`Outgoing`] for the writer. The last two are
//! values that move and cannot be cloned, so that only the session reads and only the writer
//! writes.
//!
//! The bytes that are read and written are plain text. Where a connection seals it, that happens
//! here, and its users see no more of it than that a read may bring nothing yet and that a write
//! may leave something behind.

#[cfg(test)]
mod sealed;
#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
mod tls;

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use super::handshakes::Handshakes;
use super::net::{self, Registry, Socket, Token};
use crate::broker::sync::Instant;
use crate::protocol::FrameBuffer;
#[cfg(test)]
pub(super) use sealed::Unsealed;
#[cfg(all(test, shuttle))]
pub(super) use sealed::seal;
pub(super) use tls::SEALED;

/// Pieces that the kernel takes with one call.
const MOST_AT_ONCE: usize = 1_024;
/// The shortest time that a read or a write waits. The system takes times in microseconds, and none
/// of them for no bound at all.
const SHORTEST_WAIT: Duration = Duration::from_micros(1);
/// Bytes that one read discards of what nobody wants.
const DISCARDED: usize = 4_096;
/// Reads of it, each time that there is something.
const MOST_DISCARDS: usize = 16;

/// A connection, for whoever looks at it or shuts it down. A TCP socket and a Unix socket are one
/// to it.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<Socket>);

/// The end that is read from.
#[derive(Debug)]
pub(super) struct Incoming {
    line: Line,
    text: Opening,
}

/// The end that is written to.
#[derive(Debug)]
pub(super) struct Outgoing {
    line: Line,
    text: Sealing,
}

/// How what arrives becomes plain text.
#[derive(Debug)]
enum Opening {
    Plain,
    Tls(tls::Opening),
    #[cfg(test)]
    Sealed(sealed::Opening),
}

/// How plain text becomes what is sent.
#[derive(Debug)]
enum Sealing {
    Plain,
    Tls(tls::Sealing),
    #[cfg(test)]
    Sealed(sealed::Sealing),
}

/// The outcome of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// So many bytes.
    Bytes(usize),
    /// Something, but no plain text yet.
    Progress,
    /// Nothing for as long as one was to wait.
    Silent,
    /// The peer sends nothing any more.
    End,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pushed {
    /// Bytes of the pieces that need not be pushed again.
    pub(super) taken: usize,
    /// Bytes that the system has taken.
    pub(super) sent: usize,
}

/// Whether a write waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until the system takes something, or for a [tick](Outgoing::set_tick).
    Tick,
    /// No.
    No,
}

impl Line {
    /// A connection of plain text.
    pub(super) fn plain(socket: Socket) -> (Line, Incoming, Outgoing) {
        let line = Line(Arc::new(socket));
        let incoming = Incoming { line: line.clone(), text: Opening::Plain };
        let outgoing = Outgoing { line: line.clone(), text: Sealing::Plain };
        (line, incoming, outgoing)
    }

    /// Ends a direction of it, or both. One that is gone already need not be shut down.
    pub(super) fn shut_down(&self, how: Shutdown) {
        let _ = self.0.shutdown(how);
    }

    /// Whether the peer is not there any more. One that has sent its last may still read, and is
    /// given up only in a crowd: whoever has left for good looks the same.
    pub(super) fn is_gone(&self, is_crowded: bool) -> bool {
        net::is_over(&self.0, is_crowded)
    }

    /// Reports to `registry` when there is something to read, at once if there is already.
    ///
    /// # Errors
    /// Any error of the system.
    pub(super) fn watch(&self, registry: &Registry, token: Token) -> io::Result<()> {
        net::watch(&self.0, registry, token)
    }

    /// Reports nothing any more.
    pub(super) fn watch_no_more(&self, registry: &Registry) {
        // A socket that cannot be given back is closed soon, and the system forgets it then.
        let _ = net::watch_no_more(&self.0, registry);
    }
}

impl Incoming {
    /// Whom it reads from.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Says how long a read waits.
    ///
    /// # Errors
    /// Any error of the system.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.line.0.set_read_timeout(Some(patience.max(SHORTEST_WAIT)))
    }

    /// Whether something has begun that brings plain text when it is whole, so that the peer is not
    /// idle.
    pub(super) fn is_amid(&self) -> bool {
        match &self.text {
            Opening::Plain => false,
            Opening::Tls(opening) => opening.is_amid(),
            #[cfg(test)]
            Opening::Sealed(opening) => opening.is_amid(),
        }
    }

    /// Does what comes before the first byte of plain text, where a connection seals. It may change
    /// how long reads and writes wait. Returns whether there was something to do.
    ///
    /// # Errors
    /// Any error of the system, and why the peer cannot be talked to.
    pub(super) fn shake_hands(
        &mut self,
        outgoing: &mut Outgoing,
        handshakes: &Handshakes,
        until: Instant,
    ) -> io::Result<bool> {
        match &mut self.text {
            Opening::Plain => Ok(false),
            Opening::Tls(opening) => opening.shake_hands(outgoing, handshakes, until),
            #[cfg(test)]
            Opening::Sealed(_) => Ok(false),
        }
    }

    /// The user's name in the certificate that the peer has shown in its handshake, if there is one
    /// and names are taken from there.
    pub(super) fn certificate_name(&self) -> Option<&str> {
        match &self.text {
            Opening::Plain => None,
            Opening::Tls(opening) => opening.certificate_name(),
            #[cfg(test)]
            Opening::Sealed(_) => None,
        }
    }

    /// Reads once into a buffer of `size` bytes.
    ///
    /// # Errors
    /// Any error of the system; `TimedOut` where the keepalive found nobody.
    pub(super) fn read(&mut self, buffer: &mut FrameBuffer, size: usize) -> io::Result<Arrived> {
        match &mut self.text {
            Opening::Plain => arrived(|| buffer.read_with(size, &mut &*self.line.0)),
            Opening::Tls(opening) => opening.read(&self.line.0, buffer, size),
            #[cfg(test)]
            Opening::Sealed(opening) => opening.read(&self.line.0, buffer, size),
        }
    }

    /// Reads some of what nobody wants, without waiting for it. Returns whether more may come.
    pub(super) fn discard_some(&mut self) -> bool {
        let mut discarded = [0; DISCARDED];
        for _ in 0..MOST_DISCARDS {
            match net::receive_at_once(&self.line.0, &mut discarded) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        // It does not stop sending.
        false
    }

    /// Reads what nobody wants for a while: so that it does not turn the end of the connection into
    /// a reset that destroys what the peer was told last, or so that the peer waits. Returns
    /// whether the connection goes on.
    pub(super) fn discard_for(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut discarded = [0; DISCARDED];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.set_patience(left).is_err() {
                return true;
            }
            match arrived(|| io::Read::read(&mut &*self.line.0, &mut discarded)) {
                Ok(Arrived::Bytes(_) | Arrived::Progress) => {}
                Ok(Arrived::Silent) => return true,
                Ok(Arrived::End) | Err(_) => return false,
            }
        }
    }

    /// Reads what nobody wants until the peer sends nothing any more.
    ///
    /// # Errors
    /// Any error of the system.
    pub(super) fn discard(&mut self) -> io::Result<()> {
        loop {
            match io::copy(&mut &*self.line.0, &mut io::sink()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read.map(drop),
            }
        }
    }
}

/// The outcome of a read of a socket.
fn arrived(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<Arrived> {
    loop {
        return match read() {
            Ok(0) => Ok(Arrived::End),
            Ok(count) => Ok(Arrived::Bytes(count)),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // The read timed out. (A connection whose keepalive found nobody says `TimedOut`.)
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Arrived::Silent),
            Err(error) => Err(error),
        };
    }
}

impl Outgoing {
    /// Whom it writes to.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Says how long a write that waits does so.
    ///
    /// # Errors
    /// Any error of the system.
    pub(super) fn set_tick(&self, tick: Duration) -> io::Result<()> {
        self.line.0.set_write_timeout(Some(tick.max(SHORTEST_WAIT)))
    }

    /// Writes some of the pieces, or what was left behind before.
    ///
    /// # Errors
    /// Any error of the system; that it takes nothing now is none.
    pub(super) fn push(&mut self, pieces: &[IoSlice<'_>], wait: Wait) -> io::Result<Pushed> {
        let pieces = &pieces[..pieces.len().min(MOST_AT_ONCE)];
        match &mut self.text {
            Sealing::Plain => {
                let sent = send(&self.line.0, pieces, wait)?;
                Ok(Pushed { taken: sent, sent })
            }
            Sealing::Tls(sealing) => sealing.push(&self.line.0, pieces, wait),
            #[cfg(test)]
            Sealing::Sealed(sealing) => sealing.push(&self.line.0, pieces, wait),
        }
    }

    /// Whether everything that was taken is with the system, so that nothing more is to be pushed.
    pub(super) fn is_settled(&self) -> bool {
        match &self.text {
            Sealing::Plain => true,
            Sealing::Tls(sealing) => sealing.is_settled(),
            #[cfg(test)]
            Sealing::Sealed(sealing) => sealing.is_settled(),
        }
    }

    /// Says that nothing follows and shuts this direction down, after the last push.
    pub(super) fn end(&mut self) {
        if let Sealing::Tls(sealing) = &mut self.text {
            sealing.end(&self.line.0);
        }
        self.line.shut_down(Shutdown::Write);
    }
}

/// Gives pieces to a socket. Returns how many bytes it took.
fn send(socket: &Socket, pieces: &[IoSlice<'_>], wait: Wait) -> io::Result<usize> {
    match net::send(socket, pieces, wait) {
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        Err(error) => match error.kind() {
            ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(0),
            _ => Err(error),
        },
        sent => sent,
    }
}
