//! PUBLISH without its payload, which is written behind it from where it lies.

use super::super::kinds::{Kind, PacketId, Version};
use super::super::property;
use super::super::varint;
use super::parts::{TooLong, fitting, put_text, size_within};
use crate::protocol::Qos;

/// All of a PUBLISH but the payload.
///
/// ```
/// # use babelmq::internals::mqtt::{PublishHead, Version};
/// let payload = b"21.5";
/// let mut out = Vec::new();
/// let head = PublishHead { topic: "a/b", payload: payload.len(), ..PublishHead::default() };
/// head.put(Version::V5, &mut out, usize::MAX)?;
/// assert_eq!(out, b"\x30\x0a\0\x03a/b\0");
/// # Ok::<(), babelmq::internals::mqtt::TooLong>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishHead<'a> {
    /// Whether it may have been sent before.
    pub dup: bool,
    /// How surely it is to arrive.
    pub qos: Qos,
    /// Whether it is a last value, or to be shown as one.
    pub retain: bool,
    /// Its topic.
    pub topic: &'a str,
    /// By which number it is answered. It is there for QoS 1 and 2, and for them alone.
    pub id: Option<PacketId>,
    /// Seconds for which it is still worth something.
    pub expiry: Option<u32>,
    /// Of which kind it is, where the broker says so. Not where `passed_on` does.
    pub content_type: Option<&'a str>,
    /// Whether the broker says that it is text in UTF-8. Not where `passed_on` does.
    pub is_text: bool,
    /// The numbers of the subscriptions that it is for; at most 268,435,455 each, and none is 0.
    pub subscription_ids: &'a [u32],
    /// What the publisher said of it:
    /// [`Properties::passed_on`](super::super::Properties::passed_on).
    pub passed_on: &'a [u8],
    /// Bytes of the payload that is written next.
    pub payload: usize,
}

impl PublishHead<'_> {
    /// Bytes of the properties, without their length.
    fn properties(&self) -> usize {
        let content_type = self.content_type.map_or(0, |text| 3 + fitting(text).len());
        let number = |id: &u32| 1 + varint::size(*id as usize);
        self.expiry.map_or(0, |_| 5)
            + if self.is_text { 2 } else { 0 }
            + content_type
            + self.subscription_ids.iter().map(number).sum::<usize>()
            + self.passed_on.len()
    }

    /// Bytes of the whole packet, with its payload.
    ///
    /// # Errors
    /// They are more than `limit`.
    pub fn size(&self, version: Version, limit: usize) -> Result<usize, TooLong> {
        size_within(self.length(version), limit)
    }

    /// Bytes behind the head.
    fn length(&self, version: Version) -> usize {
        let properties = if version.is_5() {
            let length = self.properties();
            varint::size(length) + length
        } else {
            0
        };
        let id = if self.id.is_some() { 2 } else { 0 };
        2 + fitting(self.topic).len() + id + properties + self.payload
    }

    /// Appends it. Versions before 5 are told nothing of what they have no word for.
    ///
    /// # Errors
    /// With its payload it is longer than `limit`; nothing is appended. Such a message is dropped,
    /// and counts as one that was delivered (MQTT 5, 3.1.2.11.4).
    #[inline]
    pub fn put(&self, version: Version, out: &mut Vec<u8>, limit: usize) -> Result<(), TooLong> {
        debug_assert_eq!(self.id.is_some(), self.qos != Qos::AtMostOnce, "{self:?}");
        let length = self.length(version);
        let size = size_within(length, limit)?;
        out.reserve(size - self.payload);
        let flags = u8::from(self.dup) << 3 | self.qos.byte() << 1 | u8::from(self.retain);
        out.push(Kind::Publish.first_byte() | flags);
        varint::put(out, length);
        put_text(out, self.topic);
        if let Some(id) = self.id {
            out.extend_from_slice(&id.get().to_be_bytes());
        }
        if version.is_5() {
            self.put_properties(out);
        }
        Ok(())
    }

    fn put_properties(&self, out: &mut Vec<u8>) {
        varint::put(out, self.properties());
        if let Some(seconds) = self.expiry {
            out.push(property::MESSAGE_EXPIRY);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        if self.is_text {
            out.extend_from_slice(&[property::PAYLOAD_FORMAT, 1]);
        }
        if let Some(text) = self.content_type {
            out.push(property::CONTENT_TYPE);
            put_text(out, text);
        }
        for id in self.subscription_ids {
            out.push(property::SUBSCRIPTION_ID);
            varint::put(out, *id as usize);
        }
        out.extend_from_slice(self.passed_on);
    }
}
