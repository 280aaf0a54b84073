//! Looking at connections one by one, and ending one, for who administrates the broker.

use super::Dispatcher;
use super::client::Client;
use super::streams::Consuming;
use crate::broker::client_id::ClientId;
use crate::broker::client_report::{ClientReport, SubscriptionReport};
use crate::broker::streams::Feed;
use crate::protocol::{ErrorCode, Overflow};

/// Connections that one question is answered about: some tenths of a millisecond.
pub const CLIENTS_TOGETHER: usize = 100;
/// Where these have so many mailboxes, no more are looked at.
const MAILBOXES_TOGETHER: usize = 4_096;
/// Subscriptions that are told of each, of however many it has.
const SUBSCRIPTIONS: usize = 20;

impl Dispatcher {
    /// What is known of the first of these connections, in their order, and how many of them were
    /// looked at. A connection that cannot receive yet is left out: nothing waits for it.
    pub(super) fn reports(&self, clients: &[ClientId]) -> (Vec<ClientReport>, usize) {
        let (mut reports, mut looked_at, mut mailboxes) = (Vec::new(), 0, 0);
        for client in clients.iter().take(CLIENTS_TOGETHER) {
            if mailboxes >= MAILBOXES_TOGETHER {
                break;
            }
            looked_at += 1;
            let client = self.by_id.get(client).and_then(|slot| self.slots.get(*slot as usize));
            if let Some(Some(client)) = client {
                mailboxes += client.more.mailboxes.len();
                reports.push(client.look_at());
            }
        }
        (reports, looked_at)
    }

    /// Ends a connection because somebody who may has asked for it, and tells it so. Returns
    /// whether it is there, and can be told.
    pub(super) fn disconnect(&mut self, client: ClientId) -> bool {
        let Some(&slot) = self.by_id.get(&client) else { return false };
        let reason = "an administrator has ended this connection; another may be made";
        self.end_with(slot, ErrorCode::Disconnected, reason.to_owned())
    }
}

impl Client {
    /// Its subscriptions of streams that have not ended.
    fn feeds(&self) -> impl Iterator<Item = &Feed> {
        self.more.consuming.iter().map(Consuming::feed).filter(|feed| !feed.has_ended())
    }

    /// Messages that it was given.
    pub(super) fn delivered(&self) -> u64 {
        let of_streams = self.more.consuming.iter().map(|consuming| consuming.feed().delivered());
        self.delivered + of_streams.sum::<u64>()
    }

    fn look_at(&self) -> ClientReport {
        let subscriptions = self.filters.iter().map(|(filter, wish)| {
            let mailbox = self.mailbox(wish.way());
            let overflow = match mailbox {
                None => Overflow::Disconnect,
                Some(mailbox) if mailbox.is_latest() => Overflow::Latest,
                Some(_) => Overflow::DropOldest,
            };
            SubscriptionReport {
                filter: filter.clone(),
                group: None,
                format: wish.dialect().format(),
                overflow,
                waiting: mailbox.map_or(0, |mailbox| mailbox.waiting() as u64),
                dropped: mailbox.map_or(0, |mailbox| mailbox.lost()),
            }
        });
        let shared = self.more.memberships.iter().map(|(group, membership)| SubscriptionReport {
            filter: membership.filter.clone(),
            group: Some(group.clone()),
            format: membership.dialect.format(),
            overflow: Overflow::Disconnect,
            waiting: 0,
            dropped: 0,
        });
        let subscriptions = subscriptions.chain(shared).take(SUBSCRIPTIONS).collect();
        let (limits, (messages, bytes)) = (self.outbox.limits(), self.outbox.level());
        let mut in_mailboxes = 0;
        let mut is_slow = is_half_full(messages, limits.messages) || bytes > limits.bytes / 2;
        for mailbox in self.more.mailboxes.iter().flatten() {
            let waiting = mailbox.waiting();
            in_mailboxes += waiting;
            is_slow |= is_half_full(waiting, mailbox.most_messages());
        }
        ClientReport {
            client: self.id,
            user: self.rights.user().map(|user| user.shared_name()),
            subscriptions,
            subscription_count: self.subscription_count() as u64,
            feeds: self.feeds().take(SUBSCRIPTIONS).map(Feed::look_at).collect(),
            feed_count: self.feeds().count() as u64,
            waiting: (messages + in_mailboxes) as u64,
            waiting_bytes: bytes as u64,
            delivered: self.delivered(),
            dropped: self.more.dropped,
            is_slow,
        }
    }
}

/// Whether more than half of a queue is taken; one message is not many, however short the queue.
fn is_half_full(waiting: usize, most: usize) -> bool {
    waiting > 1 && waiting > most / 2
}
