//! A session whose client speaks HTTP: it reads requests, one after the other, and answers each.
//!
//! What the dispatcher has to answer is asked as every other session asks it, with an outbox whose
//! other end the session itself has. A request is judged by its own rights: a connection may carry
//! those of many users, one behind the other.

mod api;
mod ask;
mod monitor;
#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
mod upgrade;

use std::io::{self, ErrorKind, IoSlice};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::{Awake, FAREWELL, Pause, Session};
use crate::broker::sync::Instant;
use crate::broker::{Counters, Fate, Inbox};
use crate::http::{
    BodyReader, Call, Head, HeadError, LONGEST_HEAD, Origins, Problem, Response, credentials,
    description, for_origin, page, preflight, unless_known,
};
use crate::protocol::{ErrorCode, Refusal};
use crate::transport::line::{Arrived, Wait};
use crate::transport::purse::SMALL_BUFFER;
use crate::transport::write_deadline::{LEAST_TAKEN, write_tick};
use upgrade::Upgrade;

/// A client that asks for nothing more is not waited for longer.
const IDLE: Duration = Duration::from_secs(75);

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
    /// The same session, whose client speaks HTTP; `is_of_this_machine` says whether only clients
    /// on this machine can connect as it has.
    pub(in crate::transport) fn speaking_http(
        mut self: Box<Session>,
        is_of_this_machine: bool,
    ) -> Box<Session> {
        self.is_of_this_machine = is_of_this_machine;
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
                    Counters::add(&self.shared.counters.refused, 1);
                    self.respond(&problem.response(), false, (false, &date()))?;
                    return Ok(Some(self.part()));
                }
                Next::Pause(pause) => {
                    self.stop_asking();
                    return Ok(Some(pause));
                }
            };
            let (answer, is_read) = self.answer(&head)?;
            let response = answer.unwrap_or_else(|problem| {
                Counters::add(&self.shared.counters.refused, 1);
                problem.response()
            });
            // What was not read of a body is no request.
            let goes_on = head.keep_alive
                && (is_read || !head.has_body())
                && !response.is_open()
                && !self.shared.stopping.load(Ordering::Acquire);
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

    /// Reads the next head.
    fn next_head(&mut self, awake: &Awake) -> io::Result<Next> {
        let timeout = self.shared.config.frame_timeout;
        let mut began = None;
        loop {
            if !self.buffer.bytes().is_empty() {
                match Head::parse(self.buffer.bytes()) {
                    Ok((head, length)) => {
                        self.buffer.take(length);
                        if let Some(http) = &mut self.http {
                            http.idle_until = None;
                        }
                        return Ok(Next::Head(head));
                    }
                    Err(HeadError::Refused(problem)) => return Ok(Next::Problem(problem)),
                    Err(HeadError::Partial) => {}
                }
            }
            if self.shared.stopping.load(Ordering::Acquire) {
                return Ok(Next::Pause(Pause::Over));
            }
            let now = Instant::now();
            let has_begun = !self.buffer.bytes().is_empty() || self.incoming.is_amid();
            let patience = if has_begun {
                let until = *began.get_or_insert(now) + timeout;
                if until <= now {
                    Counters::add(&self.shared.counters.frame_timeouts, 1);
                    let what = format!("a request was begun and not finished in {timeout:?}");
                    return Ok(Next::Problem(Problem::new(408, what)));
                }
                until - now
            } else {
                let http = self.http.get_or_insert_default();
                let until = *http.idle_until.get_or_insert(now + IDLE);
                if until <= now {
                    return Ok(Next::Pause(Pause::Over));
                }
                awake.park_after().min(timeout).min(until - now)
            };
            self.incoming.set_patience(patience)?;
            let (size, held) = (self.buffer.size(), self.buffer.bytes().len());
            let size = if held < size { size } else { (2 * size).max(SMALL_BUFFER) };
            // A head that is longer is refused before.
            if !self.purse.try_buffer(size.min(4 * LONGEST_HEAD)) {
                return Ok(Next::Problem(no_memory()));
            }
            match self.incoming.read(&mut self.buffer, size)? {
                Arrived::End => return Ok(Next::Pause(Pause::Over)),
                Arrived::Bytes(count) => Counters::add(&self.shared.counters.bytes_in, count),
                Arrived::Silent if !has_begun => return Ok(Next::Pause(Pause::Idle)),
                Arrived::Progress | Arrived::Silent => {}
            }
        }
    }

    /// The answer to a request, and whether its body was read.
    fn answer(&mut self, head: &Head) -> io::Result<(Answer, bool)> {
        let call = match Call::of(head, &self.shared.config.limits) {
            Ok(call) => call,
            Err(problem) => return Ok((Err(problem), false)),
        };
        let shared = self.shared.clone();
        let origins = Origins {
            allowed: &shared.config.http_origins,
            only_this_machine: self.is_of_this_machine && !shared.users.are_there(),
        };
        let origin = match origins.judge(head, &call) {
            Ok(origin) => origin,
            Err(problem) => return Ok((Err(problem), false)),
        };
        let mut is_read = false;
        let answer = match call {
            // Whoever is to log in does so there.
            Call::Page => Ok(page()),
            Call::Health => Ok(Response::of_json([("status", "ok".into())])),
            Call::Ready => Ok(self.readiness()),
            Call::Description => Ok(description()),
            Call::Options(response) => Ok(preflight(response, origin)),
            Call::WebSocket(handshake) => self.open_websocket(head, &handshake)?,
            call => match self.identify_sender(head)? {
                Err(problem) => Err(problem),
                Ok(()) => self.answer_member(head, call, &mut is_read)?,
            },
        };
        let told = |response| for_origin(response, origin);
        Ok((answer.map(told).or_else(|problem| Ok(told(problem.response()))), is_read))
    }

    /// The answer to somebody who is known.
    fn answer_member(&mut self, head: &Head, call: Call, is_read: &mut bool) -> io::Result<Answer> {
        match call {
            Call::Publish(publish) => {
                // What may not be published need not be sent.
                if let Err(refusal) = self.rights().publish(publish.topic.name()) {
                    return Ok(Err(refusal.into()));
                }
                match self.read_body(head)? {
                    Err(problem) => Ok(Err(problem)),
                    Ok(body) => {
                        *is_read = true;
                        self.publish(publish, body)
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
            Call::Limits => Ok(Ok(self.limits_of_broker())),
            Call::Subscribe(watch) => self.open_events(head, watch),
            Call::Page
            | Call::Health
            | Call::Ready
            | Call::Description
            | Call::Options(_)
            | Call::WebSocket(_) => Ok(Err(Problem::new(404, "nothing"))),
        }
    }

    /// Finds out who has sent a request.
    pub(super) fn identify_sender(&mut self, head: &Head) -> io::Result<Result<(), Problem>> {
        let authorization = head.field("authorization");
        let known = self.http.as_ref().and_then(|http| http.authorization.as_deref());
        if known == authorization
            && let Some(member) = &mut self.member
        {
            match member.renew(&self.shared.users) {
                Ok(_) => return Ok(self.login_is_done()),
                // As somebody who has just come.
                Err(_) => self.forget_sender(),
            }
        }
        self.stop_asking();
        let mut before = self.member.take();
        let met = |session: &Session| {
            let name = session.incoming.certificate_name();
            session.shared.users.meet(name).map_err(Problem::from)
        };
        let member = match authorization {
            None => {
                drop(before.take());
                met(self)
            }
            Some(value) => match credentials(value) {
                Err(problem) => Err(problem),
                Ok(credentials) => match self.verify(&credentials, &mut before)? {
                    Ok(Some(member)) => Ok(member),
                    Ok(None) => met(self),
                    Err(refusal) => Err(refusal.into()),
                },
            },
        };
        match member {
            Err(problem) => {
                self.forget_sender();
                Ok(Err(problem))
            }
            Ok(member) => {
                self.become_member(member);
                if let Some(http) = &mut self.http {
                    http.authorization = authorization.map(Into::into);
                }
                Ok(self.login_is_done())
            }
        }
    }

    fn login_is_done(&self) -> Result<(), Problem> {
        if self.awaits_login() {
            let what = "log in: by Authorization, with Basic or Bearer, or by a client certificate";
            return Err(Refusal::new(ErrorCode::LoginRequired, what).into());
        }
        Ok(())
    }

    pub(super) fn forget_sender(&mut self) {
        self.stop_asking();
        self.member = None;
        if let Some(http) = &mut self.http {
            http.authorization = None;
        }
    }

    /// Reads the body of a request into memory that is claimed first.
    fn read_body(&mut self, head: &Head) -> io::Result<Result<Vec<u8>, Problem>> {
        let most = self.shared.config.limits.max_frame as usize;
        let mut reader = match BodyReader::new(head.body, most) {
            Ok(reader) => reader,
            Err(error) => return Ok(Err(error.0)),
        };
        let timeout = self.shared.config.frame_timeout;
        let until = Instant::now() + timeout;
        // A session that waits for a part of a body while it holds another may wait for whoever
        // does the same: so what is announced is claimed as a whole.
        let needed = self.buffer.size() + SMALL_BUFFER + reader.size();
        if !self.purse.wait_to_buffer(needed, timeout) {
            return Ok(Err(no_memory()));
        }
        if head.expects_continue && self.buffer.bytes().is_empty() {
            self.push(&[b"HTTP/1.1 100 Continue\r\n\r\n"])?;
        }
        loop {
            match reader.take(self.buffer.bytes()) {
                Ok(taken) => self.buffer.take(taken),
                Err(error) => return Ok(Err(error.0)),
            }
            if reader.is_done() {
                return Ok(Ok(reader.into_content()));
            }
            // Of chunks nobody knows how many there will be.
            let needed = self.buffer.size() + SMALL_BUFFER + reader.size();
            if !self.purse.try_buffer(needed) {
                return Ok(Err(no_memory()));
            }
            let now = Instant::now();
            if until <= now || self.shared.stopping.load(Ordering::Acquire) {
                Counters::add(&self.shared.counters.frame_timeouts, 1);
                let what = format!("a body was begun and not finished in {timeout:?}");
                return Ok(Err(Problem::new(408, what)));
            }
            self.incoming.set_patience(until - now)?;
            let (size, held) = (self.buffer.size(), self.buffer.bytes().len());
            let size = if held < size { size } else { (2 * size).max(SMALL_BUFFER) };
            match self.incoming.read(&mut self.buffer, size)? {
                Arrived::End => return Err(ErrorKind::UnexpectedEof.into()),
                Arrived::Bytes(count) => Counters::add(&self.shared.counters.bytes_in, count),
                Arrived::Progress | Arrived::Silent => {}
            }
        }
    }

    /// Writes an answer.
    fn respond(
        &mut self,
        response: &Response,
        head_only: bool,
        (goes_on, date): (bool, &str),
    ) -> io::Result<()> {
        let head = response.head(goes_on, date);
        let body = if head_only { &[][..] } else { response.body() };
        self.push(&[&head, body])
    }

    /// Writes bytes that come before a writer's.
    fn push(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let timeout = self.shared.config.write_timeout;
        let Some(outgoing) = &mut self.outgoing else { return Err(ErrorKind::NotConnected.into()) };
        outgoing.set_tick(write_tick(timeout))?;
        let mut slices: Vec<IoSlice<'_>> = pieces
            .iter()
            .filter(|piece| !piece.is_empty())
            .map(|piece| IoSlice::new(piece))
            .collect();
        let mut rest = slices.as_mut_slice();
        let (mut progress, mut sent) = (Instant::now(), 0);
        while !rest.is_empty() || !outgoing.is_settled() {
            if progress.elapsed() >= timeout {
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
