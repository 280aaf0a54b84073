//! What a writer reads from a stream: which messages are due to its client, and where they are.
//!
//! The stream's thread says which; the writer reads them from the log itself. So what is far behind
//! passes through neither the dispatcher nor the stream's thread.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use super::consumer::MemberId;
use super::log::{Cursor, Damage, LogReader};
use super::state::StreamState;
use crate::access::Grant;
use crate::broker::client_id::ClientId;
use crate::broker::client_report::{FeedReport, MemberReport};
use crate::broker::sync::{AtomicBool, AtomicU64, Mutex};
use crate::codec::{Dialect, KeptFields};
use crate::protocol::{Token, TopicFilter, TopicName};

/// Neighbouring messages that a client is due, each for the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// How often each has been delivered, with this time.
    pub attempt: u32,
}

/// Whom a feed tells that there is something in it for the stream's thread.
pub(in crate::broker) trait HearsAcks: Debug + Send + Sync {
    /// The client of a feed is done with messages.
    fn acked(&self, feed: &Arc<Feed>);
}

/// Whom a feed tells that there is something in it for its client's writer.
pub(in crate::broker) trait RingsWriter: Debug + Send + Sync {
    /// There is something in a feed. Returns whether its writer will know; where not, the
    /// dispatcher does.
    fn ring(&self, feed: &Arc<Feed>) -> bool;
}

/// Which messages of a stream one subscription is due.
#[derive(Debug)]
pub struct Feed {
    /// The connection.
    pub client: ClientId,
    /// The stream.
    pub stream: Arc<str>,
    /// The consumer that the client is a member of; `None` reads without acknowledgements.
    pub consumer: Option<Arc<str>>,
    /// The subscription.
    pub filter: TopicFilter,
    /// How they are written.
    pub dialect: Dialect,
    /// What a word that answers nothing brings back.
    pub token: Token,
    /// What the stream's thread knows it by.
    pub(super) member: MemberId,
    reader: Arc<dyn LogReader>,
    state: Arc<StreamState>,
    thread: Box<dyn HearsAcks>,
    /// What the client is done with, until the stream's thread takes it.
    acks: Mutex<Vec<u64>>,
    /// The straight way to the writer, once the dispatcher has told it of the feed.
    bell: OnceLock<Arc<dyn RingsWriter>>,
    /// Whether the writer knows that there is something.
    announced: AtomicBool,
    ended: AtomicBool,
    /// Whether it has ended because its consumer was removed.
    removed: AtomicBool,
    /// Messages that a member may have and not have settled, and those that it has, as its stream's
    /// thread said last.
    window: AtomicU64,
    outstanding: AtomicU64,
    /// Messages that its writer has written.
    delivered: AtomicU64,
    due: Mutex<Dues>,
}

#[derive(Debug)]
struct Dues {
    waiting: VecDeque<Due>,
    /// Where one that follows the stream reads next; it is due everything.
    follows: Option<u64>,
    /// The messages before that which `start: last` has chosen, ascending.
    chosen: VecDeque<u64>,
    /// What the client may see of one that follows, where that is not all.
    limit: Option<Grant>,
    place: Option<Box<Place>>,
    /// What its writer reads at the moment.
    taken: Option<Due>,
}

/// Where a writer reads a feed, and what it writes around each message.
#[derive(Debug)]
pub struct Place {
    /// In the log.
    pub cursor: Box<dyn Cursor>,
    /// What stands in a delivery beside topic and payload.
    pub fields: KeptFields,
    /// Messages that were written and are not counted yet.
    pub written: u64,
}

/// What a feed begins with.
#[derive(Debug)]
pub(in crate::broker) struct NewFeed {
    pub(in crate::broker) client: ClientId,
    pub(in crate::broker) member: MemberId,
    pub(in crate::broker) consumer: Option<Arc<str>>,
    pub(in crate::broker) filter: TopicFilter,
    pub(in crate::broker) dialect: Dialect,
    pub(in crate::broker) token: Token,
    /// What the client may see, where that is not all.
    pub(in crate::broker) limit: Option<Grant>,
    pub(in crate::broker) reader: Arc<dyn LogReader>,
    pub(in crate::broker) state: Arc<StreamState>,
    pub(in crate::broker) thread: Box<dyn HearsAcks>,
}

impl Feed {
    /// A feed that is due nothing yet.
    pub(in crate::broker) fn new(new: NewFeed) -> Feed {
        let NewFeed { client, member, consumer, filter, dialect, token, limit, .. } = new;
        let (reader, state, thread) = (new.reader, new.state, new.thread);
        Feed {
            client,
            stream: state.name().clone(),
            consumer,
            filter,
            dialect,
            token,
            member,
            reader,
            state,
            thread,
            acks: Mutex::new(Vec::new()),
            bell: OnceLock::new(),
            announced: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            window: AtomicU64::new(0),
            outstanding: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            due: Mutex::new(Dues {
                waiting: VecDeque::new(),
                follows: None,
                chosen: VecDeque::new(),
                limit,
                place: None,
                taken: None,
            }),
        }
    }

    /// The member that its client is.
    pub(in crate::broker) fn member(&self) -> MemberId {
        self.member
    }

    /// Says how many messages its member may have.
    pub(in crate::broker) fn set_window(&self, window: u32) {
        self.window.store(window.into(), Ordering::Relaxed);
    }

    /// Says how many messages its member has.
    pub(in crate::broker) fn set_outstanding(&self, messages: u64) {
        self.outstanding.store(messages, Ordering::Relaxed);
    }

    /// Counts messages that its writer has written.
    pub fn count(&self, messages: u64) {
        self.delivered.fetch_add(messages, Ordering::Relaxed);
    }

    /// How many messages its writer has written.
    pub(in crate::broker) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// What whoever administrates the broker is told of it.
    pub(in crate::broker) fn look_at(&self) -> FeedReport {
        let member = self.consumer.as_ref().map(|consumer| MemberReport {
            consumer: consumer.clone(),
            window: self.window.load(Ordering::Relaxed),
            outstanding: self.outstanding.load(Ordering::Relaxed),
        });
        let (stream, filter) = (self.stream.clone(), self.filter.clone());
        FeedReport { stream, member, filter, format: self.dialect.format() }
    }

    /// Whether the client may see only a part.
    pub(in crate::broker) fn is_limited(&self) -> bool {
        self.due.lock().limit.is_some()
    }

    /// Has it read the chosen messages, and then everything from `next` on.
    pub(super) fn follow(&self, chosen: Vec<u64>, next: u64) {
        let mut due = self.due.lock();
        due.chosen = chosen.into();
        due.follows = Some(next);
    }

    /// Adds messages that the client is due.
    pub(in crate::broker) fn add(&self, dues: impl IntoIterator<Item = Due>) {
        self.due.lock().waiting.extend(dues);
    }

    /// Takes a message back that the client is due: there is another one of this number. What was
    /// said of it means nothing any more.
    pub(in crate::broker) fn forget(&self, seq: u64) {
        let mut due = self.due.lock();
        due.waiting.retain(|one| one.from != seq);
        due.taken.take_if(|taken| taken.from == seq);
        drop(due);
        self.acks.lock().retain(|acked| *acked != seq);
    }

    /// Whether the writer is to be told that there is something; it is told once.
    pub(in crate::broker) fn announce(&self) -> bool {
        !self.announced.swap(true, Ordering::AcqRel)
    }

    /// Tells the writer straight, if there is a way. Returns whether it will know.
    pub(in crate::broker) fn ring(self: &Arc<Feed>) -> bool {
        self.bell.get().is_some_and(|bell| bell.ring(self))
    }

    /// Has the writer told by this from now on.
    pub(in crate::broker) fn ring_by(&self, bell: Arc<dyn RingsWriter>) {
        // It stays the same for as long as the connection does.
        let _ = self.bell.set(bell);
    }

    /// Whether a feed that follows the stream has something to read.
    pub(super) fn is_behind(&self) -> bool {
        let due = self.due.lock();
        due.follows.is_some_and(|next| next < self.state.readable()) || !due.chosen.is_empty()
    }

    /// Ends it: the writer writes no more of it.
    pub(in crate::broker) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Ends it because its consumer is no more.
    pub(in crate::broker) fn end_removed(&self) {
        self.removed.store(true, Ordering::Release);
        self.end();
    }

    /// Whether its consumer was removed.
    pub fn was_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Whether the subscription has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Begins to read: what is added from now on is announced anew.
    pub fn begin(&self) {
        self.announced.store(false, Ordering::Release);
    }

    /// Messages that were dropped before one that follows could read them, since this was last
    /// asked.
    pub fn take_dropped(&self) -> u64 {
        let mut due = self.due.lock();
        let first = self.reader.first();
        match due.follows {
            Some(next) if next < first => {
                due.follows = Some(first);
                first - next
            }
            _ => 0,
        }
    }

    /// The next messages that the client is due, and the place to read them from, which is to be
    /// [given back](Self::put_back).
    pub fn take(&self) -> Option<(Due, Box<Place>)> {
        if self.has_ended() {
            return None;
        }
        let mut due = self.due.lock();
        let next = match due.follows {
            None => due.waiting.pop_front()?,
            Some(next) => match due.chosen.pop_front() {
                Some(seq) => Due { from: seq, to: seq, attempt: 1 },
                None => {
                    let to = self.state.readable().checked_sub(1).filter(|to| *to >= next)?;
                    due.follows = Some(to + 1);
                    Due { from: next, to, attempt: 1 }
                }
            },
        };
        due.taken = Some(next);
        let mut place = due.place.take().unwrap_or_else(|| {
            let cursor = self.reader.cursor(next.from);
            let (format, consumer) = (self.dialect.format(), self.consumer.as_deref());
            let fields = KeptFields::new(format, &self.stream, consumer);
            Box::new(Place { cursor, fields, written: 0 })
        });
        if place.cursor.seq() != next.from {
            place.cursor.seek(next.from);
        }
        Some((next, place))
    }

    /// Gives a place back, with what was not read.
    pub fn put_back(self: &Arc<Feed>, mut place: Box<Place>, rest: Option<Due>) {
        let is_held = self.is_held();
        if is_held {
            // It is let go.
            place.cursor.release();
        }
        let mut due = self.due.lock();
        due.place = Some(place);
        // What was taken back meanwhile is not put back.
        let Some(taken) = due.taken.take() else { return };
        match (rest, due.follows) {
            (Some(rest), None) => due.waiting.push_front(rest),
            (Some(rest), Some(next)) if rest.to + 1 == next => due.follows = Some(rest.from),
            (Some(rest), Some(_)) => due.chosen.push_front(rest.from),
            (None, _) => {}
        }
        drop(due);
        if is_held {
            let end = rest.map_or(taken.to + 1, |rest| rest.from);
            (taken.from..end).for_each(|seq| self.ack(seq));
        }
    }

    /// Whether its messages are held in memory until they are written: nobody settles them, and
    /// they are on no disk here.
    fn is_held(&self) -> bool {
        self.consumer.is_none() && self.state.shared().is_some()
    }

    /// Says that the client is done with a message. The stream's thread is told by itself, once for
    /// what is said before it looks; who wants to know when that is safe asks by the dispatcher.
    pub fn ack(self: &Arc<Feed>, seq: u64) {
        let mut acks = self.acks.lock();
        acks.push(seq);
        let is_first = acks.len() == 1;
        drop(acks);
        if is_first {
            self.thread.acked(self);
        }
    }

    /// What the client is done with, since this was last asked.
    pub(in crate::broker) fn take_acks(&self) -> Vec<u64> {
        std::mem::take(&mut self.acks.lock())
    }

    /// A place of its own in the log, to read a message once more.
    pub fn cursor(&self, seq: u64) -> Box<dyn Cursor> {
        self.reader.cursor(seq)
    }

    /// Whether both read the same log.
    pub fn shares_log(&self, other: &Feed) -> bool {
        Arc::ptr_eq(&self.reader, &other.reader)
    }

    /// Says that messages cannot be read: the consumer is done with them.
    pub fn report(&self, damage: &Damage) {
        if let Some(consumer) = &self.consumer {
            self.state.report_damage(consumer.clone(), damage.clone());
        }
    }

    /// Says that messages were deleted before the member could have them: the consumer is done with
    /// them.
    pub fn report_deleted(&self, from: u64, to: u64) {
        self.report(&Damage { from, to, reason: String::new() });
    }

    /// Gives back the memory that it reads into.
    pub fn release(&self) {
        if let Some(place) = &mut self.due.lock().place {
            place.cursor.release();
        }
    }

    /// Lets go of what it reads with, until there is something to be read again.
    pub fn rest(&self) {
        self.due.lock().place = None;
    }

    /// Says what the client may see from now on, of one that follows.
    pub(in crate::broker) fn limit_to(&self, limit: Option<Grant>) {
        self.due.lock().limit = limit;
    }

    /// Whether a `cancel` of this filter means it: that does not say whether what is below is
    /// meant.
    pub(in crate::broker) fn is_named(&self, filter: &TopicFilter) -> bool {
        self.filter == *filter || self.filter.as_str() == filter.as_str()
    }

    /// Whether a message is the subscription's. Those of a member were looked at before they
    /// became due.
    pub fn wants(&self, topic: TopicName<'_>) -> bool {
        self.consumer.is_some()
            || self.filter.matches(topic)
                && self.due.lock().limit.as_ref().is_none_or(|limit| limit.may_see(topic))
    }
}
