//! The bounded way to one connection, and what happens when it is full.
//!
//! The dispatcher holds the [`Outbox`], the connection's writer the [`Inbox`]. Deliveries travel in
//! a channel; how much is in it is counted beside it, because the bounds are in messages and bytes
//! and not in deliveries. When it overflows, what waits in it is [discarded](Discarded).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::broker::client_id::ClientId;
use crate::broker::delivery::bell::Bell;
use crate::broker::delivery::level::{Charge, FLOOR, Level};
use crate::broker::delivery::link::{Far, Near, link};
use crate::broker::delivery::mailbox::Mailbox;
use crate::broker::delivery::parcel::Parcel;
use crate::broker::delivery::{Chosen, Delivery, Selection};
use crate::broker::streams::Feed;
use crate::broker::sync::{AtomicBool, Instant, Mutex, Receiver, Sender, SpinWait, TryRecvError};
use crate::codec::{Account, Batch, Dialect, Share};
use crate::protocol::{DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_MESSAGES, Overflow, Token, TopicFilter};

/// How much may wait for one subscriber.
///
/// ```
/// use babelmq::{Config, QueueLimits};
///
/// let short = QueueLimits::default().messages(1_000).bytes(1 << 20);
/// assert_eq!(Config::default().queue(short).queue.messages, 1_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueLimits {
    /// Messages. Default 262,144.
    pub messages: usize,
    /// Bytes of memory that the waiting messages keep alive. Default 64 MiB, as in NATS.
    ///
    /// A batch that is shared with other subscribers counts in full for each of them, and counts in
    /// full even for one message of it, so this is never less than the truth.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> QueueLimits {
        QueueLimits { messages: DEFAULT_QUEUE_MESSAGES, bytes: DEFAULT_QUEUE_BYTES }
    }
}

impl QueueLimits {
    /// Lets so many messages wait.
    #[must_use]
    pub fn messages(self, messages: usize) -> QueueLimits {
        QueueLimits { messages, ..self }
    }

    /// Lets the messages that wait keep so many bytes of memory alive.
    #[must_use]
    pub fn bytes(self, bytes: usize) -> QueueLimits {
        QueueLimits { bytes, ..self }
    }
}

/// The dispatcher's end. Dropping it lets the writer finish what is waiting and end.
#[derive(Debug)]
pub struct Outbox {
    /// The writer holds the other end; when that is gone the connection is, and sending is without
    /// effect.
    link: Near<(Parcel, Charge)>,
    level: Arc<Level>,
    limits: QueueLimits,
    /// Whom to call when something waits that no thread waits for.
    calls: Option<(ClientId, Sender<ClientId>)>,
    /// The end that streams have; most outboxes have none.
    bell: Option<Arc<Bell>>,
    /// Where it is noted when its writer was called, or it has a channel that it had not.
    warm: Option<Arc<Warm>>,
    /// Whether it is.
    is_noted: bool,
}

/// Outboxes whose channels may be let go of when their writers rest.
#[derive(Debug, Default)]
pub(in crate::broker) struct Warm {
    are_some: AtomicBool,
    noted: Mutex<Vec<ClientId>>,
}

impl Warm {
    fn note(&self, client: ClientId) {
        self.noted.lock().push(client);
        self.are_some.store(true, Ordering::Relaxed);
    }

    /// Whether there are any.
    pub(in crate::broker) fn are_some(&self) -> bool {
        self.are_some.load(Ordering::Relaxed)
    }

    /// Takes them out.
    pub(in crate::broker) fn take(&self) -> Vec<ClientId> {
        self.are_some.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.noted.lock())
    }

    /// Notes one once more.
    pub(in crate::broker) fn again(&self, client: ClientId) {
        self.note(client);
    }
}

/// Whether an outbox has overflowed, for whoever reads from the connection.
#[derive(Debug)]
pub struct Fate(Arc<Level>);

impl Fate {
    /// Whether the connection was cut off: it is told why, and nothing that it sends is of any use.
    pub fn is_cut_off(&self) -> bool {
        self.0.is_overflowed()
    }

    /// Says that a delivery is not wanted any more that was kept though it was written.
    pub fn written(&self, charge: Charge) {
        self.0.give_back_written(charge);
    }

    /// What counts as waiting: messages, bytes, answers, bytes of answers, bytes of its own.
    #[cfg(all(test, shuttle))]
    pub(crate) fn charged(&self) -> [usize; 5] {
        self.0.charged()
    }
}

/// The deliveries of an outbox that overflowed. It is let go of in parts, because it may be much.
#[derive(Debug)]
pub struct Discarded {
    waiting: Receiver<(Parcel, Charge)>,
    mailbox: Option<Arc<Mailbox>>,
    level: Arc<Level>,
}

/// The writer's end.
#[derive(Debug)]
pub struct Inbox {
    /// The dispatcher holds the other end; when that is dropped, what is waiting is the last.
    link: Far<(Parcel, Charge)>,
    level: Arc<Level>,
    wait: SpinWait,
    /// Another has it, and goes on with it when this is dropped.
    is_lent: bool,
}

/// Answers that may wait for a client that asks and does not read.
const MAX_ANSWERS: usize = 65_536;

/// The outbox is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Messages that are waiting.
    pub messages: usize,
    /// Bytes that they keep alive.
    pub bytes: usize,
}

/// Why something was not added to an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// It does not fit.
    Full(Full),
    /// There is no memory for an answer of its length.
    NoMemory,
    /// The writer has ended, and so has the connection. Its session says so as well, but when the
    /// dispatcher is behind that takes its time, and what is done for those who are gone would keep
    /// it behind.
    Gone,
}

/// A new outbox and its other end, which a thread waits for.
pub fn outbox(limits: QueueLimits) -> (Outbox, Inbox) {
    outbox_with(limits, Share::unlimited().account(), Share::unlimited().account())
}

/// A new outbox. Its answers are charged to one account, and what else waits for it alone to
/// another.
pub fn outbox_with(limits: QueueLimits, answers: Account, queue: Account) -> (Outbox, Inbox) {
    let (near, far) = link();
    let level = Arc::new(Level::new(answers, queue));
    (
        Outbox {
            link: near,
            level: level.clone(),
            limits,
            calls: None,
            bell: None,
            warm: None,
            is_noted: false,
        },
        Inbox { link: far, level, wait: SpinWait::default(), is_lent: false },
    )
}

impl Outbox {
    /// The same outbox, that calls for a writer while no thread waits: the client's number goes to
    /// `calls`.
    #[must_use]
    pub fn calling(mut self, client: ClientId, calls: Sender<ClientId>) -> Outbox {
        self.calls = Some((client, calls));
        self
    }

    /// Notes it from now on where it has a channel, so that this is [let go of](Self::cool)
    /// sometime. One that calls for nobody keeps its channel.
    pub(in crate::broker) fn note_in(&mut self, warm: &Arc<Warm>) {
        self.warm = self.calls.is_some().then(|| warm.clone());
    }

    fn note(&mut self) {
        if let (Some(warm), Some((client, _)), false) = (&self.warm, &self.calls, self.is_noted) {
            self.is_noted = true;
            warm.note(*client);
        }
    }

    /// Lets go of its channel if the writer rests. Returns whether that is to be tried again; if
    /// not, it is noted when the writer is called next.
    pub(in crate::broker) fn cool(&mut self) -> bool {
        if self.bell.is_some() {
            // Another thread sends through it too. It is noted no more.
            return false;
        }
        let turn = self.level.turn();
        let rests = turn.rests();
        if rests {
            self.link.let_go();
        }
        self.is_noted = !rests && !turn.is_kept();
        self.is_noted
    }

    /// What says whether the connection was cut off.
    pub fn fate(&self) -> Fate {
        Fate(self.level.clone())
    }

    /// Sets the bound on messages, as a subscriber may ask for one below `limits`.
    pub fn set_messages(&mut self, messages: usize) {
        self.limits.messages = messages;
    }

    /// The bounds of this outbox.
    pub fn limits(&self) -> QueueLimits {
        self.limits
    }

    /// A mailbox for a subscription that would rather lose messages than its connection; none for
    /// one that would not.
    pub fn mailbox(
        &self,
        overflow: Overflow,
        topic: TopicFilter,
        wording: (Dialect, Token),
        messages: usize,
    ) -> Option<Mailbox> {
        // A subscription that may lose messages leaves room for those that may not.
        let most = (messages, self.limits.bytes / 4 * 3);
        let level = self.level.clone();
        match overflow {
            Overflow::Disconnect => None,
            Overflow::DropOldest => Some(Mailbox::drop_oldest(topic, wording, most, level)),
            Overflow::Latest => Some(Mailbox::latest(topic, wording, most, level)),
        }
    }

    /// Says that there is something in a mailbox.
    ///
    /// # Errors
    /// [`Undelivered::Gone`].
    pub fn announce(&mut self, mailbox: &Arc<Mailbox>) -> Result<(), Undelivered> {
        self.send(Delivery::Mailbox(mailbox.clone()), Charge::default())
    }

    /// Says that a feed is due something.
    ///
    /// # Errors
    /// [`Undelivered::Gone`].
    pub fn announce_feed(&mut self, feed: &Arc<Feed>) -> Result<(), Undelivered> {
        self.send(Delivery::Feed(feed.clone()), Charge::default())
    }

    /// What says of a feed that it is due something, from another thread; `None` where the
    /// connection is gone.
    pub(in crate::broker) fn bell(&mut self) -> Option<Arc<Bell>> {
        let Outbox { link, level, calls, bell, .. } = self;
        if bell.is_none() {
            let sender = link.sender()?;
            *bell = Some(Arc::new(Bell::new(sender, level.clone(), calls.clone())));
        }
        bell.clone()
    }

    /// Adds live messages; says whether the connection has published them itself, and of which
    /// group it was chosen for them.
    ///
    /// # Errors
    /// [`Undelivered`] if they do not fit, or the connection is gone; they were not added.
    pub fn deliver(
        &mut self,
        batch: &Arc<Batch>,
        (dialect, is_own, chosen): (Dialect, bool, Option<Arc<Chosen>>),
        selection: Selection,
        messages: usize,
    ) -> Result<(), Undelivered> {
        let charge = Charge::delivery(messages, batch.weight(), &selection);
        if let Err((messages, bytes)) =
            self.level.try_add(charge, (self.limits.messages, self.limits.bytes))
        {
            return Err(Undelivered::Full(Full { messages, bytes }));
        }
        let batch = batch.clone();
        self.send(Delivery::Messages { batch, dialect, is_own, selection, chosen }, charge)
    }

    /// Whether so many messages of a batch of so many bytes would fit.
    pub fn has_room(&self, messages: usize, bytes: usize) -> bool {
        let (waiting, waiting_bytes) = self.level();
        waiting == 0
            || waiting + messages <= self.limits.messages
                && waiting_bytes + bytes <= self.limits.bytes
    }

    /// Adds an answer, or the snapshot that a subscription begins with. They do not count as
    /// messages of the queue, and one always fits, however long it is; but a client that goes on
    /// asking and does not read is bounded as well.
    ///
    /// # Errors
    /// [`Undelivered`] if 65,536 answers wait already, or as many bytes of answers as the queue may
    /// have of messages, or more than the broker's memory allows one connection, or if the
    /// connection is gone.
    pub fn answer(&mut self, delivery: Delivery) -> Result<(), Undelivered> {
        let (messages, bytes) = self.level.answers();
        let waiting = Full { messages, bytes };
        if waiting.messages >= MAX_ANSWERS || waiting.bytes >= self.limits.bytes {
            return Err(Undelivered::Full(waiting));
        }
        let charge = Charge::answer(delivery.weight());
        if !self.level.try_answer(charge) {
            // A long answer may be done without.
            let is_long = delivery.weight() > FLOOR;
            return Err(if is_long { Undelivered::NoMemory } else { Undelivered::Full(waiting) });
        }
        self.send(delivery, charge)
    }

    /// Ends with something that the connection gets instead of what is waiting, which is to be
    /// discarded.
    pub fn overflow(self, last: Delivery) -> Discarded {
        self.level.overflow(last);
        Discarded { waiting: self.link.receiver(), mailbox: None, level: self.level.clone() }
    }

    /// Messages and bytes that are waiting.
    pub fn level(&self) -> (usize, usize) {
        (self.level.messages(), self.level.bytes())
    }

    /// Whether the writer has ended, so that nothing that is added is ever written.
    pub fn is_left(&self) -> bool {
        self.level.is_left()
    }

    /// Deliveries that the writer was done with, so far.
    pub fn written(&self) -> usize {
        self.level.written()
    }

    /// Bytes of those that others may share.
    pub fn shared_bytes(&self) -> usize {
        self.level.shared_bytes()
    }

    /// Bytes of memory that wait for this connection alone, beyond the few that each may have.
    pub fn own_bytes(&self) -> usize {
        self.level.own_bytes()
    }

    fn send(&mut self, delivery: Delivery, charge: Charge) -> Result<(), Undelivered> {
        if self.level.is_left() {
            return Err(Undelivered::Gone);
        }
        let is_new = self.link.send((delivery.into(), charge));
        if self.level.call(self.calls.as_ref()) && self.link.has_channel() || is_new {
            self.note();
        }
        Ok(())
    }
}

/// The end of an outbox is something that its writer has to see as well.
impl Drop for Outbox {
    fn drop(&mut self) {
        if let Some(bell) = &self.bell {
            bell.end();
        }
        self.link.close();
        self.level.close();
        self.level.call(self.calls.as_ref());
    }
}

impl Discarded {
    /// Lets go of at most about so many deliveries and messages. Returns how many of them are left
    /// of `most`.
    pub fn let_go(&mut self, mut most: usize) -> usize {
        while most > 0 {
            if let Some(mailbox) = &self.mailbox {
                most = mailbox.close_some(most);
                if most == 0 {
                    break;
                }
            }
            self.mailbox = match self.waiting.try_recv() {
                Ok((delivery, charge)) => {
                    self.level.give_back(charge);
                    if let Parcel::Mailbox(mailbox) = delivery { Some(mailbox) } else { None }
                }
                Err(_) => break,
            };
            most -= 1;
        }
        most
    }
}

impl Inbox {
    /// The same inbox for a writer that may end before what it is to write does: what waits stays.
    #[must_use]
    pub fn lend(&self) -> Inbox {
        let (link, level) = (self.link.lend(), self.level.clone());
        Inbox { link, level, wait: SpinWait::default(), is_lent: true }
    }

    /// What says whether the connection was cut off.
    pub fn fate(&self) -> Fate {
        Fate(self.level.clone())
    }

    /// Deliveries that wait.
    pub fn waiting(&self) -> usize {
        self.link.len()
    }

    /// Waits for the next delivery; `None` when there will be none.
    pub fn wait(&mut self) -> Option<(Delivery, Charge)> {
        loop {
            let Ok(next) = self.wait.recv(self.link.channel()) else { return self.last() };
            if let Some(next) = self.unless_discarded(next) {
                return Some(next);
            }
        }
    }

    /// Waits for the next delivery until `deadline`.
    ///
    /// # Errors
    /// `Empty` if none came, `Disconnected` when there will be none.
    pub fn wait_until(&mut self, deadline: Instant) -> Result<(Delivery, Charge), TryRecvError> {
        loop {
            let next = match self.wait.recv_until(self.link.channel(), deadline) {
                Err(TryRecvError::Disconnected) => {
                    return self.last().ok_or(TryRecvError::Disconnected);
                }
                next => next?,
            };
            if let Some(next) = self.unless_discarded(next) {
                return Ok(next);
            }
        }
    }

    /// The next delivery, though the outbox may have overflowed: it is for somebody else.
    pub(in crate::broker) fn take(&self) -> Option<(Delivery, Charge)> {
        self.link.try_recv().ok().map(|(parcel, charge)| (parcel.into(), charge))
    }

    /// The next delivery, if one is there.
    pub fn next_waiting(&self) -> Option<(Delivery, Charge)> {
        self.look().ok()
    }

    /// The next delivery.
    ///
    /// # Errors
    /// `Empty` if there is none, `Disconnected` when there will be none.
    pub fn look(&self) -> Result<(Delivery, Charge), TryRecvError> {
        loop {
            let next = match self.link.try_recv() {
                Err(TryRecvError::Disconnected) => {
                    return self.last().ok_or(TryRecvError::Disconnected);
                }
                next => next?,
            };
            if let Some(next) = self.unless_discarded(next) {
                return Ok(next);
            }
        }
    }

    /// Begins to write without a thread that waits: what comes from now on is known at the end of
    /// the turn.
    pub fn begin_turn(&self) {
        self.level.turn().begin();
    }

    /// Ends a turn. Returns false if something came since it began; then the turn goes on, and
    /// something may be there that was not seen. Otherwise whatever comes next calls for a writer.
    pub fn end_turn(&mut self) -> bool {
        let rests = self.level.turn().end();
        if rests {
            self.link.rest();
        }
        rests
    }

    /// Says that a thread waits from now on, or will: the calls end.
    pub fn keep_turn(&self) {
        self.level.turn().keep();
    }

    /// Says that what was taken out of a mailbox is gathered for a write, and needs no memory of
    /// its own any more. Returns what is to be given back when it is written.
    pub fn gathered(&self, charge: Charge) -> Charge {
        self.level.gathered(charge)
    }

    /// Says that a delivery was written, or will never be.
    pub fn written(&self, charge: Charge) {
        self.level.give_back_written(charge);
    }

    /// Whether the outbox overflowed, so that what was taken from it is not worth writing any more.
    pub fn is_overflowed(&self) -> bool {
        self.level.is_overflowed()
    }

    /// Whether the dispatcher has let go of the connection, so that nothing more will come.
    pub fn is_closed(&self) -> bool {
        self.level.is_closed()
    }

    /// What there is to write instead of what was discarded, once nothing else waits.
    fn last(&self) -> Option<(Delivery, Charge)> {
        self.level.take_last().map(|last| (last, Charge::default()))
    }

    fn unless_discarded(&self, (parcel, charge): (Parcel, Charge)) -> Option<(Delivery, Charge)> {
        if self.is_overflowed() {
            self.written(charge);
            return None;
        }
        Some((parcel.into(), charge))
    }
}

/// A writer that has ended is not waited for to take what is left.
impl Drop for Inbox {
    fn drop(&mut self) {
        if self.is_lent {
            return;
        }
        self.level.leave();
        while let Ok((_, charge)) = self.link.try_recv() {
            self.level.give_back_written(charge);
        }
    }
}
