//! The heads and the bodies of requests, as they arrive.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Awake, Next, Pause, Session, no_memory};
use crate::broker::Counters;
use crate::broker::sync::Instant;
use crate::http::{BodyReader, Head, HeadError, Problem};
use crate::transport::line::Arrived;
use crate::transport::pace::{HURRIED, Pace};
use crate::transport::purse::SMALL_BUFFER;

/// A client that asks for nothing more is not waited for longer.
const IDLE: Duration = Duration::from_secs(75);
/// Bytes of a body that are read at once.
const BODY_BUFFER: usize = 32 << 10;

impl Session {
    /// Reads the next head.
    pub(super) fn next_head(&mut self, awake: &Awake) -> io::Result<Next> {
        let timeout = self.shared.config.frame_timeout;
        let mut began = None;
        loop {
            // Some clients end a body with an empty line (RFC 9112 §2.2).
            while let Some(b'\r' | b'\n') = self.buffer.bytes().first() {
                self.buffer.take(1);
            }
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
                until.saturating_duration_since(now)
            } else {
                let until = self.note_idle(now);
                awake.park_after().min(timeout).min(until.saturating_duration_since(now))
            };
            let Some(arrived) = self.read_more(patience, SMALL_BUFFER)? else {
                return Ok(Next::Problem(no_memory()));
            };
            match arrived {
                Arrived::End => return Ok(Next::Pause(Pause::Over)),
                Arrived::Silent if !has_begun => {
                    // What has arrived by then is read.
                    let is_over = self.idle_until().is_some_and(|until| until <= Instant::now());
                    return Ok(Next::Pause(if is_over { Pause::Over } else { Pause::Idle }));
                }
                Arrived::Bytes(_) | Arrived::Progress | Arrived::Silent => {}
            }
        }
    }

    /// When the client is not waited for any more, if it says nothing: a stranger as long as for a
    /// login.
    fn note_idle(&mut self, now: Instant) -> Instant {
        let is_stranger = self.member.is_none() || self.awaits_login();
        let login_timeout = self.shared.config.login_timeout;
        let idle = if is_stranger && !self.shared.users.trust_strangers() {
            IDLE.min(login_timeout)
        } else {
            IDLE
        };
        *self.http.get_or_insert_default().idle_until.get_or_insert(now + idle)
    }

    /// Reads once into a buffer of `least` bytes, which grows while it is full; `None` where there is
    /// no memory for that.
    fn read_more(&mut self, patience: Duration, least: usize) -> io::Result<Option<Arrived>> {
        self.incoming.set_patience(patience)?;
        let (size, held) = (self.buffer.size(), self.buffer.bytes().len());
        let size = if held < size { size } else { (2 * size).max(least) };
        if !self.purse.try_buffer(size) {
            return Ok(None);
        }
        let arrived = self.incoming.read(&mut self.buffer, size)?;
        if let Arrived::Bytes(count) = arrived {
            Counters::add(&self.shared.counters.bytes_in, count);
        }
        Ok(Some(arrived))
    }

    /// Reads the body of a request into memory that is claimed first.
    pub(super) fn read_body(&mut self, head: &Head) -> io::Result<Result<Vec<u8>, Problem>> {
        let most = self.shared.config.limits.max_frame as usize;
        let mut reader = match BodyReader::new(head.body, most) {
            Ok(reader) => reader,
            Err(error) => return Ok(Err(error.0)),
        };
        let timeout = self.shared.config.frame_timeout;
        // A session that waits for a part of a body while it holds another may wait for whoever
        // does the same: so what is announced is claimed as a whole.
        let needed = self.buffer.size().max(BODY_BUFFER) + reader.size();
        if !self.purse.wait_to_buffer(needed, timeout) {
            return Ok(Err(no_memory()));
        }
        if head.expects_continue && self.buffer.bytes().is_empty() {
            self.push(&[b"HTTP/1.1 100 Continue\r\n\r\n"])?;
        }
        // What it waited for was not the client.
        let until = Instant::now() + timeout;
        let mut pace = Pace::new();
        loop {
            match reader.take(self.buffer.bytes()) {
                Ok(taken) => self.buffer.take(taken),
                Err(error) => return Ok(Err(error.0)),
            }
            if reader.is_done() {
                self.http.get_or_insert_default().is_read = true;
                return Ok(Ok(reader.into_content()));
            }
            if self.shared.stopping.load(Ordering::Acquire) {
                return Ok(Err(Problem::new(503, "the broker stops")));
            }
            // Of chunks nobody knows how many there will be.
            if !self.purse.try_buffer(self.buffer.size().max(BODY_BUFFER) + reader.size()) {
                return Ok(Err(no_memory()));
            }
            let now = Instant::now();
            let is_in_the_way = self.purse.is_wanted() && pace.is_slow(now, reader.size());
            if until <= now || is_in_the_way {
                Counters::add(&self.shared.counters.frame_timeouts, 1);
                let what = if is_in_the_way {
                    "a body comes so slowly that others wait for its memory; send it as a whole"
                        .to_owned()
                } else {
                    format!("a body was begun and not finished in {timeout:?}")
                };
                return Ok(Err(Problem::new(408, what)));
            }
            if self.buffer.size() < BODY_BUFFER {
                // It is made again, if it is empty.
                self.buffer.release();
            }
            match self.read_more(HURRIED.min(until.saturating_duration_since(now)), BODY_BUFFER)? {
                None => return Ok(Err(no_memory())),
                Some(Arrived::End) => return Err(ErrorKind::UnexpectedEof.into()),
                Some(Arrived::Bytes(count)) => pace.note(count),
                Some(Arrived::Progress | Arrived::Silent) => {}
            }
        }
    }
}
