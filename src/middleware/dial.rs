//! A connection while it is being made: the socket, then TLS and the login where there are any.
//!
//! It belongs to its client and not to the call that began it: a call that gives up after a second
//! leaves it, and the next one goes on waiting for it.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};

use super::address::Place;
use super::connection::{Connection, Received};
use super::error::QueueError;
use super::line;
#[cfg(feature = "tls")]
use super::line::tls::Handshake;
use super::login::read_welcome;
use super::options::Destination;
use super::patience::{Patience, wait};
use super::pulse::Pulse;
#[cfg(feature = "tls")]
use super::trust;

pub(super) struct Dial {
    to: Arc<Destination>,
    candidates: vec::IntoIter<Candidate>,
    /// How far the one is that is being asked, and when that is given up.
    current: Option<(Stage, Patience)>,
    /// What became of the one before.
    last: QueueError,
}

enum Candidate {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What is being waited for.
enum Stage {
    Socket(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<Handshake>),
    Welcome(Box<Connection>),
}

/// What came of waiting.
enum Outcome {
    Made(Box<Connection>),
    Next(Stage),
    /// The patience is at its end.
    Still(Stage),
}

impl Dial {
    /// Finds out where the destination is; nothing is asked yet.
    pub(super) fn new(to: &Arc<Destination>) -> Result<Dial, QueueError> {
        let candidates = match &to.place {
            Place::Unix(path) => vec![Candidate::Unix(path.clone())],
            Place::Tcp { host, port, .. } => {
                let found = (host.as_str(), *port).to_socket_addrs();
                let found = found.map_err(|error| failed(to, error))?;
                found.map(Candidate::Tcp).collect()
            }
        };
        let none = io::Error::new(ErrorKind::NotFound, "the name has no address");
        let last = failed(to, none);
        Ok(Dial { to: Arc::clone(to), candidates: candidates.into_iter(), current: None, last })
    }

    /// The connection to the first candidate that answers; `None` when the patience is at its end
    /// first.
    pub(super) fn wait(&mut self, patience: Patience) -> Result<Option<Connection>, QueueError> {
        loop {
            if let Some((stage, until)) = self.current.take() {
                match stage.wait(&self.to, patience.and(until)) {
                    Ok(Outcome::Made(connection)) => return Ok(Some(*connection)),
                    Ok(Outcome::Next(stage)) => {
                        self.current = Some((stage, self.new_patience()));
                        continue;
                    }
                    Ok(Outcome::Still(stage)) if until.is_over() => {
                        self.last = stage.late(&self.to)
                    }
                    Ok(Outcome::Still(stage)) => {
                        self.current = Some((stage, until));
                        return Ok(None);
                    }
                    // Another address of the broker is not asked in the hope of a better answer.
                    Err(error) if error.finally().is_some() => return Err(error),
                    Err(error) => self.last = error,
                }
            }
            let Some(candidate) = self.candidates.next() else {
                let none = failed(&self.to, ErrorKind::NotConnected.into());
                return Err(std::mem::replace(&mut self.last, none));
            };
            if let Candidate::Tcp(address) = &candidate {
                self.to.check_login(address.ip())?;
            }
            match begin(candidate) {
                Ok(socket) => self.current = Some((Stage::Socket(socket), self.new_patience())),
                Err(error) => self.last = failed(&self.to, error),
            }
        }
    }

    /// How long each stage of each candidate may take.
    fn new_patience(&self) -> Patience {
        Patience::new(Some(self.to.timeout))
    }
}

impl Stage {
    fn wait(self, to: &Arc<Destination>, patience: Patience) -> Result<Outcome, QueueError> {
        match self {
            Stage::Socket(socket) => {
                let ready = wait(&socket, PollFlags::OUT, patience);
                if ready.map_err(|error| failed(to, error))?.is_empty() {
                    return Ok(Outcome::Still(Stage::Socket(socket)));
                }
                let error = sockopt::socket_error(&socket).map(|done| done.err());
                match error.unwrap_or_else(Some) {
                    Some(error) => Err(failed(to, error.into())),
                    None if is_itself(&socket) => Err(failed(to, Errno::CONNREFUSED.into())),
                    None => connected(to, socket),
                }
            }
            #[cfg(feature = "tls")]
            Stage::Tls(mut handshake) => loop {
                let done = handshake.advance();
                if done.map_err(|error| trust::failure(&to.place, error))? {
                    return greet(to, handshake.ends());
                }
                let ready = wait(handshake.socket(), handshake.flags(), patience);
                if ready.map_err(|error| failed(to, error))?.is_empty() {
                    return Ok(Outcome::Still(Stage::Tls(handshake)));
                }
            },
            Stage::Welcome(mut connection) => loop {
                match connection.receive(patience)? {
                    Received::Frame(frame) => {
                        read_welcome(frame)?;
                        return Ok(Outcome::Made(connection));
                    }
                    // A ping is no login, and would be refused.
                    Received::Ask => {}
                    Received::Nothing => return Ok(Outcome::Still(Stage::Welcome(connection))),
                }
            },
        }
    }

    /// What it means that it has taken so long.
    fn late(&self, to: &Destination) -> QueueError {
        match self {
            Stage::Socket(_) => failed(to, Errno::TIMEDOUT.into()),
            #[cfg(feature = "tls")]
            Stage::Tls(_) => trust::failure(&to.place, Errno::TIMEDOUT.into()),
            Stage::Welcome(_) => QueueError::TimedOut,
        }
    }
}

/// What comes after a socket is connected.
fn connected(to: &Arc<Destination>, socket: TcpStream) -> Result<Outcome, QueueError> {
    #[cfg(feature = "tls")]
    if let Some(trust) = &to.trust {
        // A handshake is a few small writes, each of which the other end waits for.
        socket.set_nodelay(true).map_err(|error| failed(to, error))?;
        let handshake = Handshake::new(socket, Arc::clone(&trust.config), trust.name.clone());
        let handshake = handshake.map_err(|error| trust::failure(&to.place, error))?;
        return Ok(Outcome::Next(Stage::Tls(Box::new(handshake))));
    }
    greet(to, line::plain(socket))
}

/// Logs in, if that is to be.
fn greet(to: &Arc<Destination>, ends: (line::Reader, line::Writer)) -> Result<Outcome, QueueError> {
    let pulse = Pulse::new(to.silence, to.timeout);
    let mut connection = Connection::new(ends, to.place.clone(), to.max_frame, pulse)?;
    let Some(login) = &to.login else { return Ok(Outcome::Made(Box::new(connection))) };
    // It is short, and what the socket does not take is written while its answer is waited for.
    let sent = connection.send(login, Patience::new(Some(Duration::ZERO)));
    match sent {
        Ok(_) => Ok(Outcome::Next(Stage::Welcome(Box::new(connection)))),
        // What the broker said before it closed the connection says why.
        Err(error) => match connection.receive_waiting() {
            Ok(Some(frame)) => read_welcome(frame).and(Err(error)),
            Err(verdict @ QueueError::Certificate(_)) => Err(verdict),
            _ => Err(error),
        },
    }
}

fn failed(to: &Destination, source: io::Error) -> QueueError {
    QueueError::Connect { address: to.place.to_string(), source }
}

fn begin(candidate: Candidate) -> io::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let of = |family| socket_with(family, SocketType::STREAM, flags, None);
    let (socket, begun) = match candidate {
        Candidate::Tcp(address) => {
            let is_v4 = address.is_ipv4();
            let socket = of(if is_v4 { AddressFamily::INET } else { AddressFamily::INET6 })?;
            let begun = connect(&socket, &address);
            (socket, begun)
        }
        Candidate::Unix(path) => {
            let address = SocketAddrUnix::new(path)?;
            let socket = of(AddressFamily::UNIX)?;
            let begun = connect(&socket, &address);
            (socket, begun)
        }
    };
    match begun {
        // To a client that only reads and writes, a socket is a socket.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a port to which nobody listens was connected to itself: the system may choose it for
/// this end too, and a client that tries long enough would find no broker but its own echo.
fn is_itself(socket: &TcpStream) -> bool {
    matches!((socket.local_addr(), socket.peer_addr()), (Ok(here), Ok(there)) if here == there)
}
