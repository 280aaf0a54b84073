//! Bytes to events, and deliveries to bytes. This room opens no socket and starts no thread.
//!
//! [`take_in`] takes the whole frames of a region and gives the steps that they come to; what it is
//! given beside the bytes are the limits, and what is remembered of the frames before ([`Recent`]),
//! where memory for it is claimed as well. A [`WriteBatch`] is what the next write will write:
//! shared runs, and what is written for one connection alone. An answer carries a
//! [`Token`](crate::protocol::Token) that only this room understands.

mod alone;
mod batch_topics;
mod frames;
mod intake;
mod judged_topics;
mod list;
pub mod mqtt;
mod mqtt_format;
mod recent;
mod write_batch;

pub(crate) use alone::judge_alone;
pub(crate) use frames::selected;
pub(crate) use frames::{format_of, token_of};
pub(crate) use intake::Login;
pub use intake::{Taken, take_in};
pub(crate) use list::{List, Listed};
pub use mqtt_format::MqttFormat;
pub use recent::Recent;
#[cfg(all(test, not(shuttle)))]
pub(crate) use write_batch::Segment;
pub(crate) use write_batch::{IDLE_BYTES, MAX_BYTES, WriteBatch};
