//! How far the store has come, for those who have to wait for it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::broker::stats::Counters;
use crate::broker::streams::StreamTicket;
use crate::protocol::{ErrorCode, Refusal};

/// The rounds of writing that the store has finished. The store's thread writes it, everybody else
/// reads.
#[derive(Debug)]
pub(in crate::broker) struct Progress {
    ends: Mutex<Ends>,
    /// Notified when a round has ended, well or not.
    ended: Condvar,
    failures: AtomicU64,
    /// The store's thread has ended.
    over: AtomicBool,
    /// Where it is said how long the disk takes.
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Ends {
    /// The last round that is on the disk, and with it every round before.
    saved: u64,
    /// The last round that failed.
    failed: u64,
    reason: String,
    /// Values and clears that are still to be saved by a broker that stops, or cannot be, and why.
    left: Option<(u64, u64, String)>,
}

/// The values that a broker that has stopped could not save: they end with the process.
///
/// ```
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// if let Err(unsaved) = broker.close() {
///     eprintln!("{} values are lost: {}", unsaved.values, unsaved.reason);
///     std::process::exit(1);
/// }
/// # Ok::<(), babelmq::StartError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsaved {
    /// Topics whose last value is not on the disk; what is there is an older one, or none.
    pub values: u64,
    /// Topics that were cleared and may still hold a value on the disk.
    pub clears: u64,
    /// Messages that streams have not written; none of them was confirmed.
    pub messages: u64,
    /// The words of the store; or that a disk did not answer, and for how long that was waited for.
    pub reason: String,
}

impl fmt::Display for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unsaved { values, clears, messages, reason } = self;
        let s = |count: u64| if count == 1 { "" } else { "s" };
        let (many, times) = (s(*values), s(*clears));
        write!(f, "the broker stopped and could not save everything: ")?;
        if *messages > 0 {
            let many = s(*messages);
            write!(f, "{messages} message{many} of streams, ")?;
        }
        write!(
            f,
            "{values} value{many} and {clears} clear{times} were not saved, and are lost ({reason})"
        )
    }
}

impl std::error::Error for Unsaved {}

impl Progress {
    pub(in crate::broker) fn new(counters: Arc<Counters>) -> Progress {
        Progress {
            ends: Mutex::default(),
            ended: Condvar::new(),
            failures: AtomicU64::new(0),
            over: AtomicBool::new(false),
            counters,
        }
    }

    /// Says that a round took so long to be written.
    pub(in crate::broker) fn took(&self, time: Duration) {
        self.counters.fsync.add(time);
    }

    /// Says that a round, and all before it, are on the disk.
    pub(in crate::broker) fn save(&self, round: u64) {
        let mut ends = self.ends.lock();
        ends.saved = ends.saved.max(round);
        self.ended.notify_all();
    }

    /// Says that a round failed.
    pub(in crate::broker) fn fail(&self, round: u64, reason: &str) {
        let mut ends = self.ends.lock();
        ends.failed = ends.failed.max(round);
        reason.clone_into(&mut ends.reason);
        self.failures.fetch_add(1, Ordering::Release);
        self.ended.notify_all();
    }

    /// Says that a round was not tried because one before it failed.
    pub(in crate::broker) fn skip(&self, round: u64) {
        let mut ends = self.ends.lock();
        ends.failed = ends.failed.max(round);
        self.ended.notify_all();
    }

    /// How often writing failed.
    pub(in crate::broker) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    /// Says that there will be no more rounds.
    pub(in crate::broker) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.fail(u64::MAX, "the store's thread has ended");
    }

    /// Says what is still to be saved by a broker that stops, if anything; what stays until the end
    /// is lost.
    pub(in crate::broker) fn leave(&self, values_and_clears: Option<(u64, u64)>) {
        let mut ends = self.ends.lock();
        ends.left = values_and_clears.map(|(values, clears)| (values, clears, ends.reason.clone()));
    }

    /// Values and clears that a broker that stops has not saved, if any, and what the store said
    /// last.
    pub(in crate::broker) fn left(&self) -> Option<(u64, u64, String)> {
        self.ends.lock().left.clone()
    }

    /// A number that is another one whenever the store has answered.
    pub(in crate::broker) fn steps(&self) -> u64 {
        self.saved().wrapping_add(self.failures())
    }

    pub(in crate::broker) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// The last round that is on the disk.
    pub(in crate::broker) fn saved(&self) -> u64 {
        self.ends.lock().saved
    }

    /// Waits until a round is on the disk.
    ///
    /// # Errors
    /// [`ErrorCode::StorageFailed`] where the store could not write.
    fn wait_for(&self, round: u64) -> Result<(), Refusal> {
        let mut ends = self.ends.lock();
        while ends.saved < round {
            if ends.failed >= round {
                let reason = format!(
                    "what was published before is delivered and remembered, but not on the disk \
                     and lost if the broker stops now: {}",
                    ends.reason
                );
                return Err(Refusal::new(ErrorCode::StorageFailed, reason));
            }
            self.ended.wait(&mut ends);
        }
        Ok(())
    }
}

/// The ticket that an answer waits for: that what came before it is where it is to be.
#[derive(Clone, Debug, Default)]
pub struct Ticket {
    /// A round of values that is to be on the disk.
    values: Option<(Arc<Progress>, u64)>,
    /// What is to be in streams.
    streams: Vec<StreamTicket>,
    /// When it was asked for by a client that waits for it, and where it is said how long that
    /// took.
    asked: Option<(Instant, Arc<Counters>)>,
}

impl Ticket {
    pub(in crate::broker) fn new(progress: Arc<Progress>, round: u64) -> Ticket {
        Ticket { values: Some((progress, round)), ..Ticket::default() }
    }

    /// The ticket that waits for streams.
    pub(in crate::broker) fn of_streams(streams: Vec<StreamTicket>) -> Ticket {
        Ticket { streams, ..Ticket::default() }
    }

    /// The same ticket, that waits for streams too.
    pub(in crate::broker) fn and_streams(self, streams: Vec<StreamTicket>) -> Ticket {
        Ticket { streams, ..self }
    }

    /// The same ticket of a client that asks for it now: how long it waits is counted.
    pub(in crate::broker) fn of_client(self, counters: &Arc<Counters>) -> Ticket {
        Ticket { asked: Some((Instant::now(), counters.clone())), ..self }
    }

    /// Whether there is nothing to wait for any more.
    pub fn is_ready(&self) -> bool {
        let are_values = self.values.as_ref().is_none_or(|(progress, round)| {
            let ends = progress.ends.lock();
            ends.saved >= *round || ends.failed >= *round
        });
        are_values && self.streams.iter().all(StreamTicket::is_ready)
    }

    /// Waits for the store, and for the streams.
    ///
    /// # Errors
    /// [`ErrorCode::StorageFailed`] where one of them could not write.
    pub fn wait(&self) -> Result<(), Refusal> {
        if let Some((progress, round)) = &self.values {
            progress.wait_for(*round)?;
        }
        self.streams.iter().try_for_each(StreamTicket::wait)?;
        if let Some((asked, counters)) = &self.asked {
            counters.ack.add(asked.elapsed());
        }
        Ok(())
    }
}
