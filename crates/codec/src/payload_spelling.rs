//! How a payload is spelled where it is kept: what it is in one byte, then its properties, then its
//! bytes.
//!
//! ```text
//! bits of the byte   0, 1, 3, 4 and 7 as PayloadKind has them; 5 whether there are properties;
//!                    6 is for whoever keeps it, and 2 is nought
//! then               with properties only: how long they are (4 bytes, little-endian), and they
//! then               the bytes of the payload
//! ```

use super::payload::PayloadRef;
use super::payload_kind::PayloadKind;

const PROPERTIES: u8 = 1 << 5;
/// Bytes that say how long the properties are.
const LENGTH: usize = 4;

impl<'a> PayloadRef<'a> {
    /// The byte that says what it is. Bit 6 is nought.
    #[inline]
    pub fn spelled_kind(self) -> u8 {
        let properties = if self.properties().is_empty() { 0 } else { PROPERTIES };
        self.kind().bits() | properties
    }

    /// Whether it is no more than its encoding and its bytes.
    #[inline]
    pub fn is_plain(self) -> bool {
        !self.kind().has_qos() && self.properties().is_empty()
    }

    /// Bytes that stand before its own: its properties, and how long they are.
    #[inline]
    pub fn properties_len(self) -> usize {
        if self.properties().is_empty() { 0 } else { LENGTH + self.properties().len() }
    }

    /// Appends what stands before its bytes.
    #[inline]
    pub fn put_properties(self, out: &mut Vec<u8>) {
        if !self.properties().is_empty() {
            // No frame of any wire is as long as 4 GiB.
            out.extend_from_slice(&(self.properties().len() as u32).to_le_bytes());
            out.extend_from_slice(self.properties());
        }
    }

    /// The payload of this kind in `spelled`; `None` if it is not as it was written.
    #[inline]
    pub fn of_spelled(spelled_kind: u8, spelled: &'a [u8]) -> Option<PayloadRef<'a>> {
        let kind = PayloadKind::of_bits(spelled_kind);
        if kind.bits() | spelled_kind & PROPERTIES != spelled_kind {
            return None;
        }
        let (properties, bytes) = match spelled_kind & PROPERTIES {
            0 => (&[][..], spelled),
            _ => {
                let (length, rest) = spelled.split_first_chunk()?;
                rest.split_at_checked(u32::from_le_bytes(*length) as usize)?
            }
        };
        Some(PayloadRef::of_kind(bytes, kind).with_properties(properties))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Encoding;
    use crate::protocol::{Format, Qos};

    #[test]
    fn what_is_spelled_is_read() {
        let qos = [None, Some(Qos::AtMostOnce), Some(Qos::AtLeastOnce), Some(Qos::ExactlyOnce)];
        let encodings = [Encoding::Text, Encoding::Bytes].into_iter().chain(
            Format::ALL.into_iter().flat_map(|of| [Encoding::Value(of), Encoding::Body(of)]),
        );
        for (encoding, qos) in encodings.flat_map(|of| qos.map(|qos| (of, qos))) {
            for properties in [&b""[..], b"\x00", &[7; 70_000]] {
                let payload = PayloadRef::new(b"\xff payload", encoding);
                let payload = payload.with_qos(qos).with_properties(properties);
                let mut spelled = Vec::new();
                payload.put_properties(&mut spelled);
                assert_eq!(spelled.len(), payload.properties_len());
                assert_eq!(payload.spelled_kind() & 1 << 6, 0);
                spelled.extend_from_slice(payload.source());
                assert_eq!(PayloadRef::of_spelled(payload.spelled_kind(), &spelled), Some(payload));
                assert_eq!(payload.is_plain(), payload.spelled_kind() == encoding.byte());
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        for spelled in [&b""[..], b"\x01\x00\x00", b"\x02\x00\x00\x00a", &[0xff; 8]] {
            assert_eq!(PayloadRef::of_spelled(PROPERTIES, spelled), None);
        }
        for kind in [4, 7, 0x40, 0x48, 0x84, 0xc0] {
            assert_eq!(PayloadRef::of_spelled(kind, b""), None, "{kind:#x}");
        }
    }
}
