//! How far a broker is in a stream of the backbone, as it remembers it: a last value of a topic of
//! its own.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::backbone::Position;
use super::definition::SharedTopics;
use crate::codec::Payload;
use crate::protocol::{Format, Limits};

impl SharedTopics {
    /// The topic whose last value says how far this broker is in the stream.
    pub(in crate::broker) fn position_topic(&self) -> String {
        format!("$backbone/{}", self.stream)
    }
}

impl Position {
    /// Reads what was remembered of it, if that is of these topics: a wider filter has messages
    /// before it that were never read.
    pub(super) fn of_payload(payload: &Payload, topics: &SharedTopics) -> Option<Position> {
        let text = str::from_utf8(payload.source()).ok()?;
        let text = text.strip_prefix('"')?.strip_suffix('"')?;
        let (epoch, rest) = text.split_once(' ')?;
        let (seq, word) = rest.split_once(' ')?;
        let is_of_these = word == word_of(topics);
        is_of_these.then(|| Some(Position { epoch: epoch.to_owned(), seq: seq.parse().ok()? }))?
    }

    /// As it is remembered: a JSON text, so that a person can read it too.
    pub(super) fn to_payload(&self, topics: &SharedTopics) -> Option<Payload> {
        let epoch = self.epoch.replace(['"', '\\', ' '], "");
        let text = format!("\"{epoch} {} {}\"", self.seq, word_of(topics));
        Payload::parse("", Format::Json, text.as_bytes(), &Limits::NONE).ok()
    }
}

/// The filter in a word, which needs no escapes in any format.
fn word_of(topics: &SharedTopics) -> String {
    let filter = utf8_percent_encode(topics.filter.as_str(), NON_ALPHANUMERIC);
    // Of two that are spelled alike, one may mean what is below too.
    let mark = if topics.filter.reaches_below() { "" } else { "!" };
    format!("{filter}{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_what_it_was_and_of_no_other_topics() {
        let topics: SharedTopics = "o=orders/\"eu\"/#".parse().unwrap();
        let position = Position { epoch: "1790000000000~5-9".into(), seq: 1 << 60 };
        let payload = position.to_payload(&topics).unwrap();
        assert_eq!(Position::of_payload(&payload, &topics), Some(position));
        let wider: SharedTopics = "o=orders/#".parse().unwrap();
        assert_eq!(Position::of_payload(&payload, &wider), None);
        for text in ["1", "\"x\"", "\"x y\"", "\"x y z\"", "{}"] {
            let payload = Payload::parse("", Format::Json, text.as_bytes(), &Limits::NONE).unwrap();
            assert_eq!(Position::of_payload(&payload, &topics), None, "{text}");
        }
    }
}
