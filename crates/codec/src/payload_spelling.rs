//! How a payload is spelled where it is kept: what it is in one byte, then its properties, then its
//! bytes.
//!
//! ```text
//! bits of the byte   0 to 2 and 7 as Encoding::byte has them; 3 and 4 the QoS and 1, or 0 where it
//!                    is unsaid; 5 whether there are properties; 6 is for whoever keeps it
//! then               with properties only: how long they are (4 bytes, little-endian), and they
//! then               the bytes of the payload
//! ```

use super::encoding::Encoding;
use super::payload::PayloadRef;
use crate::protocol::Qos;

const QOS_SHIFT: u8 = 3;
const QOS: u8 = 3 << QOS_SHIFT;
const PROPERTIES: u8 = 1 << 5;
/// Bytes that say how long the properties are.
const LENGTH: usize = 4;

impl<'a> PayloadRef<'a> {
    /// The byte that says what it is. Bit 6 is nought.
    #[inline]
    pub fn kind(self) -> u8 {
        let properties = if self.properties().is_empty() { 0 } else { PROPERTIES };
        self.encoding().byte() | Qos::to_bits(self.qos()) << QOS_SHIFT | properties
    }

    /// Whether it is no more than its encoding and its bytes.
    #[inline]
    pub fn is_plain(self) -> bool {
        self.qos().is_none() && self.properties().is_empty()
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
    pub fn of_kind(kind: u8, spelled: &'a [u8]) -> Option<PayloadRef<'a>> {
        let encoding = Encoding::from_byte(kind & !(QOS | PROPERTIES))?;
        let (properties, bytes) = match kind & PROPERTIES {
            0 => (&[][..], spelled),
            _ => {
                let (length, rest) = spelled.split_first_chunk()?;
                rest.split_at_checked(u32::from_le_bytes(*length) as usize)?
            }
        };
        let qos = Qos::from_bits((kind & QOS) >> QOS_SHIFT);
        Some(PayloadRef::new(bytes, encoding).with_qos(qos).with_properties(properties))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Format;

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
                assert_eq!(payload.kind() & 1 << 6, 0);
                spelled.extend_from_slice(payload.source());
                assert_eq!(PayloadRef::of_kind(payload.kind(), &spelled), Some(payload));
                assert_eq!(payload.is_plain(), payload.kind() == encoding.byte());
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        for spelled in [&b""[..], b"\x01\x00\x00", b"\x02\x00\x00\x00a", &[0xff; 8]] {
            assert_eq!(PayloadRef::of_kind(PROPERTIES, spelled), None);
        }
        for kind in [5, 7, 0x40, 0x48, 0x83, 0xc0] {
            assert_eq!(PayloadRef::of_kind(kind, b""), None, "{kind:#x}");
        }
    }
}
