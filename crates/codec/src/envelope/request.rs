//! What a client asks for: which command, which topic, which options, which payload.

use std::borrow::Cow;
use std::ops::Range;

use super::fields::Fields;
use super::longest::hold_to_max_encoded;
use super::tighter::hold_to_tighter_limits;
use crate::protocol::{Command, Format, Id, Limits, Overflow, Refusal};
use crate::{Document, json, pickle, xml};

/// What a client asks for. Topics are as they were spelled, not judged yet.
#[derive(Debug)]
pub enum Request<'a> {
    /// See [`Command::Publish`].
    Publish {
        /// The topic.
        topic: Cow<'a, str>,
        /// The payload.
        message: PayloadSpan,
        /// Whether it becomes the topic's last value. Default true.
        retain: bool,
        /// Seconds that it stays the topic's last value.
        ttl: Option<u32>,
        /// Whether the frame holds these fields and no other, so that it can be passed on as it
        /// came.
        verbatim: bool,
    },
    /// Everything else.
    Control(ControlRequest<'a>),
}

/// A request that is no publish.
#[derive(Debug)]
pub enum ControlRequest<'a> {
    /// See [`Command::Subscribe`].
    Subscribe {
        /// The filter.
        topic: Cow<'a, str>,
        /// Whether JSON deliveries tag what JSON cannot tell apart. Default false.
        exact: bool,
        /// What happens when the queue is full. Default [`Overflow::Disconnect`].
        overflow: Overflow,
        /// The queue's length in messages; the broker's default where it is not given.
        queue: Option<u32>,
        /// Whether it is told when a last value is cleared or expires. Default false.
        cleared: bool,
    },
    /// See [`Command::Cancel`].
    Cancel {
        /// The filter.
        topic: Cow<'a, str>,
    },
    /// See [`Command::List`].
    List {
        /// The filter; every topic where it is not given.
        topic: Option<Cow<'a, str>>,
    },
    /// See [`Command::Get`].
    Get {
        /// The topic.
        topic: Cow<'a, str>,
    },
    /// See [`Command::Clear`].
    Clear {
        /// The topic, or a filter with a wildcard.
        topic: Cow<'a, str>,
    },
    /// See [`Command::Ping`].
    Ping {
        /// Given back in the `pong`.
        id: Option<Id>,
    },
    /// See [`Command::Stats`].
    Stats,
    /// See [`Command::Backup`].
    Backup,
}

/// A payload inside a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadSpan {
    /// Where its bytes lie.
    pub part: Part,
    /// The index of its root node, where it was decoded.
    pub document: Option<usize>,
}

/// The bytes that a payload can be decoded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The payload by itself: a JSON value, an XML element.
    Value(Range<usize>),
    /// The whole message body, where the payload cannot be cut out: in a pickle it may refer to
    /// what stands outside of it, and in XML it may be an attribute, or have names that not every
    /// parser takes.
    Body(Range<usize>),
}

impl Part {
    /// Where the bytes lie.
    pub fn range(&self) -> &Range<usize> {
        match self {
            Part::Value(range) | Part::Body(range) => range,
        }
    }
}

/// Reads a message body. A payload in JSON is decoded only where judging it needs that; the other
/// formats have no other way to judge.
///
/// # Errors
/// Whatever is wrong with the body, with the topic where it could be read. `document` is then as it
/// was.
pub fn read_request<'a>(
    source: &'a [u8],
    format: Format,
    body: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<Request<'a>, Refusal> {
    let mark = document.mark();
    let len = body.len();
    let fields = match format {
        Format::Json => json::read_fields(source, body, document, limits),
        Format::Xml => xml_fields(source, body, document, limits),
        Format::Pickle => pickle_fields(source, body, document, limits),
    };
    let request = fields.and_then(|fields| fields.request(format));
    let request = request.and_then(|request| {
        if let Request::Publish { topic, message, .. } = &request {
            hold_to_tighter_limits(source, format, message, document, limits)
                .and_then(|()| {
                    hold_to_max_encoded(source, format, len, topic, message, document, limits)
                })
                .map_err(|refusal| refusal.about(topic.as_ref()))?;
        }
        Ok(request)
    });
    if request.is_err() {
        document.truncate(mark);
    }
    request
}

/// Decodes a payload again, as [`read_request`] did; it has been judged, so this does not fail for
/// a payload that was published.
///
/// # Errors
/// As for [`read_request`].
pub fn decode_part(
    source: &[u8],
    format: Format,
    part: &Part,
    document: &mut Document,
    limits: &Limits,
) -> Result<usize, Refusal> {
    decode_within(source, format, part, document, limits, usize::MAX)
}

/// The same, for what decodes to at most `decoded` bytes.
///
/// # Errors
/// As for [`decode_part`], and [`ErrorCode::TooLarge`](crate::protocol::ErrorCode::TooLarge).
pub(crate) fn decode_within(
    source: &[u8],
    format: Format,
    part: &Part,
    document: &mut Document,
    limits: &Limits,
    decoded: usize,
) -> Result<usize, Refusal> {
    // What was accepted is within the limits, whichever way it was judged; it is not to be refused
    // now.
    let limits = &Limits { max_frame: limits.max_frame, decoded_size: decoded, ..Limits::NONE };
    let root = match (part, format) {
        (Part::Value(range), Format::Json) => {
            json::decode(source, range.clone(), document, limits)?
        }
        (Part::Value(range), Format::Xml) => {
            xml::decode_message(source, range.clone(), document, limits)?
        }
        (Part::Value(range), Format::Pickle) => {
            pickle::decode(source, range.clone(), document, limits)?
        }
        (Part::Body(range), _) => {
            let request = read_request(source, format, range.clone(), document, limits)?;
            return match request {
                Request::Publish { message: PayloadSpan { document: Some(root), .. }, .. } => {
                    Ok(root)
                }
                _ => Err(super::fields::missing("message", Command::Publish)),
            };
        }
    };
    Ok(root)
}

fn xml_fields<'a>(
    source: &'a [u8],
    body: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<Fields<'a>, Refusal> {
    let xml::Body { root, message, is_readable_to_all } =
        xml::decode_body(source, body.clone(), document, limits)?;
    // What not every parser can read is not passed on as it came: it is decoded and written anew.
    let part = message.filter(|_| is_readable_to_all).map_or(Part::Body(body), Part::Value);
    Fields::from_document(source, document, root, part)
}

fn pickle_fields<'a>(
    source: &'a [u8],
    body: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<Fields<'a>, Refusal> {
    let root = pickle::decode_body(source, body.clone(), document, limits)?;
    Fields::from_document(source, document, root, Part::Body(body))
}
