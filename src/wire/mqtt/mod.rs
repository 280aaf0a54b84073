//! MQTT 3.1, 3.1.1 and 5: bytes to packets and packets to bytes, topics, and the state of a
//! session, as plain values.
//!
//! [`packet_at`] reads what a client sends, and allocates nothing: a packet borrows from the bytes
//! that it was read from. A server's packets are appended to a buffer; of a PUBLISH that is all but
//! its payload ([`PublishHead`]), which is written from where it lies. `session` knows which
//! messages of QoS 1 and 2 are on their way. No clock is read here but by what publishes.

mod fault;
mod kinds;
mod property;
mod publishes;
mod read;
mod reason;
pub(crate) mod session;
mod talk;
#[cfg(test)]
mod tests;
mod topic;
mod varint;
mod write;

pub(crate) use publishes::{NotPublished, Published, Publishes, reason_of};
pub(crate) use session::{Aliases, Arrived, MOST_IN_FLIGHT};
pub(crate) use talk::{
    Answer, Durable, Granted, Held, Manner, Next, PutKept, Question, Seen, Subscribed, Talk,
};

pub use crate::protocol::Qos;
pub use fault::Fault;
pub use kinds::{Kind, PacketId, Version};
pub use read::{
    Ack, Asked, Connect, Content, Disconnect, Packet, Properties, Property, Publish,
    RetainHandling, Subscribe, Unsubscribe, Value, Will, packet_at, packet_size, said_version,
};
pub use reason::Reason;
pub use topic::{TopicRefused, Wanted, topic_name, wanted};
pub use write::{
    Connack, Missing, PublishHead, TooLong, put_disconnect, put_pingresp, put_suback, put_unsuback,
};
