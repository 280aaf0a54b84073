//! A member of a durable consumer: it is given as many messages as its window has room for, and
//! what it says of them is told to the server until that confirms it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use super::arrival;
use super::consumers::{self, NoConsumer};
use super::had::Had;
use super::ops::Ops;
use super::options::PATIENCE;
use super::place::{At, Place, doubt, gone, sent, there};
use super::pull::{LARGER, Pull, Pulled};
use super::warnings::Warnings;
use super::words::{DueWord, Words};
use crate::broker::sync::Sender;
use crate::broker::{FromBackbone, HowSettled, Incoming, JoinShared};
use crate::protocol::Start;

/// What is asked for at once, whatever the window is.
const MESSAGES: usize = 512;
/// How often the server is told by a member that leaves. While it is one, it does not give up: what
/// is not confirmed to it is not confirmed to its client.
const ATTEMPTS: u32 = 4;
/// Before something is said again where nobody speaks for the consumer.
const PAUSE: Duration = Duration::from_millis(250);

/// What a line tells a member.
#[derive(Debug)]
pub(super) enum ToMember {
    /// What its client says of a message.
    Settle {
        /// The number of the message.
        seq: u64,
        /// What it says.
        how: HowSettled,
        /// What is answered.
        op: u64,
    },
    /// The client is gone.
    Leave,
    /// The consumer is.
    Forget,
}

/// How it ended with one place.
enum End {
    /// The connection or the consumer's server is lost.
    Lost,
    /// The client is gone, and all is said.
    Left,
    /// The consumer will not be there.
    Never(String),
}

/// A member.
pub(super) struct Member {
    wanted: JoinShared,
    /// Its consumer's name.
    consumer: Arc<str>,
    at: At,
    doubts: Arc<Notify>,
    said: Sender<FromBackbone>,
    mail: mpsc::UnboundedReceiver<ToMember>,
    ops: Ops,
    /// Held while consumers are made and removed, so that this is done in the order of the line.
    turn: Arc<tokio::sync::Mutex<()>>,
    had: Had,
    words: Words,
    /// Of which stream the consumer was, once there was one.
    joined: Option<String>,
    leaves: bool,
    is_forgotten: bool,
    /// Whether the next message is larger than all that was asked for.
    is_too_large: bool,
    warnings: Warnings,
}

impl Member {
    /// A member that wants to be one of the consumer of this name.
    pub(super) fn new(
        wanted: JoinShared,
        consumer: Arc<str>,
        (at, doubts, said): (At, Arc<Notify>, Sender<FromBackbone>),
        (mail, ops): (mpsc::UnboundedReceiver<ToMember>, Ops),
        turn: Arc<tokio::sync::Mutex<()>>,
    ) -> Member {
        Member {
            wanted,
            consumer,
            at,
            doubts,
            said,
            mail,
            ops,
            turn,
            had: Had::default(),
            words: Words::default(),
            joined: None,
            leaves: false,
            is_forgotten: false,
            is_too_large: false,
            warnings: Warnings::default(),
        }
    }

    /// Is a member until it leaves.
    pub(super) async fn run(mut self) {
        let mut at = self.at.clone();
        loop {
            if self.leaves && self.words.is_empty() {
                return;
            }
            let place = tokio::select! {
                place = there(&mut at) => place,
                told = self.mail.recv(), if !self.leaves => {
                    self.take(told);
                    continue;
                }
            };
            let Some(place) = place else { return };
            let mut watched = self.at.clone();
            let end = tokio::select! {
                () = gone(&mut watched, &place) => End::Lost,
                end = self.attend(&place) => end,
            };
            // What was on its way is said anew.
            self.words.say_all_again(Instant::now());
            match end {
                End::Left => return,
                End::Lost => doubt(&mut at, &place, &self.doubts).await,
                End::Never(reason) => {
                    let member = self.wanted.member;
                    let _ = self.said.send(FromBackbone::Joined { member, joined: Err(reason) });
                    return self.end().await;
                }
            }
        }
    }

    /// There is no consumer: what was said of its messages was said of nothing, and so is what
    /// comes later, which the line finds out by itself.
    async fn end(mut self) {
        self.forget_words();
        self.mail.close();
        while let Some(told) = self.mail.recv().await {
            if let ToMember::Settle { op, .. } = told {
                self.ops.finish([op]);
            }
        }
    }

    fn forget_words(&mut self) {
        self.ops.finish(self.words.forget());
    }

    /// Takes what it is told, and what is there besides.
    fn take_all(&mut self, first: Option<ToMember>) {
        self.take(first);
        while !self.leaves
            && let Ok(told) = self.mail.try_recv()
        {
            self.take(Some(told));
        }
    }

    /// Takes what it is told. Where nobody is there to tell it more, it leaves.
    fn take(&mut self, told: Option<ToMember>) {
        match told {
            Some(ToMember::Settle { seq, how, op }) => self.settle(seq, how, op),
            Some(ToMember::Forget) => self.is_forgotten = true,
            Some(ToMember::Leave) | None => {
                self.leaves = true;
                for reply in self.had.let_go() {
                    self.say(reply, &HowSettled::Nak(Duration::ZERO), None);
                }
            }
        }
    }

    fn settle(&mut self, seq: u64, how: HowSettled, op: u64) {
        let reply = match how {
            HowSettled::Touch => self.had.touch(seq, Instant::now() + self.wanted.ack_wait),
            _ => self.had.settle(seq),
        };
        match reply {
            Some(reply) => self.say(reply, &how, Some(op)),
            // It went to another member, or is settled.
            None => self.ops.finish([op]),
        }
    }

    fn say(&mut self, reply: Subject, how: &HowSettled, op: Option<u64>) {
        self.words.say(reply, word(how), op, Instant::now());
    }

    /// Is a member by one connection.
    async fn attend(&mut self, place: &Arc<Place>) -> End {
        let inbox = place.client.new_inbox();
        let Ok(mut confirmed) = place.client.subscribe(format!("{inbox}.*")).await else {
            return End::Lost;
        };
        if self.leaves {
            return self.part(place, &inbox, &mut confirmed).await;
        }
        let mut pull = match self.join(place).await {
            Ok(pull) => pull,
            Err(end) => return end,
        };
        loop {
            self.tell(place, &inbox).await;
            self.ask(place, &mut pull, Instant::now()).await;
            let due = self.words.due();
            // Where the window is full, the next that may come is one that went to another member.
            let until = self.had.until().filter(|_| pull.is_over());
            tokio::select! {
                biased;
                told = self.mail.recv() => self.take_all(told),
                word = confirmed.next() => match word {
                    Some(word) => self.take_confirmations(word, &mut confirmed),
                    None => return End::Lost,
                },
                pulled = pull.next() => {
                    if let Some(end) = self.take_pulled(place, pulled, &mut pull).await {
                        return end;
                    }
                }
                () = at(due) => {}
                () = at(until) => {}
            }
            if self.is_forgotten {
                return self.forgotten();
            }
            if self.leaves {
                pull.stop().await;
                let rest = async {
                    while let Pulled::Message(message) = pull.next().await {
                        let message = *message;
                        if let Some(reply) = message.reply {
                            self.say(reply, &HowSettled::Nak(Duration::ZERO), None);
                        }
                    }
                };
                let _ = timeout(PATIENCE, rest).await;
                return self.part(place, &inbox, &mut confirmed).await;
            }
        }
    }

    /// Finds or makes the consumer.
    async fn join(&mut self, place: &Arc<Place>) -> Result<Pull, End> {
        let turn = self.turn.clone();
        let _turn = turn.lock().await;
        let is_anew = self.joined.as_ref().is_some_and(|joined| *joined != place.created);
        if self.joined.is_some() && !is_anew {
            match consumers::is_there(place, &self.consumer).await {
                Ok(true) => {}
                Ok(false) => return Err(self.gone(place).await),
                Err(_) => return Err(End::Lost),
            }
        }
        let start = match self.wanted.start {
            // All that is in a stream that was made anew is new.
            Start::New | Start::Seq(_) if is_anew => Start::All,
            start => start,
        };
        if is_anew {
            // What was said is of messages of another stream.
            self.had = Had::default();
            self.forget_words();
        }
        let joined = consumers::join(place, &self.consumer, &self.wanted, start).await;
        let (consumer, at) = match joined {
            Ok(found) => found,
            Err(NoConsumer::Never(reason)) => return Err(End::Never(reason)),
            Err(NoConsumer::NotNow(reason)) => {
                tracing::debug!(consumer = %self.consumer, reason, "it is joined later");
                return Err(End::Lost);
            }
        };
        let pull = Pull::new(place, consumer).await.map_err(|_| End::Lost)?;
        if self.joined.replace(place.created.clone()).is_none() {
            let member = self.wanted.member;
            let _ = self.said.send(FromBackbone::Joined { member, joined: Ok(at) });
        }
        Ok(pull)
    }

    /// The consumer is gone: it was forgotten, or the stream was with it.
    async fn gone(&self, place: &Place) -> End {
        match place.is_there().await {
            true => self.forgotten(),
            false => End::Lost,
        }
    }

    fn forgotten(&self) -> End {
        End::Never(format!("the consumer {} was forgotten", self.consumer))
    }

    /// Asks for as many messages as there is room for.
    async fn ask(&mut self, place: &Place, pull: &mut Pull, now: Instant) {
        if !pull.is_over() {
            return;
        }
        // What its client has kept for too long is another member's.
        self.had.expire(now);
        let window = usize::try_from(self.wanted.window).unwrap_or(usize::MAX);
        let room = window.saturating_sub(self.had.len()).min(MESSAGES);
        let left = self.wanted.bytes.saturating_sub(self.had.bytes());
        if room == 0 || left == 0 {
            return;
        }
        let largest = place.max_payload.saturating_add(LARGER);
        let is_plain = !std::mem::take(&mut self.is_too_large) && !pull.is_of_last_values();
        match is_plain && left >= largest {
            true => pull.ask(room, left).await,
            // However large they are. How many bytes they may have is not said to the server: of
            // last values it (2.15 too) drops the one that had no room.
            false => pull.ask(room.min((left / largest).max(1)), 0).await,
        }
    }

    /// Takes what was pulled, and what is there besides. Returns how it ends, where it does.
    async fn take_pulled(&mut self, place: &Place, first: Pulled, pull: &mut Pull) -> Option<End> {
        let (mut next, mut messages) = (Some(first), Vec::new());
        let last = loop {
            match next {
                Some(Pulled::Message(message)) => messages.extend(self.had(place, *message)),
                Some(Pulled::Over) => {}
                Some(Pulled::TooLarge) => self.is_too_large = true,
                last => break last,
            }
            next = pull.ready();
        };
        // Before anything is waited for, in which it could be forgotten.
        if !messages.is_empty() {
            let member = self.wanted.member;
            let _ = self.said.send(FromBackbone::Delivered { member, messages });
        }
        match last? {
            Pulled::Gone => Some(self.gone(place).await),
            _ => Some(End::Lost),
        }
    }

    /// Notes that the member has a message. Returns which attempt it is, and the message.
    fn had(&mut self, place: &Place, message: Message) -> Option<(u32, Incoming)> {
        let reply = message.reply.clone()?;
        let arrival = arrival::read(place, message, &mut self.warnings)?;
        let Some(message) = arrival.message else {
            // Nobody else can have it either.
            self.say(reply, &HowSettled::Term, None);
            return None;
        };
        let until = Instant::now() + self.wanted.ack_wait;
        self.had.add(arrival.seq, reply, arrival.bytes, until);
        Some((arrival.attempt, message))
    }

    /// Tells the server what is due.
    async fn tell(&mut self, place: &Place, inbox: &str) {
        let now = Instant::now();
        while let Some(DueWord { number, reply, word, attempts }) = self.words.next(now, PATIENCE) {
            if self.leaves && attempts >= ATTEMPTS {
                let consumer = &self.consumer;
                tracing::debug!(%consumer, "NATS does not confirm what it knows");
                self.ops.finish(self.words.finish(number));
                continue;
            }
            let answer = format!("{inbox}.{number}");
            if !sent(place.client.publish_with_reply(reply, answer, word), PATIENCE).await {
                return;
            }
        }
    }

    fn take_confirmations(&mut self, first: Message, confirmed: &mut Subscriber) {
        let mut ops = Vec::new();
        let mut next = Some(first);
        while let Some(answer) = next {
            ops.extend(self.confirmed(&answer));
            next = confirmed.next().now_or_never().flatten();
        }
        self.ops.finish(ops);
    }

    /// Takes a confirmation. Returns who has waited for it.
    fn confirmed(&mut self, answer: &Message) -> Option<u64> {
        let number = answer.subject.as_str().rsplit('.').next()?.parse().ok()?;
        if answer.status != Some(StatusCode::NO_RESPONDERS) {
            return self.words.finish(number);
        }
        // Its servers are about to agree on who speaks for it. Where it is gone, that is heard of.
        self.words.delay(number, Instant::now() + PAUSE);
        None
    }

    /// Says what is left to be said.
    async fn part(&mut self, place: &Place, inbox: &str, confirmed: &mut Subscriber) -> End {
        loop {
            self.tell(place, inbox).await;
            if self.words.is_empty() {
                return End::Left;
            }
            let due = self.words.due();
            tokio::select! {
                word = confirmed.next() => match word {
                    Some(word) => self.take_confirmations(word, confirmed),
                    None => return End::Lost,
                },
                () = at(due) => {}
            }
        }
    }
}

/// What is said to the server.
fn word(how: &HowSettled) -> Bytes {
    match how {
        HowSettled::Ack => Bytes::from_static(b"+ACK"),
        HowSettled::Nak(Duration::ZERO) => Bytes::from_static(b"-NAK"),
        HowSettled::Nak(delay) => {
            format!("-NAK {{\"delay\":{}}}", delay.as_nanos()).into_bytes().into()
        }
        HowSettled::Touch => Bytes::from_static(b"+WPI"),
        HowSettled::Term => Bytes::from_static(b"+TERM"),
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
