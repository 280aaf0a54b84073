//! Which messages of a batch go to whom, while that is being found out.

use crate::broker::delivery::Selection;
use crate::broker::routing::subscriptions::{Route, Way};
use crate::codec::{Batch, Dialect, Wanted};

const NONE: u32 = u32::MAX;

/// The messages for each route, found by its slot.
#[derive(Debug, Default)]
pub(in crate::broker) struct Fanout {
    /// For each slot, the first of its entries.
    first: Vec<u32>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    route: Route,
    messages: Vec<u32>,
    /// The slot's next entry.
    next: u32,
}

/// The messages of a batch that one route gets.
#[derive(Debug)]
pub(in crate::broker) struct Recipient {
    pub(in crate::broker) route: Route,
    pub(in crate::broker) selection: Selection,
    pub(in crate::broker) messages: usize,
}

impl Fanout {
    /// Says that a message goes along these routes. Returns how many of them no message before it
    /// goes.
    pub(in crate::broker) fn add(&mut self, routes: &[Route], message: usize) -> usize {
        let before = self.entries.len();
        for route in routes {
            let entry = self.entry(*route);
            self.entries[entry].messages.push(message as u32);
        }
        self.entries.len() - before
    }

    fn entry(&mut self, route: Route) -> usize {
        let slot = route.slot as usize;
        if slot >= self.first.len() {
            self.first.resize(slot + 1, NONE);
        }
        let mut at = self.first[slot];
        while at != NONE {
            let entry = &self.entries[at as usize];
            if entry.route == route {
                return at as usize;
            }
            at = entry.next;
        }
        let next = std::mem::replace(&mut self.first[slot], self.entries.len() as u32);
        self.entries.push(Entry { route, messages: Vec::new(), next });
        self.entries.len() - 1
    }

    /// Tells the batch what is wanted of it, and returns who gets what.
    pub(in crate::broker) fn take(&mut self, batch: &mut Batch) -> Vec<Recipient> {
        let total = batch.messages().len();
        let mut wanted: [Vec<bool>; Dialect::ALL.len()] = Default::default();
        for entry in self.entries.iter().filter(|entry| entry.route.is_written_from_batch()) {
            let places = &mut wanted[entry.route.dialect.index()];
            places.resize(total, false);
            for &message in &entry.messages {
                places[message as usize] = true;
            }
        }
        let counts = wanted.each_ref().map(|places| places.iter().filter(|place| **place).count());
        for (dialect, places) in Dialect::ALL.into_iter().zip(wanted) {
            match counts[dialect.index()] {
                0 => {}
                count if count == total => batch.want(dialect, Wanted::All),
                _ => batch.want(dialect, Wanted::Some(places)),
            }
        }
        let recipients = self.entries.drain(..).map(|Entry { route, messages, .. }| {
            self.first[route.slot as usize] = NONE;
            let count = messages.len();
            // No subscriber can want more than is wanted, so an equal number means the same
            // messages.
            let whole = route.is_written_from_batch() && count == counts[route.dialect.index()];
            let selection = if whole { Selection::Whole } else { Selection::Some(messages.into()) };
            Recipient { route, selection, messages: count }
        });
        recipients.collect()
    }
}

/// The messages that each gets where all go the same way.
pub(in crate::broker) fn share_equally(batch: &mut Batch, routes: &[Route]) -> Vec<Recipient> {
    for route in routes.iter().filter(|route| route.is_written_from_batch()) {
        batch.want(route.dialect, Wanted::All);
    }
    let messages = batch.messages().len();
    routes
        .iter()
        .map(|route| Recipient { route: *route, selection: Selection::Whole, messages })
        .collect()
}

impl Route {
    /// Whether its messages are encoded with the batch, and not one by one.
    fn is_written_from_batch(&self) -> bool {
        !matches!(self.way, Way::Latest(_) | Way::Stream(_))
    }
}
