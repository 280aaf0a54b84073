//! Last values on a disk: the broker's [`Store`] in a file of the embedded database redb.
//!
//! A data directory holds a file, `last-values.redb`, with two tables: `values`, from topics to
//! records, and `about`, with the version of the format. Why redb:
//! `docs/decisions/0012-storage.md`. Beside it are a note that it is there (`directory`) and space
//! that is kept aside (`reserve`).

mod backup;
mod compact;
mod contents;
mod directory;
mod file;
mod full;
mod record;
mod reserve;
mod salvage;
mod streams;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageBackend, StorageError, TableDefinition, TableError, WriteTransaction,
};

use crate::broker::{Backup, Change, Kept, Store, StoreError, StreamStore};
use directory::{Directory, Identity};
use file::{HeldBack, LockableFile};
use reserve::Reserve;

pub use backup::is_name;
pub use compact::{Compacted, compact};
pub use contents::{Contents, read};
pub use streams::Streams;

const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
const VERSION: &str = "version";
/// The version of what is in the file. Whoever changes the format raises it, and converts the
/// version before in `judge_version`. Version 2 has records that say how long they had left, and
/// version 3 texts and bytes, QoS and properties; all that the versions before can hold is the same.
const FORMAT: u64 = 3;
/// The oldest version that is read. A file of it becomes one of this version when it is opened for
/// writing.
const OLDEST: u64 = 1;
/// The file of a data directory that holds the values.
pub const FILE: &str = "last-values.redb";
/// Memory for pages of the file. redb would take 1 GiB, which is not in the broker's budget of
/// memory; and what the broker remembers it reads but once.
const CACHE: usize = 32 << 20;

/// A data directory that is open for writing; nobody else can open it.
///
/// ```
/// use babelmq::{Broker, Config, Storage};
/// # let directory = std::env::temp_dir().join(format!("babelmq-doc-{}", std::process::id()));
///
/// let config = Config::listening_on(([127, 0, 0, 1], 0));
/// let broker = Broker::start_with(config.clone(), Box::new(Storage::open(&directory, true)?))?;
/// broker.put_topic("/weather/oslo", &21.5.into())?;
/// broker.close()?; // waits for the disk
///
/// let broker = Broker::start_with(config, Box::new(Storage::open(&directory, true)?))?;
/// assert_eq!(broker.get_topic("/weather/oslo")?, Some(21.5.into()));
/// # drop(broker);
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Storage {
    /// What was written and not committed. Declared before the database, so dropped before it.
    transaction: Option<WriteTransaction>,
    /// None after a failure, until it can be opened again.
    database: Option<Database>,
    path: PathBuf,
    /// The file that was opened first; None in tests that have none.
    identity: Option<Identity>,
    sync: bool,
    reserve: Option<Reserve>,
    /// The disk was full, and the reserve is given up: only what frees space is written.
    full: bool,
    /// And that in small commits. Where those do not fit, it is tried in one: a value that is as
    /// large as the reserve cannot be copied, but if it goes as well, it need not be.
    in_pieces: bool,
    /// What was not written for want of space since the last commit.
    left_out: Option<StoreError>,
    /// Bytes that were freed while the disk was full.
    freed: usize,
    /// How records are spelled, made once.
    record: Vec<u8>,
    /// The directory whose file this is to become.
    unfinished: Option<Directory>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("path", &self.path)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}

/// Why a database cannot be opened, and whether that is for want of space.
struct Unopened {
    error: StoreError,
    full: bool,
}

impl From<StoreError> for Unopened {
    fn from(error: StoreError) -> Unopened {
        Unopened { error, full: false }
    }
}

impl Storage {
    /// Opens a data directory, which is made where there is none. Without `sync` it is left to the
    /// system when a commit reaches the disk. Every page of the file is checked; where one is
    /// damaged, nothing on the disk is changed.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot be read or written, is in use, is damaged, is of a newer version, or has lost its file.
    pub fn open(directory: &Path, sync: bool) -> Result<Storage, StoreError> {
        let taken = Directory::take(directory)?;
        if !taken.has_file()? {
            begin(&taken)?;
        }
        let storage = Storage::in_place(directory, sync)?;
        note(&taken);
        taken.warn_of_rights();
        Ok(storage)
    }

    /// Opens a data directory to be filled: one that is new has its file when
    /// [`finish`](Self::finish) succeeds, and not before.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn fill(directory: &Path) -> Result<Storage, StoreError> {
        let taken = Directory::take(directory)?;
        if taken.has_file()? {
            drop(taken);
            return Storage::open(directory, true);
        }
        let path = taken.unfinished();
        let made = make_database(&path);
        if made.is_err() {
            let _ = fs::remove_file(&path);
        }
        let (database, identity) = made?;
        let mut storage = Storage::new(path, database, Some(identity), true);
        storage.unfinished = Some(taken);
        Ok(storage)
    }

    /// Commits and closes what was opened to be filled.
    ///
    /// # Errors
    /// [`StoreError`]; the directory holds what it held before.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.commit()?;
        let Some(directory) = &self.unfinished else { return Ok(()) };
        // Closing it writes to it.
        self.database = None;
        directory.put_in_place()?;
        note(directory);
        self.unfinished = None;
        Ok(())
    }

    /// Opens the file of a directory.
    fn in_place(directory: &Path, sync: bool) -> Result<Storage, StoreError> {
        let path = directory.join(FILE);
        let reserve = Reserve::in_directory(directory);
        let opened = open_database(&path, sync, true).or_else(|unopened| {
            if !unopened.full {
                return Err(unopened);
            }
            reserve.give_up();
            open_database(&path, sync, true)
        });
        let (database, identity) = opened.map_err(|unopened| unopened.error)?;
        if let Err(error) = reserve.keep() {
            tracing::warn!(
                %error,
                "there is no room to keep space aside in the data directory; if the disk fills up, \
                 clearing topics may not \
                 free any of it"
            );
        }
        let mut storage = Storage::new(path, database, Some(identity), sync);
        storage.reserve = Some(reserve);
        Ok(storage)
    }

    fn new(path: PathBuf, database: Database, identity: Option<Identity>, sync: bool) -> Storage {
        Storage {
            transaction: None,
            database: Some(database),
            path,
            identity,
            sync,
            reserve: None,
            full: false,
            in_pieces: true,
            left_out: None,
            freed: 0,
            record: Vec::new(),
            unfinished: None,
        }
    }

    /// A store in something that is no file.
    #[cfg(test)]
    fn on(backend: impl StorageBackend) -> Result<Storage, StoreError> {
        let path = PathBuf::from("(test)");
        let file = LockableFile { file: backend, sync: true, lock: true };
        let database = open_on(&path, file, true).map_err(|unopened| unopened.error)?;
        Ok(Storage::new(path, database, None, true))
    }

    fn write_changes(&mut self, changes: &[Change]) -> Result<(), redb::Error> {
        let transaction = match (self.transaction.take(), &self.database) {
            (Some(transaction), _) => transaction,
            (None, Some(database)) => database.begin_write()?,
            (None, None) => return Err(redb::Error::DatabaseClosed),
        };
        let mut values = transaction.open_table(VALUES)?;
        for change in changes {
            match change {
                Change::Keep { stored, expires } => {
                    record::write(stored, *expires, &mut self.record);
                    values.insert(stored.topic().as_str(), self.record.as_slice())?;
                }
                Change::Forget(topic) => drop(values.remove(topic.as_str())?),
            }
        }
        drop(values);
        self.transaction = Some(transaction);
        Ok(())
    }

    /// A failed database answers nothing more; it is opened again at the next try.
    fn failed(&mut self, error: redb::Error) -> StoreError {
        self.transaction = None;
        self.database = None;
        if is_full(&error) {
            self.give_up_reserve();
        }
        cannot("write to", &self.path, error)
    }

    fn give_up_reserve(&mut self) {
        if let Some(reserve) = &self.reserve {
            reserve.give_up();
            self.in_pieces = !(self.full && self.in_pieces);
            self.full = true;
        }
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        if self.database.is_some() {
            return Ok(());
        }
        self.check_identity()?;
        match open_database(&self.path, self.sync, false) {
            Ok((database, _)) => {
                self.database = Some(database);
                Ok(())
            }
            Err(unopened) => {
                if unopened.full {
                    self.give_up_reserve();
                }
                Err(unopened.error)
            }
        }
    }

    /// Whether the path still names the file.
    fn check_identity(&self) -> Result<(), StoreError> {
        self.identity.map_or(Ok(()), |identity| identity.check(&self.path))
    }
}

/// What was opened to be filled, and was not finished, leaves nothing.
impl Drop for Storage {
    fn drop(&mut self) {
        if self.unfinished.is_some() {
            self.transaction = None;
            self.database = None;
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Store for Storage {
    fn values(&self) -> usize {
        // Where it cannot be said, reading says why.
        let values =
            || self.database.as_ref()?.begin_read().ok()?.open_table(VALUES).ok()?.len().ok();
        values().map_or(0, |values| values as usize)
    }

    fn load(&mut self, take: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        let Some(database) = &self.database else { return Ok(()) };
        let damaged =
            read_values(database, take).map_err(|error| damaged_file(&self.path, error))?;
        if !damaged.is_empty() {
            tracing::error!(
                values = damaged.len(),
                topics = ?&damaged[..damaged.len().min(10)],
                "some stored values do not match their checksums; their topics hold no value until \
                 they are published again, \
                 all others are served"
            );
        }
        Ok(())
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.reopen()?;
        if self.full {
            return self.write_when_full(changes);
        }
        self.write_changes(changes).map_err(|error| self.failed(error))
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if let Some(error) = self.left_out.take() {
            self.transaction = None;
            return Err(error);
        }
        if let Some(transaction) = self.transaction.take() {
            transaction.commit().map_err(|error| self.failed(error.into()))?;
        }
        // What was written to a file that has no name any more is written to nothing.
        self.check_identity()
    }

    fn streams(&mut self) -> Result<Option<Arc<dyn StreamStore>>, StoreError> {
        let Some(directory) = self.path.parent() else { return Ok(None) };
        Ok(Some(Arc::new(Streams::open(directory)?)))
    }

    fn backup(&mut self) -> Result<Backup, StoreError> {
        let directory = self.path.parent().unwrap_or(&self.path).to_owned();
        let Some(database) = &self.database else {
            let reason = format!("{} cannot be read at present", self.path.display());
            return Err(StoreError::new(reason));
        };
        let transaction =
            database.begin_read().map_err(|error| cannot("read", &self.path, error))?;
        Ok(Box::new(move |cancelled| backup::make(&transaction, &directory, cancelled)))
    }
}

/// Reads every value; returns the topics of those that are damaged.
fn read_values(
    database: &Database,
    take: &mut dyn FnMut(Kept),
) -> Result<Vec<String>, redb::Error> {
    let transaction = database.begin_read()?;
    let values = match transaction.open_table(VALUES) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        values => values?,
    };
    let mut damaged = Vec::new();
    for entry in values.iter()? {
        let (topic, record) = entry?;
        match record::read(topic.value(), record.value()) {
            Some(kept) => take(kept),
            None => damaged.push(topic.value().to_owned()),
        }
    }
    Ok(damaged)
}

/// Notes in a directory that it holds a file.
fn note(directory: &Directory) {
    if let Err(error) = directory.mark() {
        // The values are what matters. The next start tries again.
        tracing::warn!(%error, "cannot note in the data directory that it holds a file");
    }
}

/// Makes the file of a directory that has none.
fn begin(directory: &Directory) -> Result<(), StoreError> {
    let path = directory.unfinished();
    let made = make_database(&path).and_then(|(database, _)| {
        // Closing it writes to it.
        drop(database);
        directory.put_in_place()
    });
    if made.is_err() {
        let _ = fs::remove_file(&path);
    }
    made
}

/// Makes a new file with nothing in it.
fn make_database(path: &Path) -> Result<(Database, Identity), StoreError> {
    let file = directory::create(path).map_err(|error| cannot("make", path, error))?;
    open_file(path, file, true, false).map_err(|unopened| unopened.error)
}

/// Opens a file that is there.
fn open_database(path: &Path, sync: bool, check: bool) -> Result<(Database, Identity), Unopened> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|error| cannot("open", path, error))?;
    open_file(path, file, sync, check)
}

fn open_file(
    path: &Path,
    file: File,
    sync: bool,
    check: bool,
) -> Result<(Database, Identity), Unopened> {
    let identity = Identity::of(&file).map_err(|error| cannot("read", path, error))?;
    let file = LockableFile::new(file, sync, true).map_err(|error| cannot_open(path, error))?;
    Ok((open_on(path, file, check)?, identity))
}

/// Opens a database. What that writes, to repair what a crash left behind, is held back until it
/// has succeeded.
fn open_on(path: &Path, backend: impl StorageBackend, check: bool) -> Result<Database, Unopened> {
    let (backend, held_back) = HeldBack::new(backend);
    let opened = Builder::new()
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(check)
        .create_with_backend(backend)
        .map_err(|error| {
            let full = matches!(&error, DatabaseError::Storage(StorageError::Io(error)) if is_full_io(error));
            Unopened { error: cannot_open(path, error), full }
        })?;
    judge_version(&opened, path)?;
    held_back.release().map_err(|error| {
        let full = is_full_io(&error);
        Unopened { error: cannot("write to", path, error), full }
    })?;
    Ok(opened)
}

fn is_full(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(error) if is_full_io(error))
}

fn is_full_io(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Looks at the version of the format, and notes it in a new file.
fn judge_version(database: &Database, path: &Path) -> Result<(), StoreError> {
    let failed = |error: redb::Error| damaged_file(path, error);
    match version(database).map_err(failed)? {
        Some(FORMAT) => Ok(()),
        Some(OLDEST..FORMAT) | None => note_version(database).map_err(failed),
        Some(other) => Err(StoreError::new(foreign(path, other))),
    }
}

/// What is said of a file of a version that is not read.
fn foreign(path: &Path, version: u64) -> String {
    format!(
        "{} is of version {version}, and this babelmq reads versions {OLDEST} to {FORMAT}; use the \
         babelmq that wrote it, or \
         its `export` and this one's `import` into another directory",
        path.display()
    )
}

fn version(database: &Database) -> Result<Option<u64>, redb::Error> {
    match database.begin_read()?.open_table(ABOUT) {
        Ok(about) => Ok(about.get(VERSION)?.map(|version| version.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn note_version(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ABOUT)?.insert(VERSION, FORMAT)?;
    transaction.open_table(VALUES)?;
    Ok(transaction.commit()?)
}

/// Why a file cannot be opened.
fn cannot_open(path: &Path, error: DatabaseError) -> StoreError {
    let reason = match error {
        DatabaseError::DatabaseAlreadyOpen => format!(
            "{} is in use by another broker or command; stop that one, or use another data \
             directory",
            path.display()
        ),
        DatabaseError::UpgradeRequired(version) => format!(
            "{} has a layout of redb that this babelmq does not read (version {version}); use the \
             babelmq that wrote it, or \
             its `export` and this one's `import` into another directory",
            path.display()
        ),
        DatabaseError::Storage(StorageError::Io(error))
            if !matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            ) =>
        {
            return cannot("read", path, error);
        }
        other => return damaged_file(path, other),
    };
    StoreError::new(reason)
}

/// What could not be done with a file, why, and what to do. The cause is told to programs as well.
fn cannot(what: &str, path: &Path, error: impl Into<redb::Error>) -> StoreError {
    let error = error.into();
    let reason = format!("cannot {what} {}: {}", path.display(), explain(&error));
    because(reason, error)
}

/// The same for a file that is not as it was written.
fn damaged_file(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    let error = error.into();
    because(damage(path, &explain(&error)), error)
}

/// An error with its cause: what the system said, where it was the system.
fn because(reason: String, error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => StoreError::new(reason).with_source(error),
        other => StoreError::new(reason).with_source(other),
    }
}

fn damage(path: &Path, what: &str) -> String {
    let directory = path.parent().unwrap_or(path).display();
    format!(
        "{} is damaged ({what}); nothing in it was changed. `babelmq export --damaged {directory}` \
         prints the values that can \
         still be read; `babelmq import` writes them to another directory, or move the directory \
         away to begin anew",
        path.display()
    )
}

fn explain(error: &redb::Error) -> String {
    match error {
        redb::Error::Io(error) => explain_io(error),
        other => other.to_string(),
    }
}

fn explain_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("{error}; make room on its disk")
        }
        io::ErrorKind::FileTooLarge => {
            format!("{error}; the process may not write files of this size (ulimit -f)")
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            format!("{error}; the broker's user must be able to write there")
        }
        _ => error.to_string(),
    }
}
