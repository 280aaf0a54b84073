//! A store of streams in memory, on a disk that forgets at a power cut what was not synchronised:
//! messages from the end, and notes each write by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use babelmq::broker::StreamDefinition;
use babelmq::broker::{
    Change, Cursor, Found, Kept, Log, LogReader, LogSync, LogWriter, Record, Store, StoreError,
    StreamStore,
};
use babelmq::codec::Payload;
use babelmq::protocol::TopicName;
use babelmq::{Topic, TopicFilter};

use crate::support::random::Random;

/// What is on the disk of all streams.
pub(super) type Image = BTreeMap<String, State>;

#[derive(Clone, Debug)]
struct Message {
    time: u64,
    topic: Topic,
    id: Option<String>,
    payload: Payload,
}

/// One stream.
#[derive(Clone, Debug)]
pub(super) struct State {
    definition: StreamDefinition,
    messages: Vec<Message>,
    /// How many of them are safe.
    safe: usize,
    notes: Vec<Vec<u8>>,
    /// Writes of notes that are not safe.
    unsafe_notes: Vec<Vec<Vec<u8>>>,
}

#[derive(Debug)]
struct World {
    streams: Image,
    /// After so many more operations there is no power.
    power: u64,
    random: Random,
    survived: Option<Image>,
}

impl World {
    fn operate(&mut self) -> Result<(), StoreError> {
        if self.power == 0 && self.survived.is_none() {
            let mut image = self.streams.clone();
            for state in image.values_mut() {
                let unsafe_messages = state.messages.len() - state.safe;
                state.safe += self.random.below(unsafe_messages + 1);
                state.messages.truncate(state.safe);
                for write in state.unsafe_notes.drain(..) {
                    if self.random.one_in(2) {
                        state.notes.extend(write);
                    }
                }
            }
            self.survived = Some(image);
        }
        if self.survived.is_some() {
            return Err(StoreError::new("there is no power"));
        }
        self.power -= 1;
        Ok(())
    }
}

/// The disk of a broker.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<World>>);

impl Disk {
    /// One with this on it, whose power is cut after so many operations.
    pub(super) fn new(streams: Image, power: u64, random: Random) -> Disk {
        Disk(Arc::new(Mutex::new(World { streams, power, random, survived: None })))
    }

    /// What is there after the cut, if it has come.
    pub(super) fn survived(&self) -> Option<Image> {
        self.0.lock().unwrap().survived.clone()
    }

    /// What would be there after a cut that left so many messages of each stream, and all notes or
    /// only those that are safe.
    pub(super) fn cut(&self, messages: usize, all_notes: bool) -> Image {
        let mut image = self.0.lock().unwrap().streams.clone();
        for state in image.values_mut() {
            state.messages.truncate(messages);
            state.safe = state.messages.len();
            let notes = state.unsafe_notes.drain(..).flatten();
            let notes: Vec<_> = notes.filter(|_| all_notes).collect();
            state.notes.extend(notes);
        }
        image
    }

    fn of<T>(&self, name: &str, of: impl FnOnce(&mut State) -> T) -> T {
        of(self.0.lock().unwrap().streams.get_mut(name).unwrap())
    }

    fn operate<T>(
        &self,
        name: &str,
        operate: impl FnOnce(&mut State) -> T,
    ) -> Result<T, StoreError> {
        let mut world = self.0.lock().unwrap();
        world.operate()?;
        Ok(operate(world.streams.get_mut(name).unwrap()))
    }
}

impl Store for Disk {
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
        let world = self.0.lock().unwrap();
        Ok(world.streams.values().map(|state| state.definition.clone()).collect())
    }

    fn open(&self, definition: &StreamDefinition) -> Result<Log, StoreError> {
        let name = definition.name.clone();
        let mut world = self.0.lock().unwrap();
        let state = world.streams.entry(name.clone()).or_insert_with(|| State {
            definition: definition.clone(),
            messages: Vec::new(),
            safe: 0,
            notes: Vec::new(),
            unsafe_notes: Vec::new(),
        });
        let notes = state.notes.clone();
        drop(world);
        let part = || Part { disk: self.clone(), name: name.clone() };
        Ok(Log {
            writer: Box::new(part()),
            sync: Box::new(part()),
            reader: Arc::new(part()),
            notes,
        })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().streams.remove(name);
        Ok(())
    }
}

/// Each end of a log.
#[derive(Debug)]
struct Part {
    disk: Disk,
    name: String,
}

fn all(notes: &[&[u8]]) -> Vec<Vec<u8>> {
    notes.iter().map(|note| note.to_vec()).collect()
}

impl LogWriter for Part {
    fn append(&mut self, records: &[Record<'_>]) -> Result<(), StoreError> {
        self.disk.operate(&self.name, |state| {
            for record in records {
                assert_eq!(record.seq, state.messages.len() as u64 + 1);
                state.messages.push(Message {
                    time: record.time,
                    topic: record.topic.to_topic(),
                    id: record.id.map(Into::into),
                    payload: record.payload.to_payload(),
                });
            }
        })
    }

    fn note(&mut self, notes: &[&[u8]]) -> Result<(), StoreError> {
        self.disk.operate(&self.name, |state| state.unsafe_notes.push(all(notes)))
    }

    fn replace_notes(&mut self, notes: &[&[u8]]) -> Result<(), StoreError> {
        self.disk.operate(&self.name, |state| {
            state.notes = all(notes);
            state.unsafe_notes.clear();
        })
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
        Ok(())
    }
}

impl LogSync for Part {
    fn sync(&mut self) -> Result<(), StoreError> {
        self.sync_messages()?;
        self.disk.operate(&self.name, |state| {
            state.notes.extend(state.unsafe_notes.drain(..).flatten());
        })
    }

    fn sync_messages(&mut self) -> Result<(), StoreError> {
        self.disk.operate(&self.name, |state| state.safe = state.messages.len())
    }
}

impl LogReader for Part {
    fn first(&self) -> u64 {
        1
    }

    fn next(&self) -> u64 {
        self.disk.of(&self.name, |state| state.messages.len() as u64 + 1)
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn cursor(&self, seq: u64) -> Box<dyn Cursor> {
        let part = Part { disk: self.disk.clone(), name: self.name.clone() };
        Box::new(At { part, seq: seq.max(1), message: None })
    }

    fn at_time(&self, time: u64) -> Result<u64, StoreError> {
        Ok(self.disk.of(&self.name, |state| {
            state.messages.partition_point(|message| message.time < time) as u64 + 1
        }))
    }

    fn last_of_topic(&self, _: TopicName<'_>, _: usize) -> Result<Vec<u64>, StoreError> {
        Err(StoreError::new("nobody asks for it"))
    }

    fn last_of_each(&self, _: &TopicFilter) -> Result<Vec<u64>, StoreError> {
        Err(StoreError::new("nobody asks for it"))
    }
}

#[derive(Debug)]
struct At {
    part: Part,
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
        let (disk, place) = (&self.part.disk, self.seq as usize - 1);
        self.message = disk.of(&self.part.name, |state| state.messages.get(place).cloned());
        let Some(message) = &self.message else { return Ok(None) };
        self.seq += 1;
        Ok(Some(Found::Record(Record {
            seq: self.seq - 1,
            time: message.time,
            topic: message.topic.name(),
            id: message.id.as_deref(),
            payload: message.payload.borrow(),
        })))
    }
}
