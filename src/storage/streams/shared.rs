//! What the three ends of a log share: which segments there are, and how far they may be read.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::super::cannot;
use super::files::{Files, Handle};
use super::ranges::Ranges;
use super::segment::{NoHead, Segment, VERSION};
use crate::broker::{Damage, StoreError};

/// The state of one log.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) files: Arc<dyn Files>,
    pub(super) directory: PathBuf,
    /// Never empty; the last is written to.
    segments: RwLock<VecDeque<Arc<Segment>>>,
    first: AtomicU64,
    next: AtomicU64,
    bytes: AtomicU64,
    /// The last message of those that are on the disk.
    pub(super) synced: AtomicU64,
    deleted: RwLock<Ranges>,
    /// Whether there is anything in `deleted`: hardly any log has.
    has_deleted: AtomicBool,
    damaged: Mutex<Ranges>,
    pub(super) dirty: Mutex<Dirty>,
    /// The stream was removed.
    pub(super) is_removed: AtomicBool,
}

/// What was written and is not known to be on the disk.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// From the first to the last.
    pub(super) segments: Vec<(Arc<Segment>, Handle)>,
    /// And how much of them is written.
    pub(super) deleted: Option<(Handle, u64)>,
    pub(super) notes: Option<(Handle, u64)>,
}

impl Dirty {
    fn add(&mut self, segment: &Arc<Segment>, file: &Handle) {
        if self.segments.last().is_none_or(|last| last.0.first != segment.first) {
            self.segments.push((segment.clone(), file.clone()));
        }
    }
}

impl Shared {
    pub(super) fn new(
        files: Arc<dyn Files>,
        directory: PathBuf,
        segments: VecDeque<Arc<Segment>>,
        next: u64,
    ) -> Shared {
        let bytes = segments.iter().map(|segment| segment.len()).sum();
        Shared {
            files,
            directory,
            first: AtomicU64::new(segments.front().map_or(next, |segment| segment.first)),
            next: AtomicU64::new(next),
            bytes: AtomicU64::new(bytes),
            segments: RwLock::new(segments),
            synced: AtomicU64::new(0),
            deleted: RwLock::default(),
            has_deleted: AtomicBool::new(false),
            damaged: Mutex::default(),
            dirty: Mutex::default(),
            is_removed: AtomicBool::new(false),
        }
    }

    pub(super) fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    pub(super) fn set_first(&self, first: u64) {
        self.first.store(first, Ordering::Release);
        self.damaged.lock().forget_below(first);
    }

    pub(super) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Lets messages be read that were appended to a segment.
    pub(super) fn appended(&self, segment: &Arc<Segment>, file: &Handle, len: u64, next: u64) {
        self.bytes.fetch_add(len - segment.len(), Ordering::Relaxed);
        // Whoever synchronises sees both or neither: a number is on the disk if its segment is.
        let mut dirty = self.dirty.lock();
        dirty.add(segment, file);
        // Whoever sees the number finds the bytes.
        segment.set_len(len);
        self.next.store(next, Ordering::Release);
    }

    /// Has a segment synchronised with the next messages.
    pub(super) fn touched(&self, segment: &Arc<Segment>, file: &Handle) {
        self.dirty.lock().add(segment, file);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Begins another segment.
    pub(super) fn add(&self, segment: &Arc<Segment>, file: &Handle) {
        self.bytes.fetch_add(segment.len(), Ordering::Relaxed);
        self.segments.write().push_back(segment.clone());
        self.dirty.lock().add(segment, file);
    }

    /// Takes out the segments that have no message from the first on; the last one stays.
    pub(super) fn take_dropped(&self) -> Vec<Arc<Segment>> {
        let (mut segments, first) = (self.segments.write(), self.first());
        let mut dropped = Vec::new();
        while segments.get(1).is_some_and(|second| second.first <= first) {
            dropped.extend(segments.pop_front());
        }
        let bytes = dropped.iter().map(|segment| segment.len()).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        dropped
    }

    /// All segments, from the first to the last.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().iter().cloned().collect()
    }

    /// The segment that a message is in; the first for what is before.
    pub(super) fn segment_of(&self, seq: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let behind = segments.partition_point(|segment| segment.first <= seq);
        segments.get(behind.saturating_sub(1)).cloned()
    }

    /// The number of the first message behind a segment, if another segment follows it.
    pub(super) fn behind(&self, segment: &Segment) -> Option<u64> {
        let segments = self.segments.read();
        let behind = segments.partition_point(|other| other.first <= segment.first);
        segments.get(behind).map(|segment| segment.first)
    }

    /// Whether a segment is a part of the log still.
    pub(super) fn holds(&self, segment: &Segment) -> bool {
        let segments = self.segments.read();
        segments.binary_search_by_key(&segment.first, |other| other.first).is_ok()
    }

    /// The last of the deleted messages that begin with this one.
    pub(super) fn deleted_to(&self, seq: u64) -> Option<u64> {
        if !self.has_deleted.load(Ordering::Acquire) {
            return None;
        }
        self.deleted.read().end_of(seq)
    }

    /// Looks at or changes what is deleted.
    pub(super) fn with_deleted<T>(&self, change: impl FnOnce(&mut Ranges) -> T) -> T {
        let mut deleted = self.deleted.write();
        let done = change(&mut deleted);
        self.has_deleted.store(deleted.iter().next().is_some(), Ordering::Release);
        done
    }

    /// Messages that are kept.
    pub(super) fn messages(&self) -> u64 {
        let first = self.first();
        let all = self.next().saturating_sub(first);
        if !self.has_deleted.load(Ordering::Acquire) {
            return all;
        }
        all.saturating_sub(self.deleted.read().count_from(first))
    }

    /// Notes that messages are damaged, and says so the first time.
    pub(super) fn found_damage(&self, damage: &Damage) {
        let mut damaged = self.damaged.lock();
        if damaged.end_of(damage.from).is_some_and(|end| end >= damage.to) {
            return;
        }
        damaged.insert(damage.from, damage.to);
        drop(damaged);
        tracing::error!(
            stream = %self.directory.display(),
            from = damage.from,
            to = damage.to,
            reason = damage.reason,
            "messages of a stream are damaged on the disk; consumers are told and go on behind them"
        );
    }

    pub(super) fn damaged(&self) -> u64 {
        self.damaged.lock().count()
    }

    /// The file of a segment and its salt; `None` where it is dropped, or damaged as a whole.
    pub(super) fn open(&self, segment: &Segment) -> Result<Opened, StoreError> {
        let opened = segment.open(&*self.files);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_gone = !self.holds(segment) || self.is_removed.load(Ordering::Acquire);
                return Ok(if is_gone { Opened::Dropped } else { Opened::Missing });
            }
            opened => opened.map_err(|error| cannot("open", segment.path(), error))?,
        };
        match segment.salt(&*file) {
            Ok(salt) => Ok(Opened::Whole { file, salt }),
            Err(error) => no_head(segment, error).map(|()| Opened::Damaged),
        }
    }
}

/// What is found where a segment should be.
pub(super) enum Opened {
    Whole {
        file: Handle,
        salt: u32,
    },
    /// It is not part of the log any more.
    Dropped,
    /// Somebody has removed it.
    Missing,
    /// Nothing in it can be read.
    Damaged,
}

/// What it is where a segment has no head: damage, or something to be refused.
pub(super) fn no_head(segment: &Segment, error: NoHead) -> Result<(), StoreError> {
    match error {
        NoHead::Damaged => Ok(()),
        NoHead::Io(error) => Err(cannot("read", segment.path(), error)),
        NoHead::Version(version) => Err(StoreError::new(format!(
            "{} is of version {version}, and this babelmq reads version {VERSION}; use the babelmq \
             that wrote it",
            segment.path().display()
        ))),
    }
}
