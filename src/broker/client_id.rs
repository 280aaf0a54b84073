//! The numbers of a client: its own, and that of its place.

use std::fmt;

/// A connection, for as long as the broker runs: no number is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A place in the dispatcher's list of connections that can receive.
pub(in crate::broker) type Slot = u32;
