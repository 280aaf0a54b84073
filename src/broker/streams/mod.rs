//! Streams: topics whose messages are kept, and the durable consumers that read them.
//!
//! A message's way: the dispatcher gives it a number and hands it to the stream's
//! [`thread`](self::thread), which writes it to the [`log`](self::log) and says which
//! [`consumer`](self::consumer) is to get it; the [`feed`](self::feed) of a member tells its
//! writer, which reads the log itself.

mod announcer;
mod consumer;
mod cover;
mod definition;
mod feed;
mod letter;
mod log;
mod open;
mod ops;
mod recent_ids;
mod report;
mod request;
mod said;
mod state;
mod thread;
mod watch;

pub use crate::protocol::{STREAM_NAME_BYTES, WhenFull};
pub use announcer::Announcer;
pub use consumer::{
    Assignment, Blind, Consumer, ConsumerReport, ConsumerSettings, Dead, Look, MemberId, Order,
    Sight, WhyDead,
};
pub(in crate::broker) use cover::{covers, overlap};
pub use definition::{StreamDefinition, check_name};
pub use feed::{Due, Feed, Place};
pub(in crate::broker) use feed::{NewFeed, RingsWriter};
pub(in crate::broker) use letter::dead_letter;
pub use letter::{DEAD_LETTERS, DeadMessage};
pub use log::{Cursor, Damage, Found, Log, LogReader, LogSync, LogWriter, Record, StreamStore};
pub(in crate::broker) use open::Opener;
pub(in crate::broker) use ops::Ops;
pub(in crate::broker) use recent_ids::RecentIds;
pub use report::{
    Asked, ConsumerEntry, LastMessages, StreamReport, StreamSummary, consumers_to_value,
};
pub(in crate::broker) use request::{Answer, Append, Burial, Join, Request, What};
pub use said::FromStream;
pub(in crate::broker) use said::{DeadLetter, OpenStream, Opened};
pub(in crate::broker) use state::{Condition, Reach, StreamState, StreamTicket};
pub(in crate::broker) use thread::{MAX_CONSUMERS, SyncPlan};
pub(in crate::broker) use watch::StreamsWatch;
