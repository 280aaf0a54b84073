//! Opening a log: which segments there are, and where the last of them ends.
//!
//! Only what may not have been on the disk when the power was cut is looked at. Marks say up to
//! where everything was: what is damaged before is damage, which readers report; what is damaged
//! behind is the torn end of what was never promised, and is cut off.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::super::cannot;
use super::files::{Files, Handle, LogFile, UNFINISHED, discard, read_up_to};
use super::index::{Index, Place};
use super::segment::{DATA, SEGMENT, SIDECAR, Segment, SegmentHead, read_name};
use super::shared::no_head;
use super::steps::{Step, Steps};
use crate::broker::StoreError;

/// Segments that are looked at, at most: what was written and never synchronised may be more, and
/// is read when somebody wants it.
const MOST_SEGMENTS: usize = 16;

/// Bytes that are looked at together, where there may be nothing but zeros.
const ZEROS: usize = 64 << 10;

/// A log as it was found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// Those of them that may not be on the disk.
    pub(super) unsynced: Vec<(Arc<Segment>, Handle)>,
    pub(super) next: u64,
    pub(super) synced: u64,
    /// The last mark in the last segment.
    pub(super) marked: u64,
    /// Where the zeros behind its last message end, if there are any.
    pub(super) ahead: u64,
}

/// A place where something is missing.
struct Hole {
    /// The first message that is.
    seq: u64,
    segment: usize,
    offset: u64,
}

/// A segment, as it is looked at.
struct Looked {
    segment: Arc<Segment>,
    file: Handle,
    /// None where both copies are damaged.
    head: Option<SegmentHead>,
}

/// Makes the first segment of a log, or the next.
pub(super) fn begin(
    files: &dyn Files,
    directory: &Path,
    first: u64,
    synced: u64,
) -> Result<(Arc<Segment>, Handle, u32), StoreError> {
    let segment = Segment::new(directory, first, DATA);
    let failed = |error| cannot("make", segment.path(), error);
    let mut salt = [0; 4];
    getrandom::fill(&mut salt).map_err(|error| {
        StoreError::new(format!("cannot make {}: {error}", segment.path().display()))
    })?;
    let head = SegmentHead { salt: u32::from_le_bytes(salt), first, synced };
    // One may be left of a try that failed.
    discard(files, segment.path()).map_err(failed)?;
    let file = files.create(segment.path()).map_err(failed)?;
    if let Err(error) = head.write(&*file) {
        let _ = discard(files, segment.path());
        return Err(failed(error));
    }
    *segment.index.lock() = Some(Index::default());
    segment.adopt(&file, head.salt);
    Ok((Arc::new(segment), file, head.salt))
}

/// Looks at the files of a log.
pub(super) fn recover(files: &dyn Files, directory: &Path) -> Result<Recovered, StoreError> {
    let mut segments = find(files, directory)?;
    if segments.is_empty() {
        let (segment, file, _) = begin(files, directory, 1, 0)?;
        let unsynced = vec![(segment.clone(), file)];
        let segments = VecDeque::from([segment]);
        return Ok(Recovered { segments, unsynced, next: 1, synced: 0, marked: 0, ahead: 0 });
    }
    let mut looked = look_back(files, &segments)?;
    let start = segments.len() - looked.len();
    let mut scan = Scan::default();
    for (at, looked) in looked.iter().enumerate() {
        let end = segments.get(start + at + 1).map(|segment| segment.first);
        scan.segment(at, looked, end)?;
    }
    let (mut next, synced) = (scan.next, scan.synced);
    for hole in scan.holes.iter().filter(|hole| hole.seq <= synced) {
        tracing::error!(
            directory = %directory.display(),
            message = hole.seq,
            "a stream is damaged on the disk: this message and perhaps some behind it cannot be \
             read; consumers are told"
        );
    }
    if let Some(hole) = scan.holes.iter().find(|hole| hole.seq > synced) {
        next = hole.seq;
        cut(files, &mut segments, &mut looked, start, hole)?;
        let again = looked.len() - 1;
        if looked[again].head.is_none() {
            begin_again(files, directory, &mut segments, &mut looked, synced)?;
        }
        scan = Scan::default();
        scan.segment(again, &looked[again], None)?;
        files.sync_directory(directory).map_err(|error| cannot("write to", directory, error))?;
    }
    if let Some(last) = looked.last() {
        *last.segment.index.lock() = Some(std::mem::take(&mut scan.index));
    }
    let unsynced = looked.into_iter().map(|looked| (looked.segment, looked.file)).collect();
    let (synced, marked, ahead) = (synced.min(next - 1), scan.marked, scan.ahead);
    Ok(Recovered { segments, unsynced, next, synced, marked, ahead })
}

/// The segments of a log by their names. What is left of something unfinished is removed.
fn find(files: &dyn Files, directory: &Path) -> Result<VecDeque<Arc<Segment>>, StoreError> {
    let mut segments = Vec::new();
    let mut sidecars = Vec::new();
    let names = files.list(directory).map_err(|error| cannot("read", directory, error))?;
    for name in names {
        let path = directory.join(&name);
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            discard(files, &path).map_err(|error| cannot("remove", &path, error))?;
        }
        match read_name(&name) {
            Some((first, SEGMENT)) => {
                let len = files.len(&path).map_err(|error| cannot("read", &path, error))?;
                segments.push(Arc::new(Segment::new(directory, first, len)));
            }
            Some((first, SIDECAR)) => sidecars.push((first, path)),
            _ => {}
        }
    }
    segments.sort_by_key(|segment| segment.first);
    for (first, path) in sidecars {
        if segments.binary_search_by_key(&first, |segment| segment.first).is_err() {
            discard(files, &path).map_err(|error| cannot("remove", &path, error))?;
        }
    }
    Ok(segments.into())
}

/// Opens the last segments, back to where everything before was on the disk.
fn look_back(
    files: &dyn Files,
    segments: &VecDeque<Arc<Segment>>,
) -> Result<Vec<Looked>, StoreError> {
    let (mut looked, mut synced) = (Vec::new(), 0);
    for segment in segments.iter().rev().take(MOST_SEGMENTS) {
        let file = segment.open(files);
        let file = file.map_err(|error| cannot("open", segment.path(), error))?;
        let head = match SegmentHead::read(&*file) {
            Ok(head) => Some(head),
            Err(error) => no_head(segment, error).map(|()| None)?,
        };
        synced = head.map_or(synced, |head| head.synced.max(synced));
        looked.push(Looked { segment: segment.clone(), file, head });
        if head.is_some() && synced + 1 >= segment.first {
            break;
        }
    }
    looked.reverse();
    Ok(looked)
}

/// What is found on the way through the last segments.
#[derive(Default)]
struct Scan {
    holes: Vec<Hole>,
    /// The number that the next message should have.
    next: u64,
    synced: u64,
    /// Of the segment that was looked at last.
    marked: u64,
    /// Where the zeros end that were written ahead of the end.
    ahead: u64,
    index: Index,
}

impl Scan {
    /// Looks at a segment; the one behind it begins with `end`.
    fn segment(&mut self, at: usize, looked: &Looked, end: Option<u64>) -> Result<(), StoreError> {
        let Looked { segment, file, head } = looked;
        self.index = Index::default();
        self.marked = 0;
        if self.next < segment.first {
            // The first that is looked at, or the one before is short, which is a hole already.
            self.next = segment.first;
        }
        let mut offset = DATA;
        if let Some(head) = head {
            self.synced = self.synced.max(head.synced);
            self.marked = head.synced;
            let mut steps = Steps::default();
            steps.go(head.salt, DATA, segment.first);
            loop {
                let step = steps.step(&**file, segment.len(), end.unwrap_or(u64::MAX));
                let step = step.map_err(|error| cannot("read", segment.path(), error))?;
                match step {
                    Step::End => break,
                    // A hole is known by what is behind it.
                    Step::Gap => {}
                    Step::Record(head) if head.is_mark() => {
                        self.reach(head.seq, at, offset);
                        self.marked = head.synced(steps.body());
                        self.synced = self.synced.max(self.marked);
                        offset = steps.offset();
                    }
                    Step::Record(head) => {
                        self.reach(head.seq, at, offset);
                        if let Some(record) = head.record(steps.body()) {
                            let place =
                                Place { seq: head.seq, time: head.time, offset: steps.before() };
                            self.index.add(place, record.topic.as_str(), record.id.is_some());
                        }
                        (self.next, offset) = (head.seq + 1, steps.offset());
                    }
                    Step::Damaged(head) if head.is_mark() => {}
                    Step::Damaged(head) => {
                        self.reach(head.seq, at, offset);
                        let hole = Hole { seq: head.seq, segment: at, offset: steps.before() };
                        self.holes.push(hole);
                        (self.next, offset) = (head.seq + 1, steps.offset());
                    }
                }
            }
        }
        match end {
            Some(end) => self.reach(end, at, offset),
            // Messages would have been written there. One that was lost whole was never promised.
            None if head.is_some() && is_zero(&**file, offset, segment)? => {
                if self.next <= self.synced {
                    self.holes.push(Hole { seq: self.next, segment: at, offset });
                }
                self.ahead = segment.len();
                segment.set_len(offset);
            }
            // What lies behind the last record is no message; it may be part of one. Or the head
            // itself is cut, behind its first copy.
            None if offset != segment.len() || head.is_none() => {
                self.holes.push(Hole { seq: self.next, segment: at, offset });
            }
            None => {}
        }
        Ok(())
    }

    /// A message of this number comes next: those before it should have been there.
    fn reach(&mut self, seq: u64, segment: usize, offset: u64) {
        if seq > self.next {
            self.holes.push(Hole { seq: self.next, segment, offset });
            self.next = seq;
        }
    }
}

/// Whether there is nothing but zeros from a place to the end of a segment.
fn is_zero(file: &dyn LogFile, mut from: u64, segment: &Segment) -> Result<bool, StoreError> {
    let mut block = vec![0; ZEROS];
    while from < segment.len() {
        let part = (segment.len() - from).min(ZEROS as u64) as usize;
        let read = read_up_to(file, &mut block[..part], from);
        let read = read.map_err(|error| cannot("read", segment.path(), error))?;
        if read == 0 || block[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        from += read as u64;
    }
    Ok(true)
}

/// Begins the last segment anew, whose head cannot be read. What may be in it is kept aside.
fn begin_again(
    files: &dyn Files,
    directory: &Path,
    segments: &mut VecDeque<Arc<Segment>>,
    looked: &mut Vec<Looked>,
    synced: u64,
) -> Result<(), StoreError> {
    let (Some(last), Some(_)) = (looked.pop(), segments.pop_back()) else { return Ok(()) };
    let path = last.segment.path();
    if last.file.len().is_ok_and(|len| len > DATA) {
        let aside = path.with_extension("damaged");
        files.rename(path, &aside).map_err(|error| cannot("rename", path, error))?;
        tracing::error!(
            file = %aside.display(),
            "the head of the last part of a stream cannot be read, and nothing in it can be \
             without; it is kept aside under this name, and the stream goes on without it"
        );
    }
    let (segment, file, salt) = begin(files, directory, last.segment.first, synced)?;
    let head = Some(SegmentHead { salt, first: segment.first, synced });
    segments.push_back(segment.clone());
    looked.push(Looked { segment, file, head });
    Ok(())
}

/// Cuts a log off at a hole.
fn cut(
    files: &dyn Files,
    segments: &mut VecDeque<Arc<Segment>>,
    looked: &mut Vec<Looked>,
    start: usize,
    hole: &Hole,
) -> Result<(), StoreError> {
    let mut bytes = 0;
    for gone in looked.drain(hole.segment + 1..).rev() {
        bytes += gone.segment.len();
        for path in [gone.segment.sidecar(), gone.segment.path().to_owned()] {
            discard(files, &path).map_err(|error| cannot("remove", &path, error))?;
        }
    }
    segments.truncate(start + hole.segment + 1);
    let Some(last) = looked.last() else { return Ok(()) };
    let (segment, file) = (&last.segment, &last.file);
    let Some(head) = &last.head else { return Ok(()) };
    bytes += segment.len().saturating_sub(hole.offset);
    let failed = |error| cannot("write to", segment.path(), error);
    file.set_len(hole.offset)
        .and_then(|()| if hole.offset == DATA { head.write(&**file) } else { Ok(()) })
        .and_then(|()| file.sync())
        .map_err(failed)?;
    segment.set_len(hole.offset);
    let sidecar = segment.sidecar();
    discard(files, &sidecar).map_err(|error| cannot("remove", &sidecar, error))?;
    tracing::warn!(
        file = %segment.path().display(),
        bytes,
        next = hole.seq,
        "the end of a stream was not on the disk when the broker ended, and is cut off; nothing is \
         gone that was confirmed as being on the disk"
    );
    Ok(())
}
