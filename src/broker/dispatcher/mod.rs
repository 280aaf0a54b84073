//! The one owner of topics and subscriptions.
//!
//! It never waits for a subscriber and never touches a socket: it reads events, moves
//! reference-counted payloads and puts them into outboxes.

mod clearing;
mod client;
mod clients;
mod cooling;
mod judging;
mod leaving;
mod memory;
mod notices;
mod pressure;
mod publish;
mod report;
mod run;
mod sharing;
mod streams;
mod subscribe;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::client_id::{ClientId, Slot};
use super::event::{Control, Event, Query, SubscriptionInfo};
use super::memory::{Memory, Use};
use super::peer::Peer;
use super::rights::{Rights, Scope};
use crate::access::{Policy, Right};
use crate::broker::delivery::{Delivery, Full, Outbox, Piece, Undelivered};
use crate::broker::persist::Checkpointer;
use crate::broker::retained::{
    Expiries, MAX_SNAPSHOTS, Snapshots, StoreLimits, Subtree, Subtrees, TooMany, Tree,
};
use crate::broker::routing::{Fanout, Groups, Subscription, Subscriptions, Way};
use crate::broker::stats::{Counters, Counts};
use crate::broker::sync::{Receiver, Sender};
use crate::codec::Dialect;
use crate::protocol::{
    DEFAULT_MAX_SUBSCRIPTIONS, ErrorCode, Refusal, Reply, Token, Topic, TopicFilter,
};
use clearing::Clearings;
use client::Client;
pub use clients::CLIENTS_TOGETHER;
use cooling::Cooling;
use judging::Judging;
use leaving::Leaving;
use notices::Notices;
use pressure::Pressure;
use streams::Streams;
pub use streams::StreamsPlan;
use subscribe::How;

/// Topics that an answer may look at on the spot; what takes more is read between other events.
const ON_THE_SPOT: usize = 1_024;
/// One part of the broker's memory in so many may be routes of topics.
const ROUTES_PART: usize = 32;

/// The topic map, the subscriptions, and who is connected.
#[derive(Debug)]
pub struct Dispatcher {
    tree: Tree,
    snapshots: Snapshots,
    subscriptions: Subscriptions,
    groups: Groups,
    slots: Vec<Option<Box<Client>>>,
    free: Vec<Slot>,
    by_id: HashMap<ClientId, Slot>,
    /// Connections that were cut off and whose sessions still read.
    cut_off: HashSet<ClientId>,
    /// Subscriptions of connections that have ended.
    leaving: Leaving,
    cooling: Cooling,
    pressure: Pressure,
    fanout: Fanout,
    counts: Counts,
    /// Where it says how long it takes.
    counters: Arc<Counters>,
    store: StoreLimits,
    memory: Memory,
    subtrees: Subtrees,
    expiries: Expiries,
    /// None where memory ends with the process.
    checkpointer: Option<Checkpointer>,
    clearings: Clearings,
    notices: Notices,
    /// None where there are no users.
    policy: Option<Policy>,
    judging: Judging,
    streams: Streams,
    /// The connection whose messages are being delivered, if it can receive.
    publisher: Option<Slot>,
    max_subscriptions: usize,
    store_full: Arc<AtomicBool>,
    shapes: Arc<AtomicUsize>,
}

impl Default for Dispatcher {
    fn default() -> Dispatcher {
        Dispatcher::new(StoreLimits::default(), DEFAULT_MAX_SUBSCRIPTIONS)
    }
}

impl Dispatcher {
    /// A dispatcher that knows nothing yet, and grants each connection `max_subscriptions`.
    pub fn new(store: StoreLimits, max_subscriptions: usize) -> Dispatcher {
        Dispatcher {
            tree: Tree::default(),
            snapshots: Snapshots::default(),
            subscriptions: Subscriptions::default(),
            groups: Groups::default(),
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            cut_off: HashSet::new(),
            leaving: Leaving::default(),
            cooling: Cooling::default(),
            pressure: Pressure::default(),
            fanout: Fanout::default(),
            counts: Counts::default(),
            counters: Arc::default(),
            store,
            memory: Memory::unlimited(),
            subtrees: Subtrees::default(),
            expiries: Expiries::default(),
            checkpointer: None,
            clearings: Clearings::default(),
            notices: Notices::default(),
            policy: None,
            judging: Judging::default(),
            streams: Streams::default(),
            publisher: None,
            max_subscriptions,
            store_full: Arc::default(),
            shapes: Arc::default(),
        }
    }

    /// Adds rules for parts of the topic tree, before anything is published.
    #[must_use]
    pub fn with_subtrees(mut self, subtrees: Vec<Subtree>) -> Dispatcher {
        self.subtrees = Subtrees::new(subtrees);
        self
    }

    /// Draws on a broker's budget of memory, before anything is published.
    #[must_use]
    pub fn with_memory(mut self, memory: Memory) -> Dispatcher {
        self.store.bytes = self.store.bytes.min(memory.of(Use::Stored).limit());
        self.tree.remember_routes(memory.total() / ROUTES_PART);
        self.snapshots = Snapshots::new(memory.of(Use::Snapshots));
        self.memory = memory;
        self
    }

    /// Counts in a broker's counters, before anything is published or a store is read.
    #[must_use]
    pub fn with_counters(mut self, counters: Arc<Counters>) -> Dispatcher {
        self.counters = counters;
        self
    }

    /// Whether there is no room for another last value. While it is so, publishers need a way to be
    /// told that they were refused; what they sent before they could know it is stored all the
    /// same.
    pub fn store_full(&self) -> Arc<AtomicBool> {
        self.store_full.clone()
    }

    /// How many shapes of filters there are: what a topic is held against when its routes are not
    /// known.
    pub fn shapes(&self) -> Arc<AtomicUsize> {
        self.shapes.clone()
    }

    /// Takes in one event.
    pub fn step(&mut self, event: Event) {
        match event {
            Event::Attach { client, peer, rights, outbox } => {
                self.attach(client, peer, rights, outbox);
            }
            Event::Steps { client, steps, queued } => {
                self.notices.begin_step();
                if let Some((steps, queued)) =
                    self.clearings.hold_back(client, steps.into_iter(), queued)
                {
                    self.take_steps(client, steps, queued);
                }
            }
            Event::Detach { client } => {
                // What it sent before is done, and answered, before it goes.
                if !self.clearings.leave(client) {
                    self.end(client);
                }
            }
            Event::Retire { client, leftovers } => return self.retire(client, *leftovers),
            Event::Rejoin { client, peer } => {
                let slot = self.by_id.get(&client).copied();
                if let Some(Some(client)) = slot.and_then(|slot| self.slots.get_mut(slot as usize))
                {
                    client.peer = peer;
                }
                self.set_away(client, false);
            }
            Event::Away { client } => {
                if let Some(&slot) = self.by_id.get(&client) {
                    self.leave_streams(slot, |_| true);
                }
                self.set_away(client, true);
            }
            Event::Wake { client } => {
                if let Some(&slot) = self.by_id.get(&client) {
                    self.send(slot, Delivery::Wake);
                }
            }
            Event::Pressure => self.relieve(),
            Event::Query(query) => self.answer(query),
            Event::Stream(said) => self.hear(said),
        }
        self.relieve_queues();
        self.stop_falling_behind();
    }

    fn attach(&mut self, id: ClientId, peer: Peer, rights: Rights, mut outbox: Outbox) {
        self.cooling.watch(&mut outbox);
        let was_user = rights.user().map(|user| user.shared_name());
        let rights = self.renewed(rights);
        let account = self.memory.of(Use::Connections).account();
        let mut client = Client::new(id, peer, rights.clone(), outbox, account);
        if let Some(touched) = self.streams.silent.remove(&id) {
            client.more.touched = touched;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(Box::new(client));
                slot
            }
            None => {
                self.slots.push(Some(Box::new(client)));
                (self.slots.len() - 1) as Slot
            }
        };
        let is_gone = matches!(rights, Rights::Nothing);
        self.by_id.insert(id, slot);
        if let Some(user) = was_user.filter(|_| is_gone) {
            self.log_out(slot, &user);
        }
    }

    /// Ends a connection that has sent its last.
    fn end(&mut self, client: ClientId) {
        self.cut_off.remove(&client);
        self.streams.silent.remove(&client);
        if let Some(&slot) = self.by_id.get(&client) {
            self.detach(slot);
        }
    }

    fn detach(&mut self, slot: Slot) -> Option<Box<Client>> {
        let mut client = self.slots.get_mut(slot as usize)?.take()?;
        self.snapshots.end(&mut self.tree, slot);
        self.by_id.remove(&client.id);
        if let Some(more) = client.more.made() {
            self.end_consuming(std::mem::take(&mut more.consuming));
        }
        self.end_memberships(slot, client.take_memberships());
        self.leave(slot, &mut client);
        Some(client)
    }

    fn subscriptions_changed(&mut self) {
        self.tree.forget_routes();
        self.shapes.store(self.subscriptions.shapes(), Ordering::Relaxed);
    }

    /// Goes on with one of the answers that are too long to be given at once.
    fn go_on_with_snapshots(&mut self) {
        self.counts.snapshot_values += self.snapshots.step(&mut self.tree) as u64;
        self.stop_falling_behind();
    }

    /// Ends a connection that nothing can be delivered to.
    fn let_go(&mut self, slot: Slot, why: Undelivered) {
        match why {
            Undelivered::Full(full) => self.cut_off(slot, full),
            Undelivered::NoMemory => self.forgo(slot),
            Undelivered::Gone => drop(self.detach(slot)),
        }
    }

    /// Says that an answer is not given because there is no memory for it.
    fn forgo(&mut self, slot: Slot) {
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        let reason = "the broker has no memory left for this answer; ask again later, or for less";
        let refusal = Refusal::new(ErrorCode::MemoryFull, reason);
        self.reply(slot, client.token, Reply::Error(refusal));
    }

    /// Begins an answer that is too long to be given at once. Where the connection has asked for
    /// more of them than it has read, it is ended; where all together have, the one that has asked
    /// for most is ended, and if that is nobody, the answer is not given.
    fn begin_snapshot(&mut self, slot: Slot, scope: &Scope) -> Option<Receiver<Piece>> {
        loop {
            match self.snapshots.begin(&mut self.tree, slot, scope.clone()) {
                Ok(pieces) => return Some(pieces),
                Err(TooMany::While(other)) => {
                    self.end_snapshots(other, Full { messages: MAX_SNAPSHOTS, bytes: 0 })
                }
                Err(TooMany::OfThisConnection) => {
                    self.cut_off(slot, Full { messages: MAX_SNAPSHOTS, bytes: 0 });
                    return None;
                }
                Err(TooMany::OfAll) => {
                    self.forgo(slot);
                    return None;
                }
            }
        }
    }

    /// Cuts off who reads long answers so slowly that more is kept for them than there is memory
    /// for.
    fn stop_falling_behind(&mut self) {
        while self.snapshots.is_over()
            && let Some(slot) = self.snapshots.furthest_behind()
        {
            let (messages, bytes) = self.snapshots.kept();
            self.end_snapshots(slot, Full { messages, bytes });
        }
    }

    fn end_snapshots(&mut self, slot: Slot, full: Full) {
        self.snapshots.end(&mut self.tree, slot);
        self.cut_off(slot, full);
    }

    /// Ends a connection that does not keep up, and tells it why.
    fn cut_off(&mut self, slot: Slot, Full { messages, bytes }: Full) {
        self.cut_off_because(
            slot,
            format!(
                "this subscriber is {messages} messages ({bytes} bytes) behind and its queue is \
                 full; \
                 read faster, subscribe to less, or subscribe with overflow drop-oldest or latest"
            ),
        );
    }

    /// Ends a connection as a slow consumer.
    fn cut_off_because(&mut self, slot: Slot, reason: String) {
        if self.end_with(slot, ErrorCode::SlowConsumer, reason) {
            self.counts.slow_consumers += 1;
        }
    }

    /// Ends a connection with a last word in the place of what waits for it. Returns whether it was
    /// there.
    fn end_with(&mut self, slot: Slot, code: ErrorCode, reason: String) -> bool {
        let Some(client) = self.detach(slot) else { return false };
        self.cut_off.insert(client.id);
        let refusal = Refusal::new(code, reason);
        let last = Delivery::Reply { reply: Reply::Error(refusal), token: client.token };
        self.leaving.discard(client.outbox.overflow(last));
        true
    }

    /// Does what is asked. Returns whether it is done: otherwise what follows has to wait.
    fn control(&mut self, client: ClientId, token: Token, control: Control) -> bool {
        // A control is answered, so its session attached an outbox before; a client without one was
        // cut off, and what it still asks is void.
        let Some(&slot) = self.by_id.get(&client) else { return true };
        match control {
            Control::ClearBelow { filter } => {
                return self.clear_below(slot, client, token, filter);
            }
            Control::Subscribe {
                filter,
                dialect,
                names,
                overflow,
                queue,
                cleared,
                values,
                durable,
            } => {
                let how = How { dialect, names, token, overflow, queue, cleared, values };
                match durable {
                    None => self.subscribe(slot, filter, how),
                    Some(durable) => self.consume(slot, filter, *durable, how),
                }
            }
            Control::Cancel { filter } => {
                let client = self.slots.get(slot as usize).and_then(Option::as_ref);
                if let Some(ended) = client.and_then(|client| client.named_by(&filter))
                    && self.subscriptions.remove(slot, &ended)
                {
                    self.subscriptions_changed();
                    self.forget_wish(slot, &ended);
                }
                self.leave_streams(slot, |feed| feed.is_named(&filter));
                self.reply(slot, token, Reply::Cancelled { topic: filter });
            }
            Control::Leave { filter, stream, consumer } => {
                self.leave_streams(slot, |feed| {
                    feed.is_named(&filter)
                        && stream.as_deref().is_none_or(|stream| stream == &*feed.stream)
                        && consumer.as_deref() == feed.consumer.as_deref()
                });
                self.reply(slot, token, Reply::Cancelled { topic: filter });
            }
            Control::Join { group, filter, dialect, mark } => {
                self.join(slot, token, (group, filter), (dialect, mark));
            }
            Control::Quit { group, filter } => {
                self.quit(slot, &group);
                self.reply(slot, token, Reply::Cancelled { topic: filter });
            }
            Control::List { filter } => self.list(slot, token, filter),
            Control::Get { topic, dialect, last: Some(last) } => {
                self.get_last(slot, topic, (dialect, token), last);
            }
            Control::Get { topic, dialect, last: None } => {
                match self.rights(slot).see(topic.name()) {
                    Ok(()) => match self.tree.get(&topic) {
                        Some(stored) => {
                            let stored = stored.clone();
                            self.send(slot, Delivery::Value { stored, dialect, token });
                        }
                        None => self.reply(slot, token, Reply::NoValue { topic }),
                    },
                    Err(refusal) => self.reply(slot, token, Reply::Error(refusal)),
                }
            }
            Control::Welcome { user } => {
                if !self.welcome(slot, token, user) {
                    self.clearings.wait(client);
                    return false;
                }
            }
            Control::Ping { id } => {
                let reply = Reply::Pong { id };
                match self.pong_ticket_of(slot) {
                    Some(ticket) => self.send(slot, Delivery::Durable { ticket, reply, token }),
                    None => self.reply(slot, token, reply),
                }
            }
            Control::Stats => self.report(slot, token),
            Control::Backup => self.back_up(slot, token),
            Control::Admin(request) => self.administer(slot, token, *request),
            Control::Refuse { refusal } => {
                let fatal = refusal.code.is_fatal();
                self.reply(slot, token, Reply::Error(refusal));
                if fatal {
                    self.detach(slot);
                }
            }
        }
        true
    }

    fn list(&mut self, slot: Slot, token: Token, filter: TopicFilter) {
        let scope = match self.rights(slot).scope(Right::Subscribe, "list", filter) {
            Ok(scope) => scope,
            Err(refusal) => return self.reply(slot, token, Reply::Error(refusal)),
        };
        match self.tree.topics(&scope, ON_THE_SPOT) {
            Some(topics) => self.reply(slot, token, Reply::Topics { topics }),
            None => {
                if let Some(pieces) = self.begin_snapshot(slot, &scope) {
                    self.send(slot, Delivery::Topics { pieces, token });
                }
            }
        }
    }

    /// Bytes of memory that last values take, with when they expire.
    fn stored_cost(&self) -> usize {
        self.tree.cost() + self.expiries.cost()
    }

    /// Keeps what publishers are told of the room in the store up to date.
    fn note_room(&mut self) {
        let full = self.tree.values() >= self.store.values
            || self.stored_cost() >= self.store.bytes
            || self.subtrees.any_full()
            || self.streams.any_closed()
            // Whoever publishes to a shared topic may have to be told that it was refused.
            || self.streams.are_shared()
            || self.checkpointer.as_mut().is_some_and(Checkpointer::is_behind);
        if full != self.store_full.load(Ordering::Relaxed) {
            self.store_full.store(full, Ordering::Relaxed);
        }
    }

    fn reply(&mut self, slot: Slot, token: Token, reply: Reply) {
        self.send(slot, Delivery::Reply { reply, token });
    }

    fn send(&mut self, slot: Slot, delivery: Delivery) {
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        if let Err(why) = client.outbox.answer(delivery) {
            self.let_go(slot, why);
        }
    }

    fn answer(&mut self, query: Query) {
        /// The client that asked may have stopped waiting; then the answer is not needed.
        fn tell<T>(asker: &Sender<T>, answer: T) {
            let _ = asker.send(answer);
        }
        match query {
            Query::Topics(filter, asker) => {
                tell(&asker, self.tree.topics(&filter.into(), usize::MAX).unwrap_or_default());
            }
            Query::Get(topic, asker) => {
                tell(&asker, self.tree.get(&topic).map(|stored| stored.payload().to_payload()));
            }
            Query::Put(batch, asker) => {
                let refused = self.publish(batch, true);
                // No pong waits for it, but a flush does.
                self.streams.forget_touched();
                tell(
                    &asker,
                    refused.into_iter().next().map_or(Ok(()), |(_, refusal)| Err(refusal)),
                );
            }
            Query::Clear(topic, asker) => {
                let is_cleared = self.clear_or_share(&topic);
                self.tell_gone();
                self.streams.forget_touched();
                tell(&asker, is_cleared);
            }
            Query::Subscriptions(topic, asker) => tell(&asker, self.subscriptions_to(&topic)),
            Query::Stats(asker) => tell(&asker, self.stats()),
            Query::Clients(clients, asker) => tell(&asker, self.reports(&clients)),
            Query::Disconnect(client, asker) => tell(&asker, self.disconnect(client)),
            Query::Policy(policy, done) => self.change_policy(policy, done),
            Query::Saved(asker) => tell(&asker, self.ticket_of_all(true)),
            Query::SavedHere(asker) => tell(&asker, self.ticket_of_all(false)),
            Query::SavedValues(asker) => tell(&asker, self.ticket()),
            Query::Streams(asker) => tell(&asker, self.streams.summaries()),
            Query::Consumers(asker) => {
                tell(&asker, self.streams.ask_for_consumers(None).unwrap_or_default());
            }
            Query::Consumable(client, filters, asker) => {
                tell(&asker, self.consumable(client, &filters));
            }
            Query::Forget { stream, consumer } => self.streams.forget_consumer(&stream, &consumer),
        }
    }

    fn subscriptions_to(&self, topic: &Topic) -> Vec<SubscriptionInfo> {
        let info = |slot: Slot, (filter, text): (&TopicFilter, &str), dialect: Dialect| {
            let client = self.slots.get(slot as usize)?.as_ref()?;
            Some(SubscriptionInfo {
                client: client.id,
                peer: client.peer,
                filter: text.to_owned(),
                below: filter.reaches_below(),
                format: dialect.format(),
                exact: dialect.is_exact_json(),
                plain: dialect == Dialect::PlainXml,
            })
        };
        let mut infos = Vec::new();
        for Subscription { slot, filter, dialect, way, .. } in self.subscriptions.matching(topic) {
            match self.groups.name(*slot).filter(|_| *way == Way::Group) {
                Some(name) => {
                    let members = self.groups.members_for(*slot, topic.name());
                    infos
                        .extend(members.filter_map(|it| info(it.slot, (filter, name), it.dialect)));
                }
                None => infos.extend(info(*slot, (filter, filter.as_str()), *dialect)),
            }
        }
        infos
    }

    /// How many subscriptions there are, where each member of a group has one.
    fn subscription_count(&self) -> usize {
        self.subscriptions.len() - self.groups.len() + self.groups.members()
    }
}

#[cfg(test)]
mod tests;
