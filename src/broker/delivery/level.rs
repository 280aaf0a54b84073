//! How much waits for one connection.
//!
//! The dispatcher adds to it, and the writer gives back what it has written. The bytes that wait
//! for a connection alone are also held of the broker's memory, beyond the few kilobytes that each
//! may have.

use std::sync::atomic::Ordering;

use crate::broker::client_id::ClientId;
use crate::broker::delivery::{Delivery, Selection};
use crate::broker::sync::{AtomicBool, AtomicUsize, Mutex, Sender, Wakeup};
use crate::codec::Account;

/// Bytes of answers, and of messages that wait for it alone, that each connection may have whatever
/// others have.
pub(in crate::broker) const FLOOR: usize = if cfg!(shuttle) { DELIVERY } else { 4 << 10 };
/// Bytes that a delivery of a shared batch takes of its own, about.
const DELIVERY: usize = 128;

/// What is waiting.
#[derive(Debug)]
pub(in crate::broker) struct Level {
    messages: AtomicUsize,
    /// Bytes that they keep alive, whoever else does.
    bytes: AtomicUsize,
    /// Bytes of memory that wait for this connection alone.
    own: AtomicUsize,
    /// What is held for them beyond [`FLOOR`].
    queue: Account,
    answers: AtomicUsize,
    /// Of what may be used for answers; how much is held is how much waits.
    account: Account,
    /// The outbox overflowed: what waits is not worth writing any more, only the last delivery,
    /// which says so.
    overflowed: AtomicBool,
    last: Mutex<Option<Box<Delivery>>>,
    /// Deliveries that the writer has written, or let go of.
    written: AtomicUsize,
    /// The writer has ended.
    left: AtomicBool,
    /// The dispatcher has let go of the connection: nothing more comes.
    closed: AtomicBool,
    turn: Wakeup,
}

/// The part of the level that one delivery is until it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Charge {
    // Each place of a channel has one, so both are short: a batch has fewer messages than bytes,
    // and those are bounded by the length of a read.
    messages: u32,
    answers: u32,
    bytes: usize,
    own: usize,
    answer_bytes: usize,
}

impl Charge {
    /// Messages of a shared batch of so many bytes, which a selection names that is not shared.
    pub(in crate::broker) fn delivery(
        messages: usize,
        bytes: usize,
        selection: &Selection,
    ) -> Charge {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        Charge { messages, bytes, own: DELIVERY + selection.weight(), ..Charge::default() }
    }

    /// The same in a mailbox, which counts messages itself.
    pub(in crate::broker) fn batch(bytes: usize, selection: &Selection) -> Charge {
        Charge::delivery(0, bytes, selection)
    }

    /// A message in a mailbox that stands by itself, and bytes of memory that it takes.
    pub(in crate::broker) fn copy(bytes: usize, own: usize) -> Charge {
        Charge { bytes, own, ..Charge::default() }
    }

    /// An answer.
    pub(in crate::broker) fn answer(answer_bytes: usize) -> Charge {
        Charge { answers: 1, answer_bytes, ..Charge::default() }
    }

    /// Bytes of memory that wait for this connection alone.
    pub(in crate::broker) fn own(&self) -> usize {
        self.own
    }

    /// The part that ends when a delivery was taken out of the queue, and the part that ends when
    /// it was written.
    fn parts(self) -> (Charge, Charge) {
        (Charge { own: self.own, ..Charge::default() }, Charge { own: 0, ..self })
    }

    /// Both.
    #[must_use]
    pub(in crate::broker) fn plus(self, other: Charge) -> Charge {
        Charge {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            own: self.own + other.own,
            answers: self.answers + other.answers,
            answer_bytes: self.answer_bytes + other.answer_bytes,
        }
    }
}

impl Level {
    pub(in crate::broker) fn new(account: Account, queue: Account) -> Level {
        Level {
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            own: AtomicUsize::new(0),
            queue,
            answers: AtomicUsize::new(0),
            account,
            overflowed: AtomicBool::new(false),
            last: Mutex::new(None),
            written: AtomicUsize::new(0),
            left: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            turn: Wakeup::default(),
        }
    }

    pub(in crate::broker) fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    /// Bytes of messages that wait.
    pub(in crate::broker) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of those that others may share.
    pub(in crate::broker) fn shared_bytes(&self) -> usize {
        self.bytes().saturating_sub(self.own.load(Ordering::Relaxed))
    }

    /// Bytes that wait for this connection alone, beyond the few that each may have.
    pub(in crate::broker) fn own_bytes(&self) -> usize {
        self.queue.held()
    }

    /// Whether these are more than is left for one connection.
    pub(in crate::broker) fn is_over(&self) -> bool {
        let held = self.queue.held();
        held > 0 && !self.queue.may_hold(held)
    }

    /// Answers that wait, and their bytes.
    pub(in crate::broker) fn answers(&self) -> (usize, usize) {
        (self.answers.load(Ordering::Relaxed), self.account.held())
    }

    /// Calls for a writer, if it rests. Returns whether it did.
    pub(in crate::broker) fn call(&self, calls: Option<&(ClientId, Sender<ClientId>)>) -> bool {
        let Some((client, calls)) = calls else { return false };
        let rested = self.turn().call();
        if rested {
            // The threads that answer calls outlive every outbox.
            let _ = calls.send(*client);
        }
        rested
    }

    pub(in crate::broker) fn turn(&self) -> &Wakeup {
        &self.turn
    }

    /// Adds messages of which room is made afterwards.
    pub(in crate::broker) fn add(&self, charge: Charge) {
        self.bytes.fetch_add(charge.bytes, Ordering::Relaxed);
        self.try_add_own(charge.own, |bytes| {
            self.queue.take(bytes);
            true
        });
    }

    /// Adds messages if they fit, or if nothing else waits: one delivery always fits, however large
    /// a single frame is.
    ///
    /// # Errors
    /// Messages and bytes that wait.
    pub(in crate::broker) fn try_add(
        &self,
        charge: Charge,
        most: (usize, usize),
    ) -> Result<(), (usize, usize)> {
        let more = charge.messages as usize;
        let messages = self.messages.fetch_add(more, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(charge.bytes, Ordering::Relaxed);
        let fits = messages + more <= most.0 && bytes + charge.bytes <= most.1;
        let take = |bytes| {
            if messages == 0 {
                self.queue.take(bytes);
            }
            messages == 0 || self.queue.try_take(bytes)
        };
        if (messages == 0 || fits) && self.try_add_own(charge.own, take) {
            return Ok(());
        }
        self.give_back(Charge { own: 0, ..charge });
        Err((messages, bytes))
    }

    /// Adds bytes of its own, for which `take` finds memory. There is one who adds, so there are
    /// never more than it has seen; and as a writer may give them back at once, the memory is taken
    /// before.
    fn try_add_own(&self, bytes: usize, take: impl FnOnce(usize) -> bool) -> bool {
        if self.own.load(Ordering::Relaxed) + bytes <= FLOOR {
            self.own.fetch_add(bytes, Ordering::Relaxed);
            return true;
        }
        if !take(bytes) {
            return false;
        }
        let before = self.own.fetch_add(bytes, Ordering::Relaxed);
        let held = held_of(before + bytes) - held_of(before);
        if held < bytes {
            self.queue.give_back(bytes - held);
        }
        true
    }

    /// Adds an answer, if there is memory for it.
    pub(in crate::broker) fn try_answer(&self, charge: Charge) -> bool {
        let bytes = charge.answer_bytes;
        let has_room = if self.account.held() + bytes <= FLOOR {
            self.account.take(bytes);
            true
        } else if bytes > FLOOR {
            // A long answer leaves room for short ones, such as that something long was refused.
            self.account.try_take_with_room(bytes)
        } else {
            self.account.try_take(bytes)
        };
        if has_room {
            self.answers.fetch_add(charge.answers as usize, Ordering::Relaxed);
        }
        has_room
    }

    /// The same when the writer is done with a delivery.
    pub(in crate::broker) fn give_back_written(&self, charge: Charge) {
        self.give_back(charge);
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    /// Deliveries that the writer was done with, so far.
    pub(in crate::broker) fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Gives back what ends when a delivery is gathered, and returns what ends when it is written.
    pub(in crate::broker) fn gathered(&self, charge: Charge) -> Charge {
        let (gathered, written) = charge.parts();
        self.give_back(gathered);
        written
    }

    pub(in crate::broker) fn give_back(&self, charge: Charge) {
        self.messages.fetch_sub(charge.messages as usize, Ordering::Relaxed);
        self.bytes.fetch_sub(charge.bytes, Ordering::Relaxed);
        if charge.own > 0 {
            let before = self.own.fetch_sub(charge.own, Ordering::Relaxed);
            let less = held_of(before) - held_of(before - charge.own);
            if less > 0 {
                self.queue.give_back(less);
            }
        }
        if charge.answers > 0 {
            self.answers.fetch_sub(charge.answers as usize, Ordering::Relaxed);
            self.account.give_back(charge.answer_bytes);
        }
    }

    /// Says that what waits is to be discarded, and what is written instead.
    pub(in crate::broker) fn overflow(&self, last: Delivery) {
        *self.last.lock() = Some(Box::new(last));
        self.overflowed.store(true, Ordering::Release);
    }

    pub(in crate::broker) fn is_overflowed(&self) -> bool {
        self.overflowed.load(Ordering::Acquire)
    }

    /// The refusal that is written instead of what was discarded, once.
    pub(in crate::broker) fn take_last(&self) -> Option<Delivery> {
        let last = if self.is_overflowed() { self.last.lock().take() } else { None };
        last.map(|last| *last)
    }

    /// Says that the writer has ended.
    pub(in crate::broker) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }

    pub(in crate::broker) fn is_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Says that nothing more comes.
    pub(in crate::broker) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(in crate::broker) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What counts as waiting: messages, bytes, answers, bytes of answers, bytes of its own and
    /// what is held for them.
    #[cfg(all(test, shuttle))]
    pub(in crate::broker) fn charged(&self) -> [usize; 5] {
        let [messages, bytes, answers, own] =
            [&self.messages, &self.bytes, &self.answers, &self.own]
                .map(|count| count.load(Ordering::Relaxed));
        [messages, bytes, answers, self.account.held(), own + self.queue.held()]
    }
}

/// What is held of the memory where so many bytes wait.
fn held_of(own: usize) -> usize {
    own.saturating_sub(FLOOR)
}

/// Deliveries that were not written when both ends are gone never will be.
impl Drop for Level {
    fn drop(&mut self) {
        self.account.give_back(self.account.held());
        self.queue.give_back(self.queue.held());
    }
}
