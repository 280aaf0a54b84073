//! PUBACK, PUBREC, PUBREL and PUBCOMP as they are sent.

use super::super::kinds::Version;
use super::super::read::Ack;
use super::super::reason::Reason;
use super::parts::{Parts, TooLong, put_with_reason};

impl Ack<'_> {
    /// Appends it. Versions before 5 are told neither reason nor words. Words that do not fit into
    /// `limit` bytes with the rest are left out.
    ///
    /// # Errors
    /// It is longer than `limit`; nothing is appended.
    ///
    /// ```
    /// # use babelmq::internals::mqtt::{Ack, Kind, PacketId, Reason, Version};
    /// let mut out = Vec::new();
    /// let id = PacketId::MIN;
    /// Ack::new(Kind::Puback, id, Reason::SUCCESS).put(Version::V5, &mut out, usize::MAX)?;
    /// Ack::new(Kind::Pubrel, id, Reason::ID_NOT_FOUND).put(Version::V5, &mut out, usize::MAX)?;
    /// assert_eq!(out, [0x40, 2, 0, 1, 0x62, 3, 0, 1, 0x92]);
    /// # Ok::<(), babelmq::internals::mqtt::TooLong>(())
    /// ```
    #[inline]
    pub fn put(&self, version: Version, out: &mut Vec<u8>, limit: usize) -> Result<(), TooLong> {
        let id = self.id.get().to_be_bytes();
        if limit >= 4 && (!version.is_5() || self.is_plain()) {
            out.extend_from_slice(&[self.kind.first_byte(), 2, id[0], id[1]]);
            return Ok(());
        }
        put_with_reason(self.reason_string, |words| {
            let mut parts = Parts::new(self.kind);
            parts.id(self.id);
            if words.is_some() || self.reason != Reason::SUCCESS {
                parts.byte(self.reason.0);
            }
            if let Some(words) = words {
                parts.properties(|properties| properties.reason_string(Some(words)));
            }
            parts.put(out, limit)
        })
    }

    /// Whether all is said by its kind and its number.
    fn is_plain(&self) -> bool {
        self.reason == Reason::SUCCESS && self.reason_string.is_none()
    }
}
