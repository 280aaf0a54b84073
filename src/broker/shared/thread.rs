//! The thread between the dispatcher and the backbone, one for each stream of shared topics.

mod arriving;
mod following;
mod gathered;
mod members;
mod publishing;

use std::sync::Arc;
use std::time::Duration;

use super::backbone::{BackboneLine, FromBackbone, ToBackbone};
use super::definition::SharedTopics;
use super::held::HeldMessages;
use super::status::SharedStatus;
use crate::broker::streams::{Announcer, Answer, Condition, Request, StreamState, What};
#[cfg(not(shuttle))]
use crate::broker::sync::SpinWait;
use crate::broker::sync::{Instant, Receiver, Sender};
use crate::codec::{Account, Document, Workspace};
use crate::protocol::{ErrorCode, Limits, Refusal, Topic};
use arriving::Complaints;
use members::Members;
use publishing::Publishing;

/// How long a broker that stops waits for what it has handed over to be confirmed.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often it is asked what there is to be said of the stream.
const REPORTED: Duration = Duration::from_secs(10);
/// How often it is looked whether something has waited for too long.
const LOOK: Duration = Duration::from_secs(1);

/// As much is taken together.
const TOGETHER: usize = 64;

/// What the thread begins with.
#[derive(Debug)]
pub(super) struct NewThread {
    pub(super) topics: SharedTopics,
    /// Where it says how far it is.
    pub(super) position_topic: Topic,
    /// How far it was, and in which stream.
    pub(super) position: (Arc<str>, u64),
    pub(super) state: Arc<StreamState>,
    pub(super) announcer: Announcer,
    pub(super) limits: Limits,
    /// Memory for what members have, and for what goes to the dispatcher.
    pub(super) account: Account,
    pub(super) flight: Account,
    pub(super) workspace: Workspace,
    pub(super) requests: (Sender<Request>, Receiver<Request>),
    pub(super) said: Receiver<FromBackbone>,
    pub(super) line: Box<dyn BackboneLine>,
    pub(super) held: Arc<HeldMessages>,
    /// How long what is published waits for a backbone that does not answer.
    pub(super) patience: Duration,
}

/// See the module.
#[derive(Debug)]
pub(super) struct SharedThread {
    topics: SharedTopics,
    position_topic: Topic,
    state: Arc<StreamState>,
    announcer: Announcer,
    limits: Limits,
    /// Memory for what members have.
    account: Account,
    flight: Account,
    workspace: Workspace,
    scratch: Document,
    requests: Receiver<Request>,
    #[cfg(not(shuttle))]
    wait: SpinWait,
    /// Another end of the same, for those who answer later.
    own: Sender<Request>,
    said: Receiver<FromBackbone>,
    line: Box<dyn BackboneLine>,
    /// The last request that was taken, and the last of messages and of all else that was
    /// confirmed.
    op: u64,
    confirmed: (u64, u64),
    publishing: Publishing,
    members: Members,
    held: Arc<HeldMessages>,
    /// The last message that was given to the dispatcher, and of which stream.
    epoch: Arc<str>,
    seq: u64,
    /// How long what is published waits for a backbone that does not answer.
    patience: Duration,
    is_connected: bool,
    /// Since when there is no backbone.
    silent_since: Option<Instant>,
    /// When it has said something last of what was published, or that there is a server.
    moved_at: Instant,
    reason: String,
    complaints: Complaints,
    /// When it was last looked what members have kept for too long.
    expired: Instant,
    /// When it was last asked what there is to be said of the stream.
    reported: Option<Instant>,
    /// Whether the dispatcher takes nothing any more.
    is_unheard: bool,
    stopping: Option<Instant>,
}

/// What there is to be done next.
enum Next {
    Request(Request),
    Said(FromBackbone),
    Nothing,
    /// The backbone says nothing any more.
    Lost,
    /// Nobody can ask for anything any more.
    End,
}

impl SharedThread {
    pub(super) fn new(new: NewThread) -> SharedThread {
        let NewThread { topics, position_topic, position, state, announcer, limits, .. } = new;
        let ((own, requests), (epoch, seq)) = (new.requests, position);
        SharedThread {
            topics,
            position_topic,
            state,
            announcer,
            limits,
            account: new.account,
            flight: new.flight,
            workspace: new.workspace,
            scratch: Document::new(),
            requests,
            #[cfg(not(shuttle))]
            wait: SpinWait::default(),
            own,
            said: new.said,
            line: new.line,
            op: 0,
            confirmed: (0, 0),
            publishing: Publishing::default(),
            members: Members::default(),
            held: new.held,
            epoch,
            seq,
            patience: new.patience,
            is_connected: false,
            silent_since: Some(Instant::now()),
            moved_at: Instant::now(),
            reason: "no server has answered yet".to_owned(),
            complaints: Complaints::default(),
            expired: Instant::now(),
            reported: None,
            is_unheard: false,
            stopping: None,
        }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        let _end = End(self.state.clone());
        loop {
            match self.next() {
                Next::Request(request) => self.take(request),
                Next::Said(said) => self.hear(said),
                Next::Nothing => {}
                Next::Lost => return self.lose(),
                Next::End => break,
            }
            self.take_what_is_there();
            self.give();
            self.confirm();
            self.look();
            if let Some(since) = self.stopping
                && (self.publishing.is_empty() || since.elapsed() >= FAREWELL.min(self.patience))
            {
                break;
            }
        }
        let (lost, _) = self.state.unwritten();
        if lost > 0 {
            tracing::error!(
                stream = %self.state.name(), messages = lost,
                "the broker stops, and these messages are not known to be in the shared stream; \
                 none of them was confirmed"
            );
        }
    }

    #[cfg(not(shuttle))]
    fn next(&mut self) -> Next {
        let (said, requests) = (&self.said, &self.requests);
        let look = || match said.try_recv() {
            Ok(said) => Ok(Next::Said(said)),
            Err(_) => requests.try_recv().map(Next::Request),
        };
        let patience = LOOK.min(self.patience);
        let sleep = || {
            Ok(crossbeam_channel::select! {
                recv(said) -> said => said.map_or(Next::Lost, Next::Said),
                recv(requests) -> request => request.map_or(Next::End, Next::Request),
                default(patience) => Next::Nothing,
            })
        };
        self.wait.recv_by(look, sleep).unwrap_or(Next::End)
    }

    /// The model has no backbone.
    #[cfg(shuttle)]
    fn next(&mut self) -> Next {
        use crate::broker::sync::TryRecvError;
        match self.said.try_recv() {
            Ok(said) => Next::Said(said),
            Err(TryRecvError::Disconnected) => Next::Lost,
            Err(TryRecvError::Empty) => match self.requests.recv_deadline(Instant::now() + LOOK) {
                Ok(request) => Next::Request(request),
                Err(error) if error.is_timeout() => Next::Nothing,
                Err(_) => Next::End,
            },
        }
    }

    /// Takes more of what there is, before it is looked what follows from it.
    fn take_what_is_there(&mut self) {
        for _ in 0..TOGETHER {
            // By turns: a flood of the one must not hold up the other.
            let said = self.said.try_recv().map(|said| self.hear(said));
            let request = self.requests.try_recv().map(|request| self.take(request));
            if said.is_err() && request.is_err() {
                return;
            }
        }
    }

    /// The backbone's own part has ended, which it does by a fault alone: nothing is taken any
    /// more.
    fn lose(mut self) {
        tracing::error!(
            stream = %self.state.name(),
            "this broker's part of the backbone has ended; start the broker again"
        );
        self.disconnected("this broker's part of the backbone has ended".to_owned());
        self.state.set_condition(Condition::Failing);
        self.refuse_waiting();
        while let Ok(request) = self.requests.recv() {
            self.state.fail(self.op.max(request.op), &self.reason);
            self.take(request);
            if self.is_stopping() {
                return;
            }
        }
    }

    fn take(&mut self, Request { op, what }: Request) {
        self.op = self.op.max(op);
        match what {
            What::Append(append) => self.publish(op, append),
            What::Clear { topic } => self.clear(op, topic),
            What::Join(join) => self.join(*join),
            What::Follow { feed, start, answer, .. } => self.follow(feed, start, answer),
            What::Leave { member, .. } => self.leave(member),
            What::Settle { member, what } => self.settle(op, member, what),
            What::Acked { feed } => self.acked(op, &feed),
            What::Buried { consumer, seq } => self.buried(consumer, seq),
            What::RemoveConsumer { consumer, answer } => {
                self.remove_consumer(op, &consumer, answer)
            }
            What::Report { answer } => self.report(op, answer),
            What::Define { answer, .. }
            | What::Reset { answer, .. }
            | What::Retry { answer, .. }
            | What::Delete { answer, .. }
            | What::Remove { answer } => self.refuse_administration(&answer),
            What::Hurry | What::Synced { .. } => {}
            What::Stop => self.stopping = Some(Instant::now()),
        }
        if self.state.condition() == Condition::Failing {
            self.state.fail(self.op, &self.reason);
        }
    }

    /// Takes what the backbone says.
    fn hear(&mut self, said: FromBackbone) {
        match said {
            FromBackbone::Connected { max_payload } => self.connected(max_payload),
            FromBackbone::Unavailable { reason } => self.disconnected(reason),
            FromBackbone::Stored { numbers } => self.stored(&numbers),
            FromBackbone::Refused { number, reason } => self.give_up(number, &reason),
            FromBackbone::Arrived(arrived) => self.arrived(arrived),
            FromBackbone::Joined { member, joined } => self.joined(member, joined),
            FromBackbone::Delivered { member, messages } => {
                for (attempt, message) in messages {
                    self.delivered(member, attempt, message);
                }
            }
            FromBackbone::Settled { op } => self.settled(op),
            FromBackbone::Removed { op, removed } => self.removed(op, removed),
            FromBackbone::Report { op, report } => self.reported(op, &report),
        }
    }

    fn connected(&mut self, max_payload: usize) {
        self.of_status(|status| status.connected(max_payload));
        self.claim_for_followers();
        if !self.is_connected {
            tracing::info!(
                stream = %self.state.name(), filter = %self.topics.filter, max_payload,
                "the shared stream can be reached"
            );
        }
        if !self.is_connected {
            // It is given the time to confirm what waits.
            self.moved_at = Instant::now();
        }
        (self.is_connected, self.silent_since) = (true, None);
        self.state.set_condition(Condition::Open);
    }

    fn disconnected(&mut self, reason: String) {
        if self.is_connected || self.reason != reason {
            tracing::warn!(
                stream = %self.state.name(), filter = %self.topics.filter,
                "the shared stream cannot be reached: {reason}"
            );
        }
        self.of_status(|status| status.disconnected(&reason));
        self.is_connected = false;
        self.reason = reason;
        self.silent_since.get_or_insert_with(Instant::now);
    }

    /// Refuses what is published while the backbone has not answered for too long.
    fn look(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.expired) >= LOOK.min(self.patience) {
            self.expired = now;
            self.expire(now);
            self.refuse_what_waits_too_long(now);
            let is_known = self.reported.is_some_and(|at| now.duration_since(at) < REPORTED);
            if self.is_connected && !is_known {
                self.reported = Some(now);
                self.line.send(ToBackbone::Report { op: 0 });
            }
        }
        let since = match self.publishing.since() {
            // It takes long for all that waits, and not for the first of it.
            Some(since) if self.is_connected => Some(since.max(self.moved_at)),
            None if self.is_connected => None,
            _ => self.silent_since,
        };
        let is_failing = self.state.condition() == Condition::Failing;
        if since.is_none_or(|since| now.duration_since(since) < self.patience) {
            if is_failing && self.is_connected {
                tracing::info!(stream = %self.state.name(), "the shared stream answers again");
                self.state.set_condition(Condition::Open);
            }
            return;
        }
        if is_failing {
            return;
        }
        if self.is_connected {
            self.reason = format!(
                "it confirms nothing for {:?}, though there is a connection; too few of its \
                 servers may run, or it cannot be read, which the log of this broker then says",
                self.patience
            );
        }
        tracing::error!(
            stream = %self.state.name(),
            "what is published to the shared stream is refused until it answers: {}", self.reason
        );
        self.state.set_condition(Condition::Failing);
        if self.is_connected {
            self.of_status(|status| status.stalled(&self.reason));
        }
        self.state.fail(self.op, &self.reason);
        self.refuse_waiting();
    }

    /// Why nothing can be asked of the backbone, where it has not answered for too long.
    pub(super) fn unavailable(&self) -> Option<Refusal> {
        (self.state.condition() == Condition::Failing).then(|| {
            let reason = format!(
                "the shared stream {} cannot be reached: {}; try again later",
                self.topics.stream, self.reason
            );
            Refusal::new(ErrorCode::BackboneUnavailable, reason)
        })
    }

    fn refuse_administration(&self, answer: &Answer) {
        let reason = format!(
            "the stream {} is shared with other brokers and is the backbone's: `babelmq backbone` \
             and the tools of NATS change it",
            self.topics.stream
        );
        let _ = answer.send(Err(Refusal::new(ErrorCode::InvalidField, reason)));
    }

    fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Notes something where everybody may look.
    pub(super) fn of_status(&self, note: impl FnOnce(&SharedStatus)) {
        if let Some(status) = self.state.shared() {
            note(status);
        }
    }
}

/// Those that wait must not wait for ever, however the thread ends.
#[derive(Debug)]
struct End(Arc<StreamState>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}
