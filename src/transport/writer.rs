//! The thread that writes to one connection.
//!
//! It owns the write half: it takes deliveries from its inbox, asks each for its bytes in the
//! subscriber's dialect, and writes as much as is waiting with one call. Where there are many
//! writers, one that is silent has no thread, and writes in turns of the [`pool`](super::pool) that
//! never wait.

mod gather;
mod mqtt;
mod resting;
mod streams;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::line::{Close, Line, Outgoing, Pushed, Wait};
use super::mqtt::Sessions;
use super::priority::{CROWD, give_way};
use super::write_deadline::{LEAST_TAKEN, WriteDeadline};
use crate::broker::sync::{Alive, Instant, Lifetime, Mutex, TryRecvError};
use crate::broker::{Charge, ClientId, Counters, Cursor, Delivery, Fate, Feed, Inbox};
use crate::codec::{Account, Claim, Document, PlainNames, Share, release_scratch};
use crate::protocol::Limits;
use crate::wire::mqtt::Talk;
use crate::wire::{IDLE_BYTES, MAX_BYTES, WriteBatch};
pub(super) use resting::Resting;

/// How long a connection that was ended from here may take to be ended from there as well.
const LINGER: Duration = Duration::from_secs(1);

/// Where there are many writers, one that was given nothing for so long does without a thread.
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// Writes that are made in a turn; who has more to write than that is busy.
const WRITES_OF_A_TURN: usize = 4;

#[derive(Debug)]
pub(super) struct Writer {
    hand: InHand,
    /// Whom it writes to, for the log.
    client: ClientId,
    outgoing: Outgoing,
    /// The dispatcher holds the other end, and drops it when the connection is to end.
    inbox: Inbox,
    common: Arc<Common>,
    deadline: WriteDeadline,
    /// Bytes of what was gathered that are written.
    written: usize,
    /// Feeds that are due more than one turn's messages.
    feeds: VecDeque<Arc<Feed>>,
    /// Feeds whose next message waits until a client of MQTT has answered.
    held_feeds: Vec<Arc<Feed>>,
    /// How many of them, the first, have had no turn since the client answered last.
    held_first: usize,
    /// Where what is sent again is read.
    again: Option<(Arc<Feed>, Box<dyn Cursor>)>,
    /// Whether it writes in a turn.
    in_turn: bool,
    /// Since when it needs a thread, there is none, and nothing was written.
    without_thread: Option<Instant>,
    scratch: Document,
    /// Of elements in plain XML; the last subscription that gave some has said so.
    names: PlainNames,
    /// Of what may be used for writing long answers. Who has some of it waits for nothing but its
    /// client.
    account: Account,
    /// Of what may be used for answers that wait, where pages come from.
    pages: Account,
    /// Memory for what is gathered, while there is something to write.
    page: Claim,
    /// Memory that messages of streams are read into.
    reading: Claim,
    /// Memory that a long answer takes while it is written.
    answer: Claim,
    ties: Ties,
}

/// What was taken from the inbox and is not written.
#[derive(Debug)]
struct InHand {
    gathered: WriteBatch,
    /// Has to be waited for, which a turn does not.
    pending: Option<(Delivery, Charge)>,
    /// Where it is kept for the client's next connection, where the client speaks MQTT.
    kept_in: Option<(Arc<Mutex<Talk>>, Fate)>,
}

/// The ties between a session and its writer.
#[derive(Debug)]
pub(super) struct Ties {
    /// Over when the session will not read any more.
    pub(super) session: Lifetime,
    /// What both know, where the client speaks MQTT.
    pub(super) talk: Option<Arc<Mutex<Talk>>>,
    /// The session waits for this to be dropped before it ends.
    pub(super) _alive: Alive,
}

/// What all writers of a broker have in common.
#[derive(Debug)]
pub(super) struct Common {
    counters: Arc<Counters>,
    limits: Limits,
    write_timeout: Duration,
    shares: Shares,
    /// All sessions of MQTT, of which a client may ask.
    sessions: Arc<Sessions>,
}

/// The shares of memory that writers draw on.
#[derive(Debug)]
pub(super) struct Shares {
    /// What all connections together have on their way.
    pub(super) in_flight: Arc<Share>,
    /// What may be used for writing long answers.
    pub(super) writing: Arc<Share>,
    /// What may be used for answers that wait.
    pub(super) answers: Arc<Share>,
}

impl Common {
    pub(super) fn new(
        config: &Config,
        counters: &Arc<Counters>,
        shares: Shares,
        sessions: &Arc<Sessions>,
    ) -> Arc<Common> {
        let Config { limits, write_timeout, .. } = *config;
        let (counters, sessions) = (counters.clone(), sessions.clone());
        Arc::new(Common { counters, limits, write_timeout, shares, sessions })
    }
}

/// The state after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing waits.
    Nothing,
    /// More than a turn can do.
    Busy,
    /// Everything was written, and nothing will come.
    Closed,
}

/// Why a writer with a thread writes no more.
enum End {
    /// Everything was written, and nothing will come.
    Closed,
    /// Nothing came for a while, and there are many writers.
    Silent,
}

impl Writer {
    pub(super) fn new(
        client: ClientId,
        outgoing: Outgoing,
        inbox: Inbox,
        ties: Ties,
        common: Arc<Common>,
    ) -> Box<Writer> {
        let kept_in = ties.talk.as_ref().map(|talk| (talk.clone(), inbox.fate()));
        let Shares { in_flight, writing, answers } = &common.shares;
        let deadline = WriteDeadline::new(client, common.write_timeout, in_flight.clone());
        let (account, pages) = (writing.account(), answers.account());
        Box::new(Writer {
            hand: InHand { gathered: WriteBatch::default(), pending: None, kept_in },
            client,
            outgoing,
            inbox,
            deadline,
            common,
            written: 0,
            feeds: VecDeque::new(),
            held_feeds: Vec::new(),
            held_first: 0,
            again: None,
            in_turn: false,
            without_thread: None,
            scratch: Document::new(),
            names: PlainNames::default(),
            account,
            pages,
            page: Claim::nothing(),
            reading: Claim::nothing(),
            answer: Claim::nothing(),
            ties,
        })
    }

    /// The same writer, which writes this before anything else.
    pub(super) fn beginning_with(
        mut self: Box<Writer>,
        first: Option<(Delivery, Charge)>,
    ) -> Box<Writer> {
        self.hand.pending = first;
        self
    }

    pub(super) fn client(&self) -> ClientId {
        self.client
    }

    pub(super) fn line(&self) -> &Line {
        self.outgoing.line()
    }

    /// Writes until the outbox is closed and empty, or the peer is gone. Returns a writer that has
    /// had nothing to write for a while, where there are many of them.
    pub(super) fn run(mut self: Box<Writer>, is_crowded: impl Fn() -> bool) -> Option<Box<Writer>> {
        match self.write_everything(is_crowded) {
            Ok(End::Closed) => self.take_leave(),
            Ok(End::Silent) => return Some(self),
            Err(error) => self.give_up(&error),
        }
        None
    }

    /// Ends a connection that cannot be written to.
    pub(super) fn give_up(&self, error: &io::Error) {
        tracing::debug!(client = %self.client, %error, "the connection cannot be written to any \
        more");
        // The session is woken by this and ends as well.
        self.line().shut_down(Shutdown::Both);
    }

    /// Ends a connection after its last frame.
    fn take_leave(&mut self) {
        // A client that reads the last frame should not lose it to a reset because its own input
        // was left unread: so first only this direction ends, and the session goes on reading for a
        // moment.
        self.prepare_end();
        if self.hand.gathered.bytes > 0 {
            // Who cannot be written to any more needs no goodbye.
            let _ = self.flush();
        }
        let began = Instant::now();
        // A peer that takes nothing is told by the end of the connection.
        while !self.outgoing.is_settled()
            && self.deadline.last_in_a_hurry(began).is_ok()
            && self.outgoing.push(&[], Wait::Tick).is_ok()
        {}
        self.outgoing.end();
        self.ties.session.wait_until(Instant::now() + LINGER);
        self.line().shut_down(Shutdown::Both);
    }

    /// As [`take_leave`](Self::take_leave), if that takes no time; otherwise the writer needs a
    /// thread for it.
    pub(super) fn end_at_once(mut self: Box<Writer>) -> Option<Box<Writer>> {
        if !self.ties.session.is_over() {
            return Some(self);
        }
        self.prepare_end();
        if matches!(self.write_at_once(), Ok(false)) {
            return Some(self);
        }
        self.outgoing.end();
        self.line().shut_down(Shutdown::Both);
        None
    }

    /// Takes what the connection itself says at its end, behind everything else.
    fn prepare_end(&mut self) {
        if self.inbox.is_overflowed() {
            self.outgoing.end_with(Close::refused());
        }
        self.say_goodbye();
        self.outgoing.finish();
    }

    /// Begins a turn; what comes from now on is known at its end.
    pub(super) fn begin_turn(&self) {
        self.inbox.begin_turn();
    }

    /// Says that this writer waits for its inbox from now on.
    pub(super) fn keep_turn(&mut self) {
        self.without_thread = None;
        self.inbox.keep_turn();
    }

    /// Says that there is no thread for it. Returns whether that is news.
    ///
    /// # Errors
    /// When it need not go on: its peer takes nothing, or what remains to be done takes a thread,
    /// and its session is over.
    pub(super) fn do_without_thread(&mut self) -> io::Result<bool> {
        let is_news = self.without_thread.is_none();
        let since = *self.without_thread.get_or_insert_with(Instant::now);
        // A session that is over waits for its writer, and has a thread: perhaps the one that is
        // missing.
        if self.ties.session.is_over() {
            self.deadline.last_in_a_hurry(since)?;
        }
        if self.hand.gathered.bytes > 0 {
            self.deadline.last(since, false, &self.inbox, &self.common.counters)?;
        }
        Ok(is_news)
    }

    /// Writes what waits, as long as that can be done without waiting.
    pub(super) fn take_turn(&mut self) -> io::Result<After> {
        self.in_turn = true;
        let after = self.write_in_turn();
        self.in_turn = false;
        if matches!(after, Ok(After::Nothing)) {
            self.shrink();
        }
        after
    }

    fn write_in_turn(&mut self) -> io::Result<After> {
        for _ in 0..WRITES_OF_A_TURN {
            self.claim_page();
            let mut after = self.go_on_talking()?.then_some(After::Closed);
            while after.is_none() && self.hand.pending.is_none() && !self.hand.gathered.is_enough()
            {
                match self.inbox.look() {
                    Ok((delivery, charge)) if delivery.may_take_time() => {
                        self.hand.pending = Some((delivery, charge));
                    }
                    Ok((delivery, charge)) => self.gather(delivery, charge)?,
                    Err(TryRecvError::Empty) => after = Some(After::Nothing),
                    Err(TryRecvError::Disconnected) => after = Some(After::Closed),
                }
            }
            if !self.write_at_once()? || self.hand.pending.is_some() {
                return Ok(After::Busy);
            }
            let has_more = after == Some(After::Nothing) && self.has_more_to_say();
            if let Some(after) = after.filter(|_| !has_more) {
                return Ok(after);
            }
        }
        Ok(After::Busy)
    }

    fn write_everything(&mut self, is_crowded: impl Fn() -> bool) -> io::Result<End> {
        // The rest of the last turn.
        self.flush()?;
        loop {
            if self.go_on_talking()? {
                self.flush()?;
                return Ok(End::Closed);
            }
            if self.hand.gathered.bytes > 0 && self.hand.pending.is_none() {
                self.hand.pending = self.inbox.next_waiting();
                if self.hand.pending.is_none() {
                    self.flush()?;
                }
            }
            let next = match self.hand.pending.take() {
                Some(pending) => Ok(pending),
                None => self.next_delivery(&is_crowded),
            };
            let (delivery, charge) = match next {
                Ok(next) => next,
                Err(TryRecvError::Disconnected) => return Ok(End::Closed),
                Err(TryRecvError::Empty) => return Ok(End::Silent),
            };
            self.claim_page();
            self.gather(delivery, charge)?;
            while !self.hand.gathered.is_enough()
                && let Some((delivery, charge)) = self.inbox.next_waiting()
            {
                self.gather(delivery, charge)?;
            }
            // Those that have more to read than one turn's go on, whatever else comes.
            if let Some(feed) = self.feeds.pop_front() {
                self.gather_feed(&feed)?;
            }
            self.flush()?;
        }
    }

    /// Waits for the next delivery, for a while where there are many writers.
    fn next_delivery(
        &mut self,
        is_crowded: impl Fn() -> bool,
    ) -> Result<(Delivery, Charge), TryRecvError> {
        if let Some(waiting) = self.inbox.next_waiting() {
            return Ok(waiting);
        }
        if let Some(feed) = self.feeds.pop_front() {
            return Ok((Delivery::Feed(feed), Charge::default()));
        }
        self.shrink();
        if is_crowded() {
            return self.inbox.wait_until(Instant::now() + SILENT_AFTER);
        }
        self.inbox.wait().ok_or(TryRecvError::Disconnected)
    }

    /// Gives memory back before it waits. Who knows for how long: there may be thousands of writers
    /// that wait.
    fn shrink(&mut self) {
        self.hand.gathered.shrink();
        release_scratch();
        self.page = Claim::nothing();
        self.reading = Claim::nothing();
        self.again = None;
        self.held_feeds.iter().for_each(|feed| feed.release());
        if self.scratch.weight() > IDLE_BYTES {
            self.scratch = Document::new();
        }
    }

    /// Claims memory for as much as is gathered for one write; where there is none, it is gathered
    /// in small pieces.
    fn claim_page(&mut self) {
        if self.page.bytes() == 0 {
            let page = self.pages.try_claim(MAX_BYTES);
            self.hand.gathered.is_short = page.is_none();
            self.page = page.unwrap_or_default();
        }
    }

    /// Writes what was gathered if it is enough for a write.
    fn flush_enough(&mut self) -> io::Result<()> {
        // All that is gathered in a turn is written at its end.
        if self.hand.gathered.is_enough() && !self.in_turn { self.flush() } else { Ok(()) }
    }

    /// Writes what was gathered.
    fn flush(&mut self) -> io::Result<()> {
        let Writer { hand, outgoing, deadline, inbox, common, answer, account, .. } = self;
        let (gathered, counters) = (&mut hand.gathered, &common.counters);
        if gathered.bytes > 0 || !outgoing.is_settled() {
            if !self.in_turn {
                give_way(gathered.bytes, counters.open() > CROWD);
            }
            let mut slices = gathered.slices();
            let mut rest = slices.as_mut_slice();
            IoSlice::advance_slices(&mut rest, self.written);
            let (began, mut sent) = (Instant::now(), 0);
            let mut progress = began;
            let mut has_moved = true;
            while !rest.is_empty() || !outgoing.is_settled() {
                deadline.last(progress, has_moved, inbox, counters)?;
                // A long answer is being written while others wait for the memory that it takes.
                if answer.bytes() > LEAST_TAKEN && account.share().is_wanted() {
                    deadline.last_in_a_hurry(began)?;
                }
                let wait = if deadline.is_pressed(inbox) { Wait::No } else { Wait::Tick };
                let pushed = outgoing.push(rest, wait)?;
                has_moved = pushed.sent > 0;
                IoSlice::advance_slices(&mut rest, pushed.taken);
                sent += pushed.sent;
                // A byte now and then is no progress.
                if sent >= LEAST_TAKEN {
                    (progress, sent) = (Instant::now(), 0);
                }
            }
        }
        self.note_written();
        Ok(())
    }

    /// Writes what was gathered as far as the socket takes it at once. Returns whether that is all.
    fn write_at_once(&mut self) -> io::Result<bool> {
        let before = self.written;
        self.written = send_at_once(&self.hand.gathered, &mut self.outgoing, before)?;
        if self.written > before {
            self.without_thread = None;
        }
        if self.written < self.hand.gathered.bytes || !self.outgoing.is_settled() {
            return Ok(false);
        }
        self.note_written();
        Ok(true)
    }

    fn note_written(&mut self) {
        self.written = 0;
        self.answer = Claim::nothing();
        Counters::add(&self.common.counters.bytes_out, self.hand.gathered.bytes);
        for charge in self.hand.gathered.charges.drain(..) {
            self.inbox.written(charge);
        }
        self.hand.gathered.clear();
    }
}

impl InHand {
    /// Whether there is nothing.
    fn is_empty(&self) -> bool {
        self.gathered.bytes == 0 && self.gathered.charges.is_empty() && self.pending.is_none()
    }
}

/// What a client of MQTT was to be delivered is kept for its next connection.
impl Drop for InHand {
    fn drop(&mut self) {
        let Some((talk, fate)) = &self.kept_in else { return };
        for charge in self.gathered.charges.drain(..) {
            fate.written(charge);
        }
        if let Some((delivery, charge)) = self.pending.take() {
            talk.lock().save(delivery, charge);
        }
    }
}

/// Sends what lies behind the first `sent` bytes of what was gathered, as far as the socket takes
/// it at once, and returns how many bytes are sent now.
///
/// # Errors
/// Any error of the system; that the socket is full is none.
fn send_at_once(
    gathered: &WriteBatch,
    outgoing: &mut Outgoing,
    mut sent: usize,
) -> io::Result<usize> {
    let mut slices = gathered.slices();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, sent);
    while sent < gathered.bytes || !outgoing.is_settled() {
        let pushed = outgoing.push(rest, Wait::No)?;
        if pushed == Pushed::default() {
            break;
        }
        sent += pushed.taken;
        IoSlice::advance_slices(&mut rest, pushed.taken);
    }
    Ok(sent)
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
