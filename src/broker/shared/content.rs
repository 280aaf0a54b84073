//! Payloads as they travel between brokers: each by itself, in the format in which it was
//! published.

use super::backbone::{SharedContent, SharedMessage, SharedPayload};
use crate::codec::{Batch, Dialect, Document, Encoding, Payload, Workspace};
use crate::protocol::{ErrorCode, Format, Limits, Refusal, TopicName};

/// Bytes that are said beside a payload, at most, but for its properties and its id.
pub(in crate::broker) const BESIDE: usize = 512;

/// Bytes of memory that it takes to have a topic cleared, beside its name.
pub(in crate::broker) const CLEARED: usize = 512;

/// A message of a batch, as it travels.
///
/// # Errors
/// As for [`PayloadRef::decode_within`](crate::codec::PayloadRef::decode_within), where it cannot
/// be written by itself.
pub(super) fn outgoing(
    batch: &Batch,
    index: usize,
    scratch: &mut Document,
    workspace: &Workspace,
    limits: &Limits,
) -> Result<SharedMessage, Refusal> {
    let (message, payload) = (&batch.messages()[index], batch.payload(index));
    let topic = batch.topics().get(message.topic());
    let (encoding, bytes) = match payload.encoding() {
        // These are whole by themselves.
        raw @ (Encoding::Text | Encoding::Bytes) => (raw, payload.source().to_vec()),
        whole @ Encoding::Value(Format::Json | Format::Xml) => (whole, payload.source().to_vec()),
        Encoding::Value(format) | Encoding::Body(format) => {
            let budget = limits.decoded_budget(payload.source().len());
            let _claim = workspace.claim(budget).ok_or_else(no_memory)?;
            let dialect = Dialect::new(format, true);
            let bytes = payload.encode_within(dialect, scratch, limits, budget)?;
            (Encoding::Value(format), bytes)
        }
    };
    let content = SharedPayload {
        encoding: Some(encoding),
        bytes,
        retain: message.retain(),
        ttl: message.ttl(),
        qos: message.qos(),
        properties: payload.properties().into(),
    };
    Ok(SharedMessage { topic: topic.to_topic(), content: SharedContent::Payload(content) })
}

/// Judges a payload that came from a backbone: whoever can publish there may have sent it.
///
/// # Errors
/// As for a frame that brings it, and [`ErrorCode::MemoryFull`].
pub(super) fn judged(
    topic: TopicName<'_>,
    payload: SharedPayload,
    workspace: &Workspace,
    limits: &Limits,
) -> Result<Payload, Refusal> {
    let SharedPayload { encoding, bytes, qos, properties, .. } = payload;
    let budget = limits.decoded_budget(bytes.len());
    let _claim = workspace.claim(budget).ok_or_else(no_memory)?;
    let (topic, limits) = (topic.as_str(), limits.decoded_size(budget));
    let judged = match encoding {
        Some(Encoding::Value(format) | Encoding::Body(format)) => {
            Payload::parse(topic, format, &bytes, &limits)?
        }
        Some(Encoding::Text) => text(topic, &bytes, &limits)?,
        Some(Encoding::Bytes) => Payload::of_bytes(topic, &bytes, &limits)?,
        None => match Payload::parse(topic, Format::Json, &bytes, &limits) {
            Ok(judged) => judged,
            // It is no JSON, so it is what it is.
            Err(refusal) if refusal.code == ErrorCode::MalformedJson => {
                text(topic, &bytes, &limits)
                    .or_else(|_| Payload::of_bytes(topic, &bytes, &limits))?
            }
            Err(refusal) => return Err(refusal),
        },
    };
    Ok(judged.with_qos(qos).with_properties(properties))
}

fn text(topic: &str, bytes: &[u8], limits: &Limits) -> Result<Payload, Refusal> {
    let text = str::from_utf8(bytes).map_err(|error| {
        Refusal::new(ErrorCode::InvalidValue, format!("it is said to be a text: {error}"))
    })?;
    Payload::of_text(topic, text, limits)
}

fn no_memory() -> Refusal {
    let reason = "the broker has no memory to read or write a message of shared topics in";
    Refusal::new(ErrorCode::MemoryFull, reason)
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;
    use crate::codec::to_value;
    use crate::protocol::{Qos, Topic, Value};

    fn value_of(payload: &Payload) -> Value {
        let mut document = Document::new();
        let root = payload.decode(&mut document, &Limits::NONE).unwrap();
        to_value(document.view(payload.source(), root))
    }

    #[test]
    fn a_message_is_the_same_behind_a_backbone() {
        let (limits, workspace) = (Limits::default(), Workspace::default());
        let topic = Topic::parse("/a").unwrap();
        let list = Value::Tuple(vec![Value::Int(1), Value::Bytes(vec![0, 255]), "<é>".into()]);
        let parsed = |format, bytes: &[u8]| Payload::parse("/a", format, bytes, &limits).unwrap();
        for payload in [
            parsed(Format::Json, b" {\"a\": [1, 2.50, null]} "),
            parsed(Format::Json, br#"{"$tuple": [{"$bytes": "AA=="}]}"#),
            parsed(Format::Xml, b"<order id='7'><b/>x</order>"),
            parsed(Format::Xml, b"<message type='int'>7</message>"),
            parsed(Format::Pickle, b"\x80\x04K\x07\x85."),
            Payload::of_value("/a", &list, &limits).unwrap(),
            Payload::of_text("/a", " h\u{e9} ", &limits).unwrap(),
            Payload::of_bytes("/a", b"1\xff", &limits).unwrap(),
        ] {
            let payload = payload.with_qos(Some(Qos::AtLeastOnce)).with_properties(&b"abc"[..]);
            let how = (true, Some(9));
            let batch = Batch::of_payload(topic.clone(), payload.clone(), how, limits);
            let scratch = &mut Document::new();
            let sent = outgoing(&batch, 0, scratch, &workspace, &limits).unwrap();
            let SharedContent::Payload(sent) = sent.content else { panic!() };
            assert_eq!((sent.retain, sent.ttl), how);
            let came = judged(topic.name(), sent, &workspace, &limits).unwrap();
            assert_eq!(value_of(&came), value_of(&payload));
            assert_eq!(came.format(), payload.format());
            assert_eq!((came.qos(), came.properties()), (payload.qos(), payload.properties()));
        }
    }

    #[test]
    fn what_says_no_format_is_what_it_looks_like() {
        let judge = |bytes: &[u8]| {
            let payload = SharedPayload {
                encoding: None,
                bytes: bytes.into(),
                retain: true,
                ttl: None,
                qos: None,
                properties: Box::default(),
            };
            let topic = TopicName::parse("/a").unwrap();
            judged(topic, payload, &Workspace::default(), &Limits::default())
        };
        for (bytes, expected) in [
            (&b"[1]"[..], Value::List(vec![Value::Int(1)])),
            (b"21.5 C", "21.5 C".into()),
            (b"\xff", Value::Bytes(vec![255])),
            (b"", "".into()),
        ] {
            assert_eq!(value_of(&judge(bytes).unwrap()), expected);
        }
        let deep = "[".repeat(2_000) + &"]".repeat(2_000);
        assert_eq!(judge(deep.as_bytes()).unwrap_err().code, ErrorCode::TooDeep);
    }
}
