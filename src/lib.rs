//! babelmq: a message broker between programs that do not speak the same language.
//!
//! Producers push to a topic and consumers pull from one, each in its own format: JSON, XML or Python pickle. The
//! broker translates. A message's way through the house:
//!
//! ```text
//! socket → transport::session → (crossbeam channel) → broker::Dispatcher → broker::Outbox → transport::writer → socket
//!          judges every frame                         topics, last values   one each         translates and writes
//! ```
//!
//! | room | what is in it | may name |
//! |---|---|---|
//! | [`protocol`] | the vocabulary: topics, frames, values, limits, errors; in `crates/codec` | nobody |
//! | [`codec`] | bytes to values and back, in three formats; the crate `babelmq-codec` | `protocol` |
//! | [`broker`] | who gets what; opens no socket | `codec`, `protocol` |
//! | `storage` | last values on a disk, behind the trait [`broker::Store`] | `broker`, `codec`, `protocol` |
//! | `transport` | sockets and threads | `broker`, `codec`, `protocol` |
//! | `middleware` | the client library | `codec`, `protocol`, never `broker` |
//! | `cli` | the `babelmq` command | all |
//!
//! Embed a broker with [`Broker::start`]; talk to one with [`JsonQueue`], [`XmlQueue`] or [`PickleQueue`].

#[cfg(feature = "broker")]
pub mod broker;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "middleware")]
mod middleware;
#[cfg(feature = "storage")]
pub mod storage;
#[cfg(all(feature = "broker", not(shuttle)))]
mod transport;

pub use babelmq_codec as codec;
pub use babelmq_codec::protocol;

#[cfg(feature = "broker")]
pub use broker::{Peer, Stats, SubscriptionInfo, Unsaved};
#[cfg(feature = "middleware")]
pub use middleware::{
    Arrival, Client, Json, JsonQueue, Message, Pickle, PickleQueue, Publish, Pulls, Queue, QueueBuilder,
    QueueError, Refused, Subscribe, Wire, Xml, XmlQueue,
};
pub use protocol::{ErrorCode, Format, Limits, Refusal, Topic, TopicFilter, Value};
#[cfg(all(feature = "broker", not(shuttle)))]
pub use transport::{Broker, BrokerHandle, Config, ListenUrl, ParseListenUrlError, StartError};

/// For the instruction budget in `benches`. No part of the interface.
#[cfg(all(feature = "broker", not(shuttle)))]
#[doc(hidden)]
pub mod internals {
    pub use crate::transport::{Recent, Taken, take_in};
}
