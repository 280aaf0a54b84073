//! What a dead letter says of the message that it is about.

use super::log::Record;
use crate::broker::persist::StoreError;
use crate::broker::streams::StreamSummary;
use crate::codec::{Document, to_value};
use crate::protocol::{Limits, Value};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PayloadRef;
    use crate::protocol::{Format, Topic};

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
}
