//! How far a broker is in a stream of the backbone, as it remembers it: a last value of a topic of its
//! own.

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
    /// Reads what was remembered of it.
    pub(super) fn of_payload(payload: &Payload) -> Option<Position> {
        let text = str::from_utf8(payload.source()).ok()?;
        let (epoch, seq) = text.strip_prefix('"')?.strip_suffix('"')?.rsplit_once(' ')?;
        Some(Position { epoch: epoch.to_owned(), seq: seq.parse().ok()? })
    }

    /// As it is remembered: a JSON text, so that a person can read it too.
    pub(super) fn to_payload(&self) -> Option<Payload> {
        let text = format!("\"{} {}\"", self.epoch.replace(['"', '\\'], ""), self.seq);
        Payload::parse("", Format::Json, text.as_bytes(), &Limits::NONE).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_what_it_was() {
        let position = Position { epoch: "2026-11-30 03:00:00.5 +00:00".into(), seq: 1 << 60 };
        let payload = position.to_payload().unwrap();
        assert_eq!(Position::of_payload(&payload), Some(position));
        for text in ["1", "\"x\"", "\"x y\"", "{}"] {
            let payload = Payload::parse("", Format::Json, text.as_bytes(), &Limits::NONE).unwrap();
            assert_eq!(Position::of_payload(&payload), None, "{text}");
        }
    }
}
