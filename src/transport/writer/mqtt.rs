//! Deliveries to a client of MQTT: what its session and this writer both know decides how.

use std::io;
use std::sync::Arc;

use super::Writer;
use super::gather::STREAM_ENDED;
use crate::broker::sync::{Mutex, Receiver};
use crate::broker::{Charge, Delivery, Feed, Found, MqttWay, Piece, Record, StoreError, tenths};
use crate::protocol::{ErrorCode, Refusal, Reply};
use crate::wire::mqtt::{Held, Next, PutKept, Reason, Talk};

impl Writer {
    /// Adds a delivery to the next write, and what has been waiting for that.
    pub(super) fn gather_mqtt(
        &mut self,
        talk: &Mutex<Talk>,
        delivery: Delivery,
        charge: Charge,
    ) -> io::Result<()> {
        let is_stale = talk.lock().take_stale();
        match delivery {
            Delivery::Messages { batch, dialect, selection, is_own, chosen } => {
                let (batch, how) = ((batch, dialect), (is_own, is_stale, chosen));
                talk.lock().deliver(batch, selection, how, Held::Charge(charge));
                return self.go_on_with(talk);
            }
            Delivery::Snapshot { values, .. } => {
                let mut talking = talk.lock();
                talking.begin_values(&mut self.hand.gathered);
                talking.deliver_values(values, Held::Charge(charge));
                drop(talking);
                return self.go_on_with(talk);
            }
            Delivery::LongSnapshot { pieces, topic, limited, dialect, token } => {
                talk.lock().begin_values(&mut self.hand.gathered);
                match self.gather_pieces(talk, &pieces) {
                    Ok(true) => {
                        let went_on = self.go_on_with(talk);
                        talk.lock().done(&mut self.hand.gathered);
                        went_on?;
                    }
                    Ok(false) => {}
                    Err(error) => {
                        // The rest of it is for the next connection.
                        let rest =
                            Delivery::LongSnapshot { pieces, topic, limited, dialect, token };
                        talk.lock().save(rest, charge);
                        return Err(error);
                    }
                }
            }
            Delivery::Durable { ticket, reply, token } => {
                // What was gathered does not wait for the disk.
                if !ticket.is_ready()
                    && let Err(error) = self.flush()
                {
                    talk.lock().save(Delivery::Durable { ticket, reply, token }, charge);
                    return Err(error);
                }
                let failed: Option<Refusal> = ticket.wait().err();
                talk.lock().pong(failed.as_ref(), &mut self.hand.gathered);
                if failed.is_some_and(|refusal| refusal.code.is_fatal()) {
                    self.flush()?;
                    return Err(io::Error::other("what was published before is in doubt"));
                }
            }
            // Others wait for the client already, and have their turn before it.
            Delivery::Feed(feed) if !self.held_feeds.is_empty() && !feed.was_removed() => {
                feed.begin();
                self.hold(&feed, true);
            }
            Delivery::Feed(feed) => self.gather_feed(&feed)?,
            Delivery::Answer { answer, token } => {
                // What was gathered does not wait for it.
                if let Err(error) = self.flush() {
                    talk.lock().save(Delivery::Answer { answer, token }, charge);
                    return Err(error);
                }
                let ended = || Refusal::new(ErrorCode::StorageFailed, STREAM_ENDED);
                let refusal = answer.recv().unwrap_or_else(|_| Err(ended())).err();
                talk.lock().stream_answered(token, refusal, &mut self.hand.gathered);
            }
            // What the session asked for by itself.
            Delivery::Reply {
                reply: Reply::Subscribed { .. } | Reply::Cancelled { .. },
                token,
            } if token.0 == 0 => {}
            Delivery::Reply { reply, token } => match reply {
                Reply::Pong { .. } => talk.lock().pong(None, &mut self.hand.gathered),
                Reply::Subscribed { .. } | Reply::Cancelled { .. } => {
                    talk.lock().done(&mut self.hand.gathered);
                }
                Reply::Error(refusal) => {
                    talk.lock().refuse(token, refusal, &mut self.hand.gathered);
                }
                _ => {}
            },
            // Nothing else was asked for.
            _ => {}
        }
        self.hand.gathered.charges.push(charge);
        self.go_on_with(talk)
    }

    /// Goes on with what a client of MQTT is to get though nothing new was delivered. Returns
    /// whether the last was said.
    pub(super) fn go_on_talking(&mut self) -> io::Result<bool> {
        let Some(talk) = self.ties.talk.clone() else { return Ok(false) };
        // The guard does not live as long as what is done with the delivery.
        let saved = talk.lock().saved();
        match saved {
            Some((delivery, charge)) if self.in_turn && delivery.may_take_time() => {
                self.hand.pending = Some((delivery, charge));
                return Ok(false);
            }
            Some((delivery, charge)) => self.gather_mqtt(&talk, delivery, charge)?,
            None => {}
        }
        let may_go = talk.lock().feeds_may_go();
        if may_go {
            self.feeds.extend(self.held_feeds.drain(..));
            self.held_first = 0;
        }
        if self.in_turn
            && self.hand.pending.is_none()
            && let Some(feed) = self.feeds.pop_front()
        {
            // It reads a disk, which takes a thread.
            self.hand.pending = Some((Delivery::Feed(feed), Charge::default()));
        }
        self.go_on_with(&talk)?;
        if may_go && !self.in_turn {
            // Those that have waited come before others that the inbox has news of.
            for _ in 0..self.feeds.len() {
                let Some(feed) = self.feeds.pop_front() else { break };
                if talk.lock().has_room_for_kept() {
                    self.gather_feed(&feed)?;
                } else {
                    self.hold(&feed, false);
                }
            }
        }
        let is_over = talk.lock().is_over();
        Ok(is_over)
    }

    /// Says to a client of MQTT why the connection ends, if nobody has.
    pub(super) fn say_goodbye(&mut self) {
        if let Some(talk) = &self.ties.talk {
            let mut talk = talk.lock();
            talk.end(Reason::SHUTTING_DOWN);
            talk.go_on(&mut self.hand.gathered, 0, tenths());
        }
    }

    /// Whether there is something to write though nothing new was delivered.
    pub(super) fn has_more_to_say(&self) -> bool {
        self.ties.talk.as_ref().is_some_and(|talk| talk.lock().has_news())
    }

    /// Adds what can be written now.
    fn go_on_with(&mut self, talk: &Mutex<Talk>) -> io::Result<()> {
        let mut paid = 0;
        loop {
            let (next, failed, sent) = {
                let mut talk = talk.lock();
                let next = talk.go_on(&mut self.hand.gathered, paid, tenths());
                (next, talk.take_failed(), talk.take_sent())
            };
            self.count_failures(failed);
            self.common.counters.add_mqtt(MqttWay::Out, sent);
            let paid_for = std::mem::take(&mut paid);
            match next {
                Next::Nothing => {
                    self.again = None;
                    return Ok(());
                }
                // A turn writes at its end, and waits for nothing.
                _ if self.in_turn => return Ok(()),
                Next::Write => self.flush()?,
                Next::Read => {
                    if let Some(bytes) = self.read_again(talk, paid_for)? {
                        self.make_room(bytes)?;
                        paid = bytes;
                    }
                }
                Next::Claim(bytes) => {
                    self.make_room(bytes)?;
                    paid = bytes;
                }
            }
        }
    }

    /// Reads the message of a stream that is to be sent again, and adds it. Nobody waits for the
    /// disk meanwhile who waits for the talk. Returns how much memory it takes, where that is more
    /// than was `paid`.
    fn read_again(&mut self, talk: &Mutex<Talk>, paid: usize) -> io::Result<Option<usize>> {
        self.claim_reading()?;
        let Some((feed, seq)) = talk.lock().to_read() else { return Ok(None) };
        let mut cursor = match self.again.take() {
            Some((before, cursor)) if before.shares_log(&feed) => cursor,
            _ => feed.cursor(seq),
        };
        if cursor.seq() != seq {
            cursor.seek(seq);
        }
        let put = match cursor.read() {
            Ok(Some(Found::Record(record))) if record.seq == seq => {
                talk.lock().put_again(Some(&record), paid, &mut self.hand.gathered)
            }
            Ok(_) => talk.lock().put_again(None, paid, &mut self.hand.gathered),
            Err(error) => {
                self.cannot_read(talk, &feed, &error);
                PutKept::LeftOut
            }
        };
        self.again = Some((feed, cursor));
        Ok(if let PutKept::Claim(bytes) = put { Some(bytes) } else { None })
    }

    /// Ends a connection whose messages cannot be read: the next one may have them.
    pub(super) fn cannot_read(&self, talk: &Mutex<Talk>, feed: &Feed, error: &StoreError) {
        tracing::warn!(
            client = %self.client, stream = %feed.stream, %error,
            "a client of MQTT is let go, because its messages cannot be read"
        );
        talk.lock().cannot_read();
    }

    /// Keeps a feed until the client has answered, behind those that had their turn later.
    pub(super) fn hold(&mut self, feed: &Arc<Feed>, had_its_turn: bool) {
        if self.held_feeds.iter().any(|held| Arc::ptr_eq(held, feed)) {
            return;
        }
        if had_its_turn {
            self.held_feeds.push(feed.clone());
        } else {
            self.held_feeds.insert(self.held_first, feed.clone());
            self.held_first += 1;
        }
    }

    /// Adds a message of a stream. Returns whether it is written now, or is not to be; `None` where
    /// the client has to answer first.
    pub(super) fn gather_kept(
        &mut self,
        talk: &Mutex<Talk>,
        feed: &Arc<Feed>,
        record: &Record<'_>,
        attempt: u32,
    ) -> io::Result<Option<bool>> {
        let mut paid = 0;
        loop {
            let put =
                talk.lock().deliver_kept(feed, (record, attempt), paid, &mut self.hand.gathered);
            match put {
                PutKept::Written | PutKept::LeftOut => {
                    self.flush_enough()?;
                    return Ok(Some(put == PutKept::Written));
                }
                PutKept::NoRoom => return Ok(None),
                PutKept::Claim(bytes) => {
                    self.make_room(bytes)?;
                    paid = bytes;
                }
            }
        }
    }

    /// Adds last values as they come. Returns whether they came to their end: otherwise the
    /// connection was cut off.
    fn gather_pieces(&mut self, talk: &Mutex<Talk>, pieces: &Receiver<Piece>) -> io::Result<bool> {
        while let Some(mut piece) = self.next_piece(pieces)? {
            let (values, is_last) = (std::mem::take(&mut piece.values), piece.last);
            talk.lock().deliver_values(values, Held::Piece(piece));
            if is_last {
                return Ok(true);
            }
            self.go_on_with(talk)?;
        }
        Ok(false)
    }
}
