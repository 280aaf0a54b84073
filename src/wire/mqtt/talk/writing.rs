//! What the writer of a client of MQTT makes of what is delivered.

use std::sync::Arc;

use super::super::session::Again;
use super::super::{Ack, Kind, Qos, Reason, put_disconnect, put_suback, put_unsuback, reason_of};
use super::answers::{Answer, Question};
use super::grants::{Matched, Subscribed};
use super::message::{Around, Message, NotWritten, Owed, Place, Style};
use super::queue::{Held, Published, Waiting, What, let_go};
use super::{Going, Talk};
use crate::broker::{Chosen, Selection, Stored};
use crate::codec::{Batch, Dialect, Tenths};
use crate::protocol::{ErrorCode, Refusal, Token, TopicFilter};
use crate::wire::write_batch::WriteBatch;

/// What is to be done before more is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: all that can be written now was added.
    Nothing,
    /// What was gathered is enough for a write.
    Write,
    /// The next message takes so much memory.
    Claim(usize),
    /// The next message is to be [read](Talk::to_read) again: it lies in a stream.
    Read,
}

/// Why no more of a delivery was added.
enum Stop {
    /// That was all of it.
    End,
    /// The client has to answer first.
    NoRoom,
    For(Next),
}

impl Talk {
    /// Lets messages of a batch wait for their turn.
    pub(crate) fn deliver(
        &mut self,
        (batch, dialect): (Arc<Batch>, Dialect),
        selection: Selection,
        (is_own, is_stale, chosen): (bool, bool, Option<Arc<Chosen>>),
        held: Held,
    ) {
        let selection = Arc::new(selection);
        let what = What::Batch(Published { batch, dialect, selection, is_own, is_stale, chosen });
        self.going.waiting.push_back(Waiting::new(what, held));
    }

    /// The same for last values.
    pub(crate) fn deliver_values(&mut self, values: Vec<Stored>, held: Held) {
        self.going.waiting.push_back(Waiting::new(What::Values(values.into()), held));
    }

    /// Counts a delivery. Returns whether it came while the client was away.
    pub(crate) fn take_stale(&mut self) -> bool {
        let is_stale = self.going.stale > 0;
        if is_stale {
            self.going.stale -= 1;
        }
        is_stale
    }

    /// Messages that could not be written in the client's format, since this was asked.
    pub(crate) fn take_failed(&mut self) -> usize {
        self.going.made().map(|going| std::mem::take(&mut going.failed)).unwrap_or_default()
    }

    /// Messages that were written since this was asked, by their QoS.
    pub(crate) fn take_sent(&mut self) -> [usize; 3] {
        self.going.made().map(|going| std::mem::take(&mut going.sent)).unwrap_or_default()
    }

    /// Adds what can be written now: answers, and messages for which there is room. One message may
    /// take as much memory as `paid`. Returns what is to be done before there can be more.
    pub(crate) fn go_on(
        &mut self,
        gathered: &mut WriteBatch,
        mut paid: usize,
        now: Tenths,
    ) -> Next {
        self.style.now = now;
        if !self.going.quick.is_empty() {
            let quick = std::mem::take(&mut self.going.quick);
            gathered.append(|out| out.extend_from_slice(&quick));
        }
        let mut next = self.send_again(gathered, &mut paid);
        if next == Next::Nothing {
            next = self.send_waiting(gathered, &mut paid);
        }
        if next == Next::Nothing
            && let Some(reason) = self.end
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
        next
    }

    /// Adds what was on its way when the connection before ended.
    fn send_again(&mut self, gathered: &mut WriteBatch, paid: &mut usize) -> Next {
        loop {
            if gathered.is_enough() {
                return Next::Write;
            }
            let style = self.style;
            let owed = match self.going.made().and_then(|going| going.owed.take()) {
                Some(owed) => owed,
                None => match self.outgoing.again() {
                    None => return Next::Nothing,
                    Some(Again::Pubrel(id)) => {
                        let ack = Ack::new(Kind::Pubrel, id, Reason::SUCCESS);
                        gathered.append(|out| {
                            // One that the client does not take is as good as one that was lost.
                            let _ = ack.put(style.version, out, style.limit);
                        });
                        continue;
                    }
                    Some(Again::Publish(id, _, message)) => Box::new(message.to_owe().numbered(id)),
                },
            };
            match style.put(owed.source.place(), owed.around(true), *paid, gathered) {
                Err(NotWritten::NeedsMemory(bytes)) => {
                    self.going.owed = Some(owed);
                    return Next::Claim(bytes);
                }
                Err(NotWritten::NeedsRead) => {
                    self.going.owed = Some(owed);
                    return Next::Read;
                }
                put => self.note_again(&owed, put, gathered),
            }
            *paid = 0;
        }
    }

    /// Adds what waits.
    fn send_waiting(&mut self, gathered: &mut WriteBatch, paid: &mut usize) -> Next {
        while let Some(mut first) = self.going.made().and_then(|going| going.waiting.pop_front()) {
            let stop = match first.what.clone() {
                What::Batch(published) => {
                    self.send_published(&published, &mut first, gathered, paid)
                }
                What::Values(values) => self.send_values(&values, &mut first, gathered, paid),
            };
            let next = match stop {
                Stop::End => {
                    gathered.charges.extend(let_go(first.held));
                    continue;
                }
                Stop::NoRoom => Next::Nothing,
                Stop::For(next) => next,
            };
            self.is_blocked = next == Next::Nothing;
            self.going.waiting.push_front(first);
            return next;
        }
        if self.going.waiting.capacity() > 64 {
            self.going.waiting = Default::default();
        }
        Next::Nothing
    }

    fn send_published(
        &mut self,
        Published { batch, dialect, is_own, is_stale, chosen, .. }: &Published,
        delivery: &mut Waiting,
        gathered: &mut WriteBatch,
        paid: &mut usize,
    ) -> Stop {
        let mut last_topic = None;
        let mut matched = chosen.as_ref().and_then(|chosen| Matched::of_mark(chosen.mark));
        loop {
            if gathered.is_enough() {
                return Stop::For(Next::Write);
            }
            let mark = delivery.mark();
            let Some(index) = delivery.take() else { return Stop::End };
            let published = &batch.messages()[index];
            if chosen.is_none() && last_topic != Some(published.topic()) {
                last_topic = Some(published.topic());
                matched = self.grants.of(batch.topics().get(published.topic()));
            }
            let Some(matched) = &matched else { continue };
            if *is_own && matched.no_local {
                continue;
            }
            let qos = matched.qos.min(published.qos().unwrap_or(Qos::ExactlyOnce));
            if *is_stale && qos == Qos::AtMostOnce {
                continue;
            }
            let held = (&delivery.held, chosen.as_ref());
            let place = Place::Batch(batch, index as u32, *dialect);
            let retain = matched.retain_as_published && published.retain();
            let identifiers = matched.identifiers.as_slice();
            let around = Around { dup: false, qos, retain, id: None, identifiers };
            if let Some(stop) = self.send(place, around, held, gathered, paid) {
                delivery.go_back(mark);
                return stop;
            }
        }
    }

    fn send_values(
        &mut self,
        values: &[Stored],
        delivery: &mut Waiting,
        gathered: &mut WriteBatch,
        paid: &mut usize,
    ) -> Stop {
        loop {
            if gathered.is_enough() {
                return Stop::For(Next::Write);
            }
            let mark = delivery.mark();
            let Some(stored) = delivery.take().and_then(|place| values.get(place)) else {
                return Stop::End;
            };
            let Some(matched) = self.grants.of_value(stored.topic()) else { continue };
            let qos = matched.qos.min(stored.payload().qos().unwrap_or(Qos::ExactlyOnce));
            let identifiers = matched.identifiers.as_slice();
            let around = Around { dup: false, qos, retain: true, id: None, identifiers };
            let place = Place::Stored(stored);
            if let Some(stop) = self.send(place, around, (&delivery.held, None), gathered, paid) {
                delivery.go_back(mark);
                return stop;
            }
        }
    }

    /// Sends a message of a delivery. Returns why it cannot be sent now.
    fn send(
        &mut self,
        place: Place<'_>,
        around: Around<'_>,
        (held, chosen): (&Arc<Held>, Option<&Arc<Chosen>>),
        gathered: &mut WriteBatch,
        paid: &mut usize,
    ) -> Option<Stop> {
        let (style, qos) = (self.style, around.qos);
        if place.is_over(style.now) {
            return None;
        }
        if qos == Qos::AtMostOnce {
            let put = style.put(place, around, *paid, gathered);
            if let Err(NotWritten::NeedsMemory(bytes)) = put {
                return Some(Stop::For(Next::Claim(bytes)));
            }
            *paid = 0;
            self.note(qos, put);
            return None;
        }
        if !self.has_room() {
            return Some(Stop::NoRoom);
        }
        let Around { retain, identifiers, .. } = around;
        let (source, identifiers) = (place.to_source(), identifiers.into());
        let (held, chosen) = (held.clone(), chosen.cloned());
        let message = Message { source, retain, qos, identifiers, chosen, held };
        let Ok(id) = self.outgoing.send(qos, message) else { return Some(Stop::NoRoom) };
        let put = style.put(place, Around { id: Some(id), ..around }, *paid, gathered);
        if put.is_err() {
            // One that is too long counts as one that has arrived (MQTT 5, 3.1.2.11.4).
            let message = self.outgoing.give_up(id);
            gathered.charges.extend(message.and_then(Message::let_go));
        }
        if let Err(NotWritten::NeedsMemory(bytes)) = put {
            return Some(Stop::For(Next::Claim(bytes)));
        }
        *paid = 0;
        self.note(qos, put);
        None
    }

    /// Notes that a message was sent again. One that is too long now counts as one that has
    /// arrived.
    pub(super) fn note_again(
        &mut self,
        owed: &Owed,
        put: Result<(), NotWritten>,
        gathered: &mut WriteBatch,
    ) {
        if put.is_err() {
            let message = owed.id.and_then(|id| self.outgoing.give_up(id));
            gathered.charges.extend(message.and_then(Message::let_go));
        }
        self.note(owed.around(true).qos, put);
    }

    pub(super) fn note(&mut self, qos: Qos, put: Result<(), NotWritten>) {
        match put {
            Ok(()) => self.going.sent[usize::from(qos.byte())] += 1,
            Err(NotWritten::Failed) => self.going.failed += 1,
            Err(NotWritten::TooLong | NotWritten::NeedsMemory(_) | NotWritten::NeedsRead) => {}
        }
    }

    /// The dispatcher has done all that was asked before: the next messages are answered. Where
    /// that is not on the disk, they are not.
    pub(crate) fn pong(&mut self, failed: Option<&Refusal>, gathered: &mut WriteBatch) {
        let Some(list) = self.going.made().and_then(|going| going.unanswered.pop()) else { return };
        for Answer { id, qos, refused } in list.answers {
            let refused = refused
                .or_else(|| failed.map(|refusal| (Reason::UNSPECIFIED, refusal.reason.clone())));
            let is_twice = qos == Qos::ExactlyOnce;
            if list.is_void {
                // What is sent again is judged again, unless that was done already.
                match refused.filter(|_| is_twice) {
                    Some(reason) if self.incoming.is_open(id) => {
                        self.going.unanswered.refuse_again(id, &reason);
                    }
                    Some(_) => self.incoming.refused(id),
                    None => {}
                }
                continue;
            }
            let (reason, words) = match &refused {
                Some((reason, words)) => (*reason, Some(words.as_str())),
                None => (Reason::SUCCESS, None),
            };
            if !is_twice {
                self.incoming.acknowledged();
            } else if reason.is_failure() && self.style.version.is_5() {
                self.incoming.refused(id);
            }
            let kind = if is_twice { Kind::Pubrec } else { Kind::Puback };
            let reason_string = words.filter(|words| self.wants_reasons && !words.is_empty());
            let ack = Ack { kind, id, reason, reason_string };
            let Style { version, limit, .. } = self.style;
            gathered.append(|out| {
                // One that the client does not take is as good as one that was lost.
                let _ = ack.put(version, out, limit);
            });
        }
    }

    /// The last values of a filter come next: it is subscribed to, and the client is told before
    /// them, as it is by other brokers. Of several filters in one SUBSCRIBE that is so for the
    /// last.
    pub(crate) fn begin_values(&mut self, gathered: &mut WriteBatch) {
        if !self.is_told {
            self.done(gathered);
            self.is_told = true;
        }
    }

    /// A filter that was asked about is subscribed to, or is not any more.
    pub(crate) fn done(&mut self, gathered: &mut WriteBatch) {
        if std::mem::take(&mut self.is_told) {
            return;
        }
        let asked = self.going.made().and_then(|going| going.asked.front_mut());
        let Some(question) = asked else { return };
        let Some(filter) = question.next() else { return };
        if let Err(pending) = filter {
            *filter = Ok(pending.reason);
        }
        self.answer_asked(gathered);
    }

    /// The stream that keeps a filter's messages has answered. `refusal` is why it is not
    /// subscribed to, if it is not.
    pub(crate) fn stream_answered(
        &mut self,
        token: Token,
        refusal: Option<Refusal>,
        gathered: &mut WriteBatch,
    ) {
        if token.0 == 0 {
            // The session went on with it, and its client asked for nothing.
            if let Some(refusal) = refusal {
                self.lose(&refusal);
            }
            return;
        }
        let asked = self.going.made().and_then(|going| going.asked.front_mut());
        let next = asked.and_then(Question::next);
        let goes_on = next.is_some_and(|next| next.as_ref().is_err_and(|it| it.goes_on));
        match refusal {
            Some(refusal) => {
                self.refuse_asked(reason_of(refusal.code), refusal, gathered);
                // What comes behind it tells nobody anything.
                self.is_told = goes_on;
            }
            None if !goes_on => self.done(gathered),
            None => {}
        }
    }

    /// A subscription that a stream kept has come to its end without the client: the connection
    /// ends, so that it knows. The next one goes on with what there is.
    fn lose(&mut self, refusal: &Refusal) {
        let is_of_rights = refusal.code == ErrorCode::NotPermitted;
        self.end(if is_of_rights { Reason::NOT_AUTHORIZED } else { Reason::ADMINISTRATIVE });
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
        let topic = refusal.topic.as_deref();
        let is_of_rights = refusal.code == ErrorCode::NotPermitted;
        let asked = self.going.made().and_then(|going| going.asked.front_mut());
        let is_next = asked.is_some_and(|asked| {
            asked.id.get() == token.0
                && asked.next().is_some_and(|next| {
                    let is_it = |topic| {
                        let asked = next.as_ref().err().map(|asked| &asked.wanted);
                        asked.is_some_and(|asked| {
                            asked.as_str() == topic || asked.filter.as_str() == topic
                        })
                    };
                    topic.is_none_or(is_it)
                })
        });
        if is_next {
            return self.refuse_asked(reason, refusal, gathered);
        }
        let filter = topic.and_then(|topic| TopicFilter::parse(topic).ok());
        if filter.is_some_and(|filter| self.grants.durable(&filter.below(false)).is_some()) {
            self.lose(&refusal);
        } else if is_of_rights {
            // Messages are judged before they come to the dispatcher: the right to a subscription
            // is lost.
            self.grants.remove_spelled(topic.unwrap_or_default());
        } else if token.0 != 0 {
            // Of QoS 0 nothing is answered.
            let words = if self.wants_reasons { refusal.reason.clone() } else { String::new() };
            self.going.unanswered.refuse(token.0, (reason, words));
        }
    }

    /// The next filter that was asked about is refused.
    fn refuse_asked(&mut self, reason: Reason, refusal: Refusal, gathered: &mut WriteBatch) {
        let Some(Going { asked, refused: lost, .. }) = self.going.made() else { return };
        let Some(question) = asked.front_mut() else { return };
        if let Some(filter) = question.next() {
            if let Err(asked) = filter {
                let refused = self.grants.remove(&asked.wanted);
                asked.before.take().into_iter().for_each(|before| drop(self.grants.add(before)));
                if let Some(Subscribed { filter, durable: Some(durable), .. }) = refused {
                    lost.push((filter, durable));
                }
            }
            *filter = Ok(reason);
        }
        question.words.get_or_insert_with(|| refusal.reason.clone());
        self.answer_asked(gathered);
    }

    /// Answers the first question, if all of it is known.
    fn answer_asked(&mut self, gathered: &mut WriteBatch) {
        if self.going.asked.front().is_some_and(Question::is_known)
            && let Some(question) = self.going.asked.pop_front()
            && !question.is_void
        {
            gathered.append(|out| self.put_answer(&question, out));
        }
        if let Some(going) = self.going.made()
            && going.asked.is_empty()
        {
            // Most clients ask once.
            going.asked = std::collections::VecDeque::new();
        }
    }

    pub(super) fn put_answer(&self, question: &Question, out: &mut Vec<u8>) {
        let reasons: Vec<Reason> =
            question.filters.iter().filter_map(|filter| filter.as_ref().ok().copied()).collect();
        let words = question.words.as_deref().filter(|_| self.wants_reasons);
        let Style { version, limit, .. } = self.style;
        let put = if question.is_subscribe { put_suback } else { put_unsuback };
        // One that the client does not take is as good as one that was lost.
        let _ = put(out, version, question.id, &reasons, words, limit);
    }
}
