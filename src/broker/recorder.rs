//! The dispatcher's half of keeping last values: finding what the store does not have yet, and handing it over.
//!
//! There is no list of what has changed. The topics that hold a value stand in the order of their last publication
//! ([`Chain`](super::chain::Chain)), so whatever stands behind the recorder's marker has been published since the marker
//! came by, and a topic that is published a thousand times stands there once. Publishing costs nothing more than it did.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::expiry::Expiries;
use super::progress::{Progress, Ticket};
use super::store::{Change, Fsync};
use super::tree::{Marker, Tree};
use crate::protocol::Topic;

/// Values that one step hands over.
const STEP: usize = 1_024;
/// Time between a failure and the next try.
const RETRY: Duration = Duration::from_secs(1);

/// Some changes for the store.
#[derive(Debug)]
pub(super) struct Handover {
    /// Rounds are counted from 1.
    pub(super) round: u64,
    /// The failures that the dispatcher knew of; a handover that was made in ignorance of one is void.
    pub(super) attempt: u64,
    /// In the order in which they are to be applied.
    pub(super) changes: Vec<Change>,
    /// The round is whole with this.
    pub(super) last: bool,
}

/// Hands changes over in rounds. All that happened before a round began is in it, or in one before.
#[derive(Debug)]
pub(super) struct Recorder {
    /// The store's thread holds the other end; when this is dropped, it writes what is waiting and ends.
    handovers: Sender<Handover>,
    progress: Arc<Progress>,
    fsync: Fsync,
    interval: Duration,
    /// Behind the last value that was handed over.
    marker: Marker,
    /// Topics that were cleared and not handed over.
    forgotten: HashSet<Topic>,
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
}

#[derive(Debug)]
struct Round {
    number: u64,
    /// The last publication that it holds.
    until: u64,
    forgets: Vec<Topic>,
}

/// What the recorder would do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, until something changes.
    Nothing,
    /// A step, at once.
    Step,
    /// A step at this time.
    At(Instant),
    /// A step as soon as the store has taken what was handed over.
    Room,
}

impl Recorder {
    /// One that begins behind the values that are in the tree: they came from the store.
    pub(super) fn new(
        tree: &mut Tree,
        handovers: Sender<Handover>,
        progress: Arc<Progress>,
        fsync: Fsync,
        interval: Duration,
    ) -> Recorder {
        let published = tree.published();
        Recorder {
            handovers,
            progress,
            fsync,
            interval,
            marker: tree.mark_newest(),
            forgotten: HashSet::new(),
            round: 0,
            under_way: None,
            in_flight: VecDeque::new(),
            saved: published,
            until: published,
            attempt: 0,
            next: None,
        }
    }

    /// Where handovers go; it has room when the store is not behind.
    #[cfg(not(shuttle))]
    pub(super) fn handovers(&self) -> &Sender<Handover> {
        &self.handovers
    }

    /// Notes that a topic holds no value any more.
    pub(super) fn forget(&mut self, topic: Topic) {
        self.forgotten.insert(topic);
    }

    /// What is to be waited for before everything that has happened is on the disk; `None` if a `pong` does not say so.
    pub(super) fn ticket(&self, tree: &Tree) -> Option<Ticket> {
        if self.fsync != Fsync::Always {
            return None;
        }
        // What a failed round held comes again in the next one.
        let again = self.has_changes(tree) || self.attempt != self.progress.failures();
        let round = if again { self.round + 1 } else { self.round };
        (self.progress.saved() < round).then(|| Ticket::new(self.progress.clone(), round))
    }

    fn has_changes(&self, tree: &Tree) -> bool {
        tree.published() > self.until || !self.forgotten.is_empty()
    }

    /// What is to be done next.
    pub(super) fn next(&self, tree: &Tree) -> Next {
        if self.progress.is_over() {
            return Next::Nothing;
        }
        let failed = self.attempt != self.progress.failures();
        if self.under_way.is_none() && !self.has_changes(tree) && !failed {
            return Next::Nothing;
        }
        match self.next {
            Some(at) if self.under_way.is_none() => Next::At(at),
            _ if self.handovers.is_full() => Next::Room,
            _ => Next::Step,
        }
    }

    /// Hands some changes over, if it is time and the store has room.
    pub(super) fn step(&mut self, tree: &mut Tree, expiries: &Expiries, now: Instant) {
        if self.attempt != self.progress.failures() {
            self.begin_again(tree, now);
        }
        let mut round = match self.under_way.take() {
            Some(round) => round,
            None => {
                if self.next.is_some_and(|next| now < next) || !self.has_changes(tree) {
                    return;
                }
                self.begin(tree, now)
            }
        };
        if self.handovers.is_full() {
            self.under_way = Some(round);
            return;
        }
        let (changes, last) = self.collect(tree, expiries, &mut round);
        let handover = Handover { round: round.number, attempt: self.attempt, changes, last };
        // There is room, since nobody else sends. A store's thread that has ended has said so in its progress.
        let _ = self.handovers.try_send(handover);
        if last {
            self.in_flight.push_back(round);
            self.settle();
        } else {
            self.under_way = Some(round);
        }
    }

    /// Hands over all that is left, and waits for room where there is none: for the end of the broker.
    pub(super) fn finish(mut self, tree: &mut Tree, expiries: &Expiries) {
        if self.attempt != self.progress.failures() {
            self.begin_again(tree, Instant::now());
        }
        while self.under_way.is_some() || self.has_changes(tree) {
            if self.progress.failures() > self.attempt {
                // It was said when it happened, and there is nobody left who could wait for another try.
                return;
            }
            let mut round = match self.under_way.take() {
                Some(round) => round,
                None => self.begin(tree, Instant::now()),
            };
            let (changes, last) = self.collect(tree, expiries, &mut round);
            let handover = Handover { round: round.number, attempt: self.attempt, changes, last };
            if self.handovers.send(handover).is_err() {
                return;
            }
            self.under_way = (!last).then_some(round);
        }
    }

    fn begin(&mut self, tree: &Tree, now: Instant) -> Round {
        self.round += 1;
        self.until = tree.published();
        self.next = (self.fsync != Fsync::Always).then(|| now + self.interval);
        Round { number: self.round, until: self.until, forgets: Vec::new() }
    }

    /// The next changes of a round, and whether they are the last. Values that a publication of later than the round's
    /// beginning took the place of are left to the next round.
    fn collect(&mut self, tree: &mut Tree, expiries: &Expiries, round: &mut Round) -> (Vec<Change>, bool) {
        let mut changes = Vec::new();
        for topic in self.forgotten.drain() {
            // A topic that holds a value again stands behind the marker.
            if tree.get(&topic).is_none() {
                changes.push(Change::Forget(topic.clone()));
            }
            round.forgets.push(topic);
        }
        for _ in 0..STEP {
            match tree.behind(&self.marker) {
                None => return (changes, true),
                Some(Some(stored)) if stored.published() > round.until => return (changes, true),
                Some(Some(stored)) if stored.published() > self.saved => {
                    let expires = expiries.of(stored.topic());
                    changes.push(Change::Keep { stored: stored.clone(), expires });
                }
                // The disk has it; or it is the place of a reader.
                Some(_) => {}
            }
            tree.pass(&self.marker);
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
            self.in_flight.pop_front();
        }
    }

    /// After a failure: everything that is not known to be on the disk is handed over once more.
    fn begin_again(&mut self, tree: &mut Tree, now: Instant) {
        self.attempt = self.progress.failures();
        self.settle();
        let rounds = self.in_flight.drain(..).chain(self.under_way.take());
        self.forgotten.extend(rounds.flat_map(|round| round.forgets));
        let ahead = std::mem::replace(&mut self.marker, tree.mark());
        tree.unmark(ahead);
        self.until = self.saved;
        self.next = Some(now + RETRY);
    }
}
