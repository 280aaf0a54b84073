//! What a client sends: at once, or together with what it sends next.
//!
//! A frame by itself is written at once. Once [`BURST`] of them have come, each within [`CLOSE`] of
//! the write before, the next wait for their neighbours, until they are [`FULL`] bytes, until the
//! client waits for something, or until [`TAIL`] is over, which the thread of `tail` sees to. So a
//! client that pushes now and then, or that answers what another asks, writes each message as it
//! comes, and one that pushes as fast as it can makes one call of the system for hundreds of them.

mod tail;
#[cfg(test)]
#[cfg(all(feature = "tls", not(shuttle)))]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::line::Writer;

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
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    writer: Writer,
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
    pub(super) fn new(writer: Writer) -> Arc<Outgoing> {
        let waiting = Waiting {
            writer,
            bytes: Vec::new(),
            written: 0,
            taken: 0,
            last: None,
            row: 0,
            watched: false,
        };
        Arc::new(Outgoing { waiting: Mutex::new(waiting) })
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

    /// Takes a frame that waits for its neighbours, and for the next write. It may come from another
    /// thread than that of the client, which may be waiting.
    pub(super) fn join(self: &Arc<Self>, frame: &[u8]) {
        let mut waiting = self.lock();
        waiting.bytes.extend_from_slice(frame);
        if !waiting.watched {
            waiting.watched = tail::watch(self);
        }
        if !waiting.watched || waiting.bytes.len() > FULL {
            // A connection that broke is the matter of whoever uses it next.
            let _ = waiting.write();
        }
    }

    /// Writes what waits and then a frame, as far as the system takes it; what it does not take
    /// waits.
    pub(super) fn send(&self, mut frame: &[u8]) -> io::Result<()> {
        let mut waiting = self.lock();
        // Where nothing is before it, it need not be copied.
        if waiting.write()? && !frame.is_empty() {
            let pushed = waiting.writer.push(frame)?;
            waiting.taken += pushed.sent as u64;
            frame = &frame[pushed.taken..];
            waiting.last = Some(Instant::now());
        }
        waiting.bytes.extend_from_slice(frame);
        Ok(())
    }

    /// Writes what waits, as far as the system takes it; returns whether that was all.
    pub(super) fn write(&self) -> io::Result<bool> {
        self.lock().write()
    }

    /// How many bytes the system has taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// Writes what waits, for the thread of the tail; returns whether it should look again, and
    /// whether anything could be written.
    pub(super) fn tick(&self) -> (bool, bool) {
        let mut waiting = self.lock();
        let before = waiting.taken;
        // A connection that broke is the matter of whoever uses it next.
        waiting.watched = waiting.is_any() && waiting.write().is_ok();
        (waiting.watched, waiting.taken > before)
    }

    /// Says that nothing follows, unless something still waits that belongs before it.
    pub(super) fn end(&self) {
        let mut waiting = self.lock();
        if !waiting.is_any() {
            waiting.writer.end();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether the system has not taken everything.
    fn is_any(&self) -> bool {
        self.written < self.bytes.len() || !self.writer.is_settled()
    }

    fn write(&mut self) -> io::Result<bool> {
        let pushed = self.writer.push(&self.bytes[self.written..])?;
        self.taken += pushed.sent as u64;
        self.written += pushed.taken;
        if self.is_any() {
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
