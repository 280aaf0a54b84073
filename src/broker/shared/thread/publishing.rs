//! Messages of this broker's clients on their way to the backbone, and what of it may be confirmed.

use std::collections::VecDeque;
use std::sync::Arc;

use super::SharedThread;
use crate::broker::shared::backbone::{Outgoing, SharedContent, SharedMessage, ToBackbone};
use crate::broker::shared::content::{CLEARED, outgoing};
use crate::broker::streams::Append;
use crate::broker::sync::Instant;
use crate::codec::Batch;
use crate::protocol::Topic;

/// What was handed over and is not confirmed, in its order.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    /// The number of the last message that was given to the backbone.
    number: u64,
    /// Messages that were handed over together, ascending.
    waiting: VecDeque<Handed>,
}

/// Messages that were handed over together.
#[derive(Debug)]
struct Handed {
    op: u64,
    /// The number of the first.
    first: u64,
    messages: u64,
    /// Those of them that are not answered.
    left: Unanswered,
    bytes: usize,
    at: Instant,
    /// The memory that is claimed for them, until they are answered.
    _batch: Option<Arc<Batch>>,
}

/// Messages of some that were handed over together and are not answered, by their places. One that
/// is answered twice counts once.
#[derive(Debug)]
struct Unanswered {
    places: Box<[u64]>,
    count: u64,
}

impl Unanswered {
    fn of(messages: u64) -> Unanswered {
        let words = messages.div_ceil(u64::BITS.into());
        Unanswered { places: vec![u64::MAX; words as usize].into(), count: messages }
    }

    /// Notes an answer. Returns whether it is the first.
    fn answer(&mut self, place: u64) -> bool {
        let (word, bit) = ((place / 64) as usize, 1 << (place % 64));
        let Some(word) = self.places.get_mut(word).filter(|word| **word & bit != 0) else {
            return false;
        };
        *word &= !bit;
        self.count = self.count.saturating_sub(1);
        true
    }

    fn is_none(&self) -> bool {
        self.count == 0
    }
}

impl Publishing {
    /// The first thing that is not confirmed.
    pub(super) fn first_op(&self) -> Option<u64> {
        self.waiting.front().map(|handed| handed.op)
    }

    /// Since when the first of them waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.waiting.front().map(|handed| handed.at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What was handed over together with a message.
    fn of(&mut self, number: u64) -> Option<&mut Handed> {
        let at = self.waiting.partition_point(|handed| handed.first <= number).checked_sub(1)?;
        self.waiting.get_mut(at).filter(|handed| number < handed.first + handed.messages)
    }
}

impl SharedThread {
    /// Gives messages to the backbone.
    pub(super) fn publish(&mut self, op: u64, append: Append) {
        let Append { batch, selection, bytes, .. } = append;
        let places: Vec<usize> = selection.places(&batch).collect();
        self.hand(op, places.len() as u64, bytes, Some(batch.clone()));
        for index in places {
            self.publishing.number += 1;
            let number = self.publishing.number;
            let scratch = &mut self.scratch;
            match outgoing(&batch, index, scratch, &self.workspace, &self.limits) {
                Ok(message) => {
                    let id = batch.id(index).map(Into::into);
                    self.line.send(ToBackbone::Publish(Outgoing { number, id, message }));
                }
                Err(refusal) => self.give_up(number, &refusal.to_string()),
            }
        }
    }

    /// Asks the backbone to have all brokers forget a topic's last value.
    pub(super) fn clear(&mut self, op: u64, topic: Topic) {
        self.hand(op, 1, topic.as_str().len() + CLEARED, None);
        self.publishing.number += 1;
        let number = self.publishing.number;
        if self.unavailable().is_some() {
            // One that was refused must not be done when others have published meanwhile.
            let reason = format!("{topic} was to be cleared, and {}", self.reason);
            return self.give_up(number, &reason);
        }
        let message = SharedMessage { topic, content: SharedContent::Cleared };
        self.line.send(ToBackbone::Publish(Outgoing { number, id: None, message }));
    }

    fn hand(&mut self, op: u64, messages: u64, bytes: usize, batch: Option<Arc<Batch>>) {
        let first = self.publishing.number + 1;
        let at = Instant::now();
        let left = Unanswered::of(messages);
        let handed = Handed { op, first, messages, left, bytes, at, _batch: batch };
        self.publishing.waiting.push_back(handed);
    }

    /// Notes that a message is in the stream.
    pub(super) fn stored(&mut self, number: u64) {
        if let Some(handed) = self.publishing.of(number) {
            handed.left.answer(number - handed.first);
        }
        self.moved_at = Instant::now();
    }

    /// Notes that a message will never be.
    pub(super) fn give_up(&mut self, number: u64, reason: &str) {
        self.moved_at = Instant::now();
        let Some(handed) = self.publishing.of(number) else { return };
        if !handed.left.answer(number - handed.first) {
            return;
        }
        let op = handed.op;
        self.of_status(|status| status.refused());
        self.state.give_up(op, reason);
        tracing::warn!(
            stream = %self.state.name(),
            "a message is not in the shared stream, and was not confirmed: {reason}"
        );
    }

    /// Says what is confirmed: all that was handed over before the first thing that is not.
    pub(super) fn confirm(&mut self) {
        let (mut bytes, mut messages) = (0, 0);
        let waiting = &mut self.publishing.waiting;
        while waiting.front().is_some_and(|handed| handed.left.is_none())
            && let Some(handed) = waiting.pop_front()
        {
            bytes += handed.bytes;
            messages += handed.messages;
        }
        if messages > 0 {
            self.state.take_off(bytes, messages);
        }
        let before = |first: Option<u64>| first.map_or(self.op, |first| first.saturating_sub(1));
        let done = (before(self.publishing.first_op()), before(self.members.first_op()));
        if done != self.confirmed {
            self.confirmed = done;
            self.state.confirm(done.0, done.1);
        }
    }
}
