//! The thread that waits for a stream's disk, while the other goes on.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::broker::persist::Fsync;
use crate::broker::stats::Counters;
use crate::broker::streams::log::LogSync;
use crate::broker::streams::request::{Request, What};
use crate::broker::streams::state::StreamState;
use crate::broker::sync::{Receiver, RecvTimeoutError, Sender, unbounded};

/// Time between a failure of the disk and the next try.
const RETRY: Duration = Duration::from_secs(1);

/// When what was written is made to last.
#[derive(Clone, Debug)]
pub(in crate::broker) struct SyncPlan {
    pub(in crate::broker) fsync: Fsync,
    pub(in crate::broker) interval: Duration,
    /// Where it is said how long the disk takes.
    pub(in crate::broker) counters: Arc<Counters>,
}

/// The hold on the thread that waits for the disk.
#[derive(Debug)]
pub(super) struct Syncing {
    fsync: Fsync,
    /// What is written: the last request, and the number of the next message. Dropping it ends the
    /// thread when it has made all of it last.
    written: Option<Sender<(u64, u64)>>,
    thread: Option<JoinHandle<()>>,
    /// What is to be synced at the end alone, where nothing is promised: the next start has less to
    /// look at then.
    last: Option<Box<dyn LogSync>>,
}

impl Syncing {
    pub(super) fn begin(
        name: &str,
        sync: Box<dyn LogSync>,
        plan: SyncPlan,
        state: Arc<StreamState>,
        answers: Sender<Request>,
    ) -> io::Result<Syncing> {
        let fsync = plan.fsync;
        if fsync == Fsync::Never {
            return Ok(Syncing { fsync, written: None, thread: None, last: Some(sync) });
        }
        let (written, waiting) = unbounded();
        let thread = thread::Builder::new()
            .name(format!("sync {name}"))
            .spawn(move || run(sync, &plan, &state, &waiting, &answers))?;
        Ok(Syncing { fsync, written: Some(written), thread: Some(thread), last: None })
    }

    /// Whether consumers get a message only when it is on the disk.
    pub(super) fn is_waited_for(&self) -> bool {
        self.fsync == Fsync::Always
    }

    /// Says that everything up to a request is written, and what number the next message has.
    pub(super) fn wrote(&self, op: u64, next: u64) {
        if let Some(written) = &self.written {
            // Where the thread has ended, the state says so.
            let _ = written.send((op, next));
        }
    }

    /// Waits until everything is on the disk, or cannot be brought there.
    pub(super) fn finish(&mut self) {
        self.written = None;
        // A panic was reported where it happened.
        let _ = self.thread.take().map(JoinHandle::join);
        if let Some(Err(error)) = self.last.take().map(|mut sync| sync.sync()) {
            tracing::warn!("{error}; nothing of it was promised to outlive a cut of power");
        }
    }
}

/// Syncs what was written: at once, or once an interval. What comes while it is busy goes together.
fn run(
    mut sync: Box<dyn LogSync>,
    plan: &SyncPlan,
    state: &StreamState,
    waiting: &Receiver<(u64, u64)>,
    answers: &Sender<Request>,
) {
    let mut is_failing = false;
    let mut rest = None;
    loop {
        let mut last = match rest.take() {
            Some(rest) => rest,
            None => match waiting.recv() {
                Ok(written) => written,
                Err(_) => return,
            },
        };
        if plan.fsync == Fsync::Interval {
            wait_until(waiting, Instant::now() + plan.interval, &mut last);
        }
        waiting.try_iter().for_each(|written| last = written);
        let began = Instant::now();
        let (op, next) = last;
        match sync.sync() {
            Ok(()) => {
                plan.counters.fsync.add(began.elapsed());
                is_failing = false;
                state.synced(op);
                let _ = answers.send(Request { op: 0, what: What::Synced { next } });
            }
            Err(error) => {
                state.fail(op, error.reason());
                if !is_failing {
                    tracing::error!(stream = %state.name(), "{error}; trying again every second");
                }
                is_failing = true;
                if !wait_until(waiting, Instant::now() + RETRY, &mut last) {
                    // Nobody waits for another try.
                    return;
                }
                rest = Some(last);
            }
        }
    }
}

/// Waits until `deadline` for what is written meanwhile. Returns false where there will be no more.
fn wait_until(waiting: &Receiver<(u64, u64)>, deadline: Instant, last: &mut (u64, u64)) -> bool {
    loop {
        match waiting.recv_deadline(deadline) {
            Ok(written) => *last = written,
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}
