//! Streams: topics whose messages are kept, and the durable consumers that read them.

mod definition;
mod log;

pub use crate::protocol::{STREAM_NAME_BYTES, WhenFull};
pub use definition::{StreamDefinition, check_name};
pub use log::{Cursor, Damage, Found, Log, LogReader, LogSync, LogWriter, Record, StreamStore};
