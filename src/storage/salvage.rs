//! Reading what can be read of a damaged file, without changing it.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Builder, Database, ReadableDatabase, ReadableTable};

use super::file::{HeldBack, LockableFile};
use super::{CACHE, FILE, VALUES, cannot_open, explain, explain_io, record};
use crate::broker::{Kept, StoreError};

/// What could be read.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// The values that are as they were written.
    pub values: Vec<Kept>,
    /// Topics whose values do not match their checksums.
    pub damaged: Vec<String>,
    /// Why not everything could be read, if it could not.
    pub unreadable: Option<String>,
}

/// Reads the values of a data directory, as far as possible from both ends. The file is left as it is.
///
/// # Errors
/// [`StoreError`] where the file cannot be opened at all.
pub fn salvage(directory: &Path) -> Result<Salvaged, StoreError> {
    let path = directory.join(FILE);
    let file = File::open(&path)
        .map_err(|error| StoreError(format!("cannot open {}: {}", path.display(), explain_io(&error))))?;
    let file = LockableFile::new(file, false).map_err(|error| StoreError(cannot_open(&path, error)))?;
    // What opening it would repair is never released.
    let (backend, _held_back) = HeldBack::new(file);
    let opened =
        catch_unwind(AssertUnwindSafe(|| Builder::new().set_cache_size(CACHE).create_with_backend(backend)));
    let database = match opened {
        Ok(opened) => opened.map_err(|error| StoreError(cannot_open(&path, error)))?,
        Err(_) => return Err(StoreError(format!("{} is damaged beyond reading", path.display()))),
    };
    let mut salvaged = Salvaged::default();
    for from_the_end in [false, true] {
        // The database is not made to be read when it is damaged; where it gives up, so does this.
        let read = catch_unwind(AssertUnwindSafe(|| read(&database, from_the_end, &mut salvaged)));
        match read {
            Ok(Ok(())) => break,
            Ok(Err(error)) => salvaged.unreadable = Some(explain(&error)),
            Err(_) => salvaged.unreadable = Some("a page is not as it was written".into()),
        }
    }
    salvaged.values.sort_unstable_by_key(|kept| kept.published);
    salvaged.values.dedup_by_key(|kept| kept.published);
    salvaged.damaged.sort_unstable();
    salvaged.damaged.dedup();
    Ok(salvaged)
}

fn read(database: &Database, from_the_end: bool, salvaged: &mut Salvaged) -> Result<(), redb::Error> {
    let transaction = database.begin_read()?;
    let values = transaction.open_table(VALUES)?;
    let mut entries = values.iter()?;
    while let Some(entry) = if from_the_end { entries.next_back() } else { entries.next() } {
        let (topic, record) = entry?;
        match record::read(topic.value(), record.value()) {
            Some(kept) => salvaged.values.push(kept),
            None => salvaged.damaged.push(topic.value().to_owned()),
        }
    }
    Ok(())
}
