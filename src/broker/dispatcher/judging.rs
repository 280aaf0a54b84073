//! What clients may see, judged anew: when one logs in, and when the users or their rules change.
//!
//! A connection can have tens of thousands of subscriptions, and there can be thousands of
//! connections, so that is done in parts, between other events. Whoever changed the rules is told
//! when it is done: what is published from then on goes to nobody who may not see it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::vec;

use super::Dispatcher;
use crate::access::{ANONYMOUS, Policy, Right, User};
use crate::broker::client_id::{ClientId, Slot};
use crate::broker::event::RightLost;
use crate::broker::rights::Rights;
use crate::broker::sync::Sender;
use crate::protocol::{ErrorCode, Refusal, Reply, Token, TopicFilter};

/// Subscriptions that are judged in one step, and connections that are looked at: some tenths of a
/// millisecond.
const STEP: usize = 256;

/// Who is still to be judged.
#[derive(Debug, Default)]
pub(super) struct Judging {
    /// Changes of the policy, the oldest first.
    changes: VecDeque<Change>,
    /// What is left of clients whose rights are others than when they subscribed; each begins anew
    /// where its rights change once more.
    clients: HashMap<ClientId, Part>,
    /// These clients, by the numbers of their parts. One that has begun anew is here twice.
    turns: VecDeque<(u64, ClientId)>,
    numbers: u64,
}

/// Subscriptions of a client that are still to be judged.
#[derive(Debug)]
struct Part {
    number: u64,
    /// None before its first turn, so that there are not as many copies as clients.
    filters: Option<vec::IntoIter<Judged>>,
}

/// A subscription, and the name of its group where it is shared.
type Judged = (TopicFilter, Option<Arc<str>>);

/// A change of the policy that not everybody has heard of.
#[derive(Debug)]
struct Change {
    /// The connection that is looked at next.
    next: usize,
    /// When everybody has heard of it: the last part that has to be judged.
    last: Option<u64>,
    lost: Vec<RightLost>,
    done: Sender<Vec<RightLost>>,
}

impl Judging {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.clients.is_empty()
    }

    /// Whether subscriptions of a client are still to be judged.
    pub(super) fn has(&self, client: ClientId) -> bool {
        self.clients.contains_key(&client)
    }

    /// Clients that are to be judged, and turns.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.clients.len(), self.turns.len())
    }

    /// Judges what a client has subscribed to, from the beginning.
    fn begin(&mut self, client: ClientId) {
        self.numbers += 1;
        let number = self.numbers;
        self.clients.insert(client, Part { number, filters: None });
        self.turns.push_back((number, client));
    }

    /// The client whose turn it is, and what is left of it.
    fn next(&mut self) -> Option<(ClientId, Part)> {
        while let Some((number, client)) = self.turns.pop_front() {
            if self.clients.get(&client).is_some_and(|part| part.number == number) {
                return self.clients.remove(&client).map(|part| (client, part));
            }
        }
        None
    }

    /// Goes on with a client where it was left. The order of the parts is that of their numbers.
    fn put_back(&mut self, client: ClientId, part: Part) {
        self.turns.push_front((part.number, client));
        self.clients.insert(client, part);
    }

    /// Whether all parts up to this one were judged.
    fn is_behind(&mut self, last: u64) -> bool {
        while let Some((number, client)) = self.turns.front().copied() {
            if self.clients.get(&client).is_some_and(|part| part.number == number) {
                return number > last;
            }
            self.turns.pop_front();
        }
        true
    }
}

impl Dispatcher {
    /// Has users, and holds everybody to what theirs may.
    #[must_use]
    pub fn with_policy(mut self, policy: Option<Policy>) -> Dispatcher {
        self.policy = policy;
        self
    }

    /// The rights of a client as they are now: they may have been found before a change.
    pub(super) fn renewed(&self, rights: Rights) -> Rights {
        match (rights, &self.policy) {
            (Rights::Of(user), Some(policy)) => {
                policy.same_user(&user).map_or(Rights::Nothing, |user| Rights::Of(user.clone()))
            }
            (rights, _) => rights,
        }
    }

    pub(super) fn rights(&self, slot: Slot) -> Rights {
        let client = self.slots.get(slot as usize).and_then(Option::as_ref);
        client.map_or(Rights::Nothing, |client| client.rights.clone())
    }

    /// Makes a client another user, and says so. Where the broker has no users, everybody is
    /// welcome. Returns whether that is done: otherwise what the client sends next has to wait
    /// until its subscriptions were judged, so that it cannot have more judged than there are.
    pub(super) fn welcome(&mut self, slot: Slot, token: Token, user: Option<Arc<User>>) -> bool {
        let name = user.as_ref().map_or_else(|| ANONYMOUS.into(), |user| user.shared_name());
        if let Some(user) = user {
            match self.renewed(Rights::Of(user)) {
                Rights::Nothing => {
                    self.log_out(slot, &name);
                    return true;
                }
                rights => self.judge(slot, rights),
            }
        }
        let server = env!("CARGO_PKG_VERSION");
        let client = self.slots.get(slot as usize).and_then(Option::as_ref).map(|client| client.id);
        self.reply(slot, token, Reply::Welcome { user: name, server });
        !client.is_some_and(|client| self.judging.has(client))
    }

    /// Begins to hold everybody to another policy. Those who connect now are held to it already.
    pub(super) fn change_policy(&mut self, policy: Policy, done: Sender<Vec<RightLost>>) {
        self.policy = Some(policy);
        self.judging.changes.push_back(Change { next: 0, last: None, lost: Vec::new(), done });
    }

    /// Gives a client other rights, and begins to judge anew what it asked for with those that it
    /// had.
    fn judge(&mut self, slot: Slot, rights: Rights) {
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        if client.rights.is_same(&rights) {
            return;
        }
        if let Rights::Of(user) = &rights {
            self.snapshots.limit_to(slot, user.grant());
            self.clearings.limit_to(client.id, user.grant());
        }
        client.rights = rights;
        if client.subscription_count() > 0 {
            self.judging.begin(client.id);
        }
        self.judge_streams(slot);
    }

    /// Goes a step on with whoever is to be judged. Clients that log in again and again do not keep
    /// a change from coming to its end: everybody hears of it first, and then it waits for no part
    /// that has begun later.
    pub(super) fn go_on_judging(&mut self) {
        let mut left = STEP;
        while left > 0 {
            if let Some(mut change) = self.judging.changes.pop_front() {
                if change.next < self.slots.len() {
                    left -= 1;
                    self.hear_of(&mut change);
                    change.next += 1;
                    self.judging.changes.push_front(change);
                    continue;
                }
                let last = *change.last.get_or_insert(self.judging.numbers);
                if self.judging.is_behind(last) {
                    // Whoever asked may have stopped waiting.
                    let _ = change.done.send(change.lost);
                    continue;
                }
                self.judging.changes.push_front(change);
            }
            let Some((client, Part { number, filters })) = self.judging.next() else { break };
            let mut filters = filters.unwrap_or_else(|| self.filters_of(client));
            left = self.judge_some(client, &mut filters, left);
            if filters.len() > 0 && self.by_id.contains_key(&client) {
                self.judging.put_back(client, Part { number, filters: Some(filters) });
            }
        }
    }

    fn filters_of(&self, client: ClientId) -> vec::IntoIter<Judged> {
        let slot = self.by_id.get(&client);
        let client = slot.and_then(|slot| self.slots[*slot as usize].as_ref());
        let filters = client.map(|client| {
            let plain = client.filters.keys().map(|filter| (filter.clone(), None));
            let shared = client.more.memberships.iter();
            let shared = shared.map(|(name, one)| (one.filter.clone(), Some(name.clone())));
            plain.chain(shared).collect::<Vec<_>>()
        });
        filters.unwrap_or_default().into_iter()
    }

    /// Judges some subscriptions of a client. Returns how many more may be judged in this step.
    fn judge_some(
        &mut self,
        client: ClientId,
        filters: &mut vec::IntoIter<Judged>,
        mut left: usize,
    ) -> usize {
        let Some(&slot) = self.by_id.get(&client) else { return left };
        let rights = self.rights(slot);
        let mut has_changed = false;
        while left > 0
            && let Some((filter, group)) = filters.next()
        {
            left -= 1;
            if let Some(group) = group {
                self.judge_membership(slot, &rights, &group, filter);
                continue;
            }
            match rights.scope(Right::Subscribe, "subscribe to", filter.clone()) {
                Ok(scope) => {
                    has_changed |= self.subscriptions.limit(slot, &filter, scope.limit().cloned());
                }
                Err(refusal) => {
                    if self.subscriptions.remove(slot, &filter) {
                        has_changed = true;
                        self.end_subscription(slot, filter, refusal);
                    }
                }
            }
        }
        // While nobody's view of a filter is limited, all goes where it went.
        if has_changed {
            self.subscriptions_changed();
        }
        left
    }

    fn end_subscription(&mut self, slot: Slot, filter: TopicFilter, refusal: Refusal) {
        if let Some(Some(client)) = self.slots.get_mut(slot as usize) {
            client.forget_wish(&filter);
        }
        self.tell_lost(slot, filter, refusal);
    }

    /// Says that a subscription has ended because the right to it is lost.
    pub(super) fn tell_lost(&mut self, slot: Slot, filter: TopicFilter, refusal: Refusal) {
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        let (id, peer, token) = (client.id, client.peer, client.token);
        if let (Rights::Of(user), Some(change)) = (&client.rights, self.judging.changes.front_mut())
        {
            let user = user.shared_name();
            change.lost.push(RightLost { client: id, peer, user, filter: Some(filter) });
        }
        self.reply(slot, token, Reply::Error(refusal));
    }

    /// Tells the next connection of a change.
    fn hear_of(&mut self, change: &mut Change) {
        let slot = change.next as Slot;
        let Some(Some(client)) = self.slots.get(change.next) else { return };
        let (id, peer, rights) = (client.id, client.peer, client.rights.clone());
        let Rights::Of(before) = &rights else { return };
        let user = before.shared_name();
        match self.renewed(rights.clone()) {
            Rights::Nothing => {
                self.log_out(slot, &user);
                change.lost.push(RightLost { client: id, peer, user, filter: None });
            }
            rights => self.judge(slot, rights),
        }
    }

    /// Ends the connection of a user that there is no more.
    pub(super) fn log_out(&mut self, slot: Slot, user: &str) {
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        let reason = format!(
            "user {user:?} is not in the users file any more, or logs in another way; log in again"
        );
        let refusal = Refusal::new(ErrorCode::LoginRequired, reason);
        let (id, token) = (client.id, client.token);
        self.reply(slot, token, Reply::Error(refusal));
        // What its session has still sent is held to the limits, though nobody is told.
        if self.detach(slot).is_some() {
            self.cut_off.insert(id);
        }
    }
}
