//! Packets of MQTT as clients send them: bytes to packets, which borrow from them.

mod ack;
mod connect;
mod cursor;
mod disconnect;
mod head;
mod properties;
mod publish;
mod subscribe;

pub use ack::Ack;
pub use connect::{Connect, Will, said_version};
pub use disconnect::Disconnect;
pub use head::packet_size;
pub use properties::{Content, Properties, Property, Value};
pub use publish::Publish;
pub use subscribe::{Asked, RetainHandling, Subscribe, Unsubscribe};

use super::fault::Fault;
use super::kinds::{Kind, Version};
use super::reason::Reason;
use cursor::Cursor;
use head::Head;

/// A packet that a client has sent. All that it holds lies in the bytes that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client asks for a session.
    Connect(Connect<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// The answer to a message, or to an answer.
    Ack(Ack<'a>),
    /// A client asks for topics.
    Subscribe(Subscribe<'a>),
    /// A client wants some no more.
    Unsubscribe(Unsubscribe<'a>),
    /// A client is there.
    Pingreq,
    /// A client goes.
    Disconnect(Disconnect<'a>),
}

/// The packet that begins at `at`, and where it ends; none where not all of it is there.
///
/// `version` is what the CONNECT of this connection said, none before there was one: then nothing
/// else is taken. A packet may have `max_size` bytes with its head. Nothing is allocated.
///
/// # Errors
/// What the specification does not allow, as soon as the bytes that show it are there.
pub fn packet_at(
    region: &[u8],
    at: usize,
    version: Option<Version>,
    max_size: usize,
) -> Result<Option<(Packet<'_>, usize)>, Fault> {
    let bytes = region.get(at..).unwrap_or_default();
    let Some(Head { kind, flags, start, size }) = Head::read(bytes, version, max_size)? else {
        return Ok(None);
    };
    let Some(bytes) = bytes.get(..size) else { return Ok(None) };
    let mut cursor = Cursor::new(kind.name(), bytes, start);
    let is_5 = version.is_some_and(Version::is_5);
    let packet = match kind {
        Kind::Publish => Packet::Publish(Publish::read(&mut cursor, flags, is_5)?),
        Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
            Packet::Ack(Ack::read(&mut cursor, kind, is_5)?)
        }
        Kind::Connect => Packet::Connect(Connect::read(&mut cursor)?),
        Kind::Subscribe => Packet::Subscribe(Subscribe::read(&mut cursor, is_5)?),
        Kind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::read(&mut cursor, is_5)?),
        Kind::Disconnect => Packet::Disconnect(Disconnect::read(&mut cursor, is_5)?),
        Kind::Pingreq => Packet::Pingreq,
        // No CONNECT with an authentication method is accepted, so there is no such exchange.
        Kind::Auth | Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp => {
            let what = "no authentication was begun in CONNECT";
            return Err(Fault::of(Reason::PROTOCOL_ERROR, kind.name(), what));
        }
    };
    cursor.end()?;
    Ok(Some((packet, at + size)))
}
