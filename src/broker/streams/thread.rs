//! A stream's thread: it writes what the dispatcher hands over, and says which messages each
//! consumer's members are due.
//!
//! It is the only one that appends to the log, and the only one that knows its consumers. A second
//! thread waits for the disk, so that this one goes on meanwhile.

mod admin;
mod age_clock;
mod burial;
mod consumers;
mod journal;
mod look;
mod sync;
mod write;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::announcer::Announcer;
use super::consumer::MemberId;
use super::definition::StreamDefinition;
use super::feed::Feed;
use super::log::{Log, LogReader, LogWriter, StreamStore};
use super::request::{Answer, Append, Burial, Request, What};
use super::state::{News, StreamState};
use crate::broker::sync::{HashMap, Instant, Receiver, Sender};
use crate::broker::wall_clock;
use crate::codec::{Account, Claim};
use crate::protocol::{Limits, Refusal, Reply};
use age_clock::AgeClock;
use journal::Consumers;
use sync::Syncing;

pub(in crate::broker) use consumers::MAX_CONSUMERS;
pub(in crate::broker) use sync::SyncPlan;

/// Requests that are taken together before anything is written, and bytes of their messages.
const TOGETHER: usize = 256;
const TOGETHER_BYTES: usize = 4 << 20;
/// How often the log is held to its limit of age.
const TRIM: Duration = Duration::from_secs(1);
/// Time between a failure of the disk and the next try.
const RETRY: Duration = Duration::from_secs(1);

/// What a stream's thread begins with.
#[derive(Debug)]
pub(in crate::broker) struct NewStream {
    pub(in crate::broker) definition: StreamDefinition,
    pub(in crate::broker) store: Arc<dyn StreamStore>,
    pub(in crate::broker) log: Log,
    pub(in crate::broker) state: Arc<StreamState>,
    pub(in crate::broker) announcer: Announcer,
    pub(in crate::broker) plan: SyncPlan,
    pub(in crate::broker) limits: Limits,
    /// The stream's account with the memory of all.
    pub(in crate::broker) account: Account,
}

/// A stream's thread.
#[derive(Debug)]
pub(in crate::broker) struct StreamThread {
    definition: StreamDefinition,
    store: Arc<dyn StreamStore>,
    writer: Box<dyn LogWriter>,
    reader: Arc<dyn LogReader>,
    state: Arc<StreamState>,
    announcer: Announcer,
    limits: Limits,
    requests: Receiver<Request>,
    /// Another end of the same, for those who answer later.
    own: Sender<Request>,
    syncing: Syncing,
    consumers: Consumers,
    members: HashMap<MemberId, Member>,
    followers: Vec<Arc<Feed>>,
    /// Messages that are not written yet, in order.
    unwritten: VecDeque<Append>,
    /// Notes of consumers that are not written yet.
    notes: Vec<Vec<u8>>,
    /// The moment that its clock counts from.
    began: Instant,
    /// The last request that was taken.
    op: u64,
    /// The first message that is kept, as far as consumers know.
    first: u64,
    /// What was written that the disk was not told to keep.
    news: News,
    /// Bytes of messages in that.
    news_bytes: usize,
    /// Messages were written, and not many.
    is_brief: bool,
    /// Somebody waits until all of it is on the disk.
    is_hurried: bool,
    /// All messages up to this request are on the disk, which is not said yet.
    untold: Option<u64>,
    /// The disk could not be written to; it is tried again then.
    failed: Option<Instant>,
    trimmed: Instant,
    ages: AgeClock,
    /// Memory for the index of what was written last.
    index: Claim,
    /// The log could not be read then; it is tried again.
    unreadable: Option<Instant>,
    /// Whether some consumer has more to do than one step does.
    is_busy: bool,
    /// Those who are told when their dead letters, which are these messages, are safe.
    burials: VecDeque<(u64, Burial)>,
    is_stopping: bool,
    /// Who is told when the stream is gone.
    removal: Option<Answer>,
}

/// One connection's share of a consumer.
#[derive(Debug)]
struct Member {
    consumer: Arc<str>,
    feed: Arc<Feed>,
}

impl StreamThread {
    /// One that goes on where the log ends. Returns it with the end that requests go to.
    ///
    /// # Errors
    /// Words that say what cannot be written or started.
    pub(in crate::broker) fn new(
        new: NewStream,
    ) -> Result<(StreamThread, Sender<Request>), String> {
        let NewStream { definition, store, log, state, announcer, plan, limits, account } = new;
        let Log { mut writer, mut sync, reader, notes } = log;
        let (own, requests) = crate::broker::sync::unbounded();
        let (mut consumers, is_cut) =
            journal::restore(&definition.name, &notes, reader.first(), reader.next());
        if is_cut {
            // Before other messages have the numbers of those that are lost.
            let forgotten = consumers.rewrite(&mut *writer);
            let forgotten = forgotten.and_then(|()| sync.sync());
            forgotten
                .map_err(|error| format!("cannot write down how far consumers are: {error}"))?;
        }
        for entry in consumers.all.values_mut() {
            entry.look_at(&definition.filter);
        }
        state.set_readable(reader.next());
        state.set_consumers(consumers.all.len());
        let syncing = Syncing::begin(&definition.name, sync, plan, state.clone(), own.clone())
            .map_err(|error| format!("cannot start the thread that waits for the disk: {error}"))?;
        let mut thread = StreamThread {
            first: reader.first(),
            definition,
            store,
            writer,
            reader,
            state,
            announcer,
            limits,
            requests,
            own: own.clone(),
            syncing,
            consumers,
            members: HashMap::default(),
            followers: Vec::new(),
            unwritten: VecDeque::new(),
            notes: Vec::new(),
            began: Instant::now(),
            op: 0,
            news: News::default(),
            news_bytes: 0,
            is_brief: false,
            is_hurried: false,
            untold: None,
            failed: None,
            trimmed: Instant::now(),
            ages: AgeClock::new(wall_clock(), Instant::now()),
            index: account.charge(0),
            unreadable: None,
            is_busy: true,
            burials: VecDeque::new(),
            is_stopping: false,
            removal: None,
        };
        // What consumers say of messages that a cut of power has lost must not be taken for what
        // they say of those that get their numbers.
        thread.gather_notes();
        let noted = thread.write_notes().map_err(|error| error.reason().to_owned());
        noted.map(|()| (thread, own))
    }

    /// Runs until it is told to stop, and everything is written or given up.
    pub(in crate::broker) fn run(mut self) {
        let _end = End(self.state.clone());
        while !self.is_stopping {
            self.turn();
        }
        self.finish();
        if let Some(answer) = self.removal.take() {
            // Nobody misses what it did not write.
            self.state.take_off(usize::MAX, u64::MAX);
            let removed = self.store.remove(&self.definition.name);
            let removed = removed.map_err(|error| self.failed(&error));
            let _ = answer.send(removed.and_then(|()| done(&self.definition.name, None)));
        }
    }

    /// Takes what there is, writes it, and gives consumers what they are due.
    fn turn(&mut self) {
        let Some(first) = self.next_request() else {
            return self.go_on();
        };
        let (mut taken, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(request) = next {
            bytes += self.take(request);
            taken += 1;
            let is_enough = taken == TOGETHER || bytes >= TOGETHER_BYTES || self.is_stopping;
            next = if is_enough { None } else { self.requests.try_recv().ok() };
        }
        self.go_on();
    }

    fn go_on(&mut self) {
        let now = self.now();
        for (consumer, damage) in self.state.take_damages() {
            if let Some(entry) = self.consumers.all.get_mut(&consumer) {
                entry.machine.pass_over(damage.from, damage.to);
            }
            // What was deleted is no damage.
            if !damage.reason.is_empty() {
                self.report_damage(&consumer, &damage);
            }
        }
        let mut have_less = false;
        for entry in self.consumers.all.values_mut() {
            have_less |= entry.machine.expire(now);
        }
        if have_less {
            self.note_all_outstanding();
        }
        self.write(Instant::now());
        self.hand_out();
        // Behind what consumers get, which is on a longer way.
        self.tell();
        self.bury_dead();
        self.prepare();
    }

    /// Waits for the next request, until something else is to be done.
    fn next_request(&mut self) -> Option<Request> {
        if self.is_busy {
            return self.requests.try_recv().ok();
        }
        let began = self.began;
        let due = self.consumers.all.values_mut().filter_map(|entry| entry.machine.next_due());
        let due = due.min().map(|due| began + Duration::from_millis(due));
        let trim = self.definition.age.map(|_| self.trimmed + TRIM);
        let retry = self.failed.map(|failed| failed + RETRY);
        let reread = self.unreadable.map(|unreadable| unreadable + RETRY);
        match due.into_iter().chain(trim).chain(retry).chain(reread).min() {
            None => self.requests.recv().ok(),
            Some(at) => self.requests.recv_deadline(at).ok(),
        }
    }

    /// Takes in one request. Returns how many bytes of messages it has.
    fn take(&mut self, Request { op, what }: Request) -> usize {
        self.op = self.op.max(op);
        match what {
            What::Append(append) => {
                let bytes = append.bytes;
                self.unwritten.push_back(append);
                return bytes;
            }
            // Topics that are shared are in no stream of a disk.
            What::Clear { .. } => {}
            What::Join(join) => self.join(*join),
            What::Follow { feed, start, next, answer } => self.follow(feed, start, next, &answer),
            What::Leave { feed, member } => self.leave(&feed, member),
            What::Settle { member, what } => self.settle(member, what),
            What::Acked { feed } => self.take_acks(&feed),
            What::Buried { consumer, seq } => {
                if let Some(entry) = self.consumers.all.get_mut(&consumer) {
                    entry.machine.bury(seq);
                }
            }
            What::Synced { next } => self.reach(next),
            What::Hurry => self.is_hurried = true,
            What::Define { definition, answer } => self.define(definition, &answer),
            What::Reset { consumer, start, next, answer } => {
                self.reset(&consumer, start, next, &answer);
            }
            What::RemoveConsumer { consumer, answer } => self.remove_consumer(&consumer, &answer),
            What::Retry { consumer, seq, answer } => self.retry(&consumer, seq, &answer),
            What::Delete { seq, answer } => self.delete(seq, &answer),
            What::Report { answer } => {
                let _ = answer.send(self.report());
            }
            What::Stop => self.is_stopping = true,
            What::Remove { answer } => {
                self.is_stopping = true;
                self.removal = Some(answer);
            }
        }
        0
    }
}

/// Those that wait must not wait for ever, however the thread ends.
#[derive(Debug)]
struct End(Arc<StreamState>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// An answer that says that something was done.
fn done(stream: &str, consumer: Option<&str>) -> Result<Reply, Refusal> {
    Ok(Reply::Done { stream: Some(stream.into()), consumer: consumer.map(Into::into) })
}
