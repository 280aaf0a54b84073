//! The end of a connection that has many subscriptions.
//!
//! Forgetting tens of thousands of them at once would hold everybody up, so it is done in parts, between other events. Until
//! the last is forgotten the connection's slot is not given to another, and what is routed there goes nowhere.

use std::collections::{VecDeque, hash_map};
use std::mem;
use std::sync::Arc;

use super::Dispatcher;
use super::client::{Client, Wish};
use crate::broker::mailbox::Mailbox;
use crate::broker::subscriptions::Slot;
use crate::protocol::TopicFilter;

/// Subscriptions that are forgotten at a time: some tenths of a millisecond.
const TOGETHER: usize = 1_024;

/// What is left of connections that have ended, the first one first.
#[derive(Debug, Default)]
pub(super) struct Leaving(VecDeque<Rest>);

#[derive(Debug)]
struct Rest {
    slot: Slot,
    filters: hash_map::IntoIter<TopicFilter, Wish>,
    mailboxes: Vec<Option<Arc<Mailbox>>>,
}

impl Leaving {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Dispatcher {
    /// Begins to forget the subscriptions of a connection that has ended; few are forgotten at once.
    pub(super) fn leave(&mut self, slot: Slot, client: &mut Client) {
        if client.filters.is_empty() {
            return self.free.push(slot);
        }
        let is_first = self.leaving.is_empty();
        let filters = mem::take(&mut client.filters).into_iter();
        self.leaving.0.push_back(Rest { slot, filters, mailboxes: mem::take(&mut client.mailboxes) });
        if is_first {
            self.leave_on();
        }
    }

    /// Goes on with the connection that ended first.
    pub(super) fn leave_on(&mut self) {
        let Some(Rest { slot, filters, mailboxes }) = self.leaving.0.front_mut() else { return };
        let slot = *slot;
        for (filter, _wish) in filters.by_ref().take(TOGETHER) {
            self.subscriptions.remove(slot, &filter);
        }
        // There are no more of them than subscriptions, as long as none was cancelled.
        mailboxes.truncate(mailboxes.len().saturating_sub(TOGETHER));
        if filters.len() == 0 && mailboxes.is_empty() {
            self.leaving.0.pop_front();
            self.free.push(slot);
            self.subscriptions_changed();
        }
    }
}
