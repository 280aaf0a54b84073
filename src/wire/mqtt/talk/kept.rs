//! Messages of streams on their way to a client: each is written when it is read, and its consumer
//! is told when the client has it.
//!
//! What was read is not kept. One that is sent again is read again.

use std::sync::Arc;

use super::super::Qos;
use super::Talk;
use super::message::{Around, Message, NotWritten, Source};
use super::queue::Held;
use crate::broker::{Feed, Record};
use crate::wire::write_batch::WriteBatch;

/// What became of a message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutKept {
    /// It is written, or need not be.
    Done,
    /// The client has to answer first.
    NoRoom,
    /// It takes so much memory.
    Claim(usize),
}

impl Talk {
    /// Adds a message that was read for a feed, the `attempt`-th time that it is due. It may take
    /// as much memory as `paid`.
    pub(crate) fn deliver_kept(
        &mut self,
        feed: &Arc<Feed>,
        (record, attempt): (&Record<'_>, u32),
        paid: usize,
        gathered: &mut WriteBatch,
    ) -> PutKept {
        let style = self.style;
        let Some(granted) = self.grants.of_stream(&feed.filter) else { return PutKept::Done };
        let qos = granted.qos.min(record.payload.qos().unwrap_or(Qos::ExactlyOnce));
        let identifiers: Box<[u32]> = granted.identifier.into_iter().collect();
        if attempt > 1 && self.sent_before.remove(&(feed.consumer.clone(), record.seq)) {
            return PutKept::Done;
        }
        if style.expiry_left(record.payload) == Some(0) {
            feed.ack(record.seq);
            return PutKept::Done;
        }
        if self.end.is_some() || qos != Qos::AtMostOnce && !self.has_room() {
            self.feeds_wait = true;
            return PutKept::NoRoom;
        }
        let around = Around { dup: false, qos, retain: false, id: None, identifiers: &identifiers };
        let put = if qos == Qos::AtMostOnce {
            style.put_record(record, around, paid, gathered)
        } else {
            let message = Message {
                source: Source::Log(feed.clone(), record.seq),
                retain: false,
                qos,
                identifiers: identifiers.clone(),
                chosen: None,
                held: Arc::new(Held::Log(feed.clone(), record.seq)),
            };
            let Ok(id) = self.outgoing.send(qos, message) else { return PutKept::NoRoom };
            let around = Around { id: Some(id), ..around };
            let put = style.put_record(record, around, paid, gathered);
            if put.is_err() {
                self.outgoing.give_up(id);
            }
            put
        };
        match put {
            Err(NotWritten::NeedsMemory(bytes)) => return PutKept::Claim(bytes),
            Ok(()) if qos != Qos::AtMostOnce => {}
            // One that is too long counts as one that has arrived (MQTT 5, 3.1.2.11.4).
            _ => feed.ack(record.seq),
        }
        self.note(qos, put);
        PutKept::Done
    }

    /// Notes what is on its way, now that its consumers begin anew: to them it is due again, and to
    /// the client it was sent, or is about to be with its number.
    pub(super) fn note_sent(&mut self) {
        let of_streams = self.outgoing.messages().filter_map(|message| match &message.source {
            Source::Log(feed, seq) => Some((feed.consumer.clone(), *seq)),
            _ => None,
        });
        self.sent_before = of_streams.collect();
    }

    /// Whether there may be room for messages of streams that have waited for some; it is asked
    /// once.
    pub(crate) fn feeds_may_go(&mut self) -> bool {
        let may_go = std::mem::take(&mut self.feeds_may_go);
        self.feeds_wait &= !may_go;
        may_go
    }
}
