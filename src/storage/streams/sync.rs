//! The end of a log that waits for the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::cannot;
use super::files::{LogFile, read_up_to};
use super::segment::Segment;
use super::shared::{Dirty, Shared};
use crate::broker::{LogSync, StoreError};

/// Bytes that are written again together.
const BLOCK: usize = 128 << 10;

/// Makes a log last.
#[derive(Debug)]
pub(super) struct Sync {
    pub(super) shared: Arc<Shared>,
    /// The last try failed. The system may have forgotten then that there is anything to be
    /// written, and must be told again.
    pub(super) has_failed: bool,
}

impl Sync {
    fn sync_all(&self, dirty: &Dirty) -> Result<(), StoreError> {
        let (files, directory) = (&*self.shared.files, &self.shared.directory);
        let mut is_new = false;
        // Those that are dropped as well: their names may be back after a power cut.
        for (segment, file) in &dirty.segments {
            self.sync_file(&**file, segment.len())
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
        for (file, len) in dirty.deleted.iter().chain(&dirty.notes) {
            self.sync_file(&**file, *len).map_err(|error| cannot("write to", directory, error))?;
        }
        Ok(())
    }

    fn sync_file(&self, file: &dyn LogFile, len: u64) -> io::Result<()> {
        if self.has_failed {
            write_again(file, len)?;
        }
        file.sync()
    }
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

impl LogSync for Sync {
    fn sync(&mut self) -> Result<(), StoreError> {
        let mut dirty = self.shared.dirty.lock();
        // All of them are in what is dirty, or are synchronised already.
        let next = self.shared.next();
        let taken = std::mem::take(&mut *dirty);
        drop(dirty);
        match self.sync_all(&taken) {
            Ok(()) => {
                self.has_failed = false;
                self.shared.synced.fetch_max(next - 1, Ordering::AcqRel);
                Ok(())
            }
            Err(error) => {
                self.has_failed = true;
                put_back(&mut self.shared.dirty.lock(), taken);
                Err(error)
            }
        }
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
