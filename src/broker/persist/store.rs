//! Where last values are kept beyond the process. The broker knows no file and no disk: only this
//! trait.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::broker::persist::store_error::StoreError;
use crate::broker::retained::Stored;
use crate::broker::streams::StreamStore;
use crate::codec::Payload;
use crate::protocol::Topic;

/// Keeps last values. One thread calls it, and that one may wait for a disk.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
/// use babelmq::{Broker, Change, Config, Kept, Store, StoreError, Topic};
///
/// /// Outlives the broker, if not the process.
/// #[derive(Clone, Debug, Default)]
/// struct Shelf(Arc<Mutex<HashMap<Topic, Kept>>>);
///
/// impl Store for Shelf {
///     fn load(&mut self, take: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
///         self.0.lock().unwrap().values().cloned().for_each(take);
///         Ok(())
///     }
///
///     fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
///         let mut shelf = self.0.lock().unwrap();
///         for change in changes {
///             match change {
///                 Change::Keep { stored, expires, .. } => {
///                     let kept = Kept::from(stored).expires(*expires);
///                     shelf.insert(kept.topic.clone(), kept);
///                 }
///                 Change::Forget(topic) => drop(shelf.remove(topic)),
///             }
///         }
///         Ok(())
///     }
///
///     fn commit(&mut self) -> Result<(), StoreError> {
///         Ok(())
///     }
/// }
///
/// let (config, shelf) = (Config::listening_on(([127, 0, 0, 1], 0)), Shelf::default());
/// let broker = Broker::start_with(config.clone(), Box::new(shelf.clone()))?;
/// broker.put_topic("/weather/oslo", &21.5.into())?;
/// broker.shutdown();
/// let broker = Broker::start_with(config, Box::new(shelf))?;
/// assert_eq!(broker.get_topic("/weather/oslo")?, Some(21.5.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// Where the logs of streams are kept; `None` where there can be no streams.
    ///
    /// # Errors
    /// [`StoreError`] where that place cannot be used.
    fn streams(&mut self) -> Result<Option<Arc<dyn StreamStore>>, StoreError> {
        Ok(None)
    }

    /// Begins a copy of all that is committed now. The [`Backup`] that is returned makes it, on
    /// another thread, while this one goes on.
    ///
    /// # Errors
    /// [`StoreError`] where there can be none.
    fn backup(&mut self) -> Result<Backup, StoreError> {
        Err(StoreError::new("what keeps this broker's values makes no backups"))
    }
}

/// Makes a copy of a store, unless it is told to give up, and returns the name that whoever asked
/// finds it by.
///
/// ```
/// use std::sync::atomic::Ordering;
/// use babelmq::{Backup, StoreError};
///
/// // What `Store::backup` returns; it runs on a thread of its own.
/// fn backup(values: Vec<String>) -> Backup {
///     Box::new(move |cancelled| {
///         for value in values {
///             if cancelled.load(Ordering::Relaxed) {
///                 return Err(StoreError::new("the broker is stopping"));
///             }
///             println!("{value}");
///         }
///         Ok("printed".into())
///     })
/// }
/// assert_eq!(backup(vec!["21.5".into()])(&false.into())?, "printed");
/// # Ok::<(), StoreError>(())
/// ```
pub type Backup = Box<dyn FnOnce(&AtomicBool) -> Result<String, StoreError> + Send>;

/// The null store: memory ends with the process. [`Broker::start`](crate::Broker::start) has it.
///
#[cfg_attr(feature = "storage", doc = "```")]
#[cfg_attr(not(feature = "storage"), doc = "```ignore")]
/// use babelmq::{Broker, Config, NoStore, Storage, Store};
///
/// fn start(directory: Option<&std::path::Path>) -> Result<(), babelmq::StartError> {
///     let store: Box<dyn Store> = match directory {
///         Some(directory) => Box::new(Storage::open(directory, true)?),
///         None => Box::new(NoStore),
///     };
///     let broker = Broker::start_with(Config::listening_on(([127, 0, 0, 1], 0)), store)?;
/// #   drop(broker);
///     Ok(())
/// }
/// # start(None)?;
/// # Ok::<(), babelmq::StartError>(())
/// ```
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

/// Something that a store is told. [`Store`] has an example.
///
/// A store must know every kind of change, so a new one is to break the build of those that do not:
/// this enum is exhaustive, though its variants may grow.
///
/// ```
/// use babelmq::Change;
///
/// fn topic(change: &Change) -> &str {
///     match change {
///         Change::Keep { stored, .. } => stored.topic().as_str(),
///         Change::Forget(topic) => topic.as_str(),
///     }
/// }
/// assert_eq!(topic(&Change::Forget(babelmq::Topic::parse("/weather/oslo")?)), "/weather/oslo");
/// # Ok::<(), babelmq::Refusal>(())
/// ```
#[derive(Clone, Debug)]
pub enum Change {
    /// A topic's value, in the place of the one before.
    #[non_exhaustive]
    Keep {
        /// The value.
        stored: Stored,
        /// When it expires; `None` is never.
        expires: Option<Expires>,
    },
    /// A topic holds no value any more.
    Forget(Topic),
}

/// A value as a store gives it back. [`Store`] has a whole one.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use babelmq::{Expires, Kept, Stored};
///
/// /// A store that remembers every value for an hour.
/// fn keep(stored: &Stored) -> Kept {
///     let hour = Duration::from_secs(3_600);
///     Kept::from(stored).expires(Expires::new(SystemTime::now() + hour, Some(hour)))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

impl Kept {
    /// A value that does not expire.
    pub fn new(topic: Topic, payload: Payload, published: u64) -> Kept {
        Kept { topic, payload, published, expires: None }
    }

    /// Says when it expires.
    #[must_use]
    pub fn expires(self, expires: impl Into<Option<Expires>>) -> Kept {
        Kept { expires: expires.into(), ..self }
    }
}

/// As it was handed to the store, without a time to live.
impl From<&Stored> for Kept {
    fn from(stored: &Stored) -> Kept {
        let payload = stored.payload().to_payload();
        Kept::new(stored.topic().to_topic(), payload, stored.published())
    }
}

/// When a value expires, to a millisecond.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use babelmq::Expires;
///
/// let minute = Duration::from_secs(60);
/// let expires = Expires::new(SystemTime::now() + minute, Some(minute));
/// assert!(expires.at() > SystemTime::now());
/// assert_eq!(expires.ttl(), Some(minute));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expires {
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    /// In milliseconds too.
    pub(crate) ttl: Option<u64>,
}

impl Expires {
    /// A time by the wall clock, and how long that is from now, where it is known. `ttl` bounds how
    /// long the value lives after it is read again, however the wall clock is set meanwhile.
    pub fn new(at: SystemTime, ttl: Option<Duration>) -> Expires {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Expires { at: millis(since), ttl: ttl.map(millis) }
    }

    /// When it expires, by the wall clock.
    pub fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.at)
    }

    /// How long it had left when it was handed to the store; not known of values that an older
    /// version has stored.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl.map(Duration::from_millis)
    }
}

/// When changes are on the disk, and with that what a crash can cost.
///
/// ```
/// use std::time::Duration;
/// use babelmq::{Config, Fsync};
///
/// // A `flush` of a client waits for the disk.
/// let careful = Config::default().fsync(Fsync::Always);
/// // A crash costs what was published in the last 100 ms.
/// let quick = Config::default().fsync_interval(Duration::from_millis(100));
/// assert_eq!((careful.fsync, quick.fsync), (Fsync::Always, Fsync::Interval));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// At once: a `pong` says that everything before it is on the disk.
    Always,
    /// Once an interval: a crash costs at most the last one.
    #[default]
    Interval,
    /// Written once an interval, and on the disk when the system sees fit.
    Never,
}
