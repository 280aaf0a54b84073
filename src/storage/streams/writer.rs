//! The end of a log that appends, and drops from the front.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::cannot;
use super::cursor::SegmentCursor;
use super::definition;
use super::files::{Handle, discard};
use super::index::{Last, Place};
use super::notes::Notes;
use super::reader::at_time;
use super::record::{HEAD, MARK_BYTES, put, put_mark, size};
use super::recovery::begin;
use super::segment::{DATA, Segment};
use super::shared::Shared;
use super::sidecar;
use super::sync::sync_last;
use super::tombstones::Tombstones;
use crate::broker::{Cursor, Found, LogWriter, Record, StoreError, StreamDefinition, WhenFull};

/// A segment is about an eighth of what the stream may take, so that dropping one drops little.
const PARTS: u64 = 8;
const SMALLEST: u64 = 4 << 10;
const LARGEST: u64 = 64 << 20;
/// Bytes that are gathered for one write.
const WRITE: usize = 1 << 20;
/// A payload from this size on is written where it lies.
const LARGE: usize = 256 << 10;
/// How late messages may be dropped that are too old: a part of the age, so that dropping costs
/// little.
const LATE: u64 = 64;
/// Entries of deleted messages, above which the file is written anew where most are void.
const ENTRIES: u64 = 4_096;

/// Bytes of zeros that are written ahead of the end; when only a quarter is left, more are. A sync
/// of what is written over them need not bring the file's length to the disk, nor wait for the
/// journal of the file system.
const AHEAD: u64 = 256 << 10;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Bytes of an index for which no memory is claimed.
const MODEST: usize = 64 << 10;

/// Appends to a log.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    definition: StreamDefinition,
    segment: Arc<Segment>,
    file: Handle,
    salt: u32,
    /// What the last mark said.
    marked: u64,
    buffer: Vec<u8>,
    /// What the index said of each topic before, in case the batch fails.
    undo: Vec<Option<Last>>,
    /// Where the zeros end that were written ahead of the end; anything less where there are none.
    ahead: u64,
    /// There was no place for them.
    has_no_ahead: bool,
    /// A failure may have left something behind the end.
    is_torn: bool,
    notes: Notes,
    tombstones: Tombstones,
    /// When the first message was published that was kept when it was looked at last.
    oldest: Option<u64>,
    /// Segments whose files are still to be removed.
    dropped: VecDeque<Arc<Segment>>,
}

/// What a writer begins with.
pub(super) struct Beginning {
    pub(super) definition: StreamDefinition,
    pub(super) segment: Arc<Segment>,
    pub(super) file: Handle,
    pub(super) salt: u32,
    pub(super) marked: u64,
    pub(super) ahead: u64,
    pub(super) notes: Notes,
    pub(super) tombstones: Tombstones,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, beginning: Beginning) -> Writer {
        let Beginning { definition, segment, file, salt, marked, ahead, notes, tombstones } =
            beginning;
        let mut writer = Writer {
            shared,
            definition,
            segment,
            file,
            salt,
            marked,
            buffer: Vec::new(),
            undo: Vec::new(),
            ahead,
            has_no_ahead: false,
            is_torn: false,
            notes,
            tombstones,
            oldest: None,
            dropped: VecDeque::new(),
        };
        let most = writer.definition.messages.unwrap_or(u64::MAX);
        writer.drop_before(writer.first_of_last(most));
        writer
    }

    fn segment_size(&self) -> u64 {
        let bytes = self.definition.bytes.unwrap_or(u64::MAX);
        (bytes / PARTS).clamp(SMALLEST, LARGEST)
    }

    /// Begins another segment, if a batch of so many bytes is too much for this one.
    fn make_room(&mut self, bytes: u64) -> Result<(), StoreError> {
        let len = self.segment.len();
        let is_full = self.segment.index.lock().as_ref().is_none_or(|index| index.is_full());
        if len > DATA && (is_full || len + bytes > self.segment_size()) {
            self.roll()?;
        }
        if self.segment.len() + bytes > u64::from(u32::MAX) {
            return Err(StoreError::new(format!(
                "cannot write to {}: {bytes} bytes at once are too many",
                self.segment.path().display()
            )));
        }
        Ok(())
    }

    /// Begins another segment.
    fn roll(&mut self) -> Result<(), StoreError> {
        self.mend()?;
        self.cut_ahead();
        let next = self.shared.next();
        let synced = self.shared.synced.load(Ordering::Acquire);
        let (files, directory) = (&*self.shared.files, &self.shared.directory);
        let (segment, file, salt) = begin(files, directory, next, synced)?;
        let complete = std::mem::replace(&mut self.segment, segment.clone());
        self.shared.add(&segment, &file);
        let mut index = complete.index.lock();
        if let Some(index) = &*index
            && let Err(error) = sidecar::write(files, &complete, self.salt, index)
        {
            tracing::warn!(
                file = %complete.sidecar().display(),
                %error,
                "the index of a part of a stream cannot be written; it is made when it is needed"
            );
        }
        *index = None;
        drop(index);
        (self.file, self.salt, self.marked) = (file, salt, synced);
        self.has_no_ahead = false;
        Ok(())
    }

    /// Takes away the zeros that were written ahead. Where that fails, readers pass over them.
    fn cut_ahead(&mut self) {
        let len = self.segment.len();
        if std::mem::take(&mut self.ahead) > len {
            let _ = self.file.set_len(len);
        }
    }

    /// Writes zeros from one place to another.
    fn write_ahead(&self, mut from: u64, end: u64) -> std::io::Result<()> {
        while from < end {
            let part = (end - from).min(ZEROS.len() as u64);
            self.file.write_at(&ZEROS[..part as usize], from)?;
            from += part;
        }
        Ok(())
    }

    /// Takes away what a failure left behind the end.
    fn mend(&mut self) -> Result<(), StoreError> {
        if self.is_torn {
            let cut = self.file.set_len(self.segment.len());
            cut.map_err(|error| cannot("write to", self.segment.path(), error))?;
            (self.is_torn, self.ahead) = (false, 0);
        }
        Ok(())
    }

    /// Writes messages behind the end, where nobody reads them yet, and lets them be read.
    fn write(&mut self, records: &[Record<'_>]) -> Result<(), StoreError> {
        let segment = self.segment.clone();
        let mut index = segment.index.lock();
        let index = index.get_or_insert_default();
        let mut end = segment.len();
        self.buffer.clear();
        self.undo.clear();
        let synced = self.shared.synced.load(Ordering::Acquire);
        if synced > self.marked {
            let first = &records[0];
            put_mark(synced, first.seq, first.time, self.salt, &mut self.buffer);
        }
        let (seq, time) = (records[0].seq, records[0].time);
        let first = Place { seq, time, offset: end + self.buffer.len() as u64 };
        let mut written = Ok(());
        for record in records {
            let (seq, time) = (record.seq, record.time);
            let offset = end + self.buffer.len() as u64;
            let before =
                index.add(Place { seq, time, offset }, record.topic.as_str(), record.id.is_some());
            self.undo.push(before);
            let previous = before.map_or(0, |last| last.offset);
            let is_large = record.payload.source().len() >= LARGE;
            if put(record, previous, self.salt, is_large, &mut self.buffer).is_none() {
                let reason = format!("message {seq} is too long for a stream");
                written = Err(StoreError::new(reason));
                break;
            }
            if is_large || self.buffer.len() >= WRITE {
                let large: &[u8] = if is_large { record.payload.source() } else { &[] };
                written = flush(&self.file, &mut self.buffer, large, &mut end)
                    .map_err(|error| cannot("write to", segment.path(), error));
                if written.is_err() {
                    break;
                }
            }
        }
        let written = written.and_then(|()| {
            flush(&self.file, &mut self.buffer, &[], &mut end)
                .map_err(|error| cannot("write to", segment.path(), error))
        });
        if let Err(error) = written {
            for (record, before) in records.iter().zip(&self.undo).rev() {
                index.take_back(record.seq, record.topic.as_str(), record.id.is_some(), *before);
            }
            return Err(error);
        }
        index.appended(first);
        self.marked = self.marked.max(synced);
        let next = records[0].seq + records.len() as u64;
        self.shared.appended(&segment, &self.file, end, next);
        Ok(())
    }

    /// Drops what is before a message.
    fn drop_before(&mut self, first: u64) {
        let next = self.shared.next();
        let mut first = first.max(self.shared.first()).min(next);
        while let Some(last) = self.shared.deleted_to(first) {
            first = last + 1;
        }
        if first > self.shared.first() {
            self.shared.set_first(first);
        }
    }

    /// Removes the files of segments that have no message any more.
    fn remove_dropped(&mut self) -> Result<(), StoreError> {
        let is_all_void = self.shared.first() == self.shared.next();
        if is_all_void && self.segment.len() >= self.segment_size() / 4 {
            self.roll()?;
        }
        self.dropped.extend(self.shared.take_dropped());
        if self.dropped.is_empty() {
            return Ok(());
        }
        // The number of the next message is known by the segments that are left.
        let is_known = |segment: &Arc<Segment>| segment.is_durable.load(Ordering::Acquire);
        if !self.shared.segments().iter().any(is_known) {
            sync_last(&self.shared, &self.segment, &*self.file)?;
        }
        // In their order: what a crash leaves has no hole.
        while let Some(segment) = self.dropped.front() {
            for path in [&segment.sidecar(), segment.path()] {
                let removed = discard(&*self.shared.files, path);
                removed.map_err(|error| cannot("remove", path, error))?;
            }
            self.dropped.pop_front();
        }
        let first = self.shared.segment_of(0).map_or(0, |segment| segment.first);
        self.shared.with_deleted(|deleted| deleted.forget_below(first));
        Ok(())
    }

    /// Writes down anew what is deleted, where most of what was written is void.
    fn compact_tombstones(&mut self) -> Result<(), StoreError> {
        let mut left = self.shared.with_deleted(|deleted| deleted.clone());
        if self.tombstones.entries() > ENTRIES.max(4 * left.iter().count() as u64) {
            left.insert(1, self.shared.first() - 1);
            self.tombstones.replace(&*self.shared.files, &left)?;
        }
        Ok(())
    }

    /// The first message that is not beyond the limits.
    fn first_within(&mut self, now: u64) -> Result<u64, StoreError> {
        let mut first = self.shared.first();
        if let Some(age) = self.definition.age {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            let oldest = now.saturating_sub(age);
            // What is a little too old waits, so that much is dropped together.
            let is_late = |time: u64| time < oldest.saturating_sub(age / LATE);
            if self.oldest.is_none_or(is_late) && first < self.shared.next() {
                let time = self.time_of(first)?;
                self.oldest = Some(time);
                if is_late(time) {
                    first = at_time(&self.shared, oldest)?;
                }
            }
        }
        if self.definition.full == WhenFull::Refuse {
            // What was accepted is kept; there is no room for more.
            return Ok(first);
        }
        if let Some(most) = self.definition.messages {
            first = first.max(self.first_of_last(most));
        }
        if let Some(most) = self.definition.bytes {
            let (mut bytes, mut first_of_kept) = (self.shared.bytes(), 0);
            let segments = self.shared.segments();
            for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
                if bytes <= most {
                    break;
                }
                bytes -= segment.len();
                first_of_kept = next.first;
            }
            first = first.max(first_of_kept);
        }
        Ok(first)
    }

    /// The first of the last so many messages.
    fn first_of_last(&self, most: u64) -> u64 {
        let mut first = self.shared.first();
        let mut excess = self.shared.messages().saturating_sub(most);
        let deleted = self.shared.with_deleted(|deleted| deleted.clone());
        for (from, to) in deleted.iter() {
            if to < first {
                continue;
            }
            let before = from.saturating_sub(first).min(excess);
            (first, excess) = (first + before, excess - before);
            if excess == 0 {
                return first;
            }
            first = to + 1;
        }
        first + excess
    }

    /// When a message was published, or one behind it.
    fn time_of(&self, seq: u64) -> Result<u64, StoreError> {
        let mut cursor = SegmentCursor::new(self.shared.clone(), seq);
        while let Some(found) = cursor.read()? {
            if let Found::Record(record) = found {
                return Ok(record.time);
            }
        }
        Ok(u64::MAX)
    }
}

/// Writes the buffer, and what is behind it, at the end.
fn flush(file: &Handle, buffer: &mut Vec<u8>, large: &[u8], end: &mut u64) -> std::io::Result<()> {
    for bytes in [&buffer[..], large] {
        if !bytes.is_empty() {
            file.write_at(bytes, *end)?;
            *end += bytes.len() as u64;
        }
    }
    buffer.clear();
    Ok(())
}

impl LogWriter for Writer {
    fn append(&mut self, records: &[Record<'_>]) -> Result<(), StoreError> {
        let Some(first) = records.first() else { return Ok(()) };
        let next = self.shared.next();
        if records.iter().zip(next..).any(|(record, seq)| record.seq != seq) {
            return Err(StoreError::new(format!(
                "cannot write to {}: message {} comes where {next} should",
                self.shared.directory.display(),
                first.seq,
            )));
        }
        let bytes = records.iter().map(size).sum::<u64>() + MARK_BYTES as u64;
        self.make_room(bytes)?;
        self.mend()?;
        match self.write(records) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.is_torn = true;
                // Where this fails too, the next try begins with it.
                let _ = self.mend();
                Err(error)
            }
        }
    }

    fn note(&mut self, notes: &[&[u8]]) -> Result<(), StoreError> {
        self.notes.add(notes)?;
        self.shared.dirty.lock().notes = Some(self.notes.written());
        Ok(())
    }

    fn replace_notes(&mut self, notes: &[&[u8]]) -> Result<(), StoreError> {
        self.notes.replace(&*self.shared.files, notes)?;
        self.shared.dirty.lock().notes = None;
        Ok(())
    }

    fn noted(&self) -> u64 {
        self.notes.noted()
    }

    fn trim(&mut self, now: u64, keep_from: Option<u64>) -> Result<u64, StoreError> {
        let within = self.first_within(now);
        let mut noted = Ok(());
        if let Some(keep_from) = keep_from.map(|from| from.min(self.shared.next()))
            && keep_from > self.shared.first()
        {
            // The limits are known at the next start; this is not.
            noted = self.tombstones.add(&*self.shared.files, 1, keep_from - 1);
            self.shared.dirty.lock().deleted = self.tombstones.written();
            self.drop_before(keep_from);
        }
        if let Ok(first) = within {
            self.drop_before(first);
        }
        self.remove_dropped()?;
        self.compact_tombstones()?;
        noted?;
        within?;
        Ok(self.shared.first())
    }

    fn delete(&mut self, seq: u64) -> Result<bool, StoreError> {
        let is_there = seq >= self.shared.first() && seq < self.shared.next();
        if !is_there || self.shared.deleted_to(seq).is_some() {
            return Ok(false);
        }
        self.tombstones.add(&*self.shared.files, seq, seq)?;
        self.shared.dirty.lock().deleted = self.tombstones.written();
        self.shared.with_deleted(|deleted| deleted.insert(seq, seq));
        self.drop_before(self.shared.first());
        Ok(true)
    }

    fn is_full(&self, bytes: usize) -> bool {
        let one_more = self.shared.bytes().saturating_add((HEAD + bytes) as u64);
        self.definition.bytes.is_some_and(|most| one_more > most)
            || self.definition.messages.is_some_and(|most| self.shared.messages() >= most)
    }

    fn prepare(&mut self) -> bool {
        let (len, size) = (self.segment.len(), self.segment_size());
        let (from, end) = (self.ahead.max(len), (len + AHEAD).min(size));
        let few = AHEAD.min(size) / 4;
        if self.is_torn || self.has_no_ahead || from - len > few || end < from + few {
            return false;
        }
        if self.write_ahead(from, end).is_err() {
            // A message may find room where there is none for this.
            (self.has_no_ahead, self.is_torn) = (true, true);
            let _ = self.mend();
            return false;
        }
        self.ahead = end;
        self.shared.touched(&self.segment, &self.file);
        true
    }

    fn memory(&self) -> usize {
        let index = self.segment.index.lock();
        index.as_ref().map_or(0, |index| index.memory()).saturating_sub(MODEST)
    }

    fn give_memory_back(&mut self) -> Result<(), StoreError> {
        self.roll()
    }

    fn define(&mut self, definition: &StreamDefinition) -> Result<(), StoreError> {
        definition::store(&*self.shared.files, &self.shared.directory, definition)?;
        self.definition = definition.clone();
        Ok(())
    }
}

/// What is left ahead of the end is of no use to anybody.
impl Drop for Writer {
    fn drop(&mut self) {
        self.cut_ahead();
    }
}
