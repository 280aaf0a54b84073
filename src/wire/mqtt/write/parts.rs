//! What packets are made of: numbers, texts, properties, and the head in front of them.

use super::super::kinds::{Kind, PacketId};
use super::super::property;
use super::super::varint;

/// A packet that is longer than the client takes, or than any may be. Nothing of it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// How long it would be.
    pub size: usize,
}

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a packet of {} bytes, which is more than the client takes", self.size)
    }
}

impl std::error::Error for TooLong {}

/// How long a packet is with its head, if it may be as long.
pub(super) fn size_within(length: usize, limit: usize) -> Result<usize, TooLong> {
    let size = 1 + varint::size(length) + length;
    if size > limit || length > varint::LARGEST { Err(TooLong { size }) } else { Ok(size) }
}

/// Writes a packet with its reason in words, and without where it is too long with them.
pub(super) fn put_with_reason(
    words: Option<&str>,
    mut put: impl FnMut(Option<&str>) -> Result<(), TooLong>,
) -> Result<(), TooLong> {
    put(words).or_else(|too_long| if words.is_some() { put(None) } else { Err(too_long) })
}

/// What follows the head of a packet, in the making.
#[derive(Debug)]
pub(super) struct Parts {
    kind: Kind,
    bytes: Vec<u8>,
}

/// Properties in the making.
#[derive(Debug)]
pub(super) struct Properties(Vec<u8>);

impl Parts {
    pub(super) fn new(kind: Kind) -> Parts {
        Parts { kind, bytes: Vec::new() }
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn id(&mut self, id: PacketId) {
        self.bytes.extend(id.get().to_be_bytes());
    }

    /// Appends properties, with their length.
    pub(super) fn properties(&mut self, fill: impl FnOnce(&mut Properties)) {
        let mut properties = Properties(Vec::new());
        fill(&mut properties);
        varint::put(&mut self.bytes, properties.0.len());
        self.bytes.append(&mut properties.0);
    }

    /// Appends the packet.
    pub(super) fn put(self, out: &mut Vec<u8>, limit: usize) -> Result<(), TooLong> {
        let size = size_within(self.bytes.len(), limit)?;
        out.reserve(size);
        out.push(self.kind.first_byte());
        varint::put(out, self.bytes.len());
        out.extend(self.bytes);
        Ok(())
    }
}

impl Properties {
    /// A property that says no.
    pub(super) fn no(&mut self, id: u8, is_missing: bool) {
        if is_missing {
            self.0.extend([id, 0]);
        }
    }

    pub(super) fn two(&mut self, id: u8, number: Option<u16>) {
        if let Some(number) = number {
            self.0.push(id);
            self.0.extend(number.to_be_bytes());
        }
    }

    pub(super) fn four(&mut self, id: u8, number: Option<u32>) {
        if let Some(number) = number {
            self.0.push(id);
            self.0.extend(number.to_be_bytes());
        }
    }

    pub(super) fn text(&mut self, id: u8, text: Option<&str>) {
        if let Some(text) = text {
            self.0.push(id);
            put_text(&mut self.0, text);
        }
    }

    pub(super) fn reason_string(&mut self, text: Option<&str>) {
        self.text(property::REASON_STRING, text);
    }
}

/// The beginning of a text that its length has room for, to the last whole character.
pub(super) fn fitting(text: &str) -> &str {
    let mut end = text.len().min(u16::MAX.into());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Appends a text with its length before it; what its length has no room for is cut off.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = fitting(text);
    out.extend((text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
