//! The bounded way to one connection, and what happens when it is full.
//!
//! The dispatcher holds the [`Outbox`], the connection's writer the [`Inbox`]. Deliveries travel in a channel; how
//! much is in it is counted beside it, because the bounds are in messages and bytes and not in deliveries.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::backup::BackupMade;
use super::event::ClientId;
use super::mailbox::Mailbox;
use super::progress::Ticket;
use super::report::Report;
use super::stored::Stored;
#[cfg(not(shuttle))]
use super::sync::Instant;
use super::sync::{AtomicBool, AtomicUsize, Receiver, Sender, TryRecvError, unbounded};
use super::turn::Turn;
use super::wait::Wait;
use crate::codec::{Account, Batch, Claim, Dialect, Share};
use crate::protocol::{
    DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_MESSAGES, Format, Id, Overflow, Reply, TopicFilter,
};

/// How much may wait in one outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Messages. Default 262,144.
    pub messages: usize,
    /// Bytes of memory that the waiting messages keep alive. Default 64 MiB, as in NATS.
    ///
    /// A batch that is shared with other subscribers counts in full for each of them, and counts in full even for
    /// one message of it, so this is never less than the truth.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> QueueLimits {
        QueueLimits { messages: DEFAULT_QUEUE_MESSAGES, bytes: DEFAULT_QUEUE_BYTES }
    }
}

/// Something for a writer to write.
#[derive(Debug)]
pub enum Delivery {
    /// Messages of a batch.
    Messages {
        /// Shared with every other subscriber.
        batch: Arc<Batch>,
        /// How to write them.
        dialect: Dialect,
        /// Which of them.
        selection: Selection,
    },
    /// There are messages for a subscription that can lose some.
    Mailbox(Arc<Mailbox>),
    /// The stored values that a subscription begins with.
    Snapshot {
        /// In the order in which they were published.
        values: Vec<Stored>,
        /// How to write them.
        dialect: Dialect,
    },
    /// The same where they are many. A `subscribed` follows, with their number.
    Walk {
        /// The dispatcher holds the other end, and drops it when there are no more.
        pieces: Receiver<Piece>,
        /// The subscription.
        topic: TopicFilter,
        /// How to write them.
        dialect: Dialect,
    },
    /// The answer to a `list` of many topics, to be sorted.
    Topics {
        /// The values that the topics hold; the dispatcher holds the other end, and drops it when there are no more.
        pieces: Receiver<Piece>,
        /// How to write it.
        format: Format,
    },
    /// The answer to a `get` of a topic that holds a value.
    Value {
        /// The value.
        stored: Stored,
        /// How to write it.
        dialect: Dialect,
    },
    /// An answer that says that everything before it is on the disk; it waits there, and what is behind it with it.
    Durable {
        /// What to wait for.
        ticket: Ticket,
        /// What to say then.
        reply: Reply,
        /// How to write it.
        format: Format,
    },
    /// The answer to a `backup`, when there is one; what is behind it waits with it.
    Backup {
        /// The name of the file, or why there is none.
        made: BackupMade,
        /// How to write it.
        format: Format,
    },
    /// The answer to a `stats`; the writer adds what it knows.
    Report {
        /// What the dispatcher knows.
        report: Box<Report>,
        /// How to write it.
        format: Format,
    },
    /// Anything else.
    Reply {
        /// What to say.
        reply: Reply,
        /// How to write it.
        format: Format,
    },
}

impl Delivery {
    /// About how many bytes of memory an answer keeps alive.
    fn weight(&self) -> usize {
        const SMALL: usize = 256;
        const WALK: usize = 2_048;
        /// Bytes of one of many beyond its text.
        const EACH: usize = 64;
        match self {
            Delivery::Snapshot { values, .. } => {
                SMALL + values.iter().map(|stored| EACH + stored.weight()).sum::<usize>()
            }
            Delivery::Value { stored, .. } => SMALL + stored.weight(),
            Delivery::Durable { reply: Reply::Pong { id: Some(Id::Str(id)) }, .. }
            | Delivery::Reply { reply: Reply::Pong { id: Some(Id::Str(id)) }, .. } => SMALL + id.len(),
            Delivery::Reply { reply: Reply::Topics { topics }, .. } => {
                SMALL + topics.iter().map(|topic| EACH + topic.as_str().len()).sum::<usize>()
            }
            Delivery::Reply { reply: Reply::Error(refusal), .. } => SMALL + refusal.reason.len(),
            Delivery::Report { report, .. } => SMALL + report.weight(),
            Delivery::Walk { .. } | Delivery::Topics { .. } => WALK,
            Delivery::Durable { .. }
            | Delivery::Backup { .. }
            | Delivery::Reply { .. }
            | Delivery::Messages { .. }
            | Delivery::Mailbox(_) => SMALL,
        }
    }
}

impl Delivery {
    /// Whether writing it may mean waiting for something, or holds up others: many values, or an answer that is not known yet.
    pub fn may_take_time(&self) -> bool {
        /// Bytes of values that are written at once.
        const FEW: usize = 64 << 10;
        const SMALL: usize = 64;
        match self {
            Delivery::Walk { .. } | Delivery::Topics { .. } => true,
            Delivery::Durable { ticket, .. } => !ticket.is_ready(),
            Delivery::Backup { .. } => true,
            Delivery::Snapshot { values, .. } => {
                values.iter().map(|stored| SMALL + stored.weight()).sum::<usize>() > FEW
            }
            Delivery::Value { stored, .. } => stored.weight() > FEW,
            Delivery::Mailbox(mailbox) => mailbox.is_longer_than(64, FEW),
            Delivery::Messages { batch, .. } => batch.expands(),
            Delivery::Report { .. } | Delivery::Reply { .. } => false,
        }
    }
}

/// Some of many stored values, in the order in which they were published.
#[derive(Debug)]
pub struct Piece {
    /// The values.
    pub values: Vec<Stored>,
    /// Whether these are the last. Where there are no more pieces and none said so, the connection was cut off.
    pub last: bool,
    /// Memory that the values keep alive.
    pub(super) _claim: Claim,
    /// Dropped last, when the memory is given back.
    pub(super) _returned: Returned,
}

/// Tells the dispatcher that a piece was dropped.
#[derive(Debug)]
pub(super) struct Returned {
    line: u64,
    bytes: usize,
    to: Sender<(u64, usize)>,
}

impl Returned {
    pub(super) fn new(line: u64, bytes: usize, to: Sender<(u64, usize)>) -> Returned {
        Returned { line, bytes, to }
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        // The dispatcher may have ended; then nobody asks.
        let _ = self.to.send((self.line, self.bytes));
    }
}

/// Which messages of a batch one subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All that anybody wants in the dialect.
    Whole,
    /// These, ascending.
    Some(Box<[u32]>),
}

/// The dispatcher's end. Dropping it lets the writer finish what is waiting and end.
#[derive(Debug)]
pub struct Outbox {
    /// The writer holds the other end; when that is gone the connection is, and sending is without effect.
    sender: Option<Sender<(Delivery, Charge)>>,
    level: Arc<Level>,
    limits: QueueLimits,
    /// Whom to call when something waits that no thread waits for.
    calls: Option<(ClientId, Sender<ClientId>)>,
}

/// The writer's end.
#[derive(Debug)]
pub struct Inbox {
    /// The dispatcher holds the other end; when that is dropped, what is waiting is the last.
    receiver: Receiver<(Delivery, Charge)>,
    level: Arc<Level>,
    wait: Wait,
}

/// Answers that may wait for a client that asks and does not read.
const MAX_ANSWERS: usize = 65_536;
/// Bytes of answers that may wait for each connection, whatever others have.
const FLOOR: usize = 4 << 10;

/// What is waiting.
#[derive(Debug)]
pub(super) struct Level {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    answers: AtomicUsize,
    /// Of what may be used for answers; how much is held is how much waits.
    account: Account,
    /// The outbox overflowed: only the last delivery, which says so, is still worth writing.
    overflowed: AtomicBool,
    turn: Turn,
}

/// What one delivery adds to the level until it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Charge {
    messages: usize,
    bytes: usize,
    answers: usize,
    answer_bytes: usize,
}

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
    /// The writer has ended, and so has the connection. Its session says so as well, but when the dispatcher is behind
    /// that takes its time, and what is done for those who are gone would keep it behind.
    Gone,
}

/// A new outbox and its other end, which a thread waits for.
pub fn outbox(limits: QueueLimits) -> (Outbox, Inbox) {
    outbox_with(limits, Share::unlimited().account())
}

/// A new outbox whose answers are charged to an account.
pub fn outbox_with(limits: QueueLimits, account: Account) -> (Outbox, Inbox) {
    let (sender, receiver) = unbounded();
    let level = Arc::new(Level::new(account));
    (
        Outbox { sender: Some(sender), level: level.clone(), limits, calls: None },
        Inbox { receiver, level, wait: Wait::default() },
    )
}

impl Outbox {
    /// The same outbox, that calls for a writer while no thread waits: the client's number goes to `calls`.
    #[must_use]
    pub fn calling(mut self, client: ClientId, calls: Sender<ClientId>) -> Outbox {
        self.calls = Some((client, calls));
        self
    }

    /// Sets the bound on messages, as a subscriber may ask for one below `limits`.
    pub fn set_messages(&mut self, messages: usize) {
        self.limits.messages = messages;
    }

    /// The bounds of this outbox.
    pub fn limits(&self) -> QueueLimits {
        self.limits
    }

    /// A mailbox for a subscription that would rather lose messages than its connection; none for one that would not.
    pub fn mailbox(
        &self,
        overflow: Overflow,
        topic: TopicFilter,
        dialect: Dialect,
        messages: usize,
    ) -> Option<Mailbox> {
        // What may lose messages leaves room for what may not.
        let most = (messages, self.limits.bytes / 4 * 3);
        let level = self.level.clone();
        match overflow {
            Overflow::Disconnect => None,
            Overflow::DropOldest => Some(Mailbox::drop_oldest(topic, dialect, most, level)),
            Overflow::Latest => Some(Mailbox::latest(topic, dialect, most, level)),
        }
    }

    /// Says that there is something in a mailbox.
    ///
    /// # Errors
    /// [`Undelivered::Gone`].
    pub fn announce(&self, mailbox: &Arc<Mailbox>) -> Result<(), Undelivered> {
        self.send(Delivery::Mailbox(mailbox.clone()), Charge::default())
    }

    /// Adds live messages.
    ///
    /// # Errors
    /// [`Undelivered`] if they do not fit, or the connection is gone; they were not added.
    pub fn deliver(
        &self,
        batch: &Arc<Batch>,
        dialect: Dialect,
        selection: Selection,
        messages: usize,
    ) -> Result<(), Undelivered> {
        let charge = Charge { messages, bytes: batch.weight(), ..Charge::default() };
        let waiting = Full {
            messages: self.level.messages.fetch_add(charge.messages, Ordering::Relaxed),
            bytes: self.level.bytes.fetch_add(charge.bytes, Ordering::Relaxed),
        };
        // One delivery always fits an empty outbox, however large a single frame is.
        let fits = waiting.messages + charge.messages <= self.limits.messages
            && waiting.bytes + charge.bytes <= self.limits.bytes;
        if !fits && waiting.messages > 0 {
            self.level.give_back(charge);
            return Err(Undelivered::Full(waiting));
        }
        self.send(Delivery::Messages { batch: batch.clone(), dialect, selection }, charge)
    }

    /// Adds an answer, or the snapshot that a subscription begins with. They do not count as messages of the queue, and
    /// one always fits, however long it is; but a client that goes on asking and does not read is bounded as well.
    ///
    /// # Errors
    /// [`Undelivered`] if 65,536 answers wait already, or as many bytes of answers as the queue may have of messages, or
    /// more than the broker's memory allows one connection, or if the connection is gone.
    pub fn answer(&self, delivery: Delivery) -> Result<(), Undelivered> {
        let waiting =
            Full { messages: self.level.answers.load(Ordering::Relaxed), bytes: self.level.account.held() };
        if waiting.messages >= MAX_ANSWERS || waiting.bytes >= self.limits.bytes {
            return Err(Undelivered::Full(waiting));
        }
        let charge = Charge { answers: 1, answer_bytes: delivery.weight(), ..Charge::default() };
        if waiting.bytes + charge.answer_bytes <= FLOOR {
            self.level.account.take(charge.answer_bytes);
        } else if charge.answer_bytes > FLOOR {
            // What is long leaves room for what is short, such as that something long was refused.
            if !self.level.account.try_take_with_room(charge.answer_bytes) {
                return Err(Undelivered::NoMemory);
            }
        } else if !self.level.account.try_take(charge.answer_bytes) {
            return Err(Undelivered::Full(waiting));
        }
        self.level.answers.fetch_add(1, Ordering::Relaxed);
        self.send(delivery, charge)
    }

    /// Adds the last thing that the connection gets, and discards what is waiting before it.
    pub fn overflow(self, last: Delivery) {
        self.level.overflowed.store(true, Ordering::Release);
        // One that is gone need not be told.
        let _ = self.send(last, Charge::default());
    }

    /// Messages and bytes that are waiting.
    pub fn level(&self) -> (usize, usize) {
        (self.level.messages.load(Ordering::Relaxed), self.level.bytes.load(Ordering::Relaxed))
    }

    fn send(&self, delivery: Delivery, charge: Charge) -> Result<(), Undelivered> {
        let Some(sender) = &self.sender else { return Err(Undelivered::Gone) };
        sender.send((delivery, charge)).map_err(|_| Undelivered::Gone)?;
        self.call();
        Ok(())
    }

    fn call(&self) {
        if let Some((client, calls)) = &self.calls
            && self.level.turn.call()
        {
            // Whoever answers calls outlives every outbox.
            let _ = calls.send(*client);
        }
    }
}

/// The end of an outbox is something that its writer has to see as well.
impl Drop for Outbox {
    fn drop(&mut self) {
        self.sender = None;
        self.call();
    }
}

impl Charge {
    /// A charge of bytes alone.
    pub(super) fn bytes(bytes: usize) -> Charge {
        Charge { bytes, ..Charge::default() }
    }

    /// Both.
    #[must_use]
    pub(super) fn plus(self, other: Charge) -> Charge {
        Charge {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            answers: self.answers + other.answers,
            answer_bytes: self.answer_bytes + other.answer_bytes,
        }
    }
}

impl Level {
    pub(super) fn new(account: Account) -> Level {
        Level {
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            account,
            overflowed: AtomicBool::new(false),
            turn: Turn::default(),
        }
    }

    /// Bytes of messages that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, charge: Charge) {
        self.messages.fetch_add(charge.messages, Ordering::Relaxed);
        self.bytes.fetch_add(charge.bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, charge: Charge) {
        self.messages.fetch_sub(charge.messages, Ordering::Relaxed);
        self.bytes.fetch_sub(charge.bytes, Ordering::Relaxed);
        self.answers.fetch_sub(charge.answers, Ordering::Relaxed);
        self.account.give_back(charge.answer_bytes);
    }
}

/// What was not written when both ends are gone never will be.
impl Drop for Level {
    fn drop(&mut self) {
        self.account.give_back(self.account.held());
    }
}

impl Inbox {
    /// Waits for the next delivery; `None` when there will be none.
    pub fn wait(&mut self) -> Option<(Delivery, Charge)> {
        loop {
            let next = self.wait.recv(&self.receiver).ok()?;
            if let Some(next) = self.unless_discarded(next) {
                return Some(next);
            }
        }
    }

    /// Waits for the next delivery until `deadline`.
    ///
    /// # Errors
    /// `Empty` if none came, `Disconnected` when there will be none.
    #[cfg(not(shuttle))]
    pub fn wait_until(&mut self, deadline: Instant) -> Result<(Delivery, Charge), TryRecvError> {
        loop {
            let next = self.wait.recv_until(&self.receiver, deadline)?;
            if let Some(next) = self.unless_discarded(next) {
                return Ok(next);
            }
        }
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
            let next = self.receiver.try_recv()?;
            if let Some(next) = self.unless_discarded(next) {
                return Ok(next);
            }
        }
    }

    /// Begins to write without a thread that waits: what comes from now on is known at the end of the turn.
    pub fn begin_turn(&self) {
        self.level.turn.begin();
    }

    /// Ends a turn. Returns false if something came since it began; then the turn goes on, and something may be there that was
    /// not seen. Otherwise whatever comes next calls for a writer.
    pub fn end_turn(&self) -> bool {
        self.level.turn.end()
    }

    /// Says that a thread waits from now on, or will: nobody is called any more.
    pub fn keep_turn(&self) {
        self.level.turn.keep();
    }

    /// Says that a delivery was written, or will never be.
    pub fn written(&self, charge: Charge) {
        self.level.give_back(charge);
    }

    /// Whether the outbox overflowed, so that what was taken from it is not worth writing any more.
    pub fn is_overflowed(&self) -> bool {
        self.level.overflowed.load(Ordering::Acquire)
    }

    /// What counts as waiting: messages, bytes, answers, bytes of answers.
    #[cfg(all(test, shuttle))]
    pub(super) fn charged(&self) -> [usize; 4] {
        let Level { messages, bytes, answers, account, .. } = &*self.level;
        let [messages, bytes, answers] =
            [messages, bytes, answers].map(|count| count.load(Ordering::Relaxed));
        [messages, bytes, answers, account.held()]
    }

    fn unless_discarded(&self, next: (Delivery, Charge)) -> Option<(Delivery, Charge)> {
        let discard =
            self.is_overflowed() && !matches!(&next.0, Delivery::Reply { reply: Reply::Error(_), .. });
        if discard {
            self.written(next.1);
            return None;
        }
        Some(next)
    }
}
