//! The messages of streams on a disk: the broker's [`StreamStore`] in files of our own.
//!
//! Beside the last values a data directory holds a folder `streams`, and in it one for each stream:
//!
//! ```text
//! definition                      its filter and its limits
//! 00000000000000000001.segment    messages, one behind the other, from number 1 on
//! 00000000000000000001.index      where in that segment what is; made anew where it is missing
//! consumers.notes                 how far its consumers are
//! deleted                         messages that were deleted by themselves
//! ```
//!
//! Why files of our own: `docs/decisions/0039-stream-log.md`.

mod cursor;
mod definition;
mod files;
mod index;
mod lookup;
mod notes;
mod ranges;
mod reader;
mod record;
mod recovery;
mod segment;
mod shared;
mod sidecar;
mod steps;
mod sync;
#[cfg(test)]
mod tests;
mod tombstones;
mod writer;

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::cannot;
use crate::broker::{Log, StoreError, StreamDefinition, StreamStore, check_name};
use files::{Files, SystemFiles};
use notes::Notes;
use reader::Reader;
use shared::Shared;
use sync::Sync;
use tombstones::Tombstones;
use writer::{Beginning, Writer};

/// The folder in a data directory.
const FOLDER: &str = "streams";
/// Behind the name of a stream that is being removed; no stream has it in its name.
const REMOVED: char = '~';

/// The streams of a data directory. [`Storage`](super::Storage) holds the lock of the directory: it
/// is opened before this, and closed behind it.
///
/// ```
/// use babelmq::broker::{StreamDefinition, StreamStore};
/// use babelmq::storage::{Storage, Streams};
/// use babelmq::TopicFilter;
/// # let directory = std::env::temp_dir().join(format!("babelmq-streams-{}", std::process::id()));
///
/// let storage = Storage::open(&directory, true)?;
/// let streams = Streams::open(&directory)?;
/// let orders = StreamDefinition::new("orders", TopicFilter::parse("orders/#")?)?;
/// let log = streams.open(&orders)?;
/// assert_eq!(log.reader.next(), 1);
/// assert_eq!(streams.list()?, [orders]);
/// # drop((storage, log));
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Streams {
    files: Arc<dyn Files>,
    directory: PathBuf,
    /// Those that are open.
    open: Mutex<HashMap<String, Weak<Shared>>>,
    /// Closing it ends the lock of the folder: the lock of the directory may end while a thread
    /// still hangs in a write to a stream, which must not meet another broker there. None where the
    /// file system knows no locks of folders.
    _lock: Option<File>,
}

impl Streams {
    /// Opens the streams of a data directory, whose lock the caller has. No message is read.
    ///
    /// # Errors
    /// [`StoreError`] where the folder cannot be made or read, or a thread of another broker is
    /// still writing to it.
    pub fn open(directory: &Path) -> Result<Streams, StoreError> {
        let mut streams = Streams::on(Arc::new(SystemFiles), directory)?;
        let folder = &streams.directory;
        let lock = File::open(folder).map_err(|error| cannot("open", folder, error))?;
        streams._lock = match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::Error(_)) => None,
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::new(format!(
                    "{} is in use by a broker that has stopped and still waits for its disk; end \
                     its process, or wait until the disk answers",
                    folder.display()
                )));
            }
        };
        Ok(streams)
    }

    fn on(files: Arc<dyn Files>, data: &Path) -> Result<Streams, StoreError> {
        let directory = data.join(FOLDER);
        make_directory(&*files, &directory)?;
        let streams = Streams { files, directory, open: Mutex::default(), _lock: None };
        for name in streams.names()?.iter().filter(|name| name.ends_with(REMOVED)) {
            let path = streams.directory.join(name);
            let removed = streams.files.remove_directory(&path);
            removed.map_err(|error| cannot("remove", &path, error))?;
        }
        Ok(streams)
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let names = self.files.list(&self.directory);
        let mut names = names.map_err(|error| cannot("read", &self.directory, error))?;
        names.sort();
        Ok(names)
    }

    fn folder(&self, name: &str) -> Result<PathBuf, StoreError> {
        check_name("stream", name).map_err(StoreError::new)?;
        Ok(self.directory.join(name))
    }
}

/// Makes a directory that is there after a power cut.
fn make_directory(files: &dyn Files, path: &Path) -> Result<(), StoreError> {
    let made = files.make_directory(path);
    made.map_err(|error| cannot("make", path, error))?;
    let parent = path.parent().unwrap_or(path);
    files.sync_directory(parent).map_err(|error| cannot("write to", parent, error))
}

impl StreamStore for Streams {
    fn list(&self) -> Result<Vec<StreamDefinition>, StoreError> {
        let mut definitions = Vec::new();
        for name in self.names()?.iter().filter(|name| check_name("stream", name).is_ok()) {
            let folder = self.directory.join(name);
            // Without one it was never begun, or will be defined anew.
            definitions.extend(definition::load(&*self.files, &folder)?);
        }
        Ok(definitions)
    }

    fn open(&self, definition: &StreamDefinition) -> Result<Log, StoreError> {
        let folder = self.folder(&definition.name)?;
        let mut open = self.open.lock();
        if open.get(&definition.name).is_some_and(|log| log.strong_count() > 0) {
            return Err(StoreError::new(format!("{} is open already", folder.display())));
        }
        let files = &self.files;
        make_directory(&**files, &folder)?;
        let found = recovery::recover(&**files, &folder)?;
        let is_unsynced: Vec<u64> = found.unsynced.iter().map(|(part, _)| part.first).collect();
        for segment in &found.segments {
            let is_durable = !is_unsynced.contains(&segment.first);
            segment.is_durable.store(is_durable, Ordering::Release);
        }
        let first = found.segments.front().map_or(found.next, |segment| segment.first);
        let Some((segment, file)) = found.unsynced.last().cloned() else {
            return Err(StoreError::new(format!("{} holds no segment", folder.display())));
        };
        let (tombstones, deleted) = Tombstones::open(&**files, &folder, first, found.next)?;
        let (notes, noted) = Notes::open(&**files, &folder)?;
        definition::store(&**files, &folder, definition)?;
        let salt = segment
            .salt(&*file)
            .map_err(|_| StoreError::new(format!("cannot read {}", segment.path().display())))?;
        let shared = Arc::new(Shared::new(files.clone(), folder, found.segments, found.next));
        shared.synced.store(found.synced, Ordering::Release);
        shared.dirty.lock().segments = found.unsynced;
        shared.with_deleted(|ranges| *ranges = deleted);
        open.insert(definition.name.clone(), Arc::downgrade(&shared));
        let beginning = Beginning {
            definition: definition.clone(),
            segment,
            file,
            salt,
            marked: found.marked,
            ahead: found.ahead,
            notes,
            tombstones,
        };
        Ok(Log {
            writer: Box::new(Writer::new(shared.clone(), beginning)),
            sync: Box::new(Sync::new(shared.clone())),
            reader: Arc::new(Reader(shared)),
            notes: noted,
        })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let folder = self.folder(name)?;
        let mut open = self.open.lock();
        if let Some(shared) = open.remove(name).and_then(|shared| shared.upgrade()) {
            shared.is_removed.store(true, Ordering::Release);
        }
        let gone = self.directory.join(format!("{name}{REMOVED}"));
        let failed = |error| cannot("remove", &folder, error);
        self.files.rename(&folder, &gone).map_err(failed)?;
        self.files.sync_directory(&self.directory).map_err(failed)?;
        self.files.remove_directory(&gone).map_err(failed)
    }
}
