//! The requests of a connection by themselves: read as a session reads them, and not answered. This
//! is for fuzzing.

use super::body::BodyReader;
use super::call::Call;
use super::request::{Head, HeadError};
use crate::protocol::Limits;

/// The requests of a connection, whose bytes come in any pieces.
#[derive(Debug)]
pub struct Requests {
    limits: Limits,
    /// What has arrived and is not understood yet.
    held: Vec<u8>,
    /// Bytes that were understood before.
    taken: usize,
    body: Option<BodyReader>,
    /// Those that there were.
    pub read: Vec<Request>,
    /// The status of what is refused, behind which nothing is understood.
    pub refused: Option<u16>,
}

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The end of its head in the bytes of the connection.
    pub head_end: usize,
    /// The end of its body; none where it has not arrived.
    pub end: Option<usize>,
    /// Its method.
    pub method: String,
    /// Its path and its query.
    pub target: (String, String),
    /// Why it can not be done, as a status.
    pub problem: Option<u16>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Requests {
    /// Of a broker with these limits.
    pub fn new(limits: Limits) -> Requests {
        let (held, read) = (Vec::new(), Vec::new());
        Requests { limits, held, taken: 0, body: None, read, refused: None }
    }

    /// Takes what arrives.
    pub fn take(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        while self.refused.is_none() && self.step().is_some() {}
    }

    /// Understands something more, if there is something.
    fn step(&mut self) -> Option<()> {
        if let Some(body) = &mut self.body {
            match body.take(&self.held) {
                Ok(taken) => self.skip(taken),
                Err(error) => self.refused = Some(error.0.status()),
            }
            let body = self.body.take_if(|body| body.is_done())?;
            let last = self.read.last_mut()?;
            (last.body, last.end) = (body.into_content(), Some(self.taken));
            return Some(());
        }
        if self.held.is_empty() {
            return None;
        }
        match Head::parse(&self.held) {
            Err(HeadError::Partial) => return None,
            Err(HeadError::Refused(problem)) => self.refused = Some(problem.status()),
            Ok((head, length)) => {
                self.skip(length);
                let problem = Call::of(&head, &self.limits).err().map(|problem| problem.status());
                match BodyReader::new(head.body, self.limits.max_frame as usize) {
                    Ok(body) => self.body = Some(body),
                    Err(error) => self.refused = Some(error.0.status()),
                }
                let (method, target) = (head.method, (head.path, head.query));
                let (head_end, body) = (self.taken, Vec::new());
                self.read.push(Request { head_end, end: None, method, target, problem, body });
            }
        }
        Some(())
    }

    fn skip(&mut self, length: usize) {
        self.held.drain(..length);
        self.taken += length;
    }
}
