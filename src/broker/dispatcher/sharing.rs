//! Connections that share subscriptions: who joins and leaves a group, and which of its members
//! gets which messages.

use std::sync::Arc;

use super::Dispatcher;
use super::client::{Client, Membership};
use crate::access::Right;
use crate::broker::client_id::{ClientId, Slot};
use crate::broker::delivery::{Chosen, Selection};
use crate::broker::rights::Rights;
use crate::broker::routing::{
    Fanout, Given, Groups, Member, Recipient, Route, Subscription, Way, share_equally,
};
use crate::broker::small_map::SmallMap;
use crate::codec::{Batch, Dialect};
use crate::protocol::{ErrorCode, Refusal, Reply, Token, TopicFilter};

/// The groups, and the connections that are their members.
pub(super) struct Sharers<'a> {
    pub(super) groups: &'a mut Groups,
    pub(super) slots: &'a [Option<Box<Client>>],
}

impl Sharers<'_> {
    /// Tells a batch what is wanted of it, and returns who gets what, and how many messages were
    /// chosen one by one: all go along these routes, or where there are none, as the fan-out has
    /// it. What goes to a group goes to its members.
    pub(super) fn recipients(
        &mut self,
        fanout: &mut Fanout,
        batch: &mut Batch,
        routes: Option<&[Route]>,
    ) -> (Vec<Recipient>, usize) {
        let is_group = |route: &&Route| route.way == Way::Group;
        match routes {
            Some(routes) => {
                if self.groups.is_empty() || !routes.iter().any(|route| is_group(&route)) {
                    return (share_equally(batch, routes), 0);
                }
                for route in routes.iter().filter(is_group) {
                    self.give(fanout, route.slot, batch, &Selection::Whole);
                }
            }
            None if self.groups.is_empty() => {}
            None => {
                for (group, messages) in fanout.take_groups() {
                    self.give(fanout, group, batch, &Selection::Some(messages.into()));
                }
            }
        }
        let recipients = fanout.take(batch, routes.unwrap_or_default());
        let is_chosen = |recipient: &&Recipient| routes.is_none() || recipient.chosen.is_some();
        let selected = recipients.iter().filter(is_chosen).map(|recipient| recipient.messages);
        let selected = selected.sum();
        (recipients, selected)
    }

    /// Who of a group gets messages that somebody else was to get. Where they need room, they go to
    /// nobody who has none.
    pub(super) fn choose(
        &mut self,
        group: &Arc<str>,
        batch: &Batch,
        selection: &Selection,
        needs_room: bool,
    ) -> Vec<Recipient> {
        let Some(slot) = self.groups.find(group) else { return Vec::new() };
        let given = self.divide(slot, batch, selection, needs_room);
        given.into_iter().map(Recipient::of_group).collect()
    }

    fn give(&mut self, fanout: &mut Fanout, group: Slot, batch: &Batch, selection: &Selection) {
        let given = self.divide(group, batch, selection, false);
        given.into_iter().for_each(|given| fanout.give(given));
    }

    fn divide(
        &mut self,
        group: Slot,
        batch: &Batch,
        selection: &Selection,
        needs_room: bool,
    ) -> Vec<Given> {
        let (all, topics, slots) = (batch.messages(), batch.topics(), self.slots);
        let messages = match selection {
            Selection::Whole => all.len(),
            Selection::Some(places) => places.len(),
        };
        let weight = batch.weight();
        let named = |place: usize| (place as u32, topics.get(all[place].topic()));
        let has_room = |slot| {
            let client: Option<&Client> = slots.get(slot as usize).and_then(Option::as_deref);
            client.is_some_and(|client| client.outbox.has_room(messages, weight))
        };
        let messages = selection.places(batch).map(named);
        self.groups.divide(group, messages, has_room, needs_room)
    }
}

impl Dispatcher {
    /// Makes a connection a member of a group.
    pub(super) fn join(
        &mut self,
        slot: Slot,
        token: Token,
        (name, filter): (Arc<str>, TopicFilter),
        (dialect, mark): (Dialect, u64),
    ) {
        let scope = self.rights(slot).scope(Right::Subscribe, "subscribe to", filter.clone());
        let scope = match scope {
            Ok(scope) => scope,
            Err(refusal) => return self.reply(slot, token, Reply::Error(refusal.about(&*name))),
        };
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        (client.format, client.token) = (dialect.format(), token);
        let room = self.subscriptions.has_room_for(slot, &filter);
        let room =
            room.and_then(|()| client.has_room_to_join(&name, &filter, self.max_subscriptions));
        let claim = match room {
            Ok(claim) => claim,
            Err(reason) => {
                let refusal = Refusal::new(ErrorCode::TooManySubscriptions, reason).about(&*name);
                return self.reply(slot, token, Reply::Error(refusal));
            }
        };
        let group = self.groups.find(&name).unwrap_or_else(|| self.found_group(&filter));
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        let is_away = client.is_away;
        if client.join(&name, group, (&filter, dialect), claim) {
            self.subscriptions.note_member(slot, &filter);
        }
        let limited = scope.limit().is_some();
        let chosen = Arc::new(Chosen { group: name.clone(), mark });
        let member = Member { slot, dialect, chosen };
        self.groups.join(group, (&name, &filter), member, scope.limit().cloned());
        if is_away {
            // It has asked before it went, and had to wait.
            self.groups.set_away(group, slot, true);
        }
        let subscribed = Reply::Subscribed { topic: filter, values: 0, limited, kept: None };
        self.reply(slot, token, subscribed);
    }

    /// Makes room for a new group: from now on its messages come to the slot that is returned.
    fn found_group(&mut self, filter: &TopicFilter) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as Slot
        });
        self.subscriptions.add(Subscription {
            slot,
            filter: filter.clone(),
            // Each member has its own.
            dialect: Dialect::Json,
            way: Way::Group,
            cleared: true,
            limit: None,
        });
        self.subscriptions_changed();
        slot
    }

    /// Takes a connection out of a group.
    pub(super) fn quit(&mut self, slot: Slot, group: &str) {
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        if let Some(Membership { group, filter, .. }) = client.quit(group) {
            self.end_membership(slot, group, &filter);
        }
    }

    /// Takes a connection out of all its groups.
    pub(super) fn quit_all(&mut self, slot: Slot) {
        if let Some(Some(client)) = self.slots.get_mut(slot as usize) {
            let memberships = client.take_memberships();
            self.end_memberships(slot, memberships);
        }
    }

    /// Takes a connection that has ended out of its groups. They are few, and from here on it is
    /// chosen for nothing.
    pub(super) fn end_memberships(
        &mut self,
        slot: Slot,
        memberships: SmallMap<Arc<str>, Membership>,
    ) {
        for (_, Membership { group, filter, .. }) in memberships {
            self.end_membership(slot, group, &filter);
        }
    }

    fn end_membership(&mut self, slot: Slot, group: Slot, filter: &TopicFilter) {
        self.subscriptions.forget_member(slot, filter);
        if let Some(filter) = self.groups.quit(group, slot) {
            self.subscriptions.remove(group, &filter);
            self.free.push(group);
            self.subscriptions_changed();
        }
    }

    /// Notes that a client is away, or back.
    pub(super) fn set_away(&mut self, client: ClientId, is_away: bool) {
        let Some(&slot) = self.by_id.get(&client) else { return };
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        client.is_away = is_away;
        for membership in client.more.memberships.values() {
            self.groups.set_away(membership.group, slot, is_away);
        }
    }

    /// Judges anew whether a connection may be in a group, and what of it it may see.
    pub(super) fn judge_membership(
        &mut self,
        slot: Slot,
        rights: &Rights,
        name: &Arc<str>,
        filter: TopicFilter,
    ) {
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        let Some(&Membership { group, .. }) = client.more.memberships.get(name) else { return };
        match rights.scope(Right::Subscribe, "subscribe to", filter.clone()) {
            Ok(scope) => self.groups.limit(group, slot, scope.limit().cloned()),
            Err(refusal) => {
                self.quit(slot, name);
                self.tell_lost(slot, filter, refusal.about(&**name));
            }
        }
    }
}
