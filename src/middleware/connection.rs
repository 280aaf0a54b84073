//! One connection to a broker: frames out, frames in, and neither ever waits for the other.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::dial::Dial;
use super::error::QueueError;
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
    stream: Arc<TcpStream>,
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
    /// Connects to the first address of `address` that answers, and waits for it.
    pub(super) fn open(
        address: &str,
        timeout: Duration,
        silence: Option<Duration>,
    ) -> Result<Connection, QueueError> {
        match Dial::new(address, timeout)?.wait(Patience::Endless)? {
            Some(stream) => Connection::new(stream, MAX_FRAME, Pulse::new(silence, timeout)),
            None => Err(QueueError::TimedOut),
        }
    }

    pub(super) fn new(
        stream: TcpStream,
        max_frame: u32,
        pulse: Pulse,
    ) -> Result<Connection, QueueError> {
        stream.set_nodelay(true)?;
        pulse.keep_alive(&stream);
        let stream = Arc::new(stream);
        Ok(Connection {
            input: FrameBuffer::new(),
            max_frame,
            skipping: 0,
            out: Outgoing::new(Arc::clone(&stream)),
            stream,
            pulse,
            since: Instant::now(),
            last: None,
            stuck: None,
        })
    }

    /// Asks after another silence.
    pub(super) fn set_keepalive(&mut self, silence: Option<Duration>, patience: Duration) {
        self.pulse = Pulse::new(silence, patience);
        self.pulse.keep_alive(&self.stream);
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
            let ready = wait(&*self.stream, PollFlags::IN | PollFlags::OUT, until)?;
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
            if wait(&*self.stream, flags, until)?.is_empty() && patience.is_over() {
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
        match self.input.read_from(&mut &*self.stream) {
            Ok(0) => Err(QueueError::Closed),
            Ok(_) => {
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
            Err(error) => Err(error.into()),
        }
    }
}
