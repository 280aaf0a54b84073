//! Where last values are kept beyond the process. The broker knows no file and no disk: only this
//! trait.

use std::fmt;
use std::sync::atomic::AtomicBool;

use crate::broker::retained::Stored;
use crate::codec::Payload;
use crate::protocol::Topic;

/// Keeps last values. One thread calls it, and that one may wait for a disk.
pub trait Store: fmt::Debug + Send {
    /// Whether anything that is written can ever be read again. Where it is not so, nothing is
    /// written.
    fn keeps(&self) -> bool {
        true
    }

    /// About how many values there are to be read.
    fn values(&self) -> usize {
        0
    }

    /// Reads everything that is kept, in any order.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read as a whole; a value by itself that is damaged is left
    /// out and reported.
    fn load(&mut self, take: &mut dyn FnMut(Kept)) -> Result<(), StoreError>;

    /// Takes changes, which are applied in their order. Nothing of them is promised before
    /// [`commit`](Self::commit).
    ///
    /// # Errors
    /// [`StoreError`]. Everything since the last commit is void then, and the store can be tried
    /// again.
    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError>;

    /// Makes all that was taken since the last commit last, all of it or nothing.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Begins a copy of all that is committed now. What is returned makes it, on another thread,
    /// while this one goes on.
    ///
    /// # Errors
    /// [`StoreError`] where there can be none.
    fn backup(&mut self) -> Result<Backup, StoreError> {
        Err(StoreError("what keeps this broker's values makes no backups".into()))
    }
}

/// Makes a copy of a store, unless it is told to give up, and returns the name that whoever asked
/// finds it by.
pub type Backup = Box<dyn FnOnce(&AtomicBool) -> Result<String, StoreError> + Send>;

/// The null store: memory ends with the process.
#[derive(Debug, Default)]
pub struct NoStore;

impl Store for NoStore {
    fn keeps(&self) -> bool {
        false
    }

    fn load(&mut self, _: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&mut self, _: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Something that a store is told.
#[derive(Clone, Debug)]
pub enum Change {
    /// A topic's value, in the place of the one before.
    Keep {
        /// The value.
        stored: Stored,
        /// When it expires; `None` is never.
        expires: Option<Expires>,
    },
    /// A topic holds no value any more.
    Forget(Topic),
}

/// A value as a store gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The topic.
    pub topic: Topic,
    /// The payload, as it was published.
    pub payload: Payload,
    /// The place in the order of all publications.
    pub published: u64,
    /// When it expires; `None` is never.
    pub expires: Option<Expires>,
}

/// When a value expires, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expires {
    /// Since 1970.
    pub at: u64,
    /// How long it had left when it was handed to the store; not known of values that an older
    /// version has stored. A wall clock that was set back meanwhile makes it live no longer than
    /// this, from when it is read.
    pub ttl: Option<u64>,
}

/// What went wrong, and what to do about it, for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// When changes are on the disk, and with that what a crash can cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// At once: a `pong` says that everything before it is on the disk.
    Always,
    /// Once an interval: a crash costs at most the last one.
    #[default]
    Interval,
    /// Written once an interval, and on the disk when the system sees fit.
    Never,
}
