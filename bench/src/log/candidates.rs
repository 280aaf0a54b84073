//! What may keep the messages of a stream.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result, anyhow};
use babelmq::broker::{Found, Record, StreamDefinition, StreamStore};
use babelmq::codec::PayloadRef;
use babelmq::protocol::{Format, TopicFilter, TopicName};
use babelmq::storage::Streams;
use redb::{ReadableDatabase, TableDefinition};

use super::Load;

const MESSAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("messages");

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Segments,
    Redb,
    Fjall,
}

/// One of them, open.
pub(crate) trait Candidate {
    /// Appends messages, and waits for the disk, if it is to.
    fn append(&mut self, load: &Load, first: u64, count: u64, sync: bool) -> Result<()>;
    /// Waits for the disk.
    fn sync(&mut self) -> Result<()>;
    /// Synchronises as the broker does once an interval: in another thread, where that can be.
    fn sync_beside(&mut self) -> Result<()> {
        self.sync()
    }
    /// Reads messages; how many bytes their payloads have.
    fn read(&mut self, from: u64, count: u64) -> Result<u64>;
    /// Drops everything before a message.
    fn drop_before(&mut self, seq: u64) -> Result<()>;
}

impl Kind {
    pub(crate) fn open(self, directory: &Path) -> Result<Box<dyn Candidate>> {
        Ok(match self {
            Kind::Segments => Box::new(Segments::open(directory)?),
            Kind::Redb => Box::new(Redb::open(directory)?),
            Kind::Fjall => Box::new(Fjall::open(directory)?),
        })
    }
}

struct Segments {
    log: babelmq::broker::Log,
    /// The thread that synchronises: what it is told is answered.
    sync: Sender<Option<Sender<Result<()>>>>,
}

impl Segments {
    fn open(directory: &Path) -> Result<Segments> {
        let filter = TopicFilter::parse("orders").map_err(|error| anyhow!("{error}"))?;
        let definition = StreamDefinition::new("orders", filter).map_err(|error| anyhow!(error))?;
        let mut log = Streams::open(directory)?.open(&definition)?;
        let (sync, asked) = channel::<Option<Sender<Result<()>>>>();
        let mut end = std::mem::replace(&mut log.sync, Box::new(NoSync));
        thread::spawn(move || {
            for answer in asked {
                let done = end.sync().context("the log cannot be synchronised");
                if let Some(answer) = answer {
                    let _ = answer.send(done);
                }
            }
        });
        Ok(Segments { log, sync })
    }
}

#[derive(Debug)]
struct NoSync;

impl babelmq::broker::LogSync for NoSync {
    fn sync(&mut self) -> Result<(), babelmq::StoreError> {
        Ok(())
    }
}

impl Candidate for Segments {
    fn append(&mut self, load: &Load, first: u64, count: u64, sync: bool) -> Result<()> {
        let record = |seq: u64| Record {
            seq,
            time: seq,
            topic: TopicName::judged(&load.topics[seq as usize % load.topics.len()]),
            id: None,
            payload: PayloadRef::new(&load.payload, Format::Json),
        };
        let records: Vec<_> = (first..first + count).map(record).collect();
        self.log.writer.append(&records)?;
        if sync { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<()> {
        let (answer, answered) = channel();
        self.sync.send(Some(answer))?;
        answered.recv()?
    }

    fn sync_beside(&mut self) -> Result<()> {
        Ok(self.sync.send(None)?)
    }

    fn read(&mut self, from: u64, count: u64) -> Result<u64> {
        let mut cursor = self.log.reader.cursor(from);
        let mut bytes = 0;
        for _ in 0..count {
            match cursor.read()? {
                Some(Found::Record(record)) => bytes += record.payload.source().len() as u64,
                other => return Err(anyhow!("a message is not there: {other:?}")),
            }
        }
        Ok(bytes)
    }

    fn drop_before(&mut self, seq: u64) -> Result<()> {
        self.log.writer.trim(0, Some(seq))?;
        Ok(())
    }
}

/// What the databases keep of a message: time, format, length of the topic, topic, payload.
fn spell(load: &Load, seq: u64, out: &mut Vec<u8>) {
    let topic = &load.topics[seq as usize % load.topics.len()];
    out.clear();
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&[0, topic.len() as u8]);
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(&load.payload);
}

fn payload_bytes(value: &[u8]) -> u64 {
    let topic = value.get(9).map_or(0, |length| usize::from(*length));
    value.len().saturating_sub(10 + topic) as u64
}

struct Redb {
    database: redb::Database,
    value: Vec<u8>,
}

impl Redb {
    fn open(directory: &Path) -> Result<Redb> {
        // As for last values.
        let database =
            redb::Builder::new().set_cache_size(32 << 20).create(directory.join("log.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(MESSAGES)?;
        transaction.commit()?;
        Ok(Redb { database, value: Vec::new() })
    }
}

impl Candidate for Redb {
    fn append(&mut self, load: &Load, first: u64, count: u64, sync: bool) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        let durability = if sync { redb::Durability::Immediate } else { redb::Durability::None };
        transaction.set_durability(durability)?;
        let mut table = transaction.open_table(MESSAGES)?;
        for seq in first..first + count {
            spell(load, seq, &mut self.value);
            table.insert(seq, self.value.as_slice())?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }

    fn sync(&mut self) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(redb::Durability::Immediate)?;
        Ok(transaction.commit()?)
    }

    fn read(&mut self, from: u64, count: u64) -> Result<u64> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(MESSAGES)?;
        let mut bytes = 0;
        for entry in table.range(from..from + count)? {
            bytes += payload_bytes(entry?.1.value());
        }
        Ok(bytes)
    }

    fn drop_before(&mut self, seq: u64) -> Result<()> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(MESSAGES)?.retain_in(..seq, |_, _| false)?;
        Ok(transaction.commit()?)
    }
}

struct Fjall {
    database: fjall::Database,
    messages: fjall::Keyspace,
    value: Vec<u8>,
}

impl Fjall {
    fn open(directory: &Path) -> Result<Fjall> {
        let database = fjall::Database::builder(directory.join("fjall")).open()?;
        let messages = database.keyspace("messages", fjall::KeyspaceCreateOptions::default)?;
        Ok(Fjall { database, messages, value: Vec::new() })
    }
}

impl Candidate for Fjall {
    fn append(&mut self, load: &Load, first: u64, count: u64, sync: bool) -> Result<()> {
        let mut batch = self.database.batch();
        for seq in first..first + count {
            spell(load, seq, &mut self.value);
            batch.insert(&self.messages, seq.to_be_bytes(), self.value.as_slice());
        }
        batch.commit()?;
        if sync { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<()> {
        Ok(self.database.persist(fjall::PersistMode::SyncData)?)
    }

    fn read(&mut self, from: u64, count: u64) -> Result<u64> {
        let mut bytes = 0;
        for entry in self.messages.range(from.to_be_bytes()..(from + count).to_be_bytes()) {
            bytes += payload_bytes(&entry.value()?);
        }
        Ok(bytes)
    }

    fn drop_before(&mut self, seq: u64) -> Result<()> {
        let mut from = 1_u64;
        while from < seq {
            let to = seq.min(from + 10_000);
            let mut batch = self.database.batch();
            for seq in from..to {
                batch.remove(&self.messages, seq.to_be_bytes());
            }
            batch.commit()?;
            from = to;
        }
        self.sync()
    }
}
