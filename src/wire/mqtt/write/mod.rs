//! Packets of MQTT as a server sends them: each is appended whole, or not at all.

mod ack;
mod connack;
mod parts;
mod publish;
mod suback;

pub use connack::{Connack, Missing};
pub use parts::TooLong;
pub use publish::PublishHead;
pub use suback::{put_suback, put_unsuback};

use super::kinds::Kind;
use super::reason::Reason;
use parts::{Parts, put_with_reason};

/// Appends a PINGRESP: the client is heard.
pub fn put_pingresp(out: &mut Vec<u8>) {
    out.extend([Kind::Pingresp.first_byte(), 0]);
}

/// Appends a DISCONNECT of MQTT 5, in which the broker says why it goes. Versions before have none:
/// there a broker closes the connection without a word.
///
/// A reason string that does not fit into `limit` bytes with the rest is left out. The length of
/// the properties is written even where there are none: it might be left out (3.14.2.2.1), but
/// rumqttc waits for it.
///
/// # Errors
/// The packet is longer than `limit`; nothing is appended.
///
/// ```
/// # use babelmq::internals::mqtt::{Reason, put_disconnect};
/// let mut out = Vec::new();
/// put_disconnect(&mut out, Reason::TAKEN_OVER, None, usize::MAX)?;
/// assert_eq!(out, [0xe0, 2, 0x8e, 0]);
/// # Ok::<(), babelmq::internals::mqtt::TooLong>(())
/// ```
pub fn put_disconnect(
    out: &mut Vec<u8>,
    reason: Reason,
    reason_string: Option<&str>,
    limit: usize,
) -> Result<(), TooLong> {
    put_with_reason(reason_string, |text| {
        let mut parts = Parts::new(Kind::Disconnect);
        parts.byte(reason.0);
        parts.properties(|properties| properties.reason_string(text));
        parts.put(out, limit)
    })
}
