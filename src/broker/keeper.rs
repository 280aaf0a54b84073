//! The thread that writes to the store. It is the only one that waits for a disk.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::progress::Progress;
use super::recorder::Handover;
use super::store::{Store, StoreError};

/// Handovers that may wait for the store. What comes while it is busy stays where it is, in the broker's own memory of the
/// topics, where the newest value of a topic takes the place of the one before.
pub(super) const HANDOVERS: usize = 8;
/// Handovers that one commit takes together at most.
const TOGETHER: usize = 64;

/// Writes what the dispatcher hands over.
#[derive(Debug)]
pub struct Keeper {
    pub(super) store: Box<dyn Store>,
    /// The dispatcher holds the other end; when that is dropped, what is waiting is the last.
    pub(super) handovers: Receiver<Handover>,
    pub(super) progress: Arc<Progress>,
}

impl Keeper {
    /// Runs until the dispatcher is gone and everything is written.
    pub fn run(mut self) {
        // Whoever waits must not wait for ever, however this ends.
        let _end = End(self.progress.clone());
        let mut failing = false;
        while let Ok(handover) = self.handovers.recv() {
            let round = handover.round;
            if handover.attempt < self.progress.failures() {
                // The dispatcher does not know yet that a round failed; it will begin again.
                self.progress.skip(round);
                continue;
            }
            match self.take(handover) {
                Ok(saved) => {
                    self.progress.save(saved);
                    if saved > 0 && failing {
                        failing = false;
                        tracing::info!(
                            "the data directory can be written to again; all values are on the disk"
                        );
                    }
                }
                Err(Failed { round, error }) => {
                    if !failing {
                        tracing::error!(
                            "{error}; going on from memory: values are delivered and remembered, and lost when the broker \
                             stops; trying again every second"
                        );
                    }
                    failing = true;
                    self.progress.fail(round, &error.0);
                }
            }
        }
    }

    /// Writes a handover, and those that are waiting behind it. Returns the last round that is on the disk now, or 0.
    fn take(&mut self, first: Handover) -> Result<u64, Failed> {
        let mut whole = 0;
        let waiting = self.handovers.clone();
        // A round that is not whole goes on with a later handover.
        for Handover { round, changes, last, .. } in
            [first].into_iter().chain(waiting.try_iter()).take(TOGETHER)
        {
            self.store.write(&changes).map_err(|error| Failed { round, error })?;
            if last {
                whole = round;
            }
        }
        if whole > 0 {
            self.store.commit().map_err(|error| Failed { round: whole, error })?;
        }
        Ok(whole)
    }
}

struct Failed {
    round: u64,
    error: StoreError,
}

struct End(Arc<Progress>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}
