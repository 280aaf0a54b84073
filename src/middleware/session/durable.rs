//! Messages of a stream: which of them is acknowledged, and what comes again.

use super::{Arrived, Kept, Session};
use crate::codec::FrameField;
use crate::middleware::connection::Connection;
use crate::middleware::error::QueueError;
use crate::middleware::origin::Origin;
use crate::middleware::settle::Settle;
use crate::middleware::settler::Settler;
use crate::middleware::subscribe::Subscribe;
use crate::middleware::wire::{Wire, write_command};
use crate::protocol::{Command, Start};

/// The answer to a `get` of a topic's last messages, as far as it has come.
pub(super) struct Last<M> {
    pub(super) found: Vec<Arrived<M>>,
    pub(super) is_all: bool,
}

impl<M> Default for Last<M> {
    fn default() -> Last<M> {
        Last { found: Vec::new(), is_all: false }
    }
}

impl<W: Wire> Session<W> {
    pub(super) fn settler(link: &Connection) -> Settler {
        Settler::new(link.outgoing(), W::FORMAT)
    }

    /// How the subscription is asked for on the next connection: a consumer is known by its name,
    /// and a follower goes on behind what it was given.
    pub(super) fn how(&self) -> Subscribe {
        let mut how = self.to.how.clone();
        if how.consumer.is_none()
            && let (Some(_), Some(seen)) = (how.start, self.seen)
        {
            how.start = Some(Start::Seq(seen + 1));
        }
        how
    }

    /// Notes how far a follower is.
    pub(super) fn see(&mut self, origin: &Origin) {
        if origin.consumer.is_none() {
            self.seen = Some(origin.seq);
        }
    }

    /// Notes where a follower begins: one that loses its connection before the first message goes
    /// on from there.
    pub(super) fn begin_following(&mut self, next: Option<u64>) {
        self.seen = self.seen.or(next.and_then(|next| next.checked_sub(1)));
    }

    /// Forgets what a consumer was given on a connection that is lost: it comes again.
    pub(super) fn forget_unsettled(&mut self) {
        self.settler = Settler::default();
        self.kept.retain(|kept| match kept {
            Kept::Delivery(Arrived { origin: Some(origin), .. }) => origin.consumer.is_none(),
            _ => true,
        });
    }

    /// The message that was pulled last is acknowledged when the next is.
    pub(in crate::middleware) fn acknowledge_next_time(&mut self, arrived: &Arrived<W::Message>) {
        self.pulled = arrived.origin.clone().map(|origin| (arrived.settler.clone(), origin));
    }

    /// Settles the message that was pulled last, if it was not. Returns whether it could be said.
    pub(in crate::middleware) fn settle_pulled(&mut self, settle: Settle<'_>) -> bool {
        self.pulled.take().is_some_and(|(settler, origin)| settler.settle(&origin, settle))
    }

    /// The last messages of a topic that a stream keeps, oldest first.
    pub(in crate::middleware) fn get_last(
        &mut self,
        topic: &str,
        last: u32,
    ) -> Result<Vec<Arrived<W::Message>>, QueueError> {
        let patience = self.patience();
        self.refused()?;
        loop {
            self.connect(patience)?;
            let losses = self.losses;
            self.last = Last::default();
            self.frame.clear();
            let fields =
                [("topic", FrameField::Str(topic)), ("last", FrameField::Int(last.into()))];
            write_command(W::FORMAT, Command::Get.as_str(), &fields, &mut self.frame);
            self.send(patience)?;
            while self.losses == losses {
                if self.last.is_all {
                    return Ok(std::mem::take(&mut self.last.found));
                }
                self.turn(patience)?;
                self.refused()?;
            }
        }
    }
}
