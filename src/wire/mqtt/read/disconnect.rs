//! DISCONNECT: a client goes, and says why (3.14).

use super::super::fault::Fault;
use super::super::kinds::Kind;
use super::super::property::{self, Place};
use super::super::reason::Reason;
use super::cursor::Cursor;
use super::properties::{Properties, Value};

/// The last packet of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why. But for [`Reason::SUCCESS`] the will is published.
    pub reason: Reason,
    /// Seconds for which the session stays, where that is not what CONNECT said. Where that said 0
    /// it stays 0; anything else is a protocol error.
    pub session_expiry: Option<u32>,
    /// Why, in words.
    pub reason_string: Option<&'a str>,
}

impl<'a> Disconnect<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>, is_5: bool) -> Result<Disconnect<'a>, Fault> {
        let reason = Reason::SUCCESS;
        let mut read = Disconnect { reason, session_expiry: None, reason_string: None };
        if !is_5 || cursor.is_at_end() {
            return Ok(read);
        }
        let at = cursor.at();
        read.reason = Reason(cursor.byte("Reason Code")?);
        if !is_known(read.reason) {
            let what = "no client goes for this reason";
            return Err(cursor.fault(Reason::PROTOCOL_ERROR, "Reason Code", at, what));
        }
        if !cursor.is_at_end() {
            Properties::read(cursor, Place::Packet(Kind::Disconnect), |property| {
                match (property.id, property.value) {
                    (property::SESSION_EXPIRY, Value::Number(seconds)) => {
                        read.session_expiry = Some(seconds);
                    }
                    (property::REASON_STRING, Value::Text(text)) => read.reason_string = Some(text),
                    (property::SERVER_REFERENCE, _) => {
                        return Err((Reason::PROTOCOL_ERROR, "only a server sends it"));
                    }
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok(read)
    }
}

fn is_known(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SUCCESS
            | Reason::WITH_WILL
            | Reason::UNSPECIFIED
            | Reason::MALFORMED
            | Reason::PROTOCOL_ERROR
            | Reason::IMPLEMENTATION
            | Reason::TOPIC_NAME
            | Reason::RECEIVE_MAXIMUM
            | Reason::TOPIC_ALIAS
            | Reason::TOO_LARGE
            | Reason::MESSAGE_RATE
            | Reason::QUOTA
            | Reason::ADMINISTRATIVE
            | Reason::PAYLOAD_FORMAT
    )
}
