//! How a subscription begins: whether there may be one, and the last values that it begins with.

use super::{Dispatcher, ON_THE_SPOT};
use crate::access::Right;
use crate::broker::client_id::Slot;
use crate::broker::delivery::{Delivery, Undelivered};
use crate::broker::rights::Scope;
use crate::broker::routing::Subscription;
use crate::codec::{Claim, Dialect, PlainNames};
use crate::protocol::{ErrorCode, Overflow, Refusal, Reply, Token, TopicFilter};

/// Bytes of payloads that are given on the spot.
const BYTES_ON_THE_SPOT: usize = 64 << 10;

/// How a subscription is to be served.
pub(super) struct How {
    pub(super) dialect: Dialect,
    pub(super) names: Option<Box<PlainNames>>,
    pub(super) token: Token,
    pub(super) overflow: Overflow,
    pub(super) queue: Option<u32>,
    pub(super) cleared: bool,
    pub(super) values: bool,
}

/// What a subscription begins with.
pub(super) struct Beginning {
    /// Last values, if there are any.
    begin: Option<Delivery>,
    /// How many they are, if that is known.
    count: u64,
}

impl Dispatcher {
    pub(super) fn subscribe(&mut self, slot: Slot, filter: TopicFilter, how: How) {
        let How { dialect, names, token, overflow, queue, cleared, values } = how;
        let scope = self.rights(slot).scope(Right::Subscribe, "subscribe to", filter.clone());
        let scope = match scope {
            Ok(scope) => scope,
            Err(refusal) => return self.reply(slot, token, Reply::Error(refusal)),
        };
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        (client.format, client.token) = (dialect.format(), token);
        let replaced = client.respelled(&filter);
        let room = self.subscriptions.has_room_for(slot, &filter);
        let room = room.and_then(|()| match &replaced {
            Some(_) => Ok(Claim::nothing()),
            None => client.has_room_for(&filter, self.max_subscriptions),
        });
        let claim = match room {
            Ok(claim) => claim,
            Err(reason) => {
                let refusal =
                    Refusal::new(ErrorCode::TooManySubscriptions, reason).about(filter.as_str());
                return self.reply(slot, token, Reply::Error(refusal));
            }
        };
        // The values that the subscription begins with are looked for first: where they cannot be
        // given, there is no subscription.
        let about = (&filter, dialect, token);
        let Some(Beginning { begin, count }) = self.beginning(slot, &scope, about, values) else {
            return;
        };
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        let mut claim = claim;
        if let Some(replaced) = replaced {
            self.subscriptions.remove(slot, &replaced);
            claim = client.forget_wish(&replaced).unwrap_or(claim);
        }
        let way = client.wish(
            &filter,
            (dialect, token),
            overflow,
            queue.map(|queue| queue as usize),
            claim,
        );
        self.subscriptions.add(Subscription {
            slot,
            filter: filter.clone(),
            dialect,
            way,
            cleared,
            limit: scope.limit().cloned(),
        });
        self.subscriptions_changed();
        if let Some(names) = names {
            self.send(slot, Delivery::Names(names));
        }
        self.begin_with(slot, &scope, (&filter, dialect, token), Beginning { begin, count });
    }

    /// What a subscription begins with; `None` where the connection is let go.
    pub(super) fn beginning(
        &mut self,
        slot: Slot,
        scope: &Scope,
        (filter, dialect, token): (&TopicFilter, Dialect, Token),
        with_values: bool,
    ) -> Option<Beginning> {
        let values = if with_values {
            self.tree.snapshot(scope, ON_THE_SPOT, BYTES_ON_THE_SPOT)
        } else {
            Some(Vec::new())
        };
        let count = values.as_ref().map_or(0, Vec::len) as u64;
        let begin = match values {
            Some(values) if values.is_empty() => None,
            Some(values) => Some(Delivery::Snapshot { values, dialect }),
            None => {
                let (pieces, limited) =
                    (self.begin_snapshot(slot, scope)?, scope.limit().is_some());
                let topic = filter.clone();
                Some(Delivery::LongSnapshot { pieces, topic, limited, dialect, token })
            }
        };
        Some(Beginning { begin, count })
    }

    /// Sends what a subscription begins with, and says that it has begun.
    pub(super) fn begin_with(
        &mut self,
        slot: Slot,
        scope: &Scope,
        (filter, dialect, token): (&TopicFilter, Dialect, Token),
        Beginning { begin, count }: Beginning,
    ) {
        let (topic, limited) = (filter.clone(), scope.limit().is_some());
        if let Some(begin) = begin {
            let is_long = matches!(begin, Delivery::LongSnapshot { .. });
            let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
            match client.outbox.answer(begin) {
                // Where there is no memory for it to wait as a whole, it comes in pieces.
                Err(Undelivered::NoMemory) if !is_long => {
                    if let Some(pieces) = self.begin_snapshot(slot, scope) {
                        let begin =
                            Delivery::LongSnapshot { pieces, topic, limited, dialect, token };
                        self.send(slot, begin);
                    }
                    return;
                }
                Err(why) => return self.let_go(slot, why),
                Ok(()) if is_long => return,
                Ok(()) => {}
            }
        }
        self.counts.snapshot_values += count;
        self.reply(slot, token, Reply::Subscribed { topic, values: count, limited, kept: None });
    }

    pub(super) fn forget_wish(&mut self, slot: Slot, filter: &TopicFilter) {
        if let Some(Some(client)) = self.slots.get_mut(slot as usize) {
            client.forget_wish(filter);
        }
    }
}
