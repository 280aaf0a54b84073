//! Bytes to events: what a region of bytes asks of the broker, judged. This room opens no socket
//! and starts no thread.
//!
//! [`take_in`] takes the whole frames of a region and gives the steps that they come to; what it is
//! given beside the bytes are the limits, and what is remembered of the frames before ([`Recent`]),
//! where memory for it is claimed as well.

mod intake;
mod recent;

pub use intake::{Taken, take_in};
pub use recent::Recent;
