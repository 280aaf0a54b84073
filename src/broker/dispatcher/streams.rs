//! Streams, as the dispatcher sees them: one more place where messages go, which gives each of them
//! a number.
//!
//! What takes long, or waits for a disk, is done by the stream's own threads. What is handed to one
//! has a number too, its place in the order, so that an answer can wait for all that came before.

mod administer;
mod append;
mod consume;
mod share;
mod touched;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Dispatcher;
use crate::broker::client_id::{ClientId, Slot};
use crate::broker::delivery::Queued;
use crate::broker::ending::Ending;
use crate::broker::memory::Use;
use crate::broker::persist::{Fsync, StoreError, Ticket};
use crate::broker::routing::{FilterMap, Subscription, Way};
use crate::broker::streams::{
    Announcer, Answer, Burial, Condition, DeadLetter, FromStream, LogReader, OpenStream, Opener,
    Ops, Reach, RecentIds, Request, StreamDefinition, StreamState, StreamStore, StreamTicket,
    StreamsWatch, SyncPlan, What, covers,
};
use crate::broker::sync::thread::JoinHandle;
use crate::broker::sync::{Sender, bounded};
use crate::codec::Dialect;
use crate::protocol::{ErrorCode, Limits, Refusal, Reply, Topic, TopicFilter};

pub(super) use consume::Consuming;
pub(super) use touched::Touched;

/// The stream that keeps dead letters, and what it keeps.
const DEAD: &str = "$dead";
const DEAD_FILTER: &str = "$dead/#";
const DEAD_BYTES: u64 = 1 << 30;
/// Streams that a broker may have: each has two threads.
const MOST: usize = 256;

/// What a broker's streams begin with.
#[derive(Debug)]
pub struct StreamsPlan {
    /// Where their logs are kept; `None` where there can be none.
    pub store: Option<Arc<dyn StreamStore>>,
    /// Those that were asked for.
    pub definitions: Vec<StreamDefinition>,
    /// The way of their threads to the dispatcher.
    pub announcer: Announcer,
    /// When what was written is made to last.
    pub fsync: Fsync,
    /// How often, where it is not at once.
    pub interval: Duration,
    /// What a message may be.
    pub limits: Limits,
}

/// All streams of a broker.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// None where there is no place to keep messages.
    opener: Option<Opener>,
    all: Vec<Option<Stream>>,
    /// Those that keep a topic, by their places.
    filters: FilterMap<Vec<u32>>,
    /// Names of those that are being opened.
    opening: Vec<String>,
    /// The threads that open them, by the last that each opens.
    openers: Vec<(String, JoinHandle<()>)>,
    /// The threads of those that are being removed.
    removed: Vec<(Arc<StreamState>, JoinHandle<()>)>,
    /// Members of consumers so far.
    members: u64,
    /// Those that the messages of this event went to.
    touched: Vec<u32>,
    /// What the next pongs of those wait for whom the dispatcher does not know yet: they have
    /// published, and asked for nothing.
    pub(super) silent: HashMap<ClientId, Touched>,
    /// The dead letter that is being published.
    burial: Option<Burial>,
    /// Topics that brokers share, with the places of their streams.
    shared: FilterMap<u32>,
    /// What a message of a client may be, for those that are told that the backbone takes less.
    shared_limits: Limits,
    /// Whether what is being published has come back from the backbone.
    pub(super) is_arriving: bool,
    /// Topics of it that there was no room to remember.
    unremembered: Vec<Topic>,
    watch: StreamsWatch,
}

/// One stream.
#[derive(Debug)]
struct Stream {
    definition: StreamDefinition,
    /// Its place in the routes.
    slot: Slot,
    /// The number of the next message.
    next: u64,
    /// When the last was published.
    time: u64,
    /// The number of the last thing that was handed over.
    op: u64,
    /// The last of those that a program has waited for, where it is the backbone's.
    flushed: u64,
    requests: Sender<Request>,
    state: Arc<StreamState>,
    reader: Arc<dyn LogReader>,
    ids: RecentIds,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Hands something to the stream's thread.
    fn hand_over(&mut self, what: What) {
        self.op += 1;
        // A thread that has ended has said so in its state.
        let _ = self.requests.send(Request { op: self.op, what });
    }

    /// The ticket that waits for what was handed over as these; `None` where that is done.
    fn ticket(&mut self, ops: Ops, reach: Reach) -> Option<StreamTicket> {
        let ticket = StreamTicket::new(self.state.clone(), ops, reach);
        if ticket.is_done() {
            return None;
        }
        // What is no message is in no hurry by itself.
        if reach == Reach::All {
            self.hand_over(What::Hurry);
        }
        Some(ticket)
    }

    fn name(&self) -> &str {
        &self.definition.name
    }
}

impl Streams {
    fn named(&mut self, name: &str) -> Option<(u32, &mut Stream)> {
        let named = |stream: &Option<Stream>| {
            stream.as_ref().is_some_and(|stream| stream.definition.name == name)
        };
        let place = self.all.iter().position(named)?;
        Some((place as u32, self.all[place].as_mut()?))
    }

    fn at(&mut self, place: u32) -> Option<&mut Stream> {
        self.all.get_mut(place as usize)?.as_mut()
    }

    fn each(&self) -> impl Iterator<Item = &Stream> {
        self.all.iter().flatten()
    }

    /// Whether some take no messages at present.
    pub(super) fn any_closed(&self) -> bool {
        self.each().any(|stream| stream.state.condition() != Condition::Open)
    }

    /// Forgets a consumer, whoever made it.
    pub(super) fn forget_consumer(&mut self, stream: &str, consumer: &str) {
        if let Some((_, stream)) = self.named(stream) {
            // Nobody waits for the answer.
            let (answer, _) = bounded(1);
            stream.hand_over(What::RemoveConsumer { consumer: consumer.to_owned(), answer });
        }
    }

    /// The stream that keeps everything that a filter matches.
    ///
    /// # Errors
    /// [`ErrorCode::NoStream`] where there is none of this name, or none, or more than one.
    fn covering(&self, filter: &TopicFilter, name: Option<&str>) -> Result<u32, Refusal> {
        let mut covering = self.all.iter().enumerate().filter_map(|(place, stream)| {
            let stream = stream.as_ref()?;
            let is_named = name.is_none_or(|name| name == stream.name());
            (is_named && covers(&stream.definition.filter, filter))
                .then_some((place as u32, stream))
        });
        let first = covering.next();
        let second = covering.next();
        let refused =
            |reason: String| Err(Refusal::new(ErrorCode::NoStream, reason).about(filter.as_str()));
        match (first, second, name) {
            (Some((place, _)), None, _) => Ok(place),
            (Some((_, one)), Some((_, other)), _) => refused(format!(
                "the streams {} and {} both keep {filter}; say which with \"stream\"",
                one.name(),
                other.name()
            )),
            (None, _, Some(name)) if self.each().any(|stream| stream.name() == name) => {
                refused(format!("the stream {name} does not keep all of {filter}"))
            }
            (None, _, Some(name)) => refused(no_stream(name)),
            (None, _, None) => refused(format!(
                "no stream keeps all of {filter}; start the broker with --stream, or add one with \
                 `babelmq stream add`"
            )),
        }
    }
}

/// Why a stream of this name cannot be had.
fn no_stream(name: &str) -> String {
    format!("there is no stream {name:?}; `babelmq stream ls` shows those that there are")
}

impl Dispatcher {
    /// Opens the streams that the store keeps, and those that were asked for, which take the place
    /// of others of the same name.
    ///
    /// # Errors
    /// [`StoreError`] where one of them cannot be opened, or there is no place for any.
    pub fn open_streams(&mut self, plan: StreamsPlan) -> Result<(), StoreError> {
        let StreamsPlan { store, definitions, announcer, fsync, interval, limits } = plan;
        let Some(store) = store else {
            let Some(first) = definitions.first() else { return Ok(()) };
            let reason = format!(
                "the stream {} has no place: what keeps this broker's values keeps no streams \
                 (serve --data-dir does)",
                first.name
            );
            return Err(StoreError::new(reason));
        };
        let plan = SyncPlan { fsync, interval, counters: self.counters.clone() };
        let watch = self.streams.watch.clone();
        let memory = self.memory.clone();
        let opener = Opener { store, announcer, plan, limits, memory, watch };
        let mut all = opener.store.list()?;
        for kept in &all {
            let changed = definitions
                .iter()
                .find(|defined| defined.name == kept.name && defined.filter != kept.filter);
            if let Some(defined) = changed {
                let reason = format!(
                    "the stream {} keeps {}, and --stream says {}: a filter cannot be changed; \
                     choose another name, or remove the stream with `babelmq stream rm`",
                    kept.name, kept.filter, defined.filter
                );
                return Err(StoreError::new(reason));
            }
        }
        all.retain(|kept| !definitions.iter().any(|defined| defined.name == kept.name));
        all.extend(definitions);
        if !all.is_empty() && !all.iter().any(|stream| stream.name == DEAD) {
            all.extend(dead_letters());
        }
        if all.len() > MOST {
            let reason = format!("there are {} streams, and a broker may have {MOST}", all.len());
            return Err(StoreError::new(reason));
        }
        for definition in all {
            let open = opener.open(definition)?;
            self.add_stream(open);
        }
        self.streams.opener = Some(opener);
        Ok(())
    }

    /// Takes in a stream whose threads run.
    fn add_stream(&mut self, open: OpenStream) {
        let OpenStream { definition, requests, state, reader, ids, time, thread } = open;
        let place = match self.streams.all.iter().position(Option::is_none) {
            Some(place) => place,
            None => {
                self.streams.all.push(None);
                self.streams.all.len() - 1
            }
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as Slot
        });
        let filter = definition.filter.clone();
        if state.shared().is_some() {
            self.streams.shared.insert(filter, place as u32);
        } else {
            self.subscriptions.add(Subscription {
                slot,
                filter: filter.clone(),
                // What is kept is what was published.
                dialect: Dialect::Json,
                way: Way::Stream(place as u32),
                cleared: false,
                limit: None,
            });
            self.subscriptions_changed();
            self.streams.keep(&filter, place as u32);
        }
        let next = reader.next();
        let stream = Stream {
            definition,
            slot,
            next,
            time,
            op: 0,
            flushed: 0,
            requests,
            state,
            reader,
            ids,
            thread: Some(thread),
        };
        self.streams.all[place] = Some(stream);
    }

    /// Forgets a stream, which is removed with all that it holds; `answer` is told when it is gone.
    fn remove_stream(&mut self, place: u32, answer: Answer) {
        let Some(mut stream) = self.streams.all.get_mut(place as usize).and_then(Option::take)
        else {
            return;
        };
        // Another stream may have the place later, and owes nothing to those who used this one.
        for touched in self.streams.silent.values_mut() {
            touched.forget(place);
        }
        let mut left = Vec::new();
        for (slot, client) in self.slots.iter_mut().enumerate() {
            let Some(client) = client else { continue };
            client.more.touched.forget(place);
            for consuming in
                client.more.consuming.extract_if(.., |consuming| consuming.is_of(place))
            {
                client.delivered += consuming.feed().delivered();
                left.push((slot as Slot, client.token, consuming.end()));
            }
        }
        for (slot, token, filter) in left {
            let reason = format!("the stream {} was removed", stream.name());
            let refusal = Refusal::new(ErrorCode::NoStream, reason).about(filter.as_str());
            self.reply(slot, token, Reply::Error(refusal));
        }
        let filter = &stream.definition.filter;
        self.subscriptions.remove(stream.slot, filter);
        self.streams.forget(filter, place);
        self.free.push(stream.slot);
        self.subscriptions_changed();
        stream.hand_over(What::Remove { answer });
        for (_, thread) in self.streams.removed.extract_if(.., |(state, _)| state.is_over()) {
            // It has nothing left to do.
            let _ = thread.join();
        }
        let thread = stream.thread.take();
        self.streams.removed.extend(thread.map(|thread| (stream.state.clone(), thread)));
    }

    /// Takes what the thread of a stream has to say.
    pub(super) fn hear(&mut self, said: FromStream) {
        match said {
            FromStream::Due(feed) => {
                let Some(&slot) = self.by_id.get(&feed.client) else { return };
                let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
                if let Err(why) = client.outbox.announce_feed(&feed) {
                    return self.let_go(slot, why);
                }
                // What it is told from now on stands behind all that its subscription began with.
                if let Some(bell) = client.outbox.bell() {
                    feed.ring_by(bell);
                }
            }
            FromStream::Bury(letter) => {
                let DeadLetter { batch, burial } = *letter;
                self.streams.burial = Some(burial);
                // What the broker publishes itself is not refused.
                drop(self.publish(Box::new(batch), false));
                // A broker without streams keeps no dead letters: whoever subscribes has it now.
                if let Some(Burial { to, consumer, seq }) = self.streams.burial.take() {
                    let _ = to.send(Request { op: 0, what: What::Buried { consumer, seq } });
                }
                self.streams.forget_touched();
            }
            FromStream::Opened(opened) => self.opened(*opened),
            FromStream::Arrived(arrival) => self.arrive(*arrival),
        }
    }

    /// Notes which streams the messages of a client have gone to: its pongs wait for them, and it
    /// waits itself while too much waits for their disks.
    pub(super) fn note_touched(&mut self, client: Option<ClientId>, queued: &Queued) {
        for place in std::mem::take(&mut self.streams.touched) {
            let Some(stream) = self.streams.at(place) else { continue };
            queued.note_stream(&stream.state);
            let op = stream.op;
            let Some(client) = client else { continue };
            match self.by_id.get(&client) {
                Some(&slot) => self.touch(slot, place, Reach::Messages, op),
                // It has been told nothing so far, and asks later.
                None => {
                    let silent = self.streams.silent.entry(client).or_default();
                    silent.note(
                        (place, Reach::Messages, (op..=op).into()),
                        self.memory.of(Use::Connections),
                    );
                }
            }
        }
    }

    /// Notes that a client's next pong waits for what was handed to a stream: for its messages, or
    /// for all of it.
    fn touch(&mut self, slot: Slot, place: u32, reach: Reach, op: u64) {
        let Some(Some(client)) = self.slots.get_mut(slot as usize) else { return };
        client
            .more
            .touched
            .note((place, reach, (op..=op).into()), self.memory.of(Use::Connections));
    }

    /// The ticket that a client's `pong` has to wait for.
    pub(super) fn pong_ticket_of(&mut self, slot: Slot) -> Option<Ticket> {
        let values = self.pong_ticket();
        let mut tickets = Vec::new();
        if let Some(Some(client)) = self.slots.get_mut(slot as usize) {
            let waits_for_disk = self.streams.waits_for_disk();
            for (place, touched, ops) in client.more.touched.take() {
                let Some(stream) = self.streams.at(place) else { continue };
                let waits = waits_for_disk || stream.is_shared();
                let reach = if waits { touched } else { Reach::Written };
                if let Some(ticket) = stream.ticket(ops.clone(), reach) {
                    // What was given up is said once, and a connection of the broker's own
                    // protocol ends with that.
                    if !ticket.is_given_up() {
                        let share = self.memory.of(Use::Connections);
                        client.more.touched.note((place, touched, ops), share);
                    }
                    tickets.push(ticket);
                }
            }
        }
        let ticket = match values {
            Some(values) => values.and_streams(tickets),
            None if tickets.is_empty() => return None,
            None => Ticket::of_streams(tickets),
        };
        Some(ticket.of_client(&self.counters))
    }

    /// The ticket to be waited for before everything that was published is where it is kept.
    ///
    /// Of what brokers share it is asked once: what was given up since it was asked before.
    pub(super) fn ticket_of_all(&mut self, and_shared: bool) -> Option<Ticket> {
        let values = self.ticket();
        let fsync = self.streams.opener.as_ref().map(|opener| opener.plan.fsync);
        let durable = fsync.is_some_and(|fsync| fsync != Fsync::Never);
        let reach = if durable { Reach::All } else { Reach::Written };
        let streams = self.streams.all.iter_mut().flatten();
        let ticket = |stream: &mut Stream| {
            if !stream.is_shared() {
                return stream.ticket((stream.op..=stream.op).into(), reach);
            }
            let first = if and_shared { stream.flushed + 1 } else { return None };
            stream.flushed = stream.op;
            (first <= stream.op)
                .then(|| stream.ticket((first..=stream.op).into(), Reach::All))
                .flatten()
        };
        let streams: Vec<StreamTicket> = streams.filter_map(ticket).collect();
        match values {
            Some(values) => Some(values.and_streams(streams)),
            None if streams.is_empty() => None,
            None => Some(Ticket::of_streams(streams)),
        }
    }

    /// How far the disks are, for the one that waits for the broker's end.
    pub fn ending(&self) -> Ending {
        let values = self.checkpointer.as_ref().map(|checkpointer| checkpointer.progress().clone());
        Ending { values, streams: self.streams.watch.clone() }
    }

    /// Ends all streams, and waits until what they hold is written.
    pub(super) fn finish_streams(&mut self) {
        let openers = std::mem::take(&mut self.streams.openers).into_iter().map(|(_, one)| one);
        let removed = std::mem::take(&mut self.streams.removed).into_iter().map(|(_, one)| one);
        let mut threads: Vec<JoinHandle<()>> = openers.chain(removed).collect();
        // The dead letters of the others may still come to the one that keeps them.
        let (dead, others): (Vec<Stream>, Vec<Stream>) = std::mem::take(&mut self.streams.all)
            .into_iter()
            .flatten()
            .partition(|stream| stream.name() == DEAD);
        for mut stream in others.into_iter().chain(dead) {
            stream.hand_over(What::Stop);
            threads.extend(stream.thread.take());
        }
        for thread in threads {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Streams {
    fn keep(&mut self, filter: &TopicFilter, place: u32) {
        match self.filters.get_mut(filter) {
            Some(places) => places.push(place),
            None => {
                self.filters.insert(filter.clone(), vec![place]);
            }
        }
    }

    fn forget(&mut self, filter: &TopicFilter, place: u32) {
        let Some(places) = self.filters.get_mut(filter) else { return };
        places.retain(|other| *other != place);
        if places.is_empty() {
            self.filters.remove(filter);
        }
    }

    /// Forgets which streams the last messages have gone to: nobody waits for them.
    pub(super) fn forget_touched(&mut self) {
        self.touched.clear();
    }

    /// Whether a pong waits for the disk, and not only for the system to have what was written.
    fn waits_for_disk(&self) -> bool {
        self.opener.as_ref().is_some_and(|opener| opener.plan.fsync == Fsync::Always)
    }
}

/// The stream that keeps dead letters, up to a gigabyte of them unless it is defined anew.
fn dead_letters() -> Option<StreamDefinition> {
    let filter = TopicFilter::parse(DEAD_FILTER).ok()?;
    let mut definition = StreamDefinition::new(DEAD, filter).ok()?;
    definition.bytes = Some(DEAD_BYTES);
    Some(definition)
}
