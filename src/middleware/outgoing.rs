//! What a client sends: at once, or together with what it sends next.
//!
//! A frame by itself is written at once. Once [`BURST`] of them have come, each within [`CLOSE`] of
//! the write before, the next wait for their neighbours, until they are [`FULL`] bytes, until the
//! client waits for something, or until [`TAIL`] is over, which the thread of `tail` sees to. So a
//! client that pushes now and then, or that answers what another asks, writes each message as it
//! comes, and one that pushes as fast as it can makes one call of the system for hundreds of them.

mod tail;

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Frames that are less apart may be a burst. It takes longer to make some messages, and then to
/// write each by itself costs no more than to make it.
const CLOSE: Duration = Duration::from_micros(5);
/// So many in a row are one. An answer from another process may be as close now and then, and two
/// that talk to each other are not to wait.
const BURST: u32 = 4;
/// No frame waits much longer for others.
pub(super) const TAIL: Duration = Duration::from_micros(100);
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
    /// How many bytes the system has taken, of all that there were.
    taken: u64,
    last: Option<Instant>,
    /// How many frames in a row came close to the write before.
    row: u32,
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
        if waiting.bytes.is_empty() {
            let is_close = waiting.last.is_some_and(|last| last.elapsed() < CLOSE);
            waiting.row = if is_close { waiting.row.saturating_add(1) } else { 0 };
            if waiting.row < BURST {
                return false;
            }
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
            let written = write_some(&self.stream, frame)?;
            waiting.taken += written as u64;
            frame = &frame[written..];
            waiting.last = Some(Instant::now());
        }
        waiting.bytes.extend_from_slice(frame);
        Ok(())
    }

    /// Writes what waits, as far as the system takes it; returns whether that was all.
    pub(super) fn write(&self) -> io::Result<bool> {
        self.lock().write(&self.stream)
    }

    /// How many bytes the system has taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.lock().taken
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
        let written = write_some(stream, &self.bytes[self.written..])?;
        self.taken += written as u64;
        self.written += written;
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
