//! What a writer gathers for its next write: each kind of delivery in the dialect that the
//! subscriber asked for.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::Writer;
use crate::broker::sync::{Instant, Receiver, TryRecvError};
use crate::broker::{Charge, Counters, Delivery, Letter, Mailbox, Piece, Selection, Stored, Taken};
use crate::codec::{Batch, DECODING_FACTOR, Dialect, Frame, PayloadRef};
use crate::protocol::{ErrorCode, Format, Refusal, Reply, plain_size};
use crate::transport::priority::{CROWD, give_way};
use crate::transport::process::resident_bytes;
use crate::transport::write_deadline::WRITE_TICK;
use crate::wire::{List, Listed, MAX_BYTES, selected, token_of};

/// What a client is told for whom there is no memory.
const NO_MEMORY: &str = "the broker has had no memory to write this value for as long as a client \
may take nothing \
                         (write-timeout); ask again later, or start the broker with more memory";

/// What a client is told whose answer will not come.
pub(super) const STREAM_ENDED: &str = "the stream's thread has ended before it answered: the \
stream was removed, or the broker is stopping";

impl Writer {
    /// Adds a delivery to the next write; what is too much for one write is written on the way.
    pub(super) fn gather(&mut self, delivery: Delivery, charge: Charge) -> io::Result<()> {
        if let Some(talk) = self.ties.talk.clone() {
            return self.gather_mqtt(&talk, delivery, charge);
        }
        match delivery {
            Delivery::Messages { batch, dialect, selection, .. } => {
                self.gather_messages(&batch, dialect, &selection, 0)?;
            }
            Delivery::Mailbox(mailbox) => self.gather_mailbox(&mailbox)?,
            Delivery::Snapshot { values, dialect } => self.gather_values(&values, dialect)?,
            Delivery::LongSnapshot { pieces, topic, limited, dialect, token } => {
                let (mut sent, mut whole) = (0, false);
                while let Some(piece) = self.next_piece(&pieces)? {
                    sent += piece.values.len() as u64;
                    whole = piece.last;
                    self.gather_values(&piece.values, dialect)?;
                }
                if whole {
                    let reply = Reply::Subscribed { topic, values: sent, limited, kept: None };
                    self.hand.gathered.reply(token, &reply);
                }
            }
            Delivery::Topics { pieces, token } => {
                let mut list = List::new(token, &self.common.limits, &self.account);
                while let Some(piece) = self.next_piece(&pieces)? {
                    list.add(&piece);
                }
                self.gather_list(list)?;
            }
            Delivery::Value { stored, dialect, .. } => {
                self.gather_stored(&stored, dialect, Frame::Value)?
            }
            Delivery::Durable { ticket, reply, token } => {
                // What was gathered does not wait for the disk.
                if !ticket.is_ready() {
                    self.flush()?;
                }
                let refused = ticket.wait().err();
                let is_last = refused.as_ref().is_some_and(|refusal| refusal.code.is_fatal());
                self.hand.gathered.reply(token, &refused.map_or(reply, Reply::Error));
                if is_last {
                    self.flush()?;
                    return Err(io::Error::other("what was published before is in doubt"));
                }
            }
            Delivery::Backup { made, token } => {
                self.flush()?;
                match made.wait() {
                    Ok(name) => self.hand.gathered.backup(token, &name),
                    Err(refusal) => self.hand.gathered.reply(token, &Reply::Error(refusal)),
                }
            }
            Delivery::Report { report, token } => {
                let stats = report.complete(&self.common.counters, resident_bytes(), |client| {
                    self.common.sessions.report(client)
                });
                self.hand.gathered.stats(token, &stats);
            }
            Delivery::Feed(feed) => self.gather_feed(&feed)?,
            Delivery::Last(last) => self.gather_last(&last)?,
            Delivery::Streams { streams, token } => self.gather_streams(&streams, token),
            Delivery::Consumers { consumers, token } => self.gather_consumers(&consumers, token)?,
            Delivery::Answer { answer, token } => {
                // What was gathered does not wait for it.
                self.flush()?;
                let ended = || Refusal::new(ErrorCode::StorageFailed, STREAM_ENDED);
                let reply = answer.recv().unwrap_or_else(|_| Err(ended()));
                self.hand.gathered.reply(token, &reply.unwrap_or_else(Reply::Error));
            }
            Delivery::Names(names) => self.names = *names,
            // The next push says it.
            Delivery::Wake => {}
            Delivery::Reply { reply, token } => self.hand.gathered.reply(token, &reply),
        }
        self.hand.gathered.charges.push(charge);
        Ok(())
    }

    /// Adds the answer to a `list` of many topics, unless the connection was cut off before it was
    /// whole.
    fn gather_list(&mut self, list: List) -> io::Result<()> {
        let Some(Listed { token, reply, encoded, mut memory }) = list.finish() else {
            return Ok(());
        };
        // What is long is written by itself.
        self.flush()?;
        self.hand.gathered.own.reserve(encoded);
        self.hand.gathered.reply(token, &reply);
        drop(reply);
        memory.shrink_to(self.hand.gathered.own.capacity());
        self.answer = memory;
        self.flush()
    }

    /// The next of many stored values, or `None` behind the last. What was gathered does not wait
    /// for it.
    pub(super) fn next_piece(&mut self, pieces: &Receiver<Piece>) -> io::Result<Option<Piece>> {
        match pieces.try_recv() {
            Ok(piece) => Ok(Some(piece)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.flush()?;
                Ok(pieces.recv().ok())
            }
        }
    }

    fn gather_values(&mut self, values: &[Stored], dialect: Dialect) -> io::Result<()> {
        for stored in values {
            // Who was cut off gets no more of it.
            if self.inbox.is_overflowed() {
                break;
            }
            self.gather_stored(stored, dialect, Frame::Retained)?;
            self.flush_enough()?;
        }
        Ok(())
    }

    /// Adds what a mailbox held at this moment, or what took its place meanwhile.
    fn gather_mailbox(&mut self, mailbox: &Mailbox) -> io::Result<()> {
        let dialect = mailbox.dialect();
        let mut rest = mailbox.open();
        loop {
            let Taken { dropped, letters, messages, charge } = mailbox.take();
            if dropped > 0 {
                let reply = Reply::Dropped { topic: mailbox.topic().clone(), count: dropped };
                self.hand.gathered.reply(mailbox.token(), &reply);
            }
            for letter in &letters {
                if self.inbox.is_overflowed() {
                    break;
                }
                match letter {
                    Letter::Messages(batch, selection, skipped) => {
                        self.gather_messages(batch, dialect, selection, *skipped)?;
                    }
                    Letter::Newest(stored) if !stored.is_held() => {
                        let reply = Reply::Cleared { topic: stored.topic().to_topic() };
                        self.hand.gathered.reply(mailbox.token(), &reply);
                    }
                    Letter::Newest(stored) => self.gather_stored(stored, dialect, Frame::Live)?,
                }
                self.flush_enough()?;
            }
            let is_last = letters.is_empty();
            drop(letters);
            self.hand.gathered.charges.push(self.inbox.gathered(charge));
            rest = rest.saturating_sub(messages);
            if rest == 0 || is_last {
                return Ok(());
            }
        }
    }

    /// Adds messages of a batch, without the first `skipped` of them.
    fn gather_messages(
        &mut self,
        batch: &Arc<Batch>,
        dialect: Dialect,
        selection: &Selection,
        skipped: usize,
    ) -> io::Result<()> {
        if dialect == Dialect::PlainXml && !self.names.are_usual() {
            return self.gather_named(batch, selection, skipped);
        }
        if !self.in_turn {
            // Whoever asks first writes it for all.
            give_way(batch.bytes().len(), self.common.counters.open() > CROWD);
        }
        let run = batch.run(dialect);
        self.count_failures(run.failed());
        self.common.counters.add_translated(run.take_translated(), dialect.format());
        if selection == &Selection::Whole && skipped == 0 && !batch.expands() {
            self.hand.gathered.whole_run((batch, run), dialect);
            return Ok(());
        }
        let mut messages = selected(batch, dialect, selection, skipped);
        while let Some(apart) = self.hand.gathered.messages((batch, run), dialect, &mut messages) {
            let topic = batch.topics().get(batch.messages()[apart].topic());
            self.gather_payload(batch.payload(apart), topic.as_str(), dialect, Frame::Live)?;
        }
        Ok(())
    }

    /// The same in plain XML with names that this connection has given: what others get has other
    /// names, so each message is written for it alone.
    fn gather_named(
        &mut self,
        batch: &Batch,
        selection: &Selection,
        skipped: usize,
    ) -> io::Result<()> {
        let dialect = Dialect::PlainXml;
        for index in selected(batch, dialect, selection, skipped) {
            if self.inbox.is_overflowed() {
                break;
            }
            let published = &batch.messages()[index];
            let topic = batch.topics().get(published.topic());
            if published.is_cleared() {
                let reply = Reply::Cleared { topic: topic.to_topic() };
                self.hand.gathered.reply(token_of(dialect.format()), &reply);
            } else {
                let payload = batch.payload(index);
                if payload.as_it_came(dialect).is_none() {
                    let mut from = [0; Format::ALL.len()];
                    from[published.format() as usize] = 1;
                    self.common.counters.add_translated(from, dialect.format());
                }
                self.gather_payload(payload, topic.as_str(), dialect, Frame::Live)?;
            }
            self.flush_enough()?;
        }
        Ok(())
    }

    /// Adds a stored value.
    fn gather_stored(&mut self, stored: &Stored, dialect: Dialect, frame: Frame) -> io::Result<()> {
        self.gather_payload(stored.payload(), stored.topic().as_str(), dialect, frame)
    }

    /// Adds a message that no batch has written. A long one is written by itself, in memory that is
    /// claimed for it; where there is none for too long, it is said. Who was to get a message that
    /// it has not asked for would not know what it has missed, so the connection ends with that.
    pub(super) fn gather_payload(
        &mut self,
        payload: PayloadRef<'_>,
        topic: &str,
        dialect: Dialect,
        frame: Frame<'_>,
    ) -> io::Result<()> {
        let is_answer = matches!(frame, Frame::Value | Frame::KeptValue(_));
        match self.write_payload(payload, topic, dialect, frame) {
            Err(error) if error.kind() == ErrorKind::OutOfMemory && !self.inbox.is_overflowed() => {
                let refusal = Refusal::new(ErrorCode::MemoryFull, NO_MEMORY).about(topic);
                let reply = Reply::Error(refusal);
                self.hand.gathered.reply(token_of(dialect.format()), &reply);
                if is_answer {
                    return Ok(());
                }
                self.flush()?;
                Err(error)
            }
            written => written,
        }
    }

    fn write_payload(
        &mut self,
        payload: PayloadRef<'_>,
        topic: &str,
        dialect: Dialect,
        frame: Frame<'_>,
    ) -> io::Result<()> {
        if let Some(content) = payload.as_it_came(dialect) {
            self.make_room(payload.source().len())?;
            self.hand.gathered.message(frame, dialect, topic, content);
        } else {
            let length = payload.source().len();
            if !self.in_turn {
                give_way(length, self.common.counters.open() > CROWD);
            }
            for decoded in
                [plain_size(length), self.common.limits.decoded_budget(length), usize::MAX]
            {
                // What it is encoded to takes about as much again; without types, more.
                let encoded = if dialect == Dialect::PlainXml { 4 } else { 1 };
                self.make_room(decoded.saturating_mul(DECODING_FACTOR + encoded))?;
                let Writer { hand, scratch, common, names, .. } = self;
                let (gathered, limits) = (&mut hand.gathered, &common.limits);
                scratch.clear();
                match payload.decode_within(scratch, limits, decoded) {
                    Ok(root) => {
                        let view = scratch.view(payload.source(), root);
                        gathered.value(frame, dialect, topic, view, names, limits);
                        break;
                    }
                    Err(refusal) if refusal.code == ErrorCode::TooLarge && decoded < usize::MAX => {
                    }
                    Err(_) => {
                        self.count_failures(1);
                        break;
                    }
                }
            }
            self.scratch.clear();
        }
        if self.answer.bytes() > 0 && !self.in_turn {
            self.answer.shrink_to(self.hand.gathered.own.capacity());
            self.flush()?;
        }
        Ok(())
    }

    /// Makes room for so many bytes of a stored value: where these are many, what was gathered is
    /// written first, and memory for them is waited for.
    pub(super) fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        if bytes <= MAX_BYTES {
            return Ok(());
        }
        // More than half of the share might be waited for for ever, while others take turns with
        // the rest.
        let bytes = bytes.min(self.account.share().limit() / 2);
        if self.in_turn {
            // A turn waits for nothing, and is given nothing that is long.
            self.answer = self.account.charge(bytes + self.answer.bytes());
            return Ok(());
        }
        self.flush()?;
        let began = Instant::now();
        self.answer = loop {
            if let Some(claim) = self.account.claim(bytes, WRITE_TICK) {
                break claim;
            }
            self.deadline.last_without_memory(began, &self.inbox)?;
        };
        Ok(())
    }

    pub(super) fn count_failures(&self, failed: usize) {
        if failed > 0 {
            Counters::add(&self.common.counters.encoding_failures, failed);
            tracing::error!(client = %self.client, failed, "judged messages could not be encoded; \
            this is a bug, please report it");
        }
    }
}
