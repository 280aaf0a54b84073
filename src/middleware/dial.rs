//! A connection while it is being made.
//!
//! It belongs to its client and not to the call that began it: a call that gives up after a second
//! leaves it, and the next one goes on waiting for it.

use std::env;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;
use std::vec;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use super::error::QueueError;
use super::patience::{Patience, wait};

#[derive(Debug)]
pub(super) struct Dial {
    address: String,
    /// How long each of the candidates may take.
    timeout: Duration,
    candidates: vec::IntoIter<SocketAddr>,
    /// The one that is being asked, and when that is given up.
    current: Option<(TcpStream, Patience)>,
    /// What became of the one before.
    last: io::Error,
}

impl Dial {
    /// Finds out where `address` is; nothing is asked yet.
    pub(super) fn new(address: &str, timeout: Duration) -> Result<Dial, QueueError> {
        let found = address.to_socket_addrs().map_err(|error| failed(address, error))?;
        Ok(Dial {
            address: address.to_owned(),
            timeout,
            candidates: found.collect::<Vec<_>>().into_iter(),
            current: None,
            last: io::Error::new(ErrorKind::NotFound, "the name has no address"),
        })
    }

    /// The connection to the first candidate that answers; `None` when the patience is at its end
    /// first.
    pub(super) fn wait(&mut self, patience: Patience) -> Result<Option<TcpStream>, QueueError> {
        loop {
            if let Some((stream, until)) = self.current.take() {
                let ready = wait(&stream, PollFlags::OUT, patience.and(until));
                let outcome = ready.and_then(|ready| match ready.is_empty() {
                    true if !until.is_over() => Ok(false),
                    true => Err(Errno::TIMEDOUT.into()),
                    false => Ok(sockopt::socket_error(&stream)?.map(|()| true)?),
                });
                match outcome {
                    Ok(true) if is_itself(&stream) => self.last = Errno::CONNREFUSED.into(),
                    Ok(true) => return Ok(Some(stream)),
                    Ok(false) => {
                        self.current = Some((stream, until));
                        return Ok(None);
                    }
                    Err(error) => self.last = error,
                }
            }
            let Some(candidate) = self.candidates.next() else {
                let last = std::mem::replace(&mut self.last, ErrorKind::NotConnected.into());
                return Err(failed(&self.address, last));
            };
            match begin(candidate) {
                Ok(stream) => self.current = Some((stream, Patience::new(Some(self.timeout)))),
                Err(error) => self.last = error,
            }
        }
    }
}

fn failed(address: &str, source: io::Error) -> QueueError {
    QueueError::Connect { address: address.to_owned(), source }
}

fn begin(candidate: SocketAddr) -> io::Result<TcpStream> {
    let family = if candidate.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &candidate) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// Where a broker is looked for when nothing says where.
const DEFAULT_ADDRESS: &str = "127.0.0.1:5000";

/// The environment's address, or the usual one.
pub(super) fn default_address() -> String {
    env::var("BABELMQ_ADDR").unwrap_or_else(|_| DEFAULT_ADDRESS.to_owned())
}

/// Whether a port to which nobody listens was connected to itself: the system may choose it for
/// this end too, and a client that tries long enough would find no broker but its own echo.
fn is_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(here), Ok(there)) if here == there)
}
