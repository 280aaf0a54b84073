//! One connection to a broker: frames out, frames in, and neither ever waits for the other.

use std::io::{self, ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::QueueError;
use crate::protocol::{Format, FrameBuffer, MAXIMUM_MAX_ENCODED};

/// The largest frame that a client takes, in bytes of body: whatever a broker can be told to send.
/// A translation can be many times as long as what was published, so this is not the broker's limit
/// for what it takes.
const MAX_FRAME: u32 = MAXIMUM_MAX_ENCODED;

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    input: FrameBuffer,
}

/// A frame from the broker.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) format: Format,
    pub(super) body: Vec<u8>,
}

/// When waiting ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// Not before something has come.
    Endless,
    /// At this time.
    Until(Instant),
}

impl Patience {
    pub(super) fn new(timeout: Option<Duration>) -> Patience {
        // A time too far away to be said is never reached.
        timeout
            .and_then(|timeout| Instant::now().checked_add(timeout))
            .map_or(Patience::Endless, Patience::Until)
    }

    /// What is left of it; `None` where it is endless.
    fn left(self) -> Option<Duration> {
        match self {
            Patience::Endless => None,
            Patience::Until(end) => Some(end.saturating_duration_since(Instant::now())),
        }
    }
}

impl Connection {
    /// Connects to the first address of `address` that answers.
    pub(super) fn open(address: &str, timeout: Option<Duration>) -> Result<Connection, QueueError> {
        let failed = |source| QueueError::Connect { address: address.to_owned(), source };
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for candidate in address.to_socket_addrs().map_err(failed)? {
            let connected = match timeout {
                Some(timeout) => TcpStream::connect_timeout(&candidate, timeout),
                None => TcpStream::connect(candidate),
            };
            match connected {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    return Ok(Connection { stream, input: FrameBuffer::new() });
                }
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// Sends a whole frame. While the broker does not take it, what the broker sends is read, so
    /// that two full directions cannot block each other.
    pub(super) fn send(&mut self, mut frame: &[u8]) -> Result<(), QueueError> {
        while !frame.is_empty() {
            match self.stream.write(frame) {
                Ok(count) => frame = &frame[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let ready = self.wait(PollFlags::IN | PollFlags::OUT, Patience::Endless)?;
                    if ready.contains(PollFlags::IN) {
                        self.read()?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next frame. `Ok(None)` when the patience is at its end.
    pub(super) fn receive(&mut self, patience: Patience) -> Result<Option<Frame>, QueueError> {
        loop {
            if let Some(frame) = self.next_frame()? {
                return Ok(Some(frame));
            }
            if !self.read()? && self.wait(PollFlags::IN, patience)?.is_empty() {
                return Ok(None);
            }
        }
    }

    /// The next frame that is here already.
    pub(super) fn receive_waiting(&mut self) -> Result<Option<Frame>, QueueError> {
        if self.input.bytes().is_empty() {
            self.read()?;
        }
        self.next_frame()
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, QueueError> {
        let Some((header, body)) = self.input.first(MAX_FRAME)? else { return Ok(None) };
        let end = body.end;
        let body = self.input.bytes()[body].to_vec();
        self.input.take(end);
        Ok(Some(Frame { format: header.format, body }))
    }

    /// Reads what is there. Returns whether anything was.
    fn read(&mut self) -> Result<bool, QueueError> {
        match self.input.read_from(&mut self.stream) {
            Ok(0) => Err(QueueError::Closed),
            Ok(_) => Ok(true),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for readiness; empty when the patience is at its end.
    fn wait(&self, flags: PollFlags, patience: Patience) -> io::Result<PollFlags> {
        loop {
            let mut sockets = [PollFd::new(&self.stream, flags)];
            let left = patience.left().map(|left| Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            match poll(&mut sockets, left.as_ref()) {
                Ok(_) => return Ok(sockets[0].revents()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
