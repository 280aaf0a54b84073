//! What is written down of a consumer, so that it is there after a restart.
//!
//! A note is a byte for the version, one for the kind, and the rest by kind. Numbers are LEB128:
//! seven bits a byte, the lowest first. Ranges are pairs: how far the first number is from the one
//! behind the range before, and how many follow it.

use super::outcome::{Dead, WhyDead};
use super::ranges::{Ranges, width};
use super::settings::{ConsumerSettings, Order};

/// The version of notes.
pub(super) const VERSION: u8 = 1;

/// Messages that stay when all else is settled by the next beginning; before them a byte that says
/// whether these are the first, as a crash may leave others without their beginning.
pub(super) const STAGED: u8 = 1;
/// Whether there are staged messages, a number, settings: all messages before the number are settled,
/// but for the staged ones; nothing that was noted before matters.
pub(super) const BEGIN: u8 = 2;
/// Settings.
pub(super) const SETTINGS: u8 = 3;
/// Ranges that are settled.
pub(super) const SETTLED: u8 = 4;
/// A number, and ranges for whose messages so many attempts were begun.
pub(super) const ATTEMPTS: u8 = 5;
/// A dead message.
pub(super) const DEAD: u8 = 6;
/// A settled message that is to be delivered again.
pub(super) const RETRY: u8 = 7;

/// The bit beside the order that says that what is below the filter's topics is not meant.
pub(super) const NOT_BELOW: u8 = 2;

/// Bytes of ranges in one note, about.
const NOTE_BYTES: usize = 4096;

/// Messages that one range of an attempt has at most.
pub(super) const ATTEMPT_WIDTH: u64 = 65_536;

/// Ranges that are gathered before they are written.
const GATHERED: usize = 65_536;

/// Changes that were not taken yet.
#[derive(Debug, Default)]
pub(super) struct Notes {
    done: Vec<Vec<u8>>,
    settled: Vec<(u64, u64)>,
    attempts: Vec<(u32, u64, u64)>,
}

impl Notes {
    /// Forgets all, for these.
    pub(super) fn replace(&mut self, notes: Vec<Vec<u8>>) {
        *self = Notes { done: notes, ..Notes::default() };
    }

    pub(super) fn take(&mut self, out: &mut Vec<Vec<u8>>) {
        self.flush();
        out.append(&mut self.done);
    }

    pub(super) fn settled(&mut self, from: u64, to: u64) {
        match self.settled.last_mut() {
            Some(last) if last.1.checked_add(1) == Some(from) => last.1 = to,
            _ => {
                self.settled.push((from, to));
                if self.settled.len() == GATHERED {
                    self.flush();
                }
            }
        }
    }

    pub(super) fn attempt(&mut self, from: u64, to: u64, attempt: u32) {
        self.attempts.push((attempt, from, to));
        if self.attempts.len() == GATHERED {
            self.flush();
        }
    }

    pub(super) fn died(&mut self, dead: &Dead) {
        self.flush();
        self.done.push(dead_note(dead));
    }

    pub(super) fn retry(&mut self, seq: u64) {
        self.flush();
        let mut note = vec![VERSION, RETRY];
        put(&mut note, seq);
        self.done.push(note);
    }

    pub(super) fn settings(&mut self, settings: &ConsumerSettings) {
        let mut note = vec![VERSION, SETTINGS];
        put_settings(&mut note, settings);
        self.done.push(note);
    }

    /// Writes what was gathered.
    fn flush(&mut self) {
        self.settled.sort_unstable();
        put_ranges(&[VERSION, SETTLED], self.settled.drain(..), &mut self.done);
        self.attempts.sort_unstable();
        put_attempts(&self.attempts, &mut self.done);
        self.attempts.clear();
    }

    /// Bytes that it takes, about.
    pub(super) fn memory(&self) -> usize {
        let done: usize = self.done.iter().map(|note| note.capacity() + 24).sum();
        done + self.settled.capacity() * 16 + self.attempts.capacity() * 24
    }
}

/// All that there is to say of a consumer that has not settled these messages.
pub(super) fn beginning(
    settings: &ConsumerSettings,
    unsettled: &Ranges,
    next: u64,
) -> Vec<Vec<u8>> {
    let mut notes = Vec::new();
    put_ranges(&[VERSION, STAGED, 0], unsettled.iter(), &mut notes);
    if let Some(first) = notes.first_mut() {
        first[2] = 1;
    }
    let mut note = vec![VERSION, BEGIN, u8::from(!notes.is_empty())];
    put(&mut note, next);
    put_settings(&mut note, settings);
    notes.push(note);
    notes
}

pub(super) fn dead_note(dead: &Dead) -> Vec<u8> {
    let mut note = vec![VERSION, DEAD];
    put(&mut note, dead.seq);
    put(&mut note, u64::from(dead.attempts));
    match &dead.why {
        WhyDead::Exhausted => note.push(0),
        WhyDead::Rejected(reason) => {
            note.push(1);
            note.extend_from_slice(reason.as_bytes());
        }
    }
    note
}

/// Attempts and the ranges for which they were begun, sorted.
pub(super) fn put_attempts(attempts: &[(u32, u64, u64)], out: &mut Vec<Vec<u8>>) {
    for same in attempts.chunk_by(|one, other| one.0 == other.0) {
        let mut head = vec![VERSION, ATTEMPTS];
        put(&mut head, u64::from(same[0].0));
        let pieces = same.iter().flat_map(|&(_, from, to)| {
            (from..=to)
                .step_by(ATTEMPT_WIDTH as usize)
                .map(move |from| (from, to.min(from.saturating_add(ATTEMPT_WIDTH - 1))))
        });
        put_ranges(&head, pieces, out);
    }
}

/// Notes of ascending ranges, which may touch and overlap.
fn put_ranges(head: &[u8], ranges: impl Iterator<Item = (u64, u64)>, out: &mut Vec<Vec<u8>>) {
    let widest = if head[1] == ATTEMPTS { ATTEMPT_WIDTH } else { u64::MAX };
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, to) in ranges {
        match joined.last_mut() {
            Some(last)
                if from <= last.1.saturating_add(1) && width(last.0, to.max(last.1)) <= widest =>
            {
                last.1 = last.1.max(to);
            }
            Some(last) if from <= last.1 => {
                let from = last.1 + 1;
                if from <= to {
                    joined.push((from, to));
                }
            }
            _ => joined.push((from, to)),
        }
    }
    let mut note = Vec::new();
    let mut behind = 0;
    for (from, to) in joined {
        if note.is_empty() {
            note.extend_from_slice(head);
            behind = 0;
        }
        put(&mut note, from - behind);
        put(&mut note, to - from);
        behind = to.saturating_add(1);
        if note.len() >= NOTE_BYTES {
            out.push(std::mem::take(&mut note));
        }
    }
    if !note.is_empty() {
        out.push(note);
    }
}

fn put_settings(note: &mut Vec<u8>, settings: &ConsumerSettings) {
    let ConsumerSettings { filter, window, ack_wait, max_deliver, backoff, order } = settings;
    put(note, filter.as_str().len() as u64);
    note.extend_from_slice(filter.as_str().as_bytes());
    put(note, u64::from(*window));
    put(note, u64::from(*max_deliver));
    let order = match order {
        Order::None => 0,
        Order::ByTopic => 1,
    };
    note.push(order | if filter.reaches_below() { 0 } else { NOT_BELOW });
    for time in std::iter::once(ack_wait).chain(backoff) {
        put(note, time.as_secs());
        put(note, u64::from(time.subsec_nanos()));
    }
}

fn put(note: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        note.push(number as u8 | 0x80);
        number >>= 7;
    }
    note.push(number as u8);
}
