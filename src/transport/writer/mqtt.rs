//! Deliveries to a client of MQTT: what its session and this writer both know decides how.

use std::io;

use super::Writer;
use crate::broker::sync::Mutex;
use crate::broker::{Charge, Delivery, Letter, Stored, Taken};
use crate::protocol::{Refusal, Reply};
use crate::wire::mqtt::{Reason, Talk};

impl Writer {
    /// Adds a delivery to the next write, and what has been waiting for that.
    pub(super) fn gather_mqtt(
        &mut self,
        talk: &Mutex<Talk>,
        delivery: Delivery,
        charge: Charge,
    ) -> io::Result<()> {
        let is_stale = talk.lock().take_stale();
        let mut rest = Some(charge);
        match delivery {
            Delivery::Messages { batch, selection, is_own, .. } => {
                if let Some(charge) = rest.take() {
                    let how = (is_own, is_stale);
                    talk.lock().deliver(&batch, &selection, how, charge, &mut self.gathered);
                }
            }
            Delivery::Snapshot { values, .. } => {
                talk.lock().begin_values(&mut self.gathered);
                self.gather_stored_mqtt(talk, &values)?;
            }
            Delivery::LongSnapshot { pieces, .. } => {
                talk.lock().begin_values(&mut self.gathered);
                let mut is_whole = false;
                while let Some(piece) = self.next_piece(&pieces)? {
                    is_whole = piece.last;
                    self.gather_stored_mqtt(talk, &piece.values)?;
                }
                if is_whole {
                    talk.lock().done(&mut self.gathered);
                }
            }
            Delivery::Durable { ticket, .. } => {
                // What was gathered does not wait for the disk.
                if !ticket.is_ready() {
                    self.flush()?;
                }
                let failed: Option<Refusal> = ticket.wait().err();
                talk.lock().pong(failed.as_ref(), &mut self.gathered);
            }
            Delivery::Mailbox(mailbox) => {
                let mut rest = mailbox.open();
                loop {
                    let Taken { letters, messages, charge, .. } = mailbox.take();
                    for letter in &letters {
                        match letter {
                            Letter::Messages(batch, selection, _) => {
                                let (how, none) = ((false, is_stale), Charge::default());
                                let gathered = &mut self.gathered;
                                talk.lock().deliver(batch, selection, how, none, gathered);
                            }
                            Letter::Newest(stored) => {
                                talk.lock().deliver_stored(stored, &mut self.gathered);
                            }
                        }
                    }
                    self.gathered.charges.push(self.inbox.gathered(charge));
                    rest = rest.saturating_sub(messages);
                    if rest == 0 || letters.is_empty() {
                        break;
                    }
                }
            }
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
        self.gathered.charges.extend(rest);
        self.go_on_with(talk)
    }

    /// Goes on with what a client of MQTT is to get though nothing new was delivered. Returns whether
    /// the last was said.
    pub(super) fn go_on_talking(&mut self) -> io::Result<bool> {
        let Some(talk) = self.talk.clone() else { return Ok(false) };
        loop {
            // The guard does not live as long as what is done with the delivery.
            let saved = talk.lock().saved();
            let Some((delivery, charge)) = saved else { break };
            self.gather_mqtt(&talk, delivery, charge)?;
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
            talk.go_on(&mut self.gathered);
        }
    }

    /// Whether there is something to write though nothing new was delivered.
    pub(super) fn has_more_to_say(&self) -> bool {
        self.talk.as_ref().is_some_and(|talk| talk.lock().has_news())
    }

    /// Adds what can be written now.
    fn go_on_with(&mut self, talk: &Mutex<Talk>) -> io::Result<()> {
        loop {
            let (has_more, failed) = {
                let mut talk = talk.lock();
                (talk.go_on(&mut self.gathered), talk.take_failed())
            };
            self.count_failures(failed);
            if !has_more {
                return Ok(());
            }
            // A turn writes at its end; what a client's window lets through is no more than that.
            if self.in_turn {
                return Ok(());
            }
            self.flush()?;
        }
    }

    fn gather_stored_mqtt(&mut self, talk: &Mutex<Talk>, values: &[Stored]) -> io::Result<()> {
        for stored in values {
            // Who was cut off gets no more of it.
            if self.inbox.is_overflowed() {
                break;
            }
            talk.lock().deliver_stored(stored, &mut self.gathered);
            self.flush_enough()?;
        }
        Ok(())
    }
}
