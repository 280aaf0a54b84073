//! A disk for models: it keeps the logs of streams in memory, takes its time, and fails as often as
//! it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::broker::sync::world::{any, one_in};
use crate::broker::sync::{Mutex, yield_now};
use crate::broker::{
    Change, Cursor, Found, Kept, Log, LogReader, LogSync, LogWriter, Record, Store, StoreError,
    StreamDefinition, StreamStore,
};
use crate::codec::{Encoding, PayloadRef};
use crate::protocol::{Topic, TopicFilter, TopicName};

#[derive(Clone, Debug)]
struct Message {
    time: u64,
    topic: Topic,
    encoding: Encoding,
    bytes: Vec<u8>,
}

/// The part of one stream.
#[derive(Clone, Debug)]
struct Content {
    definition: StreamDefinition,
    messages: Vec<Message>,
    /// How many of them outlive a cut of power.
    safe: usize,
    notes: Vec<Vec<u8>>,
    safe_notes: usize,
}

type Stream = Arc<Mutex<Content>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    streams: Arc<Mutex<BTreeMap<String, Stream>>>,
    /// So many operations more may fail; `usize::MAX` is all, and for ever.
    failures: Arc<AtomicUsize>,
    /// Whether those alone may fail that make something last.
    of_syncs: Arc<AtomicBool>,
}

impl Disk {
    /// From now on so many operations may fail: of all, or of those that make something last.
    /// `usize::MAX` all do.
    pub(super) fn fail(&self, operations: usize, of_syncs: bool) {
        self.failures.store(operations, Ordering::Relaxed);
        self.of_syncs.store(of_syncs, Ordering::Relaxed);
    }

    /// From now on nothing fails.
    pub(super) fn heal(&self) {
        self.fail(0, false);
    }

    /// The numbers that a topic of a stream has, in their order: all, or those that are safe.
    pub(super) fn numbers(&self, stream: &str, topic: &str, is_safe: bool) -> Vec<u64> {
        let stream = self.streams.lock().get(stream).cloned();
        let Some(stream) = stream else { return Vec::new() };
        let content = stream.lock();
        let count = if is_safe { content.safe } else { content.messages.len() };
        let of_topic = content.messages[..count]
            .iter()
            .filter(|message| message.topic.as_str() == topic)
            .map(|message| std::str::from_utf8(&message.bytes).unwrap().parse().unwrap());
        of_topic.collect()
    }

    /// How many messages of a stream are safe.
    pub(super) fn safe(&self, stream: &str) -> u64 {
        let stream = self.streams.lock().get(stream).cloned();
        stream.map_or(0, |stream| stream.lock().safe as u64)
    }

    /// One with what a cut of power at this moment leaves.
    pub(super) fn after_a_cut(&self) -> Disk {
        let streams = self.streams.lock().clone();
        let left = |(name, stream): (String, Stream)| {
            let mut content = stream.lock().clone();
            let (safe, notes) = (content.safe, content.safe_notes);
            content.messages.truncate(safe);
            content.notes.truncate(notes);
            (name, Arc::new(Mutex::new(content)))
        };
        let streams = streams.into_iter().map(left).collect();
        Disk { streams: Arc::new(Mutex::new(streams)), ..Disk::default() }
    }

    fn operate(&self) -> Result<(), StoreError> {
        if self.of_syncs.load(Ordering::Relaxed) { Ok(()) } else { self.may_fail() }
    }

    fn may_fail(&self) -> Result<(), StoreError> {
        let left = self.failures.load(Ordering::Relaxed);
        if left == 0 || left < usize::MAX && one_in(2) {
            return Ok(());
        }
        if left < usize::MAX {
            self.failures.store(left - 1, Ordering::Relaxed);
        }
        Err(StoreError::new("on purpose"))
    }
}

impl Store for Disk {
    /// Last values end with the broker.
    fn keeps(&self) -> bool {
        false
    }

    fn load(&mut self, _: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&mut self, _: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn streams(&mut self) -> Result<Option<Arc<dyn StreamStore>>, StoreError> {
        Ok(Some(Arc::new(self.clone())))
    }
}

impl StreamStore for Disk {
    fn list(&self) -> Result<Vec<StreamDefinition>, StoreError> {
        let streams = self.streams.lock();
        Ok(streams.values().map(|stream| stream.lock().definition.clone()).collect())
    }

    fn open(&self, definition: &StreamDefinition) -> Result<Log, StoreError> {
        self.operate()?;
        let stream = {
            let mut streams = self.streams.lock();
            let stream = streams.entry(definition.name.clone()).or_insert_with(|| {
                Arc::new(Mutex::new(Content {
                    definition: definition.clone(),
                    messages: Vec::new(),
                    safe: 0,
                    notes: Vec::new(),
                    safe_notes: 0,
                }))
            });
            if Arc::strong_count(stream) > 1 {
                return Err(StoreError::new("it is open already"));
            }
            stream.clone()
        };
        let notes = stream.lock().notes.clone();
        let part = || Part { disk: self.clone(), stream: stream.clone() };
        Ok(Log {
            writer: Box::new(part()),
            sync: Box::new(part()),
            reader: Arc::new(part()),
            notes,
        })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.operate()?;
        self.streams.lock().remove(name);
        Ok(())
    }
}

/// Each end of a log.
#[derive(Debug)]
struct Part {
    disk: Disk,
    stream: Stream,
}

impl LogWriter for Part {
    fn append(&mut self, records: &[Record<'_>]) -> Result<(), StoreError> {
        self.disk.operate()?;
        let mut content = self.stream.lock();
        for record in records {
            assert_eq!(record.seq, content.messages.len() as u64 + 1, "numbers have a hole");
            content.messages.push(Message {
                time: record.time,
                topic: record.topic.to_topic(),
                encoding: record.payload.encoding(),
                bytes: record.payload.source().to_vec(),
            });
        }
        Ok(())
    }

    fn note(&mut self, notes: &[&[u8]]) -> Result<(), StoreError> {
        self.disk.operate()?;
        self.stream.lock().notes.extend(notes.iter().map(|note| note.to_vec()));
        Ok(())
    }

    fn replace_notes(&mut self, notes: &[&[u8]]) -> Result<(), StoreError> {
        self.disk.operate()?;
        let mut content = self.stream.lock();
        content.notes = notes.iter().map(|note| note.to_vec()).collect();
        content.safe_notes = notes.len();
        Ok(())
    }

    fn noted(&self) -> u64 {
        0
    }

    fn trim(&mut self, _: u64, _: Option<u64>) -> Result<u64, StoreError> {
        Ok(1)
    }

    fn delete(&mut self, _: u64) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn is_full(&self, _: usize) -> bool {
        false
    }

    fn define(&mut self, _: &StreamDefinition) -> Result<(), StoreError> {
        self.disk.operate()
    }
}

impl Part {
    /// Takes its time, and makes last what was there at the beginning: messages, and maybe notes.
    fn make_safe(&mut self, with_notes: bool) -> Result<(), StoreError> {
        let (messages, notes) = {
            let content = self.stream.lock();
            (content.messages.len(), content.notes.len())
        };
        for _ in 0..any(3) {
            yield_now();
        }
        self.disk.may_fail()?;
        let mut content = self.stream.lock();
        content.safe = content.safe.max(messages);
        if with_notes {
            content.safe_notes = content.safe_notes.max(notes).min(content.notes.len());
        }
        Ok(())
    }
}

impl LogSync for Part {
    fn sync(&mut self) -> Result<(), StoreError> {
        self.make_safe(true)
    }

    fn sync_messages(&mut self) -> Result<(), StoreError> {
        self.make_safe(false)
    }
}

impl LogReader for Part {
    fn first(&self) -> u64 {
        1
    }

    fn next(&self) -> u64 {
        self.stream.lock().messages.len() as u64 + 1
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn cursor(&self, seq: u64) -> Box<dyn Cursor> {
        Box::new(At { stream: self.stream.clone(), seq: seq.max(1), message: None })
    }

    fn at_time(&self, _: u64) -> Result<u64, StoreError> {
        Ok(1)
    }

    fn last_of_topic(&self, _: TopicName<'_>, _: usize) -> Result<Vec<u64>, StoreError> {
        Err(StoreError::new("no model asks for it"))
    }

    fn last_of_each(&self, _: &TopicFilter) -> Result<Vec<u64>, StoreError> {
        Err(StoreError::new("no model asks for it"))
    }
}

#[derive(Debug)]
struct At {
    stream: Stream,
    seq: u64,
    message: Option<Message>,
}

impl Cursor for At {
    fn seek(&mut self, seq: u64) {
        self.seq = seq.max(1);
    }

    fn seq(&self) -> u64 {
        self.seq
    }

    fn read(&mut self) -> Result<Option<Found<'_>>, StoreError> {
        self.message = self.stream.lock().messages.get(self.seq as usize - 1).cloned();
        let Some(message) = &self.message else { return Ok(None) };
        self.seq += 1;
        Ok(Some(Found::Record(Record {
            seq: self.seq - 1,
            time: message.time,
            topic: message.topic.name(),
            id: None,
            payload: PayloadRef::new(&message.bytes, message.encoding),
        })))
    }
}
