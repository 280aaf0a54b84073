//! The end of a connection: what is published then, and what is kept of its session.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::Session;
use super::super::writing::RunningWriter;
use super::{Known, Will};
use crate::broker::sync::Instant;
use crate::broker::{ClientId, Event, Step, Use};
use crate::codec::{Claim, Share};
use crate::protocol::Refusal;
use crate::transport::mqtt::{Absent, DelayedWill, Kept, Lasting, Stored, end_of, waited_until};
use crate::transport::purse::CONNECTION;
use crate::wire::mqtt::{Disconnect, Fault, Kind, Reason};

/// How long the writer may take for the last packet.
const GOODBYE: Duration = Duration::from_secs(1);
/// One part in so many of the memory for connections is not for sessions whose clients are away, so
/// that strangers who leave sessions behind keep nobody out.
const FOR_NEWCOMERS: usize = 4;

/// Memory for a session whose client is away, where there is some.
fn memory_to_keep(share: &Arc<Share>) -> Option<Claim> {
    let has_room = share.used() + CONNECTION <= share.limit() - share.limit() / FOR_NEWCOMERS;
    if has_room { share.account().claim_last(CONNECTION) } else { None }
}

impl Known {
    /// Takes a DISCONNECT.
    ///
    /// # Errors
    /// It asks for a session that outlives the connection, and CONNECT did not.
    pub(super) fn say_goodbye(&mut self, goodbye: &Disconnect<'_>) -> Result<(), Fault> {
        if let Some(expiry) = goodbye.session_expiry {
            if self.expiry == 0 && expiry > 0 {
                let what = "CONNECT asked for a session that ends with the connection";
                return Err(Fault::of(Reason::PROTOCOL_ERROR, Kind::Disconnect.name(), what));
            }
            self.expiry = expiry;
        }
        if goodbye.reason == Reason::SUCCESS {
            self.will = None;
        }
        self.talk.lock().end(Reason::SUCCESS);
        Ok(())
    }
}

impl Session {
    /// Lets go of the session: publishes the will, waits for the writer, and keeps what the client
    /// may come back for.
    pub(super) fn let_go_of_talk(&mut self) {
        // A broker that stops routes and writes out what has arrived, and waits for that; and
        // somebody who waits for the session is in its way.
        if self.shared.stopping.load(Ordering::Acquire) {
            if let Some(seat) = self.known_mut().and_then(|known| known.seat.take()) {
                drop(self.shared.mqtt.leave(seat, None));
            }
            return;
        }
        self.let_go_of_refused();
        let Some(known) = self.mqtt.as_mut().and_then(|mqtt| mqtt.known.take()) else { return };
        let lasting = known.lasting();
        let Known { talk, seat, inbox, will, expiry, mut written, is_turned_out, .. } = known;
        let Some(seat) = seat else { return };
        talk.lock().end(Reason::SUCCESS);
        let is_kept = expiry > 0 && !inbox.is_overflowed() && !inbox.is_closed();
        if is_kept {
            // What it shares with others goes to those who are there.
            let _ = self.events.send(Event::Away { client: self.client });
        }
        let will = will.filter(|will| self.may_publish(will));
        let now = Instant::now();
        let delayed = match will.map(|will| *will) {
            Some(Will { steps, cost, delay }) if is_kept && !delay.is_zero() => {
                Some(DelayedWill { at: now + delay, steps, cost })
            }
            Some(Will { steps, cost, .. }) => {
                self.send(steps, cost);
                None
            }
            None => None,
        };
        // A writer that waits is to see that it is the end.
        let _ = self.events.send(Event::Wake { client: self.client });
        let fate = self.writer.take().map(|RunningWriter { ended, reading, fate }| {
            if is_turned_out {
                // Unread input would turn the end into a reset that destroys the DISCONNECT. The
                // client's end of the connection ends this.
                self.buffer.take(self.buffer.bytes().len());
                self.buffer.release();
                self.purse.note_buffer(0);
                self.incoming.discard_for(GOODBYE);
            }
            drop(reading);
            // One whose peer takes nothing, perhaps because it is gone, keeps nobody from the
            // session: what it has not written stays there.
            if !ended.wait_until(Instant::now() + GOODBYE) {
                self.line.shut_down(Shutdown::Both);
                ended.wait();
            }
            fate
        });
        // What cannot be written stays as it was: the time alone is another.
        if let Some(lasting) = &lasting
            && expiry > 0
            && written.is_some_and(|seconds| seconds != expiry)
            && lasting.write(&self.events, &self.shared.config).is_ok()
        {
            written = Some(expiry);
        }
        let memory =
            if is_kept { memory_to_keep(self.shared.memory.of(Use::Connections)) } else { None };
        let until = waited_until(expiry);
        let (number, events) = (self.client, self.events.clone());
        let is_whole = expiry > 0 && lasting.as_ref().is_some_and(Lasting::is_whole);
        let left = match (fate.zip(memory), lasting) {
            (Some((fate, _memory)), lasting) => {
                // The number stays with the session: whoever goes on with it may do so before this
                // thread has ended.
                let last = ClientId(self.shared.next_client.fetch_add(1, Ordering::Relaxed));
                self.shared.connections.rename(number, last);
                self.client = last;
                Some(Absent::Kept(Box::new(Kept {
                    client: number,
                    inbox,
                    fate,
                    talk,
                    peer: self.peer,
                    since: now,
                    until,
                    will: delayed,
                    lasting,
                    written,
                    _memory,
                    events,
                })))
            }
            (None, lasting) => {
                if let Some(DelayedWill { steps, cost, .. }) = delayed {
                    self.send(steps, cost);
                }
                let _ = self.events.send(end_of(number, inbox, &talk));
                match lasting {
                    Some(lasting) if is_whole => {
                        Some(Absent::Stored(Box::new(Stored { lasting, until, events })))
                    }
                    Some(lasting) => {
                        lasting.end(&events);
                        None
                    }
                    None => None,
                }
            }
        };
        // Somebody may wait for the session, and for the user's connection.
        self.member = None;
        if let Some(left) = self.shared.mqtt.leave(seat, left) {
            left.end().say(&self.shared.backlog.lane());
        }
    }

    /// Whether the client may still publish its will.
    fn may_publish(&self, will: &Will) -> bool {
        let rights = self.rights();
        let may = |refused: Result<(), Refusal>| refused.is_ok();
        will.steps.iter().all(|step| match step {
            Step::Publish(batch) => {
                let topics = batch.topics();
                batch.messages().iter().all(|it| may(rights.publish(topics.get(it.topic()))))
            }
            Step::Clear(topic) => may(rights.publish(topic.name())),
            _ => false,
        })
    }
}
