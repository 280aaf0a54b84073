//! A member of a durable consumer: it is given as many messages as its window has room for, and
//! what it says of them is told to the server until that confirms it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::arrival;
use super::consumers::{self, NoConsumer};
use super::ops::Ops;
use super::options::PATIENCE;
use super::place::{At, Place, gone, there};
use super::pull::{Pull, Pulled};
use super::warnings::Warnings;
use crate::broker::sync::Sender;
use crate::broker::{FromBackbone, HowSettled, JoinShared};
use crate::protocol::Start;

/// What is asked for at once, and what a member may have, whatever its window is.
const MESSAGES: usize = 256;
const BYTES: usize = 16 << 20;
/// How often the server is told by a member that leaves. While it is one, it does not give up: what
/// is not confirmed to it is not confirmed to its client.
const ATTEMPTS: u32 = 4;
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

/// A message that the member has.
#[derive(Debug)]
struct Held {
    /// Where it is settled.
    reply: Subject,
    bytes: usize,
    /// When the server gives it to another member.
    until: Instant,
}

/// What the server is to confirm.
#[derive(Debug)]
struct Word {
    reply: Subject,
    word: Bytes,
    /// Who waits for it.
    op: Option<u64>,
    attempts: u32,
    /// When it is said again.
    due: Option<Instant>,
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
    at: At,
    doubts: Arc<Notify>,
    said: Sender<FromBackbone>,
    mail: mpsc::UnboundedReceiver<ToMember>,
    ops: Ops,
    /// Held while consumers are made and removed, so that this is done in the order of the line.
    turn: Arc<tokio::sync::Mutex<()>>,
    held: HashMap<u64, Held>,
    words: BTreeMap<u64, Word>,
    next_word: u64,
    /// Of which stream the consumer was, once there was one.
    joined: Option<String>,
    leaves: bool,
    is_forgotten: bool,
    warnings: Warnings,
}

impl Member {
    /// A member that wants to be one.
    pub(super) fn new(
        wanted: JoinShared,
        (at, doubts, said): (At, Arc<Notify>, Sender<FromBackbone>),
        (mail, ops): (mpsc::UnboundedReceiver<ToMember>, Ops),
        turn: Arc<tokio::sync::Mutex<()>>,
    ) -> Member {
        Member {
            wanted,
            at,
            doubts,
            said,
            mail,
            ops,
            turn,
            held: HashMap::new(),
            words: BTreeMap::new(),
            next_word: 0,
            joined: None,
            leaves: false,
            is_forgotten: false,
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
            self.words.values_mut().for_each(|word| word.due = None);
            match end {
                End::Left => return,
                End::Lost => {
                    self.doubts.notify_one();
                    tokio::select! {
                        () = gone(&mut at, &place) => {}
                        () = sleep(PAUSE) => {}
                    }
                }
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
                self.ops.finish(op);
            }
        }
    }

    fn forget_words(&mut self) {
        let words = std::mem::take(&mut self.words);
        words.into_values().filter_map(|word| word.op).for_each(|op| self.ops.finish(op));
    }

    /// Takes what it is told. Where nobody is there to tell it more, it leaves.
    fn take(&mut self, told: Option<ToMember>) {
        match told {
            Some(ToMember::Settle { seq, how, op }) => self.settle(seq, how, op),
            Some(ToMember::Forget) => self.is_forgotten = true,
            Some(ToMember::Leave) | None => {
                self.leaves = true;
                for (_, held) in std::mem::take(&mut self.held) {
                    self.say(held.reply, word(&HowSettled::Nak(Duration::ZERO)), None);
                }
            }
        }
    }

    fn settle(&mut self, seq: u64, how: HowSettled, op: u64) {
        let reply = match (&how, self.held.get_mut(&seq)) {
            (HowSettled::Touch, Some(held)) => {
                held.until = Instant::now() + self.wanted.ack_wait;
                Some(held.reply.clone())
            }
            _ => self.held.remove(&seq).map(|held| held.reply),
        };
        match reply {
            Some(reply) => self.say(reply, word(&how), Some(op)),
            // It went to another member, or is settled.
            None => self.ops.finish(op),
        }
    }

    fn say(&mut self, reply: Subject, word: Bytes, op: Option<u64>) {
        self.next_word += 1;
        let word = Word { reply, word, op, attempts: 0, due: None };
        self.words.insert(self.next_word, word);
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
            let now = Instant::now();
            self.ask(place, &mut pull, now).await;
            let due = self.words.values().filter_map(|word| word.due).min();
            // Where the window is full, the next that may come is one that went to another member.
            let until = self.held.values().map(|held| held.until).min();
            let until = until.filter(|_| pull.is_over());
            tokio::select! {
                biased;
                told = self.mail.recv() => self.take(told),
                word = confirmed.next() => match word {
                    Some(word) => self.confirmed(&word),
                    None => return End::Lost,
                },
                pulled = pull.next() => match pulled {
                    Pulled::Message(message) => self.deliver(place, *message),
                    Pulled::Over | Pulled::TooLarge => {}
                    Pulled::Lost => return End::Lost,
                    Pulled::Gone => return self.gone(place).await,
                },
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
                            self.say(reply, word(&HowSettled::Nak(Duration::ZERO)), None);
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
            match consumers::is_there(place, &self.wanted.consumer).await {
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
            self.held.clear();
            self.forget_words();
        }
        let (consumer, pending) = match consumers::join(place, &self.wanted, start).await {
            Ok(found) => found,
            Err(NoConsumer::Never(reason)) => return Err(End::Never(reason)),
            Err(NoConsumer::NotNow(reason)) => {
                tracing::debug!(consumer = %self.wanted.consumer, reason, "it is joined later");
                return Err(End::Lost);
            }
        };
        let pull = Pull::new(place, consumer).await.map_err(|_| End::Lost)?;
        if self.joined.replace(place.created.clone()).is_none() {
            let member = self.wanted.member;
            let _ = self.said.send(FromBackbone::Joined { member, joined: Ok(pending) });
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
        End::Never(format!("the consumer {} was forgotten", self.wanted.consumer))
    }

    /// Asks for as many messages as there is room for.
    async fn ask(&mut self, place: &Place, pull: &mut Pull, now: Instant) {
        if !pull.is_over() {
            return;
        }
        // What its client has kept for too long is another member's.
        self.held.retain(|_, held| held.until > now);
        let window = usize::try_from(self.wanted.window).unwrap_or(usize::MAX);
        let room = window.saturating_sub(self.held.len()).min(MESSAGES);
        let bytes: usize = self.held.values().map(|held| held.bytes).sum();
        // However large they are. How many bytes they may have is not said to the server: of last
        // values it (2.15 too) drops the one that had no room.
        let largest = place.max_payload.max(1);
        let count = room.min((BYTES.saturating_sub(bytes) / largest).max(1));
        if room > 0 && bytes < BYTES {
            pull.ask(count, 0).await;
        }
    }

    fn deliver(&mut self, place: &Place, message: Message) {
        let Some(reply) = message.reply.clone() else { return };
        let Some(arrival) = arrival::read(place, message, &mut self.warnings) else { return };
        let Some(message) = arrival.message else {
            // Nobody else can have it either.
            return self.say(reply, word(&HowSettled::Term), None);
        };
        let until = Instant::now() + self.wanted.ack_wait;
        self.held.insert(arrival.seq, Held { reply, bytes: arrival.bytes, until });
        let (member, attempt) = (self.wanted.member, arrival.attempt);
        let _ = self.said.send(FromBackbone::Delivered { member, attempt, message });
    }

    /// Tells the server what is due.
    async fn tell(&mut self, place: &Place, inbox: &str) {
        let now = Instant::now();
        let mut given_up = Vec::new();
        for (number, word) in &mut self.words {
            if word.due.is_some_and(|due| due > now) {
                continue;
            }
            if self.leaves && word.attempts >= ATTEMPTS {
                given_up.push(*number);
                continue;
            }
            word.attempts += 1;
            word.due = Some(now + PATIENCE);
            let reply = format!("{inbox}.{number}");
            let told =
                place.client.publish_with_reply(word.reply.clone(), reply, word.word.clone());
            if !matches!(timeout(PATIENCE, told).await, Ok(Ok(()))) {
                return;
            }
        }
        for number in given_up {
            let consumer = &self.wanted.consumer;
            tracing::debug!(%consumer, "NATS does not confirm what it knows");
            self.finish(number);
        }
    }

    fn confirmed(&mut self, answer: &Message) {
        let number = answer.subject.as_str().rsplit('.').next();
        let Some(number) = number.and_then(|number| number.parse().ok()) else { return };
        if answer.status != Some(StatusCode::NO_RESPONDERS) {
            return self.finish(number);
        }
        // Its servers are about to agree on who speaks for it. Where it is gone, that is heard of.
        if let Some(word) = self.words.get_mut(&number) {
            word.due = Some(Instant::now() + PAUSE);
        }
    }

    fn finish(&mut self, number: u64) {
        let word = self.words.remove(&number);
        if let Some(op) = word.and_then(|word| word.op) {
            self.ops.finish(op);
        }
    }

    /// Says what is left to be said.
    async fn part(&mut self, place: &Place, inbox: &str, confirmed: &mut Subscriber) -> End {
        loop {
            self.tell(place, inbox).await;
            if self.words.is_empty() {
                return End::Left;
            }
            let due = self.words.values().filter_map(|word| word.due).min();
            tokio::select! {
                word = confirmed.next() => match word {
                    Some(word) => self.confirmed(&word),
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
