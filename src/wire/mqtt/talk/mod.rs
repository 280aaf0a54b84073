//! What the session and the writer of one client of MQTT both know, and what outlives their
//! connection. It knows no socket.
//!
//! The session takes in what the client says, the writer writes what is delivered; they meet here.

mod grants;
mod message;

use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) use grants::Granted;

use super::session::{Again, Arrived, Incoming, Outgoing};
use super::{
    Ack, Fault, Kind, PacketId, Qos, Reason, Version, put_disconnect, put_pingresp, put_suback,
    put_unsuback, reason_of,
};
use crate::broker::{Charge, Delivery, Selection, Stored};
use crate::codec::{Batch, Dialect};
use crate::protocol::{ErrorCode, Limits, Refusal, Token, TopicFilter};
use crate::wire::frames::selected;
use crate::wire::write_batch::WriteBatch;
use grants::Grants;
use message::{Around, Message, NotWritten, Source, Style};

/// Bytes of refusals that are remembered until their messages are answered.
const MOST_REFUSED: usize = 256;

/// The talk with one client.
#[derive(Debug)]
pub(crate) struct Talk {
    style: Style,
    /// Whether reasons are told in words.
    wants_reasons: bool,
    outgoing: Outgoing<Message>,
    incoming: Incoming,
    /// Messages for which there is no room on the way.
    waiting: VecDeque<Message>,
    grants: Grants,
    /// Packets that wait for nothing.
    quick: Vec<u8>,
    /// Messages of the client that are answered when all before is done, a list for each time that
    /// the dispatcher was asked.
    unanswered: VecDeque<Vec<Answer>>,
    /// Messages that the dispatcher has refused, until they are answered.
    refused: Vec<(u16, Reason, String)>,
    /// SUBSCRIBE and UNSUBSCRIBE that are not answered.
    asked: VecDeque<Question>,
    /// Whether what is done next was told before.
    is_told: bool,
    /// Deliveries that the writer of an earlier connection had taken and not written.
    saved: VecDeque<(Delivery, Charge)>,
    /// Deliveries that came while the client was away: of QoS 0 they are not for it any more.
    stale: usize,
    /// Why the connection ends, if it does.
    end: Option<Reason>,
    has_said_goodbye: bool,
    /// Messages that were longer than the client takes.
    too_long: u64,
    failed: usize,
}

/// The answer to a message.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) id: PacketId,
    pub(crate) qos: Qos,
    /// Why it was not published.
    pub(crate) refused: Option<(Reason, String)>,
}

/// A SUBSCRIBE or UNSUBSCRIBE, and what became of its filters so far.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) id: PacketId,
    pub(crate) is_subscribe: bool,
    /// For each filter its reason, or the filter that is asked about, and the reason if it is done.
    pub(crate) filters: Vec<Result<Reason, (TopicFilter, Reason)>>,
    /// What is wrong with one of them, in words.
    pub(crate) words: Option<String>,
}

impl Question {
    /// One of no filters yet.
    pub(crate) fn new(id: PacketId, is_subscribe: bool) -> Question {
        Question { id, is_subscribe, filters: Vec::new(), words: None }
    }

    /// Refuses the next filter.
    pub(crate) fn refuse(&mut self, (reason, words): (Reason, String)) {
        self.filters.push(Ok(reason));
        self.words.get_or_insert(words);
    }
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
}

impl Manner {
    fn style(&self) -> Style {
        let Manner { version, dialect, limit, limits, .. } = *self;
        Style { version, dialect, limit, limits }
    }
}

impl Talk {
    /// A new session.
    pub(crate) fn new(manner: &Manner) -> Talk {
        Talk {
            style: manner.style(),
            wants_reasons: manner.wants_reasons,
            outgoing: Outgoing::new(manner.windows.0),
            incoming: Incoming::new(manner.windows.1),
            waiting: VecDeque::new(),
            grants: Grants::default(),
            quick: Vec::new(),
            unanswered: VecDeque::new(),
            refused: Vec::new(),
            asked: VecDeque::new(),
            is_told: false,
            saved: VecDeque::new(),
            stale: 0,
            end: None,
            has_said_goodbye: false,
            too_long: 0,
            failed: 0,
        }
    }

    /// The session goes on with another connection. `waiting` deliveries came meanwhile.
    pub(crate) fn resume(&mut self, manner: &Manner, waiting: usize) {
        self.style = manner.style();
        self.wants_reasons = manner.wants_reasons;
        self.outgoing.resume(manner.windows.0);
        self.incoming.resume(manner.windows.1);
        self.quick.clear();
        self.stale = waiting + self.saved.len();
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

    /// Keeps a delivery that was taken and not written for the next connection.
    pub(crate) fn save(&mut self, delivery: Delivery, charge: Charge) {
        self.saved.push_back((delivery, charge));
    }

    /// The next delivery that was kept.
    pub(crate) fn saved(&mut self) -> Option<(Delivery, Charge)> {
        self.saved.pop_front()
    }
}

/// What the session takes in.
impl Talk {
    /// The client is there.
    pub(crate) fn ping(&mut self) {
        put_pingresp(&mut self.quick);
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

    /// Answers these messages when the dispatcher has answered.
    pub(crate) fn answer_later(&mut self, answers: Vec<Answer>) {
        self.unanswered.push_back(answers);
    }

    /// Asks the dispatcher about filters.
    pub(crate) fn ask(&mut self, question: Question) {
        if question.filters.iter().all(Result::is_ok) {
            let mut quick = std::mem::take(&mut self.quick);
            self.put_answer(&question, &mut quick);
            self.quick = quick;
        } else {
            self.asked.push_back(question);
        }
    }

    /// Says what is wanted of a filter's messages. Returns whether there was such a subscription.
    pub(crate) fn grant(&mut self, filter: &TopicFilter, granted: Granted) -> bool {
        self.grants.add(filter, granted).is_some()
    }

    /// Says that a filter's messages are not wanted any more. Returns whether they were.
    pub(crate) fn revoke(&mut self, filter: &TopicFilter) -> bool {
        self.grants.remove(filter).is_some()
    }

    /// Takes what the client says of a message. Returns what need not wait any more with it.
    ///
    /// # Errors
    /// It says what cannot be.
    pub(crate) fn ack(&mut self, ack: &Ack<'_>) -> Result<Option<Charge>, Fault> {
        let answer = match ack.kind {
            Kind::Puback => return Ok(self.outgoing.puback(ack.id)?.and_then(|it| it.charge)),
            Kind::Pubrec => {
                let (message, answer) = self.outgoing.pubrec(ack.id, ack.reason)?;
                self.put_quick(answer.as_ref());
                return Ok(message.and_then(|message| message.charge));
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
            let _ = ack.put(self.style.version, &mut self.quick, self.style.limit);
        }
    }

    /// Whether the writer has something to do that it does not know of.
    pub(crate) fn has_news(&self) -> bool {
        !self.quick.is_empty()
            || self.end.is_some()
            || !self.waiting.is_empty() && self.outgoing.room() > 0
    }
}

/// What the writer writes.
impl Talk {
    /// Adds messages of a batch, which are the client's own or not, and came while it was away or
    /// not.
    pub(crate) fn deliver(
        &mut self,
        batch: &Arc<Batch>,
        selection: &Selection,
        (is_own, is_stale): (bool, bool),
        charge: Charge,
        gathered: &mut WriteBatch,
    ) {
        let mut last_topic = None;
        let mut matched = None;
        let mut charge = Some(charge);
        let mut messages = selected(batch, self.style.dialect, selection, 0).peekable();
        while let Some(index) = messages.next() {
            let published = &batch.messages()[index];
            if last_topic != Some(published.topic()) {
                last_topic = Some(published.topic());
                matched = self.grants.of(batch.topics().get(published.topic()));
            }
            let Some(matched) = &matched else { continue };
            if is_own && matched.no_local {
                continue;
            }
            let qos = matched.qos.min(published.qos().unwrap_or(Qos::ExactlyOnce));
            let retain = matched.retain_as_published && published.retain();
            if qos == Qos::AtMostOnce {
                if !is_stale {
                    let identifiers = &matched.identifiers;
                    let around = Around { dup: false, qos, retain, id: None, identifiers };
                    let put = self.style.put_of_batch((batch, index), around, gathered);
                    self.note(put);
                }
                continue;
            }
            let message = Message {
                source: Source::Batch(batch.clone(), index as u32),
                retain,
                qos,
                identifiers: matched.identifiers.as_slice().into(),
                // The last of them has it: then none is needed.
                charge: charge.take_if(|_| messages.peek().is_none()),
            };
            self.send(message, gathered);
        }
        gathered.charges.extend(charge);
    }

    /// Adds a last value.
    pub(crate) fn deliver_stored(&mut self, stored: &Stored, gathered: &mut WriteBatch) {
        let Some(matched) = self.grants.of(stored.topic()) else { return };
        let qos = matched.qos.min(stored.payload().qos().unwrap_or(Qos::ExactlyOnce));
        let identifiers = &matched.identifiers;
        if qos == Qos::AtMostOnce {
            let around = Around { dup: false, qos, retain: true, id: None, identifiers };
            let put = self.style.put_stored(stored, around, gathered);
            return self.note(put);
        }
        let message = Message {
            source: Source::Stored(stored.clone()),
            retain: true,
            qos,
            identifiers: identifiers.as_slice().into(),
            charge: None,
        };
        self.send(message, gathered);
    }

    /// Counts a delivery. Returns whether it came while the client was away.
    pub(crate) fn take_stale(&mut self) -> bool {
        let is_stale = self.stale > 0;
        self.stale -= usize::from(is_stale);
        is_stale
    }

    /// Sends a message of QoS 1 or 2, or lets it wait.
    fn send(&mut self, message: Message, gathered: &mut WriteBatch) {
        if self.waiting.is_empty() && self.may_send() {
            self.send_now(message, gathered);
        } else {
            self.waiting.push_back(message);
        }
    }

    /// Whether another message may be sent. Where the client has said goodbye, what was not sent is
    /// none that is sent again.
    fn may_send(&self) -> bool {
        self.end.is_none() && self.outgoing.room() > 0
    }

    fn send_now(&mut self, message: Message, gathered: &mut WriteBatch) {
        if message.source.is_over() {
            gathered.charges.extend(message.charge);
            return;
        }
        let (source, qos, retain) = (message.source.clone(), message.qos, message.retain);
        let identifiers = message.identifiers.clone();
        let id = match self.outgoing.send(qos, message) {
            Ok(id) => id,
            Err(message) => return self.waiting.push_front(message),
        };
        let around = Around { dup: false, qos, retain, id: Some(id), identifiers: &identifiers };
        let put = self.put(&source, around, gathered);
        if put.is_err() {
            // It counts as one that has arrived (MQTT 5, 3.1.2.11.4).
            let message = self.outgoing.give_up(id);
            gathered.charges.extend(message.and_then(|message| message.charge));
        }
        self.note(put);
    }

    fn put(
        &self,
        source: &Source,
        around: Around<'_>,
        gathered: &mut WriteBatch,
    ) -> Result<(), NotWritten> {
        match source {
            Source::Batch(batch, index) => {
                self.style.put_of_batch((batch, *index as usize), around, gathered)
            }
            Source::Stored(stored) => self.style.put_stored(stored, around, gathered),
        }
    }

    fn note(&mut self, put: Result<(), NotWritten>) {
        match put {
            Ok(()) => {}
            Err(NotWritten::TooLong) => self.too_long += 1,
            Err(NotWritten::Failed) => self.failed += 1,
        }
    }

    /// Messages that could not be written in the client's format, since this was asked.
    pub(crate) fn take_failed(&mut self) -> usize {
        std::mem::take(&mut self.failed)
    }

    /// Adds what can be written now: answers, and messages for which there is room. Returns whether
    /// there is more of that.
    pub(crate) fn go_on(&mut self, gathered: &mut WriteBatch) -> bool {
        if !self.quick.is_empty() {
            let quick = std::mem::take(&mut self.quick);
            gathered.append(|out| out.extend_from_slice(&quick));
        }
        loop {
            if gathered.is_enough() {
                return true;
            }
            let style = self.style;
            let (source, id, qos, retain, identifiers) = match self.outgoing.again() {
                None => break,
                Some(Again::Pubrel(id)) => {
                    let ack = Ack::new(Kind::Pubrel, id, Reason::SUCCESS);
                    gathered.append(|out| {
                        // One that the client does not take is as good as one that was lost.
                        let _ = ack.put(style.version, out, style.limit);
                    });
                    continue;
                }
                Some(Again::Publish(id, qos, message)) => {
                    let identifiers = message.identifiers.clone();
                    (message.source.clone(), id, qos, message.retain, identifiers)
                }
            };
            let around = Around { dup: true, qos, retain, id: Some(id), identifiers: &identifiers };
            let put = self.put(&source, around, gathered);
            self.note(put);
        }
        while self.may_send()
            && let Some(message) = self.waiting.pop_front()
        {
            self.send_now(message, gathered);
            if gathered.is_enough() {
                return true;
            }
        }
        if let Some(reason) = self.end
            && !self.has_said_goodbye
        {
            self.has_said_goodbye = true;
            // A client that has said goodbye is not answered.
            if self.style.version.is_5() && reason.is_failure() {
                let limit = self.style.limit;
                gathered.append(|out| {
                    let _ = put_disconnect(out, reason, None, limit);
                });
            }
        }
        false
    }

    /// The dispatcher has done all that was asked before: the next messages are answered. Where that
    /// is not on the disk, they are not.
    pub(crate) fn pong(&mut self, failed: Option<&Refusal>, gathered: &mut WriteBatch) {
        let Some(answers) = self.unanswered.pop_front() else { return };
        for Answer { id, qos, refused } in answers {
            let by_dispatcher = self.refused.iter().position(|(refused, ..)| *refused == id.get());
            let by_dispatcher = by_dispatcher.map(|at| self.refused.swap_remove(at));
            let refused = refused
                .or(by_dispatcher.map(|(_, reason, words)| (reason, words)))
                .or_else(|| failed.map(|refusal| (Reason::UNSPECIFIED, refusal.reason.clone())));
            let kind = if qos == Qos::ExactlyOnce { Kind::Pubrec } else { Kind::Puback };
            let (reason, words) = match &refused {
                Some((reason, words)) => (*reason, Some(words.as_str())),
                None => (Reason::SUCCESS, None),
            };
            if qos != Qos::ExactlyOnce {
                self.incoming.acknowledged();
            } else if reason.is_failure() && self.style.version.is_5() {
                self.incoming.refused(id);
            }
            let reason_string = words.filter(|_| self.wants_reasons);
            let ack = Ack { kind, id, reason, reason_string };
            let (version, limit) = (self.style.version, self.style.limit);
            gathered.append(|out| {
                let _ = ack.put(version, out, limit);
            });
        }
    }

    /// The last values of a filter come next: it is subscribed to, and the client is told before
    /// them, as it is by other brokers. Of several filters in one SUBSCRIBE that is so for the last.
    pub(crate) fn begin_values(&mut self, gathered: &mut WriteBatch) {
        self.done(gathered);
        self.is_told = true;
    }

    /// A filter that was asked about is subscribed to, or is not any more.
    pub(crate) fn done(&mut self, gathered: &mut WriteBatch) {
        if std::mem::take(&mut self.is_told) {
            return;
        }
        let Some(question) = self.asked.front_mut() else { return };
        let Some(filter) = question.filters.iter_mut().find(|filter| filter.is_err()) else {
            return;
        };
        if let Err((_, reason)) = filter {
            *filter = Ok(*reason);
        }
        self.answer_asked(gathered);
    }

    /// Something was refused: a filter that was asked about, or a message.
    pub(crate) fn refuse(&mut self, token: Token, refusal: Refusal, gathered: &mut WriteBatch) {
        let reason = reason_of(refusal.code);
        if refusal.code.is_fatal() {
            // The dispatcher has let go of the connection, and says why.
            self.end(match refusal.code {
                ErrorCode::Disconnected => Reason::ADMINISTRATIVE,
                ErrorCode::LoginRequired => Reason::NOT_AUTHORIZED,
                _ => Reason::QUOTA,
            });
            return;
        }
        let is_asked = self.asked.front().is_some_and(|asked| asked.id.get() == token.0);
        if !is_asked {
            // Of QoS 0 nothing is answered.
            if token.0 != 0 && self.refused.len() < MOST_REFUSED {
                self.refused.push((token.0, reason, refusal.reason.clone()));
            }
            return;
        }
        let Some(question) = self.asked.front_mut() else { return };
        if let Some(filter) = question.filters.iter_mut().find(|filter| filter.is_err()) {
            if let Err((asked, _)) = filter {
                self.grants.remove(asked);
            }
            *filter = Ok(reason);
        }
        question.words.get_or_insert_with(|| refusal.reason.clone());
        self.answer_asked(gathered);
    }

    /// Answers the first question, if all of it is known.
    fn answer_asked(&mut self, gathered: &mut WriteBatch) {
        let is_known = |question: &Question| question.filters.iter().all(Result::is_ok);
        if self.asked.front().is_some_and(is_known)
            && let Some(question) = self.asked.pop_front()
        {
            gathered.append(|out| self.put_answer(&question, out));
        }
    }

    fn put_answer(&self, question: &Question, out: &mut Vec<u8>) {
        let reasons: Vec<Reason> =
            question.filters.iter().filter_map(|filter| filter.as_ref().ok().copied()).collect();
        let words = question.words.as_deref().filter(|_| self.wants_reasons);
        let Style { version, limit, .. } = self.style;
        let put = if question.is_subscribe { put_suback } else { put_unsuback };
        // One that the client does not take is as good as one that was lost.
        let _ = put(out, version, question.id, &reasons, words, limit);
    }
}
