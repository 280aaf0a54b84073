//! What is asked of streams by HTTP: which there are, who consumes them, and what becomes of dead
//! letters.

use std::time::Duration;

use super::ask::{PATIENCE, no_answer, token};
use super::{Answer, Session, no_memory};
use crate::broker::sync::Instant;
use crate::broker::{
    Asked, Control, DEAD_LETTERS, DeadMessage, Delivery, Query, Step, StreamReport, StreamSummary,
};
use crate::http::{Problem, Response};
use crate::protocol::{AdminRequest, Command, ErrorCode, Refusal, Value};

/// How long the threads of streams may take, all together, to say which consumers they have.
const UNTIL_SAID: Duration = Duration::from_secs(2);
/// Bytes of memory that a stream or a consumer takes in an answer: as it is told, and while it is
/// put together.
const EACH_BYTES: usize = 4 << 10;

impl Session {
    /// The streams that there are.
    pub(super) fn streams(&mut self) -> Answer {
        let Delivery::Streams { streams, .. } = self.administer(AdminRequest::Streams)? else {
            return Err(no_answer());
        };
        let claim = self.claim_to_write(streams.len() * EACH_BYTES).ok_or_else(no_memory)?;
        let streams = Value::List(streams.iter().map(StreamSummary::to_value).collect());
        Ok(self.holding(claim, Response::of_json([("streams", streams)])))
    }

    /// The consumers of all streams, or of one, and which streams have not said.
    pub(super) fn consumers(&mut self, stream: Option<String>) -> Answer {
        let request = AdminRequest::Consumers { stream };
        let Delivery::Consumers { consumers: asked, .. } = self.administer(request)? else {
            return Err(no_answer());
        };
        let (said, silent) = said_within(&asked, UNTIL_SAID);
        let count: usize = said.iter().map(|(_, report)| report.consumers.len()).sum();
        let claim = self.claim_to_write(count * EACH_BYTES).ok_or_else(no_memory)?;
        let of_stream = |(stream, report): &(&str, StreamReport)| -> Vec<Value> {
            report.consumers.iter().map(|entry| entry.to_value(stream)).collect()
        };
        let consumers = Value::List(said.iter().flat_map(of_stream).collect());
        let silent: Vec<Value> = silent.into_iter().map(Value::from).collect();
        let silent = (!silent.is_empty()).then_some(("silent", Value::List(silent)));
        let response = Response::of_json([("consumers", consumers)].into_iter().chain(silent));
        Ok(self.holding(claim, response))
    }

    /// Forgets a dead letter.
    pub(super) fn delete_dead(&mut self, seq: u64) -> Answer {
        self.do_administer(AdminRequest::Delete { stream: DEAD_LETTERS.to_owned(), seq })?;
        Ok(Response::new(204))
    }

    /// Gives the message of a dead letter to its consumer again, and then forgets the letter.
    pub(super) fn retry_dead(&mut self, seq: u64) -> Answer {
        self.rights().streams(Command::Retry, self.peer)?;
        let streams = self.query(Query::Streams, Instant::now() + PATIENCE);
        let streams = streams.ok_or_else(no_answer)?;
        let letters = streams.iter().find(|it| it.definition().name == DEAD_LETTERS);
        let message = letters.map(|letters| self.message_of(letters, seq)).transpose()?.flatten();
        let DeadMessage { stream, consumer, seq: of_message } = message.ok_or_else(|| {
            let reason = format!("there is no dead letter {seq}, or not any more");
            Problem::from(Refusal::new(ErrorCode::NoStream, reason))
        })?;
        self.do_administer(AdminRequest::Retry { stream, consumer, seq: of_message })?;
        // Where the broker ends in between there is a letter too many, and no message too few.
        self.wait_for_disk()?;
        self.delete_dead(seq)
    }

    fn message_of(
        &self,
        letters: &StreamSummary,
        seq: u64,
    ) -> Result<Option<DeadMessage>, Problem> {
        // It is a message, and decoded as one.
        let limits = &self.shared.config.limits;
        let bytes = limits.decoded_budget(limits.max_frame as usize);
        let _claim = self.claim_to_write(bytes).ok_or_else(no_memory)?;
        DeadMessage::of_letter(letters, seq)
            .map_err(|error| Refusal::new(ErrorCode::StorageFailed, error.reason()).into())
    }

    fn administer(&mut self, request: AdminRequest) -> Result<Delivery, Problem> {
        self.ask(vec![Step::Control(token(), Control::Admin(Box::new(request)))], 0);
        self.next_answer()
    }

    /// Has a stream's thread do something.
    fn do_administer(&mut self, request: AdminRequest) -> Result<(), Problem> {
        let Delivery::Answer { answer, .. } = self.administer(request)? else {
            return Err(no_answer());
        };
        let done = answer.recv_timeout(PATIENCE).map_err(|_| no_answer())?;
        done.map(drop).map_err(Problem::from)
    }

    /// Waits until what was asked for is where a `pong` promises it.
    fn wait_for_disk(&mut self) -> Result<(), Problem> {
        self.ask(vec![Step::Control(token(), Control::Ping { id: None })], 0);
        match self.next_answer()? {
            Delivery::Durable { ticket, .. } => ticket.wait().map_err(Problem::from),
            _ => Ok(()),
        }
    }
}

/// What the threads of streams say in time, by stream, and the streams whose threads do not.
pub(super) fn said_within(
    asked: &[Asked],
    patience: Duration,
) -> (Vec<(&str, StreamReport)>, Vec<&str>) {
    let until = Instant::now() + patience;
    let (mut said, mut silent) = (Vec::new(), Vec::new());
    for one in asked {
        match one.wait_for(until.saturating_duration_since(Instant::now())) {
            Some(report) => said.push((one.stream(), report)),
            None => silent.push(one.stream()),
        }
    }
    (said, silent)
}
