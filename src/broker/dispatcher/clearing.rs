//! Forgetting last values: one, all that a filter names, and telling those who asked to be told.
//!
//! A filter may name millions, so that is done in steps, between other events. What the same client
//! sends meanwhile waits for it, so that its requests are answered in the order in which it made
//! them. A value that is published after the request is not forgotten.
//!
//! A filter costs what it names and not what the broker remembers: one without `+` that is not
//! looked through at once names many values, and each of them had to be published. One with `+` may
//! name none and still be long to look through, so such a one is refused.

use std::collections::VecDeque;
use std::sync::Arc;
use std::vec;

use super::Dispatcher;
use super::publish::Copies;
use crate::broker::client_id::{ClientId, Slot};
use crate::broker::delivery::Queued;
use crate::broker::event::Step;
use crate::broker::memory::Use;
use crate::broker::retained::{AHEAD, Marker, Tree};
use crate::broker::routing::Subscriptions;
use crate::codec::{Batch, Workspace};
use crate::protocol::{ErrorCode, Refusal, Reply, Token, Topic, TopicFilter};

/// Topics that are looked at together.
const STEP: usize = 1_024;
/// Connections that are told of them, all topics together.
const MOST_TOLD: usize = 4_096;

/// The filters whose values are being forgotten.
#[derive(Debug, Default)]
pub(super) struct Clearings(VecDeque<Clearing>);

/// A filter whose values are being forgotten.
#[derive(Debug)]
struct Clearing {
    client: ClientId,
    filter: TopicFilter,
    rest: Rest,
    /// The last publication that is forgotten.
    until: u64,
    /// What the client has sent meanwhile.
    waiting: VecDeque<(vec::IntoIter<Step>, Queued)>,
}

/// The values that are still to be forgotten.
#[derive(Debug)]
enum Rest {
    /// Those of few topics.
    Listed(vec::IntoIter<Topic>),
    /// Those behind a place in the order of publication.
    Behind(Marker),
    /// None; what has waited for it comes next.
    Nothing,
}

impl Clearings {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps what a client sends while it has to wait; gives it back where it need not.
    pub(super) fn hold_back(
        &mut self,
        client: ClientId,
        steps: vec::IntoIter<Step>,
        queued: Queued,
    ) -> Option<(vec::IntoIter<Step>, Queued)> {
        match self.0.iter_mut().find(|clearing| clearing.client == client) {
            Some(clearing) => {
                clearing.waiting.push_back((steps, queued));
                None
            }
            None => Some((steps, queued)),
        }
    }
}

impl Clearing {
    /// The topics of the next values to be forgotten, as many as are told of together; and whether
    /// these are the last.
    fn next(&mut self, tree: &mut Tree, subscriptions: &Subscriptions) -> (Vec<Topic>, bool) {
        let (mut topics, mut told) = (Vec::new(), 0);
        for looked_at in 0..STEP {
            if told >= MOST_TOLD {
                return (topics, false);
            }
            let topic = match &mut self.rest {
                Rest::Nothing => return (topics, true),
                Rest::Listed(listed) => {
                    let Some(topic) = listed.next() else { return (topics, true) };
                    tree.get(&topic)
                        .filter(|stored| stored.published() <= self.until)
                        .map(|_| topic)
                }
                Rest::Behind(marker) => {
                    if looked_at % AHEAD == 0 {
                        tree.approach_behind(marker);
                    }
                    let topic = match tree.behind(marker) {
                        None => return (topics, true),
                        // Somebody else's place.
                        Some(None) => None,
                        Some(Some(stored)) if stored.published() > self.until => {
                            return (topics, true);
                        }
                        Some(Some(stored)) => {
                            self.filter.matches(stored.topic()).then(|| stored.topic().to_topic())
                        }
                    };
                    tree.pass(marker);
                    topic
                }
            };
            if let Some(topic) = topic {
                told += told_of_clearing(subscriptions, &topic);
                topics.push(topic);
            }
        }
        (topics, false)
    }
}

/// Connections that are told if a topic is cleared.
pub(super) fn told_of_clearing(subscriptions: &Subscriptions, topic: &Topic) -> usize {
    if subscriptions.want_cleared() { subscriptions.cleared_routes(topic).len() } else { 0 }
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

    /// Begins to forget the values that a filter names, unless that is refused. Returns whether
    /// nothing is left to be waited for.
    pub(super) fn clear_below(
        &mut self,
        slot: Slot,
        client: ClientId,
        token: Token,
        filter: TopicFilter,
    ) -> bool {
        let rest = match self.tree.topics(&filter, STEP) {
            Some(topics) => Rest::Listed(topics.into_iter()),
            None if filter.has_wildcard() => {
                let reason = format!(
                    "with a \"+\" this filter means looking at more than {STEP} topics; clear a \
                     subtree (a/#), or topics one by one"
                );
                let refusal = Refusal::new(ErrorCode::TooLarge, reason).about(filter.as_str());
                self.reply(slot, token, Reply::Error(refusal));
                return true;
            }
            None => Rest::Behind(self.tree.mark()),
        };
        let (until, waiting) = (self.tree.published(), VecDeque::new());
        let clearing = Clearing { client, filter, rest, until, waiting };
        match self.go_on_with(clearing) {
            None => true,
            Some(clearing) => {
                self.clearings.0.push_back(clearing);
                false
            }
        }
    }

    /// Forgets some of what a filter names. Returns it if more is left.
    fn go_on_with(&mut self, mut clearing: Clearing) -> Option<Clearing> {
        let (topics, is_last) = clearing.next(&mut self.tree, &self.subscriptions);
        let cleared = topics.into_iter().filter(|topic| self.forget(topic)).collect();
        self.tell_cleared(cleared);
        if !is_last {
            return Some(clearing);
        }
        if let Rest::Behind(marker) = clearing.rest {
            self.tree.unmark(marker);
        }
        clearing.rest = Rest::Nothing;
        (!clearing.waiting.is_empty()).then_some(clearing)
    }

    /// Goes a step on with forgetting what a filter names.
    pub(super) fn go_on_clearing(&mut self) {
        let Some(mut clearing) = self.clearings.0.pop_front() else { return };
        if !matches!(clearing.rest, Rest::Nothing) {
            if let Some(clearing) = self.go_on_with(clearing) {
                self.clearings.0.push_back(clearing);
            }
            return;
        }
        // One event of those that have waited; another filter may be among its steps.
        if let Some((steps, queued)) = clearing.waiting.pop_front() {
            let before = self.clearings.0.len();
            self.take_steps(clearing.client, steps, queued);
            if self.clearings.0.len() > before
                && let Some(next) = self.clearings.0.back_mut()
            {
                next.waiting.extend(clearing.waiting);
                return;
            }
        }
        if !clearing.waiting.is_empty() {
            self.clearings.0.push_back(clearing);
        }
    }

    /// Tells the subscriptions that asked for it that these topics hold no value any more.
    pub(super) fn tell_cleared(&mut self, topics: Vec<Topic>) {
        if topics.is_empty() || !self.subscriptions.want_cleared() {
            return;
        }
        for (index, topic) in topics.iter().enumerate() {
            let routes = self.subscriptions.cleared_routes(topic);
            self.fanout.add(&routes, index);
        }
        let batch = Batch::of_cleared(topics);
        // It waits for nobody, so it takes memory whether there is some or not; then producers
        // wait, and connections that hold much let go.
        let claim = self.memory.of(Use::InFlight).account().charge(batch.weight());
        let mut batch = batch.holding(claim, Workspace::default());
        let recipients = self.fanout.take(&mut batch);
        let (batch, mut copies) = (Arc::new(batch), Copies::default());
        for recipient in recipients {
            self.deliver(&batch, &mut copies, recipient);
        }
        self.relieve();
    }
}
