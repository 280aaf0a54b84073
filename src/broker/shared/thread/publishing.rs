//! Messages of this broker's clients on their way to the backbone, and what of it may be confirmed.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{SharedThread, TOGETHER};
use crate::broker::shared::backbone::{Outgoing, SharedContent, SharedMessage, ToBackbone};
use crate::broker::shared::content::{CLEARED, outgoing};
use crate::broker::streams::Append;
use crate::broker::sync::Instant;
use crate::codec::Batch;
use crate::protocol::Topic;

/// How much is given to the backbone before it answers: more than it has on its way. The rest stays
/// in its batches, where it takes less and is accounted for.
const GIVEN: usize = 8_192;
const GIVEN_BYTES: usize = 8 << 20;

/// What was handed over and is not confirmed, in its order.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    /// The number of the last message that was handed over.
    number: u64,
    /// Messages that were handed over together, ascending.
    waiting: VecDeque<Handed>,
    /// How many of these, from the first, were given to the backbone as a whole.
    whole: usize,
    /// Messages that the backbone has and has not answered, and about how many bytes they are.
    given: usize,
    given_bytes: usize,
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
    /// What they are. The memory of a batch is claimed until they are answered.
    what: Outbound,
    /// How many of them were given to the backbone.
    given: usize,
}

#[derive(Debug)]
enum Outbound {
    /// The messages at these places.
    Publish(Arc<Batch>, Box<[u32]>),
    Clear(Topic),
}

impl Handed {
    /// About how many bytes each of them is.
    fn bytes_of_one(&self) -> usize {
        self.bytes / usize::try_from(self.messages).unwrap_or(usize::MAX).max(1)
    }
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

    fn has_room(&self) -> bool {
        self.given < GIVEN && self.given_bytes < GIVEN_BYTES
    }

    /// Notes that a message is answered. Returns what it was handed over with.
    fn answered(&mut self, number: u64) -> Option<u64> {
        let at = self.waiting.partition_point(|handed| handed.first <= number).checked_sub(1)?;
        let handed = self.waiting.get_mut(at)?;
        if number >= handed.first + handed.messages {
            return None;
        }
        if !handed.left.answer(number - handed.first) {
            return None;
        }
        self.given = self.given.saturating_sub(1);
        self.given_bytes = self.given_bytes.saturating_sub(handed.bytes_of_one());
        Some(handed.op)
    }
}

impl SharedThread {
    /// Takes messages that are to go to the backbone.
    pub(super) fn publish(&mut self, op: u64, append: Append) {
        let Append { batch, selection, bytes, .. } = append;
        let places: Box<[u32]> = selection.places(&batch).map(|place| place as u32).collect();
        self.hand(op, places.len() as u64, bytes, Outbound::Publish(batch, places));
    }

    /// Asks the backbone to have all brokers forget a topic's last value.
    pub(super) fn clear(&mut self, op: u64, topic: Topic) {
        let bytes = topic.as_str().len() + CLEARED;
        if self.unavailable().is_some() {
            // One that was refused must not be done when others have published meanwhile.
            self.state.take_off(bytes, 1);
            self.state.refuse(op, &format!("{topic} is not cleared: {}", self.reason));
            return;
        }
        self.hand(op, 1, bytes, Outbound::Clear(topic));
    }

    fn hand(&mut self, op: u64, messages: u64, bytes: usize, what: Outbound) {
        let (first, at) = (self.publishing.number + 1, Instant::now());
        self.publishing.number += messages;
        let left = Unanswered::of(messages);
        let handed = Handed { op, first, messages, left, bytes, at, what, given: 0 };
        self.publishing.waiting.push_back(handed);
    }

    /// Gives the backbone as much as it may have, in its order.
    pub(super) fn give(&mut self) {
        let mut together = Vec::new();
        while self.publishing.has_room()
            && let Some(handed) = self.publishing.waiting.get_mut(self.publishing.whole)
        {
            let number = handed.first + handed.given as u64;
            let outgoing = match &handed.what {
                Outbound::Clear(_) if handed.given > 0 => None,
                Outbound::Clear(topic) => {
                    let topic = topic.clone();
                    let message = SharedMessage { topic, content: SharedContent::Cleared };
                    Some(Ok(Outgoing { number, id: None, message }))
                }
                Outbound::Publish(batch, places) => places.get(handed.given).map(|place| {
                    let (index, scratch) = (*place as usize, &mut self.scratch);
                    let written = outgoing(batch, index, scratch, &self.workspace, &self.limits);
                    let id = batch.id(index).map(Into::into);
                    written.map(|message| Outgoing { number, id, message })
                }),
            };
            let Some(outgoing) = outgoing else {
                self.publishing.whole += 1;
                continue;
            };
            handed.given += 1;
            self.publishing.given_bytes += handed.bytes_of_one();
            self.publishing.given += 1;
            match outgoing {
                Ok(outgoing) => together.push(outgoing),
                Err(refusal) => self.give_up(number, &refusal.to_string()),
            }
            if together.len() >= TOGETHER {
                self.line.send(ToBackbone::Publish(std::mem::take(&mut together)));
            }
        }
        if !together.is_empty() {
            self.line.send(ToBackbone::Publish(together));
        }
    }

    /// Notes that messages are in the stream.
    pub(super) fn stored(&mut self, numbers: &[u64]) {
        self.moved_at = Instant::now();
        for number in numbers {
            self.publishing.answered(*number);
        }
    }

    /// Notes that a message will never be.
    pub(super) fn give_up(&mut self, number: u64, reason: &str) {
        self.moved_at = Instant::now();
        let Some(op) = self.publishing.answered(number) else { return };
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
        while self.publishing.waiting.front().is_some_and(|handed| handed.left.is_none())
            && let Some(handed) = self.publishing.waiting.pop_front()
        {
            bytes += handed.bytes;
            messages += handed.messages;
            self.publishing.whole = self.publishing.whole.saturating_sub(1);
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
