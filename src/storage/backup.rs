//! A copy of a data file, made in its directory while the broker writes to it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redb::{Builder, ReadTransaction, ReadableTable};

use super::file::LockableFile;
use super::{ABOUT, CACHE, FORMAT, VALUES, VERSION, explain, explain_io};
use crate::broker::StoreError;

const BEGIN: &str = "backup-";
const END: &str = ".redb";
/// How the file is called until it is whole.
const UNFINISHED: &str = ".new";
/// Values between which it is asked whether to go on.
const STEP: usize = 256;

/// Whether a file has the name of a backup that is whole.
pub fn is_name(name: &str) -> bool {
    let number = name.strip_prefix(BEGIN).and_then(|name| name.strip_suffix(END));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Writes all that a transaction sees to a new file in the data directory, and returns its name. A
/// backup that nobody has taken away is replaced by this: there is never more than one.
pub(super) fn make(
    transaction: &ReadTransaction,
    directory: &Path,
    cancelled: &AtomicBool,
) -> Result<String, StoreError> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let name = format!("{BEGIN}{}{END}", 1 + MADE.fetch_add(1, Ordering::Relaxed));
    let (path, unfinished) = (directory.join(&name), directory.join(format!("{name}{UNFINISHED}")));
    let failed = |what: String| {
        StoreError::new(format!("cannot make the backup {}: {what}", path.display()))
    };
    clean(directory).map_err(|error| failed(explain_io(&error)))?;
    let made = copy(transaction, &unfinished, cancelled)
        .map_err(|error| explain(&error))
        .and_then(|whole| {
            if whole { Ok(()) } else { Err("the broker is stopping, or its disk fails".into()) }
        })
        .and_then(|()| {
            fs::rename(&unfinished, &path)
                .and_then(|()| File::open(directory)?.sync_all())
                .map_err(|error| explain_io(&error))
        });
    if let Err(what) = made {
        // Half of it is of no use, and its room may be what is wanting.
        let _ = fs::remove_file(&unfinished);
        return Err(failed(what));
    }
    Ok(name)
}

/// Removes backups that were made before and never taken away, and what is left of those that were
/// cut short.
fn clean(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str()
            && is_name(name.strip_suffix(UNFINISHED).unwrap_or(name))
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Returns whether all of it was copied.
fn copy(from: &ReadTransaction, to: &PathBuf, cancelled: &AtomicBool) -> Result<bool, redb::Error> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(to)?;
    let backend = LockableFile::new(file, true, true)?;
    let database = Builder::new().set_cache_size(CACHE).create_with_backend(backend)?;
    let transaction = database.begin_write()?;
    transaction.open_table(ABOUT)?.insert(VERSION, FORMAT)?;
    let mut values = transaction.open_table(VALUES)?;
    for (number, entry) in from.open_table(VALUES)?.iter()?.enumerate() {
        if number % STEP == 0 && cancelled.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let (topic, record) = entry?;
        // A record that is damaged stays what it is: whoever reads the copy is told.
        values.insert(topic.value(), record.value())?;
    }
    drop(values);
    transaction.commit()?;
    Ok(true)
}
