//! The end of a connection that has many subscriptions, or for which much waits.
//!
//! Forgetting tens of thousands of them at once would hold everybody up, so it is done in parts,
//! between other events. Until the last is forgotten the connection's slot is not given to another,
//! and what is routed there goes nowhere.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::Dispatcher;
use super::client::Client;
use super::client::Wish;
use crate::broker::client_id::{ClientId, Slot};
use crate::broker::delivery::{Discarded, Leftovers, Mailbox};
use crate::broker::event::Event;
use crate::broker::small_map::SmallMap;
use crate::protocol::TopicFilter;

/// Subscriptions that are forgotten at a time, and messages that are let go of: some tenths of a
/// millisecond.
const TOGETHER: usize = 1_024;

/// The remains of connections that have ended, the first one first.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    connections: VecDeque<Rest>,
    /// What waited for those that were cut off.
    discarded: VecDeque<Discarded>,
    /// What others are to get in their place.
    leftovers: VecDeque<Leftovers>,
}

#[derive(Debug)]
struct Rest {
    slot: Slot,
    filters: <SmallMap<TopicFilter, Wish> as IntoIterator>::IntoIter,
    mailboxes: Vec<Option<Arc<Mailbox>>>,
}

impl Leaving {
    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.discarded.is_empty() && self.leftovers.is_empty()
    }

    /// Lets go of what waited for a connection that was cut off.
    pub(super) fn discard(&mut self, discarded: Discarded) {
        self.discarded.push_back(discarded);
    }

    fn discard_some(&mut self) {
        let mut most = TOGETHER;
        while let Some(first) = self.discarded.front_mut() {
            most = first.let_go(most);
            if most == 0 {
                return;
            }
            self.discarded.pop_front();
        }
    }
}

impl Dispatcher {
    /// Begins to forget the subscriptions of a connection that has ended; few are forgotten at
    /// once.
    pub(super) fn leave(&mut self, slot: Slot, client: &mut Client) {
        if client.filters.is_empty() {
            return self.free.push(slot);
        }
        let is_first = self.leaving.connections.is_empty();
        let filters = mem::take(&mut client.filters).into_iter();
        let more = client.more.made();
        let mailboxes = more.map(|more| mem::take(&mut more.mailboxes)).unwrap_or_default();
        self.leaving.connections.push_back(Rest { slot, filters, mailboxes });
        if is_first {
            self.forget_some();
        }
    }

    /// Goes on with the connections that ended first.
    pub(super) fn leave_on(&mut self) {
        self.leaving.discard_some();
        self.forget_some();
        self.hand_on_some();
    }

    /// Ends a connection, and hands on what groups have given to it and it has not got.
    pub(super) fn retire(&mut self, client: ClientId, leftovers: Leftovers) {
        // What it has sent may have to be done first, and it is chosen for nothing more meanwhile.
        if let Some(&slot) = self.by_id.get(&client) {
            self.quit_all(slot);
        }
        self.leaving.leftovers.push_back(leftovers);
        self.step(Event::Detach { client });
    }

    fn hand_on_some(&mut self) {
        let mut steps = TOGETHER;
        while let Some(first) = self.leaving.leftovers.front_mut() {
            match first.next(&mut steps) {
                Some(leftover) => self.hand_on(leftover),
                None if steps == 0 => return,
                None => drop(self.leaving.leftovers.pop_front()),
            }
        }
    }

    fn forget_some(&mut self) {
        let Some(Rest { slot, filters, mailboxes }) = self.leaving.connections.front_mut() else {
            return;
        };
        let slot = *slot;
        for (filter, _wish) in filters.by_ref().take(TOGETHER) {
            self.subscriptions.remove(slot, &filter);
        }
        let mut most = TOGETHER;
        while most > 0
            && let Some(last) = mailboxes.last_mut()
        {
            // A delivery that was announced is the writer's matter.
            if let Some(unseen) = last.as_mut().and_then(Arc::get_mut) {
                most = unseen.close_some(most);
            }
            if most > 0 {
                mailboxes.pop();
                most -= 1;
            }
        }
        if filters.len() == 0 && mailboxes.is_empty() {
            self.leaving.connections.pop_front();
            self.free.push(slot);
            self.subscriptions_changed();
        }
    }
}
