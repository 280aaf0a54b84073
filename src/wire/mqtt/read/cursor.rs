//! The fields of a packet, one after the other, each checked to be there.

use super::super::fault::Fault;
use super::super::kinds::PacketId;
use super::super::reason::Reason;
use super::super::varint;

/// A place in a packet.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    packet: &'static str,
    /// The packet from its first byte to the last that may be read here.
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A place behind the head of a packet.
    pub(super) fn new(packet: &'static str, bytes: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { packet, bytes, at }
    }

    /// What is wrong with the field that begins at `at`.
    #[cold]
    pub(super) fn fault(
        &self,
        reason: Reason,
        field: &'static str,
        at: usize,
        what: &'static str,
    ) -> Fault {
        Fault { reason, packet: self.packet, field, at, what }
    }

    /// The byte of the packet that comes next.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// All bytes from `start` to here.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// All bytes that are left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    /// Checks that nothing is left.
    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.is_at_end() {
            return Ok(());
        }
        let what = "there are bytes behind its last field";
        Err(self.fault(Reason::MALFORMED, "the end", self.at, what))
    }

    fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..count) else {
            let what = "it goes beyond the end of the packet or its properties";
            return Err(self.fault(Reason::MALFORMED, field, self.at, what));
        };
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, field)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, Fault> {
        self.array(field).map(|[byte]| byte)
    }

    pub(super) fn two(&mut self, field: &'static str) -> Result<u16, Fault> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(super) fn four(&mut self, field: &'static str) -> Result<u32, Fault> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// A number of one to four bytes, in as few as it takes.
    pub(super) fn varint(&mut self, field: &'static str) -> Result<usize, Fault> {
        let at = self.at;
        let rest = self.bytes.get(at..).unwrap_or_default();
        let (number, length) = match varint::read(rest) {
            Ok(Some(read)) => read,
            Ok(None) => {
                let what = "it goes beyond the end of the packet or its properties";
                return Err(self.fault(Reason::MALFORMED, field, at, what));
            }
            Err(()) => {
                let what = "a number of more than four bytes";
                return Err(self.fault(Reason::MALFORMED, field, at, what));
            }
        };
        if length > varint::size(number) {
            let what = "a number in more bytes than it takes";
            return Err(self.fault(Reason::MALFORMED, field, at, what));
        }
        self.at += length;
        Ok(number)
    }

    /// Bytes with their length before them.
    pub(super) fn binary(&mut self, field: &'static str) -> Result<&'a [u8], Fault> {
        let length = self.two(field)?;
        self.take(length.into(), field)
    }

    /// Text with its length before it (1.5.4).
    pub(super) fn text(&mut self, field: &'static str) -> Result<&'a str, Fault> {
        let at = self.at;
        let bytes = self.binary(field)?;
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(self.fault(Reason::MALFORMED, field, at, "it is not UTF-8"));
        };
        if memchr::memchr(0, bytes).is_some() {
            return Err(self.fault(Reason::MALFORMED, field, at, "it holds U+0000"));
        }
        Ok(text)
    }

    /// The number of a packet.
    pub(super) fn id(&mut self) -> Result<PacketId, Fault> {
        const FIELD: &str = "Packet Identifier";
        let at = self.at;
        let id = PacketId::new(self.two(FIELD)?);
        id.ok_or_else(|| self.fault(Reason::PROTOCOL_ERROR, FIELD, at, "it is 0"))
    }

    /// A part of so many bytes, by itself.
    pub(super) fn part(&mut self, length: usize, field: &'static str) -> Result<Self, Fault> {
        let start = self.at;
        self.take(length, field)?;
        let bytes = self.bytes.get(..self.at).unwrap_or_default();
        Ok(Cursor { packet: self.packet, bytes, at: start })
    }
}
