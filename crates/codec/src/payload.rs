//! One message as it was published, owning just its own bytes: what the broker remembers.

use super::convert::from_value;
use super::document::{Document, View};
use super::encoding::Encoding;
use super::envelope::{
    Content, Dialect, KeptFields, Part, decode_part, decode_within, hold_raw_to_limits,
    hold_value_to_max_encoded, write_delivery, write_kept, write_value,
};
use super::message::{Message, xml_element};
use super::payload_kind::PayloadKind;
use super::xml::{self, PlainNames};
use super::{json, pickle};
use crate::protocol::{Format, Limits, Qos, Refusal, Value};

/// A judged payload, and what its publisher said beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    kind: PayloadKind,
    /// What is passed on with it. What it says only the wire knows that brought it.
    properties: Box<[u8]>,
    bytes: Vec<u8>,
}

/// Which message a payload is written into.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    /// A delivery.
    Live,
    /// A delivery of a stored value.
    Retained,
    /// The answer to a `get`.
    Value,
    /// A delivery of a stream.
    Kept(&'a KeptFields),
    /// A message of a stream, of those that a `get` asked for.
    KeptValue(&'a KeptFields),
}

impl Frame<'_> {
    /// Appends a frame of the kind.
    pub fn write(self, out: &mut Vec<u8>, dialect: Dialect, topic: &str, content: Content<'_>) {
        match self {
            Frame::Live => write_delivery(out, dialect, topic, content, false),
            Frame::Retained => write_delivery(out, dialect, topic, content, true),
            Frame::Value => write_value(out, dialect, topic, content),
            Frame::Kept(kept) => write_kept(out, dialect, topic, kept, content, false),
            Frame::KeptValue(kept) => write_kept(out, dialect, topic, kept, content, true),
        }
    }
}

impl Payload {
    /// Copies a payload out of the frame that brought it.
    pub fn copy(source: &[u8], format: Format, part: &Part) -> Payload {
        PayloadRef::of(source, format, part).to_payload()
    }

    /// Judges a payload by itself, for `topic`: a JSON text, a pickle, or an XML document, as
    /// [`Message::parse`](crate::Message::parse) does.
    ///
    /// # Errors
    /// As for a frame that brings it.
    pub fn parse(
        topic: &str,
        format: Format,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Payload, Refusal> {
        let mut document = Document::new();
        match format {
            Format::Json => {
                let text = json::without_mark(bytes, &(0..bytes.len()));
                let text = bytes[text.unwrap_or(0..bytes.len())].trim_ascii();
                let root = json::decode(text, 0..text.len(), &mut document, limits)?;
                hold_value_to_max_encoded(topic, document.view(text, root), limits)?;
                Ok(Payload::new(format, text.to_vec()))
            }
            Format::Xml => {
                let element = xml_element(bytes, limits)?;
                let root = xml::decode_message(&element, 0..element.len(), &mut document, limits)?;
                hold_value_to_max_encoded(topic, document.view(&element, root), limits)?;
                // An element that not every parser can read is written anew.
                let body = [b"<m>", &element[..], b"</m>"].concat();
                let read = xml::decode_body(&body, 0..body.len(), &mut Document::new(), limits)?;
                if read.message.is_some() && read.is_readable_to_all {
                    return Ok(Payload::new(format, element));
                }
                let mut bytes = Vec::new();
                xml::encode(document.view(&element, root), &mut bytes);
                Ok(Payload::new(format, bytes))
            }
            Format::Pickle => {
                let root = pickle::decode(bytes, 0..bytes.len(), &mut document, limits)?;
                let view = document.view(bytes, root);
                hold_value_to_max_encoded(topic, view, limits)?;
                Ok(Payload::of_view(view))
            }
        }
    }

    /// The payload of a value that no frame brought, for `topic`.
    ///
    /// # Errors
    /// As for [`from_value`], and [`TooLarge`](crate::protocol::ErrorCode::TooLarge) where it would
    /// become a frame over [`Limits::max_encoded`].
    pub fn of_value(topic: &str, value: &Value, limits: &Limits) -> Result<Payload, Refusal> {
        let mut document = Document::new();
        let root = from_value(value, &mut document, limits)?;
        hold_value_to_max_encoded(topic, document.view(&[], root), limits)?;
        Ok(Payload::of_view(document.view(&[], root)))
    }

    fn of_view(view: View<'_>) -> Payload {
        let mut bytes = Vec::new();
        if view.has_types() {
            xml::encode(view, &mut bytes);
            return Payload::new(Format::Xml, bytes);
        }
        // Of all else pickle says what it is.
        pickle::write_prologue(&mut bytes);
        pickle::encode(view, pickle::Classes::None, &mut bytes);
        pickle::write_stop(&mut bytes);
        Payload::new(Format::Pickle, bytes)
    }

    /// A text, for `topic`: any that is UTF-8.
    ///
    /// # Errors
    /// [`TooLarge`](crate::protocol::ErrorCode::TooLarge) where it would become a frame over
    /// [`Limits::max_encoded`] in some format.
    pub fn of_text(topic: &str, text: &str, limits: &Limits) -> Result<Payload, Refusal> {
        let part = Part::Text(0..text.len());
        hold_raw_to_limits(topic, text.as_bytes(), &part, limits)?;
        Ok(Payload::new(Encoding::Text, text.into()))
    }

    /// Bytes, for `topic`, whatever they are.
    ///
    /// # Errors
    /// As for [`of_text`](Self::of_text).
    pub fn of_bytes(topic: &str, bytes: &[u8], limits: &Limits) -> Result<Payload, Refusal> {
        hold_raw_to_limits(topic, bytes, &Part::Bytes(0..bytes.len()), limits)?;
        Ok(Payload::new(Encoding::Bytes, bytes.into()))
    }

    fn new(encoding: impl Into<Encoding>, bytes: Vec<u8>) -> Payload {
        let kind = PayloadKind::new(encoding.into());
        Payload { kind, properties: Box::default(), bytes }
    }

    /// The same, published with a quality of service, where that was said.
    #[must_use]
    pub fn with_qos(self, qos: Option<Qos>) -> Payload {
        Payload { kind: self.kind.with_qos(qos), ..self }
    }

    /// The same, with properties that are passed on with it.
    #[must_use]
    pub fn with_properties(self, properties: impl Into<Box<[u8]>>) -> Payload {
        Payload { properties: properties.into(), ..self }
    }

    /// What its bytes are.
    pub fn encoding(&self) -> Encoding {
        self.kind.encoding()
    }

    /// The format in which it was published, see [`Encoding::format`].
    pub fn format(&self) -> Format {
        self.kind.format()
    }

    /// With which quality of service it was published, where that was said.
    pub fn qos(&self) -> Option<Qos> {
        self.kind.qos()
    }

    /// What is passed on with it; empty where that is nothing.
    pub fn properties(&self) -> &[u8] {
        &self.properties
    }

    /// The bytes, and the properties.
    pub fn into_parts(self) -> (Vec<u8>, Box<[u8]>) {
        (self.bytes, self.properties)
    }

    /// The part of its bytes that is the payload: all.
    pub fn part(&self) -> Part {
        self.kind.part(0..self.bytes.len())
    }

    /// The payload, borrowed.
    pub fn borrow(&self) -> PayloadRef<'_> {
        PayloadRef { kind: self.kind, properties: &self.properties, bytes: &self.bytes }
    }

    /// Decodes it; the index is that of its root. Pass [`source`](Self::source) to look at texts.
    ///
    /// # Errors
    /// None for a payload that was judged under the same limits.
    pub fn decode(&self, document: &mut Document, limits: &Limits) -> Result<usize, Refusal> {
        self.borrow().decode(document, limits)
    }

    /// What a document of [`decode`](Self::decode) refers to.
    pub fn source(&self) -> &[u8] {
        &self.bytes
    }
}

/// A judged payload that lies somewhere else, with other things in one piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadRef<'a> {
    bytes: &'a [u8],
    properties: &'a [u8],
    kind: PayloadKind,
}

impl<'a> PayloadRef<'a> {
    /// The payload in the bytes of a [`Part`].
    #[inline]
    pub fn of(source: &'a [u8], format: Format, part: &Part) -> PayloadRef<'a> {
        PayloadRef::new(&source[part.range().clone()], Encoding::of(format, part))
    }

    /// Bytes that are a payload, so encoded.
    #[inline]
    pub fn new(bytes: &'a [u8], encoding: impl Into<Encoding>) -> PayloadRef<'a> {
        PayloadRef::of_kind(bytes, PayloadKind::new(encoding.into()))
    }

    /// Bytes that are a payload of this kind.
    #[inline]
    pub fn of_kind(bytes: &'a [u8], kind: PayloadKind) -> PayloadRef<'a> {
        PayloadRef { bytes, properties: &[], kind }
    }

    /// The same, published with a quality of service, where that was said.
    #[must_use]
    #[inline]
    pub fn with_qos(self, qos: Option<Qos>) -> PayloadRef<'a> {
        PayloadRef { kind: self.kind.with_qos(qos), ..self }
    }

    /// The same, with properties that are passed on with it.
    #[must_use]
    #[inline]
    pub fn with_properties(self, properties: &'a [u8]) -> PayloadRef<'a> {
        PayloadRef { properties, ..self }
    }

    /// What its bytes are.
    #[inline]
    pub fn encoding(self) -> Encoding {
        self.kind.encoding()
    }

    /// What it is, in a byte.
    #[inline]
    pub fn kind(self) -> PayloadKind {
        self.kind
    }

    /// The format in which it was published, see [`Encoding::format`].
    #[inline]
    pub fn format(self) -> Format {
        self.kind.format()
    }

    /// With which quality of service it was published, where that was said.
    #[inline]
    pub fn qos(self) -> Option<Qos> {
        self.kind.qos()
    }

    /// What is passed on with it; empty where that is nothing.
    #[inline]
    pub fn properties(self) -> &'a [u8] {
        self.properties
    }

    /// The part of its bytes that is the payload: all.
    pub fn part(self) -> Part {
        self.kind.part(0..self.bytes.len())
    }

    /// As it was published.
    pub fn source(self) -> &'a [u8] {
        self.bytes
    }

    /// The payload, with bytes of its own.
    pub fn to_payload(self) -> Payload {
        Payload { kind: self.kind, properties: self.properties.into(), bytes: self.bytes.to_vec() }
    }

    /// Decodes it; the index is that of its root. Pass [`source`](Self::source) to look at texts.
    ///
    /// # Errors
    /// None for a payload that was judged under the same limits.
    pub fn decode(self, document: &mut Document, limits: &Limits) -> Result<usize, Refusal> {
        decode_part(self.bytes, self.format(), &self.part(), document, limits)
    }

    /// The same for what decodes to at most `decoded` bytes.
    ///
    /// # Errors
    /// [`ErrorCode::TooLarge`](crate::protocol::ErrorCode::TooLarge) for what decodes to more.
    pub fn decode_within(
        self,
        document: &mut Document,
        limits: &Limits,
        decoded: usize,
    ) -> Result<usize, Refusal> {
        decode_within(self.bytes, self.format(), &self.part(), document, limits, decoded)
    }

    /// Appends a frame that carries the payload.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode); nothing is appended then.
    pub fn write(
        self,
        out: &mut Vec<u8>,
        dialect: Dialect,
        topic: &str,
        frame: Frame<'_>,
        scratch: &mut Document,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        if let Some(content) = self.as_it_came(dialect) {
            frame.write(out, dialect, topic, content);
            return Ok(());
        }
        scratch.clear();
        let root = self.decode(scratch, limits)?;
        let view = scratch.view(self.bytes, root);
        let dialect = dialect.fitting(view, &PlainNames::default(), limits.max_encoded);
        frame.write(out, dialect, topic, Content::Decoded(view));
        Ok(())
    }

    /// The payload by itself in a dialect; it is decoded to `decoded` bytes at most.
    ///
    /// # Errors
    /// As for [`decode_within`](Self::decode_within).
    pub fn encode_within(
        self,
        dialect: Dialect,
        scratch: &mut Document,
        limits: &Limits,
        decoded: usize,
    ) -> Result<Vec<u8>, Refusal> {
        if let Some(Content::Published(bytes)) = self.as_it_came(dialect) {
            return Ok(bytes.to_vec());
        }
        scratch.clear();
        let root = self.decode_within(scratch, limits, decoded)?;
        Ok(Message::write(scratch.view(self.bytes, root), dialect).into_bytes())
    }

    /// What is passed on in a dialect as it came.
    pub fn as_it_came(self, dialect: Dialect) -> Option<Content<'a>> {
        let Encoding::Value(format) = self.kind.encoding() else { return None };
        dialect.passes_on_payload(format, self.bytes).then_some(Content::Published(self.bytes))
    }
}
