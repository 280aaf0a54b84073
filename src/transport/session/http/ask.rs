//! What the dispatcher has to answer, asked by the session of a request.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Session;
use crate::broker::sync::{Instant, Sender, bounded, thread};
use crate::broker::{Charge, Control, Delivery, Event, Query, Step};
use crate::http::{Problem, Response};
use crate::protocol::{Format, Reply, Token};
use crate::wire::token_of;

/// How long an answer of the dispatcher is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The same to find out whether it answers at all.
const READY: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 2_000 });
/// How often a wait that has no other end looks at the time.
const TICK: Duration = Duration::from_millis(5);

impl Session {
    /// Asks the dispatcher something on behalf of the member.
    pub(super) fn ask(&mut self, steps: Vec<Step>, cost: usize) {
        if self.http.as_ref().is_some_and(|http| http.asking.is_none()) {
            let (outbox, inbox) = self.new_outbox();
            let fate = outbox.fate();
            self.tell_of(outbox);
            if let Some(http) = &mut self.http {
                http.asking = Some((inbox, fate));
            }
        }
        self.send(steps, cost);
    }

    /// Says that there are no more questions of the member.
    pub(in crate::transport::session) fn stop_asking(&mut self) {
        if self.http.as_mut().and_then(|http| http.asking.take()).is_some() {
            let _ = self.events.send(Event::Detach { client: self.client });
        }
    }

    /// Whether the dispatcher knows the session by a question of it.
    pub(in crate::transport::session) fn is_asking(&self) -> bool {
        self.http.as_ref().is_some_and(|http| http.asking.is_some())
    }

    /// The next answer of the dispatcher.
    pub(super) fn next_answer(&mut self) -> Result<Delivery, Problem> {
        let (delivery, charge) = self.next_delivery()?;
        if let Some((inbox, _)) = self.http.as_ref().and_then(|http| http.asking.as_ref()) {
            inbox.written(charge);
        }
        Ok(delivery)
    }

    /// The same, and what is to be given back when it is written.
    pub(super) fn next_delivery(&mut self) -> Result<(Delivery, Charge), Problem> {
        let asking = self.http.as_mut().and_then(|http| http.asking.as_mut());
        let next = asking.and_then(|(inbox, _)| {
            let (delivery, charge) = inbox.wait_until(Instant::now() + PATIENCE).ok()?;
            let Delivery::Reply { reply: Reply::Error(refusal), .. } = delivery else {
                return Some(Ok((delivery, charge)));
            };
            inbox.written(charge);
            Some(Err(refusal))
        });
        match next {
            Some(answer) => answer.map_err(Problem::from),
            None => {
                // What it still may answer is of no use to the next request.
                self.stop_asking();
                Err(no_answer())
            }
        }
    }

    /// Asks for something that is not answered, and waits until it is done, and on the disk where
    /// that is promised.
    pub(super) fn ask_and_wait(&mut self, step: Step, cost: usize) -> Result<(), Problem> {
        let ping = Step::Control(token(), Control::Ping { id: None });
        self.ask(vec![step, ping], cost);
        let mut outcome = Ok(());
        loop {
            match self.next_answer() {
                // It was refused, and the pong follows.
                Err(problem) if self.is_asking() => outcome = Err(problem),
                Err(problem) => return outcome.and(Err(problem)),
                Ok(Delivery::Durable { ticket, .. }) => {
                    let saved = ticket.wait().map_err(Problem::from);
                    return outcome.and(saved);
                }
                Ok(_) => return outcome,
            }
        }
    }

    /// Whether the broker can be used: the dispatcher and the disk answer.
    pub(super) fn readiness(&self) -> Response {
        match self.is_ready() {
            Ok(()) => Response::of_json([("status", "ready".into())]),
            Err(why) => {
                let status = [("status", "unavailable".into()), ("reason", why.into())];
                Response::of_json(status).with_status(503)
            }
        }
    }

    fn is_ready(&self) -> Result<(), String> {
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err("the broker stops".to_owned());
        }
        let until = Instant::now() + READY;
        let asleep = || format!("the dispatcher has not answered for {READY:?}");
        let streams = self.query(Query::Streams, until).ok_or_else(asleep)?;
        for stream in &streams {
            let name = &stream.definition().name;
            match stream.shared() {
                Some(shared) if !shared.is_connected => {
                    let reason = shared.reason;
                    return Err(format!("the shared stream {name} cannot be reached: {reason}"));
                }
                Some(shared) if !shared.has_caught_up => {
                    let lag = shared.lag;
                    return Err(format!("{lag} messages of the shared stream {name} are to come"));
                }
                _ => {}
            }
            if let Some(reason) = stream.failure() {
                return Err(format!("the stream {name} cannot be written to: {reason}"));
            }
        }
        let ticket = self.query(Query::SavedHere, until).ok_or_else(asleep)?;
        let Some(ticket) = ticket else { return Ok(()) };
        let until = Instant::now() + READY.max(2 * self.shared.config.fsync_interval);
        while !ticket.is_ready() {
            if until <= Instant::now() {
                return Err("the disk has not taken what was stored for too long".to_owned());
            }
            thread::park_timeout(TICK);
        }
        ticket.wait().map_err(|refusal| refusal.reason.clone())
    }

    /// The answer to a question that needs no rights; none where it takes too long.
    pub(super) fn query<T>(
        &self,
        query: impl FnOnce(Sender<T>) -> Query,
        until: Instant,
    ) -> Option<T> {
        let (sender, receiver) = bounded(1);
        let mut event = Event::Query(query(sender));
        loop {
            match self.events.try_send(event) {
                Ok(()) => break,
                Err(error) if until <= Instant::now() => {
                    drop(error);
                    return None;
                }
                Err(error) => event = error.into_inner(),
            }
            thread::park_timeout(TICK);
        }
        let left = until.saturating_duration_since(Instant::now());
        receiver.recv_timeout(left).ok()
    }
}

/// Nobody reads it: each question is answered before the next.
pub(super) fn token() -> Token {
    token_of(Format::Json)
}

#[cold]
pub(super) fn no_answer() -> Problem {
    Problem::new(503, "the broker has not answered; try again later")
}
