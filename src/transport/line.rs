//! One connection in three parts: a [`Line`] for whoever may only look at it or shut it down,
//! [`Incoming`] for the session, which reads, and [`Outgoing`] for the writer. The last two are
//! values that move and cannot be cloned, so that only the session reads and only the writer
//! writes.
//!
//! The bytes that are read and written are plain text. Where a connection seals it, that happens
//! here, and its users see no more of it than that a read may bring nothing yet and that a write
//! may leave something behind. The same holds where frames of ours lie in those of another protocol:
//! a [WebSocket](websocket), or a stream of [events](events).

mod events;
mod framing;
mod native;
#[cfg(test)]
mod sealed;
#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
mod tls;
mod websocket;

use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use super::handshakes::Handshakes;
use super::net::{self, Registry, Socket, Token};
use crate::broker::sync::Instant;
use crate::http::Subprotocol;
use crate::protocol::FrameBuffer;
use framing::Framing;
#[cfg(test)]
pub(super) use sealed::Unsealed;
#[cfg(all(test, shuttle))]
pub(super) use sealed::seal;
pub(super) use tls::SEALED;
pub use websocket::Unframing;
pub(super) use websocket::{Close, UNFRAMED};

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
    Tls(Box<tls::Opening>),
    WebSocket(Box<websocket::Reading>),
    Deaf(Box<events::Deaf>),
    #[cfg(test)]
    Sealed(sealed::Opening),
}

/// How plain text becomes what is sent.
#[derive(Debug)]
enum Sealing {
    Plain,
    Tls(Box<tls::Sealing>),
    WebSocket(Box<Framing<websocket::Messages>>),
    Events(Box<Framing<events::Events>>),
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
        self.text.is_amid()
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
            Opening::Tls(opening) => opening.shake_hands(outgoing, handshakes, until),
            _ => Ok(false),
        }
    }

    /// The user's name in the certificate that the peer has shown in its handshake, if there is one
    /// and names are taken from there.
    pub(super) fn certificate_name(&self) -> Option<&str> {
        self.text.certificate_name()
    }

    /// Reads once into a buffer of `size` bytes.
    ///
    /// # Errors
    /// Any error of the system; `TimedOut` where the keepalive found nobody; `InvalidData` where the
    /// peer does not keep to what is spoken below our protocol.
    pub(super) fn read(&mut self, buffer: &mut FrameBuffer, size: usize) -> io::Result<Arrived> {
        self.text.read(&self.line.0, buffer, size)
    }

    /// Goes on as a WebSocket, behind the answer to its handshake, with what was read of it in
    /// `buffer` already. Each takes [`UNFRAMED`] bytes of memory.
    pub(super) fn become_websocket(
        &mut self,
        outgoing: &mut Outgoing,
        subprotocol: Subprotocol,
        buffer: &mut FrameBuffer,
    ) {
        let below = mem::replace(&mut self.text, Opening::Plain);
        let reading = websocket::Reading::begin(below, outgoing, subprotocol, mem::take(buffer));
        self.text = Opening::WebSocket(Box::new(reading));
    }

    /// Goes on as a stream of events, behind the head of the answer, with a comment `every` so often
    /// if it is asked to [keep alive](Self::keep_alive). What the client sends is not read as
    /// anything. Each takes [`UNFRAMED`] bytes of memory at most.
    pub(super) fn become_events(&mut self, outgoing: &mut Outgoing, every: Duration) {
        let below = mem::replace(&mut self.text, Opening::Plain);
        let (deaf, events) = events::begin(below, every);
        self.text = Opening::Deaf(Box::new(deaf));
        outgoing.wrap(|below| Sealing::Events(Box::new(Framing::new(below, events))));
    }

    /// Whether the last read has left the line something to say for itself, the answer to a ping:
    /// the next push says it, even one of nothing.
    pub(super) fn has_answer(&mut self) -> bool {
        match &mut self.text {
            Opening::WebSocket(reading) => reading.has_answer(),
            _ => false,
        }
    }

    /// Whether a writer has to be woken for that. Asked again before the writer has pushed, it is
    /// not.
    pub(super) fn may_call(&self) -> bool {
        match &self.text {
            Opening::WebSocket(reading) => reading.may_call(),
            _ => false,
        }
    }

    /// When it is to be [kept alive](Self::keep_alive), if it is.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.text {
            Opening::Deaf(deaf) => Some(deaf.due()),
            _ => None,
        }
    }

    /// Has the line say something if it is time, by the next push, even one of nothing. Returns
    /// whether it is a line of the kind.
    pub(super) fn keep_alive(&mut self, now: Instant) -> bool {
        match &mut self.text {
            Opening::Deaf(deaf) => {
                deaf.keep_alive(now);
                true
            }
            _ => false,
        }
    }

    /// Says how the connection is to end where there is a word for that, unless it is known already.
    pub(super) fn end_with(&self, close: Close) {
        if let Opening::WebSocket(reading) = &self.text {
            reading.end_with(close);
        }
    }

    /// Forgets the rest of the frame that has begun, where the line knows its end better than the
    /// header says it. Returns whether it does.
    pub(super) fn skip_message(&mut self) -> bool {
        match &mut self.text {
            Opening::WebSocket(reading) => reading.skip_message(),
            _ => false,
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

impl Opening {
    fn is_amid(&self) -> bool {
        match self {
            Opening::Plain => false,
            Opening::Tls(opening) => opening.is_amid(),
            Opening::WebSocket(reading) => reading.is_amid(),
            Opening::Deaf(deaf) => deaf.below().is_amid(),
            #[cfg(test)]
            Opening::Sealed(opening) => opening.is_amid(),
        }
    }

    fn certificate_name(&self) -> Option<&str> {
        match self {
            Opening::Plain => None,
            Opening::Tls(opening) => opening.certificate_name(),
            Opening::WebSocket(reading) => reading.below().certificate_name(),
            Opening::Deaf(deaf) => deaf.below().certificate_name(),
            #[cfg(test)]
            Opening::Sealed(_) => None,
        }
    }

    #[inline]
    fn read(
        &mut self,
        socket: &Socket,
        buffer: &mut FrameBuffer,
        size: usize,
    ) -> io::Result<Arrived> {
        match self {
            Opening::Plain => arrived(|| buffer.read_with(size, &mut &*socket)),
            Opening::Tls(opening) => opening.read(socket, buffer, size),
            Opening::WebSocket(reading) => reading.read(socket, buffer, size),
            Opening::Deaf(deaf) => deaf.read(socket),
            #[cfg(test)]
            Opening::Sealed(opening) => opening.read(socket, buffer, size),
        }
    }

    /// Reads what is there. Where a connection seals, that is for [`read`](Self::read).
    fn read_at_once(
        &mut self,
        socket: &Socket,
        buffer: &mut FrameBuffer,
        size: usize,
    ) -> io::Result<Arrived> {
        match self {
            Opening::Plain => arrived(|| buffer.read_with(size, &mut AtOnce(socket))),
            _ => Ok(Arrived::Silent),
        }
    }
}

/// A socket that is read without waiting.
struct AtOnce<'a>(&'a Socket);

impl io::Read for AtOnce<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        net::receive_at_once(self.0, buffer)
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
        self.text.push(&self.line.0, pieces, wait)
    }

    /// Whether everything that was taken is with the system, so that nothing more is to be pushed.
    pub(super) fn is_settled(&self) -> bool {
        self.text.is_settled()
    }

    /// Says how the connection is to end where there is a word for that, unless it is known already.
    pub(super) fn end_with(&self, close: Close) {
        if let Sealing::WebSocket(framing) = &self.text {
            framing.frames().end_with(close);
        }
    }

    /// Takes the last word, which remains to be pushed, after everything else was. The end does that
    /// as well, and says it where that takes no time.
    pub(super) fn finish(&mut self) {
        if let Sealing::WebSocket(framing) = &mut self.text {
            framing.finish();
        }
    }

    /// Says that nothing follows and shuts this direction down, after the last push.
    pub(super) fn end(&mut self) {
        self.text.end(&self.line.0);
        self.line.shut_down(Shutdown::Write);
    }

    /// Puts a layer around what is there.
    fn wrap(&mut self, layer: impl FnOnce(Sealing) -> Sealing) {
        self.text = layer(mem::replace(&mut self.text, Sealing::Plain));
    }
}

impl Sealing {
    #[inline]
    fn push(&mut self, socket: &Socket, pieces: &[IoSlice<'_>], wait: Wait) -> io::Result<Pushed> {
        let pieces = &pieces[..pieces.len().min(MOST_AT_ONCE)];
        match self {
            Sealing::Plain if pieces.is_empty() => Ok(Pushed::default()),
            Sealing::Plain => {
                let sent = send(socket, pieces, wait)?;
                Ok(Pushed { taken: sent, sent })
            }
            Sealing::Tls(sealing) => sealing.push(socket, pieces, wait),
            Sealing::WebSocket(framing) => framing.push(socket, pieces, wait),
            Sealing::Events(framing) => framing.push(socket, pieces, wait),
            #[cfg(test)]
            Sealing::Sealed(sealing) => sealing.push(socket, pieces, wait),
        }
    }

    fn is_settled(&self) -> bool {
        match self {
            Sealing::Plain => true,
            Sealing::Tls(sealing) => sealing.is_settled(),
            Sealing::WebSocket(framing) => framing.is_settled(),
            Sealing::Events(framing) => framing.is_settled(),
            #[cfg(test)]
            Sealing::Sealed(sealing) => sealing.is_settled(),
        }
    }

    fn end(&mut self, socket: &Socket) {
        match self {
            Sealing::Tls(sealing) => sealing.end(socket),
            Sealing::WebSocket(framing) => framing.end(socket),
            Sealing::Events(framing) => framing.end(socket),
            _ => {}
        }
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
