//! The end of a log that waits for the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::cannot;
use super::files::{Handle, LogFile, read_up_to};
use super::segment::{Segment, SegmentHead};
use super::shared::{Dirty, Shared};
use crate::broker::{LogSync, StoreError};

/// Bytes that are written again together.
const BLOCK: usize = 128 << 10;
/// After so many bytes, or so long, the head of a segment says anew up to where everything is on
/// the disk: a start looks at what is behind that.
const FAR: u64 = 16 << 20;
const LONG: Duration = Duration::from_secs(1);

/// Makes a log last.
#[derive(Debug)]
pub(super) struct Sync {
    shared: Arc<Shared>,
    /// The last try failed, of messages and of the rest. The system may have forgotten then that
    /// there is anything to be written, and must be told again.
    has_failed: [bool; 2],
    /// The last segment that was synchronised.
    last: Option<(Arc<Segment>, Handle)>,
    /// What the head of a segment says.
    noted: Noted,
}

/// What the head of a segment was last made to say.
#[derive(Debug)]
struct Noted {
    /// The first message of the segment, and how long the segment was.
    segment: u64,
    len: u64,
    /// The last message of those that are on the disk.
    synced: u64,
    at: Instant,
}

impl Sync {
    pub(super) fn new(shared: Arc<Shared>) -> Sync {
        let synced = shared.synced.load(Ordering::Acquire);
        let noted = Noted { segment: 0, len: 0, synced, at: Instant::now() };
        Sync { shared, has_failed: [false; 2], last: None, noted }
    }

    /// Has the head of the last segment say how much is on the disk, if it is far behind.
    fn note_synced(&mut self, last: (Arc<Segment>, Handle)) {
        let (first, len) = (last.0.first, last.0.len());
        let is_far = first != self.noted.segment || len.saturating_sub(self.noted.len) >= FAR;
        self.last = Some(last);
        if is_far || self.noted.at.elapsed() >= LONG {
            self.write_head();
        }
    }

    fn write_head(&mut self) {
        let Some((segment, file)) = &self.last else { return };
        let synced = self.shared.synced.load(Ordering::Acquire);
        let Ok(salt) = segment.salt(&**file) else { return };
        // Without it the next start has more to look at.
        let _ = SegmentHead { salt, first: segment.first, synced }.note(&**file);
        self.noted =
            Noted { segment: segment.first, len: segment.len(), synced, at: Instant::now() };
    }

    fn sync_segments(&self, dirty: &Dirty) -> Result<(), StoreError> {
        let (files, directory) = (&*self.shared.files, &self.shared.directory);
        let mut is_new = false;
        // Those that are dropped as well: their names may be back after a power cut.
        for (segment, file) in &dirty.segments {
            sync_file(&**file, segment.len(), self.has_failed[0])
                .map_err(|error| cannot("write to", segment.path(), error))?;
            is_new |= !segment.is_durable.load(Ordering::Acquire);
        }
        if is_new {
            let synced = files.sync_directory(directory);
            synced.map_err(|error| cannot("write to", directory, error))?;
        }
        if let Some((segment, file)) = dirty.segments.last() {
            check_place(&self.shared, segment, &**file)?;
        }
        for (segment, _) in &dirty.segments {
            segment.is_durable.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn sync_rest(&self, dirty: &Dirty) -> Result<(), StoreError> {
        for (file, len) in dirty.deleted.iter().chain(&dirty.notes) {
            sync_file(&**file, *len, self.has_failed[1])
                .map_err(|error| cannot("write to", &self.shared.directory, error))?;
        }
        Ok(())
    }

    /// Notes how it went; what could not be synchronised is tried again.
    fn note(
        &mut self,
        kind: usize,
        done: Result<(), StoreError>,
        taken: Dirty,
    ) -> Result<(), StoreError> {
        self.has_failed[kind] = done.is_err();
        if done.is_err() {
            put_back(&mut self.shared.dirty.lock(), taken);
        }
        done
    }
}

fn sync_file(file: &dyn LogFile, len: u64, has_failed: bool) -> io::Result<()> {
    if has_failed {
        write_again(file, len)?;
    }
    file.sync()
}

/// What was written to a file that has no name any more is written to nothing.
fn check_place(shared: &Shared, segment: &Segment, file: &dyn LogFile) -> Result<(), StoreError> {
    let names = shared.files.names(segment.path(), file);
    let names = names.map_err(|error| cannot("write to", segment.path(), error))?;
    if names || !shared.holds(segment) || shared.is_removed.load(Ordering::Acquire) {
        return Ok(());
    }
    Err(StoreError::new(format!(
        "cannot write to {}: the data directory was deleted or replaced under the broker; put it \
         back, or start the broker again",
        segment.path().display()
    )))
}

/// Tells the system once more what is in a file, up to where it does not change any more.
fn write_again(file: &dyn LogFile, len: u64) -> io::Result<()> {
    let (mut block, mut at) = (vec![0; BLOCK], 0);
    while at < len {
        let part = (len - at).min(BLOCK as u64) as usize;
        let read = read_up_to(file, &mut block[..part], at)?;
        if read == 0 {
            break;
        }
        file.write_at(&block[..read], at)?;
        at += read as u64;
    }
    Ok(())
}

/// Makes the last segment last, with its place in the directory.
pub(super) fn sync_last(
    shared: &Shared,
    segment: &Segment,
    file: &dyn LogFile,
) -> Result<(), StoreError> {
    file.sync()
        .and_then(|()| shared.files.sync_directory(&shared.directory))
        .map_err(|error| cannot("write to", segment.path(), error))?;
    segment.is_durable.store(true, Ordering::Release);
    Ok(())
}

/// The next start looks at what was written last alone, and knows damage in it from a torn end.
impl Drop for Sync {
    fn drop(&mut self) {
        if self.shared.synced.load(Ordering::Acquire) > self.noted.synced {
            self.write_head();
        }
    }
}

impl LogSync for Sync {
    fn sync(&mut self) -> Result<(), StoreError> {
        // What is taken first says nothing of messages that are taken behind it.
        let mut dirty = self.shared.dirty.lock();
        let (deleted, notes) = (dirty.deleted.take(), dirty.notes.take());
        drop(dirty);
        let rest = Dirty { deleted, notes, ..Dirty::default() };
        let done = self.sync_messages().and_then(|()| self.sync_rest(&rest));
        self.note(1, done, rest)
    }

    fn sync_messages(&mut self) -> Result<(), StoreError> {
        let mut dirty = self.shared.dirty.lock();
        // All of them are in what is dirty, or are synchronised already.
        let next = self.shared.next();
        let segments = std::mem::take(&mut dirty.segments);
        drop(dirty);
        let taken = Dirty { segments, ..Dirty::default() };
        let done = self.sync_segments(&taken);
        if done.is_ok() {
            self.shared.synced.fetch_max(next - 1, Ordering::AcqRel);
            if let Some(last) = taken.segments.last() {
                self.note_synced(last.clone());
            }
        }
        self.note(0, done, taken)
    }
}

/// What could not be synchronised is tried again, with what was written since.
fn put_back(dirty: &mut Dirty, taken: Dirty) {
    let mut segments = taken.segments;
    for (segment, file) in dirty.segments.drain(..) {
        if segments.last().is_none_or(|last| last.0.first != segment.first) {
            segments.push((segment, file));
        }
    }
    dirty.segments = segments;
    dirty.deleted = dirty.deleted.take().or(taken.deleted);
    dirty.notes = dirty.notes.take().or(taken.notes);
}
