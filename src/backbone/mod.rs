//! Topics that brokers share, by NATS JetStream: the one room that is asynchronous. Nothing of that
//! shows outside.
//!
//! [`Jetstream`] is a [`Backbone`](crate::broker::Backbone). Everything in here runs on its one
//! [`thread`]: the [`link`] keeps a connection; for each set of topics a [`line`] has a
//! [`place`], which is a stream on that connection, a [`publisher`], a [`reader`], and
//! the [`member`]s of durable consumers and [`follower`]s, each of which begins anew with every
//! place.

mod arrival;
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the command asks for it"))]
mod check;
mod consumers;
mod follower;
mod had;
mod headers;
mod jetstream;
mod line;
mod link;
mod member;
mod ops;
mod options;
mod place;
mod publisher;
mod pull;
mod reader;
mod subject;
#[cfg(test)]
mod tests;
mod thread;
mod warnings;
mod window;
mod words;

#[cfg(feature = "cli")]
pub(crate) use check::{ServerFacts, StreamFacts, StreamState, WantedStream, look};
pub use jetstream::Jetstream;
pub use options::JetstreamOptions;

/// What the client of NATS calls itself in the log.
#[cfg(feature = "cli")]
pub(crate) const CLIENT: &str = "async_nats";
