//! Everything that a stream has, in its order, once: from where this broker's values are, or each
//! topic's last message and then what follows.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::arrival;
use super::place::{At, Place, created, doubt, gone, there, words};
use super::pull::{LARGER, Pull, Pulled};
use super::subject;
use super::warnings::Warnings;
use crate::broker::sync::Sender;
use crate::broker::{Arrived, FromBackbone, Incoming, Position, Room, SharedTopics};

/// How much may be on its way to the broker, how much is asked for at once, and how much is handed
/// over together.
const ROOM: usize = 16 << 20;
const CHUNK: usize = 1 << 20;
const ASKED: usize = 4_096;
const MESSAGES: usize = 256;
/// What a message takes beside its bytes.
const MESSAGE: usize = 512;
/// A consumer that nobody asks is forgotten by the server after so long.
const IDLE: Duration = Duration::from_secs(120);
/// So many failures, one after another, are worth a word to whoever reads the log: some seconds.
const FAILURES: u32 = 8;
/// How often a stream has less than was read before that is lost: a server that has just begun to
/// lead may not know everything yet.
const TIMES: u32 = 12;

/// Where it goes on: behind a message of a stream that was made at a certain time.
#[derive(Clone, Debug)]
struct Read {
    epoch: Arc<str>,
    seq: u64,
    /// Whether the last values, with which it begins, are behind it, or some of them.
    has_begun: bool,
}

impl Read {
    fn is_of(&self, created: &str) -> bool {
        self.epoch.split(CUT_OFF).next() == Some(created)
    }
}

/// What stands between the time of a stream and a mark of its own, where the stream has lost
/// messages that were read: its numbers are given anew, so it is another one.
const CUT_OFF: char = '~';

/// Reads one line's stream.
pub(super) struct Reader {
    topics: SharedTopics,
    at: At,
    doubts: Arc<Notify>,
    said: Sender<FromBackbone>,
    read: Option<Read>,
    /// The last message that the broker has; what is read and is no message, it has not.
    handed_over: u64,
    /// The last that the stream had, when it was asked.
    known: u64,
    /// How often the stream had less than was read.
    behind: u32,
    /// How often it could not be read, one after another.
    failures: u32,
    /// Where the connection was lost, and how often in succession.
    lost_at: u64,
    losses: u32,
    room: Arc<Semaphore>,
    /// In which place it has begun: what is stored from now on, it gets.
    begun: watch::Sender<u64>,
    warnings: Warnings,
}

impl Reader {
    /// A reader that goes on behind `position`.
    pub(super) fn new(
        topics: SharedTopics,
        position: Option<Position>,
        at: At,
        doubts: Arc<Notify>,
        said: Sender<FromBackbone>,
        begun: watch::Sender<u64>,
    ) -> Reader {
        let read = position.map(|at| Read { epoch: at.epoch.into(), seq: at.seq, has_begun: true });
        Reader {
            topics,
            at,
            doubts,
            said,
            handed_over: read.as_ref().map_or(0, |read| read.seq),
            read,
            known: 0,
            behind: 0,
            failures: 0,
            lost_at: 0,
            losses: 0,
            room: Arc::new(Semaphore::new(ROOM)),
            begun,
            warnings: Warnings::default(),
        }
    }

    /// Reads until the line is over.
    pub(super) async fn run(mut self) {
        let mut at = self.at.clone();
        while let Some(place) = there(&mut at).await {
            let mut watched = self.at.clone();
            let ended = tokio::select! {
                () = gone(&mut watched, &place) => {
                    self.note_loss(&place.stream);
                    continue;
                }
                ended = self.attend(&place) => ended,
            };
            if let Err(reason) = ended {
                self.failures += 1;
                if self.failures.is_multiple_of(FAILURES) {
                    tracing::warn!(
                        stream = %place.stream,
                        "the stream cannot be read, and nothing is published to it until it can: \
                         {reason}"
                    );
                } else {
                    tracing::debug!(stream = %place.stream, reason, "reading begins anew");
                }
                doubt(&mut at, &place, &self.doubts).await;
            }
        }
    }

    /// Notes that the connection was lost. A message that the client of NATS cannot read ends it,
    /// each time anew.
    fn note_loss(&mut self, stream: &str) {
        let seq = self.read.as_ref().map_or(0, |read| read.seq);
        self.losses = if self.lost_at == seq { self.losses + 1 } else { 1 };
        self.lost_at = seq;
        if self.losses.is_multiple_of(FAILURES) {
            tracing::warn!(
                stream,
                seq,
                losses = self.losses,
                "the connection to NATS was lost each time behind this message of the stream: if \
                 it is sound, the next one has headers that cannot be read (not UTF-8, or no \
                 name: value); look with nats stream get, and delete it with nats stream rmm"
            );
        }
    }

    /// Reads with one consumer, until it is lost.
    async fn attend(&mut self, place: &Place) -> Result<(), String> {
        let state = place.info().await?;
        if created(&state) != place.created {
            return Err("the stream was made anew".to_owned());
        }
        let state = state.state;
        let (first, last) = (state.first_sequence, state.last_sequence);
        let is_behind =
            self.read.as_ref().is_some_and(|read| read.is_of(&place.created) && read.seq > last);
        self.behind = if is_behind { self.behind + 1 } else { 0 };
        if (1..TIMES).contains(&self.behind) {
            return Err("the stream has not as much as was read".to_owned());
        }
        let policy = match &self.read {
            Some(read) if is_behind => {
                tracing::warn!(
                    stream = %place.stream, read = read.seq, last,
                    "the stream has lost messages that were read; each topic's last is read anew"
                );
                let mark = format!("{}{CUT_OFF}{last}-{}", place.created, read.seq);
                self.begin(mark);
                DeliverPolicy::LastPerSubject
            }
            Some(read) if read.is_of(&place.created) && read.has_begun && read.seq + 1 >= first => {
                DeliverPolicy::ByStartSequence { start_sequence: read.seq + 1 }
            }
            // What is between is forgotten, or nothing came yet.
            Some(read) if read.is_of(&place.created) => DeliverPolicy::LastPerSubject,
            _ => {
                self.begin(place.created.clone());
                DeliverPolicy::LastPerSubject
            }
        };
        let is_of_last_values = matches!(policy, DeliverPolicy::LastPerSubject);
        self.known = last;
        let consumer = self.consumer(place, policy).await?;
        let pending = consumer.cached_info().num_pending;
        // Of last values, the server says anew what they are as long as none of them has come.
        if pending == 0 || !is_of_last_values {
            self.begun.send_replace(place.number);
        }
        if pending == 0 {
            if let Some(read) = &mut self.read {
                // What comes later is no last value: it is read from here on, all of it. That may
                // have come already: the consumer's server can be behind the one that was asked.
                read.seq = read.seq.max(first.saturating_sub(1));
                read.has_begun = true;
            }
            // The broker has everything, and would wait for the next message to know it.
            self.hand_over(Vec::new(), 0, Room::default());
        }
        let mut pull = Pull::new(place, consumer).await?;
        let (mut delivered, mut left) = (0, None);
        // Last values are asked for without saying how many bytes: the server (2.15 too) drops the
        // one that had no room.
        let mut is_plain = pending == 0 || !is_of_last_values;
        let mut is_too_large = false;
        loop {
            if pull.is_over() {
                drop(left.take());
                let largest = place.max_payload.saturating_add(LARGER);
                let (count, bytes) = match (is_plain, is_too_large) {
                    (true, false) => (ASKED, CHUNK.max(largest)),
                    (true, true) => (1, 0),
                    (false, _) => ((ROOM / 2 / largest).clamp(1, MESSAGES), 0),
                };
                is_too_large = false;
                let taken = if bytes > 0 { bytes } else { count.saturating_mul(largest) };
                let taken = taken.saturating_add(count * MESSAGE);
                let permits = u32::try_from(taken.min(ROOM)).unwrap_or(u32::MAX);
                left = self.room.clone().acquire_many_owned(permits).await.ok();
                pull.ask(count, bytes).await;
            }
            let mut next = Some(pull.next().await);
            let (mut messages, mut taken, mut reached) = (Vec::new(), 0, None);
            while let Some(pulled) = next {
                match pulled {
                    Pulled::Message(message) => {
                        let arrival = arrival::read(place, *message, &mut self.warnings);
                        let arrival = arrival.ok_or("a message without a number")?;
                        delivered += 1;
                        if arrival.delivery != delivered {
                            self.hand_over_to(messages, reached, taken, &mut left);
                            return Err("messages were lost on the way".to_owned());
                        }
                        taken += arrival.bytes + MESSAGE;
                        reached = Some((arrival.seq, arrival.pending));
                        is_plain |= arrival.pending == 0 || delivered >= pending;
                        let is_new = self.read.as_ref().is_none_or(|read| arrival.seq > read.seq);
                        messages.extend(arrival.message.filter(|_| is_new));
                    }
                    // Where the last values are no more, none comes.
                    Pulled::Over => drop(self.begun.send_replace(place.number)),
                    Pulled::TooLarge => is_too_large = true,
                    Pulled::Gone | Pulled::Lost => {
                        self.hand_over_to(messages, reached, taken, &mut left);
                        return Err("the consumer is gone".to_owned());
                    }
                }
                let is_full = messages.len() >= MESSAGES || taken >= CHUNK;
                next = if is_full { None } else { pull.ready() };
            }
            self.hand_over_to(messages, reached, taken, &mut left);
            self.begun.send_replace(place.number);
            self.failures = 0;
        }
    }

    /// Begins with a stream that is another one.
    fn begin(&mut self, epoch: String) {
        self.read = Some(Read { epoch: epoch.into(), seq: 0, has_begun: false });
        self.handed_over = 0;
    }

    /// Hands over what came, up to the message `seq`, with the room that it takes.
    fn hand_over_to(
        &mut self,
        messages: Vec<Incoming>,
        reached: Option<(u64, u64)>,
        taken: usize,
        left: &mut Option<OwnedSemaphorePermit>,
    ) {
        let Some((seq, pending)) = reached else { return };
        let room = left.as_mut().and_then(|left| left.split(taken.min(left.num_permits())));
        if let Some(read) = &mut self.read {
            // Each topic's last message comes in the order of the stream too.
            read.seq = read.seq.max(seq);
            read.has_begun = true;
        }
        self.hand_over(messages, pending, room.map_or_else(Room::default, Room::of));
    }

    fn hand_over(&mut self, messages: Vec<Incoming>, pending: u64, room: Room) {
        let Some(Read { epoch, seq, .. }) = &self.read else { return };
        self.handed_over = messages.last().map_or(self.handed_over, |last| last.seq);
        let last = match pending {
            // What follows may be no message, or deleted.
            0 => self.handed_over,
            _ if *seq < self.known => self.known,
            pending => seq + pending,
        };
        let arrived = Arrived { epoch: epoch.clone(), messages, last, room };
        let _ = self.said.send(FromBackbone::Arrived(arrived));
    }

    /// A consumer that is forgotten when nobody asks it.
    async fn consumer(&self, place: &Place, policy: DeliverPolicy) -> Result<PullConsumer, String> {
        let mut config = pull::Config {
            description: Some("what a babelmq broker has read".to_owned()),
            deliver_policy: policy,
            ack_policy: AckPolicy::None,
            inactive_threshold: IDLE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let mut subjects = subject::of_filter(&self.topics.filter);
        match subjects.len() {
            1 => config.filter_subject = subjects.remove(0),
            _ => config.filter_subjects = subjects,
        }
        let made = place.jetstream.create_consumer_on_stream(config, &place.stream).await;
        made.map_err(|error| words(&error))
    }
}
