//! A message broker between programs that do not speak the same language.
//!
//! Producers push and consumers pull, each in its own format: JSON, XML or Python pickle. The
//! broker translates, knows the last message of each topic, and can run inside of your own process:
//!
//! ```
//! # #[cfg(all(feature = "broker", feature = "middleware"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use babelmq::{Broker, Config, JsonQueue, PickleQueue};
//!
//! let broker = Broker::start(Config::listening_on(([127, 0, 0, 1], 0)))?;
//! let queue = PickleQueue::builder("/weather/oslo").address(broker.local_addr());
//! let mut producer = queue.producer()?;
//! producer.push(&21.5)?;
//! producer.flush()?; // routed to every subscriber that is there
//!
//! // Who comes later gets the last value of each topic at or below the one that it subscribes to.
//! let mut consumer = JsonQueue::builder("/weather").address(broker.local_addr()).consumer()?;
//! let (topic, value) = consumer.pull()?; // blocks until something comes
//! assert_eq!((topic.as_str(), value.as_f64()), ("/weather/oslo", Some(21.5)));
//! broker.shutdown();
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "broker", feature = "middleware")))]
//! # fn main() {}
//! ```
//!
//! - [`JsonQueue`], [`XmlQueue`] and [`PickleQueue`] are one type, [`Queue`], with three formats:
//!   one topic, push and pull of your own types or of [`Value`]. A [`Client`] has all topics and
//!   formats on one connection. [`typed`] says that a field is a date or an exact number.
//! - [`Broker::start`] runs a broker as its [`Config`] says; the [`BrokerHandle`] looks into it and
//!   stops it. [`Broker::start_with`] keeps last values in a [`Store`], as [`Storage`] is one.
//! - [`Message`] is a payload without a broker (the crate `babelmq-codec`): parse it, translate it.
//!
//! # Features
//!
//! | feature | what it brings | crates |
//! |---|---|---|
//! | `middleware` | the client library | 38 |
//! | `tls` | the client library with TLS: `babelmqs://` | |
//! | `broker` | the broker, without a disk | |
//! | `storage` | [`Storage`]: last values on a disk | |
//! | `jetstream` | [`Jetstream`]: topics that several brokers share | |
//! | `cli` | the `babelmq` command; all of the above | |
//!
//! A program that only talks to a broker: `default-features = false, features = ["middleware"]`.
//!
//! # Platforms, and how it is built
//!
//! Linux, x86-64 and aarch64, with glibc or musl, from Rust 1.90 on. Other systems are not tried.
//!
//! `ARCHITECTURE.md` follows a message through the house; `docs/protocol.md` is the wire.

#[cfg(feature = "broker")]
#[doc(hidden)]
pub mod access;
#[cfg(feature = "jetstream")]
mod backbone;
#[cfg(feature = "broker")]
#[doc(hidden)]
pub mod broker;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "broker")]
mod http;
#[cfg(feature = "middleware")]
mod middleware;
#[cfg(feature = "storage")]
#[doc(hidden)]
pub mod storage;
#[cfg(feature = "broker")]
mod transport;
#[cfg(feature = "broker")]
mod wire;

#[doc(hidden)]
pub use babelmq_codec::{self as codec, protocol};

#[cfg(feature = "jetstream")]
pub use backbone::{Jetstream, JetstreamOptions};
#[cfg(feature = "broker")]
pub use broker::{
    Backbone, Backup, Change, ClientId, Expires, Fsync, Kept, METRICS, Metric, MetricKind, NoStore,
    Peer, QueueLimits, SharedNumbers, SharedTopics, Stats, Store, StoreError, StoreLimits, Stored,
    StreamDefinition, SubscriptionInfo, Subtree, Unit, Unsaved,
};
pub use codec::{Dialect, Message, NotOfType, ScalarType};
#[cfg(feature = "middleware")]
pub use middleware::{
    Arrival, Client, ClientBuilder, ConnectionEvent, Delivery, Exact, Json, JsonQueue, Origin,
    Pickle, PickleQueue, Publish, Pulls, Queue, QueueBuilder, QueueError, Refused, StreamLimits,
    Subscribe, Wire, Xml, XmlQueue, typed,
};
pub use protocol::{
    ErrorCode, Format, Limits, Order, Overflow, Refusal, Start, Topic, TopicFilter, Value, WhenFull,
};
#[cfg(feature = "storage")]
pub use storage::Storage;
#[cfg(feature = "broker")]
pub use transport::{
    Broker, BrokerHandle, ClientAuth, Config, ListenScheme, ListenUrl, ParseListenUrlError,
    StartError, TlsError, TlsFiles, UserFrom, UsersFileError,
};
#[cfg(feature = "broker")]
pub use wire::MqttFormat;

/// For the instruction budget in `benches`, and for `fuzz`. No part of the interface.
#[cfg(feature = "broker")]
#[doc(hidden)]
pub mod internals {
    pub use crate::http::Subprotocol;
    pub use crate::http::{Request, Requests};
    pub use crate::transport::Unframing;
    pub use crate::wire::mqtt;
    pub use crate::wire::{Recent, Taken, take_in};
}
