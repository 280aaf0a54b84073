//! The messages that were looked at and are not settled: who has them, and which wait for what.

use std::collections::{BTreeMap, BTreeSet};

use super::lanes::{Lanes, Listed, Topic};
use super::members::{Members, Slot};
use super::ranges::width;

/// What becomes of messages that are not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A member has them, until then.
    Out { member: Slot, due: u64 },
    /// They wait until then.
    Paused { due: u64 },
    /// They wait for a member.
    Ready,
    /// They are to become dead letters.
    Dead,
}

/// Neighbours whose state is the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// The number of the first.
    pub(super) from: u64,
    /// The number of the last, by which it is found.
    pub(super) to: u64,
    /// How many attempts were begun.
    pub(super) attempts: u32,
    /// Their topic, where order is by topic.
    pub(super) topic: Topic,
    pub(super) state: State,
}

impl Run {
    pub(super) fn width(&self) -> u64 {
        width(self.from, self.to)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// By their last numbers. No two overlap.
    runs: BTreeMap<u64, Run>,
    pub(super) members: Members,
    pub(super) lanes: Lanes,
    /// Runs that are due and that anybody may have, by their last numbers.
    pub(super) ready: BTreeSet<u64>,
    /// Order is by topic.
    pub(super) by_topic: bool,
    /// Messages that members have.
    pub(super) out: u64,
    /// Messages that wait, and dead ones.
    pub(super) aside: u64,
}

impl Work {
    pub(super) fn new(by_topic: bool) -> Work {
        Work { by_topic, ..Work::default() }
    }

    /// How many runs there are.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// All runs, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// The run of a number, or the next one behind it.
    pub(super) fn at_or_after(&self, seq: u64) -> Option<Run> {
        self.runs.range(seq..).next().map(|(_, run)| *run)
    }

    /// The run of a number.
    pub(super) fn at(&self, seq: u64) -> Option<Run> {
        self.at_or_after(seq).filter(|run| run.from <= seq)
    }

    /// Adds a run of messages that are in none.
    pub(super) fn insert(&mut self, run: Run) {
        self.runs.insert(run.to, run);
        match run.state {
            State::Out { member, .. } => {
                self.out += run.width();
                self.members.take(member, run.width());
                if self.by_topic {
                    let change = self.lanes.take(run.topic, member, run.width());
                    self.list(change);
                }
            }
            _ => self.aside += run.width(),
        }
        self.index(&run);
    }

    /// Takes the messages `from` to `to` out of a run that has them all.
    pub(super) fn cut(&mut self, run: Run, from: u64, to: u64) -> Run {
        let piece = Run { from, to, ..run };
        if to < run.to {
            if let Some(rest) = self.runs.get_mut(&run.to) {
                rest.from = to + 1;
            }
        } else {
            self.runs.remove(&run.to);
            self.unindex(&run);
        }
        if from > run.from {
            let before = Run { to: from - 1, ..run };
            self.runs.insert(before.to, before);
            self.index(&before);
        }
        match run.state {
            State::Out { member, .. } => {
                self.out -= piece.width();
                self.members.give_back(member, piece.width());
                if self.by_topic {
                    let change = self.lanes.give_back(run.topic, piece.width());
                    self.list(change);
                }
            }
            _ => self.aside -= piece.width(),
        }
        piece
    }

    /// Takes everything away but the members.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.ready.clear();
        self.lanes.clear();
        self.members.clear();
        self.out = 0;
        self.aside = 0;
    }

    /// Makes a run known where one of its state is looked for.
    fn index(&mut self, run: &Run) {
        match run.state {
            State::Out { member, .. } => {
                if let Some(member) = self.members.get_mut(member) {
                    member.runs.insert(run.to);
                }
            }
            State::Paused { .. } | State::Ready if self.by_topic => {
                let change = self.lanes.wait(run.topic, run.to, run.state == State::Ready);
                self.list(change);
            }
            State::Ready => {
                self.ready.insert(run.to);
            }
            State::Paused { .. } | State::Dead => {}
        }
    }

    fn unindex(&mut self, run: &Run) {
        match run.state {
            State::Out { member, .. } => {
                if let Some(member) = self.members.get_mut(member) {
                    member.runs.remove(&run.to);
                }
            }
            State::Paused { .. } | State::Ready if self.by_topic => {
                let change = self.lanes.go_on(run.topic, run.to);
                self.list(change);
            }
            State::Ready => {
                self.ready.remove(&run.to);
            }
            State::Paused { .. } | State::Dead => {}
        }
    }

    /// Lists the run that is next of a topic where those who may have it look.
    fn list(&mut self, (before, after): (Listed, Listed)) {
        if before == after {
            return;
        }
        if let Some((last, owner)) = before
            && let Some(list) = self.list_of(owner)
        {
            list.remove(&last);
        }
        if let Some((last, owner)) = after
            && let Some(list) = self.list_of(owner)
        {
            list.insert(last);
        }
    }

    fn list_of(&mut self, owner: Option<Slot>) -> Option<&mut BTreeSet<u64>> {
        match owner {
            None => Some(&mut self.ready),
            Some(slot) => self.members.get_mut(slot).map(|member| &mut member.ready),
        }
    }
}
