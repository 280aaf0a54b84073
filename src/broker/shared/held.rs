//! Messages of shared topics that members of this broker have to get: here their writers read them,
//! as they read those of a stream from its log.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::backbone::SharedReport;
use crate::broker::persist::StoreError;
use crate::broker::streams::{Cursor, Found, LogReader, Record};
use crate::broker::sync::Mutex;
use crate::codec::{Claim, Payload};
use crate::protocol::{Topic, TopicFilter, TopicName};

/// One message.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) seq: u64,
    pub(super) time: u64,
    pub(super) topic: Topic,
    pub(super) id: Option<Box<str>>,
    pub(super) payload: Payload,
    /// Memory for it; of nothing where those that follow have claimed theirs.
    pub(super) claim: Mutex<Claim>,
}

/// All of one stream.
#[derive(Debug, Default)]
pub(super) struct HeldMessages {
    /// By their numbers, with how many members have to get each.
    messages: Mutex<BTreeMap<u64, (Arc<Held>, usize)>>,
    /// What the backbone said of the stream last.
    first: AtomicU64,
    next: AtomicU64,
    count: AtomicU64,
    bytes: AtomicU64,
}

impl HeldMessages {
    /// Takes in a message for one more member.
    pub(super) fn hold(&self, held: Held) {
        match self.messages.lock().entry(held.seq) {
            Entry::Occupied(mut before) => {
                let (before, members) = before.get_mut();
                *members += 1;
                let mut claim = before.claim.lock();
                if claim.bytes() == 0 {
                    *claim = std::mem::take(&mut *held.claim.lock());
                }
            }
            Entry::Vacant(place) => drop(place.insert((Arc::new(held), 1))),
        }
    }

    /// Holds a message for one more member, if it is there.
    pub(super) fn hold_again(&self, seq: u64) -> bool {
        let mut messages = self.messages.lock();
        let held = messages.get_mut(&seq);
        held.map(|(_, members)| *members += 1).is_some()
    }

    /// Lets go of a message for one member.
    pub(super) fn let_go(&self, seq: u64) {
        let mut messages = self.messages.lock();
        if let Entry::Occupied(mut held) = messages.entry(seq) {
            held.get_mut().1 -= 1;
            if held.get().1 == 0 {
                held.remove();
            }
        }
    }

    /// A message, for the one who looks at it once more.
    pub(super) fn get(&self, seq: u64) -> Option<Arc<Held>> {
        self.messages.lock().get(&seq).map(|(held, _)| held.clone())
    }

    /// Takes in what the backbone says of the stream.
    pub(super) fn note(&self, report: &SharedReport) {
        self.first.store(report.first, Ordering::Relaxed);
        self.next.fetch_max(report.next, Ordering::Relaxed);
        self.count.store(report.messages, Ordering::Relaxed);
        self.bytes.store(report.bytes, Ordering::Relaxed);
    }

    fn from(&self, seq: u64) -> Option<Arc<Held>> {
        self.messages.lock().range(seq..).next().map(|(_, (held, _))| held.clone())
    }
}

/// The end that writers have.
#[derive(Debug)]
pub(super) struct SharedReader(pub(super) Arc<HeldMessages>);

impl LogReader for SharedReader {
    fn first(&self) -> u64 {
        self.0.first.load(Ordering::Relaxed)
    }

    fn next(&self) -> u64 {
        self.0.next.load(Ordering::Relaxed)
    }

    fn messages(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    fn cursor(&self, seq: u64) -> Box<dyn Cursor> {
        Box::new(SharedCursor { held: self.0.clone(), seq, current: None })
    }

    fn at_time(&self, _: u64) -> Result<u64, StoreError> {
        Err(elsewhere())
    }

    fn last_of_topic(&self, _: TopicName<'_>, _: usize) -> Result<Vec<u64>, StoreError> {
        Err(elsewhere())
    }

    fn last_of_each(&self, _: &TopicFilter) -> Result<Vec<u64>, StoreError> {
        Err(elsewhere())
    }
}

fn elsewhere() -> StoreError {
    StoreError::new("the messages of shared topics are with the backbone, and not on a disk here")
}

/// A place among them.
#[derive(Debug)]
struct SharedCursor {
    held: Arc<HeldMessages>,
    seq: u64,
    current: Option<Arc<Held>>,
}

impl Cursor for SharedCursor {
    fn seek(&mut self, seq: u64) {
        (self.seq, self.current) = (seq, None);
    }

    fn seq(&self) -> u64 {
        self.seq
    }

    fn read(&mut self) -> Result<Option<Found<'_>>, StoreError> {
        self.current = self.held.from(self.seq);
        Ok(self.current.as_deref().map(|held| {
            self.seq = held.seq + 1;
            Found::Record(Record {
                seq: held.seq,
                time: held.time,
                topic: held.topic.name(),
                id: held.id.as_deref(),
                payload: held.payload.borrow(),
            })
        }))
    }

    fn release(&mut self) {
        self.current = None;
    }
}
