//! Connections of the load generator.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use rustls::ClientConfig;

use crate::tls::Sealed;
use crate::web::{Handshake, Web};
use crate::wire::{Role, Scanned, Wire};

/// A read looks this often whether it should go on.
const TICK: Duration = Duration::from_millis(100);
/// A broker that takes longer over one answer is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// As much as a subscriber reads at once.
const READ: usize = 64 << 10;

/// Where a broker listens, and what lies between its connections and its protocol.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) between: Between,
}

#[derive(Clone, Debug)]
pub(crate) enum Between {
    Nothing,
    Tls(Arc<ClientConfig>),
    Web(Handshake),
}

/// A connection.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<Sealed>),
    Web(Box<Web>),
}

impl Stream {
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(sealed) => sealed.socket(),
            Stream::Web(web) => web.socket(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(sealed) => sealed.read(buffer),
            Stream::Web(web) => web.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(sealed) => sealed.write(bytes),
            Stream::Web(web) => web.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects.
pub(crate) fn connect_plain(endpoint: &Endpoint) -> Result<TcpStream> {
    let address = endpoint.address;
    ensure!(address.ip().is_loopback(), "{address} is not on this machine");
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(TICK))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Connects, and shakes hands where something lies between.
pub(crate) fn begin(endpoint: &Endpoint, wire: &dyn Wire) -> Result<Stream> {
    let mut socket = connect_plain(endpoint)?;
    Ok(match &endpoint.between {
        Between::Nothing => Stream::Plain(socket),
        Between::Tls(config) => {
            if wire.begins_in_plain() {
                await_answer(&mut socket, |answer| answer.ends_with(b"\n"))?;
            }
            let sealed = Sealed::begin(socket, config).context("the handshake failed")?;
            Stream::Tls(Box::new(sealed))
        }
        Between::Web(handshake) => {
            let web = Web::begin(socket, *handshake).context("the handshake failed")?;
            Stream::Web(Box::new(web))
        }
    })
}

/// Connects and sends what a connection begins with, but does not wait for the answer.
pub(crate) fn connect(endpoint: &Endpoint, wire: &dyn Wire, role: Role<'_>) -> Result<Stream> {
    let mut stream = begin(endpoint, wire)?;
    let mut hello = Vec::new();
    wire.open(role, &mut hello);
    stream.write_all(&hello)?;
    Ok(stream)
}

/// Waits for the answer to what the connection began with.
pub(crate) fn await_open(stream: &mut Stream, wire: &dyn Wire, role: Role<'_>) -> Result<()> {
    await_answer(stream, |answer| wire.is_open(role, answer))
        .context("while a connection began")?;
    Ok(())
}

/// Connects and waits until the broker has taken the connection in.
pub(crate) fn open(endpoint: &Endpoint, wire: &dyn Wire, role: Role<'_>) -> Result<Stream> {
    let mut stream = connect(endpoint, wire, role)?;
    await_open(&mut stream, wire, role)?;
    Ok(stream)
}

/// Asks on a connection that publishes, and waits for the answer: all before it has been taken in.
pub(crate) fn ping(stream: &mut Stream, wire: &dyn Wire) -> Result<()> {
    let mut question = Vec::new();
    wire.ping(&mut question);
    stream.write_all(&question)?;
    await_answer(stream, |answer| wire.is_pong(answer)).context("while waiting for a pong")?;
    Ok(())
}

/// Reads until an answer is whole; returns it, with what came together with it.
pub(crate) fn await_answer(
    stream: &mut impl Read,
    is_whole: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&answer) {
        ensure!(Instant::now() < deadline, "no answer within {PATIENCE:?}");
        match stream.read(&mut buffer) {
            Ok(0) => {
                bail!("the broker closed the connection: {}", String::from_utf8_lossy(&answer))
            }
            Ok(count) => answer.extend(&buffer[..count]),
            Err(error) if is_tick(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answer)
}

pub(crate) fn is_tick(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Counts the messages that arrive on a connection.
#[derive(Debug)]
pub(crate) struct Counting {
    buffer: Vec<u8>,
    /// Bytes at the beginning of the buffer that are part of a message that has not arrived in
    /// full.
    kept: usize,
}

impl Counting {
    pub(crate) fn new() -> Counting {
        Counting { buffer: vec![0; READ], kept: 0 }
    }

    /// With a buffer that is only as large as a message needs.
    pub(crate) fn small() -> Counting {
        Counting { buffer: vec![0; 4 << 10], kept: 0 }
    }

    /// Reads once. Returns how many messages that completed; none after a tick without input.
    pub(crate) fn read(&mut self, stream: &mut Stream, wire: &dyn Wire) -> Result<u64> {
        ensure!(
            self.kept < self.buffer.len(),
            "a message of more than {} bytes",
            self.buffer.len()
        );
        match stream.read(&mut self.buffer[self.kept..]) {
            Ok(0) => bail!("the broker closed a subscriber's connection"),
            Ok(count) => {
                let end = self.kept + count;
                let Scanned { messages, consumed } = wire.scan(&self.buffer[..end])?;
                self.buffer.copy_within(consumed..end, 0);
                self.kept = end - consumed;
                Ok(messages)
            }
            Err(error) if is_tick(&error) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads until that many messages have arrived.
    pub(crate) fn read_until(
        &mut self,
        stream: &mut Stream,
        wire: &dyn Wire,
        messages: u64,
    ) -> Result<()> {
        let mut quiet_since = Instant::now();
        let mut arrived = 0;
        while arrived < messages {
            match self.read(stream, wire)? {
                0 => ensure!(
                    quiet_since.elapsed() < PATIENCE,
                    "{arrived} of {messages} messages arrived"
                ),
                more => {
                    arrived += more;
                    quiet_since = Instant::now();
                }
            }
        }
        Ok(())
    }
}
