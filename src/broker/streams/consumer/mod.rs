//! A durable consumer: which messages of a stream are settled, who has which of the others, and who
//! gets which next. It is a state machine without threads, clocks and files.
//!
//! Times are milliseconds of any clock that never goes back, since any moment.
//!
//! A message is ahead until it is looked at. Then it is in a run, with its neighbours of the same
//! state (see `State`), and when it is settled it is nowhere: what is neither ahead nor in a run is
//! settled. So the memory that a consumer takes grows with the messages that are in members' hands,
//! wait or are dead, and not with those before or behind them. Where too many wait, no new ones are
//! looked at.

mod ahead;
mod assign;
mod lanes;
mod look;
mod members;
mod notes;
mod outcome;
mod ranges;
mod restore;
mod settings;
mod settle;
mod timers;
mod work;

#[cfg(test)]
mod tests;

pub use look::{Blind, Look, Sight};
pub use outcome::{Assignment, ConsumerReport, Dead, MemberId, WhyDead};
pub use settings::{ConsumerSettings, Order};

use std::collections::BTreeMap;

use ahead::Ahead;
use members::Member;
use notes::Notes;
use ranges::Ranges;
use timers::Timers;
use work::{Run, State, Work};

/// A durable consumer of one stream.
///
/// ```
/// use babelmq::TopicFilter;
/// use babelmq::broker::{Assignment, Blind, Consumer, ConsumerSettings, MemberId};
///
/// let mut consumer = Consumer::new(ConsumerSettings::new(TopicFilter::parse("orders")?), 1);
/// consumer.set_covers_all(true);
/// let member = MemberId(7);
/// consumer.join(member, 256);
/// let mut given = Vec::new();
/// consumer.assign(0, 11, &mut Blind, 100, &mut given);
/// assert_eq!(given, [Assignment { member, from: 1, to: 10, attempt: 1 }]);
///
/// consumer.ack_upto(member, 8);
/// consumer.ack(10);
/// let mut notes = Vec::new();
/// consumer.take_notes(&mut notes);
/// let notes = notes.iter().map(Vec::as_slice);
/// let mut consumer = Consumer::restore(notes, 11).unwrap().unwrap();
/// assert_eq!(consumer.report(11).floor, 8);
/// consumer.join(member, 256);
/// consumer.set_covers_all(true);
/// given.clear();
/// consumer.assign(0, 11, &mut Blind, 100, &mut given);
/// assert_eq!(given, [Assignment { member, from: 9, to: 9, attempt: 1 }]);
/// # Ok::<(), babelmq::Refusal>(())
/// ```
#[derive(Debug)]
pub struct Consumer {
    settings: ConsumerSettings,
    /// The filter matches every message of the stream.
    covers_all: bool,
    ahead: Ahead,
    work: Work,
    timers: Timers,
    /// Those of the dead runs.
    dead: BTreeMap<u64, Dead>,
    /// Those of them that nobody was told of.
    died: Vec<u64>,
    notes: Notes,
    redelivered: u64,
    deaths: u64,
    /// Memory for what is about to be given.
    gathered: Vec<Run>,
}

impl Consumer {
    /// A consumer whose first message is `next`.
    pub fn new(settings: ConsumerSettings, next: u64) -> Consumer {
        Consumer::starting_with(settings, &[], next)
    }

    /// A consumer that gets the messages `selected` (those of them that are below `next`), and then
    /// all from `next` on.
    pub fn starting_with(settings: ConsumerSettings, selected: &[u64], next: u64) -> Consumer {
        let mut consumer = Consumer::with(settings, selection(selected, next), next);
        let notes = consumer.snapshot();
        consumer.notes.replace(notes);
        consumer
    }

    /// One with these messages ahead, of which nothing is noted.
    fn with(settings: ConsumerSettings, gaps: Ranges, next: u64) -> Consumer {
        let by_topic = settings.order == Order::ByTopic;
        Consumer {
            settings,
            covers_all: false,
            ahead: Ahead::new(gaps, next),
            work: Work::new(by_topic),
            timers: Timers::default(),
            dead: BTreeMap::new(),
            died: Vec::new(),
            notes: Notes::default(),
            redelivered: 0,
            deaths: 0,
            gathered: Vec::new(),
        }
    }

    /// What it was asked to be.
    pub fn settings(&self) -> &ConsumerSettings {
        &self.settings
    }

    /// Changes what it was asked to be, all but the filter. Times that run go on as they are.
    /// Another order makes what is outstanding or waits due at once, and what members have is not
    /// theirs any more. Windows of members change when they [`join`](Self::join) again.
    pub fn set_settings(&mut self, settings: ConsumerSettings) {
        let settings = ConsumerSettings { filter: self.settings.filter.clone(), ..settings };
        if settings == self.settings {
            return;
        }
        self.notes.settings(&settings);
        let is_reordered = settings.order != self.settings.order;
        self.settings = settings;
        if is_reordered {
            let runs: Vec<Run> = self.work.iter().copied().collect();
            self.work.clear();
            self.work.by_topic = self.settings.order == Order::ByTopic;
            for run in runs {
                if run.state == State::Dead {
                    self.work.insert(run);
                    continue;
                }
                self.ahead.insert(run.from, run.to);
                if run.attempts > 0 {
                    (run.from..=run.to).for_each(|seq| self.ahead.tried(seq, run.attempts));
                }
            }
        }
    }

    /// Says whether the filter matches every message of the stream, so that nobody has to look. It
    /// is not noted: say so after [`restore`](Self::restore) too.
    pub fn set_covers_all(&mut self, covers_all: bool) {
        self.covers_all = covers_all;
    }

    /// A member comes, or is there and has another window from now on, of one message at least.
    pub fn join(&mut self, member: MemberId, window: u32) {
        self.work.members.join(member, window);
    }

    /// A settled message below [`ConsumerReport::next`] is to be delivered again, as if for the
    /// first time. Returns whether it was settled.
    pub fn retry(&mut self, seq: u64) -> bool {
        if seq == 0 || self.ahead.contains(seq) || self.work.at(seq).is_some() {
            return false;
        }
        self.ahead.insert(seq, seq);
        self.notes.retry(seq);
        true
    }

    /// The log begins with `first` now: all before are settled. Returns how many were not yet.
    pub fn trimmed(&mut self, first: u64) -> u64 {
        if first == 0 { 0 } else { self.settle(0, first - 1) }
    }

    /// These messages, `to` among them, cannot be read, or are deleted: they are settled. Returns
    /// how many were not yet.
    pub fn pass_over(&mut self, from: u64, to: u64) -> u64 {
        if from > to { 0 } else { self.settle(from, to) }
    }

    /// Begins anew with the messages `selected` (those of them that are below `next`) and all from
    /// `next` on. Members stay; what they have is not theirs any more.
    pub fn reset(&mut self, selected: &[u64], next: u64) {
        self.work.clear();
        self.timers = Timers::default();
        self.dead.clear();
        self.died.clear();
        self.ahead = Ahead::new(selection(selected, next), next);
        let notes = self.snapshot();
        self.notes.replace(notes);
    }

    /// Pushes to `out` what has changed since the last call, as small records for
    /// [`restore`](Self::restore). The first call after [`new`](Self::new) says all. Take them
    /// before what [`assign`](Self::assign) gave is sent, so that attempts count.
    pub fn take_notes(&mut self, out: &mut Vec<Vec<u8>>) {
        self.notes.take(out);
    }

    /// All that is to be known after a restart, for the place of all notes before. They must take
    /// it in one step. Call [`take_notes`](Self::take_notes) first: what it gives is in here, and
    /// may not stand behind it.
    pub fn snapshot(&self) -> Vec<Vec<u8>> {
        let mut unsettled = self.ahead.gaps().clone();
        let mut attempts = Vec::new();
        for run in self.work.iter() {
            unsettled.insert(run.from, run.to);
            if run.attempts > 1 && run.state != State::Dead {
                attempts.push((run.attempts, run.from, run.to));
            }
        }
        let before = self.ahead.attempts().iter().filter(|(_, attempts)| **attempts > 1);
        attempts.extend(before.map(|(&seq, &attempts)| (attempts, seq, seq)));
        attempts.sort_unstable();
        let mut notes = notes::beginning(&self.settings, &unsettled, self.ahead.next());
        notes::put_attempts(&attempts, &mut notes);
        notes.extend(self.dead.values().map(notes::dead_note));
        notes
    }

    /// How far it is, where the log ends before `end`.
    pub fn report(&self, end: u64) -> ConsumerReport {
        let first = self.work.iter().next().map_or(u64::MAX, |run| run.from);
        ConsumerReport {
            floor: first.min(self.ahead.floor()).saturating_sub(1),
            next: self.ahead.next(),
            outstanding: self.work.out,
            pending: self.ahead.count(end).saturating_add(self.work.out + self.work.aside),
            redelivered: self.redelivered,
            dead: self.deaths,
            members: self.work.members.len(),
        }
    }

    /// How many messages a member has that are not settled.
    pub fn outstanding(&self, member: MemberId) -> u64 {
        let members = &self.work.members;
        members.slot(member).and_then(|slot| members.get(slot)).map_or(0, Member::outstanding)
    }

    /// Bytes that it takes, about.
    pub fn memory(&self) -> usize {
        // Nodes of a B-tree are two thirds full on average.
        let runs = self.work.len() * (48 + 2 * 8) * 3 / 2;
        let ahead = (self.ahead.gaps().ranges() + self.ahead.attempts().len()) * 24;
        let dead = self.dead.values().map(|dead| match &dead.why {
            WhyDead::Exhausted => 72,
            WhyDead::Rejected(reason) => 72 + reason.len(),
        });
        size_of::<Consumer>()
            + runs
            + ahead
            + dead.sum::<usize>()
            + self.work.lanes.len() * 96
            + self.work.members.len() * 128
            + self.timers.len() * 24
            + self.notes.memory()
    }
}

/// Numbers below `next`, as ranges.
fn selection(selected: &[u64], next: u64) -> Ranges {
    let mut ranges = Ranges::default();
    for &seq in selected.iter().filter(|&&seq| seq < next) {
        ranges.insert(seq, seq);
    }
    ranges
}
