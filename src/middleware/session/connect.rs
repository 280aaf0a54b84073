//! How a session comes by a connection, and what it says on a new one.

use std::time::{Duration, Instant};

use super::{Answers, Listing, Session, State};
use crate::middleware::connection::Connection;
use crate::middleware::dial::Dial;
use crate::middleware::error::QueueError;
use crate::middleware::events::ConnectionEvent;
use crate::middleware::patience::Patience;
use crate::middleware::subscribe::write_subscribe;
use crate::middleware::wire::{Wire, write_command};

impl<W: Wire> Session<W> {
    /// Sees to it that there is a connection. It goes on with what another call began, and a pause
    /// between two attempts is waited for only once, whichever calls do so.
    pub(super) fn connect(&mut self, patience: Patience) -> Result<(), QueueError> {
        while self.link.is_none() {
            self.possible()?;
            let made = match &mut self.dial {
                Some(dial) => dial.wait(patience),
                None => {
                    if let Some(due) = self.backoff.due()
                        && !patience.sleep_until(self.not_too_late(due))
                    {
                        return Err(QueueError::TimedOut);
                    }
                    match Dial::new(&self.to.destination) {
                        Ok(dial) => self.dial.insert(dial).wait(patience),
                        Err(error) => Err(error),
                    }
                }
            };
            let made = match made {
                Ok(Some(link)) => Ok(link),
                Ok(None) => return Err(QueueError::TimedOut),
                Err(error) => Err(error),
            };
            self.dial = None;
            match made {
                Ok(link) => self.begin(link)?,
                Err(error) => {
                    self.ended = error.finally();
                    if self.established {
                        self.tell_the_end();
                    }
                    self.possible()?;
                    self.backoff.failed();
                    let may_fail = self.first_until.is_some_and(|until| Instant::now() < until);
                    if !self.established && !may_fail {
                        return Err(error);
                    }
                    self.tell(|| ConnectionEvent::Unreachable { reason: error.to_string() });
                }
            }
        }
        Ok(())
    }

    /// The first connection is not waited for longer than was said.
    fn not_too_late(&self, due: Instant) -> Instant {
        match self.first_until {
            Some(until) if !self.established => due.min(until),
            _ => due,
        }
    }

    /// Says again on a new connection what the broker has to know.
    pub(super) fn begin(&mut self, link: Connection) -> Result<(), QueueError> {
        self.settler = Session::<W>::settler(&link);
        self.link = Some(link);
        // Whoever waits for an answer that cannot come any more asks again.
        self.answers = Answers { ping: self.pings, ..Answers::default() };
        self.listings.retain(|listing| matches!(listing, Listing::Callback(_)));
        let mut greeting = Vec::new();
        let how = self.how();
        for one in &mut self.subscriptions {
            one.state = State::Asked;
            let filter = (&*one.filter, self.to.below);
            write_subscribe(W::FORMAT, filter, &how, &mut greeting);
        }
        for _ in &self.listings {
            write_command(W::FORMAT, "list", &[], &mut greeting);
        }
        self.repeat_unconfirmed(&mut greeting);
        self.tell(|| ConnectionEvent::Connected);
        // What is not taken at once is written with what comes next.
        match self
            .link
            .as_mut()
            .map(|link| link.send(&greeting, Patience::new(Some(Duration::ZERO))))
        {
            Some(Err(error)) => self.lose(error),
            _ => Ok(()),
        }
    }
}
