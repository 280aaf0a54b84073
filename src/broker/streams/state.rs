//! How far a stream's threads are: what the dispatcher, sessions and writers may know of them.

#[cfg(all(test, shuttle))]
mod model;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::log::Damage;
use crate::broker::sync::{AtomicU8, AtomicU64, AtomicUsize, Condvar, Mutex};
use crate::protocol::{ErrorCode, Refusal};

/// Bytes of messages that may wait for the disk of one stream before its publishers wait too.
const QUEUED: usize = if cfg!(shuttle) { 200 } else { 16 << 20 };

/// Whether a stream takes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Condition {
    /// It does.
    Open,
    /// It is as full as it may be, and drops nothing.
    Full,
    /// Its disk cannot be written to.
    Failing,
}

/// What a stream's threads have done of what the dispatcher has handed over. Each thing that was
/// handed over has a number, its place in the order.
#[derive(Debug, Default)]
pub(in crate::broker) struct StreamState {
    name: Arc<str>,
    ends: Mutex<Ends>,
    /// Notified when there is more room, something more is written, or on the disk.
    room: Condvar,
    written: Condvar,
    durable: Condvar,
    condition: AtomicU8,
    /// The number of the first message that consumers may not have yet.
    readable: AtomicU64,
    consumers: AtomicUsize,
    /// What members of consumers were given and cannot be read, until the stream's thread looks.
    damages: Mutex<Vec<(Arc<str>, Damage)>>,
}

#[derive(Debug, Default)]
struct Ends {
    /// The last that is written, and outlives the process.
    written: u64,
    /// How far messages are on the disk.
    messages: Safe,
    /// How far everything else is: what consumers have said, and what was deleted.
    notes: Safe,
    /// The last that could not be written when it was tried.
    failed: u64,
    reason: String,
    /// How often something could not be written.
    tries: u64,
    /// Bytes of messages that wait to be written.
    queued: usize,
    /// How many messages they are.
    unwritten: u64,
    /// Its threads have ended.
    is_over: bool,
}

/// How far one kind of what is written is on the disk.
#[derive(Debug, Default)]
struct Safe {
    /// The last that is.
    durable: u64,
    /// The last with which something of the kind was written.
    news: u64,
}

impl Safe {
    /// Notes that everything up to `op` is written, and whether something of the kind was.
    fn wrote(&mut self, op: u64, is_news: bool) {
        if is_news {
            self.news = self.news.max(op);
        }
        // What wrote nothing is on the disk with what came before.
        if self.durable >= self.news {
            self.durable = self.durable.max(op);
        }
    }

    fn synced(&mut self, op: u64, written: u64) {
        self.durable = self.durable.max(op);
        self.wrote(written, false);
    }
}

/// What was written since this was last said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) messages: bool,
    /// Anything else.
    pub(super) notes: bool,
}

impl StreamState {
    pub(in crate::broker) fn new(name: Arc<str>) -> StreamState {
        StreamState { name, ..StreamState::default() }
    }

    pub(in crate::broker) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it takes messages.
    pub(in crate::broker) fn condition(&self) -> Condition {
        match self.condition.load(Ordering::Relaxed) {
            0 => Condition::Open,
            1 => Condition::Full,
            _ => Condition::Failing,
        }
    }

    pub(super) fn set_condition(&self, condition: Condition) {
        self.condition.store(condition as u8, Ordering::Relaxed);
    }

    /// The number of the first message that may not be delivered yet.
    pub(in crate::broker) fn readable(&self) -> u64 {
        self.readable.load(Ordering::Acquire)
    }

    /// Says that what is before a message may be delivered. It stays so: two threads wait for the
    /// disk, and the word of one may come behind that of the other.
    pub(super) fn set_readable(&self, seq: u64) {
        self.readable.fetch_max(seq, Ordering::AcqRel);
    }

    /// How many consumers it has.
    pub(in crate::broker) fn consumers(&self) -> usize {
        self.consumers.load(Ordering::Relaxed)
    }

    pub(super) fn set_consumers(&self, consumers: usize) {
        self.consumers.store(consumers, Ordering::Relaxed);
    }

    /// Says that a consumer was given messages that cannot be read.
    pub(super) fn report_damage(&self, consumer: Arc<str>, damage: Damage) {
        self.damages.lock().push((consumer, damage));
    }

    pub(super) fn take_damages(&self) -> Vec<(Arc<str>, Damage)> {
        std::mem::take(&mut *self.damages.lock())
    }

    /// Says that so many bytes of messages wait, and how many these are.
    pub(in crate::broker) fn queue(&self, bytes: usize, messages: u64) {
        let mut ends = self.ends.lock();
        ends.queued += bytes;
        ends.unwritten += messages;
    }

    /// Says that so many bytes of messages wait no more.
    pub(super) fn take_off(&self, bytes: usize, messages: u64) {
        let mut ends = self.ends.lock();
        ends.queued = ends.queued.saturating_sub(bytes);
        ends.unwritten = ends.unwritten.saturating_sub(messages);
        self.room.notify_all();
    }

    /// Says that everything up to `op` is written, and what there was to be written.
    pub(super) fn wrote(&self, op: u64, news: News) {
        let mut ends = self.ends.lock();
        ends.written = ends.written.max(op);
        let written = ends.written;
        let before = (ends.messages.durable, ends.notes.durable);
        ends.messages.wrote(written, news.messages);
        ends.notes.wrote(written, news.notes);
        self.written.notify_all();
        // To be woken for nothing costs as much as anything else here.
        if before != (ends.messages.durable, ends.notes.durable) {
            self.durable.notify_all();
        }
    }

    /// Says that all messages up to `op` are on the disk.
    pub(super) fn synced_messages(&self, op: u64) {
        let mut ends = self.ends.lock();
        let written = ends.written;
        ends.messages.synced(op, written);
        self.durable.notify_all();
    }

    /// Says that everything up to `op` is on the disk.
    pub(super) fn synced(&self, op: u64) {
        let mut ends = self.ends.lock();
        let written = ends.written;
        ends.messages.synced(op, written);
        ends.notes.synced(op, written);
        self.durable.notify_all();
    }

    /// Says that what was handed over up to `op` could not be written.
    pub(super) fn fail(&self, op: u64, reason: &str) {
        let mut ends = self.ends.lock();
        ends.failed = ends.failed.max(op);
        ends.tries += 1;
        reason.clone_into(&mut ends.reason);
        self.notify_all();
    }

    fn notify_all(&self) {
        for changed in [&self.room, &self.written, &self.durable] {
            changed.notify_all();
        }
    }

    /// What is wrong with its disk, if its condition says so.
    pub(in crate::broker) fn reason(&self) -> String {
        self.ends.lock().reason.clone()
    }

    /// Says that nothing more will be written.
    pub(super) fn end(&self) {
        let mut ends = self.ends.lock();
        ends.is_over = true;
        if ends.reason.is_empty() {
            "the stream was removed, or the broker is stopping".clone_into(&mut ends.reason);
        }
        self.notify_all();
    }

    /// How many messages wait to be written, and what is wrong with the disk, if anything was.
    pub(super) fn unwritten(&self) -> (u64, String) {
        let ends = self.ends.lock();
        (ends.unwritten, ends.reason.clone())
    }

    /// A number that is another one whenever its threads have come on.
    pub(super) fn steps(&self) -> u64 {
        let ends = self.ends.lock();
        let durable = ends.messages.durable.wrapping_add(ends.notes.durable);
        ends.written.wrapping_add(durable).wrapping_add(ends.tries) + u64::from(ends.is_over)
    }

    /// Whether nothing will be written any more.
    pub(in crate::broker) fn is_over(&self) -> bool {
        self.ends.lock().is_over
    }

    /// Whether what a publisher sends next would wait for the disk.
    pub(in crate::broker) fn is_crowded(&self) -> bool {
        self.has_no_room(&self.ends.lock())
    }

    /// A publisher whose messages are refused does not wait: it has to be told.
    fn has_no_room(&self, ends: &Ends) -> bool {
        ends.queued > QUEUED && !ends.is_over && self.condition() != Condition::Failing
    }

    /// Waits until there is room for more messages, at most for a moment. Returns whether there is.
    pub(in crate::broker) fn wait_for_room(&self, moment: Duration) -> bool {
        let mut ends = self.ends.lock();
        if self.has_no_room(&ends) {
            self.room.wait_for(&mut ends, moment);
        }
        !self.has_no_room(&ends)
    }
}

/// Where something is to be before it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Reach {
    /// With the system, so that it outlives the process.
    Written,
    /// On the disk; what matters is messages.
    Messages,
    /// On the disk, whatever it is.
    All,
}

/// The ticket that an answer waits for: that a stream has written what was handed over up to some
/// moment.
#[derive(Clone, Debug)]
pub(in crate::broker) struct StreamTicket {
    state: Arc<StreamState>,
    op: u64,
    reach: Reach,
}

impl StreamTicket {
    pub(in crate::broker) fn new(state: Arc<StreamState>, op: u64, reach: Reach) -> StreamTicket {
        StreamTicket { state, op, reach }
    }

    fn end(&self, ends: &Ends) -> Option<bool> {
        let done = match self.reach {
            Reach::Written => ends.written,
            Reach::Messages => ends.messages.durable,
            Reach::All => ends.messages.durable.min(ends.notes.durable),
        };
        match () {
            () if done >= self.op => Some(true),
            () if ends.failed >= self.op || ends.is_over => Some(false),
            () => None,
        }
    }

    /// Whether there is nothing to wait for any more.
    pub(in crate::broker) fn is_ready(&self) -> bool {
        self.end(&self.state.ends.lock()).is_some()
    }

    /// Whether it is where it is to be.
    pub(in crate::broker) fn is_done(&self) -> bool {
        self.end(&self.state.ends.lock()) == Some(true)
    }

    /// Waits for the stream.
    ///
    /// # Errors
    /// [`ErrorCode::StorageFailed`] where it could not be written.
    pub(in crate::broker) fn wait(&self) -> Result<(), Refusal> {
        let state = &self.state;
        let changed = if self.reach == Reach::Written { &state.written } else { &state.durable };
        let mut ends = state.ends.lock();
        loop {
            match self.end(&ends) {
                Some(true) => return Ok(()),
                Some(false) => break,
                None => changed.wait(&mut ends),
            }
        }
        let reason = format!(
            "what was published before is not in the stream {} yet, and lost for its consumers if \
             the broker stops now: {}",
            self.state.name, ends.reason
        );
        Err(Refusal::new(ErrorCode::StorageFailed, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: News = News { messages: false, notes: false };
    const MESSAGES: News = News { messages: true, notes: false };
    const NOTES: News = News { messages: false, notes: true };

    fn ticket(state: &Arc<StreamState>, op: u64, reach: Reach) -> StreamTicket {
        StreamTicket::new(state.clone(), op, reach)
    }

    #[test]
    fn a_ticket_is_ready_when_what_it_waits_for_is_written_or_failed() {
        let state = Arc::new(StreamState::new("orders".into()));
        let (written, durable) = (ticket(&state, 2, Reach::Written), ticket(&state, 2, Reach::All));
        state.wrote(1, MESSAGES);
        assert!(!written.is_ready());
        state.wrote(2, MESSAGES);
        assert!(written.is_ready() && written.wait().is_ok() && !durable.is_ready());
        state.synced(2);
        assert!(durable.is_ready() && durable.wait().is_ok());
        state.fail(3, "no space left");
        let refusal = ticket(&state, 3, Reach::Written).wait().unwrap_err();
        assert_eq!(refusal.code, ErrorCode::StorageFailed);
        assert!(refusal.reason.contains("orders") && refusal.reason.contains("no space left"));
        state.wrote(3, MESSAGES);
        assert!(ticket(&state, 3, Reach::Written).wait().is_ok());
        assert!(!ticket(&state, 3, Reach::All).is_done());
        state.synced(3);
        state.wrote(4, NOTHING);
        assert!(ticket(&state, 4, Reach::All).wait().is_ok(), "there was nothing to be written");
        state.end();
        assert!(ticket(&state, 5, Reach::All).wait().is_err());
    }

    #[test]
    fn messages_are_confirmed_without_the_notes_and_notes_not_without_the_messages() {
        let state = Arc::new(StreamState::new("orders".into()));
        let is_done = |op, reach| ticket(&state, op, reach).is_done();
        state.wrote(1, MESSAGES);
        state.wrote(2, NOTES);
        assert!(!is_done(1, Reach::Messages) && !is_done(2, Reach::All));
        state.synced_messages(2);
        assert!(is_done(1, Reach::Messages) && is_done(2, Reach::Messages));
        assert!(is_done(1, Reach::All), "it wrote no notes");
        assert!(!is_done(2, Reach::All));
        state.wrote(3, NOTHING);
        assert!(is_done(3, Reach::Messages), "there is no message in it");
        assert!(!is_done(3, Reach::All), "the notes before it count");
        state.wrote(4, MESSAGES);
        state.synced(3);
        assert!(is_done(3, Reach::All) && !is_done(4, Reach::All) && !is_done(4, Reach::Messages));
        state.synced_messages(4);
        assert!(is_done(4, Reach::All), "all notes are on the disk already");
    }

    #[test]
    fn what_was_readable_stays_so_when_an_older_word_comes_late() {
        let state = StreamState::new("orders".into());
        state.set_readable(5);
        state.set_readable(3);
        assert_eq!(state.readable(), 5);
    }

    #[test]
    fn who_publishes_waits_while_too_much_waits_for_the_disk() {
        let state = StreamState::new("orders".into());
        state.queue(QUEUED, 1);
        assert!(!state.is_crowded());
        state.queue(1, 1);
        assert!(state.is_crowded() && !state.wait_for_room(Duration::ZERO));
        state.take_off(1, 1);
        assert!(!state.is_crowded() && state.wait_for_room(Duration::ZERO));
        state.queue(1, 1);
        state.set_condition(Condition::Failing);
        assert!(!state.is_crowded(), "what is refused does not wait");
        state.set_condition(Condition::Open);
        assert!(state.is_crowded());
        state.end();
        assert!(!state.is_crowded(), "nothing waits for a stream that has ended");
    }
}
