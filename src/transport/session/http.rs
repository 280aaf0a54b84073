//! A session whose client speaks HTTP: it reads requests, one after the other, and answers each.
//!
//! What the dispatcher has to answer is asked as every other session asks it, with an outbox whose
//! other end the session itself has. A request is judged by its own rights: a connection may carry
//! those of many users, one behind the other.

mod api;
mod ask;
mod monitor;
mod reading;
mod sender;
mod streams;
#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
mod upgrade;

use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::{Awake, FAREWELL, Pause, Session};
use crate::broker::sync::Instant;
use crate::broker::{Counters, Fate, Inbox, Use};
use crate::codec::Claim;
use crate::http::{Call, Head, Origins, Page, Problem, Response, description, unless_known};
use crate::protocol::{ErrorCode, Refusal};
use crate::transport::ListenUrl;
use crate::transport::line::Wait;
use crate::transport::write_deadline::{HURRY, LEAST_TAKEN, write_tick};
use upgrade::Upgrade;

/// What a session remembers from one request to the next.
#[derive(Default)]
pub(super) struct Http {
    /// Where the dispatcher answers, once it was asked something.
    asking: Option<(Inbox, Fate)>,
    /// What the member of the session was verified by.
    authorization: Option<Box<[u8]>>,
    /// When it is not waited for any more.
    idle_until: Option<Instant>,
    /// What is spoken behind the next answer.
    upgrade: Option<Upgrade>,
    /// The memory of the answer that is written.
    held: Claim,
    /// Whether the body of the request was read.
    is_read: bool,
    /// Whether what followed the request was not read as one, so that nothing can follow.
    is_last: bool,
}

/// It holds a secret.
impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("idle_until", &self.idle_until).finish_non_exhaustive()
    }
}

/// What comes next on a connection.
enum Next {
    Head(Head),
    /// Something that is no request, and nothing behind it can be understood.
    Problem(Problem),
    Pause(Pause),
}

/// An answer, or why there is none.
type Answer = Result<Response, Problem>;

impl Session {
    /// The same session, whose client speaks HTTP, and has connected as this URL says.
    pub(in crate::transport) fn speaking_http(
        mut self: Box<Session>,
        url: &ListenUrl,
    ) -> Box<Session> {
        self.is_of_this_machine = url.is_of_this_machine();
        self.is_tls = url.is_tls();
        self.http = Some(Box::default());
        self
    }

    /// When a client that asks for nothing is not waited for any more.
    pub(super) fn idle_until(&self) -> Option<Instant> {
        self.http.as_ref().and_then(|http| http.idle_until)
    }

    /// Answers requests until the connection is over, or its client is silent for a while; or until
    /// something else is spoken, and frames follow.
    pub(super) fn serve_http(&mut self, awake: &Awake) -> io::Result<Option<Pause>> {
        let date = || httpdate::fmt_http_date(SystemTime::now());
        loop {
            let head = match self.next_head(awake)? {
                Next::Head(head) => head,
                Next::Problem(problem) => {
                    self.respond(&problem.response(), false, (false, &date()))?;
                    return Ok(Some(self.part()));
                }
                Next::Pause(pause) => {
                    self.stop_asking();
                    return Ok(Some(pause));
                }
            };
            let response = self.answer(&head)?;
            let response = self.in_memory(response);
            let http = self.http.get_or_insert_default();
            // What was not read of a body is no request.
            let goes_on = head.keep_alive
                && (mem::take(&mut http.is_read) || !head.has_body())
                && !http.is_last
                && !response.is_open()
                && !self.shared.stopping.load(Ordering::Acquire);
            // A body that was judged takes no memory any more.
            self.purse.note_buffer(self.buffer.size());
            self.respond(&response, head.method == "HEAD", (goes_on, &date()))?;
            drop(response);
            if self.upgrade()? {
                return Ok(None);
            }
            if !goes_on {
                return Ok(Some(self.part()));
            }
            if awake.is_crowded() || self.purse.is_wanted() {
                self.buffer.release();
            }
            self.purse.note_buffer(self.buffer.size());
        }
    }

    /// The answer to a request.
    fn answer(&mut self, head: &Head) -> io::Result<Response> {
        let shared = self.shared.clone();
        let origins = Origins {
            allowed: &shared.config.http_origins,
            is_tls: self.is_tls,
            // Whoever logs in is believed for that.
            only_this_machine: self.is_of_this_machine
                && shared.users.trust_strangers()
                && head.field("authorization").is_none(),
        };
        let page = match origins.judge(head) {
            Ok(page) => page,
            Err(problem) => return Ok(problem.response()),
        };
        let answer = match Call::of(head, &shared.config.limits) {
            Err(problem) => Err(problem),
            Ok(call) => match page.may_ask(&call) {
                Err(problem) => Err(problem),
                Ok(()) => self.answer_call(head, call, &page)?,
            },
        };
        Ok(page.told(answer.unwrap_or_else(Problem::response)))
    }

    /// The answer to what may be asked.
    fn answer_call(&mut self, head: &Head, call: Call, page: &Page<'_>) -> io::Result<Answer> {
        if !call.is_for_everybody()
            && let Err(problem) = self.identify_sender(head)?
        {
            return Ok(Err(problem));
        }
        match call {
            Call::Page => Ok(Ok(crate::http::page())),
            Call::Description => Ok(Ok(description())),
            Call::Health => Ok(Ok(Response::of_json([("status", "ok".into())]))),
            Call::Ready => Ok(Ok(self.readiness())),
            Call::Options(response) => Ok(Ok(page.preflight(response))),
            Call::WebSocket(handshake) => self.open_websocket(head, &handshake),
            Call::Publish(publish) => {
                // What may not be published need not be sent.
                if let Err(refusal) = self.rights().publish(publish.topic.name()) {
                    return Ok(Err(refusal.into()));
                }
                match self.read_body(head)? {
                    Err(problem) => Ok(Err(problem)),
                    Ok(body) => {
                        let length = body.len();
                        let answer = self.publish(publish, body)?;
                        // Of what is refused the bytes count, as of a frame.
                        self.keep_to_rates(usize::from(answer.is_ok()), length)?;
                        Ok(answer)
                    }
                }
            }
            Call::Value { topic, media_types, exact } => {
                let answer = self.value(topic, (&media_types, exact))?;
                Ok(answer.map(|response| unless_known(head, response)))
            }
            Call::Clear { topic } => self.clear(&topic),
            Call::Topics { filter, after, limit } => self.topics(filter, after.as_deref(), limit),
            Call::Stats => self.stats(),
            Call::Metrics => Ok(self.metrics()),
            Call::Clients { after, limit } => self.clients(after, limit),
            Call::Disconnect { client } => Ok(self.disconnect(client)),
            Call::Streams => Ok(self.streams()),
            Call::Consumers { stream } => Ok(self.consumers(stream)),
            Call::DeleteDead { seq } => Ok(self.delete_dead(seq)),
            Call::RetryDead { seq } => Ok(self.retry_dead(seq)),
            Call::Limits => Ok(Ok(self.limits_of_broker())),
            Call::Subscribe(watch) => self.open_events(head, watch),
        }
    }

    /// Writes an answer.
    fn respond(
        &mut self,
        response: &Response,
        head_only: bool,
        (goes_on, date): (bool, &str),
    ) -> io::Result<()> {
        if response.status() >= 400 {
            Counters::add(&self.shared.counters.refused, 1);
        }
        let head = response.head(goes_on, date);
        let body = if head_only { &[][..] } else { response.body() };
        self.push(&[&head, body])?;
        self.hold(Claim::nothing());
        Ok(())
    }

    /// An answer whose memory is claimed until it is written; where there is none, that.
    fn in_memory(&mut self, response: Response) -> Response {
        let (held, needed) =
            (self.http.as_ref().map_or(0, |http| http.held.bytes()), response.body().len());
        if held >= needed {
            return response;
        }
        match self.claim_to_write(needed) {
            Some(claim) => {
                self.hold(claim);
                response
            }
            None => no_memory().response(),
        }
    }

    /// Holds the memory of an answer until it is written.
    fn hold(&mut self, claim: Claim) {
        if let Some(http) = &mut self.http {
            http.held = claim;
        }
    }

    /// Writes bytes that come before a writer's.
    pub(super) fn push(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let timeout = self.shared.config.write_timeout;
        let held = self.http.as_ref().map_or(0, |http| http.held.bytes());
        let writing = self.shared.memory.of(Use::Writing).account();
        let Some(outgoing) = &mut self.outgoing else { return Err(ErrorKind::NotConnected.into()) };
        outgoing.set_tick(write_tick(timeout))?;
        let mut slices: Vec<IoSlice<'_>> = pieces
            .iter()
            .filter(|piece| !piece.is_empty())
            .map(|piece| IoSlice::new(piece))
            .collect();
        let mut rest = slices.as_mut_slice();
        let (began, mut sent) = (Instant::now(), 0);
        let mut progress = began;
        while !rest.is_empty() || !outgoing.is_settled() {
            // A long answer is being written while others wait for the memory that it takes.
            let is_in_the_way = held > LEAST_TAKEN && writing.share().is_wanted();
            if progress.elapsed() >= timeout || (is_in_the_way && began.elapsed() >= HURRY) {
                Counters::add(&self.shared.counters.write_timeouts, 1);
                return Err(ErrorKind::WouldBlock.into());
            }
            let pushed = outgoing.push(rest, Wait::Tick)?;
            IoSlice::advance_slices(&mut rest, pushed.taken);
            Counters::add(&self.shared.counters.bytes_out, pushed.taken);
            sent += pushed.sent;
            // A byte now and then is no progress.
            if sent >= LEAST_TAKEN {
                (progress, sent) = (Instant::now(), 0);
            }
        }
        Ok(())
    }

    /// Ends the connection so that its client hears the last word.
    fn part(&mut self) -> Pause {
        self.stop_asking();
        self.buffer.take(self.buffer.bytes().len());
        self.buffer.release();
        self.purse.note_buffer(0);
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.end();
        }
        self.incoming.discard_for(FAREWELL);
        Pause::Over
    }
}

#[cold]
fn no_memory() -> Problem {
    let what = "the broker has no memory left for this; send it again later, or less at once";
    Refusal::new(ErrorCode::MemoryFull, what).into()
}
