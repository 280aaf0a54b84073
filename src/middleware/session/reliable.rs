//! Messages that are kept until the broker has confirmed them, and sent again after a loss.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::mem;
use std::time::Duration;

use super::Session;
use crate::codec::FrameField;
use crate::middleware::error::QueueError;
use crate::middleware::patience::Patience;
use crate::middleware::wire::{Wire, write_command};

/// Messages and bytes that are kept at most: a push waits where there are more.
const MOST: usize = 16_384;
const MOST_BYTES: usize = 8 << 20;
/// Messages of a burst that are confirmed together.
const TOGETHER: u32 = 64;

/// What no `pong` has confirmed.
pub(super) struct Unconfirmed {
    /// What the ids of this queue begin with: no other queue's do.
    prefix: String,
    /// How many ids there were.
    ids: u64,
    frames: VecDeque<Frame>,
    bytes: usize,
    /// How many were sent since the last ping.
    unasked: u32,
}

struct Frame {
    bytes: Vec<u8>,
    /// The first ping whose answer confirms it.
    ping: i64,
}

impl Unconfirmed {
    pub(super) fn new() -> Unconfirmed {
        // Keys of the system's own chance: 128 bits of it.
        let chance = || RandomState::new().hash_one(std::process::id());
        let prefix = format!("{:016x}{:016x}", chance(), chance());
        Unconfirmed { prefix, ids: 0, frames: VecDeque::new(), bytes: 0, unasked: 0 }
    }

    fn is_full(&self) -> bool {
        self.frames.len() >= MOST || self.bytes >= MOST_BYTES
    }

    fn keep(&mut self, bytes: Vec<u8>, ping: i64) {
        self.bytes += bytes.len();
        self.frames.push_back(Frame { bytes, ping });
    }

    /// Forgets what the answer to a ping confirms.
    pub(super) fn confirm(&mut self, ping: i64) {
        while self.frames.front().is_some_and(|frame| frame.ping <= ping) {
            let frame = self.frames.pop_front();
            self.bytes -= frame.map_or(0, |frame| frame.bytes.len());
        }
    }
}

impl<W: Wire> Session<W> {
    /// From now on what is pushed is kept until it is confirmed.
    pub(in crate::middleware) fn keep_unconfirmed(&mut self) {
        self.kept_frames = Some(Unconfirmed::new());
    }

    /// An id for the next message, where messages have one.
    pub(in crate::middleware) fn next_id(&mut self) -> Option<String> {
        let kept = self.kept_frames.as_mut()?;
        kept.ids += 1;
        Some(format!("{}-{}", kept.prefix, kept.ids))
    }

    /// How many messages are not confirmed yet.
    pub(in crate::middleware) fn unconfirmed(&self) -> usize {
        self.kept_frames.as_ref().map_or(0, |kept| kept.frames.len())
    }

    /// Keeps the frame that was written, and sends it as soon as there is a connection.
    pub(super) fn push_reliably(&mut self) -> Result<(), QueueError> {
        let frame = mem::take(&mut self.frame);
        self.make_room()?;
        self.frame.extend_from_slice(&frame);
        let next = self.pings + 1;
        let Some(kept) = &mut self.kept_frames else { return Ok(()) };
        kept.keep(frame, next);
        kept.unasked += 1;
        let is_enough = kept.unasked >= TOGETHER;
        if self.link.is_none() {
            // It goes out with all that is kept; where there is no connection now, with the next.
            return match self.connect(Patience::new(Some(Duration::ZERO))) {
                Err(QueueError::TimedOut) => Ok(()),
                other => other,
            };
        }
        if is_enough {
            self.ask();
        }
        if let Some(link) = &self.link
            && link.defer(&self.frame)
        {
            return if is_enough { self.take_in_waiting() } else { Ok(()) };
        }
        if !is_enough {
            self.ask();
        }
        self.send(Patience::Endless)?;
        self.take_in_waiting()
    }

    /// Adds a ping to the frame.
    fn ask(&mut self) {
        self.write_ping();
        if let Some(kept) = &mut self.kept_frames {
            kept.unasked = 0;
        }
    }

    /// Waits until there is room for another message.
    fn make_room(&mut self) -> Result<(), QueueError> {
        let patience = self.patience();
        while self.kept_frames.as_ref().is_some_and(Unconfirmed::is_full) {
            self.connect(patience)?;
            self.frame.clear();
            self.confirm(patience)?;
            if let Some(unsaved) = self.answers.unsaved.take() {
                self.frame.clear();
                return Err(QueueError::Refused(unsaved));
            }
        }
        self.frame.clear();
        Ok(())
    }

    /// Adds what is not confirmed to the first words on a new connection.
    pub(super) fn repeat_unconfirmed(&mut self, out: &mut Vec<u8>) {
        let Some(kept) = self.kept_frames.as_mut().filter(|kept| !kept.frames.is_empty()) else {
            return;
        };
        self.pings += 1;
        for frame in &mut kept.frames {
            frame.ping = self.pings;
            out.extend_from_slice(&frame.bytes);
        }
        kept.unasked = 0;
        write_command(W::FORMAT, "ping", &[("id", FrameField::Int(self.pings))], out);
    }
}
