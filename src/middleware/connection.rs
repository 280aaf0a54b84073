//! One connection to a broker: frames out, frames in, and neither ever waits for the other.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::address::Place;
use super::error::QueueError;
use super::line::{Reader, Writer};
use super::outgoing::Outgoing;
use super::patience::{Patience, wait};
use super::pulse::{Due, Pulse};
use crate::protocol::{Format, FrameBuffer, FrameFault, HEADER_LEN, Header, MAXIMUM_MAX_ENCODED};

/// The largest frame that a client takes, in bytes of body, where nobody says otherwise: whatever a
/// broker can be told to send. A translation can be many times as long as what was published, so
/// this is not the broker's limit for what it takes.
pub(super) const MAX_FRAME: u32 = MAXIMUM_MAX_ENCODED;

#[derive(Debug)]
pub(super) struct Connection {
    place: Place,
    reader: Reader,
    input: FrameBuffer,
    max_frame: u32,
    /// Bytes still to come of a frame that is too long, and that nobody wants.
    skipping: usize,
    out: Arc<Outgoing>,
    pulse: Pulse,
    since: Instant,
    /// What the last frame was like.
    last: Option<Header>,
    /// While the system takes nothing: how many bytes it had taken by then, and when that was.
    stuck: Option<(u64, Instant)>,
    /// Whether the broker has said anything.
    heard: bool,
}

/// A frame from the broker.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) format: Format,
    pub(super) body: Vec<u8>,
}

/// What came of waiting.
#[derive(Debug)]
pub(super) enum Received {
    Frame(Frame),
    /// The broker has been silent for so long that a ping is to be sent.
    Ask,
    /// The patience is at its end.
    Nothing,
}

impl Connection {
    /// A connection to `place` that has been made.
    pub(super) fn new(
        (reader, writer): (Reader, Writer),
        place: Place,
        max_frame: u32,
        pulse: Pulse,
    ) -> Result<Connection, QueueError> {
        let connection = Connection {
            place,
            reader,
            input: FrameBuffer::new(),
            max_frame,
            skipping: 0,
            out: Outgoing::new(writer),
            pulse,
            since: Instant::now(),
            last: None,
            stuck: None,
            heard: false,
        };
        if connection.is_tcp() {
            connection.socket().set_nodelay(true)?;
            connection.pulse.keep_alive(connection.socket());
        }
        Ok(connection)
    }

    fn is_tcp(&self) -> bool {
        matches!(self.place, Place::Tcp { .. })
    }

    fn socket(&self) -> &TcpStream {
        self.reader.socket()
    }

    /// Asks after another silence.
    pub(super) fn set_keepalive(&mut self, silence: Option<Duration>, patience: Duration) {
        self.pulse = Pulse::new(silence, patience);
        if self.is_tcp() {
            self.pulse.keep_alive(self.socket());
        }
    }

    /// Where what is said of its messages goes.
    pub(super) fn outgoing(&self) -> Weak<Outgoing> {
        Arc::downgrade(&self.out)
    }

    /// When it was made.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Takes a frame that may wait for others to be written with; `false` where it is to be sent.
    pub(super) fn defer(&self, frame: &[u8]) -> bool {
        self.out.defer(frame)
    }

    /// Sends a whole frame, after those that wait. While the broker does not take it, what the
    /// broker sends is read, so that two full directions cannot block each other. Returns whether
    /// everything was written before the patience ended; it will be in any case.
    pub(super) fn send(&mut self, frame: &[u8], patience: Patience) -> Result<bool, QueueError> {
        self.out.send(frame)?;
        self.write_out(patience)
    }

    /// Writes everything that waits. A broker that takes nothing, and says nothing, for as long as
    /// it may be silent is gone.
    pub(super) fn write_out(&mut self, patience: Patience) -> Result<bool, QueueError> {
        while !self.out.write()? {
            let until = patience.and(Patience::until(self.given_up()));
            let ready = wait(self.socket(), PollFlags::IN | PollFlags::OUT, until)?;
            if ready.contains(PollFlags::IN) {
                self.read()?;
            }
            if !ready.is_empty() {
                continue;
            }
            if self.given_up().is_some_and(|end| end <= Instant::now()) {
                let stuck = "the broker does not take anything any more";
                return Err(io::Error::new(ErrorKind::TimedOut, stuck).into());
            }
            if patience.is_over() {
                return Ok(false);
            }
        }
        self.stuck = None;
        Ok(true)
    }

    /// When a connection is given up that takes nothing from now on.
    fn given_up(&mut self) -> Option<Instant> {
        let taken = self.out.taken();
        let since = match self.stuck {
            Some((before, since)) if before == taken => since,
            _ => self.stuck.insert((taken, Instant::now())).1,
        };
        since.checked_add(self.pulse.longest()?)
    }

    /// The next frame. What waits to be written is written first, if that is necessary to wait.
    ///
    /// # Errors
    /// [`QueueError::TooLarge`] for one frame that is skipped; after any other the connection is of
    /// no more use.
    pub(super) fn receive(&mut self, patience: Patience) -> Result<Received, QueueError> {
        loop {
            if let Some(frame) = self.next_frame()? {
                return Ok(Received::Frame(frame));
            }
            let written = self.out.write()?;
            if self.read()? {
                continue;
            }
            match self.pulse.due() {
                Some(Due::Ask) => return Ok(Received::Ask),
                Some(Due::Gone) => {
                    let silent = "the broker does not answer any more";
                    return Err(io::Error::new(ErrorKind::TimedOut, silent).into());
                }
                None => {}
            }
            let flags = if written { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            let until = patience.and(Patience::until(self.pulse.next()));
            if wait(self.socket(), flags, until)?.is_empty() && patience.is_over() {
                return Ok(Received::Nothing);
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
        let (header, body) = match self.input.first(self.max_frame) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(fault) => {
                if let FrameFault::TooLarge { length, .. } = fault {
                    self.skipping = HEADER_LEN + length as usize;
                    self.skip();
                }
                return Err(fault.into());
            }
        };
        self.last = Some(header);
        let end = body.end;
        let body = self.input.bytes()[body].to_vec();
        self.input.take(end);
        Ok(Some(Frame { format: header.format, body }))
    }

    /// Passes over the frames that are here already and as long as the last one, at most so many,
    /// without a look at them; returns how many there were.
    #[cfg(feature = "cli")]
    pub(super) fn skip_alike(&mut self, most: u64) -> u64 {
        let mut skipped = 0;
        while skipped < most
            && let Ok(Some((header, body))) = self.input.first(self.max_frame)
            && Some(header) == self.last
        {
            self.input.take(body.end);
            skipped += 1;
        }
        skipped
    }

    /// Forgets what has come of a frame that nobody wants.
    fn skip(&mut self) {
        let here = self.skipping.min(self.input.bytes().len());
        self.input.take(here);
        self.skipping -= here;
    }

    /// Reads what is there. Returns whether anything was.
    fn read(&mut self) -> Result<bool, QueueError> {
        match self.reader.read(&mut self.input) {
            Ok(0) => Err(self.ended()),
            Ok(_) => {
                self.heard = true;
                self.pulse.heard();
                self.stuck = None;
                self.skip();
                Ok(true)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(false)
            }
            Err(error) => Err(self.broken(error)),
        }
    }

    /// What it means that the broker has closed the connection.
    fn ended(&self) -> QueueError {
        let place = &self.place;
        let advice = match (self.heard, place) {
            (true, _) | (_, Place::Unix(_)) => return QueueError::Closed,
            (_, Place::Tcp { tls: true, .. }) => {
                format!("if {place} asks for a client certificate, cert and key name one")
            }
            // So does a server with TLS that was not spoken to with TLS.
            (_, Place::Tcp { tls: false, .. }) => {
                format!("if {place} speaks TLS, its address is babelmqs://{place}")
            }
        };
        let said = format!("it was closed before the broker said anything ({advice})");
        io::Error::new(ErrorKind::UnexpectedEof, said).into()
    }

    fn broken(&self, error: io::Error) -> QueueError {
        #[cfg(feature = "tls")]
        if let Some(verdict) = super::trust::certificate(&self.place, &error) {
            return verdict;
        }
        error.into()
    }
}

/// The other end is told that it was no accident.
impl Drop for Connection {
    fn drop(&mut self) {
        self.out.end();
    }
}
