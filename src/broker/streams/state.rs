//! How far a stream's threads are: what the dispatcher, sessions and writers may know of them.

#[cfg(all(test, shuttle))]
mod model;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::log::Damage;
use super::ops::Ops;
use crate::broker::shared::SharedStatus;
use crate::broker::sync::{AtomicU8, AtomicU64, AtomicUsize, Condvar, Mutex};
use crate::protocol::{ErrorCode, Refusal};

/// Bytes of messages that may wait for the disk of one stream before its publishers wait too.
const QUEUED: usize = if cfg!(shuttle) { 200 } else { 16 << 20 };
/// Of messages that were given up so many are remembered at most, the last.
const GIVEN_UP: usize = 64 << 10;

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
    /// Where it stands between brokers and not on a disk of this one.
    shared: Option<SharedStatus>,
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
    /// Those of them that never will be, of those that were last.
    given_up: BTreeMap<u64, GivenUp>,
    /// The last of those that are not remembered.
    forgotten: u64,
    /// How often something could not be written.
    tries: u64,
    /// Bytes of messages that wait to be written.
    queued: usize,
    /// How many messages they are.
    unwritten: u64,
    /// Its threads have ended.
    is_over: bool,
}

/// What is known of what was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivenUp {
    /// It was not begun.
    Refused,
    /// It may be there or not.
    Doubtful,
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

    /// The state of topics that brokers share.
    pub(in crate::broker) fn of_shared(name: Arc<str>) -> StreamState {
        StreamState { shared: Some(SharedStatus::default()), ..StreamState::new(name) }
    }

    pub(in crate::broker) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How it stands with the backbone, if it is a stream of that.
    pub(in crate::broker) fn shared(&self) -> Option<&SharedStatus> {
        self.shared.as_ref()
    }

    /// Whether it takes messages.
    pub(in crate::broker) fn condition(&self) -> Condition {
        match self.condition.load(Ordering::Relaxed) {
            0 => Condition::Open,
            1 => Condition::Full,
            _ => Condition::Failing,
        }
    }

    pub(in crate::broker) fn set_condition(&self, condition: Condition) {
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

    pub(in crate::broker) fn set_consumers(&self, consumers: usize) {
        self.consumers.store(consumers, Ordering::Relaxed);
    }

    /// Says that a consumer was given messages that cannot be read.
    pub(super) fn report_damage(&self, consumer: Arc<str>, damage: Damage) {
        self.damages.lock().push((consumer, damage));
    }

    pub(in crate::broker) fn take_damages(&self) -> Vec<(Arc<str>, Damage)> {
        std::mem::take(&mut *self.damages.lock())
    }

    /// Says that so many bytes of messages wait, and how many these are.
    pub(in crate::broker) fn queue(&self, bytes: usize, messages: u64) {
        let mut ends = self.ends.lock();
        ends.queued += bytes;
        ends.unwritten += messages;
    }

    /// Says that so many bytes of messages wait no more.
    pub(in crate::broker) fn take_off(&self, bytes: usize, messages: u64) {
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

    /// Says how far the backbone has confirmed messages, and everything else.
    pub(in crate::broker) fn confirm(&self, messages: u64, rest: u64) {
        let mut ends = self.ends.lock();
        ends.messages.durable = ends.messages.durable.max(messages);
        ends.notes.durable = ends.notes.durable.max(rest);
        ends.written = ends.written.max(messages.min(rest));
        self.notify_all();
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
    pub(in crate::broker) fn fail(&self, op: u64, reason: &str) {
        let mut ends = self.ends.lock();
        ends.failed = ends.failed.max(op);
        ends.tries += 1;
        reason.clone_into(&mut ends.reason);
        self.notify_all();
    }

    /// Says that what was handed over as `op` will never be written; then it may be said that what
    /// is behind it is.
    pub(in crate::broker) fn give_up(&self, op: u64, reason: &str) {
        self.give_up_as(op, GivenUp::Doubtful, reason);
    }

    /// The same of what was not even begun.
    pub(in crate::broker) fn refuse(&self, op: u64, reason: &str) {
        self.give_up_as(op, GivenUp::Refused, reason);
    }

    fn give_up_as(&self, op: u64, how: GivenUp, reason: &str) {
        let mut ends = self.ends.lock();
        ends.given_up.insert(op, how);
        if ends.given_up.len() > GIVEN_UP
            && let Some((first, _)) = ends.given_up.pop_first()
        {
            ends.forgotten = ends.forgotten.max(first);
        }
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
    pub(in crate::broker) fn end(&self) {
        let mut ends = self.ends.lock();
        ends.is_over = true;
        if ends.reason.is_empty() {
            "the stream was removed, or the broker is stopping".clone_into(&mut ends.reason);
        }
        self.notify_all();
    }

    /// How many messages wait to be written, and what is wrong with the disk, if anything was.
    pub(in crate::broker) fn unwritten(&self) -> (u64, String) {
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

/// The ticket that an answer waits for: that a stream has written what was handed over between two
/// moments, and what came before.
#[derive(Clone, Debug)]
pub(in crate::broker) struct StreamTicket {
    state: Arc<StreamState>,
    ops: Ops,
    reach: Reach,
}

impl StreamTicket {
    /// A ticket for what was handed over as these, of which nothing may have been given up.
    pub(in crate::broker) fn new(state: Arc<StreamState>, ops: Ops, reach: Reach) -> StreamTicket {
        StreamTicket { state, ops, reach }
    }

    fn end(&self, ends: &Ends) -> Option<bool> {
        let op = self.ops.last();
        if self.lacks(ends).is_some() {
            return Some(false);
        }
        let done = match self.reach {
            Reach::Written => ends.written,
            Reach::Messages => ends.messages.durable,
            Reach::All => ends.messages.durable.min(ends.notes.durable),
        };
        match () {
            () if done >= op => Some(true),
            () if ends.failed >= op || ends.is_over => Some(false),
            () => None,
        }
    }

    /// Whether there is nothing to wait for any more.
    pub(in crate::broker) fn is_ready(&self) -> bool {
        self.end(&self.state.ends.lock()).is_some()
    }

    /// What is known of what was given up of it, the worst.
    fn lacks(&self, ends: &Ends) -> Option<GivenUp> {
        // Of what is not remembered, any may have been.
        if self.ops.first() <= ends.forgotten {
            return Some(GivenUp::Doubtful);
        }
        if ends.given_up.is_empty() {
            return None;
        }
        let given_up = self.ops.ranges().flat_map(|ops| ends.given_up.range(ops));
        given_up.map(|(_, how)| *how).max_by_key(|how| *how == GivenUp::Doubtful)
    }

    /// Whether something of it was given up.
    pub(in crate::broker) fn is_given_up(&self) -> bool {
        self.lacks(&self.state.ends.lock()).is_some()
    }

    /// Whether it is where it is to be.
    pub(in crate::broker) fn is_done(&self) -> bool {
        self.end(&self.state.ends.lock()) == Some(true)
    }

    /// Waits for the stream.
    ///
    /// # Errors
    /// [`ErrorCode::StorageFailed`] where it could not be written;
    /// [`ErrorCode::BackboneUnavailable`] where the backbone has not confirmed it, which it still
    /// may; and [`ErrorCode::Disconnected`] where it never will: a client whose connection ends
    /// knows that what it was not told is in doubt, and publishes it again.
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
        let (name, reason) = (&self.state.name, &ends.reason);
        let lacks = self.lacks(&ends);
        Err(if lacks == Some(GivenUp::Doubtful) {
            let reason = format!(
                "of what was published before, some is not in the shared stream {name}, or not \
                 known to be: {reason}; connect again, and publish what was not confirmed, with an \
                 \"id\" so that it is there once"
            );
            Refusal::new(ErrorCode::Disconnected, reason)
        } else if lacks.is_some() {
            let reason = format!("of what was asked before, some is refused: {reason}");
            Refusal::new(ErrorCode::BackboneUnavailable, reason)
        } else if self.state.shared.is_some() {
            let reason = format!(
                "what was published before is not known to be in the shared stream {name} yet, \
                 and is tried until it is: {reason}"
            );
            Refusal::new(ErrorCode::BackboneUnavailable, reason)
        } else {
            let reason = format!(
                "what was published before is not in the stream {name} yet, and lost for its \
                 consumers if the broker stops now: {reason}"
            );
            Refusal::new(ErrorCode::StorageFailed, reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: News = News { messages: false, notes: false };
    const MESSAGES: News = News { messages: true, notes: false };
    const NOTES: News = News { messages: false, notes: true };

    fn ticket(state: &Arc<StreamState>, op: u64, reach: Reach) -> StreamTicket {
        StreamTicket::new(state.clone(), (op..=op).into(), reach)
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
    fn what_was_given_up_is_confirmed_to_nobody_who_handed_it_over() {
        let state = Arc::new(StreamState::of_shared("orders".into()));
        let ticket = |ops: std::ops::RangeInclusive<u64>| {
            StreamTicket::new(state.clone(), ops.into(), Reach::Written)
        };
        let waiting = ticket(1..=3);
        assert!(!waiting.is_ready());
        state.give_up(2, "the stream is full");
        let refusal = waiting.wait().unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Disconnected);
        assert!(refusal.reason.contains("the stream is full"), "{refusal}");
        state.wrote(3, NOTHING);
        assert!(ticket(1..=3).wait().is_err(), "what came behind it is written all the same");
        assert!(ticket(3..=3).wait().is_ok() && ticket(1..=1).wait().is_ok());
        // So many that the first is not remembered.
        (4..).take(GIVEN_UP).for_each(|op| state.give_up(op, "the stream is full"));
        state.wrote(GIVEN_UP as u64 + 9, NOTHING);
        assert!(ticket(1..=3).wait().is_err() && ticket(2..=2).wait().is_err());
        let last = GIVEN_UP as u64 + 9;
        assert!(ticket(last..=last).wait().is_ok());
    }

    #[test]
    fn what_was_not_begun_ends_nothing_and_what_others_have_handed_over_is_theirs() {
        let state = Arc::new(StreamState::of_shared("orders".into()));
        state.refuse(2, "it is down");
        state.give_up(4, "the stream is full");
        state.wrote(9, NOTHING);
        let code = |ops: Ops| {
            let ticket = StreamTicket::new(state.clone(), ops, Reach::Written);
            ticket.wait().map_err(|refusal| refusal.code)
        };
        assert_eq!(code((1..=2).into()), Err(ErrorCode::BackboneUnavailable));
        assert_eq!(code((1..=4).into()), Err(ErrorCode::Disconnected));
        let mut between = Ops::from(1..=1);
        [3, 5, 6].into_iter().for_each(|op| between.add(&(op..=op).into()));
        assert_eq!(code(between), Ok(()));
    }

    #[test]
    fn what_is_shared_is_confirmed_without_what_consumers_say() {
        let state = Arc::new(StreamState::of_shared("orders".into()));
        let is_done = |op, reach| ticket(&state, op, reach).is_done();
        state.confirm(5, 2);
        assert!(is_done(5, Reach::Messages) && !is_done(6, Reach::Messages));
        assert!(is_done(2, Reach::All) && !is_done(3, Reach::All));
        state.confirm(5, 7);
        assert!(is_done(5, Reach::All) && !is_done(6, Reach::All), "messages before it count");
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
