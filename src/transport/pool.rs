//! Writers that have no thread of their own.
//!
//! A subscriber that is kept busy has a thread that writes to it and blocks on its socket. Where
//! there are thousands, most of them are silent most of the time, and to wake a thread for each
//! takes longer than to write to it. So beyond [`OWN_THREADS`] writers rest here, and a few threads
//! take turns with those that are called. A turn never waits: who finds a socket full, or is to
//! wait for something else, or does not come to an end, gets a thread of its own until it has been
//! silent for a while.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::guards::{CountPanic, EndOnPanic};
use super::priority::has_given_way;
use super::session::{EXHAUSTED_PAUSE, Shared};
use super::threads;
use super::writer::{After, Writer};
use crate::broker::ClientId;
use crate::broker::sync::thread::available_parallelism;
use crate::broker::sync::{
    AtomicUsize, HashMap, Instant, Mutex, Receiver, RecvTimeoutError, Sender, bounded, catch_panic,
    unbounded,
};

/// So many writers have threads of their own, whether they are busy or not.
const OWN_THREADS: usize = if cfg!(shuttle) { 1 } else { 256 };
/// Threads that take turns with the others, at most; there is one for each processor.
const MOST_THREADS: usize = 4;
/// Bytes of stack for a writer.
const WRITER_STACK: usize = 128 << 10;

/// Writers that rest, and who is called to write.
#[derive(Debug)]
pub(super) struct Pool {
    inner: Mutex<Inner>,
    /// Writers that have a thread.
    threads: AtomicUsize,
}

#[derive(Debug)]
struct Inner {
    resting: HashMap<ClientId, Box<Writer>>,
    /// Writers that need a thread, while the system has none.
    #[allow(clippy::vec_box, reason = "writers are boxed wherever they are handed over")]
    stranded: Vec<Box<Writer>>,
    /// Outboxes have clones of it. None when the broker stops.
    calls: Option<Sender<ClientId>>,
}

/// Counts a writer that has a thread.
struct HasThread(Arc<Shared>);

impl HasThread {
    fn new(shared: &Arc<Shared>) -> HasThread {
        shared.pool.threads.fetch_add(1, Ordering::Relaxed);
        HasThread(shared.clone())
    }
}

impl Drop for HasThread {
    fn drop(&mut self) {
        self.0.pool.threads.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// A pool, and the calls that [`run`] answers.
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

    /// Ends the pool's threads when the last outbox is gone.
    pub(super) fn end(&self) {
        self.inner.lock().calls = None;
    }

    /// Lets a writer rest whose turn is over; returns it if something has come meanwhile.
    fn rest(&self, writer: Box<Writer>) -> Option<Box<Writer>> {
        // Who is called for it after this waits for the lock, and finds it.
        let mut inner = self.inner.lock();
        if !writer.end_turn() {
            return Some(writer);
        }
        inner.resting.insert(writer.client(), writer);
        None
    }
}

/// How many threads a pool has.
pub(super) fn thread_count() -> usize {
    available_parallelism().map_or(1, usize::from).min(MOST_THREADS)
}

/// Gives a new writer a thread, or lets it rest where there are many. Nothing has been sent to it
/// yet.
pub(super) fn place(shared: &Arc<Shared>, mut writer: Box<Writer>) {
    // A thread has the priority of the one that starts it; one of the pool's starts this writer's
    // when it is busy.
    if !has_given_way() && shared.pool.threads.load(Ordering::Relaxed) < OWN_THREADS {
        match start(shared, writer) {
            Ok(()) => return,
            Err((back, _)) => writer = back,
        }
    }
    writer.begin_turn();
    serve(shared, writer);
}

/// Takes turns with the writers that are called, until the pool has ended and every outbox is gone.
pub(super) fn run(shared: &Arc<Shared>, calls: &Receiver<ClientId>) {
    let mut tried = Instant::now();
    loop {
        let call = calls.recv_timeout(EXHAUSTED_PAUSE);
        let call = match call {
            Err(RecvTimeoutError::Timeout) if shared.pool.inner.lock().stranded.is_empty() => {
                calls.recv().map_err(|_| RecvTimeoutError::Disconnected)
            }
            other => other,
        };
        match call {
            Ok(client) => {
                let writer = shared.pool.inner.lock().resting.remove(&client);
                if let Some(writer) = writer {
                    writer.begin_turn();
                    serve(shared, writer);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if tried.elapsed() >= EXHAUSTED_PAUSE {
            tried = Instant::now();
            shared.connections.join_ended();
            let stranded = std::mem::take(&mut shared.pool.inner.lock().stranded);
            stranded.into_iter().for_each(|writer| serve(shared, writer));
        }
    }
}

/// Takes a writer's turn, and sees to what comes after it.
fn serve(shared: &Arc<Shared>, writer: Box<Writer>) {
    let guards = (CountPanic(shared.counters.clone()), EndOnPanic(writer.line().clone()));
    let turn = catch_panic(move || {
        let _guards = guards;
        take_turns(shared, writer)
    });
    // A panic was counted, and ended the connection.
    if let Ok(Some(writer)) = turn
        && let Err((mut writer, error)) = start(shared, writer)
    {
        match writer.do_without_thread() {
            Ok(true) => {
                tracing::warn!(client = %writer.client(), %error, "cannot start a thread that \
                writes to a client; trying again");
            }
            Ok(false) => {}
            Err(error) => return writer.give_up(&error),
        }
        shared.pool.inner.lock().stranded.push(writer);
    }
}

/// Writes what waits, and lets the writer rest. Returns one that needs a thread.
fn take_turns(shared: &Arc<Shared>, mut writer: Box<Writer>) -> Option<Box<Writer>> {
    loop {
        match writer.take_turn() {
            Ok(After::Nothing) => writer = shared.pool.rest(writer)?,
            Ok(After::Busy) => return Some(writer),
            Ok(After::Closed) => return writer.end_at_once(),
            Err(error) => {
                writer.give_up(&error);
                return None;
            }
        }
    }
}

/// Gives a writer a thread.
///
/// # Errors
/// The writer, and what the system says where it has no thread left.
fn start(shared: &Arc<Shared>, writer: Box<Writer>) -> Result<(), (Box<Writer>, io::Error)> {
    // The thread gets its writer when it runs: one that could not be given to a thread must not be
    // lost with it.
    let (hand_over, take) = bounded::<Box<Writer>>(1);
    let (client, line, has_thread) =
        (writer.client(), writer.line().clone(), HasThread::new(shared));
    let thread = threads::start(format!("writer-{client}"), WRITER_STACK, move || {
        let shared = &has_thread.0;
        let _panics = CountPanic(shared.counters.clone());
        let _end = EndOnPanic(line);
        let mut writer = take.recv().ok();
        while let Some(mut busy) = writer {
            busy.keep_turn();
            let Some(silent) = busy.run(|| shared.pool.is_crowded()) else { return };
            silent.begin_turn();
            writer = take_turns(shared, silent);
        }
        shared.connections.write_no_more(client);
    });
    match thread {
        Ok(thread) => {
            shared.connections.write(client, thread);
            // The thread is waiting for it.
            let _ = hand_over.send(writer);
            Ok(())
        }
        Err(error) => Err((writer, error)),
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
