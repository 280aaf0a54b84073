//! What a writer reads from streams: it goes to the log itself, so what is far behind is nobody
//! else's matter.

use std::io;
use std::sync::Arc;

use super::Writer;
use crate::broker::sync::Instant;
use crate::broker::{
    Asked, Damage, Due, Feed, Found, LastMessages, Place, StoreError, StreamSummary,
    consumers_to_value,
};
use crate::codec::{Claim, Frame, KeptFields};
use crate::protocol::{ErrorCode, Refusal, Reply, Token, Value};
use crate::transport::write_deadline::WRITE_TICK;

/// Bytes of one feed that are written before it is somebody else's turn.
const TOGETHER: usize = 256 << 10;

/// Bytes that a place in a log reads into.
const READING: usize = 256 << 10;

/// Why a feed is left.
enum Left {
    /// All was read.
    Done,
    /// There is more, from this message on.
    Enough(u64),
    /// The same, and the client has to answer first.
    Held(u64),
    /// It cannot be read now.
    Failed(u64),
}

impl Writer {
    /// Adds what a feed is due to the next write. What is more than one turn's goes on behind what
    /// else waits.
    pub(super) fn gather_feed(&mut self, feed: &Arc<Feed>) -> io::Result<()> {
        feed.begin();
        if feed.was_removed()
            && let Some(talk) = &self.ties.talk
        {
            talk.lock().lose_consumer(feed);
        }
        self.claim_reading()?;
        let dropped = feed.take_dropped();
        if dropped > 0 {
            let reply = Reply::Dropped { topic: feed.filter.clone(), count: dropped };
            self.hand.gathered.reply(feed.token, &reply);
        }
        let mut room = TOGETHER;
        while let Some((due, mut place)) = feed.take() {
            let left = self.gather_due(feed, due, &mut place, &mut room)?;
            let written = std::mem::take(&mut place.written);
            feed.count(written);
            self.common.counters.add_streamed(feed.dialect.format(), written);
            match left {
                Left::Done => feed.put_back(place, None),
                Left::Enough(from) => {
                    // Others want the memory that it reads into.
                    if self.pages.share().is_wanted() {
                        place.cursor.release();
                        self.reading = Claim::nothing();
                    }
                    feed.put_back(place, (from <= due.to).then_some(Due { from, ..due }));
                    if !self.feeds.iter().any(|other| Arc::ptr_eq(other, feed)) {
                        self.feeds.push_back(feed.clone());
                    }
                    return Ok(());
                }
                Left::Held(from) => {
                    feed.put_back(place, Some(Due { from, ..due }));
                    self.hold(feed, room < TOGETHER);
                    return Ok(());
                }
                Left::Failed(from) => {
                    feed.put_back(place, Some(Due { from, ..due }));
                    return Ok(());
                }
            }
        }
        feed.rest();
        Ok(())
    }

    /// Claims memory to read into. Nothing is held while it is waited for.
    pub(super) fn claim_reading(&mut self) -> io::Result<()> {
        if self.reading.bytes() > 0 {
            return Ok(());
        }
        self.reading = self.pages.try_claim(READING).unwrap_or_default();
        let began = Instant::now();
        while self.reading.bytes() == 0 {
            self.flush()?;
            self.page = Claim::nothing();
            self.reading = self.pages.claim(READING, WRITE_TICK).unwrap_or_default();
            self.deadline.last_without_memory(began, &self.inbox)?;
        }
        self.claim_page();
        Ok(())
    }

    fn gather_due(
        &mut self,
        feed: &Arc<Feed>,
        due: Due,
        place: &mut Place,
        room: &mut usize,
    ) -> io::Result<Left> {
        let Place { cursor, fields, written } = place;
        loop {
            let seq = cursor.seq();
            if seq > due.to || feed.has_ended() || self.inbox.is_overflowed() {
                return Ok(Left::Done);
            }
            if *room == 0 {
                return Ok(Left::Enough(seq));
            }
            if let Some(talk) = &self.ties.talk
                && !talk.lock().has_room_for_kept()
            {
                return Ok(Left::Held(seq));
            }
            match cursor.read() {
                Ok(Some(Found::Record(record))) if record.seq > due.to => {
                    feed.report_deleted(seq, due.to);
                    return Ok(Left::Done);
                }
                Ok(Some(Found::Record(record))) => {
                    if record.seq > seq {
                        feed.report_deleted(seq, record.seq - 1);
                    }
                    let payload = record.payload;
                    *room = room.saturating_sub(payload.source().len() + payload.properties_len());
                    if !feed.wants(record.topic) {
                        continue;
                    }
                    if let Some(talk) = self.ties.talk.clone() {
                        match self.gather_kept(&talk, feed, &record, due.attempt)? {
                            None => return Ok(Left::Held(record.seq)),
                            Some(is_written) => *written += u64::from(is_written),
                        }
                        continue;
                    }
                    fields.set(record.seq, record.time, due.attempt);
                    let (topic, frame) = (record.topic.as_str(), Frame::Kept(fields));
                    self.gather_payload(record.payload, topic, feed.dialect, frame)?;
                    *written += 1;
                    self.flush_enough()?;
                }
                Ok(Some(Found::Damage(damage))) => {
                    feed.report(&damage);
                    let refusal = damaged(&feed.stream, &damage).about(feed.filter.as_str());
                    self.tell_of_feed(feed, refusal);
                }
                Ok(None) => return Ok(Left::Done),
                Err(error) => {
                    if let Some(talk) = &self.ties.talk {
                        self.cannot_read(talk, feed, &error);
                        return Ok(Left::Failed(seq));
                    }
                    let refusal = unreadable(&error).about(feed.filter.as_str());
                    self.tell_of_feed(feed, refusal);
                    return Ok(Left::Failed(seq));
                }
            }
        }
    }

    /// Says what is wrong with messages of a feed, where the client has a word for that.
    fn tell_of_feed(&mut self, feed: &Feed, refusal: Refusal) {
        if self.ties.talk.is_none() {
            self.hand.gathered.reply(feed.token, &Reply::Error(refusal));
        }
    }

    /// Adds a topic's last messages.
    pub(super) fn gather_last(&mut self, last: &LastMessages) -> io::Result<()> {
        let (topic, dialect, token) = (last.topic(), last.dialect(), last.token());
        let (all, mut cursor) = match last.find() {
            Ok(found) => found,
            Err(error) => {
                self.hand.gathered.reply(token, &Reply::Error(unreadable(&error)));
                return Ok(());
            }
        };
        let mut fields = KeptFields::new(dialect.format(), last.stream(), None);
        let mut count = 0;
        for seq in all {
            if self.inbox.is_overflowed() {
                break;
            }
            cursor.seek(seq);
            match cursor.read() {
                Ok(Some(Found::Record(record))) if record.seq == seq => {
                    fields.set(record.seq, record.time, 1);
                    let frame = Frame::KeptValue(&fields);
                    self.gather_payload(record.payload, topic.as_str(), dialect, frame)?;
                    self.flush_enough()?;
                    count += 1;
                }
                // It was dropped meanwhile.
                Ok(Some(Found::Record(_)) | None) => {}
                Ok(Some(Found::Damage(damage))) => {
                    let refusal = damaged(last.stream(), &damage);
                    self.hand.gathered.reply(token, &Reply::Error(refusal));
                }
                Err(error) => {
                    self.hand.gathered.reply(token, &Reply::Error(unreadable(&error)));
                    return Ok(());
                }
            }
        }
        self.hand.gathered.reply(token, &Reply::Values { topic: topic.clone(), count });
        Ok(())
    }

    /// Adds what is known of streams.
    pub(super) fn gather_streams(&mut self, streams: &[StreamSummary], token: Token) {
        let streams = Value::List(streams.iter().map(StreamSummary::to_value).collect());
        self.hand.gathered.reply(token, &Reply::Streams { streams });
    }

    /// Adds what the threads of streams know of their consumers.
    pub(super) fn gather_consumers(&mut self, asked: &[Asked], token: Token) -> io::Result<()> {
        // What was gathered does not wait for them.
        self.flush()?;
        let consumers = consumers_to_value(asked);
        self.hand.gathered.reply(token, &Reply::Consumers { consumers });
        Ok(())
    }
}

fn damaged(stream: &str, Damage { from, to, reason }: &Damage) -> Refusal {
    let reason = format!(
        "messages {from} to {to} of the stream {stream} cannot be read and are left out: {reason}"
    );
    Refusal::new(ErrorCode::Damaged, reason)
}

fn unreadable(error: &StoreError) -> Refusal {
    Refusal::new(ErrorCode::StorageFailed, error.reason())
}
