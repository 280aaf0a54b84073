//! One that follows a stream: it is given each message of its filter once, in the order of the
//! stream, as fast as it is done with them.

use std::collections::HashMap;
use std::sync::Arc;

use async_nats::jetstream::consumer::{DeliverPolicy, PullConsumer};
use tokio::sync::{Notify, mpsc};

use super::arrival;
use super::consumers::{self, NoConsumer};
use super::member::ToMember;
use super::place::{At, Place, created, doubt, gone, there};
use super::pull::{LARGER, Pull, Pulled};
use super::warnings::Warnings;
use crate::broker::sync::Sender;
use crate::broker::{BESIDE_FOLLOWED, FromBackbone, Incoming, JoinShared, JoinedShared};
use crate::protocol::Start;

/// So many failures, one after another, are worth a word to whoever reads the log: some seconds.
const FAILURES: u32 = 8;
/// How often a stream has less than was read before that is lost: a server that has just begun to
/// lead may not know everything yet.
const TIMES: u32 = 12;

/// How it ended with one consumer.
enum End {
    /// The connection or the consumer is lost.
    Lost,
    /// The client is gone.
    Left,
    /// There will be no consumer.
    Never(String),
}

/// How far it is: behind a message of a stream that was made at a certain time.
#[derive(Debug)]
struct Read {
    created: String,
    seq: u64,
}

/// One that follows.
pub(super) struct Follower {
    wanted: JoinShared,
    at: At,
    doubts: Arc<Notify>,
    said: Sender<FromBackbone>,
    mail: mpsc::UnboundedReceiver<ToMember>,
    /// The messages that it has, with what each counts for, and all of them.
    had: HashMap<u64, usize>,
    bytes: usize,
    /// How far it is, once it has begun.
    read: Option<Read>,
    /// How often the stream had less than was read, and the least that it had then.
    behind: (u32, u64),
    /// How often no consumer could be made, one after another.
    failures: u32,
    /// The consumer that it has made last.
    consumer: Option<String>,
    leaves: bool,
    warnings: Warnings,
}

/// What it reads with one consumer.
struct Reading {
    pull: Pull,
    /// Messages that the consumer has sent.
    delivered: u64,
    /// Messages that it had for it when it was made.
    pending: u64,
    /// Whether all that comes is to come: what each topic had last is behind it.
    is_plain: bool,
    /// Whether the next message is larger than what was asked for.
    is_too_large: bool,
}

impl Follower {
    /// One that wants to follow.
    pub(super) fn new(
        wanted: JoinShared,
        (at, doubts, said): (At, Arc<Notify>, Sender<FromBackbone>),
        mail: mpsc::UnboundedReceiver<ToMember>,
    ) -> Follower {
        Follower {
            wanted,
            at,
            doubts,
            said,
            mail,
            had: HashMap::new(),
            bytes: 0,
            read: None,
            behind: (0, u64::MAX),
            failures: 0,
            consumer: None,
            leaves: false,
            warnings: Warnings::default(),
        }
    }

    /// Follows until it leaves.
    pub(super) async fn run(mut self) {
        let mut at = self.at.clone();
        while !self.leaves {
            let place = tokio::select! {
                place = there(&mut at) => place,
                told = self.mail.recv() => {
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
            match end {
                End::Left => break,
                End::Lost => doubt(&mut at, &place, &self.doubts).await,
                End::Never(reason) => {
                    let member = self.wanted.member;
                    let _ = self.said.send(FromBackbone::Joined { member, joined: Err(reason) });
                    return;
                }
            }
        }
        let place = self.at.borrow().clone();
        if let (Some(place), Some(consumer)) = (place, self.consumer) {
            consumers::forget(&place, &consumer).await;
        }
    }

    /// Takes what it is told. Where nobody is there to tell it more, it leaves.
    fn take(&mut self, told: Option<ToMember>) {
        match told {
            Some(ToMember::Settle { seq, .. }) => {
                self.bytes -= self.had.remove(&seq).unwrap_or_default();
            }
            // It has no consumer of a name that could be forgotten.
            Some(ToMember::Forget) => {}
            Some(ToMember::Leave) | None => self.leaves = true,
        }
    }

    /// Follows with one consumer.
    async fn attend(&mut self, place: &Arc<Place>) -> End {
        let mut reading = match self.begin(place).await {
            Ok(reading) => reading,
            Err(end) => return end,
        };
        loop {
            self.ask(place, &mut reading).await;
            tokio::select! {
                biased;
                told = self.mail.recv() => {
                    self.take(told);
                    while !self.leaves
                        && let Ok(told) = self.mail.try_recv()
                    {
                        self.take(Some(told));
                    }
                }
                pulled = reading.pull.next() => {
                    if let Some(end) = self.take_pulled(place, pulled, &mut reading) {
                        return end;
                    }
                }
            }
            if self.leaves {
                return End::Left;
            }
        }
    }

    /// Makes a consumer that begins where it is wanted, or goes on behind what was read.
    async fn begin(&mut self, place: &Arc<Place>) -> Result<Reading, End> {
        let Ok(info) = place.info().await else { return Err(End::Lost) };
        if created(&info) != place.created {
            return Err(End::Lost);
        }
        let last = info.state.last_sequence;
        let policy = self.policy(place, last)?;
        if let Some(before) = self.consumer.take() {
            consumers::forget(place, &before).await;
        }
        // Its name is known before it is made, so that it is forgotten whatever happens.
        let inbox = place.client.new_inbox();
        let id = inbox.rsplit('.').next().unwrap_or_default();
        let name = self.consumer.insert(format!("babelmq-follows-{id}"));
        let is_of_last_values = matches!(policy, DeliverPolicy::LastPerSubject);
        let made = consumers::follow(place, name, &self.wanted.filter, policy).await;
        let (consumer, mut at): (PullConsumer, JoinedShared) = match made {
            Ok(made) => made,
            Err(NoConsumer::Never(reason)) if self.read.is_none() => {
                return Err(End::Never(reason));
            }
            Err(NoConsumer::Never(reason) | NoConsumer::NotNow(reason)) => {
                self.failures += 1;
                let (stream, filter) = (&place.stream, &self.wanted.filter);
                if self.failures.is_multiple_of(FAILURES) {
                    tracing::warn!(%stream, %filter, "the stream cannot be followed now: {reason}");
                } else {
                    tracing::debug!(%stream, %filter, reason, "it is followed later");
                }
                return Err(End::Lost);
            }
        };
        let pull = Pull::new(place, consumer).await.map_err(|_| End::Lost)?;
        self.failures = 0;
        if is_of_last_values && at.pending == 0 {
            // What came up to there is of other topics.
            at.next = at.next.max(last + 1);
        }
        let is_plain = !is_of_last_values || at.pending == 0;
        if is_plain {
            self.begun(place, at);
        }
        Ok(Reading { pull, delivered: 0, pending: at.pending, is_plain, is_too_large: false })
    }

    /// It has begun: what comes from here on is not missed, also where nothing has come when the
    /// consumer is lost. Of last values, the server says anew what they are until the first of them
    /// has come.
    fn begun(&mut self, place: &Place, at: JoinedShared) {
        if self.read.is_none() {
            self.read = Some(Read { created: place.created.clone(), seq: at.next - 1 });
            let member = self.wanted.member;
            let _ = self.said.send(FromBackbone::Joined { member, joined: Ok(at) });
        }
    }

    /// From where a stream is followed that has messages up to `last`.
    fn policy(&mut self, place: &Place, last: u64) -> Result<DeliverPolicy, End> {
        let Some(read) = &mut self.read else {
            return Ok(consumers::policy(match self.wanted.start {
                // The server would wait for a message of this number.
                Start::Seq(seq) => Start::Seq(seq.min(last + 1)),
                start => start,
            }));
        };
        if read.created != place.created {
            // All that is in a stream that was made anew is new.
            *read = Read { created: place.created.clone(), seq: 0 };
        }
        if read.seq > last {
            let (times, least) = (self.behind.0 + 1, last.min(self.behind.1));
            self.behind = (times, least);
            if times < TIMES {
                return Err(End::Lost);
            }
            tracing::warn!(
                stream = %place.stream, read = read.seq, last = least,
                "the stream has lost messages that were read; it is followed from where it ended"
            );
            read.seq = least;
        }
        self.behind = (0, u64::MAX);
        // Where what each topic had last has not come as a whole, what came behind that comes too:
        // nobody knows any more which of it was a last message.
        Ok(DeliverPolicy::ByStartSequence { start_sequence: read.seq + 1 })
    }

    /// Asks for as many messages as there is room for, where that is not too little.
    async fn ask(&self, place: &Place, reading: &mut Reading) {
        let left = self.wanted.bytes.saturating_sub(self.bytes);
        if !reading.pull.is_over() || left < self.wanted.bytes / 2 {
            return;
        }
        let window = usize::try_from(self.wanted.window).unwrap_or(usize::MAX);
        let most = window.saturating_sub(self.had.len());
        if most == 0 {
            return;
        }
        // Half for the bytes that the server counts, and half for those that it does not.
        let half = (left / 2).max(1);
        if reading.is_plain && !std::mem::take(&mut reading.is_too_large) {
            return reading.pull.ask(most.min((half / BESIDE_FOLLOWED).max(1)), half).await;
        }
        // However large they are. How many bytes they may have is not said to the server: of last
        // values it (2.15 too) drops the one that had no room.
        let largest = place.max_payload.saturating_add(LARGER + BESIDE_FOLLOWED);
        let most = if reading.is_plain { 1 } else { most.min((left / largest).max(1)) };
        reading.pull.ask(most, 0).await;
    }

    /// Takes what was pulled, and what is there besides. Returns how it ends, where it does.
    fn take_pulled(&mut self, place: &Place, first: Pulled, reading: &mut Reading) -> Option<End> {
        let (mut next, mut messages) = (Some(first), Vec::new());
        let end = loop {
            match next {
                Some(Pulled::Message(message)) => {
                    let arrival = arrival::read(place, *message, &mut self.warnings);
                    reading.delivered += 1;
                    let arrival = arrival.filter(|it| it.delivery == reading.delivered);
                    // Some were lost on the way, or it is no message.
                    let Some(arrival) = arrival else { break Some(End::Lost) };
                    reading.is_plain |=
                        arrival.pending == 0 || reading.delivered >= reading.pending;
                    let (pending, next) = (arrival.pending + 1, arrival.seq);
                    self.begun(place, JoinedShared { pending, next });
                    messages.extend(self.had(arrival).map(|message| (1, message)));
                }
                // The last values that there were are no more.
                Some(Pulled::Over) if self.read.is_none() => break Some(End::Lost),
                Some(Pulled::Over) => {}
                Some(Pulled::TooLarge) => reading.is_too_large = true,
                Some(Pulled::Lost | Pulled::Gone) => break Some(End::Lost),
                None => break None,
            }
            next = reading.pull.ready();
        };
        if !messages.is_empty() {
            let member = self.wanted.member;
            let _ = self.said.send(FromBackbone::Delivered { member, messages });
        }
        end
    }

    /// Notes that it has a message, if it is one and has not come before.
    fn had(&mut self, arrival: arrival::Arrival) -> Option<Incoming> {
        let read = self.read.as_mut().filter(|read| arrival.seq > read.seq)?;
        read.seq = arrival.seq;
        let message = arrival.message?;
        let bytes = arrival.bytes + BESIDE_FOLLOWED;
        self.bytes += bytes;
        // Of a stream that was made anew it takes the place of another one.
        self.bytes -= self.had.insert(arrival.seq, bytes).unwrap_or_default();
        Some(message)
    }
}
