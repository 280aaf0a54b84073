//! What a client sends: at once, or together with what it sends next.
//!
//! A frame by itself is written at once. One that follows a write within [`GAP`] waits for its
//! neighbours, until they are [`FULL`] bytes, until the client waits for something, or until
//! another [`GAP`] is over, which the thread of `tail` sees to. So a client that pushes now and
//! then writes each message as it comes, and one that pushes as fast as it can makes one call of
//! the system for hundreds of them.

mod tail;

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Frames that are less apart share a write, and none waits longer.
pub(super) const GAP: Duration = Duration::from_micros(200);
/// Bytes that are written although more may come.
const FULL: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Outgoing {
    stream: Arc<TcpStream>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many of them were written.
    written: usize,
    last: Option<Instant>,
    /// Whether the tail will look after it.
    watched: bool,
}

impl Outgoing {
    pub(super) fn new(stream: Arc<TcpStream>) -> Arc<Outgoing> {
        Arc::new(Outgoing { stream, waiting: Mutex::default() })
    }

    /// Takes a frame that may wait for its neighbours; `false` where it is to be sent now.
    pub(super) fn defer(self: &Arc<Self>, frame: &[u8]) -> bool {
        let mut waiting = self.lock();
        if waiting.bytes.len() + frame.len() > FULL {
            return false;
        }
        if waiting.bytes.is_empty() && waiting.last.is_none_or(|last| last.elapsed() > GAP) {
            return false;
        }
        if !waiting.watched {
            waiting.watched = tail::watch(self);
            if !waiting.watched {
                return false;
            }
        }
        waiting.bytes.extend_from_slice(frame);
        true
    }

    /// Writes what waits and then a frame, as far as the system takes it; what it does not take
    /// waits.
    pub(super) fn send(&self, mut frame: &[u8]) -> io::Result<()> {
        let mut waiting = self.lock();
        // Where nothing is before it, it need not be copied.
        if waiting.write(&self.stream)? && !frame.is_empty() {
            frame = &frame[write_some(&self.stream, frame)?..];
            waiting.last = Some(Instant::now());
        }
        waiting.bytes.extend_from_slice(frame);
        Ok(())
    }

    /// Writes what waits, as far as the system takes it; returns whether that was all.
    pub(super) fn write(&self) -> io::Result<bool> {
        self.lock().write(&self.stream)
    }

    /// Writes what waits, for the thread of the tail; returns whether it should look again, and
    /// whether anything could be written.
    pub(super) fn tick(&self) -> (bool, bool) {
        let mut waiting = self.lock();
        let before = waiting.left();
        // A connection that broke is the matter of whoever uses it next.
        waiting.watched = before > 0 && waiting.write(&self.stream).is_ok();
        (waiting.watched, waiting.left() < before)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn left(&self) -> usize {
        self.bytes.len() - self.written
    }

    fn write(&mut self, stream: &TcpStream) -> io::Result<bool> {
        self.written += write_some(stream, &self.bytes[self.written..])?;
        if self.left() > 0 {
            return Ok(false);
        }
        if self.written > 0 {
            self.last = Some(Instant::now());
            self.written = 0;
            self.bytes.clear();
            // What a large message needed is not kept for the small ones.
            self.bytes.shrink_to(2 * FULL);
        }
        Ok(true)
    }
}

/// Writes as much as the system takes; returns how much that was.
fn write_some(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
