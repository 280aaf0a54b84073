//! Versions, kinds of packets, and what both ways have in common.

use std::num::NonZeroU16;

/// The number by which a packet and its answers know each other. 0 is none.
pub type PacketId = NonZeroU16;

/// Which MQTT a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// MQTT 3.1, whose protocol name is `MQIsdp`.
    V3_1,
    /// MQTT 3.1.1, which counts as 4.
    V3_1_1,
    /// MQTT 5.
    V5,
}

impl Version {
    /// Whether packets have properties and reasons.
    pub fn is_5(self) -> bool {
        self == Version::V5
    }

    /// Its number, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Version::V3_1 => "3.1",
            Version::V3_1_1 => "3.1.1",
            Version::V5 => "5",
        }
    }
}

/// The kind of a packet, by its four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client asks for a session.
    Connect = 1,
    /// The answer.
    Connack,
    /// A message.
    Publish,
    /// The answer to one of QoS 1.
    Puback,
    /// The answer to one of QoS 2.
    Pubrec,
    /// The answer to that.
    Pubrel,
    /// The last word.
    Pubcomp,
    /// A client asks for topics.
    Subscribe,
    /// The answer.
    Suback,
    /// A client wants some no more.
    Unsubscribe,
    /// The answer.
    Unsuback,
    /// A client is there.
    Pingreq,
    /// The answer.
    Pingresp,
    /// The end.
    Disconnect,
    /// More of a login.
    Auth,
}

impl Kind {
    /// The kind that four bits mean; 0 is none.
    pub(super) fn of(bits: u8) -> Option<Kind> {
        Some(match bits {
            1 => Kind::Connect,
            2 => Kind::Connack,
            3 => Kind::Publish,
            4 => Kind::Puback,
            5 => Kind::Pubrec,
            6 => Kind::Pubrel,
            7 => Kind::Pubcomp,
            8 => Kind::Subscribe,
            9 => Kind::Suback,
            10 => Kind::Unsubscribe,
            11 => Kind::Unsuback,
            12 => Kind::Pingreq,
            13 => Kind::Pingresp,
            14 => Kind::Disconnect,
            15 => Kind::Auth,
            _ => return None,
        })
    }

    /// Its name in the specification.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Connect => "CONNECT",
            Kind::Connack => "CONNACK",
            Kind::Publish => "PUBLISH",
            Kind::Puback => "PUBACK",
            Kind::Pubrec => "PUBREC",
            Kind::Pubrel => "PUBREL",
            Kind::Pubcomp => "PUBCOMP",
            Kind::Subscribe => "SUBSCRIBE",
            Kind::Suback => "SUBACK",
            Kind::Unsubscribe => "UNSUBSCRIBE",
            Kind::Unsuback => "UNSUBACK",
            Kind::Pingreq => "PINGREQ",
            Kind::Pingresp => "PINGRESP",
            Kind::Disconnect => "DISCONNECT",
            Kind::Auth => "AUTH",
        }
    }

    /// The lower four bits of its first byte, which mean something in a PUBLISH alone.
    pub(super) fn flags(self) -> u8 {
        match self {
            Kind::Pubrel | Kind::Subscribe | Kind::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// Its first byte.
    pub(super) fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.flags()
    }

    /// Whether only a server sends it.
    pub(super) fn is_servers(self) -> bool {
        matches!(self, Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp)
    }
}
