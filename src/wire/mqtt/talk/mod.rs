//! What the session and the writer of one client of MQTT both know, and what outlives their
//! connection. It knows no socket.
//!
//! The session takes in what the client says, the writer writes what is delivered; they meet here.

mod answers;
mod filters;
mod grants;
mod kept;
mod leftovers;
mod message;
mod queue;
#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
mod writing;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

pub(crate) use answers::{Answer, Question};
pub(crate) use grants::{Durable, Granted, Subscribed};
pub(crate) use kept::PutKept;
pub(crate) use queue::Held;
pub(crate) use writing::Next;

use super::session::{Arrived, Incoming, Outgoing};
use super::{Ack, Fault, Kind, PacketId, Qos, Reason, Version, Wanted, put_pingresp};
use crate::broker::{Charge, Delivery, Empty, Rare};
use crate::codec::{Claim, Dialect, Tenths};
use crate::protocol::{Limits, TopicFilter};
use answers::Unanswered;
use grants::Grants;
use message::{Message, Owed, Style};
use queue::Waiting;

/// Bytes of packets that wait for nothing but a client that does not read.
const MOST_QUICK: usize = 1 << 20;
/// Messages of the client that may be unanswered.
const MOST_UNANSWERED: usize = 1 << 16;
/// Messages that may be on their way to the client without memory that is claimed for them, and
/// about what each of the others takes.
const FEW_FLIGHTS: usize = 64;
const FLIGHT: usize = 256;

/// The talk with one client.
#[derive(Debug)]
pub(crate) struct Talk {
    style: Style,
    /// Whether reasons are told in words.
    wants_reasons: bool,
    outgoing: Outgoing<Message>,
    incoming: Incoming,
    going: Rare<Going>,
    /// Whether the first delivery that waits does so for an answer of the client.
    is_blocked: bool,
    grants: Grants,
    /// Whether a group may ever have given it something.
    has_shared: bool,
    /// Whether messages of streams wait until there is room on the way, and whether there may be
    /// some.
    feeds_wait: bool,
    feeds_may_go: bool,
    /// Whether what is done next was told before.
    is_told: bool,
    /// Why the connection ends, if it does.
    end: Option<Reason>,
    has_said_goodbye: bool,
    /// For what is on its way.
    memory: Claim,
}

/// What goes on in a talk: nothing, while its client and those that it listens to are silent.
#[derive(Debug, Default)]
struct Going {
    /// Deliveries of which something is not written, in their order.
    waiting: VecDeque<Waiting>,
    /// A message that is to be sent again next, and waits for memory.
    owed: Option<Box<Owed>>,
    /// Packets that wait for nothing.
    quick: Vec<u8>,
    unanswered: Unanswered,
    /// SUBSCRIBE and UNSUBSCRIBE that are not answered.
    asked: VecDeque<Question>,
    /// Messages of consumers, by their numbers, that are due again and were sent before.
    sent_before: BTreeMap<Option<Arc<str>>, HashSet<u64>>,
    /// Consumers whose subscriptions were refused.
    refused: Vec<(TopicFilter, Durable)>,
    /// A delivery that the writer of an earlier connection had taken and not written.
    saved: Option<Box<(Delivery, Charge)>>,
    /// Deliveries that came while the client was away: of QoS 0 they are not for it any more.
    stale: usize,
    failed: usize,
    /// Messages that were written and are not counted yet, by their QoS.
    sent: [usize; 3],
}

impl Empty for Going {
    const EMPTY: &'static Going = &Going {
        waiting: VecDeque::new(),
        owed: None,
        quick: Vec::new(),
        unanswered: Unanswered::NONE,
        asked: VecDeque::new(),
        sent_before: BTreeMap::new(),
        refused: Vec::new(),
        saved: None,
        stale: 0,
        failed: 0,
        sent: [0; 3],
    };

    fn is_empty(&self) -> bool {
        let Going { waiting, owed, quick, unanswered, asked, sent_before, refused, .. } = self;
        waiting.is_empty()
            && owed.is_none()
            && quick.is_empty()
            && unanswered.is_empty()
            && asked.is_empty()
            && sent_before.is_empty()
            && refused.is_empty()
            && self.saved.is_none()
            && (self.stale, self.failed, self.sent) == (0, 0, [0; 3])
    }
}

/// A talk as who administrates the broker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) version: Version,
    /// Messages of QoS 1 and 2 that are on their way to the client.
    pub(crate) inflight: usize,
    /// How many may be.
    pub(crate) window: usize,
}

/// How the client of a new connection is written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) version: Version,
    pub(crate) dialect: Dialect,
    /// Messages of QoS 1 and 2 that may be on their way to it, and to the broker.
    pub(crate) windows: (u16, u16),
    /// Bytes that a packet to it may have.
    pub(crate) limit: usize,
    pub(crate) wants_reasons: bool,
    pub(crate) limits: Limits,
    /// Whether payloads that MQTT has brought are for it whatever they are.
    pub(crate) takes_all: bool,
    /// In milliseconds since 1970.
    pub(crate) wall_clock: fn() -> u64,
}

impl Manner {
    fn style(&self) -> Style {
        let Manner { version, dialect, limit, limits, takes_all, wall_clock, .. } = *self;
        let now = Tenths::default();
        Style { version, dialect, limit, limits, takes_all, now, wall_clock }
    }
}

impl Talk {
    /// A new session. What is on its way to the client takes memory from `memory`.
    pub(crate) fn new(manner: &Manner, memory: Claim) -> Talk {
        Talk {
            style: manner.style(),
            wants_reasons: manner.wants_reasons,
            outgoing: Outgoing::new(manner.windows.0),
            incoming: Incoming::new(manner.windows.1),
            going: Rare::NONE,
            is_blocked: false,
            grants: Grants::default(),
            has_shared: false,
            feeds_wait: false,
            feeds_may_go: false,
            is_told: false,
            end: None,
            has_said_goodbye: false,
            memory,
        }
    }

    /// The session goes on with another connection. `waiting` deliveries came meanwhile.
    pub(crate) fn resume(&mut self, manner: &Manner, waiting: usize) {
        self.style = manner.style();
        self.wants_reasons = manner.wants_reasons;
        self.outgoing.resume(manner.windows.0);
        self.incoming.resume(manner.windows.1);
        self.is_blocked = false;
        (self.feeds_wait, self.feeds_may_go) = (false, false);
        if let Some(going) = self.going.made() {
            going.waiting.iter_mut().for_each(Waiting::become_stale);
            (going.owed, going.quick) = (None, Vec::new());
            going.sent_before.clear();
            // The client asks again for what it was not answered (MQTT 5, 4.4): an answer to what
            // it has asked before would be taken for one to that.
            going.unanswered.become_void();
            going.asked.iter_mut().for_each(|question| question.is_void = true);
        }
        self.note_sent();
        self.going.stale = waiting + usize::from(self.going.saved.is_some());
        (self.end, self.has_said_goodbye) = (None, false);
    }

    /// Says that the connection ends, and why; the first reason counts.
    pub(crate) fn end(&mut self, reason: Reason) {
        self.end.get_or_insert(reason);
    }

    /// Whether the last packet was given to be written.
    pub(crate) fn is_over(&self) -> bool {
        self.has_said_goodbye
    }

    /// Looks at it from outside.
    pub(crate) fn look_at(&self) -> Seen {
        let (version, window) = (self.style.version, self.outgoing.window());
        Seen { version, inflight: self.outgoing.len(), window }
    }

    /// Gives back memory that is not needed while nothing goes on.
    pub(crate) fn rest(&mut self) {
        self.going.shrink();
        self.outgoing.shrink();
    }

    /// Keeps a delivery that was taken and not written for the next connection.
    pub(crate) fn save(&mut self, delivery: Delivery, charge: Charge) {
        self.going.saved = Some(Box::new((delivery, charge)));
    }

    /// The delivery that was kept.
    pub(crate) fn saved(&mut self) -> Option<(Delivery, Charge)> {
        self.going.made()?.saved.take().map(|saved| *saved)
    }
}

/// What the session takes in.
impl Talk {
    /// The client is there.
    pub(crate) fn ping(&mut self) {
        put_pingresp(&mut self.going.quick);
    }

    /// Takes a message of QoS 1 or 2.
    ///
    /// # Errors
    /// The client has sent more than it may.
    pub(crate) fn publish(&mut self, qos: Qos, id: PacketId) -> Result<Arrived, Fault> {
        self.incoming.publish(qos, id)
    }

    /// Forgets a message that is taken once more.
    pub(crate) fn take_back(&mut self, qos: Qos, id: PacketId) {
        match qos {
            Qos::ExactlyOnce => self.incoming.refused(id),
            _ => self.incoming.acknowledged(),
        }
    }

    /// Messages of QoS 2 that are to be remembered.
    pub(crate) fn unreleased(&self) -> usize {
        self.incoming.unreleased()
    }

    /// Bytes that the client makes the session remember beside that: answers that it does not read,
    /// and what was granted.
    pub(crate) fn remembered(&self) -> usize {
        let Going { quick, unanswered, .. } = &*self.going;
        quick.capacity() + unanswered.count() * size_of::<Answer>() + self.grants.bytes()
    }

    /// Whether the client asks and asks, and does not read what it is answered.
    pub(crate) fn is_too_much(&self) -> bool {
        self.going.quick.len() > MOST_QUICK || self.going.unanswered.count() > MOST_UNANSWERED
    }

    /// Answers these messages when the dispatcher has answered.
    pub(crate) fn answer_later(&mut self, answers: Vec<Answer>) {
        self.going.unanswered.push(answers);
    }

    /// Asks the dispatcher about filters.
    pub(crate) fn ask(&mut self, question: Question) {
        if question.is_known() {
            let mut quick = std::mem::take(&mut self.going.quick);
            self.put_answer(&question, &mut quick);
            self.going.quick = quick;
        } else {
            self.going.asked.push_back(question);
            self.note_sent();
        }
    }

    /// Says what is wanted of a filter's messages, and where they come from. Returns the
    /// subscription whose place it takes.
    pub(crate) fn grant(&mut self, subscribed: Subscribed) -> Option<Subscribed> {
        self.has_shared |= subscribed.group.is_some();
        self.grants.add(subscribed)
    }

    /// Says that a filter's messages are not wanted any more. Returns the subscription that there
    /// was.
    pub(crate) fn revoke(&mut self, wanted: &Wanted) -> Option<Subscribed> {
        self.grants.remove(wanted)
    }

    /// Where the messages of a filter come from, if a stream keeps them.
    pub(crate) fn durable(&self, filter: &TopicFilter) -> Option<&Durable> {
        self.grants.durable(filter)
    }

    /// All subscriptions, in no order.
    pub(crate) fn subscriptions(&self) -> Vec<Subscribed> {
        self.grants.each().collect()
    }

    /// Whether there is a subscription with this filter.
    pub(crate) fn has(&self, filter: &TopicFilter) -> bool {
        self.grants.has(filter)
    }

    /// Whether there is one with this filter whose messages wait in memory.
    pub(crate) fn waits_in_memory(&self, filter: &TopicFilter) -> bool {
        self.grants.waits_in_memory(filter)
    }

    /// Consumers whose subscriptions were refused, since this was asked.
    pub(crate) fn take_refused(&mut self) -> Vec<(TopicFilter, Durable)> {
        self.going.made().map(|going| std::mem::take(&mut going.refused)).unwrap_or_default()
    }

    /// How many of them streams keep.
    pub(crate) fn count_durable(&self) -> usize {
        self.grants.count_durable()
    }

    /// Takes what the client says of a message. Returns what need not wait any more with it.
    ///
    /// # Errors
    /// It says what cannot be.
    pub(crate) fn ack(&mut self, ack: &Ack<'_>) -> Result<Option<Charge>, Fault> {
        self.is_blocked = false;
        self.feeds_may_go |= self.feeds_wait;
        let answer = match ack.kind {
            Kind::Puback => return Ok(self.outgoing.puback(ack.id)?.and_then(Message::let_go)),
            Kind::Pubrec => {
                let (message, answer) = self.outgoing.pubrec(ack.id, ack.reason)?;
                self.put_quick(answer.as_ref());
                return Ok(message.and_then(Message::let_go));
            }
            Kind::Pubrel => Some(self.incoming.pubrel(ack.id)),
            _ => {
                self.outgoing.pubcomp(ack.id)?;
                None
            }
        };
        self.put_quick(answer.as_ref());
        Ok(None)
    }

    fn put_quick(&mut self, ack: Option<&Ack<'_>>) {
        if let Some(ack) = ack {
            // One that the client does not take is as good as one that was lost.
            let _ = ack.put(self.style.version, &mut self.going.quick, self.style.limit);
        }
    }

    /// Whether the writer has something to do that it does not know of.
    pub(crate) fn has_news(&self) -> bool {
        !self.going.quick.is_empty()
            || self.end.is_some()
            || self.going.owed.is_some()
            || self.outgoing.has_again()
            || self.feeds_may_go
            || !self.going.waiting.is_empty() && !self.is_blocked
    }

    /// Whether another message may be on its way to the client.
    fn has_room(&mut self) -> bool {
        // Where the client has said goodbye, what was not sent is none that is sent again.
        if self.end.is_some() || self.outgoing.room() == 0 {
            return false;
        }
        let flights = self.outgoing.len() + 1;
        flights <= FEW_FLIGHTS || self.memory.try_grow_to(flights * FLIGHT)
    }
}
