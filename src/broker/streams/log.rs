//! Where the messages of streams are kept beyond the process. The broker knows no file and no
//! disk: only these traits.
//!
//! A log has three ends, each for a thread of its own: one that appends, one that makes what was
//! appended last, and any number that read. Numbers (`seq`) begin at 1 and have no holes; the
//! broker gives them. Beside its messages a log keeps notes: small records that mean nothing to
//! it, in which the broker writes down how far its consumers are.

use std::fmt::Debug;
use std::sync::Arc;

use super::StreamDefinition;
use crate::broker::persist::StoreError;
use crate::codec::PayloadRef;
use crate::protocol::{TopicFilter, TopicName};

/// One message of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its number, from 1 on.
    pub seq: u64,
    /// When it was published, in milliseconds since 1970. It is never less than that of the
    /// message before.
    pub time: u64,
    /// Its topic.
    pub topic: TopicName<'a>,
    /// What the publisher called it, so that a repetition is known.
    pub id: Option<&'a str>,
    /// Its payload, as it was published.
    pub payload: PayloadRef<'a>,
}

/// Keeps the logs of all streams.
pub trait StreamStore: Debug + Send + Sync {
    /// The streams that there are, as they were last defined, sorted by name.
    ///
    /// # Errors
    /// [`StoreError`] where that cannot be read.
    fn list(&self) -> Result<Vec<StreamDefinition>, StoreError>;

    /// Opens the log of a stream, or creates it, and remembers its definition. A torn end, of a
    /// write that a crash has cut, is cut off and logged.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read or written.
    fn open(&self, definition: &StreamDefinition) -> Result<Log, StoreError>;

    /// Removes a stream with all that it holds. Readers that have it open may go on.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be removed.
    fn remove(&self, name: &str) -> Result<(), StoreError>;
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    /// Appends.
    pub writer: Box<dyn LogWriter>,
    /// Makes what was appended last.
    pub sync: Box<dyn LogSync>,
    /// Reads.
    pub reader: Arc<dyn LogReader>,
    /// The notes that it holds, in the order in which they were written. An empty one, which is
    /// never written, stands where some between others cannot be read.
    pub notes: Vec<Vec<u8>>,
}

/// The end that appends. One thread has it, and may wait for a disk there.
pub trait LogWriter: Debug + Send {
    /// Appends messages, whose numbers go on from the last. When this returns they can be read,
    /// and outlive the process, though not a cut of power.
    ///
    /// # Errors
    /// [`StoreError`]. Nothing of them is in the log then, and they can be tried again.
    fn append(&mut self, records: &[Record<'_>]) -> Result<(), StoreError>;

    /// Writes notes down, behind those before.
    ///
    /// # Errors
    /// [`StoreError`]. None of them is written then.
    fn note(&mut self, notes: &[&[u8]]) -> Result<(), StoreError>;

    /// Writes notes in the place of all before, in one step: after a crash there are these or
    /// those, and what [`note`](Self::note) adds later is behind these.
    ///
    /// # Errors
    /// [`StoreError`]. The notes before are still there then.
    fn replace_notes(&mut self, notes: &[&[u8]]) -> Result<(), StoreError>;

    /// Bytes of notes since they were last replaced.
    fn noted(&self) -> u64;

    /// Drops messages from the front that are beyond the limits of the definition, as of `now`
    /// (milliseconds since 1970), or before `keep_from`. Returns the number of the first message
    /// that is left, or of the next one where none is. A limit of messages is exact; those of bytes
    /// and age may keep a little more.
    ///
    /// # Errors
    /// [`StoreError`] where what is dropped cannot be removed; it is not read any more all the
    /// same.
    fn trim(&mut self, now: u64, keep_from: Option<u64>) -> Result<u64, StoreError>;

    /// Forgets one message, for good: cursors pass over it as if it had never been. Returns whether
    /// it was there.
    ///
    /// # Errors
    /// [`StoreError`]. It is still there then.
    fn delete(&mut self, seq: u64) -> Result<bool, StoreError>;

    /// Whether one more message of `bytes` would be beyond the limits, so that the oldest would
    /// have to make room.
    fn is_full(&self, bytes: usize) -> bool;

    /// Makes room behind the end while nothing else is to be done, so that making the next messages
    /// last takes the disk less. Returns whether there is something for
    /// [`LogSync::sync_messages`] now.
    fn prepare(&mut self) -> bool {
        false
    }

    /// Bytes of memory that it takes to find again what it has written last, beyond 64 KiB.
    fn memory(&self) -> usize {
        0
    }

    /// Gives that memory back, for there is none left.
    ///
    /// # Errors
    /// [`StoreError`]. It keeps the memory then.
    fn give_memory_back(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Holds to new limits from now on, and remembers them.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be written down.
    fn define(&mut self, definition: &StreamDefinition) -> Result<(), StoreError>;
}

/// The end that makes what was appended last. One thread has it, and waits for the disk there.
pub trait LogSync: Debug + Send {
    /// Makes everything last that was appended or noted before this was called: first the
    /// messages, then the notes.
    ///
    /// # Errors
    /// [`StoreError`]. What was appended since the last success may be lost with the power then.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// Makes the messages last that were appended before this was called; what was noted may wait
    /// for [`sync`](Self::sync).
    ///
    /// # Errors
    /// As above.
    fn sync_messages(&mut self) -> Result<(), StoreError> {
        self.sync()
    }
}

/// The end that reads, for any number of threads.
pub trait LogReader: Debug + Send + Sync {
    /// The number of the first message that is kept, or of the next one where there is none.
    fn first(&self) -> u64;

    /// The number that the next message will have.
    fn next(&self) -> u64;

    /// Messages that are kept; what is damaged counts.
    fn messages(&self) -> u64 {
        self.next().saturating_sub(self.first())
    }

    /// Bytes on the disk.
    fn bytes(&self) -> u64;

    /// Messages that are damaged, as far as is known.
    fn damaged(&self) -> u64 {
        0
    }

    /// A place to read from, before the message `seq`, or before the first where that is dropped.
    fn cursor(&self, seq: u64) -> Box<dyn Cursor>;

    /// The number of the first message that was published at `time` or later (milliseconds since
    /// 1970).
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read.
    fn at_time(&self, time: u64) -> Result<u64, StoreError>;

    /// What publishers called the messages that were published at `time` or later, in their order;
    /// where those are more than `most`, the newest `most` of them, and perhaps others. A log that
    /// knows where there are none does not look there.
    ///
    /// # Errors
    /// As above.
    fn ids_since(
        &self,
        time: u64,
        _most: usize,
        take: &mut dyn FnMut(&str),
    ) -> Result<(), StoreError> {
        let mut cursor = self.cursor(self.at_time(time)?);
        while let Some(found) = cursor.read()? {
            if let Found::Record(record) = found {
                record.id.into_iter().for_each(&mut *take);
            }
        }
        Ok(())
    }

    /// The numbers of the last messages of one topic, at most so many, ascending. Looks at what may
    /// hold the topic and at nothing else.
    ///
    /// # Errors
    /// As above.
    fn last_of_topic(&self, topic: TopicName<'_>, most: usize) -> Result<Vec<u64>, StoreError>;

    /// The number of the last message of each topic that a filter matches, ascending.
    ///
    /// # Errors
    /// As above.
    fn last_of_each(&self, filter: &TopicFilter) -> Result<Vec<u64>, StoreError>;
}

/// A place in a log, for one thread.
pub trait Cursor: Debug + Send {
    /// Goes to another place; next is the message `seq`, or the first behind it that is kept.
    fn seek(&mut self, seq: u64);

    /// The number of the message that [`read`](Self::read) would look at next.
    fn seq(&self) -> u64;

    /// The next message; `None` at the end, where more may come.
    ///
    /// # Errors
    /// [`StoreError`] where the disk cannot be read; the cursor stays where it is.
    fn read(&mut self) -> Result<Option<Found<'_>>, StoreError>;

    /// Gives back the memory that it reads into, until it reads again: at most 256 KiB, or the
    /// longest message that it has come by.
    fn release(&mut self) {}
}

/// Something that a cursor came by.
#[derive(Debug)]
pub enum Found<'a> {
    /// A message.
    Record(Record<'a>),
    /// Messages that cannot be read; the cursor is behind them.
    Damage(Damage),
}

/// Messages that are damaged where they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// What is wrong, and where, for a person.
    pub reason: String,
}
