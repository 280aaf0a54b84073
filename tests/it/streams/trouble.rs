//! A disk that is full, cannot be written, or hangs, for one stream of a broker.

use std::sync::{Arc, Condvar, Mutex};

use babelmq::broker::{
    Backbone, Change, Kept, Log, LogSync, LogWriter, NoBackbone, Record, Store, StoreError,
    StreamStore,
};
use babelmq::{Broker, BrokerHandle, Config, Storage, StreamDefinition};

use crate::support::PATIENCE;

/// What a test does to a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Nothing can be appended.
    pub(super) append: bool,
    /// No notes can be written.
    pub(super) note: bool,
    /// Nothing can be dropped.
    pub(super) trim: bool,
    /// Nothing can be made last.
    pub(super) sync: bool,
    /// Messages can be made last, and nothing else.
    pub(super) sync_rest: bool,
    /// Whatever comes waits until this is over.
    pub(super) hangs: bool,
}

/// The switch of a disk, and how often something was tried in vain.
#[derive(Debug, Default)]
pub(super) struct Disk {
    trouble: Mutex<(Trouble, usize)>,
    changed: Condvar,
}

impl Disk {
    pub(super) fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = (trouble, 0);
        self.changed.notify_all();
    }

    /// Waits until so many things were tried in vain since it was set.
    pub(super) fn wait_for_failures(&self, enough: usize) {
        let trouble = self.trouble.lock().unwrap();
        let is_few = |trouble: &mut (Trouble, usize)| trouble.1 < enough;
        let waited = self.changed.wait_timeout_while(trouble, PATIENCE, is_few);
        assert!(!waited.unwrap().1.timed_out(), "nothing was tried");
    }

    fn check(&self, is: impl Fn(&Trouble) -> bool) -> Result<(), StoreError> {
        let mut trouble = self.trouble.lock().unwrap();
        while trouble.0.hangs {
            trouble.1 += 1;
            self.changed.notify_all();
            trouble = self.changed.wait_while(trouble, |trouble| trouble.0.hangs).unwrap();
        }
        if is(&trouble.0) {
            trouble.1 += 1;
            self.changed.notify_all();
            return Err(StoreError::new("no space left on device"));
        }
        Ok(())
    }
}

/// The hold on a disk, whose trouble ends with it: a broker whose disk hangs does not stop.
pub(super) struct Switch(Arc<Disk>);

impl std::ops::Deref for Switch {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        &self.0
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.set(Trouble::default());
    }
}

/// In the place of a stream's name: the last values have the disk. No stream is called so.
pub(super) const VALUES: &str = "~values";

/// A store whose stream of this name has the disk.
#[derive(Debug)]
struct Troubled {
    storage: Storage,
    name: &'static str,
    disk: Arc<Disk>,
}

/// Starts a broker whose stream of this name has a disk that can be switched.
pub(super) fn start_on(
    folder: &std::path::Path,
    config: Config,
    name: &'static str,
) -> (BrokerHandle, Switch) {
    start_sharing_on(folder, config, name, Box::new(NoBackbone))
}

/// The same, by a backbone.
pub(super) fn start_sharing_on(
    folder: &std::path::Path,
    config: Config,
    name: &'static str,
    backbone: Box<dyn Backbone>,
) -> (BrokerHandle, Switch) {
    let disk = Arc::new(Disk::default());
    let storage = Storage::open(folder, true).unwrap();
    let store = Troubled { storage, name, disk: disk.clone() };
    (Broker::start_sharing(config, Box::new(store), backbone).unwrap(), Switch(disk))
}

impl Store for Troubled {
    fn load(&mut self, take: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        self.storage.load(take)
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.storage.write(changes)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.name == VALUES {
            self.disk.check(|trouble| trouble.sync)?;
        }
        self.storage.commit()
    }

    fn streams(&mut self) -> Result<Option<Arc<dyn StreamStore>>, StoreError> {
        let Some(streams) = self.storage.streams()? else { return Ok(None) };
        let (name, disk) = (self.name, self.disk.clone());
        Ok(Some(Arc::new(Streams { streams, name, disk })))
    }
}

#[derive(Debug)]
struct Streams {
    streams: Arc<dyn StreamStore>,
    name: &'static str,
    disk: Arc<Disk>,
}

impl StreamStore for Streams {
    fn list(&self) -> Result<Vec<StreamDefinition>, StoreError> {
        self.streams.list()
    }

    fn open(&self, definition: &StreamDefinition) -> Result<Log, StoreError> {
        let log = self.streams.open(definition)?;
        if definition.name != self.name {
            return Ok(log);
        }
        let disk = || self.disk.clone();
        Ok(Log {
            writer: Box::new(Writer { inner: log.writer, disk: disk() }),
            sync: Box::new(Sync { inner: log.sync, disk: disk() }),
            ..log
        })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.streams.remove(name)
    }
}

#[derive(Debug)]
struct Writer {
    inner: Box<dyn LogWriter>,
    disk: Arc<Disk>,
}

impl LogWriter for Writer {
    fn append(&mut self, records: &[Record<'_>]) -> Result<(), StoreError> {
        self.disk.check(|trouble| trouble.append)?;
        self.inner.append(records)
    }

    fn note(&mut self, notes: &[&[u8]]) -> Result<(), StoreError> {
        self.disk.check(|trouble| trouble.note)?;
        self.inner.note(notes)
    }

    fn replace_notes(&mut self, notes: &[&[u8]]) -> Result<(), StoreError> {
        self.disk.check(|trouble| trouble.note)?;
        self.inner.replace_notes(notes)
    }

    fn noted(&self) -> u64 {
        self.inner.noted()
    }

    fn trim(&mut self, now: u64, keep_from: Option<u64>) -> Result<u64, StoreError> {
        self.disk.check(|trouble| trouble.trim)?;
        self.inner.trim(now, keep_from)
    }

    fn delete(&mut self, seq: u64) -> Result<bool, StoreError> {
        self.inner.delete(seq)
    }

    fn is_full(&self, bytes: usize) -> bool {
        self.inner.is_full(bytes)
    }

    fn define(&mut self, definition: &StreamDefinition) -> Result<(), StoreError> {
        self.inner.define(definition)
    }
}

#[derive(Debug)]
struct Sync {
    inner: Box<dyn LogSync>,
    disk: Arc<Disk>,
}

impl LogSync for Sync {
    fn sync(&mut self) -> Result<(), StoreError> {
        self.disk.check(|trouble| trouble.sync || trouble.sync_rest)?;
        self.inner.sync()
    }

    fn sync_messages(&mut self) -> Result<(), StoreError> {
        self.disk.check(|trouble| trouble.sync)?;
        self.inner.sync_messages()
    }
}
