//! What a queue says to a broker and understands of it, over as many connections as it takes.

mod connect;
mod durable;
mod listing;
mod reliable;
mod understand;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::middleware::backoff::Backoff;
use crate::middleware::connection::{Connection, Frame, Received};
use crate::middleware::dial::Dial;
use crate::middleware::error::{QueueError, Refused};
use crate::middleware::events::{ConnectionEvent, Listener};
use crate::middleware::options::Destination;
use crate::middleware::origin::Origin;
use crate::middleware::patience::Patience;
use crate::middleware::settle::Settle;
use crate::middleware::settler::Settler;
use crate::middleware::subscribe::{Subscribe, write_subscribe};
use crate::middleware::wire::{Wire, write_command};
use durable::Last;
use listing::Listing;
use reliable::Unconfirmed;
pub(in crate::middleware) use understand::from_broker;

use crate::codec::FrameField;
use crate::protocol::Topic;

/// A frame that two connections broke under is not tried on a third: it may be why.
const ATTEMPTS: u32 = 2;

/// Where a session connects to, and how.
pub(in crate::middleware) struct Target {
    pub(in crate::middleware) destination: Arc<Destination>,
    /// How its subscriptions are to be.
    pub(in crate::middleware) how: Subscribe,
    /// Whether they mean what is below their topics as well.
    pub(in crate::middleware) below: bool,
    /// Whether stored values are kept for the program.
    pub(in crate::middleware) retained: bool,
    pub(in crate::middleware) listener: Option<Listener>,
}

pub(in crate::middleware) struct Session<W: Wire> {
    to: Target,
    link: Option<Connection>,
    /// The next connection, while it is being made.
    dial: Option<Dial>,
    backoff: Backoff,
    /// Whether what was asked for at the beginning was there once: until then, nothing is tried
    /// again.
    established: bool,
    /// Until when the first connection may fail.
    first_until: Option<Instant>,
    /// How many connections were lost.
    losses: u64,
    subscriptions: Vec<Subscription>,
    /// Whether somebody waits for the answer to a subscription.
    subscribing: bool,
    /// Why this connection is of no use: a subscription was refused that an earlier one had.
    useless: Option<Refused>,
    /// What came and was not pulled, in its order.
    kept: VecDeque<Kept<W::Message>>,
    /// Why no other connection is tried any more.
    ended: Option<QueueError>,
    /// Why a connection could not be read any further.
    broken: Option<QueueError>,
    /// What the broker refused and nobody was told yet.
    refused: VecDeque<Refused>,
    /// Who waits for `topics` replies, in the order in which they were asked for.
    listings: VecDeque<Listing>,
    answers: Answers,
    pings: i64,
    dropped: u64,
    /// Whether something was pushed that no `flush` has confirmed.
    unconfirmed: bool,
    /// Whether a connection was lost with something unconfirmed on it, and no `flush` said so yet.
    lost_pushes: bool,
    /// What no `pong` has confirmed, where that is kept.
    kept_frames: Option<Unconfirmed>,
    /// Where what is said of messages of this connection goes.
    settler: Settler,
    /// The message that is acknowledged when the next is pulled.
    pulled: Option<(Settler, Origin)>,
    /// The last message that came to a follower.
    seen: Option<u64>,
    /// What came of a topic's last messages.
    last: Last<W::Message>,
    /// The frame that is being written.
    pub(in crate::middleware) frame: Vec<u8>,
}

struct Subscription {
    filter: String,
    /// What the broker said of it on this connection.
    state: State,
    /// Whether only a part of it is allowed, as far as the broker has said so.
    limited: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Asked,
    /// Its stored values come.
    Stored,
    Live,
}

/// What waits to be pulled.
enum Kept<M> {
    Delivery(Arrived<M>),
    /// A topic's last value was cleared, or has expired.
    Cleared(Topic),
    /// A frame that could not be read.
    Unreadable(QueueError),
}

/// A message as it came.
pub(in crate::middleware) struct Arrived<M> {
    pub(in crate::middleware) topic: Topic,
    pub(in crate::middleware) message: M,
    pub(in crate::middleware) retained: bool,
    /// Its place in a stream, where it is of one.
    pub(in crate::middleware) origin: Option<Origin>,
    pub(in crate::middleware) settler: Settler,
}

/// What is pulled.
pub(in crate::middleware) enum Pulled<M> {
    Delivery(Arrived<M>),
    /// A topic's last value was cleared, or has expired.
    Cleared(Topic),
}

/// Answers that came and were not looked at yet.
#[derive(Default)]
struct Answers {
    /// The number of the last ping that was answered; a broker answers them in their order.
    ping: i64,
    /// Why what came before that ping is not on the broker's disk.
    unsaved: Option<Refused>,
    topics: Option<Vec<Topic>>,
}

impl<W: Wire> Session<W> {
    /// Connects. Where nobody listens it is tried again for as long as `wait` says.
    pub(in crate::middleware) fn open(
        to: Target,
        wait: Duration,
    ) -> Result<Session<W>, QueueError> {
        let mut session = Session {
            to,
            link: None,
            dial: None,
            backoff: Backoff::new(),
            established: false,
            first_until: Instant::now().checked_add(wait),
            losses: 0,
            subscriptions: Vec::new(),
            subscribing: false,
            useless: None,
            kept: VecDeque::new(),
            ended: None,
            broken: None,
            refused: VecDeque::new(),
            listings: VecDeque::new(),
            answers: Answers::default(),
            pings: 0,
            dropped: 0,
            unconfirmed: false,
            lost_pushes: false,
            kept_frames: None,
            settler: Settler::default(),
            pulled: None,
            seen: None,
            last: Last::default(),
            frame: Vec::new(),
        };
        session.connect(Patience::Endless)?;
        Ok(session)
    }

    /// From now on a connection that is lost is made again.
    pub(in crate::middleware) fn establish(&mut self) {
        self.established = true;
    }

    pub(in crate::middleware) fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    pub(in crate::middleware) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether a subscription has only a part of what it asked for.
    pub(in crate::middleware) fn is_limited(&self) -> bool {
        self.subscriptions.iter().any(|one| one.limited)
    }

    pub(in crate::middleware) fn patience(&self) -> Patience {
        Patience::new(Some(self.to.destination.timeout))
    }

    // What a queue asks for.

    /// Publishes the frame that was written.
    pub(in crate::middleware) fn push(&mut self) -> Result<(), QueueError> {
        self.refused()?;
        if self.kept_frames.is_some() {
            return self.push_reliably();
        }
        if let Some(link) = &self.link
            && link.defer(&self.frame)
        {
            self.unconfirmed = true;
            return Ok(());
        }
        let mut attempts = 0;
        loop {
            // The time that a connection had which took nothing is not that of the next.
            self.connect(self.patience())?;
            self.take_in_waiting()?;
            self.refused()?;
            // It may have ended before anything was sent on it.
            let Some(link) = &mut self.link else { continue };
            match link.send(&self.frame, Patience::Endless) {
                Ok(_) => {
                    self.unconfirmed = true;
                    return Ok(());
                }
                // Not all of it was sent, so the broker has not acted on it.
                Err(error) => {
                    self.lose(error)?;
                    self.refused()?;
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        return Err(QueueError::Lost);
                    }
                }
            }
        }
    }

    /// The next message.
    pub(in crate::middleware) fn pull(
        &mut self,
        patience: Patience,
    ) -> Result<Arrived<W::Message>, QueueError> {
        loop {
            if let Pulled::Delivery(arrived) = self.pull_any(patience)? {
                return Ok(arrived);
            }
        }
    }

    /// The next message, or what says that a value was cleared.
    pub(in crate::middleware) fn pull_any(
        &mut self,
        patience: Patience,
    ) -> Result<Pulled<W::Message>, QueueError> {
        self.settle_pulled(Settle::Ack);
        loop {
            match self.kept.pop_front() {
                Some(Kept::Delivery(arrived)) => return Ok(Pulled::Delivery(arrived)),
                Some(Kept::Cleared(topic)) => return Ok(Pulled::Cleared(topic)),
                Some(Kept::Unreadable(error)) => return Err(error),
                None => {}
            }
            self.refused()?;
            if self.subscriptions.is_empty() && self.listings.is_empty() {
                return Err(QueueError::NotSubscribed);
            }
            self.turn(patience)?;
        }
    }

    /// The next stored value; `None` where there is no more of them.
    pub(in crate::middleware) fn pull_stored(
        &mut self,
        patience: Patience,
    ) -> Result<Option<Arrived<W::Message>>, QueueError> {
        loop {
            let is_stored = |kept: &Kept<W::Message>| match kept {
                Kept::Delivery(arrived) => arrived.retained,
                Kept::Cleared(_) => false,
                Kept::Unreadable(_) => true,
            };
            match self.kept.iter().position(is_stored).and_then(|at| self.kept.remove(at)) {
                Some(Kept::Delivery(arrived)) => return Ok(Some(arrived)),
                Some(Kept::Unreadable(error)) => return Err(error),
                Some(Kept::Cleared(_)) | None => {}
            }
            self.refused()?;
            if self.subscriptions.iter().all(|one| one.state == State::Live) {
                return Ok(None);
            }
            self.turn(patience)?;
        }
    }

    /// Waits until everything that was pushed is routed.
    pub(in crate::middleware) fn flush(&mut self) -> Result<(), QueueError> {
        let patience = self.patience();
        loop {
            if self.lost_pushes {
                // Why there is no other connection says more.
                self.possible()?;
            }
            if mem::take(&mut self.lost_pushes) {
                self.refused()?;
                return Err(QueueError::Lost);
            }
            self.unbroken()?;
            self.connect(patience)?;
            self.frame.clear();
            if self.confirm(patience)? {
                break;
            }
        }
        self.unconfirmed = false;
        match self.answers.unsaved.take() {
            Some(unsaved) => Err(QueueError::Refused(unsaved)),
            None => self.refused(),
        }
    }

    /// Subscribes, and waits until it is in place.
    pub(in crate::middleware) fn subscribe(&mut self, filter: &str) -> Result<(), QueueError> {
        self.refused()?;
        self.subscribing = true;
        let done = self.subscribe_within(filter, self.patience());
        self.subscribing = false;
        if done.is_err() {
            // It may be in place, or still be asked for.
            self.subscriptions.retain(|one| one.filter != filter);
            self.frame.clear();
            self.write_cancel(filter);
            if let Some(link) = &mut self.link {
                let _ = link.send(&self.frame, Patience::new(Some(Duration::ZERO)));
            }
        }
        done
    }

    fn subscribe_within(&mut self, filter: &str, patience: Patience) -> Result<(), QueueError> {
        self.connect(patience)?;
        if !self.subscriptions.iter().any(|one| one.filter == filter) {
            let name = filter.to_owned();
            let one = Subscription { filter: name, state: State::Asked, limited: false };
            self.subscriptions.push(one);
            self.frame.clear();
            let filter = (filter, self.to.below);
            write_subscribe(W::FORMAT, filter, &self.how(), &mut self.frame);
            self.send(patience)?;
        }
        let is_asked = |one: &Subscription| one.filter == filter && one.state == State::Asked;
        while self.subscriptions.iter().any(is_asked) {
            self.turn(patience)?;
            let is_of_it = |refused: &Refused| {
                !self.established || refused.fatal || refused.topic.as_deref() == Some(filter)
            };
            if let Some(at) = self.refused.iter().position(is_of_it)
                && let Some(refused) = self.refused.remove(at)
            {
                return Err(QueueError::Refused(refused));
            }
        }
        Ok(())
    }

    /// Whether it is of a stream, and has its one subscription.
    pub(in crate::middleware) fn is_taken(&self, filter: &str) -> bool {
        self.to.how.is_of_stream() && self.subscriptions.iter().any(|one| one.filter != filter)
    }

    /// Ends all subscriptions.
    pub(in crate::middleware) fn cancel(&mut self) -> Result<(), QueueError> {
        let ended = mem::take(&mut self.subscriptions);
        // One that is asked for later begins as its options say.
        self.seen = None;
        // A new connection has none, so there is nothing to end on it.
        if self.link.is_none() {
            return Ok(());
        }
        self.frame.clear();
        ended.iter().for_each(|one| self.write_cancel(&one.filter));
        let confirmed = self.confirm(self.patience());
        if confirmed.is_err() {
            // Nobody knows; it can be asked for again.
            self.subscriptions = ended;
        }
        confirmed.map(drop)
    }

    fn write_cancel(&mut self, filter: &str) {
        let fields = [("topic", FrameField::Str(filter))];
        write_command(W::FORMAT, "cancel", &fields, &mut self.frame);
    }

    // The conversation.

    /// Sends what is in `frame` and a ping, and waits until that is answered. The broker answers in
    /// the order in which it was asked, so the answer has come by then; and an answer that came too
    /// late for one wait does not end the next. Returns whether the connection held.
    fn confirm(&mut self, patience: Patience) -> Result<bool, QueueError> {
        let losses = self.losses;
        let ping = self.write_ping();
        self.send(patience)?;
        while self.losses == losses {
            if self.answers.ping >= ping {
                return Ok(true);
            }
            self.turn(patience)?;
        }
        Ok(false)
    }

    fn write_ping(&mut self) -> i64 {
        self.pings += 1;
        write_command(W::FORMAT, "ping", &[("id", FrameField::Int(self.pings))], &mut self.frame);
        self.pings
    }

    /// Sends what is in `frame`. That the connection is lost by that shows in `losses`.
    fn send(&mut self, patience: Patience) -> Result<(), QueueError> {
        let Some(link) = &mut self.link else { return Ok(()) };
        match link.send(&self.frame, patience) {
            Ok(true) => Ok(()),
            Ok(false) => Err(QueueError::TimedOut),
            Err(error) => self.lose(error),
        }
    }

    /// Takes in what comes next, on a connection that is made for it if need be.
    fn turn(&mut self, patience: Patience) -> Result<(), QueueError> {
        if let Some(refused) = self.useless.take() {
            self.lose(QueueError::Refused(refused))?;
        }
        self.connect(patience)?;
        let Some(link) = &mut self.link else { return Ok(()) };
        match link.receive(patience) {
            Ok(Received::Frame(frame)) => {
                self.take_in(frame);
                Ok(())
            }
            Ok(Received::Ask) => {
                self.frame.clear();
                self.write_ping();
                self.send(Patience::new(Some(Duration::ZERO))).or(Ok(()))
            }
            Ok(Received::Nothing) => Err(QueueError::TimedOut),
            Err(error) => self.failed(error),
        }
    }

    /// Takes in the frames that have arrived.
    fn take_in_waiting(&mut self) -> Result<(), QueueError> {
        while let Some(link) = &mut self.link {
            match link.receive_waiting() {
                Ok(Some(frame)) => self.take_in(frame),
                Ok(None) => return Ok(()),
                Err(error) => self.failed(error)?,
            }
        }
        Ok(())
    }

    fn take_in(&mut self, frame: Frame) {
        if let Err(error) = self.understand(frame) {
            self.kept.push_back(Kept::Unreadable(error));
        }
    }

    fn failed(&mut self, error: QueueError) -> Result<(), QueueError> {
        match error {
            QueueError::TooLarge { .. } => self.kept.push_back(Kept::Unreadable(error)),
            // It is no message that was lost but the thread.
            QueueError::Protocol(reason) => {
                self.broken = Some(QueueError::Protocol(reason.clone()));
                self.lose(QueueError::Protocol(reason))?;
            }
            other => self.lose(other)?,
        }
        Ok(())
    }

    /// Gives the connection up, after what the broker said last: it may have said why.
    fn lose(&mut self, why: QueueError) -> Result<(), QueueError> {
        let Some(mut link) = self.link.take() else { return Ok(()) };
        let verdict = loop {
            match link.receive_waiting() {
                Ok(Some(frame)) => self.take_in(frame),
                Err(error @ QueueError::TooLarge { .. }) => {
                    self.kept.push_back(Kept::Unreadable(error));
                }
                Err(error) => break error.finally(),
                Ok(None) => break None,
            }
        };
        self.forget_unsettled();
        self.backoff.lost(link.since());
        self.useless = None;
        self.losses += 1;
        self.lost_pushes |= mem::take(&mut self.unconfirmed) && self.kept_frames.is_none();
        if self.ended.is_none() {
            self.ended = verdict.or_else(|| why.finally());
        }
        if !self.established {
            self.possible()?;
            return self.refused().and(Err(why));
        }
        self.tell(|| ConnectionEvent::Lost { reason: why.to_string() });
        self.tell_the_end();
        Ok(())
    }

    /// The oldest thing that was refused and not reported.
    fn refused(&mut self) -> Result<(), QueueError> {
        if let Some(refused) = self.refused.pop_front() {
            return Err(QueueError::Refused(refused));
        }
        self.unbroken()
    }

    fn unbroken(&mut self) -> Result<(), QueueError> {
        self.broken.take().map_or(Ok(()), Err)
    }

    /// What ended a connection.
    fn refused_fatally(&mut self) -> Result<(), QueueError> {
        match self.refused.iter().position(|refused| refused.fatal) {
            Some(at) => {
                self.refused.remove(at).map_or(Ok(()), |refused| Err(QueueError::Refused(refused)))
            }
            None => self.unbroken(),
        }
    }

    /// Whether another connection may be tried.
    fn possible(&self) -> Result<(), QueueError> {
        self.ended.as_ref().and_then(QueueError::finally).map_or(Ok(()), Err)
    }

    fn tell_the_end(&self) {
        if let Some(why) = &self.ended {
            self.tell(|| ConnectionEvent::Ended { reason: why.to_string() });
        }
    }

    fn tell(&self, event: impl FnOnce() -> ConnectionEvent) {
        if let Some(listener) = &self.to.listener {
            listener.tell(&event());
        }
    }
}

/// What was kept back is written, as far as the broker takes it in time.
impl<W: Wire> Drop for Session<W> {
    fn drop(&mut self) {
        let patience = self.patience();
        if let Some(link) = &mut self.link {
            let _ = link.write_out(patience);
        }
    }
}
