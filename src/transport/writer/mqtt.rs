//! Deliveries to a client of MQTT: what its session and this writer both know decides how.

use std::io;
use std::sync::Arc;

use super::Writer;
use super::gather::STREAM_ENDED;
use crate::broker::sync::{Mutex, Receiver};
use crate::broker::{Charge, Delivery, Feed, MqttWay, Piece, Record, tenths};
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
                talking.begin_values(&mut self.gathered);
                talking.deliver_values(values, Held::Charge(charge));
                drop(talking);
                return self.go_on_with(talk);
            }
            Delivery::LongSnapshot { pieces, topic, limited, dialect, token } => {
                talk.lock().begin_values(&mut self.gathered);
                match self.gather_pieces(talk, &pieces) {
                    Ok(true) => {
                        let went_on = self.go_on_with(talk);
                        talk.lock().done(&mut self.gathered);
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
                talk.lock().pong(failed.as_ref(), &mut self.gathered);
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
                talk.lock().stream_answered(token, refusal, &mut self.gathered);
            }
            // What the session asked for by itself.
            Delivery::Reply {
                reply: Reply::Subscribed { .. } | Reply::Cancelled { .. },
                token,
            } if token.0 == 0 => {}
            Delivery::Reply { reply, token } => match reply {
                Reply::Pong { .. } => talk.lock().pong(None, &mut self.gathered),
                Reply::Subscribed { .. } | Reply::Cancelled { .. } => {
                    talk.lock().done(&mut self.gathered);
                }
                Reply::Error(refusal) => {
                    talk.lock().refuse(token, refusal, &mut self.gathered);
                }
                _ => {}
            },
            // Nothing else was asked for.
            _ => {}
        }
        self.gathered.charges.push(charge);
        self.go_on_with(talk)
    }

    /// Goes on with what a client of MQTT is to get though nothing new was delivered. Returns
    /// whether the last was said.
    pub(super) fn go_on_talking(&mut self) -> io::Result<bool> {
        let Some(talk) = self.talk.clone() else { return Ok(false) };
        // The guard does not live as long as what is done with the delivery.
        let saved = talk.lock().saved();
        match saved {
            Some((delivery, charge)) if self.in_turn && delivery.may_take_time() => {
                self.pending = Some((delivery, charge));
                return Ok(false);
            }
            Some((delivery, charge)) => self.gather_mqtt(&talk, delivery, charge)?,
            None => {}
        }
        if talk.lock().feeds_may_go() {
            self.feeds.extend(self.held_feeds.drain(..));
        }
        if self.in_turn
            && self.pending.is_none()
            && let Some(feed) = self.feeds.pop_front()
        {
            // It reads a disk, which takes a thread.
            self.pending = Some((Delivery::Feed(feed), Charge::default()));
        }
        self.go_on_with(&talk)?;
        let is_over = talk.lock().is_over();
        Ok(is_over)
    }

    /// Says to a client of MQTT why the connection ends, if nobody has.
    pub(super) fn say_goodbye(&mut self) {
        if let Some(talk) = &self.talk {
            let mut talk = talk.lock();
            talk.end(Reason::SHUTTING_DOWN);
            talk.go_on(&mut self.gathered, 0, tenths());
        }
    }

    /// Whether there is something to write though nothing new was delivered.
    pub(super) fn has_more_to_say(&self) -> bool {
        self.talk.as_ref().is_some_and(|talk| talk.lock().has_news())
    }

    /// Adds what can be written now.
    fn go_on_with(&mut self, talk: &Mutex<Talk>) -> io::Result<()> {
        let mut paid = 0;
        loop {
            let (next, failed, sent) = {
                let mut talk = talk.lock();
                let next = talk.go_on(&mut self.gathered, paid, tenths());
                (next, talk.take_failed(), talk.take_sent())
            };
            self.count_failures(failed);
            self.counters.add_mqtt(MqttWay::Out, sent);
            paid = 0;
            match next {
                Next::Nothing => return Ok(()),
                // A turn writes at its end, and waits for nothing.
                _ if self.in_turn => return Ok(()),
                Next::Write => self.flush()?,
                Next::Claim(bytes) => {
                    self.make_room(bytes)?;
                    paid = bytes;
                }
            }
        }
    }

    /// Adds a message of a stream. Returns whether that need not wait for the client.
    pub(super) fn gather_kept(
        &mut self,
        talk: &Mutex<Talk>,
        feed: &Arc<Feed>,
        record: &Record<'_>,
        attempt: u32,
    ) -> io::Result<bool> {
        let mut paid = 0;
        loop {
            let put = talk.lock().deliver_kept(feed, (record, attempt), paid, &mut self.gathered);
            match put {
                PutKept::Done => {
                    self.flush_enough()?;
                    return Ok(true);
                }
                PutKept::NoRoom => return Ok(false),
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
