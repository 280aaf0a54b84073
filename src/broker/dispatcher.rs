//! The one owner of topics and subscriptions.
//!
//! It never waits for a subscriber and never touches a socket: it reads events, moves reference-counted payloads and
//! puts them into outboxes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::event::{ClientId, Control, Event, Query, Step, SubscriptionInfo};
use super::outbox::{Delivery, Full, Outbox, Selection};
use super::stats::Stats;
use super::subscriptions::{Route, Slot, Subscription, Subscriptions};
use super::tree::Tree;
use crate::codec::{Batch, Dialect, Wanted};
use crate::protocol::{ErrorCode, Format, Refusal, Reply, Topic, TopicFilter};

/// Routes of topics that hold no value are remembered for this many topics at a time.
const PASSING_TOPICS: usize = 1_024;

/// The topic map, the subscriptions, and who is connected.
#[derive(Debug, Default)]
pub struct Dispatcher {
    tree: Tree,
    subscriptions: Subscriptions,
    slots: Vec<Option<Client>>,
    free: Vec<Slot>,
    by_id: HashMap<ClientId, Slot>,
    /// Routes of topics that are published to and not stored. Emptied when subscriptions change, or when it is full.
    passing: HashMap<Topic, Arc<[Route]>>,
    selections: Selections,
    counts: Counts,
}

/// A connection that can receive.
#[derive(Debug)]
struct Client {
    id: ClientId,
    peer: SocketAddr,
    /// Its writer holds the other end. Dropping it is how the dispatcher lets go of a connection.
    outbox: Outbox,
    filters: Vec<TopicFilter>,
    /// The format of the last subscription, for an error that answers no request.
    format: Format,
}

#[derive(Debug, Default)]
struct Counts {
    published: u64,
    delivered: u64,
    snapshot_values: u64,
    slow_consumers: u64,
}

/// Which messages of the present batch go to whom, while that is being found out.
#[derive(Debug, Default)]
struct Selections {
    /// For each slot and dialect that has any, the messages.
    of: HashMap<(Slot, usize), Vec<u32>>,
}

impl Dispatcher {
    /// A dispatcher that knows nothing yet.
    pub fn new() -> Dispatcher {
        Dispatcher::default()
    }

    /// Runs until every sender of events is gone. All outboxes close with it.
    pub fn run(mut self, events: &Receiver<Event>) {
        while let Ok(event) = events.recv() {
            self.step(event);
        }
    }

    /// Takes in one event.
    pub fn step(&mut self, event: Event) {
        match event {
            Event::Attach { client, peer, outbox } => self.attach(client, peer, outbox),
            Event::Steps { client, steps } => {
                for step in steps {
                    match step {
                        Step::Publish(batch) => self.publish(*batch),
                        Step::Control(control) => self.control(client, control),
                    }
                }
            }
            Event::Detach { client } => {
                if let Some(&slot) = self.by_id.get(&client) {
                    self.detach(slot);
                }
            }
            Event::Query(query) => self.answer(query),
        }
    }

    fn attach(&mut self, id: ClientId, peer: SocketAddr, outbox: Outbox) {
        let client = Client { id, peer, outbox, filters: Vec::new(), format: Format::Json };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(client);
                slot
            }
            None => {
                self.slots.push(Some(client));
                (self.slots.len() - 1) as Slot
            }
        };
        self.by_id.insert(id, slot);
    }

    fn detach(&mut self, slot: Slot) -> Option<Client> {
        let client = self.slots.get_mut(slot as usize)?.take()?;
        for filter in &client.filters {
            self.subscriptions.remove(slot, filter);
        }
        if !client.filters.is_empty() {
            self.subscriptions_changed();
        }
        self.by_id.remove(&client.id);
        self.free.push(slot);
        Some(client)
    }

    fn subscriptions_changed(&mut self) {
        self.tree.forget_routes();
        self.passing.clear();
    }

    /// Stores and delivers what one read brought.
    fn publish(&mut self, mut batch: Batch) {
        self.counts.published += batch.messages().len() as u64;
        let only_routes = self.route(&batch);
        let deliveries = match only_routes {
            Some(routes) => {
                for route in routes.iter() {
                    batch.want(route.dialect, Wanted::All);
                }
                let count = batch.messages().len();
                routes.iter().map(|route| (*route, Selection::Whole, count)).collect()
            }
            None => self.selections.take(&mut batch),
        };
        let batch = Arc::new(batch);
        for (Route { slot, dialect }, selection, count) in deliveries {
            let Some(Some(client)) = self.slots.get(slot as usize) else { continue };
            match client.outbox.deliver(&batch, dialect, selection, count) {
                Ok(()) => self.counts.delivered += count as u64,
                Err(full) => self.cut_off(slot, full),
            }
        }
    }

    /// Stores the messages and finds out where they go. Where all go the same way it is returned; otherwise
    /// `selections` knows.
    fn route(&mut self, batch: &Batch) -> Option<Arc<[Route]>> {
        let mut routes: Arc<[Route]> = Arc::new([]);
        let mut same_way = true;
        let mut last_topic = None;
        let mut place = None;
        for (index, message) in batch.messages().iter().enumerate() {
            let topic = &batch.topics()[message.topic as usize];
            if last_topic != Some(message.topic) {
                last_topic = Some(message.topic);
                place = self.tree.find(topic);
                let next = match place {
                    Some(id) => self.tree.routes(id, topic, &self.subscriptions),
                    None => self.passing_routes(topic),
                };
                if same_way && index > 0 && *next != *routes {
                    same_way = false;
                    for before in 0..index {
                        self.selections.add(&routes, before);
                    }
                }
                routes = next;
            }
            if message.retain {
                let id = *place.get_or_insert_with(|| self.tree.place(topic));
                self.tree.store(id, topic, batch.bytes(), message.format, &message.message.part);
            }
            if !same_way {
                self.selections.add(&routes, index);
            }
        }
        same_way.then_some(routes)
    }

    fn passing_routes(&mut self, topic: &Topic) -> Arc<[Route]> {
        if let Some(routes) = self.passing.get(topic.as_str()) {
            return routes.clone();
        }
        let routes: Arc<[Route]> = self.subscriptions.routes(topic).into();
        if self.passing.len() == PASSING_TOPICS {
            self.passing.clear();
        }
        self.passing.insert(topic.clone(), routes.clone());
        routes
    }

    /// Ends a connection that does not keep up, and tells it why.
    fn cut_off(&mut self, slot: Slot, Full { messages, bytes }: Full) {
        let Some(client) = self.detach(slot) else { return };
        self.counts.slow_consumers += 1;
        let refusal = Refusal::new(
            ErrorCode::SlowConsumer,
            format!(
                "this subscriber is {messages} messages ({bytes} bytes) behind and its queue is full; \
                 read faster, subscribe to less, or ask for a longer queue"
            ),
        );
        client.outbox.overflow(Delivery::Reply { reply: Reply::Error(refusal), format: client.format });
    }

    fn control(&mut self, client: ClientId, control: Control) {
        if let Control::Clear { topic } = control {
            self.tree.clear(&topic);
            return;
        }
        // Everything else needs an answer, so its session attached an outbox before; a client without one was cut
        // off, and what it still asks is void.
        let Some(&slot) = self.by_id.get(&client) else { return };
        match control {
            Control::Subscribe { filter, dialect, queue } => self.subscribe(slot, filter, dialect, queue),
            Control::Cancel { filter, format } => {
                if self.subscriptions.remove(slot, &filter) {
                    self.subscriptions_changed();
                    if let Some(Some(client)) = self.slots.get_mut(slot as usize) {
                        client.filters.retain(|existing| *existing != filter);
                    }
                }
                self.reply(slot, format, Reply::Cancelled { topic: filter });
            }
            Control::List { filter, format } => {
                let topics = self.tree.topics(&filter);
                self.reply(slot, format, Reply::Topics { topics });
            }
            Control::Get { topic, format } => match self.tree.get(&topic) {
                Some(stored) => {
                    let dialect = Dialect::new(format, false);
                    self.send(slot, Delivery::Value { stored: stored.clone(), dialect });
                }
                None => self.reply(slot, format, Reply::NoValue { topic }),
            },
            Control::Clear { .. } => {}
            Control::Ping { id, format } => self.reply(slot, format, Reply::Pong { id }),
            Control::Refuse { refusal, format } => {
                let fatal = refusal.code.is_fatal();
                self.reply(slot, format, Reply::Error(refusal));
                if fatal {
                    self.detach(slot);
                }
            }
        }
    }

    fn subscribe(&mut self, slot: Slot, filter: TopicFilter, dialect: Dialect, queue: Option<u32>) {
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        client.format = dialect.format();
        if let Some(queue) = queue {
            client.outbox.shorten(queue as usize);
        }
        let subscription = Subscription { slot, filter: filter.clone(), dialect };
        if self.subscriptions.add(subscription) {
            client.filters.push(filter.clone());
        }
        self.subscriptions_changed();
        let values = self.tree.snapshot(&filter);
        let count = values.len() as u64;
        self.counts.snapshot_values += count;
        if count > 0 {
            self.send(slot, Delivery::Snapshot { values, dialect });
        }
        self.reply(slot, dialect.format(), Reply::Subscribed { topic: filter, values: count });
    }

    fn reply(&mut self, slot: Slot, format: Format, reply: Reply) {
        self.send(slot, Delivery::Reply { reply, format });
    }

    fn send(&mut self, slot: Slot, delivery: Delivery) {
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        if let Err(full) = client.outbox.answer(delivery) {
            self.cut_off(slot, full);
        }
    }

    fn answer(&mut self, query: Query) {
        /// Whoever asked may have stopped waiting; then the answer is not needed.
        fn tell<T>(asker: &Sender<T>, answer: T) {
            let _ = asker.send(answer);
        }
        match query {
            Query::Topics(filter, asker) => tell(&asker, self.tree.topics(&filter)),
            Query::Get(topic, asker) => {
                tell(&asker, self.tree.get(&topic).map(|stored| stored.payload.clone()));
            }
            Query::Put(batch, asker) => {
                self.publish(*batch);
                tell(&asker, ());
            }
            Query::Clear(topic, asker) => tell(&asker, self.tree.clear(&topic)),
            Query::Subscriptions(topic, asker) => tell(&asker, self.subscriptions_to(&topic)),
            Query::Stats(asker) => tell(&asker, self.stats()),
        }
    }

    fn subscriptions_to(&self, topic: &Topic) -> Vec<SubscriptionInfo> {
        let info = |found: &Subscription| {
            let client = self.slots.get(found.slot as usize)?.as_ref()?;
            Some(SubscriptionInfo {
                client: client.id,
                peer: client.peer,
                filter: found.filter.to_string(),
                format: found.dialect.format(),
                exact: found.dialect == Dialect::ExactJson,
            })
        };
        self.subscriptions.matching(topic).into_iter().filter_map(info).collect()
    }

    fn stats(&self) -> Stats {
        Stats {
            published: self.counts.published,
            delivered: self.counts.delivered,
            snapshot_values: self.counts.snapshot_values,
            slow_consumers: self.counts.slow_consumers,
            subscriptions: self.subscriptions.len() as u64,
            topics: self.tree.values() as u64,
            stored_bytes: self.tree.bytes() as u64,
            ..Stats::default()
        }
    }
}

impl Selections {
    fn add(&mut self, routes: &[Route], message: usize) {
        for route in routes {
            self.of.entry((route.slot, route.dialect.index())).or_default().push(message as u32);
        }
    }

    /// Tells the batch what is wanted of it, and returns who gets what.
    fn take(&mut self, batch: &mut Batch) -> Vec<(Route, Selection, usize)> {
        let total = batch.messages().len();
        let mut wanted: [Vec<bool>; Dialect::ALL.len()] = Default::default();
        for ((_, dialect), messages) in &self.of {
            let places = &mut wanted[*dialect];
            places.resize(total, false);
            for &message in messages {
                places[message as usize] = true;
            }
        }
        let counts = wanted.each_ref().map(|places| places.iter().filter(|place| **place).count());
        for (dialect, places) in Dialect::ALL.into_iter().zip(wanted) {
            let all = counts[dialect.index()] == total;
            let wanted = if all { Wanted::All } else { Wanted::Some(places) };
            batch.want(dialect, wanted);
        }
        let deliveries = self.of.drain().map(|((slot, dialect), messages)| {
            let count = messages.len();
            // Nobody can want more than is wanted, so an equal number means the same messages.
            let whole = count == counts[dialect];
            let selection = if whole { Selection::Whole } else { Selection::Some(messages.into()) };
            (Route { slot, dialect: Dialect::ALL[dialect] }, selection, count)
        });
        deliveries.collect()
    }
}

#[cfg(test)]
mod tests;
