//! Dead letters: messages that a consumer cannot do, on their way to where somebody looks at them.

use super::StreamThread;
use super::journal::Entry;
use crate::broker::streams::consumer::Dead;
use crate::broker::streams::letter::{DEAD_LETTERS, dead_letter};
use crate::broker::streams::log::{Damage, Found};
use crate::broker::streams::request::Burial;
use crate::broker::streams::said::{DeadLetter, FromStream};
use crate::codec::Batch;

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
        self.definition.name == DEAD_LETTERS
    }

    /// The dead letter of a message, if it can be read.
    fn letter(&self, consumer: &str, dead: &Dead) -> Option<Batch> {
        let mut cursor = self.reader.cursor(dead.seq);
        let Ok(Some(Found::Record(record))) = cursor.read() else { return None };
        if record.seq != dead.seq {
            return None;
        }
        dead_letter(&self.definition.name, consumer, &record, dead, &self.limits)
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
