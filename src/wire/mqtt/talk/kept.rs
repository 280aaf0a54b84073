//! Messages of streams on their way to a client: each is written when it is read, and its consumer
//! is told when the client has it.
//!
//! What was read is not kept. One that is sent again is read again.

use std::sync::Arc;

use super::super::{Qos, Reason};
use super::Talk;
use super::grants::Durable;
use super::message::{Around, Message, NotWritten, Source};
use super::queue::Held;
use crate::broker::{Feed, Record};
use crate::wire::write_batch::WriteBatch;

/// What became of a message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutKept {
    /// It is written.
    Written,
    /// It need not be, or cannot be.
    LeftOut,
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
        let Some(granted) = self.grants.of_stream(&feed.filter) else { return PutKept::LeftOut };
        let qos = granted.qos.min(record.payload.qos().unwrap_or(Qos::ExactlyOnce));
        let identifiers: Box<[u32]> = granted.identifier.into_iter().collect();
        // Its consumer may begin anew several times before something new comes.
        let sent_before = self.going.sent_before.get(&feed.consumer);
        if attempt > 1 && sent_before.is_some_and(|sent| sent.contains(&record.seq)) {
            return PutKept::LeftOut;
        }
        if style.expiry_left(record.payload) == Some(0) {
            feed.ack(record.seq);
            return PutKept::LeftOut;
        }
        if self.end.is_some() || qos != Qos::AtMostOnce && !self.has_room() {
            self.feeds_wait = true;
            return PutKept::NoRoom;
        }
        self.note_kept(feed, (record.seq, attempt));
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
        let put_kept = if put.is_ok() { PutKept::Written } else { PutKept::LeftOut };
        self.note(qos, put);
        put_kept
    }

    /// Notes what is on its way, now that its consumers begin anew: to them it is due again, and to
    /// the client it was sent, or is about to be with its number. What was noted before may still
    /// come: it was acknowledged when it was due again already.
    pub(super) fn note_sent(&mut self) {
        for message in self.outgoing.messages() {
            if let Source::Log(feed, seq) = &message.source {
                self.going.sent_before.entry(feed.consumer.clone()).or_default().insert(*seq);
            }
        }
    }

    /// Gives up what is on its way from a consumer that the session does not have any more: the
    /// client may have lost the right to it.
    pub(crate) fn give_up_of(&mut self, durable: &Durable) {
        self.outgoing.give_up_each(|message| match &message.source {
            Source::Log(feed, _) => feed.consumer.as_ref() == Some(&durable.consumer),
            _ => false,
        });
    }

    /// Notes a message that is sent. While the dispatcher is asked to let a consumer begin anew,
    /// what comes by the feed before is due again behind that.
    fn note_kept(&mut self, feed: &Feed, (seq, attempt): (u64, u32)) {
        if !self.going.asked.is_empty() {
            self.going.sent_before.entry(feed.consumer.clone()).or_default().insert(seq);
        } else if attempt == 1 {
            // All that is due again comes before what is new.
            let going = self.going.made();
            going.map(|going| going.sent_before.remove(&feed.consumer));
        }
    }

    /// Whether a message of a stream may be sent now: otherwise there is no need to read one.
    pub(crate) fn has_room_for_kept(&mut self) -> bool {
        let has_room = self.has_room();
        self.feeds_wait |= !has_room;
        has_room
    }

    /// The message of a stream that is to be sent again, and the feed by which it came.
    pub(crate) fn to_read(&self) -> Option<(Arc<Feed>, u64)> {
        match &self.going.owed.as_ref()?.source {
            Source::Log(feed, seq) => Some((feed.clone(), *seq)),
            _ => None,
        }
    }

    /// Adds that message, now that it was read; `None` where its stream does not keep it any more.
    /// It may take as much memory as `paid`.
    pub(crate) fn put_again(
        &mut self,
        record: Option<&Record<'_>>,
        paid: usize,
        gathered: &mut WriteBatch,
    ) -> PutKept {
        let owed = self.going.made().and_then(|going| going.owed.take());
        let Some(owed) = owed else { return PutKept::LeftOut };
        let Some(record) = record else {
            let message = owed.id.and_then(|id| self.outgoing.give_up(id));
            gathered.charges.extend(message.and_then(Message::let_go));
            return PutKept::LeftOut;
        };
        match self.style.put_record(record, owed.around(true), paid, gathered) {
            Err(NotWritten::NeedsMemory(bytes)) => {
                self.going.owed = Some(owed);
                return PutKept::Claim(bytes);
            }
            put => self.note_again(&owed, put, gathered),
        }
        PutKept::Written
    }

    /// A stream cannot be read now: the connection ends, and nothing is acknowledged for that.
    pub(crate) fn cannot_read(&mut self) {
        self.going.made().map(|going| going.owed.take());
        self.end(Reason::UNSPECIFIED);
    }

    /// The consumer of a feed was removed: where it is the session's own, the client would be told
    /// of nothing more, so the connection ends.
    pub(crate) fn lose_consumer(&mut self, feed: &Feed) {
        let own = self.grants.durable(&feed.filter).map(|durable| &durable.consumer);
        if own == feed.consumer.as_ref() {
            self.end(Reason::ADMINISTRATIVE);
        }
    }

    /// Whether there may be room for messages of streams that have waited for some; it is asked
    /// once.
    pub(crate) fn feeds_may_go(&mut self) -> bool {
        let may_go = std::mem::take(&mut self.feeds_may_go);
        self.feeds_wait &= !may_go;
        may_go
    }
}
