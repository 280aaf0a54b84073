//! Why a connection of MQTT cannot go on.

use std::fmt;

use super::reason::Reason;

/// Something that the specification does not allow. The connection ends with its reason: in a
/// CONNACK where it is about a CONNECT, else in a DISCONNECT, and in MQTT 3.1.1 without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the client is told.
    pub reason: Reason,
    /// The name of the packet.
    pub packet: &'static str,
    /// What in the packet, as the specification names it; empty where it is about all of it.
    pub field: &'static str,
    /// The byte of the packet where the field begins; 0 is its first.
    pub at: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Fault {
    /// Something about a packet as a whole.
    pub(crate) fn of(reason: Reason, packet: &'static str, what: &'static str) -> Fault {
        Fault { reason, packet, field: "", at: 0, what }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { reason, packet, field, at, what } = self;
        match *field {
            "" => write!(f, "{packet}: {what}: {reason}"),
            field => write!(f, "{packet}, {field} at byte {at}: {what}: {reason}"),
        }
    }
}

impl std::error::Error for Fault {}
