//! Forgetting last values: one, all that a filter names, and telling those who asked to be told.
//!
//! A filter may name millions, so that is done in steps, between other events. What the same client
//! sends meanwhile waits for it, so that its requests are answered in the order in which it made
//! them; nobody else waits. A value that is published after the request is not forgotten.

use std::collections::VecDeque;
use std::sync::Arc;
use std::vec;

use super::Dispatcher;
use super::publish::Copies;
use crate::broker::client_id::ClientId;
use crate::broker::delivery::Queued;
use crate::broker::event::Step;
use crate::broker::retained::{AHEAD, Marker, Tree};
use crate::codec::Batch;
use crate::protocol::{Topic, TopicFilter};

/// Topics that are looked at together.
const STEP: usize = 1_024;
/// What these may cost beyond that: subscriptions that are told of them.
const MOST_TOLD: usize = 4_096;

/// The filters whose values are being forgotten.
#[derive(Debug, Default)]
pub(super) struct Clearings {
    all: VecDeque<Clearing>,
    /// Subscriptions that were told of the last topic that was cleared.
    told: usize,
}

/// A filter whose values are being forgotten.
#[derive(Debug)]
struct Clearing {
    client: ClientId,
    filter: TopicFilter,
    /// How far it has come; `None` when it is done, and what has waited for it comes next.
    marker: Option<Marker>,
    /// The last publication that is forgotten.
    until: u64,
    /// What the client has sent meanwhile.
    waiting: VecDeque<(vec::IntoIter<Step>, Queued)>,
}

impl Clearings {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Keeps what a client sends while it has to wait; gives it back where it need not.
    pub(super) fn hold_back(
        &mut self,
        client: ClientId,
        steps: vec::IntoIter<Step>,
        queued: Queued,
    ) -> Option<(vec::IntoIter<Step>, Queued)> {
        match self.all.iter_mut().find(|clearing| clearing.client == client) {
            Some(clearing) => {
                clearing.waiting.push_back((steps, queued));
                None
            }
            None => Some((steps, queued)),
        }
    }
}

impl Clearing {
    /// The topics of the next values to be forgotten, and whether these are the last.
    fn next(&self, tree: &mut Tree, marker: &Marker, most: usize) -> (Vec<Topic>, bool) {
        let mut topics = Vec::new();
        for looked_at in 0..STEP {
            if looked_at % AHEAD == 0 {
                tree.approach_behind(marker);
            }
            match tree.behind(marker) {
                None => return (topics, true),
                Some(Some(stored)) if stored.published() > self.until => return (topics, true),
                Some(Some(stored)) if self.filter.matches(stored.topic()) => {
                    topics.push(stored.topic().to_topic());
                    if topics.len() == most {
                        tree.pass(marker);
                        return (topics, false);
                    }
                }
                // Another place, or a value that stays.
                Some(_) => {}
            }
            tree.pass(marker);
        }
        (topics, false)
    }
}

impl Dispatcher {
    /// Forgets the last value of a topic. Returns whether there was one.
    pub(super) fn clear(&mut self, topic: &Topic) -> bool {
        let is_cleared = self.forget(topic);
        if is_cleared {
            self.tell_cleared(vec![topic.clone()]);
        }
        is_cleared
    }

    /// Forgets the last value of a topic, and tells nobody. Returns whether there was one.
    fn forget(&mut self, topic: &Topic) -> bool {
        let Some(before) = self.tree.clear(topic) else { return false };
        let bytes = before.weight();
        self.snapshots.keep(before);
        self.note_cleared(topic.name(), bytes);
        true
    }

    /// Begins to forget the values that a filter names. Returns whether that is done already.
    pub(super) fn clear_below(&mut self, client: ClientId, filter: TopicFilter) -> bool {
        if let Some(topics) = self.tree.topics(&filter, STEP)
            && topics.iter().map(|topic| self.told_of_clearing(topic)).sum::<usize>() <= MOST_TOLD
        {
            let cleared = topics.into_iter().filter(|topic| self.forget(topic)).collect();
            self.tell_cleared(cleared);
            return true;
        }
        let (marker, until) = (Some(self.tree.mark()), self.tree.published());
        let waiting = VecDeque::new();
        self.clearings.all.push_back(Clearing { client, filter, marker, until, waiting });
        false
    }

    /// Connections that are told if a topic is cleared.
    pub(super) fn told_of_clearing(&self, topic: &Topic) -> usize {
        if self.subscriptions.want_cleared() {
            self.subscriptions.cleared_routes(topic).len()
        } else {
            0
        }
    }

    /// Goes a step on with forgetting what a filter names.
    pub(super) fn go_on_clearing(&mut self) {
        let Some(mut clearing) = self.clearings.all.pop_front() else { return };
        if let Some(marker) = clearing.marker.take() {
            let most = MOST_TOLD / self.clearings.told.max(1);
            let (topics, is_last) = clearing.next(&mut self.tree, &marker, most.clamp(1, STEP));
            let cleared = topics.into_iter().filter(|topic| self.forget(topic)).collect();
            self.tell_cleared(cleared);
            if is_last {
                self.tree.unmark(marker);
            } else {
                clearing.marker = Some(marker);
            }
            self.clearings.all.push_back(clearing);
            return;
        }
        // One event of those that have waited; another filter may be among its steps.
        if let Some((steps, queued)) = clearing.waiting.pop_front() {
            let before = self.clearings.all.len();
            self.take_steps(clearing.client, steps, queued);
            if self.clearings.all.len() > before
                && let Some(next) = self.clearings.all.back_mut()
            {
                next.waiting.extend(clearing.waiting);
                return;
            }
        }
        if !clearing.waiting.is_empty() {
            self.clearings.all.push_back(clearing);
        }
    }

    /// Tells the subscriptions that asked for it that these topics hold no value any more.
    pub(super) fn tell_cleared(&mut self, topics: Vec<Topic>) {
        if topics.is_empty() || !self.subscriptions.want_cleared() {
            return;
        }
        for (index, topic) in topics.iter().enumerate() {
            let routes = self.subscriptions.cleared_routes(topic);
            self.clearings.told = routes.len();
            self.fanout.add(&routes, index);
        }
        let mut batch = Batch::of_cleared(topics);
        let recipients = self.fanout.take(&mut batch);
        let (batch, mut copies) = (Arc::new(batch), Copies::default());
        for recipient in recipients {
            self.deliver(&batch, &mut copies, recipient);
        }
    }
}
