//! Reading a data directory without changing it, and what can be read of one that is damaged.

use std::fs::{File, OpenOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableError};

use super::directory::judge;
use super::file::{HeldBack, LockableFile};
use super::{CACHE, FILE, VALUES, cannot_open, damage, explain, explain_io, record};
use crate::broker::{Kept, StoreError};

/// What a data directory holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// The values that are as they were written, in the order in which they were published.
    pub values: Vec<Kept>,
    /// Topics whose values do not match their checksums.
    pub damaged: Vec<String>,
    /// Why not everything could be read, if it could not.
    pub unreadable: Option<String>,
}

/// Reads the values of a data directory that no broker has open. The file is left as it is. One that is damaged is read
/// if that is wanted, as far as possible from both ends.
///
/// # Errors
/// [`StoreError`] where the file cannot be opened, or is damaged and `damaged` is not said.
pub fn read(directory: &Path, damaged: bool) -> Result<Contents, StoreError> {
    let path = directory.join(FILE);
    judge(directory)?;
    // Only who could write can lock; where nobody can write there is nothing to lock out.
    let locked = OpenOptions::new().read(true).write(true).open(&path);
    let lock = locked.is_ok();
    let file = locked
        .or_else(|_| File::open(&path))
        .map_err(|error| StoreError(format!("cannot open {}: {}", path.display(), explain_io(&error))))?;
    let file = LockableFile::new(file, false, lock).map_err(|error| StoreError(cannot_open(&path, error)))?;
    // What opening it would repair is never released.
    let (backend, _held_back) = HeldBack::new(file);
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(!damaged).create_with_backend(backend)
    }));
    let database = match opened {
        Ok(opened) => opened.map_err(|error| StoreError(cannot_open(&path, error)))?,
        Err(_) => return Err(StoreError(format!("{} is damaged beyond reading", path.display()))),
    };
    let mut contents = Contents::default();
    for from_the_end in [false, true] {
        // The database is not made to be read when it is damaged; where it gives up, so does this.
        match catch_unwind(AssertUnwindSafe(|| read_values(&database, from_the_end, &mut contents))) {
            Ok(Ok(())) => break,
            Ok(Err(error)) => contents.unreadable = Some(explain(&error)),
            Err(_) => contents.unreadable = Some("a page is not as it was written".into()),
        }
    }
    contents.values.sort_unstable_by_key(|kept| kept.published);
    contents.values.dedup_by_key(|kept| kept.published);
    contents.damaged.sort_unstable();
    contents.damaged.dedup();
    if !damaged && let Some(what) = &contents.unreadable {
        return Err(StoreError(damage(&path, what)));
    }
    Ok(contents)
}

fn read_values(database: &Database, from_the_end: bool, contents: &mut Contents) -> Result<(), redb::Error> {
    let transaction = database.begin_read()?;
    let values = match transaction.open_table(VALUES) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        values => values?,
    };
    let mut entries = values.iter()?;
    while let Some(entry) = if from_the_end { entries.next_back() } else { entries.next() } {
        let (topic, record) = entry?;
        match record::read(topic.value(), record.value()) {
            Some(kept) => contents.values.push(kept),
            None => contents.damaged.push(topic.value().to_owned()),
        }
    }
    Ok(())
}
