//! Forgetting last values: one, or all that a filter names.
//!
//! A filter may name millions, so that is done in steps, between other events. What the same client
//! sends meanwhile waits for it, so that its requests are answered in the order in which it made
//! them. A value that is published after the request is not forgotten.
//!
//! A filter costs what it names and not what the broker remembers: one without `+` that is not
//! looked through at once names many values, and each of them had to be published. One with `+` may
//! name none and still be long to look through, so such a one is refused.

use std::collections::{HashMap, VecDeque};
use std::vec;

use super::Dispatcher;
use crate::access::{Grant, Right};
use crate::broker::client_id::{ClientId, Slot};
use crate::broker::delivery::Queued;
use crate::broker::event::{Control, Step};
use crate::broker::retained::{AHEAD, Marker, Tree};
use crate::broker::rights::Scope;
use crate::protocol::{ErrorCode, Refusal, Reply, Token, Topic, TopicFilter};

/// Topics that are looked at together.
const STEP: usize = 1_024;

/// The clients that have to wait until what they asked for is done, of each one thing at a time.
#[derive(Debug, Default)]
pub(super) struct Clearings {
    of: HashMap<ClientId, Clearing>,
    /// The same clients, the one first whose turn is next.
    turns: VecDeque<ClientId>,
}

/// What a client waits for, and what waits with it.
#[derive(Debug, Default)]
struct Clearing {
    /// The values that are still to be forgotten.
    rest: Option<Rest>,
    /// What the client has sent meanwhile.
    waiting: VecDeque<(vec::IntoIter<Step>, Queued)>,
    /// Whether that was all, because its connection has ended.
    has_left: bool,
}

/// The values that a filter names and that are still to be forgotten.
#[derive(Debug)]
struct Rest {
    scope: Scope,
    values: Values,
    /// The last publication that is forgotten.
    until: u64,
}

#[derive(Debug)]
enum Values {
    /// Those of few topics.
    Listed(vec::IntoIter<Topic>),
    /// Those behind a place in the order of publication.
    Behind(Marker),
}

impl Clearings {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Keeps what a client sends while it has to wait; gives it back where it need not.
    pub(super) fn hold_back(
        &mut self,
        client: ClientId,
        steps: vec::IntoIter<Step>,
        queued: Queued,
    ) -> Option<(vec::IntoIter<Step>, Queued)> {
        match self.of.get_mut(&client) {
            Some(clearing) => {
                clearing.waiting.push_back((steps, queued));
                None
            }
            None => Some((steps, queued)),
        }
    }

    /// Notes that a client has left. Returns whether it had to wait: then it goes when all that it
    /// sent is done.
    pub(super) fn leave(&mut self, client: ClientId) -> bool {
        let clearing = self.of.get_mut(&client);
        clearing.map(|clearing| clearing.has_left = true).is_some()
    }

    /// Lets a client clear only what this grant lets it, from here on.
    pub(super) fn limit_to(&mut self, client: ClientId, grant: &Grant) {
        if let Some(rest) = self.of.get_mut(&client).and_then(|clearing| clearing.rest.as_mut()) {
            rest.scope.limit_to(Right::Publish, grant);
        }
    }

    /// Lets a client wait, which does not yet.
    fn begin(&mut self, client: ClientId, clearing: Clearing) {
        self.of.insert(client, clearing);
        self.turns.push_back(client);
    }

    /// Lets a client wait until its subscriptions were judged.
    pub(super) fn wait(&mut self, client: ClientId) {
        self.begin(client, Clearing::default());
    }

    /// Lets a client wait for its next turn with the steps of an event that are left.
    pub(super) fn hold_rest_back(
        &mut self,
        client: ClientId,
        steps: vec::IntoIter<Step>,
        queued: Queued,
    ) {
        let waiting = VecDeque::from([(steps, queued)]);
        self.begin(client, Clearing { waiting, ..Clearing::default() });
    }

    /// What a client waits for whose turn it is.
    fn next(&mut self) -> Option<(ClientId, Clearing)> {
        let client = self.turns.pop_front()?;
        Some((client, self.of.remove(&client)?))
    }

    /// Puts back what a client still waits for, behind what it began to wait for in this turn.
    /// Returns whether there is anything.
    fn put_back(&mut self, client: ClientId, mut clearing: Clearing) -> bool {
        if let Some(begun) = self.of.get_mut(&client) {
            begun.waiting.append(&mut clearing.waiting);
            begun.has_left = clearing.has_left;
            return true;
        }
        let is_left = clearing.rest.is_some() || !clearing.waiting.is_empty();
        if is_left {
            self.begin(client, clearing);
        }
        is_left
    }
}

impl Rest {
    /// The next topic whose value is to be forgotten, or a place where none is; `None` at the end.
    fn next(&mut self, tree: &mut Tree, is_far: bool) -> Option<Option<Topic>> {
        match &mut self.values {
            Values::Listed(listed) => {
                let topic = listed.next()?;
                let stored = tree.get(&topic).filter(|stored| stored.published() <= self.until);
                let is_allowed = self.scope.allows(topic.name());
                Some(stored.filter(|_| is_allowed).map(|_| topic))
            }
            Values::Behind(marker) => {
                if is_far {
                    tree.approach_behind(marker);
                }
                let topic = match tree.behind(marker)? {
                    // Somebody else's place.
                    None => None,
                    Some(stored) if stored.published() > self.until => return None,
                    Some(stored) => {
                        self.scope.covers(stored.topic()).then(|| stored.topic().to_topic())
                    }
                };
                tree.pass(marker);
                Some(topic)
            }
        }
    }
}

impl Dispatcher {
    /// Forgets the last value of a topic, and tells who wants to know. Returns whether there was
    /// one.
    pub(super) fn clear(&mut self, topic: &Topic) -> bool {
        let is_cleared = self.forget(topic);
        self.tell_gone();
        is_cleared
    }

    /// Forgets the last value of a topic; who wants to know is told [later](Self::tell_gone).
    /// Returns whether there was one.
    pub(super) fn forget(&mut self, topic: &Topic) -> bool {
        let told = self.notice_routes(topic);
        let Some(before) = self.tree.clear(topic) else { return false };
        let bytes = before.weight();
        self.snapshots.keep(before);
        self.note_cleared(topic.name(), bytes);
        self.note_gone(topic, told);
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
        let scope = match self.rights(slot).scope(Right::Publish, "clear", filter) {
            Ok(scope) => scope,
            Err(refusal) => {
                self.reply(slot, token, Reply::Error(refusal));
                return true;
            }
        };
        let filter = scope.filter();
        let values = match self.tree.topics(&scope, STEP) {
            Some(topics) => Values::Listed(topics.into_iter()),
            None if filter.has_wildcard() => {
                let reason = format!(
                    "with a \"+\" this filter means looking at more than {STEP} topics; clear a \
                     subtree (a/#), or topics one by one"
                );
                let refusal = Refusal::new(ErrorCode::TooLarge, reason).about(filter.as_str());
                self.reply(slot, token, Reply::Error(refusal));
                return true;
            }
            None => Values::Behind(self.tree.mark()),
        };
        let rest = self.go_on_with(Rest { scope, values, until: self.tree.published() });
        self.note_touched(Some(client), &Queued::nothing());
        let is_done = rest.is_none();
        if !is_done {
            self.clearings.begin(client, Clearing { rest, ..Clearing::default() });
        }
        is_done
    }

    /// Forgets some of what a filter names. Returns it if more is left.
    fn go_on_with(&mut self, mut rest: Rest) -> Option<Rest> {
        let mut is_last = false;
        for looked_at in 0..STEP {
            if self.notices.are_enough() {
                break;
            }
            match rest.next(&mut self.tree, looked_at % AHEAD == 0) {
                None => {
                    is_last = true;
                    break;
                }
                Some(None) => {}
                Some(Some(topic)) => drop(self.clear_or_share(&topic)),
            }
        }
        self.tell_gone();
        if !is_last {
            return Some(rest);
        }
        if let Values::Behind(marker) = rest.values {
            self.tree.unmark(marker);
        }
        None
    }

    /// Takes what one read of a client brought, up to what has to be waited for, or to what is
    /// enough for one step.
    pub(super) fn take_steps(
        &mut self,
        client: ClientId,
        mut steps: vec::IntoIter<Step>,
        queued: Queued,
    ) {
        while let Some(step) = steps.next() {
            if !matches!(step, Step::Clear(_)) {
                self.tell_gone();
            }
            match step {
                // Those that come together are told together.
                Step::Clear(topic) => {
                    self.clear_or_share(&topic);
                    self.note_touched(Some(client), &queued);
                }
                Step::Publish(batch) => self.publish_for(client, batch, &queued),
                Step::Settle(settle) => self.settle(client, *settle),
                Step::Control(token, control) => {
                    if !self.control(client, token, control) {
                        self.clearings.hold_back(client, steps, queued);
                        return;
                    }
                }
            }
            if self.notices.are_enough() && steps.len() > 0 {
                self.tell_gone();
                self.clearings.hold_rest_back(client, steps, queued);
                return;
            }
        }
        self.tell_gone();
    }

    /// Goes a step on with what a client waits for.
    pub(super) fn go_on_clearing(&mut self) {
        let Some((client, mut clearing)) = self.clearings.next() else { return };
        if self.judging.has(client) {
            return self.clearings.begin(client, clearing);
        }
        self.notices.begin_step();
        if let Some(rest) = clearing.rest.take() {
            clearing.rest = self.go_on_with(rest);
            self.note_touched(Some(client), &Queued::nothing());
        } else if let Some((steps, queued)) = clearing.waiting.pop_front() {
            // One event of those that have waited; another filter may be among its steps.
            let steps = if clearing.has_left { without_filters(steps) } else { steps };
            self.take_steps(client, steps, queued);
        }
        let has_left = clearing.has_left;
        if !self.clearings.put_back(client, clearing) && has_left {
            self.end(client);
        }
    }
}

/// The steps without the filters that are to be cleared: nobody waits any more.
fn without_filters(steps: vec::IntoIter<Step>) -> vec::IntoIter<Step> {
    let is_filter = |step: &Step| matches!(step, Step::Control(_, Control::ClearBelow { .. }));
    steps.filter(|step| !is_filter(step)).collect::<Vec<_>>().into_iter()
}
