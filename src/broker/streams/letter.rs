//! What a dead letter says of the message that it is about.

use super::consumer::{Dead, WhyDead};
use super::log::Record;
use super::report::{dict, number};
use crate::broker::persist::StoreError;
use crate::broker::streams::StreamSummary;
use crate::codec::{Batch, Document, Payload, to_value};
use crate::protocol::{Limits, MAX_TOPIC_BYTES, Topic, Value};

/// The stream that keeps dead letters.
pub const DEAD_LETTERS: &str = "$dead";

/// The message that a dead letter is about, and who could not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadMessage {
    /// The stream that keeps it, or kept it.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// Its number there.
    pub seq: u64,
}

impl DeadMessage {
    /// The message that the letter with this number is about; `None` where there is no such
    /// letter. It takes some times the memory of the letter, and waits for the disk.
    ///
    /// # Errors
    /// [`StoreError`] where the disk cannot be read.
    pub fn of_letter(letters: &StreamSummary, seq: u64) -> Result<Option<DeadMessage>, StoreError> {
        letters.look_at(seq, |record| DeadMessage::of(&record)).map(Option::flatten)
    }

    fn of(record: &Record<'_>) -> Option<DeadMessage> {
        let mut segments = record.topic.as_str().split('/');
        if segments.next() != Some(DEAD_LETTERS) {
            return None;
        }
        let consumer = segments.next()?.to_owned();
        let mut document = Document::new();
        // The broker wrote it itself.
        let root = record.payload.decode(&mut document, &Limits::NONE).ok()?;
        let Value::Dict(fields) = to_value(document.view(record.payload.source(), root)) else {
            return None;
        };
        let field = |name: &str| {
            fields.iter().find(|(key, _)| *key == Value::from(name)).map(|(_, value)| value)
        };
        let Some(Value::Str(stream)) = field("stream") else { return None };
        let Some(Value::Int(seq)) = field("seq") else { return None };
        Some(DeadMessage { stream: stream.clone(), consumer, seq: u64::try_from(*seq).ok()? })
    }
}

/// The dead letter of a message, if it can be read.
pub(in crate::broker) fn dead_letter(
    stream: &str,
    consumer: &str,
    record: &Record<'_>,
    dead: &Dead,
    limits: &Limits,
) -> Option<Batch> {
    let topic = Topic::parse(&topic_of(consumer, record)).ok()?;
    let payload = content(stream, record, dead, limits)?;
    // It is no last value: it is kept by its stream.
    Some(Batch::of_payload(topic, payload, (false, None), Limits::NONE))
}

/// The topic of the dead letter of a message.
fn topic_of(consumer: &str, record: &Record<'_>) -> String {
    let topic = record.topic.as_str();
    let topic = topic.strip_prefix('/').unwrap_or(topic);
    let whole = format!("{DEAD_LETTERS}/{consumer}/{topic}");
    // A topic that is too long with the rest is in the letter.
    if whole.len() <= MAX_TOPIC_BYTES && Topic::parse(&whole).is_ok() {
        whole
    } else {
        format!("{DEAD_LETTERS}/{consumer}")
    }
}

/// A dead letter. It has the properties of its message, for whoever answers or traces that.
fn content(stream: &str, record: &Record<'_>, dead: &Dead, limits: &Limits) -> Option<Payload> {
    let mut document = Document::new();
    let root = record.payload.decode(&mut document, limits).ok()?;
    let message = to_value(document.view(record.payload.source(), root));
    let reason = match &dead.why {
        WhyDead::Exhausted => format!("it was delivered {} times", dead.attempts),
        WhyDead::Rejected(reason) => reason.clone(),
    };
    let fields = [
        ("topic", Value::from(record.topic.as_str())),
        ("stream", Value::from(stream)),
        ("seq", number(record.seq)),
        ("attempts", number(dead.attempts.into())),
        ("reason", Value::from(reason)),
        ("message", message),
    ];
    let letter = dict(fields);
    let payload = Payload::of_value(record.topic.as_str(), &letter, &Limits::NONE).ok()?;
    Some(payload.with_qos(record.payload.qos()).with_properties(record.payload.properties()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Encoding, PayloadRef};
    use crate::protocol::{Format, Qos, TopicName};

    fn read(topic: &str, letter: &str) -> Option<DeadMessage> {
        let topic = Topic::parse(topic).unwrap();
        let payload = PayloadRef::new(letter.as_bytes(), Format::Json);
        DeadMessage::of(&Record { seq: 1, time: 0, topic: topic.name(), id: None, payload })
    }

    #[test]
    fn a_letter_names_stream_consumer_and_number() {
        let letter = r#"{"topic":"/a/b","stream":"orders","seq":7,"message":{"seq":9}}"#;
        let (stream, consumer) = ("orders".to_owned(), "billing".to_owned());
        let expected = DeadMessage { stream, consumer, seq: 7 };
        assert_eq!(read("$dead/billing/a/b", letter), Some(expected));
    }

    #[test]
    fn what_is_no_letter_names_nothing() {
        for letter in ["1", "{}", r#"{"stream":"orders"}"#, r#"{"stream":"orders","seq":-1}"#] {
            assert_eq!(read("$dead/billing", letter), None, "{letter}");
        }
        let letter = r#"{"stream":"orders","seq":7}"#;
        assert_eq!(read("$dead", letter), None);
        assert_eq!(read("orders/billing", letter), None);
    }

    #[test]
    fn a_dead_letter_has_the_message_and_what_was_said_beside_it() {
        let payload = PayloadRef::new(b"\xff\x00", Encoding::Bytes);
        let payload = payload.with_qos(Some(Qos::AtLeastOnce)).with_properties(b"abc");
        let topic = TopicName::parse("a").unwrap();
        let record = Record { seq: 7, time: 0, topic, id: None, payload };
        let dead = Dead { seq: 7, attempts: 2, why: WhyDead::Exhausted };
        let letter = content("orders", &record, &dead, &Limits::default()).unwrap();
        assert_eq!((letter.qos(), letter.properties()), (Some(Qos::AtLeastOnce), &b"abc"[..]));
        let mut document = Document::new();
        let root = letter.decode(&mut document, &Limits::NONE).unwrap();
        let Value::Dict(fields) = to_value(document.view(letter.source(), root)) else { panic!() };
        let message = fields.iter().find(|(name, _)| *name == Value::from("message"));
        assert_eq!(message.unwrap().1, Value::Bytes(vec![0xff, 0]));
    }
}
