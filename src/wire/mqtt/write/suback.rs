//! SUBACK and UNSUBACK: what became of each filter (3.9 and 3.11).

use super::super::kinds::{Kind, PacketId, Version};
use super::super::reason::Reason;
use super::parts::{Parts, TooLong, put_with_reason};

/// Appends a SUBACK: for each filter, in the order of the SUBSCRIBE, the QoS that was granted or
/// why there is no such subscription. Versions before 5 are told only that there is none. A reason
/// string that does not fit into `limit` bytes with the rest is left out.
///
/// # Errors
/// It is longer than `limit`; nothing is appended.
pub fn put_suback(
    out: &mut Vec<u8>,
    version: Version,
    id: PacketId,
    reasons: &[Reason],
    reason_string: Option<&str>,
    limit: usize,
) -> Result<(), TooLong> {
    let reasons: Vec<u8> = reasons
        .iter()
        .map(|reason| if version.is_5() { reason.0 } else { reason.granted() })
        .collect();
    put(out, Kind::Suback, version, id, &reasons, reason_string, limit)
}

/// Appends an UNSUBACK: for each filter, in the order of the UNSUBSCRIBE, what became of it, as far
/// as such a packet has [a word for it](Reason::ended). Versions before 5 are told nothing of it.
///
/// # Errors
/// As for [`put_suback`].
pub fn put_unsuback(
    out: &mut Vec<u8>,
    version: Version,
    id: PacketId,
    reasons: &[Reason],
    reason_string: Option<&str>,
    limit: usize,
) -> Result<(), TooLong> {
    let reasons: Vec<u8> =
        reasons.iter().filter(|_| version.is_5()).map(|reason| reason.ended().0).collect();
    put(out, Kind::Unsuback, version, id, &reasons, reason_string, limit)
}

fn put(
    out: &mut Vec<u8>,
    kind: Kind,
    version: Version,
    id: PacketId,
    reasons: &[u8],
    reason_string: Option<&str>,
    limit: usize,
) -> Result<(), TooLong> {
    put_with_reason(reason_string.filter(|_| version.is_5()), |words| {
        let mut parts = Parts::new(kind);
        parts.id(id);
        if version.is_5() {
            parts.properties(|properties| properties.reason_string(words));
        }
        reasons.iter().for_each(|reason| parts.byte(*reason));
        parts.put(out, limit)
    })
}
