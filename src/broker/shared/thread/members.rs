//! Clients of this broker that are members of durable consumers of the backbone, or follow it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::SharedThread;
use crate::broker::shared::backbone::{
    HowSettled, Incoming, JoinShared, JoinedShared, SharedContent, SharedReport, ToBackbone,
};
use crate::broker::shared::held::{Held, SharedReader};
use crate::broker::streams::{
    Answer, Burial, ConsumerEntry, ConsumerReport, ConsumerSettings, Dead, DeadLetter, Due, Feed,
    Found, FromStream, Join, LogReader, MemberId, StreamReport, WhyDead, dead_letter,
};
use crate::broker::sync::{Instant, Mutex, Sender};
use crate::codec::Claim;
use crate::protocol::{
    DEFAULT_WINDOW, ErrorCode, KeptSubscription, Order, Refusal, Reply, Settlement,
};

/// Bytes of messages that a member of a consumer may have, whatever its window is.
const BYTES: usize = 16 << 20;
/// How long a message waits for which there is no memory.
const NO_MEMORY: Duration = Duration::from_secs(1);
/// Messages that were sent back for want of memory are remembered up to so many.
const UNSEEN: usize = 16 << 10;
/// In the time that a member has for a message, the backbone is told so often that it takes longer.
const TOUCHES: u32 = 4;
/// Bytes that a message takes beside its own.
const BESIDE: usize = 256;

/// All members of one stream, and what was said of them that is not known to the backbone.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) all: HashMap<u64, Member>,
    /// What was settled, by the requests that did: the number of the last settlement of each, and
    /// since when it is not known to the backbone.
    settling: BTreeMap<u64, (u64, Instant)>,
    /// The number of the last settlement.
    settlement: u64,
    /// Requests to forget a consumer.
    removing: Vec<(u64, Arc<str>, Answer, Instant)>,
    /// Requests for what there is to be said.
    asking: Vec<(u64, Sender<StreamReport>, Instant)>,
    /// Messages that wait until their dead letters are safe: whose they are, the request that said
    /// that they are dead, and since when.
    burying: HashMap<(Arc<str>, u64), (u64, u64, Instant)>,
    /// How often a message was sent back for want of memory, which nobody has seen.
    unseen: HashMap<(Arc<str>, u64), u32>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Member {
    /// `None` follows.
    pub(super) consumer: Option<Arc<str>>,
    pub(super) feed: Arc<Feed>,
    pub(super) settings: ConsumerSettings,
    /// Messages that it has.
    pub(super) outstanding: BTreeMap<u64, Given>,
    /// Where it is said whether it is one, and since when that is waited for.
    pub(super) answer: Option<(Answer, Instant)>,
    /// Whether it is to leave when its dead letters are safe.
    pub(super) is_leaving: bool,
    /// Memory for all that one that follows may have.
    pub(super) claim: Claim,
}

/// A message that a member was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    /// How often it has been delivered, with this time.
    pub(super) attempt: u32,
    /// When the backbone gives it to somebody else, if it does.
    pub(super) until: Option<Instant>,
    /// When the backbone was told last that it takes longer.
    pub(super) touched: Option<Instant>,
}

impl Members {
    /// The first request that has settled something that is not known to the backbone.
    pub(super) fn first_op(&self) -> Option<u64> {
        let buried = self.burying.values().map(|(_, op, _)| *op).filter(|op| *op > 0).min();
        self.settling.keys().next().copied().into_iter().chain(buried).min()
    }
}

impl SharedThread {
    /// Lets a connection be a member of a consumer.
    pub(super) fn join(&mut self, join: Join) {
        let Join { consumer, member, feed, wanted, answer, .. } = join;
        if wanted.order == Some(Order::Topic) {
            let reason = "consumers of shared topics have no order by topic; use a window of 1 and \
                          one member";
            let refusal = Refusal::new(ErrorCode::InvalidField, reason);
            return refuse(&feed, &answer, refusal);
        }
        if let Some(refusal) = self.unavailable() {
            return refuse(&feed, &answer, refusal);
        }
        let usual = ConsumerSettings::new(feed.filter.clone());
        let settings = ConsumerSettings {
            window: wanted.window.unwrap_or(DEFAULT_WINDOW),
            ack_wait: wanted.ack_wait.unwrap_or(usual.ack_wait),
            max_deliver: wanted.max_deliver.unwrap_or(usual.max_deliver),
            backoff: wanted.backoff.map_or(usual.backoff.clone(), Into::into),
            ..usual
        };
        feed.set_window(settings.window);
        self.line.send(ToBackbone::Join(Box::new(JoinShared {
            member: member.0,
            consumer: Some(consumer.clone()),
            filter: feed.filter.clone(),
            start: wanted.start.unwrap_or_default(),
            window: settings.window,
            bytes: BYTES,
            ack_wait: settings.ack_wait,
        })));
        let outstanding = BTreeMap::new();
        let answer = Some((answer, Instant::now()));
        self.members.all.insert(
            member.0,
            Member {
                consumer: Some(consumer),
                feed,
                settings,
                outstanding,
                answer,
                is_leaving: false,
                claim: Claim::nothing(),
            },
        );
    }

    /// Says whether a connection is a member.
    pub(super) fn joined(&mut self, id: u64, joined: Result<JoinedShared, String>) {
        let Some(member) = self.members.all.get_mut(&id) else { return };
        let Some((answer, _)) = member.answer.take() else {
            // It was one, and its consumer is no more: somebody at another broker forgot it.
            if joined.is_err()
                && let Some(member) = self.members.all.remove(&id)
            {
                self.forgotten(id, &member);
            }
            return;
        };
        match joined {
            Ok(JoinedShared { pending, next }) => {
                let kept = KeptSubscription {
                    stream: self.topics.stream.as_str().into(),
                    consumer: member.consumer.as_deref().map(Into::into),
                    pending,
                    next: member.consumer.is_none().then_some(next),
                };
                let _ = answer.send(Ok(Reply::Subscribed {
                    topic: member.feed.filter.clone(),
                    values: 0,
                    limited: member.feed.is_limited(),
                    kept: Some(Box::new(kept)),
                }));
            }
            Err(reason) => {
                let code = match member.consumer {
                    Some(_) => ErrorCode::InvalidField,
                    None => ErrorCode::BackboneUnavailable,
                };
                let refusal = Refusal::new(code, reason);
                refuse(&member.feed, &answer, refusal.about(member.feed.filter.as_str()));
                self.members.all.remove(&id);
            }
        }
    }

    /// Answers those who wait to be members, for whom there is no backbone.
    pub(super) fn refuse_waiting(&mut self) {
        let Some(refusal) = self.unavailable() else { return };
        for (id, member) in self.members.all.extract_if(|_, member| member.answer.is_some()) {
            if let Some((answer, _)) = &member.answer {
                refuse(&member.feed, answer, refusal.clone());
            }
            self.line.send(ToBackbone::Leave { member: id });
        }
        for (.., answer, _) in self.members.removing.drain(..) {
            let _ = answer.send(Err(refusal.clone()));
        }
        for (_, answer, _) in self.members.asking.drain(..) {
            let _ = answer.send(StreamReport::default());
        }
    }

    /// Ends a member whose consumer was forgotten.
    fn forgotten(&self, id: u64, member: &Member) {
        member.outstanding.keys().for_each(|seq| self.held.let_go(*seq));
        member.feed.end_removed();
        // Its writer may have to tell the client.
        self.announce(&member.feed);
        self.line.send(ToBackbone::Leave { member: id });
    }

    pub(super) fn announce(&self, feed: &Arc<Feed>) {
        if feed.announce() && !feed.ring() {
            // A broker that stops delivers nothing more.
            let _ = self.announcer.send(FromStream::Due(feed.clone()));
        }
    }

    /// Refuses what the backbone has not answered for too long, though there is one.
    pub(super) fn refuse_what_waits_too_long(&mut self, now: Instant) {
        let patience = self.patience;
        let is_late = |since: Instant| now.duration_since(since) >= patience;
        if let Some((op, (_, since))) = self.members.settling.first_key_value()
            && is_late(*since)
        {
            self.state.fail(*op, "what was said of its messages is not confirmed");
        }
        for (_, op, since) in self.members.burying.values() {
            if *op > 0 && is_late(*since) {
                self.state.fail(*op, "the dead letter of a message is not safe");
            }
        }
        let refusal = || {
            let reason = format!(
                "the shared stream {} has not answered for {patience:?}; try again later",
                self.topics.stream
            );
            Refusal::new(ErrorCode::BackboneUnavailable, reason)
        };
        let waits = |_: &u64, member: &mut Member| {
            member.answer.as_ref().is_some_and(|(_, since)| is_late(*since))
        };
        for (id, member) in self.members.all.extract_if(waits) {
            if let Some((answer, _)) = &member.answer {
                refuse(&member.feed, answer, refusal());
            }
            self.line.send(ToBackbone::Leave { member: id });
        }
        for (.., answer, _) in self.members.removing.extract_if(.., |(.., since)| is_late(*since)) {
            let _ = answer.send(Err(refusal()));
        }
        for (_, answer, _) in self.members.asking.extract_if(.., |(.., since)| is_late(*since)) {
            let _ = answer.send(StreamReport::default());
        }
    }

    /// Lets go of what members have kept for too long: the backbone gives it to others.
    pub(super) fn expire(&mut self, now: Instant) {
        for member in self.members.all.values_mut() {
            let before = member.outstanding.len();
            member.outstanding.retain(|seq, given| {
                let is_kept = given.until.is_none_or(|until| until > now);
                if !is_kept {
                    self.held.let_go(*seq);
                }
                is_kept
            });
            if member.outstanding.len() < before {
                member.feed.set_outstanding(member.outstanding.len() as u64);
            }
        }
        // What a writer came too late for is with another member.
        drop(self.state.take_damages());
    }

    /// Takes a connection out of the members.
    pub(super) fn leave(&mut self, id: MemberId) {
        if self.members.burying.values().any(|(member, ..)| *member == id.0)
            && let Some(member) = self.members.all.get_mut(&id.0)
        {
            // To leave sends back what it has, and a message with a dead letter is not to come
            // again.
            member.is_leaving = true;
            return;
        }
        let Some(member) = self.members.all.remove(&id.0) else { return };
        for seq in member.outstanding.keys() {
            self.held.let_go(*seq);
        }
        self.line.send(ToBackbone::Leave { member: id.0 });
    }

    /// Gives a message to a member.
    pub(super) fn delivered(&mut self, id: u64, attempt: u32, message: Incoming) {
        let Incoming { seq, time, id: name, message } = message;
        let Some(member) = self.members.all.get(&id) else { return };
        let consumer = member.consumer.clone();
        self.forget_other(id, seq, time);
        let Some(consumer) = consumer else {
            return self.give_to_follower(id, Incoming { seq, time, id: name, message });
        };
        let name_of = (consumer, seq);
        let topic = message.topic;
        // That a value is forgotten is no work for anybody.
        let SharedContent::Payload(payload) = message.content else {
            return self.say(id, seq, HowSettled::Ack, 0);
        };
        let bytes = payload.bytes.len() + payload.properties.len() + topic.as_str().len() + BESIDE;
        let Some(claim) = self.account.try_claim(bytes) else {
            if self.members.unseen.len() < UNSEEN {
                *self.members.unseen.entry(name_of).or_default() += 1;
            }
            return self.say(id, seq, HowSettled::Nak(NO_MEMORY), 0);
        };
        let unseen = self.members.unseen.get(&name_of).copied().unwrap_or_default();
        let Some(payload) = self.read(seq, &topic, payload) else {
            if !self.is_unheard {
                self.say(id, seq, HowSettled::Term, 0);
            }
            return;
        };
        let Some(member) = self.members.all.get_mut(&id) else { return };
        let until = Some(Instant::now() + member.settings.ack_wait);
        let given = Given { attempt, until, touched: None };
        let is_new = member.outstanding.insert(seq, given).is_none();
        let is_exhausted = attempt.saturating_sub(unseen) > member.settings.max_deliver;
        if is_new {
            let claim = Mutex::new(claim);
            self.held.hold(Held { seq, time, topic, id: name, payload, claim });
        }
        member.feed.set_outstanding(member.outstanding.len() as u64);
        if is_exhausted {
            let attempts = attempt.saturating_sub(unseen) - 1;
            return self.bury(id, Dead { seq, attempts, why: WhyDead::Exhausted }, 0);
        }
        let attempt = attempt.saturating_sub(unseen).max(1);
        member.feed.add([Due { from: seq, to: seq, attempt }]);
        let feed = member.feed.clone();
        self.announce(&feed);
    }

    /// Forgets the message of another stream that had this number, before this one is given to
    /// `to`: the stream was made anew.
    fn forget_other(&mut self, to: u64, seq: u64, time: u64) {
        if self.held.get(seq).is_none_or(|held| held.time == time) {
            return;
        }
        let mut follow = Vec::new();
        for (id, member) in &mut self.members.all {
            if member.outstanding.remove(&seq).is_some() {
                self.held.let_go(seq);
                member.feed.forget(seq);
                follow.extend(Some(*id).filter(|id| member.consumer.is_none() && *id != to));
            }
        }
        // Their filters need not match this one: they would have less room for ever.
        follow.into_iter().for_each(|id| self.say(id, seq, HowSettled::Ack, 0));
    }

    /// Takes what a member says of messages that it was given.
    pub(super) fn settle(&mut self, op: u64, id: MemberId, what: Vec<Settlement>) {
        for settlement in what {
            let Some(member) = self.members.all.get(&id.0) else { return };
            match settlement {
                Settlement::Ack { seq } => self.done(id.0, seq, HowSettled::Ack, op),
                Settlement::AckUpto { seq } => {
                    let all: Vec<u64> =
                        member.outstanding.range(..=seq).map(|(seq, _)| *seq).collect();
                    for seq in all {
                        self.done(id.0, seq, HowSettled::Ack, op);
                    }
                }
                Settlement::Nak { seq, delay } => {
                    let Some(given) = member.outstanding.get(&seq) else { continue };
                    let pause =
                        || Duration::from_millis(member.settings.pause_after(given.attempt));
                    let delay = delay.unwrap_or_else(pause);
                    self.done(id.0, seq, HowSettled::Nak(delay), op);
                }
                Settlement::Touch { seq } => {
                    let ack_wait = member.settings.ack_wait;
                    let member = self.members.all.get_mut(&id.0);
                    let Some(given) = member.and_then(|it| it.outstanding.get_mut(&seq)) else {
                        continue;
                    };
                    let now = Instant::now();
                    given.until = Some(now + ack_wait);
                    // Those that come too often say nothing new.
                    if given.touched.is_some_and(|at| now.duration_since(at) < ack_wait / TOUCHES) {
                        continue;
                    }
                    given.touched = Some(now);
                    self.say(id.0, seq, HowSettled::Touch, op);
                }
                Settlement::Reject { seq, reason } => {
                    let Some(given) = member.outstanding.get(&seq) else { continue };
                    let attempts = given.attempt;
                    let why = WhyDead::Rejected(reason.into());
                    self.bury(id.0, Dead { seq, attempts, why }, op);
                }
            }
        }
    }

    /// Takes what the client of a feed is done with.
    pub(super) fn acked(&mut self, op: u64, feed: &Feed) {
        for seq in feed.take_acks() {
            self.done(feed.member().0, seq, HowSettled::Ack, op);
        }
    }

    /// Says to the backbone that a member has a message no more, if it has.
    fn done(&mut self, id: u64, seq: u64, how: HowSettled, op: u64) {
        let Some(member) = self.members.all.get_mut(&id) else { return };
        if member.outstanding.remove(&seq).is_none() {
            return;
        }
        member.feed.set_outstanding(member.outstanding.len() as u64);
        self.held.let_go(seq);
        if !self.members.unseen.is_empty()
            && !matches!(how, HowSettled::Nak(_))
            && let Some(consumer) = member.consumer.clone()
        {
            self.members.unseen.remove(&(consumer, seq));
        }
        self.say(id, seq, how, op);
    }

    /// Says something of a message to the backbone. The request that asked for it waits for the
    /// answer, if there is one.
    pub(super) fn say(&mut self, member: u64, seq: u64, how: HowSettled, op: u64) {
        self.members.settlement += 1;
        let settlement = self.members.settlement;
        if op > 0 {
            let since = Instant::now();
            self.members.settling.entry(op).or_insert((settlement, since)).0 = settlement;
        }
        self.line.send(ToBackbone::Settle { member, seq, how, op: settlement });
    }

    /// Notes that the backbone knows what was said up to here.
    pub(super) fn settled(&mut self, settlement: u64) {
        while let Some(first) = self.members.settling.first_entry()
            && first.get().0 <= settlement
        {
            first.remove();
        }
    }

    /// Publishes the dead letter of a message, which is settled when that is safe.
    fn bury(&mut self, id: u64, dead: Dead, op: u64) {
        let member = self.members.all.get(&id);
        let Some(consumer) = member.and_then(|it| it.consumer.clone()) else { return };
        let seq = dead.seq;
        if self.members.burying.contains_key(&(consumer.clone(), seq)) {
            return;
        }
        let letter = self.held.get(seq).and_then(|held| {
            let mut cursor = SharedReader(self.held.clone()).cursor(held.seq);
            let Ok(Some(Found::Record(record))) = cursor.read() else { return None };
            dead_letter(&self.topics.stream, &consumer, &record, &dead, &self.limits)
        });
        let is_on_its_way = letter.is_some_and(|batch| {
            let burial = Burial { to: self.own.clone(), consumer: consumer.clone(), seq };
            let letter = Box::new(DeadLetter { batch, burial });
            self.announcer.send(FromStream::Bury(letter)).is_ok()
        });
        if is_on_its_way {
            self.members.burying.insert((consumer, seq), (id, op, Instant::now()));
        } else {
            // It comes again, to where it can be buried.
            self.done(id, seq, HowSettled::Nak(NO_MEMORY), op);
        }
    }

    /// Notes that a dead letter is safe.
    pub(super) fn buried(&mut self, consumer: Arc<str>, seq: u64) {
        let Some((id, op, _)) = self.members.burying.remove(&(consumer, seq)) else { return };
        // Also where it was kept for so long that it is another's: it is not to come to that one.
        if let Some(member) = self.members.all.get_mut(&id)
            && member.outstanding.remove(&seq).is_some()
        {
            self.held.let_go(seq);
        }
        self.say(id, seq, HowSettled::Term, op);
        if self.members.all.get(&id).is_some_and(|member| member.is_leaving) {
            self.leave(MemberId(id));
        }
    }

    /// Forgets a consumer.
    pub(super) fn remove_consumer(&mut self, op: u64, consumer: &str, answer: Answer) {
        if let Some(refusal) = self.unavailable() {
            let _ = answer.send(Err(refusal));
            return;
        }
        let consumer: Arc<str> = consumer.into();
        self.line.send(ToBackbone::Remove { consumer: consumer.clone(), op });
        self.members.removing.push((op, consumer, answer, Instant::now()));
    }

    /// Says that a consumer was forgotten, or why not.
    pub(super) fn removed(&mut self, op: u64, removed: Result<bool, String>) {
        let asked = self.members.removing.iter().position(|(asked, ..)| *asked == op);
        let Some(asked) = asked else { return };
        let (_, consumer, answer, _) = self.members.removing.swap_remove(asked);
        let stream = &self.topics.stream;
        let reply = match removed {
            Ok(true) => Ok(Reply::Done {
                stream: Some(stream.as_str().into()),
                consumer: Some((*consumer).into()),
            }),
            Ok(false) => Err(no_consumer(stream, &consumer)),
            Err(reason) => Err(Refusal::new(ErrorCode::BackboneUnavailable, reason)),
        };
        if reply.is_ok() {
            let of_it = |_: &u64, member: &mut Member| member.consumer.as_ref() == Some(&consumer);
            let gone: Vec<_> = self.members.all.extract_if(of_it).collect();
            gone.iter().for_each(|(id, member)| self.forgotten(*id, member));
        }
        let _ = answer.send(reply);
    }

    /// Asks the backbone what there is to be said of the stream.
    pub(super) fn report(&mut self, op: u64, answer: Sender<StreamReport>) {
        if self.unavailable().is_some() || !self.is_connected {
            let _ = answer.send(StreamReport::default());
            return;
        }
        self.members.asking.push((op, answer, Instant::now()));
        self.line.send(ToBackbone::Report { op });
    }

    /// Says what there is.
    pub(super) fn reported(&mut self, op: u64, report: &SharedReport) {
        self.held.note(report);
        self.state.set_consumers(report.consumers.len());
        let Some(asked) = self.members.asking.iter().position(|(asked, ..)| *asked == op) else {
            return;
        };
        let (_, answer, _) = self.members.asking.swap_remove(asked);
        let consumers = report.consumers.iter().map(|consumer| {
            let filter = consumer.filter.clone().unwrap_or_else(|| self.topics.filter.clone());
            let here = |member: &&Member| member.consumer.as_deref() == Some(&*consumer.name);
            let members: Vec<&Member> = self.members.all.values().filter(here).collect();
            let settings = ConsumerSettings {
                ack_wait: consumer.ack_wait,
                ..members
                    .first()
                    .map_or_else(|| ConsumerSettings::new(filter), |it| it.settings.clone())
            };
            let report = ConsumerReport {
                floor: consumer.floor,
                next: consumer.delivered + 1,
                outstanding: consumer.outstanding,
                pending: consumer.pending + consumer.outstanding,
                redelivered: consumer.redelivered,
                dead: 0,
                members: members.len(),
            };
            ConsumerEntry { name: consumer.name.as_str().into(), settings, report }
        });
        let _ = answer.send(StreamReport { consumers: consumers.collect() });
    }
}

pub(super) fn refuse(feed: &Feed, answer: &Answer, refusal: Refusal) {
    feed.end();
    // Whoever asked may have gone.
    let _ = answer.send(Err(refusal));
}

fn no_consumer(stream: &str, consumer: &str) -> Refusal {
    let reason = format!(
        "the stream {stream} has no consumer {consumer}; `babelmq consumer ls` shows those that \
         there are"
    );
    Refusal::new(ErrorCode::NoConsumer, reason)
}
