//! The dispatcher's thread: what it waits for.

use std::time::Instant;

use super::Dispatcher;
use crate::broker::event::Event;
use crate::broker::persist::Next;
use crate::broker::sync::{Receiver, SpinWait, TryRecvError};

/// One step of so many is measured: to look at the clock twice in each would be felt where steps
/// are short. It is a prime, so that of clients that take turns each has its turn to be measured.
const ONE_OF: u32 = 17;

impl Dispatcher {
    /// Runs until every sender of events is gone. All outboxes close with it.
    pub fn run(mut self, events: &Receiver<Event>) {
        let mut wait = SpinWait::default();
        let mut unmeasured = 0;
        loop {
            let next = self.next_event(events, &mut wait);
            let began = (unmeasured == 0).then(Instant::now);
            let has_time = began.is_some() || next.is_err();
            match next {
                Ok(event) => self.noting(|this| {
                    this.expire();
                    this.step(event);
                }),
                Err(TryRecvError::Disconnected)
                    if self.snapshots.is_empty()
                        && self.clearings.is_empty()
                        && self.judging.is_empty() =>
                {
                    break;
                }
                Err(_) => self.noting(Self::expire),
            }
            self.leave_on();
            if has_time {
                self.cool_some();
            }
            if !self.judging.is_empty() {
                self.go_on_judging();
            }
            self.relieve_on();
            self.go_on_with_snapshots();
            if !self.clearings.is_empty() {
                self.noting(Self::go_on_clearing);
            }
            self.record();
            match began {
                Some(began) => {
                    self.counters.routing.add(began.elapsed());
                    unmeasured = ONE_OF - 1;
                }
                None => unmeasured -= 1,
            }
        }
        self.finish_recording();
        self.finish_streams();
    }

    /// The next event, or `Empty` where something else is to be done first.
    fn next_event(
        &mut self,
        events: &Receiver<Event>,
        wait: &mut SpinWait,
    ) -> Result<Event, TryRecvError> {
        let next = self
            .checkpointer
            .as_ref()
            .map_or(Next::Nothing, |checkpointer| checkpointer.next(&self.tree));
        let is_idle = self.leaving.is_empty()
            && self.pressure.is_empty()
            && !self.snapshots.can_go_on()
            && self.clearings.is_empty()
            && self.judging.is_empty();
        if !is_idle || next == Next::Step {
            return events.try_recv();
        }
        let cooling = self.cooling.due();
        if !self.snapshots.is_empty() {
            return self.wait_for_writers(events, next);
        }
        match (next, self.next_expiry()) {
            (Next::Nothing | Next::Step, None) => match cooling {
                Some(at) => wait.recv_until(events, at),
                None => wait.recv(events).map_err(|_| TryRecvError::Disconnected),
            },
            (next, expiry) => self.wait_for_more(events, wait, next, expiry),
        }
    }

    /// Waits for an event, for a writer that is done with a piece of a long answer, and for what
    /// else is to be done next.
    #[cfg(not(shuttle))]
    fn wait_for_writers(
        &self,
        events: &Receiver<Event>,
        next: Next,
    ) -> Result<Event, TryRecvError> {
        events.try_recv().or_else(|error| {
            let mut select = crossbeam_channel::Select::new();
            select.recv(self.snapshots.returned());
            if error == TryRecvError::Empty {
                select.recv(events);
            }
            if let (Next::Room, Some(checkpointer)) = (next, &self.checkpointer) {
                select.send(checkpointer.handovers());
            }
            match self.until(next) {
                Some(at) => drop(select.ready_deadline(at)),
                None => drop(select.ready()),
            }
            if error == TryRecvError::Empty { events.try_recv() } else { Err(error) }
        })
    }

    /// The model tries what may come in any order.
    #[cfg(shuttle)]
    fn wait_for_writers(&self, events: &Receiver<Event>, _: Next) -> Result<Event, TryRecvError> {
        crate::broker::sync::yield_now();
        events.try_recv()
    }

    /// When something is to be done whatever comes.
    #[cfg(not(shuttle))]
    fn until(&self, next: Next) -> Option<Instant> {
        let expiry = self.next_expiry().into_iter().chain(self.cooling.is_due_at()).min();
        match next {
            Next::At(at) => Some(expiry.map_or(at, |expiry| expiry.min(at))),
            _ => expiry,
        }
    }

    /// Waits for an event, and for what else is to be done next.
    #[cfg(not(shuttle))]
    fn wait_for_more(
        &self,
        events: &Receiver<Event>,
        wait: &mut SpinWait,
        next: Next,
        expiry: Option<Instant>,
    ) -> Result<Event, TryRecvError> {
        if expiry.is_some_and(|at| at <= Instant::now()) {
            return events.try_recv();
        }
        let at = self.until(next);
        let (Next::Room, Some(checkpointer)) = (next, &self.checkpointer) else {
            return match at {
                Some(at) => wait.recv_until(events, at),
                None => wait.recv(events).map_err(|_| TryRecvError::Disconnected),
            };
        };
        // Most of the time there is an event already.
        events.try_recv().or_else(|error| match error {
            TryRecvError::Disconnected => Err(error),
            TryRecvError::Empty => {
                let mut select = crossbeam_channel::Select::new();
                select.recv(events);
                select.send(checkpointer.handovers());
                match at {
                    Some(at) => drop(select.ready_deadline(at)),
                    None => drop(select.ready()),
                }
                events.try_recv()
            }
        })
    }

    /// The model has no store, and no values that expire.
    #[cfg(shuttle)]
    fn wait_for_more(
        &self,
        events: &Receiver<Event>,
        _: &mut SpinWait,
        _: Next,
        _: Option<Instant>,
    ) -> Result<Event, TryRecvError> {
        events.try_recv()
    }
}
