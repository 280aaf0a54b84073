//! Dead letters: messages that a consumer cannot do, on their way to where somebody looks at them.

use super::StreamThread;
use super::journal::Entry;
use crate::broker::streams::consumer::{Dead, WhyDead};
use crate::broker::streams::log::{Damage, Found, Record};
use crate::broker::streams::report::{dict, number};
use crate::broker::streams::request::Burial;
use crate::broker::streams::said::{DeadLetter, FromStream};
use crate::codec::{Batch, Document, Payload, to_value};
use crate::protocol::{Limits, MAX_TOPIC_BYTES, Topic, Value};

/// Where dead letters are published.
pub(super) const DEAD: &str = "$dead";

impl StreamThread {
    /// Publishes the messages that have died as dead letters. They are settled when those are safe.
    pub(super) fn bury_dead(&mut self) {
        let mut dead = Vec::new();
        for (name, Entry { machine, .. }) in &mut self.consumers.all {
            dead.extend(machine.take_dead().into_iter().map(|dead| (name.clone(), dead)));
        }
        for (consumer, dead) in dead {
            let seq = dead.seq;
            let is_on_its_way = !self.is_of_dead_letters()
                && self.letter(&consumer, &dead).is_some_and(|batch| {
                    let to = self.own.clone();
                    let burial = Burial { to, consumer: consumer.clone(), seq };
                    let letter = Box::new(DeadLetter { batch, burial });
                    // Where the broker stops it dies again after the start.
                    self.announcer.send(FromStream::Bury(letter)).is_ok() || self.is_stopping
                });
            if is_on_its_way {
                continue;
            }
            tracing::warn!(
                stream = %self.state.name(), %consumer, seq, attempts = dead.attempts,
                "a message that the consumer cannot do is given up without a dead letter: it is \
                 one itself, or cannot be read any more"
            );
            if let Some(Entry { machine, .. }) = self.consumers.all.get_mut(&consumer) {
                machine.bury(seq);
            }
        }
    }

    fn is_of_dead_letters(&self) -> bool {
        self.definition.name == DEAD
    }

    /// The dead letter of a message, if it can be read.
    fn letter(&self, consumer: &str, dead: &Dead) -> Option<Batch> {
        let mut cursor = self.reader.cursor(dead.seq);
        let Ok(Some(Found::Record(record))) = cursor.read() else { return None };
        if record.seq != dead.seq {
            return None;
        }
        let topic = Topic::parse(&topic_of(consumer, &record)).ok()?;
        let payload = content(&self.definition.name, &record, dead, &self.limits)?;
        // It is no last value: it is kept by its stream.
        Some(Batch::of_payload(topic, payload, (false, None), Limits::NONE))
    }

    /// Says that messages cannot be read, where a consumer came by them.
    pub(super) fn report_damage(&self, consumer: &str, damage: &Damage) {
        let Damage { from, to, reason } = damage;
        tracing::error!(
            stream = %self.state.name(), %consumer, from, to,
            "messages of the stream cannot be read, and the consumer goes on behind them: {reason}"
        );
    }
}

/// The topic of the dead letter of a message.
fn topic_of(consumer: &str, record: &Record<'_>) -> String {
    let topic = record.topic.as_str();
    let topic = topic.strip_prefix('/').unwrap_or(topic);
    let whole = format!("{DEAD}/{consumer}/{topic}");
    // A topic that is too long with the rest is in the letter.
    if whole.len() <= MAX_TOPIC_BYTES && Topic::parse(&whole).is_ok() {
        whole
    } else {
        format!("{DEAD}/{consumer}")
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
    use crate::protocol::{Qos, TopicName};

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
