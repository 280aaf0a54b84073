//! PUBACK, PUBREC, PUBREL and PUBCOMP: what is said of a message (3.4 to 3.7).

use super::super::fault::Fault;
use super::super::kinds::{Kind, PacketId};
use super::super::property::{self, Place};
use super::super::reason::Reason;
use super::cursor::Cursor;
use super::properties::{Properties, Value};

/// An answer to a message, or to such an answer. Both ways have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Which: PUBACK, PUBREC, PUBREL or PUBCOMP.
    pub kind: Kind,
    /// The number of the message.
    pub id: PacketId,
    /// What became of it; always success in MQTT 3.1.1.
    pub reason: Reason,
    /// The same in words, for people.
    pub reason_string: Option<&'a str>,
}

impl<'a> Ack<'a> {
    /// An answer without words.
    pub fn new(kind: Kind, id: PacketId, reason: Reason) -> Ack<'a> {
        Ack { kind, id, reason, reason_string: None }
    }

    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'a>, kind: Kind, is_5: bool) -> Result<Self, Fault> {
        let mut ack = Ack::new(kind, cursor.id()?, Reason::SUCCESS);
        if !is_5 || cursor.is_at_end() {
            return Ok(ack);
        }
        let at = cursor.at();
        ack.reason = Reason(cursor.byte("Reason Code")?);
        if !is_known(kind, ack.reason) {
            let what = "this packet has no such reason";
            return Err(cursor.fault(Reason::PROTOCOL_ERROR, "Reason Code", at, what));
        }
        if !cursor.is_at_end() {
            Properties::read(cursor, Place::Packet(kind), |property| {
                if let (property::REASON_STRING, Value::Text(text)) = (property.id, property.value)
                {
                    ack.reason_string = Some(text);
                }
                Ok(())
            })?;
        }
        Ok(ack)
    }
}

fn is_known(kind: Kind, reason: Reason) -> bool {
    match kind {
        Kind::Pubrel | Kind::Pubcomp => matches!(reason, Reason::SUCCESS | Reason::ID_NOT_FOUND),
        _ => matches!(
            reason,
            Reason::SUCCESS
                | Reason::NO_MATCHING_SUBSCRIBERS
                | Reason::UNSPECIFIED
                | Reason::IMPLEMENTATION
                | Reason::NOT_AUTHORIZED
                | Reason::TOPIC_NAME
                | Reason::ID_IN_USE
                | Reason::QUOTA
                | Reason::PAYLOAD_FORMAT
        ),
    }
}
