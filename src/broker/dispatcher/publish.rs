//! Storing messages, and delivering them.

use std::sync::Arc;

use super::Dispatcher;
use super::sharing::Sharers;
use crate::broker::client_id::ClientId;
use crate::broker::cost::Extra;
use crate::broker::delivery::{Chosen, Leftover, Mailbox, Put, Queued, Selection, Undelivered};
use crate::broker::retained::{AHEAD, Prefetch, StoreLimits, Stored, Subtree, TopicId};
use crate::broker::routing::{Recipient, Route, RouteSet, Way};
use crate::broker::tenths::tenths;
use crate::codec::{Batch, BatchEntry};
use crate::protocol::{ErrorCode, Refusal, Reply, Token, TopicName};

/// Where the messages of a batch have gone so far.
struct Where {
    /// The routes of the last topic.
    routes: Arc<[Route]>,
    /// Their number, once there are any.
    set: Option<RouteSet>,
    /// Whether all messages before went along these.
    is_same: bool,
}

/// The messages of a batch that are neither stored nor delivered.
struct LeftOut<'a> {
    /// For each message, whether its streams have it already, or the backbone gets it; empty where
    /// that is none.
    repeated: &'a [bool],
    refused: &'a mut Vec<(Token, Refusal)>,
}

impl Dispatcher {
    /// Stores and delivers what one read of a client brought, and tells the client what was
    /// refused.
    pub(super) fn publish_for(&mut self, client: ClientId, batch: Box<Batch>, queued: &Queued) {
        let slot = self.by_id.get(&client).copied();
        // One that was cut off is told nothing any more, and is held to the limits all the same.
        let can_refuse = slot.is_some() || self.cut_off.contains(&client);
        self.publisher = slot;
        let refused = self.publish(batch, can_refuse);
        self.publisher = None;
        for (token, refusal) in refused {
            if let Some(slot) = slot {
                self.reply(slot, token, Reply::Error(refusal));
            }
        }
        self.note_touched(Some(client), queued);
    }

    /// Stores and delivers what one read brought. A message that the store has no room for is
    /// refused if the publisher can be told so, and stored otherwise: publishers learn that the
    /// store is full before they send more.
    pub(super) fn publish(
        &mut self,
        mut batch: Box<Batch>,
        can_refuse: bool,
    ) -> Vec<(Token, Refusal)> {
        let mut refused = Vec::new();
        let mut repeated =
            if self.streams.is_arriving { Vec::new() } else { self.streams.repeated(&batch) };
        let repetitions = repeated.iter().filter(|repeated| **repeated).count();
        let shares = self.share(&batch, &mut repeated, &mut refused);
        let left = repeated.iter().filter(|left_out| **left_out).count();
        let not_shared = refused.len();
        let left_out = LeftOut { repeated: &repeated, refused: &mut refused };
        let routes = self.route(&batch, can_refuse, left_out);
        let mut sharers = Sharers { groups: &mut self.groups, slots: &self.slots };
        let (recipients, selected) =
            sharers.recipients(&mut self.fanout, &mut batch, routes.as_deref());
        let no_room = refused.len() - not_shared;
        self.counts.repeated += repetitions as u64;
        self.counts.published += (batch.messages().len() - no_room - left) as u64;
        self.counts.store_refused += no_room as u64;
        self.note_room();
        let is_copied = |recipient: &&Recipient| matches!(recipient.route.way, Way::Latest(_));
        let copies = recipients.iter().filter(is_copied).map(|recipient| recipient.messages).sum();
        let extra = Extra {
            copies,
            copied_names: if copies > 0 { copies * mean_name(&batch) } else { 0 },
            selected,
            search: self.tree.take_search(),
        };
        batch.settle(recipients.len(), extra.cost());
        batch.publish_at(tenths);
        // A kilobyte is moved once, and not from call to call.
        let batch: Arc<Batch> = batch.into();
        self.hand_to_backbone(&batch, shares);
        let mut copies = Copies::default();
        for recipient in recipients {
            self.deliver(&batch, &mut copies, recipient);
        }
        refused
    }

    pub(super) fn deliver(
        &mut self,
        batch: &Arc<Batch>,
        copies: &mut Copies,
        recipient: Recipient,
    ) {
        if recipient.chosen.is_some() {
            return self.deliver_shared(batch, recipient);
        }
        let Recipient { route, selection, messages, .. } = recipient;
        if let Way::Stream(place) = route.way {
            return self.append(batch, place, selection, messages);
        }
        let Some(Some(client)) = self.slots.get_mut(route.slot as usize) else { return };
        let (Way::DropOldest(place) | Way::Latest(place)) = route.way else {
            return self.put_into_outbox(batch, route, None, selection, messages);
        };
        let Some(Some(mailbox)) = client.more.mailboxes.get(place as usize) else { return };
        let put = match route.way {
            Way::Latest(_) => put_latest(mailbox, batch, copies, &selection, messages),
            _ => mailbox.put(batch, selection, messages),
        };
        let announced = if put.announce { client.outbox.announce(mailbox) } else { Ok(()) };
        self.counts.deliver(route.dialect.format(), messages);
        self.counts.drop_messages(matches!(route.way, Way::Latest(_)), put.dropped);
        client.delivered += messages as u64;
        client.more.dropped += put.dropped;
        if let Err(why) = announced {
            self.let_go(route.slot, why);
        }
    }

    fn put_into_outbox(
        &mut self,
        batch: &Arc<Batch>,
        route: Route,
        chosen: Option<Arc<Chosen>>,
        selection: Selection,
        messages: usize,
    ) {
        let Some(Some(client)) = self.slots.get_mut(route.slot as usize) else { return };
        let is_own = self.publisher == Some(route.slot);
        match client.outbox.deliver(batch, (route.dialect, is_own, chosen), selection, messages) {
            Ok(()) => {
                self.counts.deliver(route.dialect.format(), messages);
                client.delivered += messages as u64;
                client.queued += messages as u64;
            }
            Err(why) => self.let_go(route.slot, why),
        }
    }

    /// Delivers to the member of a group that was chosen, and if it is gone by now, to others.
    /// Their writers write a message by itself that nobody wanted in their dialect before.
    fn deliver_shared(&mut self, batch: &Arc<Batch>, recipient: Recipient) {
        let mut others = self.try_to_deliver(batch, recipient);
        while let Some(recipient) = others.pop() {
            others.extend(self.try_to_deliver(batch, recipient));
        }
    }

    /// Delivers to the member of a group that was chosen. Returns who else is to get it, if it is
    /// gone.
    fn try_to_deliver(&mut self, batch: &Arc<Batch>, recipient: Recipient) -> Vec<Recipient> {
        let Recipient { route, chosen, selection, messages } = recipient;
        let client = self.slots.get(route.slot as usize).and_then(Option::as_ref);
        if client.is_some_and(|client| !client.outbox.is_left()) {
            self.put_into_outbox(batch, route, chosen, selection, messages);
            return Vec::new();
        }
        self.let_go(route.slot, Undelivered::Gone);
        let Some(chosen) = chosen else { return Vec::new() };
        let meant = selection.wanted(batch, route.dialect).map(|place| place as u32);
        let mut sharers = Sharers { groups: &mut self.groups, slots: &self.slots };
        sharers.choose(&chosen.group, batch, &Selection::Some(meant.collect()), false)
    }

    /// Delivers what a member of a group has left behind to others who have room for it: somebody
    /// who has none is not to end because another did.
    pub(super) fn hand_on(&mut self, Leftover { group, batch, places }: Leftover) {
        let mut sharers = Sharers { groups: &mut self.groups, slots: &self.slots };
        let selection = Selection::Some(places.into());
        for recipient in sharers.choose(&group, &batch, &selection, true) {
            self.deliver_shared(&batch, recipient);
        }
    }

    /// Stores the messages and finds out where they go. Where all go the same way it is returned;
    /// otherwise `selections` knows.
    fn route(
        &mut self,
        batch: &Batch,
        can_refuse: bool,
        LeftOut { repeated, refused }: LeftOut<'_>,
    ) -> Option<Arc<[Route]>> {
        let closed = can_refuse && !self.streams.is_arriving && self.streams.any_closed();
        let mut way = Where { routes: Arc::new([]), set: None, is_same: true };
        let mut last_topic = None;
        let mut place = None;
        let mut is_routed = false;
        let mut approach = Prefetch::default();
        // Whether any message of the batch can become the topic's last value, and there is one
        // already.
        let mut replaceable = false;
        let mut overtaken = 0;
        let (messages, topics) = (batch.messages(), batch.topics());
        let Some(mut topic) = messages.first().map(|message| topics.get(message.topic())) else {
            return Some(way.routes);
        };
        for (index, message) in messages.iter().enumerate() {
            if index % AHEAD == 0 && topics.len() > 1 {
                approach = self.approach(batch, index);
            }
            if last_topic != Some(message.topic()) {
                last_topic = Some(message.topic());
                self.count_overtaken(place, &mut overtaken);
                topic = topics.get(message.topic());
                place = self.tree.find_approached(message.topic(), topic, &approach);
                is_routed = false;
                replaceable = self.is_replaceable(batch, place, topic, can_refuse);
            }
            if repeated.get(index).is_some_and(|is_repeated| *is_repeated) {
                self.part_ways(&mut way, index);
                continue;
            }
            if closed && let Err(refusal) = self.streams.take(topic) {
                refused.push((message.token(), refusal));
                self.part_ways(&mut way, index);
                continue;
            }
            // The next message takes its place before anybody can ask for it.
            let is_overtaken = replaceable
                && !closed
                && repeated.is_empty()
                && messages
                    .get(index + 1)
                    .is_some_and(|next| next.retain() && next.topic() == message.topic());
            if is_overtaken && message.retain() {
                overtaken += 1;
            } else if message.retain()
                && let Err(refusal) = self.store(batch, index, topic, &mut place, can_refuse)
            {
                if self.streams.is_arriving {
                    self.cannot_remember(topic);
                } else {
                    refused.push((message.token(), refusal));
                    self.part_ways(&mut way, index);
                    continue;
                }
            }
            if !is_routed {
                is_routed = true;
                self.follow(&mut way, place, topic, index);
            }
            self.counts.published_in[message.format() as usize] += 1;
            if !way.is_same {
                self.fanout.add(&way.routes, index);
            }
        }
        self.count_overtaken(place, &mut overtaken);
        way.is_same.then_some(way.routes)
    }

    fn count_overtaken(&mut self, place: Option<TopicId>, overtaken: &mut u64) {
        if let Some(id) = place {
            self.tree.count(id, std::mem::take(overtaken));
        }
    }

    /// Approaches the topics of the messages from `index` on.
    fn approach(&self, batch: &Batch, index: usize) -> Prefetch {
        let messages = &batch.messages()[index..];
        let some = &messages[..messages.len().min(AHEAD)];
        let (Some(first), Some(last)) =
            (some.iter().map(BatchEntry::topic).min(), some.iter().map(BatchEntry::topic).max())
        else {
            return Prefetch::default();
        };
        if first == last {
            return Prefetch::default();
        }
        self.tree.approach(first, (first..=last).map(|topic| batch.topics().get(topic)))
    }

    /// Goes on along the routes of a topic, to which message `index` was published.
    fn follow(
        &mut self,
        way: &mut Where,
        place: Option<TopicId>,
        topic: TopicName<'_>,
        index: usize,
    ) {
        let set = self.tree.route_set(place, topic, &self.subscriptions);
        if way.set == Some(set) {
            return;
        }
        let routes = self.tree.routes(set).messages;
        if index > 0 && routes != way.routes {
            self.part_ways(way, index);
        }
        (way.routes, way.set) = (routes, Some(set));
    }

    /// Says that message `index` does not go where all before it went.
    fn part_ways(&mut self, way: &mut Where, index: usize) {
        if way.is_same {
            way.is_same = false;
            self.all_went(&way.routes, index);
        }
    }

    /// Says that the first `count` messages all went along these routes.
    fn all_went(&mut self, routes: &[Route], count: usize) {
        for message in 0..count {
            self.fanout.add(routes, message);
        }
    }

    /// Stores a message as its topic's last value.
    ///
    /// # Errors
    /// [`ErrorCode::StoreFull`] where there is no room, and the publisher can be told so.
    fn store(
        &mut self,
        batch: &Batch,
        index: usize,
        topic: TopicName<'_>,
        place: &mut Option<TopicId>,
        can_refuse: bool,
    ) -> Result<(), Refusal> {
        let (message, payload) = (&batch.messages()[index], batch.payload(index));
        let bytes = Stored::weight_of(payload);
        if can_refuse && !self.has_room(*place, topic, bytes, message.ttl().is_some()) {
            return Err(self.no_room(topic));
        }
        let before = if self.subtrees.is_empty() { None } else { self.tree.weight(*place) };
        if can_refuse && let Some(full) = self.subtrees.full(topic, before, bytes) {
            return Err(no_room_below(topic, full));
        }
        if let Some(checkpointer) = &mut self.checkpointer {
            match self.tree.held(*place) {
                None if can_refuse && checkpointer.is_behind() => return Err(disk_behind(topic)),
                Some(before) if checkpointer.is_under_way() => checkpointer.replace(before),
                _ => {}
            }
        }
        match *place {
            None => *place = Some(self.tree.store_new(topic, payload)),
            Some(id) => {
                let keep = self.snapshots.need(self.tree.held(*place));
                if let Some(before) = self.tree.store(id, payload, keep)
                    && keep
                {
                    self.snapshots.keep(before);
                }
            }
        }
        self.note_stored(topic, message.ttl(), before, bytes);
        Ok(())
    }

    /// Whether a topic holds a value, and any message of the batch may take its place.
    fn is_replaceable(
        &self,
        batch: &Batch,
        place: Option<TopicId>,
        topic: TopicName<'_>,
        can_refuse: bool,
    ) -> bool {
        // A QoS is a byte.
        let most = || batch.bytes().len() + batch.messages().len();
        self.subtrees.is_empty()
            && self.tree.weight(place).is_some()
            && (!can_refuse || !batch.has_properties() && self.has_room(place, topic, most(), true))
    }

    /// Whether a value of `bytes` may become a topic's last value, for a time or until the next.
    fn has_room(
        &self,
        place: Option<TopicId>,
        topic: TopicName<'_>,
        bytes: usize,
        expires: bool,
    ) -> bool {
        let expires = expires || self.subtrees.ttl(topic).is_some();
        let more = if expires { self.expiries.cost_of(topic) } else { 0 };
        let left = self.store.bytes.saturating_sub(self.expiries.cost() + more);
        // A value that is no longer than the one before has room, but when it expires may have
        // none.
        (more == 0 || self.tree.cost() <= left)
            && self.tree.has_room(place, topic, bytes, &StoreLimits { bytes: left, ..self.store })
    }

    fn no_room(&self, topic: TopicName<'_>) -> Refusal {
        let reason = format!(
            "the broker remembers {} values ({} bytes) and has no room for this one; clear topics \
             that are not \
             needed, publish with retain false, or ask for higher limits",
            self.tree.values(),
            self.stored_cost()
        );
        Refusal::new(ErrorCode::StoreFull, reason).about(topic.as_str())
    }
}

fn disk_behind(topic: TopicName<'_>) -> Refusal {
    let reason = "the broker's disk is behind and still has too many topics that were cleared; try \
    again later, or publish \
                  with retain false";
    Refusal::new(ErrorCode::StoreFull, reason).about(topic.as_str())
}

fn no_room_below(topic: TopicName<'_>, full: &Subtree) -> Refusal {
    let limits = [
        full.values.map(|values| format!("{values} values")),
        full.bytes.map(|bytes| format!("{bytes} bytes")),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let reason = format!(
        "the broker remembers {} of {} at most and has no room for this one; clear topics that are \
         not needed, publish \
         with a ttl or with retain false, or ask for a higher limit",
        limits.join(" and "),
        full.filter
    );
    Refusal::new(ErrorCode::StoreFull, reason).about(topic.as_str())
}

/// Messages of a batch that stand by themselves: one that waits for long in a mailbox must not keep
/// a whole batch alive. Each is copied when it is first needed, for all mailboxes.
#[derive(Default)]
pub(super) struct Copies(Vec<Option<Stored>>);

impl Copies {
    fn of(&mut self, batch: &Batch, index: usize) -> Stored {
        self.0.resize(batch.messages().len(), None);
        let copy = self.0[index].get_or_insert_with(|| {
            let published = &batch.messages()[index];
            if published.is_cleared() {
                return Stored::nothing(batch.topics().get(published.topic()));
            }
            Stored::new(batch.topics().get(published.topic()), batch.payload(index), 0)
        });
        copy.clone()
    }
}

/// Bytes of a topic's name, on average over the messages of a batch.
fn mean_name(batch: &Batch) -> usize {
    let names =
        batch.messages().iter().map(|message| batch.topics().get(message.topic()).as_str().len());
    names.sum::<usize>() / batch.messages().len().max(1)
}

/// Puts the messages of a batch into a mailbox that keeps the newest of each topic.
fn put_latest(
    mailbox: &Mailbox,
    batch: &Batch,
    copies: &mut Copies,
    selection: &Selection,
    messages: usize,
) -> Put {
    let mut put = Put::default();
    let mut one = |index: usize| {
        let this = mailbox.put_latest(copies.of(batch, index));
        put.announce |= this.announce;
        put.dropped += this.dropped;
    };
    match selection {
        Selection::Whole => (0..messages).for_each(one),
        Selection::Some(indices) => indices.iter().for_each(|index| one(*index as usize)),
    }
    put
}
