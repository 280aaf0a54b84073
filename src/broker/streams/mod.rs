//! Streams: topics whose messages are kept, and the durable consumers that read them.

mod consumer;
mod definition;
mod log;

pub use consumer::{
    Assignment, Blind, Consumer, ConsumerReport, ConsumerSettings, Dead, Look, MemberId, Order,
    Sight, WhyDead,
};
pub use definition::{STREAM_NAME_BYTES, StreamDefinition, WhenFull, check_name};
pub use log::{Cursor, Damage, Found, Log, LogReader, LogSync, LogWriter, Record, StreamStore};
