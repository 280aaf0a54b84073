//! Writing: messages first, then what consumers have said, so that nothing is settled that is not
//! there.

use super::sync::Written;
use super::{RETRY, StreamThread, TRIM};
use crate::broker::persist::StoreError;
use crate::broker::streams::log::Record;
use crate::broker::streams::request::{Append, Request, What};
use crate::broker::streams::state::{Condition, News};
use crate::broker::sync::{Instant, thread};
use crate::broker::wall_clock;
use crate::protocol::WhenFull;

/// Bytes of notes after which they are written anew.
const NOTES: u64 = 4 << 20;
/// Memory of an index is claimed in such pieces.
const INDEX: usize = 64 << 10;
/// Where messages come in no larger pieces than this many bytes, the log makes room for the next.
const BRIEF: usize = 16 << 10;
/// How often a stream that stops tries to write what is left.
const TRIES: usize = 3;

impl StreamThread {
    /// Writes what there is to be written, if the disk did not fail a moment ago.
    pub(super) fn write(&mut self, now: Instant) {
        if self.failed.is_some_and(|failed| now < failed + RETRY) {
            return self.state.fail(self.op, &self.state.reason());
        }
        self.gather_notes();
        if let Err(error) = self.try_write(now) {
            if self.failed.is_none() {
                tracing::error!(
                    stream = %self.state.name(),
                    "{error}; what is published to it is refused until the disk can be written \
                     to; trying again every second"
                );
            }
            self.failed = Some(now);
            self.state.set_condition(Condition::Failing);
            self.state.fail(self.op, error.reason());
            return;
        }
        if self.failed.take().is_some() {
            tracing::info!(stream = %self.state.name(), "the stream can be written to again");
        }
    }

    fn try_write(&mut self, now: Instant) -> Result<(), StoreError> {
        // What was written by a try whose end failed is not on the disk either.
        self.news.messages |= !self.unwritten.is_empty();
        self.news.notes |= !self.notes.is_empty();
        self.append()?;
        self.claim_index()?;
        self.write_notes()?;
        self.trim(now)?;
        // Who was told that something is written knows whether there is room for more.
        self.note_condition();
        let (op, next, mut news) = (self.op, self.reader.next(), std::mem::take(&mut self.news));
        let bytes = std::mem::take(&mut self.news_bytes);
        self.is_brief = news.messages && bytes <= BRIEF;
        let is_hurried = std::mem::take(&mut self.is_hurried);
        self.state.wrote(op, news);
        if self.syncing.is_waited_for()
            && news.messages
            && self.requests.is_empty()
            && self.syncing.sync_messages()
        {
            news.messages = false;
            self.reach(next);
            self.untold = Some(op);
        }
        if news != News::default() || is_hurried {
            self.syncing.wrote(Written { op, next, news, bytes, is_hurried });
        }
        if !self.syncing.is_waited_for() {
            self.reach(next);
        }
        Ok(())
    }

    /// Tells who waits for it that messages are on the disk.
    pub(super) fn tell(&mut self) {
        if let Some(op) = self.untold.take() {
            self.state.synced_messages(op);
        }
    }

    /// Has the log make room for the next messages, while there are none and consumers have got
    /// what there was.
    pub(super) fn prepare(&mut self) {
        if std::mem::take(&mut self.is_brief)
            && self.syncing.is_waited_for()
            && self.failed.is_none()
            && self.requests.is_empty()
            && self.writer.prepare()
        {
            // Otherwise the next sync does it.
            self.syncing.sync_messages();
        }
    }

    /// Appends the messages that wait.
    fn append(&mut self) -> Result<(), StoreError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let mut records = Vec::new();
        for append in &self.unwritten {
            records.extend(records_of(append));
        }
        self.writer.append(&records)?;
        let messages = records.len() as u64;
        drop(records);
        let mut bytes = 0;
        for append in self.unwritten.drain(..) {
            bytes += append.bytes;
            self.burials.extend(append.burial.map(|burial| (append.first, burial)));
        }
        self.state.take_off(bytes, messages);
        self.news_bytes += bytes;
        Ok(())
    }

    /// Claims memory for the index of what was written last. Where there is none, what comes next
    /// begins a part of the log with an index of its own: more files, and no more memory.
    fn claim_index(&mut self) -> Result<(), StoreError> {
        let bytes = self.writer.memory();
        if bytes < self.index.bytes() / 4 {
            self.index.shrink_to(bytes);
        }
        if !self.index.try_grow_to(bytes.next_multiple_of(INDEX)) {
            self.writer.give_memory_back()?;
            self.index.shrink_to(0);
        }
        Ok(())
    }

    /// Says that everything before the message `next` may be delivered: it is as safe as it is
    /// promised to be.
    pub(super) fn reach(&mut self, next: u64) {
        self.state.set_readable(next);
        while self.burials.front().is_some_and(|(seq, _)| *seq < next)
            && let Some((_, burial)) = self.burials.pop_front()
        {
            let what = What::Buried { consumer: burial.consumer, seq: burial.seq };
            // The stream that it comes from may have been removed.
            let _ = burial.to.send(Request { op: 0, what });
        }
    }

    /// Takes from the consumers what is to be written of them.
    pub(super) fn gather_notes(&mut self) {
        let mut of_one = Vec::new();
        for (name, entry) in &mut self.consumers.all {
            entry.machine.take_notes(&mut of_one);
            self.notes.extend(of_one.drain(..).map(|note| super::journal::change(name, &note)));
        }
    }

    pub(super) fn write_notes(&mut self) -> Result<(), StoreError> {
        if self.notes.is_empty() {
            return Ok(());
        }
        if self.writer.noted() > NOTES {
            let all = self.consumers.snapshot();
            let notes: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
            self.writer.replace_notes(&notes)?;
        } else {
            let notes: Vec<&[u8]> = self.notes.iter().map(Vec::as_slice).collect();
            self.writer.note(&notes)?;
        }
        self.notes.clear();
        Ok(())
    }

    /// Drops what is beyond the limits, and tells the consumers.
    fn trim(&mut self, now: Instant) -> Result<(), StoreError> {
        let is_due = now >= self.trimmed + TRIM;
        if !is_due && self.definition.messages.is_none() && self.definition.bytes.is_none() {
            return Ok(());
        }
        if is_due {
            self.trimmed = now;
        }
        let time = self.ages.judge(self.state.name(), wall_clock(), now);
        let first = self.writer.trim(time, None)?;
        if first > self.first {
            self.first = first;
            for (name, entry) in &mut self.consumers.all {
                let lost = entry.machine.trimmed(first);
                if lost > 0 {
                    tracing::warn!(
                        stream = %self.state.name(), consumer = %name, messages = lost,
                        "the stream dropped messages that the consumer had not settled: its limits \
                         are too low for how far behind the consumer is"
                    );
                }
            }
        }
        Ok(())
    }

    /// Says whether the stream takes messages.
    pub(super) fn note_condition(&mut self) {
        let is_full = self.definition.full == WhenFull::Refuse && self.writer.is_full(0);
        self.state.set_condition(if is_full { Condition::Full } else { Condition::Open });
    }

    /// Writes what is left, for the end.
    pub(super) fn finish(&mut self) {
        let mut tries = 0;
        loop {
            self.failed = None;
            self.write(Instant::now());
            tries += 1;
            if self.failed.is_none() || tries == TRIES {
                break;
            }
            // The pause before the next try. Nothing else comes any more that it would hold up.
            thread::sleep(RETRY / 4);
        }
        self.tell();
        self.syncing.finish();
        let (lost, _) = self.state.unwritten();
        if lost > 0 {
            tracing::error!(
                stream = %self.state.name(), messages = lost,
                "the stream could not be written to until the end: these messages are lost; none \
                 of them was confirmed"
            );
        }
    }
}

fn records_of(append: &Append) -> impl Iterator<Item = Record<'_>> {
    let batch = &append.batch;
    append.selection.places(batch).enumerate().map(move |(place, index)| {
        let entry = &batch.messages()[index];
        Record {
            seq: append.first + place as u64,
            time: append.time,
            topic: batch.topics().get(entry.topic()),
            id: batch.id(index),
            payload: batch.payload(index),
        }
    })
}
