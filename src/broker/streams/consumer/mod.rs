//! A durable consumer: which messages of a stream are settled, who has which of the others, and who
//! gets which next. It is a state machine without threads, clocks and files.
//!
//! Times are milliseconds of any clock that never goes back, since any moment.

mod look;
mod outcome;
mod settings;

pub use look::{Blind, Look, Sight};
pub use outcome::{Assignment, ConsumerReport, Dead, MemberId, WhyDead};
pub use settings::{ConsumerSettings, Order};

use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub struct Consumer {
    settings: ConsumerSettings,
}

impl Consumer {
    /// A consumer whose first message is `next`.
    pub fn new(settings: ConsumerSettings, next: u64) -> Consumer {
        Consumer::starting_with(settings, &[], next)
    }

    /// A consumer that gets the messages `selected` (ascending, below `next`), and then all from
    /// `next` on.
    pub fn starting_with(settings: ConsumerSettings, selected: &[u64], next: u64) -> Consumer {
        let _ = (selected, next);
        Consumer { settings }
    }

    /// A consumer as its notes have it, in the order in which they were taken. `log_next` is the
    /// number that the next message of the log will have: what notes say of those from there on is
    /// ignored, as a cut of power lost them. `None` where the notes end before the consumer was
    /// there. Call [`trimmed`](Self::trimmed) next, with the front of the log.
    ///
    /// # Errors
    /// Words that say which note is damaged, and how.
    pub fn restore<'a>(
        notes: impl IntoIterator<Item = &'a [u8]>,
        log_next: u64,
    ) -> Result<Option<Consumer>, String> {
        let _ = (notes.into_iter().count(), log_next);
        Ok(None)
    }

    /// What it was asked to be.
    pub fn settings(&self) -> &ConsumerSettings {
        &self.settings
    }

    /// Changes what it was asked to be, all but the filter. Another order makes what is outstanding
    /// due at once.
    pub fn set_settings(&mut self, settings: ConsumerSettings) {
        self.settings = ConsumerSettings { filter: self.settings.filter.clone(), ..settings };
    }

    /// Says whether the filter matches every message of the stream, so that nobody has to look. It
    /// is not noted: say so after [`restore`](Self::restore) too.
    pub fn set_covers_all(&mut self, covers_all: bool) {
        let _ = covers_all;
    }

    /// A member comes, or is there and has another window from now on.
    pub fn join(&mut self, member: MemberId, window: u32) {
        let _ = (member, window);
    }

    /// A member goes. What it had is due at once, or dead if that was the last attempt.
    pub fn leave(&mut self, member: MemberId, now: u64) {
        let _ = (member, now);
    }

    /// Gives members that have room their next messages, those before `end`, at most `most`, and
    /// pushes them to `out`. Returns whether there may be more to give at once: `most` was
    /// reached, or [`Look::look`] said [`Sight::Later`].
    pub fn assign(
        &mut self,
        now: u64,
        end: u64,
        look: &mut dyn Look,
        most: usize,
        out: &mut Vec<Assignment>,
    ) -> bool {
        let _ = (now, end, look, most, out);
        false
    }

    /// A message is acknowledged. Returns whether that was news.
    pub fn ack(&mut self, seq: u64) -> bool {
        let _ = seq;
        false
    }

    /// All that `member` has outstanding up to and with `seq` is acknowledged. Returns how many
    /// these were.
    pub fn ack_upto(&mut self, member: MemberId, seq: u64) -> u64 {
        let _ = (member, seq);
        0
    }

    /// An outstanding message is to be delivered again: after `delay`, or where there is none after
    /// the backoff of its attempt. Returns whether it was outstanding.
    pub fn nak(&mut self, seq: u64, delay: Option<Duration>, now: u64) -> bool {
        let _ = (seq, delay, now);
        false
    }

    /// The time to acknowledge an outstanding message begins anew. Returns whether it was
    /// outstanding.
    pub fn touch(&mut self, seq: u64, now: u64) -> bool {
        let _ = (seq, now);
        false
    }

    /// A message that is outstanding or waits is to become a dead letter. Returns whether it was.
    pub fn reject(&mut self, seq: u64, reason: &str) -> bool {
        let _ = (seq, reason);
        false
    }

    /// Messages whose time has come are due: those not acknowledged in time, and those that have
    /// waited for long enough. Call [`assign`](Self::assign) afterwards.
    pub fn expire(&mut self, now: u64) {
        let _ = now;
    }

    /// When [`expire`](Self::expire) has something to do.
    pub fn next_due(&mut self) -> Option<u64> {
        None
    }

    /// The messages that died since the last call. They are neither delivered nor settled until
    /// [`bury`](Self::bury) says that the dead letter is safe.
    pub fn take_dead(&mut self) -> Vec<Dead> {
        Vec::new()
    }

    /// The dead letter of a message is safe: the message is settled. Returns whether it was dead.
    pub fn bury(&mut self, seq: u64) -> bool {
        let _ = seq;
        false
    }

    /// A settled message below [`ConsumerReport::next`] is to be delivered again, as if for the
    /// first time. Returns whether it was settled.
    pub fn retry(&mut self, seq: u64) -> bool {
        let _ = seq;
        false
    }

    /// The log begins with `first` now: all before are settled. Returns how many were not yet.
    pub fn trimmed(&mut self, first: u64) -> u64 {
        let _ = first;
        0
    }

    /// These messages, `to` among them, cannot be read, or are deleted: they are settled. Returns
    /// how many were not yet.
    pub fn pass_over(&mut self, from: u64, to: u64) -> u64 {
        let _ = (from, to);
        0
    }

    /// Begins anew with the messages `selected` (ascending, below `next`) and all from `next` on.
    /// Members stay; what they have is not theirs any more.
    pub fn reset(&mut self, selected: &[u64], next: u64) {
        let _ = (selected, next);
    }

    /// Pushes to `out` what has changed since the last call, as small records for
    /// [`restore`](Self::restore). The first call after [`new`](Self::new) says all.
    pub fn take_notes(&mut self, out: &mut Vec<Vec<u8>>) {
        let _ = out;
    }

    /// All that is to be known after a restart, for the place of all notes before. They must take
    /// it in one step.
    pub fn snapshot(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// How far it is, where the log ends before `end`.
    pub fn report(&self, end: u64) -> ConsumerReport {
        let _ = end;
        ConsumerReport::default()
    }

    /// Bytes that it takes, about.
    pub fn memory(&self) -> usize {
        0
    }
}
