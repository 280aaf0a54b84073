//! Writers that rest because they have no thread of their own, and the calls for them.

use std::mem;
use std::sync::atomic::Ordering;

use super::writer::{Resting, Writer};
use crate::broker::ClientId;
use crate::broker::sync::{AtomicUsize, HashMap, Mutex, Receiver, Sender, unbounded};

/// So many writers have threads of their own, whether they are busy or not. To wake many threads
/// for one message takes longer than to write it for all of them.
const OWN_THREADS: usize = if cfg!(shuttle) { 1 } else { 16 };

/// Writers that rest, and who is called to write.
#[derive(Debug)]
pub(super) struct Pool {
    inner: Mutex<Inner>,
    /// Writers that have a thread.
    pub(super) threads: AtomicUsize,
}

#[derive(Debug)]
struct Inner {
    resting: HashMap<ClientId, Resting>,
    /// Writers that need a thread, while the system has none.
    #[allow(clippy::vec_box, reason = "writers are boxed wherever they are handed over")]
    stranded: Vec<Box<Writer>>,
    /// Outboxes have clones of it. None when the broker stops.
    calls: Option<Sender<ClientId>>,
}

impl Pool {
    /// A pool, and the calls that [`run`](super::turns::run) answers.
    pub(super) fn new() -> (Pool, Receiver<ClientId>) {
        let (sender, calls) = unbounded();
        let inner =
            Inner { resting: HashMap::default(), stranded: Vec::new(), calls: Some(sender) };
        (Pool { inner: Mutex::new(inner), threads: AtomicUsize::new(0) }, calls)
    }

    /// Where an outbox calls for its writer.
    pub(super) fn calls(&self) -> Option<Sender<ClientId>> {
        self.inner.lock().calls.clone()
    }

    /// Whether so many writers have threads that one which has nothing to do should give its own
    /// back.
    pub(super) fn is_crowded(&self) -> bool {
        self.threads.load(Ordering::Relaxed) > OWN_THREADS
    }

    /// Whether another writer may have a thread although it has nothing to do.
    pub(super) fn has_room(&self) -> bool {
        self.threads.load(Ordering::Relaxed) < OWN_THREADS
    }

    /// Ends the pool's threads when the last outbox is gone.
    pub(super) fn end(&self) {
        self.inner.lock().calls = None;
    }

    /// Lets a writer rest whose turn is over; returns it if something has come meanwhile.
    pub(super) fn rest(&self, writer: Box<Writer>) -> Option<Box<Writer>> {
        let mut writer = writer.rest();
        // A turn that is called for it after this waits for the lock, and finds it.
        let mut inner = self.inner.lock();
        if !writer.end_turn() {
            drop(inner);
            return Some(writer.wake());
        }
        inner.resting.insert(writer.client(), writer);
        None
    }

    /// The writer that was called, if it rests.
    pub(super) fn take_resting(&self, client: ClientId) -> Option<Box<Writer>> {
        let resting = self.inner.lock().resting.remove(&client);
        resting.map(Resting::wake)
    }

    /// Keeps a writer that needs a thread, while the system has none.
    pub(super) fn strand(&self, writer: Box<Writer>) {
        self.inner.lock().stranded.push(writer);
    }

    /// Whether there are such writers.
    pub(super) fn has_stranded(&self) -> bool {
        !self.inner.lock().stranded.is_empty()
    }

    /// Takes such writers out, for another try.
    #[allow(clippy::vec_box, reason = "writers are boxed wherever they are handed over")]
    pub(super) fn take_stranded(&self) -> Vec<Box<Writer>> {
        mem::take(&mut self.inner.lock().stranded)
    }
}
