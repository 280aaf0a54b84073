//! The consumers of a stream: who joins and leaves, what they say, and what they are due.

use std::sync::Arc;

use super::journal::Entry;
use super::look::Reading;
use super::sync::Written;
use super::{Member, StreamThread};
use crate::broker::persist::StoreError;
use crate::broker::streams::consumer::{
    Assignment, Consumer, ConsumerSettings, MemberId, Order as Keeps,
};
use crate::broker::streams::feed::{Due, Feed};
use crate::broker::streams::request::{Answer, Join};
use crate::broker::streams::said::FromStream;
use crate::broker::streams::state::News;
use crate::broker::sync::Instant;
use crate::protocol::{
    DurableRequest, ErrorCode, KeptSubscription, Order, Refusal, Reply, Settlement, Start,
    TopicFilter,
};

/// Messages that one consumer is given in one step.
const TOGETHER: usize = 16_384;

/// Consumers that a stream may have.
pub(in crate::broker) const MAX_CONSUMERS: usize = 4_096;

impl StreamThread {
    /// Lets a connection be a member of a consumer, which is new or has been there before.
    pub(super) fn join(&mut self, join: Join) {
        let Join { consumer, member, feed, wanted, next, answer } = join;
        let joined = self.consumer_for(&consumer, &feed, &wanted, next);
        let joined = joined.map(|()| {
            self.members.insert(member, Member { consumer: consumer.clone(), feed: feed.clone() });
            // What waits to be written counts.
            let end = next.max(self.reader.next());
            let entry = self.consumers.all.get_mut(&consumer);
            let pending = entry.map_or(0, |entry| {
                let window = wanted.window.unwrap_or(entry.machine.settings().window);
                entry.machine.join(member, window);
                feed.set_window(window);
                entry.machine.report(end).pending
            });
            self.subscribed(&feed, Some(&consumer), pending, None)
        });
        if joined.is_err() {
            feed.end();
        }
        let _ = answer.send(joined);
    }

    fn subscribed(
        &self,
        feed: &Feed,
        consumer: Option<&str>,
        pending: u64,
        next: Option<u64>,
    ) -> Reply {
        let kept = KeptSubscription {
            stream: self.definition.name.as_str().into(),
            consumer: consumer.map(Into::into),
            pending,
            next,
        };
        Reply::Subscribed {
            topic: feed.filter.clone(),
            values: 0,
            limited: feed.is_limited(),
            kept: Some(Box::new(kept)),
        }
    }

    /// Makes sure that a consumer is there, and as it is wanted.
    fn consumer_for(
        &mut self,
        name: &Arc<str>,
        feed: &Feed,
        wanted: &DurableRequest,
        next: u64,
    ) -> Result<(), Refusal> {
        if let Some(entry) = self.consumers.all.get_mut(name) {
            let now = entry.machine.settings();
            if now.filter != feed.filter {
                let reason = format!(
                    "the consumer {name} reads {}; remove it first (`babelmq consumer rm`), or \
                     choose another name",
                    now.filter
                );
                return Err(
                    Refusal::new(ErrorCode::InvalidField, reason).about(feed.filter.as_str())
                );
            }
            let wanted = settings(now.clone(), wanted);
            if wanted != *now {
                entry.machine.set_settings(wanted);
            }
            return Ok(());
        }
        if self.consumers.all.len() >= MAX_CONSUMERS {
            let reason = format!(
                "the stream {} has {MAX_CONSUMERS} consumers, as many as it may; remove some \
                 (`babelmq consumer rm`)",
                self.definition.name
            );
            return Err(
                Refusal::new(ErrorCode::TooManySubscriptions, reason).about(feed.filter.as_str())
            );
        }
        let settings = settings(ConsumerSettings::new(feed.filter.clone()), wanted);
        let is_lost = self.consumers.lost.contains(name);
        let start = if is_lost { Start::All } else { wanted.start.unwrap_or_default() };
        let (selected, from) = self.beginning(start, &feed.filter, next)?;
        let mut machine = Consumer::starting_with(settings, &selected, from);
        machine.trimmed(self.first);
        let mut entry = Entry::new(machine);
        entry.look_at(&self.definition.filter);
        self.consumers.all.insert(name.clone(), entry);
        if self.consumers.lost.remove(name) {
            tracing::warn!(
                stream = %self.definition.name, consumer = %name, message = from,
                "a consumer that was lost begins with the first message that the stream keeps"
            );
        }
        self.state.set_consumers(self.consumers.all.len());
        Ok(())
    }

    /// The messages that a subscription begins with, and the first of those that follow. `next` is
    /// the number of the next message when it was asked for.
    pub(super) fn beginning(
        &self,
        start: Start,
        filter: &TopicFilter,
        next: u64,
    ) -> Result<(Vec<u64>, u64), Refusal> {
        let failed = |error: StoreError| {
            let reason = format!("the stream {} cannot be read: {error}", self.definition.name);
            Refusal::new(ErrorCode::StorageFailed, reason).about(filter.as_str())
        };
        let from = match start {
            Start::New => next,
            Start::All => self.reader.first(),
            Start::Seq(seq) => seq.clamp(self.reader.first(), next),
            Start::Time(time) => self.reader.at_time(time).map_err(failed)?,
            Start::Last => {
                let last = self.reader.last_of_each(filter).map_err(failed)?;
                // What was not written when it was asked for comes live.
                let end = self.reader.next();
                return Ok((last.into_iter().filter(|seq| *seq < end).collect(), end));
            }
        };
        Ok((Vec::new(), from))
    }

    /// Lets a connection read without acknowledgements.
    pub(super) fn follow(&mut self, feed: Arc<Feed>, start: Start, next: u64, answer: &Answer) {
        let begun = self.beginning(start, &feed.filter, next).map(|(chosen, from)| {
            let pending = chosen.len() as u64 + next.max(self.reader.next()).saturating_sub(from);
            let first = chosen.first().copied().unwrap_or(from);
            feed.follow(chosen, from);
            self.followers.push(feed.clone());
            self.subscribed(&feed, None, pending, Some(first))
        });
        if begun.is_err() {
            feed.end();
        }
        let _ = answer.send(begun);
    }

    pub(super) fn leave(&mut self, feed: &Arc<Feed>, member: MemberId) {
        self.followers.retain(|other| !Arc::ptr_eq(other, feed));
        let Some(Member { consumer, .. }) = self.members.remove(&member) else { return };
        let now = self.later();
        if let Some(entry) = self.consumers.all.get_mut(&consumer) {
            entry.machine.leave(member, now);
        }
    }

    pub(super) fn settle(&mut self, member: MemberId, what: Vec<Settlement>) {
        let now = self.later();
        let Some(Member { consumer, feed }) = self.members.get(&member) else { return };
        let Some(Entry { machine, .. }) = self.consumers.all.get_mut(consumer) else { return };
        for settlement in what {
            // What is not outstanding any more was settled, or is with another member.
            match settlement {
                Settlement::Ack { seq } => drop(machine.ack(seq)),
                Settlement::AckUpto { seq } => drop(machine.ack_upto(member, seq)),
                Settlement::Nak { seq, delay } => drop(machine.nak(seq, delay, now)),
                Settlement::Touch { seq } => drop(machine.touch(seq, now)),
                Settlement::Reject { seq, reason } => drop(machine.reject(seq, &reason)),
            }
        }
        feed.set_outstanding(machine.outstanding(member));
    }

    /// Takes what the client of a feed has said in it. The feed may be one that has ended: what was
    /// delivered by it is acknowledged all the same.
    pub(super) fn take_acks(&mut self, feed: &Feed) {
        let consumer = feed.consumer.as_ref().and_then(|name| self.consumers.all.get_mut(name));
        let Some(Entry { machine, .. }) = consumer else { return };
        for seq in feed.take_acks() {
            machine.ack(seq);
        }
        feed.set_outstanding(machine.outstanding(feed.member));
    }

    /// Says how many messages each member has.
    pub(super) fn note_all_outstanding(&self) {
        for (id, Member { consumer, feed }) in &self.members {
            if let Some(Entry { machine, .. }) = self.consumers.all.get(consumer) {
                feed.set_outstanding(machine.outstanding(*id));
            }
        }
    }

    /// Gives the members of all consumers what they are due, and wakes who follows.
    pub(super) fn hand_out(&mut self) {
        let (now, end) = (self.later(), self.state.readable());
        (self.is_busy, self.unreadable) = (false, None);
        let mut assigned: Vec<Assignment> = Vec::new();
        let mut damaged = Vec::new();
        for (name, Entry { machine, cursor }) in &mut self.consumers.all {
            if machine.report(end).members == 0 {
                *cursor = None;
                continue;
            }
            let own = cursor.get_or_insert_with(|| self.reader.cursor(end));
            let mut reading = Reading::new(&mut **own);
            let before = assigned.len();
            let has_more = machine.assign(now, end, &mut reading, TOGETHER, &mut assigned);
            // One that has looked at much and found nothing goes on, too.
            self.is_busy |= has_more && (assigned.len() > before || reading.is_enough);
            if reading.is_unreadable {
                self.unreadable = Some(Instant::now());
            }
            damaged.extend(reading.damage.into_iter().map(|damage| (name.clone(), damage)));
        }
        // That a message is tried again is known before it is: one that kills whoever has it comes
        // to its end.
        self.gather_notes();
        if !self.notes.is_empty() && self.failed.is_none() && self.write_notes().is_ok() {
            let (op, next) = (self.op, self.reader.next());
            let news = News { notes: true, ..News::default() };
            self.syncing.wrote(Written { op, next, news, ..Written::default() });
        }
        for Assignment { member, from, to, attempt } in assigned {
            let Some(Member { consumer, feed }) = self.members.get(&member) else { continue };
            if let Some(Entry { machine, .. }) = self.consumers.all.get(consumer) {
                feed.set_outstanding(machine.outstanding(member));
            }
            feed.add([Due { from, to, attempt }]);
            announce(&self.announcer, feed);
        }
        self.followers.retain(|feed| !feed.has_ended());
        for feed in self.followers.iter().filter(|feed| feed.is_behind()) {
            announce(&self.announcer, feed);
        }
        for (consumer, damage) in damaged {
            self.report_damage(&consumer, &damage);
        }
    }

    /// The millisecond that is not over: what is due so long after it is not due too early.
    fn later(&self) -> u64 {
        self.now().saturating_add(1)
    }

    /// Milliseconds since the thread began.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Tells a feed's writer that there is something, if it does not know.
pub(super) fn announce(announcer: &crate::broker::streams::announcer::Announcer, feed: &Arc<Feed>) {
    if feed.announce() && !feed.ring() {
        // A broker that stops delivers nothing more of streams.
        let _ = announcer.send(FromStream::Due(feed.clone()));
    }
}

/// What a consumer is to be, where it was something before.
fn settings(before: ConsumerSettings, wanted: &DurableRequest) -> ConsumerSettings {
    let DurableRequest { window, ack_wait, max_deliver, backoff, order, .. } = wanted;
    ConsumerSettings {
        filter: before.filter,
        window: window.unwrap_or(before.window),
        ack_wait: ack_wait.unwrap_or(before.ack_wait),
        max_deliver: max_deliver.unwrap_or(before.max_deliver),
        backoff: backoff.as_ref().map_or(before.backoff, |backoff| backoff.to_vec()),
        order: match order {
            Some(Order::Topic) => Keeps::ByTopic,
            Some(Order::None) => Keeps::None,
            None => before.order,
        },
    }
}
