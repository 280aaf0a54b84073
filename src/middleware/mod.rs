//! The client library: queues that push and pull. It does not know the broker's code.
//!
//! A queue is tied to one topic and speaks one format: [`JsonQueue`], [`XmlQueue`] or
//! [`PickleQueue`].
//!
//! ```no_run
//! use babelmq::{JsonQueue, PickleQueue};
//!
//! let mut consumer = JsonQueue::consumer("/weather")?;
//! let mut producer = PickleQueue::producer("/weather/temperature")?;
//! producer.push(&21.5)?;
//! let (topic, value) = consumer.pull()?;
//! assert_eq!((topic.as_str(), value.as_f64()), ("/weather/temperature", Some(21.5)));
//! # Ok::<(), babelmq::QueueError>(())
//! ```
//!
//! A connection is made in stages, which `dial` goes through: a socket, TLS where the address says
//! so (`line::tls`, `trust`), a login where there is one (`login`). `options` says which.

mod address;
mod arrival;
mod backoff;
mod client;
mod connection;
mod de;
mod dial;
mod documents;
mod error;
mod events;
mod line;
mod login;
mod options;
mod origin;
mod outgoing;
mod patience;
mod publish;
mod pulse;
mod queue;
mod reading;
mod secret;
mod ser;
mod session;
mod settle;
mod settler;
mod subscribe;
#[cfg(feature = "tls")]
mod trust;
pub mod typed;
mod wire;

#[cfg(feature = "cli")]
pub(crate) use address::holds_password;
pub use arrival::Arrival;
#[cfg(feature = "cli")]
pub(crate) use backoff::Backoff;
pub use client::{Client, ClientBuilder, StreamLimits};
#[cfg(feature = "cli")]
pub(crate) use error::is_no_tls;
pub use error::{QueueError, Refused};
pub use events::ConnectionEvent;
#[cfg(feature = "cli")]
pub(crate) use options::Destination;
pub use origin::Origin;
pub use publish::Publish;
pub use queue::{Delivery, JsonQueue, PickleQueue, Pulls, Queue, QueueBuilder, XmlQueue};
pub use subscribe::{Exact, Subscribe};
pub use wire::{Json, Pickle, Wire, Xml};
