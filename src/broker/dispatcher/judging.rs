//! What clients may see, judged anew: when one logs in, and when the users or their rules change.
//!
//! A connection can have tens of thousands of subscriptions, and there can be thousands of
//! connections, so that is done in parts, between other events. Whoever changed the rules is told
//! when it is done: what is published from then on goes to nobody who may not see it.

use std::collections::VecDeque;
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
    /// Clients whose rights are others than when they subscribed to these.
    clients: VecDeque<(ClientId, vec::IntoIter<TopicFilter>)>,
}

/// A change of the policy that not everybody has heard of.
#[derive(Debug)]
struct Change {
    /// The connection that is looked at next.
    next: usize,
    lost: Vec<RightLost>,
    done: Sender<Vec<RightLost>>,
}

impl Judging {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.clients.is_empty()
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
    /// welcome.
    pub(super) fn welcome(&mut self, slot: Slot, token: Token, user: Option<Arc<User>>) {
        let name = user.as_ref().map_or_else(|| ANONYMOUS.into(), |user| user.shared_name());
        if let Some(user) = user {
            match self.renewed(Rights::Of(user)) {
                Rights::Nothing => return self.log_out(slot, &name),
                rights => self.judge(slot, rights),
            }
        }
        let server = env!("CARGO_PKG_VERSION");
        self.reply(slot, token, Reply::Welcome { user: name, server });
    }

    /// Begins to hold everybody to another policy. Those who connect now are held to it already.
    pub(super) fn change_policy(&mut self, policy: Policy, done: Sender<Vec<RightLost>>) {
        self.policy = Some(policy);
        self.judging.changes.push_back(Change { next: 0, lost: Vec::new(), done });
    }

    /// Gives a client other rights, and begins to judge anew what it asked for with those that it
    /// had.
    fn judge(&mut self, slot: Slot, rights: Rights) {
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        if let Rights::Of(user) = &rights {
            self.snapshots.limit_to(slot, user.grant());
            self.clearings.limit_to(client.id, user.grant());
        }
        client.rights = rights;
        if !client.filters.is_empty() {
            let filters: Vec<TopicFilter> = client.filters.keys().cloned().collect();
            self.judging.clients.push_back((client.id, filters.into_iter()));
        }
    }

    /// Goes a step on with whoever is to be judged.
    pub(super) fn go_on_judging(&mut self) {
        let mut left = STEP;
        while left > 0 {
            if let Some((client, mut filters)) = self.judging.clients.pop_front() {
                left = self.judge_some(client, &mut filters, left);
                if left == 0 && filters.len() > 0 {
                    self.judging.clients.push_front((client, filters));
                }
            } else if let Some(mut change) = self.judging.changes.pop_front() {
                left -= 1;
                if change.next < self.slots.len() {
                    self.hear_of(&mut change);
                    change.next += 1;
                    self.judging.changes.push_front(change);
                } else {
                    // Whoever asked may have stopped waiting.
                    let _ = change.done.send(change.lost);
                }
            } else {
                break;
            }
        }
    }

    /// Judges some subscriptions of a client. Returns how many more may be judged in this step.
    fn judge_some(
        &mut self,
        client: ClientId,
        filters: &mut vec::IntoIter<TopicFilter>,
        mut left: usize,
    ) -> usize {
        let Some(&slot) = self.by_id.get(&client) else { return left };
        let rights = self.rights(slot);
        let mut has_changed = false;
        while left > 0
            && let Some(filter) = filters.next()
        {
            left -= 1;
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
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        client.forget_wish(&filter);
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
    fn log_out(&mut self, slot: Slot, user: &str) {
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        let reason = format!(
            "user {user:?} is not in the users file any more, or logs in another way; log in again"
        );
        let refusal = Refusal::new(ErrorCode::LoginRequired, reason);
        self.reply(slot, client.token, Reply::Error(refusal));
        self.detach(slot);
    }
}
