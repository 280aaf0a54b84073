//! Last values on a disk: the broker's [`Store`] in a file of the embedded database redb.
//!
//! A data directory holds one file, `last-values.redb`, with two tables: `values`, from topics to records, and
//! `about`, with the version of the format. Why redb: `docs/decisions/0012-storage.md`.

mod backup;
mod compact;
mod contents;
mod file;
mod record;
mod salvage;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend,
    StorageError, TableDefinition, TableError, WriteTransaction,
};

use crate::broker::{Backup, Change, Kept, Store, StoreError};
use file::{HeldBack, LockableFile};

pub use backup::is_name;
pub use compact::{Compacted, compact};
pub use contents::{Contents, read};

const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
const VERSION: &str = "version";
/// The version of what is in the file. Whoever changes the format raises it, and converts the version before in `judge_version`.
/// Version 2 has records that say how long they had left; all that version 1 can hold is the same in it.
const FORMAT: u64 = 2;
/// The oldest version that is read. A file of it becomes one of this version when it is opened for writing.
const OLDEST: u64 = 1;
/// The one file of a data directory.
pub const FILE: &str = "last-values.redb";
/// Memory for pages of the file. What the broker remembers it reads but once.
const CACHE: usize = 32 << 20;

/// A data directory that is open for writing; nobody else can open it.
pub struct Storage {
    /// What was written and not committed. Declared before the database, so dropped before it.
    transaction: Option<WriteTransaction>,
    /// None after a failure, until it can be opened again.
    database: Option<Database>,
    path: PathBuf,
    sync: bool,
    /// How records are spelled, made once.
    record: Vec<u8>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("path", &self.path).field("sync", &self.sync).finish_non_exhaustive()
    }
}

impl Storage {
    /// Opens a data directory, which is made where there is none. Without `sync` it is left to the system when a commit
    /// reaches the disk. Every page of the file is checked; where one is damaged, nothing on the disk is changed.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot be read or written, is in use, is damaged, or is of a newer version.
    pub fn open(directory: &Path, sync: bool) -> Result<Storage, StoreError> {
        fs::create_dir_all(directory).map_err(|error| {
            StoreError(format!("cannot make the data directory {}: {error}", directory.display()))
        })?;
        let path = directory.join(FILE);
        let database = open_database(&path, sync, true)?;
        Ok(Storage { transaction: None, database: Some(database), path, sync, record: Vec::new() })
    }

    /// A store in something that is no file.
    #[cfg(test)]
    fn on(backend: impl StorageBackend) -> Result<Storage, StoreError> {
        let path = PathBuf::from("(test)");
        let file = LockableFile { file: backend, sync: true, lock: true };
        let database = Some(open_on(&path, file, true)?);
        Ok(Storage { transaction: None, database, path, sync: true, record: Vec::new() })
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
        StoreError(format!("cannot write to {}: {}", self.path.display(), explain(&error)))
    }
}

impl Store for Storage {
    fn values(&self) -> usize {
        // Where it cannot be said, reading says why.
        let values = || self.database.as_ref()?.begin_read().ok()?.open_table(VALUES).ok()?.len().ok();
        values().map_or(0, |values| values as usize)
    }

    fn load(&mut self, take: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        let Some(database) = &self.database else { return Ok(()) };
        let damaged =
            read_values(database, take).map_err(|error| StoreError(damage(&self.path, &explain(&error))))?;
        if !damaged.is_empty() {
            tracing::error!(
                values = damaged.len(),
                topics = ?&damaged[..damaged.len().min(10)],
                "some stored values do not match their checksums; their topics hold no value until they are published again, \
                 all others are served"
            );
        }
        Ok(())
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if self.database.is_none() {
            self.database = Some(open_database(&self.path, self.sync, false)?);
        }
        self.write_changes(changes).map_err(|error| self.failed(error))
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        match self.transaction.take() {
            None => Ok(()),
            Some(transaction) => transaction.commit().map_err(|error| self.failed(error.into())),
        }
    }

    fn backup(&mut self) -> Result<Backup, StoreError> {
        let directory = self.path.parent().unwrap_or(&self.path).to_owned();
        let Some(database) = &self.database else {
            return Err(StoreError(format!("{} cannot be read at present", self.path.display())));
        };
        let transaction = database.begin_read().map_err(|error| {
            StoreError(format!("cannot read {}: {}", self.path.display(), explain(&error.into())))
        })?;
        Ok(Box::new(move |cancelled| backup::make(&transaction, &directory, cancelled)))
    }
}

/// Reads every value; returns the topics of those that are damaged.
fn read_values(database: &Database, take: &mut dyn FnMut(Kept)) -> Result<Vec<String>, redb::Error> {
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

fn open_database(path: &Path, sync: bool, check: bool) -> Result<Database, StoreError> {
    // It is not truncated: what is in it is what this is about.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|error| {
        let what = explain_io(&error);
        StoreError(format!("cannot open {}: {what}", path.display()))
    })?;
    let file = LockableFile::new(file, sync, true).map_err(|error| StoreError(cannot_open(path, error)))?;
    open_on(path, file, check)
}

/// Opens a database. What that writes, to repair what a crash left behind, is held back until it has succeeded.
fn open_on(path: &Path, backend: impl StorageBackend, check: bool) -> Result<Database, StoreError> {
    let (backend, held_back) = HeldBack::new(backend);
    let opened = Builder::new()
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(check)
        .create_with_backend(backend)
        .map_err(|error| StoreError(cannot_open(path, error)))?;
    judge_version(&opened, path)?;
    held_back
        .release()
        .map_err(|error| StoreError(format!("cannot write to {}: {}", path.display(), explain_io(&error))))?;
    Ok(opened)
}

/// Looks at the version of the format, and notes it in a new file.
fn judge_version(database: &Database, path: &Path) -> Result<(), StoreError> {
    let failed = |error: redb::Error| StoreError(damage(path, &explain(&error)));
    match version(database).map_err(failed)? {
        Some(FORMAT) => Ok(()),
        Some(OLDEST..FORMAT) | None => note_version(database).map_err(failed),
        Some(other) => Err(StoreError(foreign(path, other))),
    }
}

/// What is said of a file of a version that is not read.
fn foreign(path: &Path, version: u64) -> String {
    format!(
        "{} is of version {version}, and this babelmq reads versions {OLDEST} to {FORMAT}; use the babelmq that wrote it, or \
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

fn cannot_open(path: &Path, error: DatabaseError) -> String {
    match error {
        DatabaseError::DatabaseAlreadyOpen => format!(
            "{} is in use by another broker or command; stop that one, or use another data directory",
            path.display()
        ),
        DatabaseError::UpgradeRequired(version) => format!(
            "{} has a layout of redb that this babelmq does not read (version {version}); use the babelmq that wrote it, or \
             its `export` and this one's `import` into another directory",
            path.display()
        ),
        DatabaseError::Storage(StorageError::Io(error))
            if !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
        {
            format!("cannot read {}: {}", path.display(), explain_io(&error))
        }
        other => damage(path, &other.to_string()),
    }
}

fn damage(path: &Path, what: &str) -> String {
    let directory = path.parent().unwrap_or(path).display();
    format!(
        "{} is damaged ({what}); nothing in it was changed. `babelmq export --damaged {directory}` prints the values that can \
         still be read; `babelmq import` writes them to another directory, or move the file away to begin anew",
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
        io::ErrorKind::StorageFull => format!("{error}; make room on its disk"),
        io::ErrorKind::FileTooLarge => {
            format!("{error}; the process may not write files of this size (ulimit -f)")
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            format!("{error}; the broker's user must be able to write there")
        }
        _ => error.to_string(),
    }
}
