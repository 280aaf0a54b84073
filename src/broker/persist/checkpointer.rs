//! The dispatcher's half of keeping last values: finding what the store does not have yet, and
//! handing it over.
//!
//! There is no list of what has changed. The topics that hold a value stand in the order of their
//! last publication ([`PublicationOrder`](super::chain::PublicationOrder)), so whatever stands
//! behind the checkpointer's marker has been published since the marker came by, and a topic that
//! is published a thousand times stands there once. Publishing costs nothing more than it did.
//!
//! Changes are handed over in rounds. All that happened before a round began is in it, or in one
//! before: what it promises is the state of that moment, or for single topics a newer one.

mod tombstones;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::broker::persist::backup::{BackupMade, Wish};
use crate::broker::persist::progress::{Progress, Ticket};
use crate::broker::persist::store::{Change, Fsync};
use crate::broker::retained::{Expiries, Marker, Stored, Tree};
use crate::protocol::Topic;
use tombstones::Tombstones;

/// Topics that one step looks at; few in tests, so that rounds have many steps there.
const STEP: usize = if cfg!(test) { 4 } else { 1_024 };
/// Bytes of payload after which a step hands over no more: what is handed over is kept, even if
/// newer values have come.
const STEP_BYTES: usize = 4 << 20;
/// How often a broker that stops tries to save everything. A store whose disk is full has more than
/// one way to go on.
const TRIES: usize = 3;
/// Time between a failure and the next try.
const RETRY: Duration = Duration::from_secs(1);

/// Some changes for the store.
#[derive(Debug)]
pub(in crate::broker) struct Handover {
    /// Rounds are counted from 1.
    pub(in crate::broker) round: u64,
    /// The failures that the dispatcher knew of; a handover that was made in ignorance of one is
    /// void.
    pub(in crate::broker) attempt: u64,
    /// In the order in which they are to be applied.
    pub(in crate::broker) changes: Vec<Change>,
    /// The round is whole with this.
    pub(in crate::broker) last: bool,
    /// A backup is wanted of what the store has when the round is on the disk.
    pub(in crate::broker) backup: Option<Wish>,
}

/// Hands changes over in rounds.
#[derive(Debug)]
pub(in crate::broker) struct Checkpointer {
    /// The store's thread holds the other end; when this is dropped, it writes what is waiting and
    /// ends.
    handovers: Sender<Handover>,
    progress: Arc<Progress>,
    fsync: Fsync,
    interval: Duration,
    /// Behind the last value that was handed over.
    marker: Marker,
    /// Topics that were cleared and that the disk may still have.
    forgotten: Tombstones,
    /// The last round that has begun.
    round: u64,
    /// The round that is being handed over.
    under_way: Option<Round>,
    /// Rounds that were handed over and may not be on the disk yet.
    in_flight: VecDeque<Round>,
    /// The last publication that is on the disk, as far as is known.
    saved: u64,
    /// The last publication of the last round that began.
    until: u64,
    /// Failures that were answered by handing everything over again.
    attempt: u64,
    /// No round begins before.
    next: Option<Instant>,
    /// No later than the first change that is in no round yet; `None` where there is no such
    /// change.
    since: Option<Instant>,
    /// A backup that the next round is to be followed by.
    wish: Option<Wish>,
}

#[derive(Debug)]
struct Round {
    number: u64,
    /// The last publication that it holds.
    until: u64,
    /// The last publication that has been handed over.
    position: u64,
    /// Topics whose values were to be in it and were published again before it came to them. Each
    /// is here once: its newer value is not to be in the round.
    overtaken: Vec<Topic>,
    forgets: Vec<Topic>,
    /// No later than its first change.
    since: Instant,
    wish: Option<Wish>,
}

/// The checkpointer's next work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Next {
    /// Nothing, until something changes.
    Nothing,
    /// A step, at once.
    Step,
    /// A step at this time.
    At(Instant),
    /// A step as soon as the store has taken what was handed over.
    Room,
}

impl Checkpointer {
    /// One that begins behind the values that are in the tree: they came from the store.
    pub(in crate::broker) fn new(
        tree: &mut Tree,
        handovers: Sender<Handover>,
        progress: Arc<Progress>,
        fsync: Fsync,
        interval: Duration,
    ) -> Checkpointer {
        let published = tree.published();
        Checkpointer {
            handovers,
            progress,
            fsync,
            interval,
            marker: tree.mark_newest(),
            forgotten: Tombstones::default(),
            round: 0,
            under_way: None,
            in_flight: VecDeque::new(),
            saved: published,
            until: published,
            attempt: 0,
            next: None,
            since: None,
            wish: None,
        }
    }

    /// How far the store is.
    pub(in crate::broker) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Where handovers go; it has room when the store is not behind.
    #[cfg(not(shuttle))]
    pub(in crate::broker) fn handovers(&self) -> &Sender<Handover> {
        &self.handovers
    }

    /// Notes that a topic holds no value any more.
    pub(in crate::broker) fn forget(&mut self, topic: Topic) {
        self.forgotten.add(topic);
    }

    /// Notes that a value is about to make room for a newer one of its topic.
    pub(in crate::broker) fn replace(&mut self, before: &Stored) {
        if let Some(round) = &mut self.under_way
            && before.published() > round.position
            && before.published() <= round.until
        {
            round.overtaken.push(before.topic().to_topic());
        }
    }

    /// Whether a round is being handed over, so that [`replace`](Self::replace) has to be told.
    pub(in crate::broker) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether the disk still has so many topics that were cleared that no topic may come to hold a
    /// value, and be cleared.
    pub(in crate::broker) fn is_behind(&mut self) -> bool {
        self.forgotten.is_full() && {
            self.settle();
            self.forgotten.is_full()
        }
    }

    #[cfg(test)]
    pub(in crate::broker) fn bound_clears(&mut self, bytes: usize) {
        self.forgotten.at_most(bytes);
    }

    /// How many topics were cleared that the disk may still have.
    pub(in crate::broker) fn unsaved_clears(&self) -> usize {
        let saved = self.progress.saved();
        let settled = self.in_flight.iter().take_while(|round| round.number <= saved);
        self.forgotten.count() - settled.map(|round| round.forgets.len()).sum::<usize>()
    }

    /// Whether nothing has happened that is in no round.
    pub(in crate::broker) fn is_clean(&self) -> bool {
        self.since.is_none()
    }

    /// Notes changes, if there are any: the first of them came no earlier than `since`.
    pub(in crate::broker) fn note(&mut self, tree: &Tree, since: Instant) {
        if self.since.is_none() && self.has_changes(tree) {
            self.since = Some(since);
        }
    }

    /// Since when something may not be on the disk; everything that is older is.
    pub(in crate::broker) fn unsaved_since(&self) -> Option<Instant> {
        let saved = self.progress.saved();
        let unsaved = self.in_flight.iter().find(|round| round.number > saved);
        unsaved.or(self.under_way.as_ref()).map(|round| round.since).or(self.since)
    }

    /// The ticket to be waited for before a `pong` says that everything that has happened is on the
    /// disk; `None` if it says nothing of it.
    pub(in crate::broker) fn pong_ticket(&self, tree: &Tree) -> Option<Ticket> {
        if self.fsync == Fsync::Always { self.ticket(tree) } else { None }
    }

    /// The ticket to be waited for before everything that has happened is in the store; `None` if
    /// it is.
    pub(in crate::broker) fn ticket(&self, tree: &Tree) -> Option<Ticket> {
        // The changes of a failed round come again in the next one.
        let again = self.has_changes(tree) || self.attempt != self.progress.failures();
        let round = if again { self.round + 1 } else { self.round };
        (self.progress.saved() < round).then(|| Ticket::new(self.progress.clone(), round))
    }

    /// Asks for a backup of everything that has happened; `None` where one is asked for already. It
    /// does not wait for the interval.
    pub(in crate::broker) fn back_up(&mut self) -> Option<BackupMade> {
        if self.wish.is_some() {
            return None;
        }
        if self.attempt == self.progress.failures() {
            self.next = None;
        }
        let (wish, made) = Wish::new();
        self.wish = Some(wish);
        Some(made)
    }

    /// Whether there is something for another round. What was cleared while one is under way goes
    /// with that: a ticket for the next would wait for a round that nothing begins.
    fn has_changes(&self, tree: &Tree) -> bool {
        let has_forgotten = self.under_way.is_none() && !self.forgotten.is_empty();
        tree.published() > self.until || has_forgotten
    }

    /// The next work.
    pub(in crate::broker) fn next(&self, tree: &Tree) -> Next {
        if self.progress.is_over() {
            return Next::Nothing;
        }
        let failed = self.attempt != self.progress.failures();
        if self.under_way.is_none() && !self.has_changes(tree) && !failed && self.wish.is_none() {
            // A round that fails wakes nobody: as long as one is being written, it is looked at.
            let saved =
                || self.in_flight.back().is_none_or(|last| last.number <= self.progress.saved());
            return if saved() { Next::Nothing } else { Next::At(Instant::now() + RETRY) };
        }
        match self.next {
            Some(at) if self.under_way.is_none() => Next::At(at),
            _ if self.handovers.is_full() => Next::Room,
            _ => Next::Step,
        }
    }

    /// Hands some changes over, if it is time and the store has room.
    pub(in crate::broker) fn step(&mut self, tree: &mut Tree, expiries: &Expiries, now: Instant) {
        if self.attempt != self.progress.failures() {
            self.begin_again(tree, now);
        }
        if self.handovers.is_full() {
            return;
        }
        let mut round = match self.under_way.take() {
            Some(round) => round,
            None => {
                if self.next.is_some_and(|next| now < next)
                    || !self.has_changes(tree) && self.wish.is_none()
                {
                    return;
                }
                self.begin(tree, now)
            }
        };
        let (changes, last) = self.collect(tree, expiries, &mut round);
        let backup = if last { round.wish.take() } else { None };
        let handover =
            Handover { round: round.number, attempt: self.attempt, changes, last, backup };
        // There is room, since nobody else sends. A store's thread that has ended has said so in
        // its progress.
        let _ = self.handovers.try_send(handover);
        if last {
            self.in_flight.push_back(round);
            self.settle();
        } else {
            self.under_way = Some(round);
        }
    }

    /// Hands over all that is left and waits until it is in the store, for the end of the broker.
    /// Where that fails it is tried again, and then it is said what is lost.
    pub(in crate::broker) fn finish(mut self, tree: &mut Tree, expiries: &Expiries) {
        // Where the disk does not answer, that is what is lost, at most.
        let values = (tree.published() - self.saved).min(tree.values() as u64);
        self.progress.leave(Some((values, self.forgotten.count() as u64)));
        for _ in 0..TRIES {
            if self.attempt != self.progress.failures() {
                self.begin_again(tree, Instant::now());
            }
            self.hand_over_all(tree, expiries);
            if Ticket::new(self.progress.clone(), self.round).wait().is_ok() {
                return self.progress.leave(None);
            }
        }
        self.begin_again(tree, Instant::now());
        let mut values = 0;
        while let Some(next) = tree.behind(&self.marker) {
            values += u64::from(next.is_some_and(|stored| stored.published() > self.saved));
            tree.pass(&self.marker);
        }
        self.progress.leave(Some((values, self.forgotten.count() as u64)));
    }

    /// Hands over all that is left, and waits for room where there is none; less where the store
    /// fails.
    fn hand_over_all(&mut self, tree: &mut Tree, expiries: &Expiries) {
        while self.under_way.is_some() || self.has_changes(tree) {
            if self.progress.failures() > self.attempt {
                return;
            }
            let mut round = match self.under_way.take() {
                Some(round) => round,
                None => self.begin(tree, Instant::now()),
            };
            let (changes, last) = self.collect(tree, expiries, &mut round);
            let handover = Handover {
                round: round.number,
                attempt: self.attempt,
                changes,
                last,
                backup: None,
            };
            // A store's thread that has ended has said so in its progress.
            let sent = self.handovers.send(handover);
            if last {
                self.in_flight.push_back(round);
            } else {
                self.under_way = Some(round);
            }
            if sent.is_err() {
                return;
            }
        }
    }

    fn begin(&mut self, tree: &Tree, now: Instant) -> Round {
        self.round += 1;
        let since = self.since.take().unwrap_or(now);
        let (position, until) = (self.until, tree.published());
        self.until = until;
        self.next = (self.fsync != Fsync::Always).then(|| now + self.interval);
        let (overtaken, forgets) = (Vec::new(), Vec::new());
        let wish = self.wish.take();
        Round { number: self.round, until, position, overtaken, forgets, since, wish }
    }

    /// The next changes of a round, and whether they are the last.
    fn collect(
        &mut self,
        tree: &mut Tree,
        expiries: &Expiries,
        round: &mut Round,
    ) -> (Vec<Change>, bool) {
        let (mut changes, mut bytes) = (Vec::new(), 0);
        for _ in 0..STEP {
            let keep = if let Some(topic) = self.forgotten.hand_over() {
                // A topic that held a value again before the round began stands behind the marker.
                // Of one that came to hold it later the round knows that it was cleared.
                if tree.get(&topic).is_none_or(|stored| stored.published() > round.until) {
                    changes.push(Change::Forget(topic.clone()));
                }
                round.forgets.push(topic);
                None
            } else if let Some(topic) = round.overtaken.pop() {
                // The newer value will do for the one that it took the place of. Where there is
                // none any more, the topic was cleared, which came before.
                tree.get(&topic).cloned()
            } else {
                match tree.behind(&self.marker).map(|stored| stored.cloned()) {
                    None => return (changes, true),
                    Some(Some(stored)) if stored.published() > round.until => {
                        return (changes, true);
                    }
                    Some(stored) => {
                        tree.pass(&self.marker);
                        round.position =
                            stored.as_ref().map_or(round.position, |stored| stored.published());
                        // Older values, the disk has. A marker is no value but the place of a
                        // reader.
                        stored.filter(|stored| stored.published() > self.saved)
                    }
                }
            };
            if let Some(stored) = keep {
                bytes += stored.weight();
                let expires = expiries.for_store(stored.topic());
                changes.push(Change::Keep { stored, expires });
            }
            if bytes >= STEP_BYTES {
                break;
            }
        }
        (changes, false)
    }

    /// Notes which rounds are on the disk.
    fn settle(&mut self) {
        let saved = self.progress.saved();
        while let Some(round) = self.in_flight.front()
            && round.number <= saved
        {
            self.saved = self.saved.max(round.until);
            self.forgotten.settle(&round.forgets);
            self.in_flight.pop_front();
        }
    }

    /// After a failure: everything that is not known to be on the disk is handed over once more.
    fn begin_again(&mut self, tree: &mut Tree, now: Instant) {
        self.attempt = self.progress.failures();
        self.settle();
        for round in self.in_flight.drain(..).chain(self.under_way.take()) {
            self.since = Some(self.since.map_or(round.since, |since| since.min(round.since)));
            self.forgotten.take_back(round.forgets);
        }
        let ahead = std::mem::replace(&mut self.marker, tree.mark());
        tree.unmark(ahead);
        self.until = self.saved;
        self.next = Some(now + RETRY);
    }
}
