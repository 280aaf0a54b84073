//! PUBLISH: a message (3.3).

use super::super::fault::Fault;
use super::super::kinds::{Kind, PacketId};
use super::super::property::{self, Place};
use super::super::reason::Reason;
use super::cursor::Cursor;
use super::properties::{Content, Properties, Value};
use crate::protocol::Qos;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether it may have been sent before.
    pub dup: bool,
    /// How surely it is to arrive.
    pub qos: Qos,
    /// Whether it is to be the topic's last value.
    pub retain: bool,
    /// Its topic, without wildcards; empty where an alias stands for it.
    pub topic: &'a str,
    /// By which number it is answered; for QoS 1 and 2.
    pub id: Option<PacketId>,
    /// A number that stands for the topic, or will from here on.
    pub alias: Option<u16>,
    /// What its properties say.
    pub content: Content<'a>,
    /// The message. It is the end of the packet, so it lies `payload.len()` bytes before it.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    #[inline]
    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        flags: u8,
        is_5: bool,
    ) -> Result<Publish<'a>, Fault> {
        let (dup, retain) = (flags & 0b1000 != 0, flags & 1 != 0);
        let Some(qos) = Qos::from_byte(flags >> 1 & 0b11) else {
            return Err(cursor.fault(Reason::MALFORMED, "QoS", 0, "it is 3"));
        };
        if dup && qos == Qos::AtMostOnce {
            let what = "it is set, and QoS is 0";
            return Err(cursor.fault(Reason::MALFORMED, "DUP", 0, what));
        }
        let at = cursor.at();
        let topic = topic_name(cursor, "Topic Name")?;
        let id = if qos == Qos::AtMostOnce { None } else { Some(cursor.id()?) };
        let (mut alias, mut content) = (None, Content::default());
        if is_5 {
            let place = Place::Packet(Kind::Publish);
            content.properties = Properties::read(cursor, place, |property| {
                match (property.id, property.value) {
                    (property::TOPIC_ALIAS, Value::Number(0)) => {
                        return Err((Reason::TOPIC_ALIAS, "it is 0"));
                    }
                    (property::TOPIC_ALIAS, Value::Number(number)) => alias = Some(number as u16),
                    (property::SUBSCRIPTION_ID, _) => {
                        return Err((Reason::PROTOCOL_ERROR, "only a server sends it"));
                    }
                    _ => return content.take(property),
                }
                Ok(())
            })?;
        }
        if topic.is_empty() && alias.is_none() {
            let reason = if is_5 { Reason::PROTOCOL_ERROR } else { Reason::TOPIC_NAME };
            return Err(cursor.fault(reason, "Topic Name", at, "it is empty"));
        }
        let payload = cursor.rest();
        Ok(Publish { dup, qos, retain, topic, id, alias, content, payload })
    }
}

/// The name of a topic, which has no wildcards.
pub(super) fn topic_name<'a>(
    cursor: &mut Cursor<'a>,
    field: &'static str,
) -> Result<&'a str, Fault> {
    let at = cursor.at();
    let topic = cursor.text(field)?;
    if memchr::memchr2(b'+', b'#', topic.as_bytes()).is_some() {
        let what = "it has a wildcard, which only a filter has";
        return Err(cursor.fault(Reason::TOPIC_NAME, field, at, what));
    }
    Ok(topic)
}
