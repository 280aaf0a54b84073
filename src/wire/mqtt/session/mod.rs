//! What a session of MQTT knows of messages that are on their way, in both directions, and of
//! topics that have numbers. It knows no clock and no connection.

mod aliases;
mod incoming;
mod outgoing;
#[cfg(test)]
mod tests;

pub(crate) use aliases::Aliases;
pub(crate) use incoming::{Arrived, Incoming};
pub(crate) use outgoing::{Again, MOST_IN_FLIGHT, Outgoing};
