//! What becomes of messages that were delivered: settled, due again, or dead.

use std::time::Duration;

use super::Consumer;
use super::outcome::{Dead, MemberId, WhyDead};
use super::settings::millis;
use super::work::{Run, State};

/// Runs that one call of `expire` looks at; what is left is due at once.
const RUNS_AT_ONCE: usize = 4096;

/// Bytes of a reason that are kept.
const REASON_BYTES: usize = 1024;

impl Consumer {
    /// A message is acknowledged. Returns whether that was news: it was outstanding, or waited to
    /// be delivered again.
    pub fn ack(&mut self, seq: u64) -> bool {
        let Some(run) = self.work.at(seq).filter(was_delivered) else {
            return false;
        };
        self.work.cut(run, seq, seq);
        self.notes.settled(seq, seq);
        true
    }

    /// All that `member` has outstanding up to and with `seq` is acknowledged. Returns how many
    /// these were.
    pub fn ack_upto(&mut self, member: MemberId, seq: u64) -> u64 {
        let mut settled = 0;
        while let Some(run) = self.first_of(member).filter(|run| run.from <= seq) {
            let piece = self.work.cut(run, run.from, run.to.min(seq));
            self.notes.settled(piece.from, piece.to);
            settled += piece.width();
        }
        settled
    }

    /// The first that a member has outstanding.
    fn first_of(&self, member: MemberId) -> Option<Run> {
        let slot = self.work.members.slot(member)?;
        let last = self.work.members.get(slot)?.runs.first()?;
        self.work.at(*last)
    }

    /// An outstanding message is to be delivered again: after `delay`, or where there is none after
    /// the backoff of its attempt. It is dead if that was its last. Returns whether it was
    /// outstanding.
    pub fn nak(&mut self, seq: u64, delay: Option<Duration>, now: u64) -> bool {
        let Some(run) = self.work.at(seq).filter(is_out) else {
            return false;
        };
        let piece = self.work.cut(run, seq, seq);
        let pause = delay.map_or_else(|| self.settings.pause_after(run.attempts), millis);
        self.fail(piece, pause, now);
        self.tidy();
        true
    }

    /// The time to acknowledge an outstanding message begins anew. Returns whether it was
    /// outstanding.
    pub fn touch(&mut self, seq: u64, now: u64) -> bool {
        let Some(run) = self.work.at(seq) else {
            return false;
        };
        let State::Out { member, .. } = run.state else {
            return false;
        };
        let due = now.saturating_add(self.settings.patience());
        let piece = self.work.cut(run, seq, seq);
        self.work.insert(Run { state: State::Out { member, due }, ..piece });
        self.timers.push((due, seq, seq));
        self.tidy();
        true
    }

    /// A message that is outstanding, or waits to be delivered again, is to become a dead letter.
    /// Of the reason 1,024 bytes are kept. Returns whether it was one of these.
    pub fn reject(&mut self, seq: u64, reason: &str) -> bool {
        let Some(run) = self.work.at(seq).filter(was_delivered) else {
            return false;
        };
        let piece = self.work.cut(run, seq, seq);
        let mut end = reason.len().min(REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let reason = &reason[..end];
        self.die(piece, &WhyDead::Rejected(reason.to_owned()));
        true
    }

    /// A member goes. What it had is due at once. The oldest is dead if that was its last attempt:
    /// it may be what the member has died of, and the others were perhaps never looked at.
    pub fn leave(&mut self, member: MemberId, now: u64) {
        if let Some(run) = self.first_of(member) {
            let oldest = self.work.cut(run, run.from, run.from);
            self.fail(oldest, 0, now);
        }
        while let Some(run) = self.first_of(member) {
            let piece = self.work.cut(run, run.from, run.to);
            self.work.insert(Run { state: State::Ready, ..piece });
        }
        if let Some(slot) = self.work.members.slot(member) {
            self.work.members.leave(slot);
        }
    }

    /// Messages whose time has come are due: those not acknowledged in time, and those that have
    /// waited for long enough. Where these are very many, some are left to the next call, and
    /// [`next_due`](Self::next_due) says so. Returns whether there were any.
    pub fn expire(&mut self, now: u64) -> bool {
        let mut left = RUNS_AT_ONCE;
        while let Some((at, from, to)) = self.timers.first().filter(|(at, ..)| *at <= now) {
            self.timers.pop();
            let mut seq = from;
            while let Some(run) = self.work.at_or_after(seq).filter(|run| run.from <= to) {
                if left == 0 {
                    self.timers.push((at, seq, to));
                    return true;
                }
                left -= 1;
                let end = run.to.min(to);
                if due_of(&run).is_some_and(|due| due <= now) {
                    let piece = self.work.cut(run, run.from.max(seq), end);
                    self.come_due(piece, now);
                }
                if end == to {
                    break;
                }
                seq = end + 1;
            }
        }
        left < RUNS_AT_ONCE
    }

    fn come_due(&mut self, run: Run, now: u64) {
        if is_out(&run) {
            self.fail(run, self.settings.pause_after(run.attempts), now);
        } else {
            self.work.insert(Run { state: State::Ready, ..run });
        }
    }

    /// When [`expire`](Self::expire) has something to do. A call may find that earlier times have
    /// lost their meaning, and forgets these.
    pub fn next_due(&mut self) -> Option<u64> {
        while let Some((at, from, to)) = self.timers.first() {
            let mut seq = from;
            while let Some(run) = self.work.at_or_after(seq).filter(|run| run.from <= to) {
                if due_of(&run).is_some_and(|due| due <= at) {
                    if run.from > from {
                        self.timers.pop();
                        self.timers.push((at, run.from, to));
                    }
                    return Some(at);
                }
                if run.to >= to {
                    break;
                }
                seq = run.to + 1;
            }
            self.timers.pop();
        }
        None
    }

    /// The messages that died since the last call. They are neither delivered nor settled until
    /// [`bury`](Self::bury) says that the dead letter is safe. After a restart those that were not
    /// buried come again.
    pub fn take_dead(&mut self) -> Vec<Dead> {
        self.died.drain(..).filter_map(|seq| self.dead.get(&seq).cloned()).collect()
    }

    /// The dead letter of a message is safe, or is not to be: the message is settled. Returns
    /// whether it was dead.
    pub fn bury(&mut self, seq: u64) -> bool {
        match self.work.at(seq) {
            Some(run) if run.state == State::Dead => self.settle(seq, seq) > 0,
            _ => false,
        }
    }

    /// Whether no more attempts may follow so many.
    pub(super) fn is_over(&self, attempts: u32) -> bool {
        attempts >= self.settings.max_deliver.max(1)
    }

    /// An attempt has failed, for messages that are in no run any more.
    fn fail(&mut self, run: Run, pause: u64, now: u64) {
        if self.is_over(run.attempts) {
            self.die(run, &WhyDead::Exhausted);
        } else if pause == 0 {
            self.work.insert(Run { state: State::Ready, ..run });
        } else {
            let due = now.saturating_add(pause);
            self.work.insert(Run { state: State::Paused { due }, ..run });
            self.timers.push((due, run.from, run.to));
        }
    }

    /// Messages that are in no run are dead.
    pub(super) fn die(&mut self, run: Run, why: &WhyDead) {
        self.work.insert(Run { state: State::Dead, ..run });
        for seq in run.from..=run.to {
            let dead = Dead { seq, attempts: run.attempts, why: why.clone() };
            self.notes.died(&dead);
            self.dead.insert(seq, dead);
            self.died.push(seq);
            self.deaths += 1;
        }
    }

    /// Settles all from one number to another, in whatever state. Returns how many were not yet.
    pub(super) fn settle(&mut self, from: u64, to: u64) -> u64 {
        let mut settled = self.ahead.remove(from, to);
        while let Some(run) = self.work.at_or_after(from).filter(|run| run.from <= to) {
            let piece = self.work.cut(run, run.from.max(from), run.to.min(to));
            settled = piece.width().saturating_add(settled);
            while piece.state == State::Dead
                && let Some((&seq, _)) = self.dead.range(piece.from..=piece.to).next()
            {
                self.dead.remove(&seq);
            }
        }
        if settled > 0 {
            self.notes.settled(from, to);
        }
        settled
    }

    /// Forgets times that have lost their meaning, where these are many.
    pub(super) fn tidy(&mut self) {
        if self.timers.are_stale(self.work.len()) {
            let runs = self.work.iter();
            self.timers.replace(runs.filter_map(|run| Some((due_of(run)?, run.from, run.to))));
        }
    }
}

fn is_out(run: &Run) -> bool {
    matches!(run.state, State::Out { .. })
}

/// Whether a run can be acknowledged: held ones were never delivered, and dead ones are no longer
/// anybody's.
fn was_delivered(run: &Run) -> bool {
    run.state != State::Dead && run.attempts > 0
}

fn due_of(run: &Run) -> Option<u64> {
    match run.state {
        State::Out { due, .. } | State::Paused { due } => Some(due),
        State::Ready | State::Dead => None,
    }
}
