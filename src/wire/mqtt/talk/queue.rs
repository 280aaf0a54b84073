//! Deliveries to a client of MQTT whose messages wait until there is room on the way.
//!
//! They wait as they were delivered, so what they take is what the outbox counts.

use std::sync::Arc;

use crate::broker::{Charge, Chosen, Feed, Piece, Selection, Stored};
use crate::codec::{Batch, Dialect};

/// A delivery, and the first of its messages that is not written.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) what: What,
    pub(super) held: Arc<Held>,
    next: usize,
}

/// The messages of a delivery.
#[derive(Clone, Debug)]
pub(super) enum What {
    Batch(Published),
    /// Last values.
    Values(Arc<[Stored]>),
}

/// Some messages of a batch.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) batch: Arc<Batch>,
    pub(super) dialect: Dialect,
    pub(super) selection: Arc<Selection>,
    /// Whether the client has published them itself.
    pub(super) is_own: bool,
    /// Whether they came while it was away.
    pub(super) is_stale: bool,
    /// The group that has given them to the client, if one has.
    pub(super) chosen: Option<Arc<Chosen>>,
}

/// The part of the queue, or of the memory for long answers, that a delivery takes until the client
/// has the last of its messages.
#[derive(Debug)]
pub(crate) enum Held {
    Charge(Charge),
    Piece(#[allow(dead_code, reason = "it is held for as long as it is needed")] Piece),
    /// Nothing here: the message lies in a stream, whose consumer waits for it to be acknowledged.
    Log(Arc<Feed>, u64),
}

impl Waiting {
    pub(super) fn new(what: What, held: Held) -> Waiting {
        Waiting { what, held: Arc::new(held), next: 0 }
    }

    /// The place of the next message, which is behind it then.
    pub(super) fn take(&mut self) -> Option<usize> {
        match &self.what {
            What::Values(values) => {
                let place = self.next;
                self.next += 1;
                (place < values.len()).then_some(place)
            }
            What::Batch(Published { batch, dialect, selection, .. }) => match &**selection {
                Selection::Whole => {
                    let rest = self.next..batch.messages().len();
                    let place = rest.into_iter().find(|place| batch.is_wanted(*dialect, *place))?;
                    self.next = place + 1;
                    Some(place)
                }
                Selection::Some(places) => {
                    let place = *places.get(self.next)?;
                    self.next += 1;
                    Some(place as usize)
                }
            },
        }
    }

    /// Where the next message is looked for.
    pub(super) fn mark(&self) -> usize {
        self.next
    }

    /// Goes back to where it was.
    pub(super) fn go_back(&mut self, mark: usize) {
        self.next = mark;
    }

    /// Says that its messages came while the client was away.
    pub(super) fn become_stale(&mut self) {
        if let What::Batch(published) = &mut self.what {
            published.is_stale = true;
        }
    }
}

/// What is to be given back now that a message, or a delivery, is done with: it was the last that
/// held it. One of a stream is acknowledged.
pub(super) fn let_go(held: Arc<Held>) -> Option<Charge> {
    match Arc::into_inner(held) {
        Some(Held::Charge(charge)) => Some(charge),
        Some(Held::Log(feed, seq)) => {
            feed.ack(seq);
            None
        }
        _ => None,
    }
}
