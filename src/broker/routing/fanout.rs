//! Which messages of a batch go to whom, while that is being found out.

use std::sync::Arc;

use crate::broker::client_id::Slot;
use crate::broker::delivery::{Chosen, Selection};
use crate::broker::routing::groups::{Given, Member};
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
    chosen: Option<Arc<Chosen>>,
    messages: Vec<u32>,
    /// The slot's next entry.
    next: u32,
}

/// The messages of a batch that one route gets.
#[derive(Debug)]
pub(in crate::broker) struct Recipient {
    pub(in crate::broker) route: Route,
    /// The group that it is chosen of, if it is.
    pub(in crate::broker) chosen: Option<Arc<Chosen>>,
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
        self.entries.push(Entry { route, chosen: None, messages: Vec::new(), next });
        self.entries.len() - 1
    }

    /// Takes out what goes to groups, which is to be [given](Fanout::give) to their members. No
    /// more is added until all was taken.
    pub(in crate::broker) fn take_groups(&mut self) -> Vec<(Slot, Vec<u32>)> {
        let groups = self.entries.extract_if(.., |entry| entry.route.way == Way::Group);
        let groups = groups.map(|Entry { route, messages, .. }| {
            self.first[route.slot as usize] = NONE;
            (route.slot, messages)
        });
        groups.collect()
    }

    /// Says that a member of a group gets messages.
    pub(in crate::broker) fn give(&mut self, Given { member, messages }: Given) {
        let slot = member.slot as usize;
        if slot >= self.first.len() {
            self.first.resize(slot + 1, NONE);
        }
        let (route, chosen) = (member.route(), Some(member.chosen));
        self.entries.push(Entry { route, chosen, messages, next: NONE });
    }

    /// Tells the batch what is wanted of it, and returns who gets what. All of it goes along the
    /// routes of `whole` as well, groups aside.
    pub(in crate::broker) fn take(&mut self, batch: &mut Batch, whole: &[Route]) -> Vec<Recipient> {
        let total = batch.messages().len();
        let mut wanted: [Vec<bool>; Dialect::ALL.len()] = Default::default();
        let whole = || whole.iter().filter(|route| route.way != Way::Group);
        for route in whole().filter(|route| route.is_written_from_batch()) {
            wanted[route.dialect.index()] = vec![true; total];
        }
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
        let all = whole().map(|route| Recipient::of_all(*route, total));
        let some = self.entries.drain(..).map(|Entry { route, chosen, messages, .. }| {
            self.first[route.slot as usize] = NONE;
            let count = messages.len();
            // No subscriber can want more than is wanted, so an equal number means the same
            // messages.
            let whole = route.is_written_from_batch() && count == counts[route.dialect.index()];
            let selection = if whole { Selection::Whole } else { Selection::Some(messages.into()) };
            Recipient { route, chosen, selection, messages: count }
        });
        all.chain(some).collect()
    }
}

impl Member {
    /// The way to it.
    fn route(&self) -> Route {
        Route { slot: self.slot, dialect: self.dialect, way: Way::Outbox }
    }
}

impl Recipient {
    /// A member of a group, and the messages that it gets.
    pub(in crate::broker) fn of_group(Given { member, messages }: Given) -> Recipient {
        let (route, count) = (member.route(), messages.len());
        let selection = Selection::Some(messages.into());
        Recipient { route, chosen: Some(member.chosen), selection, messages: count }
    }

    fn of_all(route: Route, messages: usize) -> Recipient {
        Recipient { route, chosen: None, selection: Selection::Whole, messages }
    }
}

/// The messages that each gets where all go the same way.
pub(in crate::broker) fn share_equally(batch: &mut Batch, routes: &[Route]) -> Vec<Recipient> {
    for route in routes.iter().filter(|route| route.is_written_from_batch()) {
        batch.want(route.dialect, Wanted::All);
    }
    let messages = batch.messages().len();
    routes.iter().map(|route| Recipient::of_all(*route, messages)).collect()
}

impl Route {
    /// Whether its messages are encoded with the batch, and not one by one.
    fn is_written_from_batch(&self) -> bool {
        !matches!(self.way, Way::Latest(_) | Way::Stream(_))
    }
}
