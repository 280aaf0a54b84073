//! A connected socket in two ends: [`Reader`] for the call that waits, and [`Writer`] for whichever
//! thread has something to send. Where a connection is sealed by TLS, that happens here, and its
//! users see plain text.

#[cfg(feature = "tls")]
pub(super) mod tls;

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;

use crate::protocol::FrameBuffer;

/// The end that is read from.
#[derive(Debug)]
pub(super) struct Reader {
    socket: Arc<TcpStream>,
    text: Opening,
}

/// The end that is written to.
#[derive(Debug)]
pub(super) struct Writer {
    socket: Arc<TcpStream>,
    text: Sealing,
}

/// How what arrives becomes plain text.
#[derive(Debug)]
enum Opening {
    Plain,
    #[cfg(feature = "tls")]
    Tls(tls::Opening),
}

/// How plain text becomes what is sent.
#[derive(Debug)]
enum Sealing {
    Plain,
    #[cfg(feature = "tls")]
    Tls(tls::Sealing),
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pushed {
    /// Bytes that need not be pushed again.
    pub(super) taken: usize,
    /// Bytes that the system has taken.
    pub(super) sent: usize,
}

/// The two ends of a socket that does not block, in plain text.
pub(super) fn plain(socket: TcpStream) -> (Reader, Writer) {
    let socket = Arc::new(socket);
    let reader = Reader { socket: Arc::clone(&socket), text: Opening::Plain };
    (reader, Writer { socket, text: Sealing::Plain })
}

impl Reader {
    /// What is waited for.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads once; 0 is the end.
    ///
    /// # Errors
    /// Any error of the system, `WouldBlock` where there is nothing; `InvalidData` for what is no
    /// TLS.
    pub(super) fn read(&mut self, buffer: &mut FrameBuffer) -> io::Result<usize> {
        match &mut self.text {
            Opening::Plain => buffer.read_from(&mut &*self.socket),
            #[cfg(feature = "tls")]
            Opening::Tls(opening) => opening.read(&self.socket, buffer),
        }
    }
}

impl Writer {
    /// Writes as much as the system takes, after what was left behind before.
    ///
    /// # Errors
    /// Any error of the system; that it takes nothing now is none.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<Pushed> {
        match &mut self.text {
            Sealing::Plain => {
                let sent = write_some(&self.socket, bytes)?;
                Ok(Pushed { taken: sent, sent })
            }
            #[cfg(feature = "tls")]
            Sealing::Tls(sealing) => sealing.push(&self.socket, bytes),
        }
    }

    /// Whether everything that was taken is with the system.
    pub(super) fn is_settled(&self) -> bool {
        match &self.text {
            Sealing::Plain => true,
            #[cfg(feature = "tls")]
            Sealing::Tls(sealing) => sealing.is_settled(),
        }
    }

    /// Says that nothing follows, where there is a way to say that.
    pub(super) fn end(&mut self) {
        match &mut self.text {
            Sealing::Plain => {}
            #[cfg(feature = "tls")]
            Sealing::Tls(sealing) => sealing.end(&self.socket),
        }
    }
}

/// Writes as much as the system takes; returns how much that was.
fn write_some(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match socket.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
