//! The thread that waits for a stream's disk, while the other goes on.
//!
//! Where consumers wait for the disk (`--fsync always`), what they have acknowledged does not stand
//! in their way: messages are synced at once and by themselves, and notes when somebody waits for
//! them, or when an interval is over. Where nothing else waits and the disk is quick, the stream's
//! own thread waits for it on the spot: to be woken takes two threads as long as such a disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::broker::persist::{Fsync, StoreError};
use crate::broker::stats::Counters;
use crate::broker::streams::log::LogSync;
use crate::broker::streams::request::{Request, What};
use crate::broker::streams::state::{News, StreamState};
use crate::broker::sync::thread::{self, JoinHandle};
use crate::broker::sync::{AtomicBool, Condvar, Instant, Mutex, Sender};

/// Time between a failure of the disk and the next try.
const RETRY: Duration = Duration::from_secs(1);
/// Bytes of messages that are synced before the interval is over: the next start has to look at
/// what was not.
const ENOUGH: usize = 64 << 20;

/// A disk that takes no longer is waited for on the spot.
const QUICK: Duration = Duration::from_millis(1);

/// When what was written is made to last.
#[derive(Clone, Debug)]
pub(in crate::broker) struct SyncPlan {
    pub(in crate::broker) fsync: Fsync,
    pub(in crate::broker) interval: Duration,
    /// Where it is said how long the disk takes.
    pub(in crate::broker) counters: Arc<Counters>,
}

/// What was written and may not be on the disk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Everything up to this request is written.
    pub(super) op: u64,
    /// The number of the next message.
    pub(super) next: u64,
    pub(super) news: News,
    /// Bytes of messages.
    pub(super) bytes: usize,
    /// Somebody waits for more than messages.
    pub(super) is_hurried: bool,
}

impl Written {
    /// Adds what was written later.
    fn add(&mut self, later: Written) {
        self.op = self.op.max(later.op);
        self.next = self.next.max(later.next);
        self.news.messages |= later.news.messages;
        self.news.notes |= later.news.notes;
        self.bytes = self.bytes.saturating_add(later.bytes);
        self.is_hurried |= later.is_hurried;
    }

    /// Whether it does not wait until the interval is over.
    fn is_urgent(&self, fsync: Fsync) -> bool {
        if fsync == Fsync::Always {
            self.news.messages || self.is_hurried && self.news.notes
        } else {
            self.bytes >= ENOUGH
        }
    }
}

/// Where the one thread leaves word for the other. Most of what is written is no reason to wake it.
#[derive(Debug, Default)]
struct Mailbox {
    word: Mutex<Word>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Word {
    written: Option<Written>,
    /// There will be no more.
    is_last: bool,
}

/// The hold on the thread that waits for the disk.
#[derive(Debug)]
pub(super) struct Syncing {
    fsync: Fsync,
    mailbox: Arc<Mailbox>,
    log: Arc<Synced>,
    thread: Option<JoinHandle<()>>,
}

/// The end of a log that waits for the disk, for whichever thread does.
#[derive(Debug)]
struct Synced {
    sync: Mutex<Box<dyn LogSync>>,
    counters: Arc<Counters>,
    /// It took no longer the last time.
    is_quick: AtomicBool,
}

impl Synced {
    fn sync(&self) -> Result<(), StoreError> {
        self.measured(&mut **self.sync.lock(), |sync| sync.sync())
    }

    fn sync_messages(&self) -> Result<(), StoreError> {
        self.measured(&mut **self.sync.lock(), |sync| sync.sync_messages())
    }

    fn measured(
        &self,
        sync: &mut dyn LogSync,
        act: impl FnOnce(&mut dyn LogSync) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        act(sync)?;
        let took = began.elapsed();
        self.counters.fsync.add(took);
        self.is_quick.store(took <= QUICK, Ordering::Relaxed);
        Ok(())
    }
}

impl Syncing {
    pub(super) fn begin(
        name: &str,
        sync: Box<dyn LogSync>,
        plan: SyncPlan,
        state: Arc<StreamState>,
        answers: Sender<Request>,
    ) -> io::Result<Syncing> {
        let SyncPlan { fsync, interval, counters } = plan;
        let is_quick = AtomicBool::new(false);
        let log = Arc::new(Synced { sync: Mutex::new(sync), counters, is_quick });
        let mailbox = Arc::<Mailbox>::default();
        let mut thread = None;
        if fsync != Fsync::Never {
            let (log, mailbox) = (log.clone(), mailbox.clone());
            let waiting = Waiting { fsync, interval, log, state, answers, mailbox };
            let builder = thread::Builder::new().name(format!("sync {name}"));
            thread = Some(builder.spawn(move || waiting.run())?);
        }
        Ok(Syncing { fsync, mailbox, log, thread })
    }

    /// Whether consumers get a message only when it is on the disk.
    pub(super) fn is_waited_for(&self) -> bool {
        self.fsync == Fsync::Always
    }

    /// Waits for the disk on the spot, if it is quick and the other thread is not at it. Returns
    /// whether all messages are on the disk that were written before.
    pub(super) fn sync_messages(&self) -> bool {
        let log = &self.log;
        let Some(mut sync) = log.sync.try_lock().filter(|_| log.is_quick.load(Ordering::Relaxed))
        else {
            return false;
        };
        // A failure is the other thread's, which tries again.
        log.measured(&mut **sync, |sync| sync.sync_messages()).is_ok()
    }

    /// Says what was written.
    pub(super) fn wrote(&self, now: Written) {
        if self.thread.is_none() {
            return;
        }
        let mut word = self.mailbox.word.lock();
        let is_first = word.written.is_none();
        let written = word.written.get_or_insert_default();
        written.add(now);
        if is_first || written.is_urgent(self.fsync) {
            drop(word);
            self.mailbox.changed.notify_one();
        }
    }

    /// Waits until everything is on the disk, or cannot be brought there.
    pub(super) fn finish(&mut self) {
        self.mailbox.word.lock().is_last = true;
        self.mailbox.changed.notify_one();
        // A panic was reported where it happened.
        let _ = self.thread.take().map(JoinHandle::join);
        // Where nothing is promised it is synced all the same: the next start has less to look at.
        if self.fsync == Fsync::Never
            && let Err(error) = self.log.sync()
        {
            tracing::warn!("{error}; nothing of it was promised to outlive a cut of power");
        }
    }
}

/// A thread that is dropped without an end does not leave the other behind.
impl Drop for Syncing {
    fn drop(&mut self) {
        self.mailbox.word.lock().is_last = true;
        self.mailbox.changed.notify_one();
    }
}

/// The thread that waits for the disk.
#[derive(Debug)]
struct Waiting {
    fsync: Fsync,
    interval: Duration,
    log: Arc<Synced>,
    state: Arc<StreamState>,
    answers: Sender<Request>,
    mailbox: Arc<Mailbox>,
}

impl Waiting {
    /// Syncs what was written. What comes while it is busy goes together.
    fn run(self) {
        let (mut is_failing, mut is_last, mut due) = (false, false, None);
        while let Some((written, is_due)) = self.wait(&mut due) {
            match self.sync(written, is_due) {
                Ok(None) => (is_failing, due) = (false, None),
                Ok(Some(left)) => {
                    is_failing = false;
                    self.put_back(left);
                }
                Err(error) => {
                    self.state.fail(written.op, error.reason());
                    if !is_failing {
                        let stream = self.state.name();
                        tracing::error!(stream = %stream, "{error}; trying again every second");
                    }
                    is_failing = true;
                    self.put_back(written);
                    if is_last {
                        return;
                    }
                    // A stream that ends does not wait for its last try.
                    is_last = self.pause();
                    due = Some(Instant::now());
                }
            }
        }
    }

    /// Waits for something to be done: what was written, and whether it has waited long enough.
    /// `None` at the end.
    fn wait(&self, due: &mut Option<Instant>) -> Option<(Written, bool)> {
        let mut word = self.mailbox.word.lock();
        loop {
            let now = Instant::now();
            let Some(written) = word.written else {
                if word.is_last {
                    return None;
                }
                self.mailbox.changed.wait(&mut word);
                continue;
            };
            let due = *due.get_or_insert(now + self.interval);
            let is_due = word.is_last || now >= due;
            if is_due || written.is_urgent(self.fsync) {
                word.written = None;
                return Some((written, is_due));
            }
            self.mailbox.changed.wait_until(&mut word, due);
        }
    }

    /// Syncs what is to be synced now. Returns what is not.
    fn sync(&self, written: Written, is_due: bool) -> Result<Option<Written>, StoreError> {
        let Written { op, next, news, .. } = written;
        if self.fsync == Fsync::Always && news.messages {
            self.log.sync_messages()?;
            self.state.synced_messages(op);
            let _ = self.answers.send(Request { op: 0, what: What::Synced { next } });
            if !news.notes {
                return Ok(None);
            }
            if !is_due && !written.is_hurried {
                let news = News { messages: false, ..news };
                return Ok(Some(Written { bytes: 0, news, ..written }));
            }
        }
        self.log.sync()?;
        self.state.synced(op);
        Ok(None)
    }

    fn put_back(&self, mut left: Written) {
        let mut word = self.mailbox.word.lock();
        if let Some(later) = word.written {
            left.add(later);
        }
        word.written = Some(left);
    }

    /// The pause before the next try. Returns whether the stream has ended meanwhile.
    fn pause(&self) -> bool {
        let until = Instant::now() + RETRY;
        let mut word = self.mailbox.word.lock();
        while !word.is_last && !self.mailbox.changed.wait_until(&mut word, until).timed_out() {}
        word.is_last
    }
}
