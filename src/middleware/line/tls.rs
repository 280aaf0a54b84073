//! A connection that is sealed by TLS 1.2 or 1.3 (RFC 5246, RFC 8446).
//!
//! The call that reads opens records and the thread that writes seals them, both with the one state
//! of the connection, which is locked for that and not while the system reads or writes. What TLS
//! itself has to answer (a change of keys, say) waits in the state until something is written.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::PollFlags;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::{Pushed, Reader, Writer, write_some};
use crate::protocol::FrameBuffer;

/// Bytes that are read from the socket at once, and that are sealed at once. The longest record
/// has 16 KiB and a little more (RFC 8446 §5.2).
const PIECE: usize = 32 << 10;
/// Records are opened until there is so much plain text.
const ENOUGH: usize = 8 << 10;

/// A connection before its first byte of plain text.
#[derive(Debug)]
pub(in crate::middleware) struct Handshake {
    socket: TcpStream,
    connection: ClientConnection,
    /// Bytes of plain text that have come with its end.
    plain: usize,
}

#[derive(Clone, Debug)]
struct State(Arc<Mutex<ClientConnection>>);

/// The bytes that were read and not asked for yet.
#[derive(Debug)]
pub(super) struct Opening {
    state: State,
    /// What was read and not opened.
    sealed: FrameBuffer,
    /// Bytes of plain text that were not asked for.
    plain: usize,
    /// The peer has said that nothing follows.
    is_over: bool,
}

/// The bytes that are sealed and not sent.
#[derive(Debug)]
pub(super) struct Sealing {
    state: State,
    /// `left[start..]` is not sent.
    left: Vec<u8>,
    start: usize,
}

impl Handshake {
    /// Takes over a connected socket that does not block. Nothing is sent yet.
    ///
    /// # Errors
    /// What is wrong with `config`.
    pub(in crate::middleware) fn new(
        socket: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Handshake> {
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(PIECE));
        Ok(Handshake { socket, connection, plain: 0 })
    }

    pub(in crate::middleware) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// What it waits for.
    pub(in crate::middleware) fn flags(&self) -> PollFlags {
        match self.connection.wants_write() {
            true => PollFlags::IN | PollFlags::OUT,
            false => PollFlags::IN,
        }
    }

    /// Goes on with it as far as that is possible without waiting; returns whether it is done.
    ///
    /// # Errors
    /// Any error of the system; `InvalidData` with a [`rustls::Error`] where the two do not agree.
    pub(in crate::middleware) fn advance(&mut self) -> io::Result<bool> {
        loop {
            while self.connection.wants_write() {
                match self.connection.write_tls(&mut self.socket) {
                    Ok(_) => {}
                    Err(error) if is_later(&error) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            if !self.connection.is_handshaking() {
                return Ok(true);
            }
            match self.connection.read_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if is_later(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
            match self.connection.process_new_packets() {
                Ok(now) => self.plain = now.plaintext_bytes_to_read(),
                Err(error) => {
                    // What is wrong is told to the peer as well.
                    let _ = self.connection.write_tls(&mut self.socket);
                    return Err(invalid(error));
                }
            }
        }
    }

    /// The two ends of the connection, when it is done.
    pub(in crate::middleware) fn ends(self) -> (Reader, Writer) {
        let Handshake { socket, connection, plain } = self;
        let state = State(Arc::new(Mutex::new(connection)));
        let (mut reader, mut writer) = super::plain(socket);
        let sealed = FrameBuffer::new();
        reader.text =
            super::Opening::Tls(Opening { state: state.clone(), sealed, plain, is_over: false });
        writer.text = super::Sealing::Tls(Sealing { state, left: Vec::new(), start: 0 });
        (reader, writer)
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl State {
    fn lock(&self) -> MutexGuard<'_, ClientConnection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opening {
    /// See [`Reader::read`].
    pub(super) fn read(
        &mut self,
        mut socket: &TcpStream,
        buffer: &mut FrameBuffer,
    ) -> io::Result<usize> {
        // Nothing that can be opened stays behind: no poll of the socket would see it.
        loop {
            self.open()?;
            if self.plain > 0 {
                let count = buffer.read_from(&mut self.state.lock().reader())?;
                self.plain -= count;
                return Ok(count);
            }
            // An end that nobody has announced is one all the same: frames have lengths.
            if self.is_over || self.sealed.read_with(PIECE, &mut socket)? == 0 {
                return Ok(0);
            }
        }
    }

    /// Opens records of what was read, until there is some plain text.
    ///
    /// # Errors
    /// `InvalidData` where they are none.
    fn open(&mut self) -> io::Result<()> {
        while self.plain < ENOUGH && !self.is_over && !self.sealed.bytes().is_empty() {
            let mut state = self.state.lock();
            let taken = state.read_tls(&mut self.sealed.bytes())?;
            let now = state.process_new_packets();
            drop(state);
            self.sealed.take(taken);
            let now = now.map_err(invalid)?;
            (self.plain, self.is_over) = (now.plaintext_bytes_to_read(), now.peer_has_closed());
        }
        Ok(())
    }
}

impl Sealing {
    pub(super) fn is_settled(&self) -> bool {
        self.start == self.left.len()
    }

    /// See [`Writer::push`].
    pub(super) fn push(&mut self, socket: &TcpStream, bytes: &[u8]) -> io::Result<Pushed> {
        let mut pushed = Pushed::default();
        loop {
            if self.is_settled() && !self.seal(&bytes[pushed.taken..], &mut pushed)? {
                return Ok(pushed);
            }
            let sent = write_some(socket, &self.left[self.start..])?;
            pushed.sent += sent;
            self.start += sent;
            if !self.is_settled() {
                return Ok(pushed);
            }
        }
    }

    /// Seals some bytes; returns whether there is anything to send.
    fn seal(&mut self, bytes: &[u8], pushed: &mut Pushed) -> io::Result<bool> {
        self.left.clear();
        self.start = 0;
        let mut state = self.state.lock();
        // A write of nothing would be a record of nothing.
        if !bytes.is_empty() {
            pushed.taken += state.writer().write(bytes)?;
        }
        while state.wants_write() {
            state.write_tls(&mut self.left)?;
        }
        Ok(!self.left.is_empty())
    }

    /// Says that nothing follows (`close_notify`), if the socket takes that at once.
    pub(super) fn end(&mut self, socket: &TcpStream) {
        self.state.lock().send_close_notify();
        // A peer that takes nothing is told by the end of the connection.
        let _ = self.push(socket, &[]);
    }
}
