//! A writer that rests: what it gathers with, it gives back meanwhile.

use std::sync::Arc;

use super::{Common, Ties, Writer};
use crate::broker::{ClientId, Inbox};
use crate::transport::line::Outgoing;

/// A writer that rests. There may be thousands, so it takes little.
#[derive(Debug)]
pub(in crate::transport) enum Resting {
    Small(Box<Small>),
    /// One that has something that the others have not.
    Whole(Box<Writer>),
}

/// What is left of a writer that has written everything.
#[derive(Debug)]
pub(in crate::transport) struct Small {
    client: ClientId,
    outgoing: Outgoing,
    inbox: Inbox,
    common: Arc<Common>,
    ties: Ties,
}

impl Writer {
    /// Gives back what a writer needs only while it writes.
    pub(in crate::transport) fn rest(self: Box<Writer>) -> Resting {
        let is_plain = self.hand.is_empty()
            && self.feeds.is_empty()
            && self.held_feeds.is_empty()
            && self.without_thread.is_none()
            && self.names.are_usual()
            && !self.inbox.is_overflowed();
        if !is_plain {
            return Resting::Whole(self);
        }
        let Writer { client, outgoing, inbox, common, ties, .. } = *self;
        if let Some(talk) = &ties.talk {
            talk.lock().rest();
        }
        Resting::Small(Box::new(Small { client, outgoing, inbox, common, ties }))
    }
}

impl Resting {
    pub(in crate::transport) fn client(&self) -> ClientId {
        match self {
            Resting::Small(small) => small.client,
            Resting::Whole(writer) => writer.client,
        }
    }

    /// Ends a turn; false if something has come since it began.
    pub(in crate::transport) fn end_turn(&mut self) -> bool {
        match self {
            Resting::Small(small) => small.inbox.end_turn(),
            Resting::Whole(writer) => writer.inbox.end_turn(),
        }
    }

    /// The writer, as it was.
    pub(in crate::transport) fn wake(self) -> Box<Writer> {
        match self {
            Resting::Small(small) => {
                let Small { client, outgoing, inbox, common, ties } = *small;
                Writer::new(client, outgoing, inbox, ties, common)
            }
            Resting::Whole(writer) => writer,
        }
    }
}
