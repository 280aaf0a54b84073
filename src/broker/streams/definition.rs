//! What a stream is: its name, its filter, its limits.

use std::fmt;
use std::time::Duration;

use crate::protocol::{STREAM_NAME_BYTES, TopicFilter, WhenFull};

/// Characters of a name that an error shows: a client may send one of any length.
const SHOWN: usize = 80;

/// A stream keeps every message that its filter covers, up to its limits.
///
#[cfg_attr(feature = "storage", doc = "```")]
#[cfg_attr(not(feature = "storage"), doc = "```ignore")]
/// use std::time::Duration;
/// use babelmq::{Broker, Config, Storage, StreamDefinition, TopicFilter, WhenFull};
/// # let directory = std::env::temp_dir().join(format!("babelmq-orders-{}", std::process::id()));
///
/// let orders = StreamDefinition::new("orders", TopicFilter::parse("orders/#")?)?
///     .age(Duration::from_secs(7 * 86_400))
///     .bytes(10 << 30)
///     .messages(1_000_000)
///     .full(WhenFull::Refuse);
/// let config = Config::listening_on(([127, 0, 0, 1], 0)).streams([orders]);
/// let broker = Broker::start_with(config, Box::new(Storage::open(&directory, true)?))?;
/// # drop(broker);
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamDefinition {
    /// Its name: letters, digits, `-`, `_` and `.`, of 64 bytes at most; the broker's own begin
    /// with `$`.
    pub name: String,
    /// Which messages it keeps.
    pub filter: TopicFilter,
    /// For how long; `None` is for ever.
    pub age: Option<Duration>,
    /// How many bytes on the disk; `None` is without a limit.
    pub bytes: Option<u64>,
    /// How many messages; `None` is without a limit.
    pub messages: Option<u64>,
    /// What happens when it is full of bytes or messages.
    pub full: WhenFull,
}

impl StreamDefinition {
    /// A stream without limits that drops nothing.
    ///
    /// # Errors
    /// Words that say what a name may be, where this is none.
    pub fn new(name: &str, filter: TopicFilter) -> Result<StreamDefinition, String> {
        check_name("stream", name)?;
        Ok(StreamDefinition {
            name: name.to_owned(),
            filter,
            age: None,
            bytes: None,
            messages: None,
            full: WhenFull::default(),
        })
    }

    /// Keeps messages for so long.
    #[must_use]
    pub fn age(self, age: Duration) -> StreamDefinition {
        StreamDefinition { age: Some(age), ..self }
    }

    /// Keeps so many bytes on the disk.
    #[must_use]
    pub fn bytes(self, bytes: u64) -> StreamDefinition {
        StreamDefinition { bytes: Some(bytes), ..self }
    }

    /// Keeps so many messages.
    #[must_use]
    pub fn messages(self, messages: u64) -> StreamDefinition {
        StreamDefinition { messages: Some(messages), ..self }
    }

    /// Drops or refuses when it is full.
    #[must_use]
    pub fn full(self, full: WhenFull) -> StreamDefinition {
        StreamDefinition { full, ..self }
    }
}

/// Whether a stream or a consumer may be called this.
///
/// # Errors
/// Words that say what a name may be.
pub fn check_name(what: &str, name: &str) -> Result<(), String> {
    let plain = name.strip_prefix('$').unwrap_or(name);
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if plain.is_empty() || name.len() > STREAM_NAME_BYTES || !plain.bytes().all(is_usual) {
        let shown: String = name.chars().take(SHOWN).collect();
        return Err(format!(
            "the name of a {what} has letters, digits, \"-\", \"_\" and \".\", \
             {STREAM_NAME_BYTES} at most; this is {shown:?}"
        ));
    }
    if plain.bytes().all(|byte| byte == b'.') {
        return Err(format!("the name of a {what} is more than dots; this is {name:?}"));
    }
    Ok(())
}

/// As it is given to `--stream`.
impl fmt::Display for StreamDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:filter={}", self.name, self.filter)?;
        if let Some(age) = self.age {
            write!(f, ",age={}s", age.as_secs())?;
        }
        if let Some(bytes) = self.bytes {
            write!(f, ",bytes={bytes}")?;
        }
        if let Some(messages) = self.messages {
            write!(f, ",messages={messages}")?;
        }
        write!(f, ",full={}", self.full.as_str())
    }
}
