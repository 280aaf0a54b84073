//! What the three formats do differently for a client.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::de::from_value;
use super::error::QueueError;
use super::ser::to_value;
use crate::codec::json::Tags;
use crate::codec::{
    self, Content, Dialect, Document, FrameField, Message, Node, json, pickle, write_delivery,
    write_frame, xml,
};
use crate::protocol::{Format, HEADER_LEN, Header, Limits, Refusal, Value};

/// A format that a queue can speak: [`Json`], [`Xml`] or [`Pickle`]. No other type can be one.
///
/// ```
/// use babelmq::{QueueBuilder, Queue, Wire};
///
/// /// A queue of any format, at the broker of this program.
/// fn queue<W: Wire>(topic: &str) -> QueueBuilder<W> {
///     println!("{} to {topic}", W::FORMAT);
///     Queue::builder(topic).address("broker.example:5000")
/// }
/// let readings = queue::<babelmq::Xml>("/weather");
/// ```
pub trait Wire: sealed::Sealed + Clone + fmt::Debug {
    /// The format of the frames.
    const FORMAT: Format;
}

/// JSON, see [`JsonQueue`](super::JsonQueue).
///
/// ```
/// use babelmq::{Format, Json, Wire};
/// assert_eq!(Json::FORMAT, Format::Json);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Json {}
/// XML, see [`XmlQueue`](super::XmlQueue).
///
/// ```
/// use babelmq::{Format, Wire, Xml};
/// assert_eq!(Xml::FORMAT, Format::Xml);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Xml {}
/// Pickle, see [`PickleQueue`](super::PickleQueue).
///
/// ```
/// use babelmq::{Format, Pickle, Wire};
/// assert_eq!(Pickle::FORMAT, Format::Pickle);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Pickle {}

/// A message of the broker, its fields as they came.
#[allow(missing_docs, reason = "sealed: no program can name it")]
#[derive(Debug, Default)]
pub struct Incoming<M> {
    pub command: String,
    pub topic: Option<String>,
    pub message: Option<M>,
    pub topics: Option<Vec<String>>,
    pub id: Option<String>,
    pub code: Option<String>,
    pub reason: Option<String>,
    pub fatal: bool,
    pub retained: bool,
    pub limited: bool,
    pub values: u64,
    pub count: u64,
    pub stream: Option<String>,
    pub consumer: Option<String>,
    pub seq: u64,
    pub time: Option<String>,
    pub attempt: u64,
    pub pending: Option<u64>,
    pub next: Option<u64>,
}

/// What a `publish` says beside its topic and its message.
#[allow(missing_docs, reason = "sealed: no program can name it")]
#[derive(Clone, Copy, Debug, Default)]
pub struct With<'a> {
    pub ttl: Option<u32>,
    pub id: Option<&'a str>,
}

/// Limits for what a client decodes: the broker has judged it, so there is but the bound of what a
/// frame can say.
pub(super) const LIMITS: Limits = Limits::NONE;

pub(super) mod sealed {
    use super::{DeserializeOwned, Incoming, QueueError, Serialize, Value, With};

    pub trait Sealed: Sized {
        /// A payload that was not looked at yet.
        type Message;
        /// Appends a `publish` frame with a value of the program's own type.
        fn write_push<T: Serialize + ?Sized>(
            topic: &str,
            with: With<'_>,
            value: &T,
            out: &mut Vec<u8>,
        ) -> Result<(), QueueError>;
        /// Takes a body apart.
        fn read(body: Vec<u8>) -> Result<Incoming<Self::Message>, QueueError>;
        /// The payload's bytes: JSON text, an XML element, a whole pickle.
        fn bytes(message: Self::Message) -> Result<Vec<u8>, QueueError>;
        /// The payload as a value.
        fn value(message: Self::Message) -> Result<Value, QueueError>;
        /// The payload as a value of the program's own type.
        fn typed<T: DeserializeOwned>(message: Self::Message) -> Result<T, QueueError>;
    }
}

/// Appends a `publish` frame with a value of the model.
pub(super) fn write_value(
    dialect: Dialect,
    topic: &str,
    with: With<'_>,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut document = Document::new();
    let root = codec::from_value(value, &mut document, &LIMITS)?;
    let view = document.view(&[], root);
    let is_typed = || view.nodes().iter().any(|node| matches!(node, Node::Typed(..)));
    let tags = match dialect {
        Dialect::ExactJson => Tags::Published,
        // What the program gave a type keeps it.
        Dialect::Json if is_typed() => Tags::Scalars,
        _ => {
            write_publish(out, dialect, topic, with, Content::Decoded(view));
            return Ok(());
        }
    };
    let mut message = Vec::new();
    json::encode(view, tags, &mut message);
    write_publish(out, dialect, topic, with, Content::Published(&message));
    Ok(())
}

/// Appends a `publish` frame.
fn write_publish(
    out: &mut Vec<u8>,
    dialect: Dialect,
    topic: &str,
    With { ttl, id }: With<'_>,
    message: Content<'_>,
) {
    if ttl.is_none() && id.is_none() {
        return write_delivery(out, dialect, topic, message, false);
    }
    let fields = [("command", FrameField::Str("publish")), ("topic", FrameField::Str(topic))];
    let ttl = ttl.map(|seconds| ("ttl", FrameField::Int(seconds.into())));
    let id = id.map(|id| ("id", FrameField::Str(id)));
    write_frame(out, dialect, fields.iter().chain(&ttl).chain(&id), Some(message));
}

/// Appends the frame of a command.
pub(super) fn write_command(
    format: Format,
    command: &str,
    fields: &[(&str, FrameField<'_>)],
    out: &mut Vec<u8>,
) {
    let command = [("command", FrameField::Str(command))];
    write_frame(out, Dialect::new(format, false), command.iter().chain(fields), None);
}

/// Appends a `publish` frame with a document that serde-xml-rs wrote.
pub(super) fn write_document(topic: &str, with: With<'_>, document: &str, out: &mut Vec<u8>) {
    let root = document.split_once("?>").map_or(document, |(_declaration, root)| root);
    let message = format!("<message type=\"document\">{root}</message>");
    write_publish(out, Dialect::Xml, topic, with, Content::Published(message.as_bytes()));
}

/// Reads the document in a `message` element with serde-xml-rs: what is in the element, where that
/// bears no type and is one element, or else the element itself.
pub(super) fn read_document<T: DeserializeOwned>(message: &str) -> Result<T, QueueError> {
    /// serde-xml-rs takes quadratic time over namespaces.
    const MAX_NAMESPACES: usize = 256;
    if memchr::memmem::find_iter(message.as_bytes(), b"xmlns").count() > MAX_NAMESPACES {
        return Err(QueueError::Type(format!(
            "the document declares more than {MAX_NAMESPACES} namespaces"
        )));
    }
    let document = match untyped_content(message) {
        Some(content) if is_one_element(&<Xml as sealed::Sealed>::value(message.to_owned())?) => {
            content
        }
        _ => message,
    };
    serde_xml_rs::from_str(document).map_err(|error| QueueError::Type(error.to_string()))
}

/// What is in a `message` element that has no attribute, or says that it is a document.
fn untyped_content(message: &str) -> Option<&str> {
    let (tag, rest) = message.strip_prefix("<message")?.split_once('>')?;
    let kind = tag.trim().strip_prefix("type").map(|kind| kind.trim_start().strip_prefix('='));
    let is_untyped = match kind {
        None => tag.trim().is_empty(),
        Some(kind) => matches!(kind?.trim(), "\"document\"" | "'document'"),
    };
    let (content, _end) = rest.rsplit_once("</message")?;
    is_untyped.then_some(content)
}

/// Whether a value that has no type is one element: the broker puts no root around such.
fn is_one_element(value: &Value) -> bool {
    let Value::Dict(entries) = value else { return false };
    let [(Value::Str(key), item)] = entries.as_slice() else { return false };
    !key.starts_with('@') && key != "#text" && !matches!(item, Value::List(_))
}

impl Wire for Json {
    const FORMAT: Format = Format::Json;
}

impl sealed::Sealed for Json {
    type Message = Box<RawValue>;

    fn write_push<T: Serialize + ?Sized>(
        topic: &str,
        with: With<'_>,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), QueueError> {
        // By way of the value model and not by serde_json, which would write a NaN as null and
        // bytes as an array.
        Ok(write_value(Dialect::Json, topic, with, &to_value(value)?, out)?)
    }

    fn read(body: Vec<u8>) -> Result<Incoming<Box<RawValue>>, QueueError> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow)]
            command: Cow<'a, str>,
            topic: Option<String>,
            #[serde(default, deserialize_with = "present")]
            message: Option<Box<RawValue>>,
            topics: Option<Vec<String>>,
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            code: Option<String>,
            reason: Option<String>,
            #[serde(default)]
            fatal: bool,
            #[serde(default)]
            retained: bool,
            #[serde(default)]
            limited: bool,
            #[serde(default)]
            values: u64,
            #[serde(default)]
            count: u64,
            stream: Option<String>,
            consumer: Option<String>,
            #[serde(default)]
            seq: u64,
            time: Option<String>,
            #[serde(default)]
            attempt: u64,
            pending: Option<u64>,
            next: Option<u64>,
        }
        /// A `null` is a message, and not the lack of one.
        fn present<'de, D: Deserializer<'de>>(
            message: D,
        ) -> Result<Option<Box<RawValue>>, D::Error> {
            Deserialize::deserialize(message).map(Some)
        }
        let envelope: Envelope<'_> = serde_json::from_slice(&body).map_err(protocol)?;
        Ok(Incoming {
            command: envelope.command.into_owned(),
            topic: envelope.topic,
            message: envelope.message,
            topics: envelope.topics,
            id: envelope.id.map(|id| id.get().trim_matches('"').to_owned()),
            code: envelope.code,
            reason: envelope.reason,
            fatal: envelope.fatal,
            retained: envelope.retained,
            limited: envelope.limited,
            values: envelope.values,
            count: envelope.count,
            stream: envelope.stream,
            consumer: envelope.consumer,
            seq: envelope.seq,
            time: envelope.time,
            attempt: envelope.attempt,
            pending: envelope.pending,
            next: envelope.next,
        })
    }

    fn bytes(message: Box<RawValue>) -> Result<Vec<u8>, QueueError> {
        Ok(String::from(Box::<str>::from(message)).into_bytes())
    }

    fn value(message: Box<RawValue>) -> Result<Value, QueueError> {
        let text = message.get().as_bytes();
        let mut document = Document::new();
        let root = json::decode(text, 0..text.len(), &mut document, &LIMITS).map_err(protocol)?;
        Ok(codec::to_value(document.view(text, root)))
    }

    fn typed<T: DeserializeOwned>(message: Box<RawValue>) -> Result<T, QueueError> {
        // Where there is no tag, serde_json reads it at once; where it cannot, the value model may
        // still know how.
        let may_be_tagged = memchr::memmem::find(message.get().as_bytes(), b"\"$").is_some();
        if !may_be_tagged && let Ok(value) = serde_json::from_str(message.get()) {
            return Ok(value);
        }
        from_value(Self::value(message)?)
    }
}

impl Wire for Xml {
    const FORMAT: Format = Format::Xml;
}

impl sealed::Sealed for Xml {
    type Message = String;

    fn write_push<T: Serialize + ?Sized>(
        topic: &str,
        with: With<'_>,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), QueueError> {
        // Not by serde-xml-rs: it has no place for the types, and 21 would arrive as "21".
        Ok(write_value(Dialect::Xml, topic, with, &to_value(value)?, out)?)
    }

    fn read(body: Vec<u8>) -> Result<Incoming<String>, QueueError> {
        let mut document = Document::new();
        let xml::Body { root, message, .. } =
            xml::decode_body(&body, 0..body.len(), &mut document, &LIMITS).map_err(protocol)?;
        let fields = codec::to_value(document.view(&body, root));
        let message = message.map(|range| String::from_utf8_lossy(&body[range]).into_owned());
        Ok(incoming(&fields, message))
    }

    fn bytes(message: String) -> Result<Vec<u8>, QueueError> {
        Ok(message.into_bytes())
    }

    fn value(message: String) -> Result<Value, QueueError> {
        let text = message.as_bytes();
        let mut document = Document::new();
        let root =
            xml::decode_message(text, 0..text.len(), &mut document, &LIMITS).map_err(protocol)?;
        Ok(codec::to_value(document.view(text, root)))
    }

    fn typed<T: DeserializeOwned>(message: String) -> Result<T, QueueError> {
        from_value(Self::value(message)?)
    }
}

impl Wire for Pickle {
    const FORMAT: Format = Format::Pickle;
}

impl sealed::Sealed for Pickle {
    type Message = Value;

    fn write_push<T: Serialize + ?Sized>(
        topic: &str,
        with: With<'_>,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), QueueError> {
        #[derive(Serialize)]
        struct Publish<'a, T: ?Sized> {
            command: &'a str,
            topic: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            ttl: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a str>,
            message: &'a T,
        }
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        let With { ttl, id } = with;
        let publish = Publish { command: "publish", topic, ttl, id, message: value };
        serde_pickle::to_writer(out, &publish, serde_pickle::SerOptions::new())
            .map_err(|error| QueueError::Type(error.to_string()))?;
        let length = u32::try_from(out.len() - start - HEADER_LEN).unwrap_or(u32::MAX);
        out[start..start + HEADER_LEN]
            .copy_from_slice(&Header { format: Format::Pickle, length }.to_bytes());
        Ok(())
    }

    fn read(body: Vec<u8>) -> Result<Incoming<Value>, QueueError> {
        let mut document = Document::new();
        let root =
            pickle::decode_body(&body, 0..body.len(), &mut document, &LIMITS).map_err(protocol)?;
        let fields = codec::to_value(document.view(&body, root));
        let message = fields.get("message").cloned();
        Ok(incoming(&fields, message))
    }

    fn bytes(message: Value) -> Result<Vec<u8>, QueueError> {
        Ok(Message::of_value(&message, Dialect::Pickle)?.into_bytes())
    }

    fn value(message: Value) -> Result<Value, QueueError> {
        Ok(message)
    }

    fn typed<T: DeserializeOwned>(message: Value) -> Result<T, QueueError> {
        from_value(message)
    }
}

/// A message whose fields were decoded into a dict.
fn incoming<M>(fields: &Value, message: Option<M>) -> Incoming<M> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let truth = |name: &str| match fields.get(name) {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::Str(truth)) => truth == "true",
        _ => false,
    };
    let number = |name: &str| match fields.get(name) {
        Some(Value::Int(number)) => u64::try_from(*number).unwrap_or_default(),
        Some(Value::Str(digits)) => digits.parse().unwrap_or_default(),
        _ => 0,
    };
    let topics = fields.get("topics").map(|topics| match topics {
        Value::List(topics) => topics.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    });
    Incoming {
        command: text("command").unwrap_or_default(),
        topic: text("topic"),
        message,
        topics,
        id: text("id").or_else(|| fields.get("id").map(Value::to_string)),
        code: text("code"),
        reason: text("reason"),
        fatal: truth("fatal"),
        retained: truth("retained"),
        limited: truth("limited"),
        values: number("values"),
        count: number("count"),
        stream: text("stream"),
        consumer: text("consumer"),
        seq: number("seq"),
        time: text("time"),
        attempt: number("attempt"),
        pending: fields.get("pending").map(|_| number("pending")),
        next: fields.get("next").map(|_| number("next")),
    }
}

fn protocol(error: impl std::fmt::Display) -> QueueError {
    QueueError::Protocol(error.to_string())
}
