//! A session whose client is away: what it is delivered waits as it does for a client that is slow.

use std::sync::Arc;

use crate::broker::sync::{Instant, Mutex, Sender};
use crate::broker::{ClientId, Event, Fate, Inbox, Lane, Peer, Step};
use crate::codec::Claim;
use crate::wire::mqtt::Talk;

/// What is left of a connection whose client may come back.
#[derive(Debug)]
pub(in crate::transport) struct Kept {
    /// The number by which the dispatcher knows it.
    pub(in crate::transport) client: ClientId,
    pub(in crate::transport) inbox: Inbox,
    pub(in crate::transport) fate: Fate,
    pub(in crate::transport) talk: Arc<Mutex<Talk>>,
    /// Where its client was connected from.
    pub(in crate::transport) peer: Peer,
    /// Since when its client is away.
    pub(in crate::transport) since: Instant,
    /// When it is not waited for any more; `None` for ever.
    pub(in crate::transport) until: Option<Instant>,
    /// What is published when its client has not come back by then.
    pub(in crate::transport) will: Option<DelayedWill>,
    /// What it takes beside its deliveries.
    pub(in crate::transport) _memory: Claim,
    pub(in crate::transport) events: Sender<Event>,
}

/// A will that is published later.
#[derive(Debug)]
pub(in crate::transport) struct DelayedWill {
    pub(in crate::transport) at: Instant,
    pub(in crate::transport) steps: Vec<Step>,
    pub(in crate::transport) cost: usize,
}

impl Kept {
    /// Whether the dispatcher has let go of it, so that nobody can go on with it.
    pub(in crate::transport) fn is_over(&self) -> bool {
        self.inbox.is_overflowed() || self.inbox.is_closed()
    }

    /// When something is to be done about it.
    pub(super) fn due(&self) -> Option<Instant> {
        let will = self.will.as_ref().map(|will| will.at);
        self.until.into_iter().chain(will).min()
    }

    /// Takes its will, where there is one that is not published yet.
    pub(super) fn take_will(&mut self) -> Option<LastWord> {
        let DelayedWill { steps, cost, .. } = self.will.take()?;
        let (client, events) = (self.client, self.events.clone());
        Some(LastWord { client, steps, cost, events, is_end: false })
    }

    /// Ends the session: its will is published, its subscriptions are forgotten, and what waits for
    /// it with them.
    pub(in crate::transport) fn end(mut self) -> LastWord {
        let will = self.take_will();
        let (client, events) = (self.client, self.events.clone());
        let nothing = LastWord { client, steps: Vec::new(), cost: 0, events, is_end: false };
        LastWord { is_end: true, ..will.unwrap_or(nothing) }
    }
}

/// What is still to be said for a client that is away. The dispatcher is waited for, so nothing is
/// held meanwhile that others want.
#[derive(Debug)]
#[must_use]
pub(in crate::transport) struct LastWord {
    client: ClientId,
    steps: Vec<Step>,
    cost: usize,
    events: Sender<Event>,
    is_end: bool,
}

impl LastWord {
    /// Says it.
    pub(in crate::transport) fn say(self, lane: &Lane) {
        let LastWord { client, steps, cost, events, is_end } = self;
        // The dispatcher outlives everybody who can send.
        if !steps.is_empty() {
            let queued = lane.claim(cost);
            let _ = events.send(Event::Steps { client, steps, queued });
        }
        if is_end {
            let _ = events.send(Event::Detach { client });
        }
    }
}
