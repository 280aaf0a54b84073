//! The dispatcher's thread: what it waits for.

use std::time::Instant;

use crossbeam_channel::{Receiver, Select, TryRecvError};

use super::Dispatcher;
use crate::broker::event::Event;
use crate::broker::recorder::Next;
use crate::broker::wait::Wait;

impl Dispatcher {
    /// Runs until every sender of events is gone. All outboxes close with it.
    pub fn run(mut self, events: &Receiver<Event>) {
        let mut wait = Wait::default();
        loop {
            match self.next_event(events, &mut wait) {
                Ok(event) => {
                    self.expire();
                    self.step(event);
                }
                Err(TryRecvError::Disconnected) if self.walks.is_empty() => break,
                Err(_) => self.expire(),
            }
            self.walk_on();
            self.record();
        }
        self.finish_recording();
    }

    /// The next event, or `Empty` where something else is to be done first.
    fn next_event(&self, events: &Receiver<Event>, wait: &mut Wait) -> Result<Event, TryRecvError> {
        let next = self.recorder.as_ref().map_or(Next::Nothing, |recorder| recorder.next(&self.tree));
        if !self.walks.is_empty() || next == Next::Step {
            return events.try_recv();
        }
        let expiry = self.next_expiry();
        match (next, &self.recorder) {
            (Next::Room, Some(recorder)) => {
                // Most of the time there is an event already.
                events.try_recv().or_else(|error| match error {
                    TryRecvError::Disconnected => Err(error),
                    TryRecvError::Empty => {
                        let mut select = Select::new();
                        select.recv(events);
                        select.send(recorder.handovers());
                        match expiry {
                            Some(at) => drop(select.ready_deadline(at)),
                            None => drop(select.ready()),
                        }
                        events.try_recv()
                    }
                })
            }
            (Next::At(at), _) => wait.recv(events, Some(expiry.map_or(at, |expiry: Instant| expiry.min(at)))),
            _ => wait.recv(events, expiry),
        }
    }
}
