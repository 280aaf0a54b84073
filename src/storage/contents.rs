//! Reading a data directory without changing it, and what can be read of one that is damaged.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableError,
};

use super::directory::judge;
use super::file::{HeldBack, LockableFile};
use super::{
    CACHE, FILE, FORMAT, OLDEST, VALUES, cannot, cannot_open, damage, explain, foreign, record,
    salvage, version,
};
use crate::broker::{Kept, StoreError};
use crate::protocol::Topic;

/// What a data directory holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// The values that are as they were written, in the order in which they were published.
    pub values: Vec<Kept>,
    /// Topics whose values do not match their checksums.
    pub damaged: Vec<String>,
    /// Those of them of which an earlier copy was found, which is among the values.
    pub earlier: Vec<String>,
    /// Why it is not known which topics there were, where it is not: everything that was found is
    /// there then, also what had been cleared.
    pub unreadable: Option<String>,
}

/// Why something could not be read.
enum Failed {
    /// There is nothing to be done about it here.
    Final(StoreError),
    /// As for [`damage`].
    Damaged(String),
    /// Damaged, said as a whole.
    Said(StoreError),
}

impl Failed {
    fn say(self, path: &Path) -> StoreError {
        match self {
            Failed::Final(error) => error,
            Failed::Damaged(what) => StoreError::new(damage(path, &what)),
            Failed::Said(said) => said,
        }
    }
}

/// Reads the values of a data directory that no broker has open. The file is left as it is. Of one
/// that is damaged, every value is found whose own checksum is right, if that is wanted.
///
/// # Errors
/// [`StoreError`] where the file cannot be opened, or is damaged and `damaged` is not said.
pub fn read(directory: &Path, damaged: bool) -> Result<Contents, StoreError> {
    let path = directory.join(FILE);
    // Where there is no byte, there is nothing to be found either.
    judge(directory)?;
    let tree = match attempt(&path, true) {
        Err(Failed::Final(error)) => return Err(error),
        Err(failed) if !damaged => return Err(failed.say(&path)),
        Ok(Tree { end: Some(what), .. }) if !damaged => {
            return Err(Failed::Damaged(what).say(&path));
        }
        Ok(tree) if !damaged => return Ok(contents(tree.intact, tree.damaged, Vec::new(), None)),
        tree => tree.ok().filter(|tree| tree.end.is_none() && tree.damaged.is_empty()),
    };
    let bytes = File::open(&path)
        .and_then(|file| salvage::bytes(&file))
        .map_err(|error| cannot("read", &path, error))?;
    if let Some(tree) = tree {
        if !salvage::is_unfinished(&bytes) {
            // Every page was looked at.
            return Ok(contents(tree.intact, tree.damaged, Vec::new(), None));
        }
        // The database goes back to the commit before where the last one is not whole, and does not
        // say so. In a copy of a live file that may be one of long ago.
        let found = salvage::salvage(&bytes);
        let last = tree.intact.iter().map(|kept| kept.published).max().unwrap_or(0);
        if found.values().all(|kept| kept.published <= last) {
            return Ok(contents(tree.intact, tree.damaged, Vec::new(), None));
        }
        let what = "there are newer values than the last whole commit has".to_owned();
        return Ok(contents(found.into_values().collect(), Vec::new(), Vec::new(), Some(what)));
    }
    search(&path, salvage::salvage(&bytes))
}

fn contents(
    mut values: Vec<Kept>,
    mut damaged: Vec<String>,
    earlier: Vec<String>,
    unreadable: Option<String>,
) -> Contents {
    values.sort_unstable_by_key(|kept| kept.published);
    damaged.sort_unstable();
    Contents { values, damaged, earlier, unreadable }
}

/// What was found, without what is known to have been cleared.
fn search(path: &Path, mut found: HashMap<Topic, Kept>) -> Result<Contents, StoreError> {
    let (tree, unreadable) = match attempt(path, false) {
        Err(Failed::Final(error)) => return Err(error),
        Err(Failed::Damaged(what)) => (Tree::default(), Some(what)),
        Err(Failed::Said(_)) => (Tree::default(), Some("the database cannot be opened".into())),
        Ok(Tree { end, .. }) if end.is_some() => (Tree::default(), end),
        Ok(tree) => (tree, None),
    };
    if unreadable.is_some() {
        return Ok(contents(found.into_values().collect(), Vec::new(), Vec::new(), unreadable));
    }
    // What topics there are is known; so what was cleared does not come back.
    let (mut values, mut earlier) = (Vec::new(), Vec::new());
    for kept in tree.intact {
        match found.remove(&kept.topic) {
            Some(other) if other.published > kept.published => values.push(other),
            _ => values.push(kept),
        }
    }
    let mut torn = tree.damaged.clone();
    for topic in &tree.damaged {
        if let Some(kept) = Topic::parse(topic).ok().and_then(|topic| found.remove(&topic)) {
            values.push(kept);
            earlier.push(topic.clone());
            continue;
        }
        // It may be the topic that is not as it was written.
        let is_meant =
            |kept: &Kept| differ_in_one(kept.topic.as_str().as_bytes(), topic.as_bytes());
        for (meant, kept) in found.extract_if(|_, kept| is_meant(kept)) {
            values.push(kept);
            torn.push(meant.to_string());
            earlier.push(meant.to_string());
        }
    }
    Ok(contents(values, torn, earlier, None))
}

/// Whether two names differ in one byte.
fn differ_in_one(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).filter(|(one, other)| one != other).count() == 1
}

/// What the tree leads to.
#[derive(Default)]
struct Tree {
    intact: Vec<Kept>,
    damaged: Vec<String>,
    /// Why there may be more, if there may.
    end: Option<String>,
}

/// Opens the database and reads it. It is not made to be read when it is damaged; where it gives
/// up, so does this.
fn attempt(path: &Path, check: bool) -> Result<Tree, Failed> {
    let read = catch_unwind(AssertUnwindSafe(|| {
        let database = open(path, check)?;
        let unread = |error: redb::Error| Failed::Damaged(explain(&error));
        // Where no page was looked at, a number in it means nothing.
        if check
            && let Some(version) = version(&database).map_err(unread)?
            && !(OLDEST..=FORMAT).contains(&version)
        {
            return Err(Failed::Final(StoreError::new(foreign(path, version))));
        }
        let mut tree = Tree::default();
        match read_values(&database, check, &mut tree) {
            Ok(()) => {}
            Err(error) => tree.end = Some(explain(&error)),
        }
        Ok(tree)
    }));
    read.unwrap_or_else(|_| Err(Failed::Damaged("a page is not as it was written".into())))
}

fn open(path: &Path, check: bool) -> Result<Database, Failed> {
    // Only who could write can lock; where nobody can write there is nothing to lock out.
    let locked = OpenOptions::new().read(true).write(true).open(path);
    let lock = locked.is_ok();
    let file = locked
        .or_else(|_| File::open(path))
        .map_err(|error| Failed::Final(cannot("open", path, error)))?;
    if file.metadata().is_ok_and(|file| file.len() == 0) {
        // The database would begin anew in it.
        return Err(Failed::Damaged("it is empty".into()));
    }
    let failed = |error| match error {
        DatabaseError::DatabaseAlreadyOpen => Failed::Final(StoreError::new(format!(
            "{}; `babelmq backup DIR --data-dir {}` copies the values of a running broker to \
             another directory, which can be \
             read",
            cannot_open(path, error),
            path.parent().unwrap_or(path).display()
        ))),
        error => Failed::Said(cannot_open(path, error)),
    };
    // What opening it would repair is never released.
    let (backend, _held_back) =
        HeldBack::new(LockableFile::new(file, false, lock).map_err(failed)?);
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(check)
        .create_with_backend(backend)
        .map_err(failed)
}

fn read_values(database: &Database, check: bool, tree: &mut Tree) -> Result<(), redb::Error> {
    let transaction = database.begin_read()?;
    let values = match transaction.open_table(VALUES) {
        Err(TableError::TableDoesNotExist(_)) => {
            // A new file has none. In one that is damaged it has been lost.
            tree.end = (!check).then(|| "the table of the values is not there".into());
            return Ok(());
        }
        values => values?,
    };
    let mut before: Option<String> = None;
    for entry in values.iter()? {
        let (topic, record) = entry?;
        let topic = topic.value();
        if before.as_deref().is_some_and(|before| topic <= before) {
            tree.end = Some("pages are not where they belong".into());
            return Ok(());
        }
        match record::read(topic, record.value()) {
            Some(kept) => tree.intact.push(kept),
            None => tree.damaged.push(topic.to_owned()),
        }
        before = Some(topic.to_owned());
    }
    let read = (tree.intact.len() + tree.damaged.len()) as u64;
    let there = values.len()?;
    if read != there {
        tree.end = Some(format!("{read} values were found where there were {there}"));
    }
    Ok(())
}
