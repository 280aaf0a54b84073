//! Looking at what the dispatcher owns, for a `stats`.

use std::cmp::Reverse;

use super::Client;
use super::Dispatcher;
use crate::broker::client_id::Slot;
use crate::broker::delivery::Delivery;
use crate::broker::memory::Use;
use crate::broker::rights::Rights;
use crate::broker::stats::{Report, Stats, SubscriberReport, TopicReport};
use crate::protocol::{Reply, Token};

/// Topics that a report names: enough to find those with the highest rates, few enough to be looked
/// at between two events.
const TOPICS: usize = 512;
/// Subscribers that a report names.
const SUBSCRIBERS: usize = 256;
/// Subscriptions that it names of each.
const FILTERS: usize = 4;

impl Dispatcher {
    /// Answers a `stats`, if the client may ask who is connected.
    pub(super) fn report(&mut self, slot: Slot, token: Token) {
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        if let Err(refusal) = client.rights.stats(client.peer) {
            return self.reply(slot, token, Reply::Error(refusal));
        }
        let rights = client.rights.clone();
        let recent = self.tree.recent().take(TOPICS);
        let named = recent.filter(|(stored, _)| rights.may_name(stored.topic()));
        let topics = named.map(|(stored, messages)| TopicReport {
            topic: stored.topic().to_topic(),
            messages,
            bytes: stored.weight() as u64,
        });
        let topics = topics.collect();
        let clients = self.slots.iter().filter_map(Option::as_deref);
        let clients = clients.filter(|client| client.receives());
        let mut clients: Vec<(&Client, u64)> =
            clients.map(|client| (client, client.waiting())).collect();
        clients.sort_by_key(|(client, waiting)| (Reverse(*waiting), client.id));
        let subscribers = clients
            .into_iter()
            .take(SUBSCRIBERS)
            .map(|(client, waiting)| client.report(waiting, &rights));
        let report =
            Box::new(Report { stats: self.stats(), topics, subscribers: subscribers.collect() });
        self.send(slot, Delivery::Report { report, token });
    }

    /// The dispatcher's counters.
    pub(super) fn stats(&self) -> Stats {
        let (unsaved, unsaved_clears) = self.unsaved();
        let claimed = |this| match this {
            // The last values have limits of their own, which are cut to their share.
            Use::Stored => self.stored_cost() as u64,
            _ => self.memory.of(this).used() as u64,
        };
        let share = |this| match this {
            Use::Stored => self.store.bytes as u64,
            _ => self.memory.of(this).limit() as u64,
        };
        let mut stats = Stats {
            subscriptions: self.subscription_count() as u64,
            topics: self.tree.values() as u64,
            stored_bytes: self.tree.bytes() as u64,
            stored_cost: self.stored_cost() as u64,
            unsaved,
            unsaved_clears,
            memory_budget: self.memory.total() as u64,
            claimed: Use::ALL.map(claimed),
            shares: Use::ALL.map(share),
            ..Stats::default()
        };
        self.counts.fill(&mut stats);
        stats
    }
}

impl Client {
    /// Messages that wait for it.
    fn waiting(&self) -> u64 {
        let in_mailboxes: usize =
            self.more.mailboxes.iter().flatten().map(|mailbox| mailbox.waiting()).sum();
        (self.outbox.level().0 + in_mailboxes) as u64
    }

    /// Whether it has subscribed to something.
    fn receives(&self) -> bool {
        self.subscription_count() > 0 || !self.more.consuming.is_empty()
    }

    fn report(&self, waiting: u64, to: &Rights) -> SubscriberReport {
        let of_streams = self.more.consuming.iter().map(|one| &one.feed().filter);
        let all = self.filters.keys().chain(of_streams);
        let plain = all.map(|filter| (filter, filter.as_str()));
        let shared = self.more.memberships.iter().map(|(name, one)| (&one.filter, &**name));
        let named =
            plain.chain(shared).take(FILTERS).filter(|(filter, _)| to.may_name_filter(filter));
        SubscriberReport {
            client: self.id,
            peer: self.peer,
            format: self.format,
            topics: named.map(|(_, text)| text.to_owned()).collect(),
            subscriptions: (self.subscription_count() + self.more.consuming.len()) as u64,
            waiting,
            waiting_bytes: self.outbox.level().1 as u64,
            delivered: self.delivered(),
            dropped: self.more.dropped,
        }
    }
}
