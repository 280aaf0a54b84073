//! Who writes: a thread for each writer, or a few threads in turns.
//!
//! A subscriber that is kept busy has a thread that writes to it and blocks on its socket. Where
//! there are thousands, most of them are silent most of the time, and to wake a thread for each
//! takes longer than to write to it. So beyond some writers with threads of their own the others
//! rest in the [`Pool`](super::pool::Pool), and a few threads take turns with those that are
//! called. A turn never waits: a writer that finds a socket full, or is to wait for something else,
//! or does not come to an end, gets a thread of its own until it has been silent for a while.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::guards::{CountPanic, EndOnPanic};
use super::priority::has_given_way;
use super::shared::Shared;
use super::threads::{self, EXHAUSTED_PAUSE};
use super::writer::{After, Writer};
use crate::broker::ClientId;
use crate::broker::sync::thread::available_parallelism;
use crate::broker::sync::{Instant, Receiver, RecvTimeoutError, bounded, catch_panic};

/// Threads that take turns, at most; there is one for each processor.
const MOST_THREADS: usize = 4;

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

/// How many threads a pool has.
pub(super) fn thread_count() -> usize {
    available_parallelism().map_or(1, usize::from).min(MOST_THREADS)
}

/// Gives a new writer a thread, or lets it rest where there are many. Nothing has been sent to it
/// yet.
pub(super) fn place(shared: &Arc<Shared>, mut writer: Box<Writer>) {
    // A thread has the priority of the one that starts it; one of the pool's starts this writer's
    // when it is busy.
    if !has_given_way() && shared.pool.has_room() {
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
            Err(RecvTimeoutError::Timeout) if !shared.pool.has_stranded() => {
                calls.recv().map_err(|_| RecvTimeoutError::Disconnected)
            }
            other => other,
        };
        match call {
            Ok(client) => {
                if let Some(writer) = shared.pool.take_resting(client) {
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
            let stranded = shared.pool.take_stranded();
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
        shared.pool.strand(writer);
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
    let thread = threads::start(format!("writer-{client}"), move || {
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
