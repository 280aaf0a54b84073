//! Giving the space that a data directory does not need any more back to the file system.

use std::fs;
use std::path::Path;

use super::{FILE, Storage, cannot};
use crate::broker::StoreError;

/// What came of it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// How long the file was.
    pub before: u64,
    /// How long it is.
    pub after: u64,
}

/// Makes the file of a data directory that no broker has open as short as it can be. It can be
/// interrupted: the values are there all the time, each step of it as a whole or not at all.
///
/// # Errors
/// [`StoreError`], as for [`Storage::open`], and where there is no such directory.
pub fn compact(directory: &Path) -> Result<Compacted, StoreError> {
    let path = directory.join(FILE);
    let length = || match fs::metadata(&path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) => Err(cannot("read", &path, error)),
    };
    let before = length()?;
    let mut storage = Storage::open(directory, true)?;
    if let Some(database) = &mut storage.database {
        database.compact().map_err(|error| cannot("compact", &path, error))?;
    }
    // Closing it is part of it.
    drop(storage);
    Ok(Compacted { before, after: length()? })
}
