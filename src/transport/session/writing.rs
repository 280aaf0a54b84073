//! The way from the dispatcher to a session's client.

use std::io;

use super::Session;
use crate::broker::sync::{Alive, Instant, Lifetime, lifetime};
use crate::broker::{Charge, Delivery, Event, Fate, Inbox, Outbox, Use, outbox_with};
use crate::transport::line::{Pushed, Wait};
use crate::transport::turns::place;
use crate::transport::write_deadline::write_tick;
use crate::transport::writer::{Ties, Writer};

#[derive(Debug)]
pub(super) struct RunningWriter {
    /// Of the writer.
    pub(super) ended: Lifetime,
    /// Dropping it tells the writer that nobody reads any more.
    pub(super) reading: Alive,
    /// Of the outbox that it writes from.
    pub(super) fate: Fate,
}

impl Session {
    /// Makes the writer, unless there is one.
    pub(super) fn attach(&mut self) -> io::Result<()> {
        if self.outgoing.is_none() {
            return Ok(());
        }
        let (outbox, inbox) = self.new_outbox();
        self.start_writer(inbox, outbox.fate(), None)?;
        self.tell_of(outbox);
        Ok(())
    }

    /// A way to the client, and its end here.
    pub(super) fn new_outbox(&self) -> (Outbox, Inbox) {
        let (queue, memory) = (self.shared.config.queue, &self.shared.memory);
        let account = |this| memory.of(this).account();
        let (outbox, inbox) = outbox_with(queue, account(Use::Answers), account(Use::Queues));
        match self.shared.pool.calls() {
            Some(calls) => (outbox.calling(self.client, calls), inbox),
            None => (outbox, inbox),
        }
    }

    /// Tells the dispatcher of it.
    pub(super) fn tell_of(&self, outbox: Outbox) {
        let (client, peer, rights) = (self.client, self.peer, self.rights());
        let _ = self.events.send(Event::Attach { client, peer, rights, outbox });
    }

    /// Makes the writer, for what comes out of `inbox`; `first` has come out of it already.
    pub(super) fn start_writer(
        &mut self,
        inbox: Inbox,
        fate: Fate,
        first: Option<(Delivery, Charge)>,
    ) -> io::Result<()> {
        let Some(outgoing) = self.outgoing.take() else { return Ok(()) };
        let config = &self.shared.config;
        outgoing.set_tick(write_tick(config.write_timeout))?;
        let (reading, session) = lifetime();
        let (alive, ended) = lifetime();
        let talk = self.talk();
        let ties = Ties { session, talk, _alive: alive };
        let writer = Writer::new(self.client, outgoing, inbox, ties, self.shared.writing.clone());
        place(&self.shared, writer.beginning_with(first));
        self.writer = Some(RunningWriter { ended, reading, fate });
        Ok(())
    }

    /// Says something to a client that waits, if it is time for that and nothing else was said.
    /// Returns whether it is a client of that kind. This waits for nothing.
    pub(in crate::transport) fn keep_alive(&mut self, now: Instant) -> bool {
        let keeps = self.incoming.keep_alive(now);
        if keeps {
            // Where the dispatcher is that busy, something is said soon.
            let _ = self.events.try_send(Event::Wake { client: self.client });
        }
        keeps
    }

    /// Sees to it that what the line has to say for itself is said, though there may be nothing
    /// else to write.
    pub(super) fn let_line_answer(&mut self) -> io::Result<()> {
        match &mut self.outgoing {
            Some(outgoing) => {
                // What the socket does not take goes before the next.
                while !outgoing.is_settled() && outgoing.push(&[], Wait::No)? != Pushed::default() {
                }
            }
            None if self.incoming.may_call() => {
                let _ = self.events.send(Event::Wake { client: self.client });
            }
            None => {}
        }
        Ok(())
    }
}
