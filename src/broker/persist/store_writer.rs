//! The thread that writes to the store. It is the only one that waits for a disk.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;

use crate::broker::persist::backup::{Copying, Wish};
use crate::broker::persist::checkpointer::Handover;
use crate::broker::persist::progress::Progress;
use crate::broker::persist::store::Store;
use crate::broker::persist::store_error::StoreError;

/// Handovers that may wait for the store. A value that comes while it is busy stays where it is, in
/// the broker's own memory of the topics, where the newest value of a topic takes the place of the
/// one before.
pub(in crate::broker) const HANDOVERS: usize = 8;
/// Handovers that one commit takes together at most.
const TOGETHER: usize = 64;

/// Writes what the dispatcher hands over.
#[derive(Debug)]
pub struct StoreWriter {
    store: Box<dyn Store>,
    /// The dispatcher holds the other end; when that is dropped, what is waiting is the last.
    handovers: Receiver<Handover>,
    progress: Arc<Progress>,
    /// The last write failed, and it was said.
    failing: bool,
    /// Those that wait must not wait for ever, however this ends, even before it has run.
    _end: End,
    copying: Copying,
}

impl StoreWriter {
    pub(in crate::broker) fn new(
        store: Box<dyn Store>,
        handovers: Receiver<Handover>,
        progress: Arc<Progress>,
    ) -> StoreWriter {
        let _end = End(progress.clone());
        StoreWriter {
            store,
            handovers,
            progress,
            failing: false,
            _end,
            copying: Copying::default(),
        }
    }

    /// Runs until the dispatcher is gone and everything is written, or cannot be.
    pub fn run(mut self) {
        while let Ok(handover) = self.handovers.recv() {
            self.turn(handover);
        }
        self.copying.cancel();
    }

    /// Writes what there is to be written, and says what came of it.
    fn turn(&mut self, handover: Handover) {
        let round = handover.round;
        if handover.attempt < self.progress.failures() {
            // The dispatcher does not know yet that a round failed; it will begin again.
            return self.progress.skip(round);
        }
        let began = Instant::now();
        match self.take(handover) {
            Ok(saved) => {
                if saved > 0 {
                    self.progress.took(began.elapsed());
                }
                self.progress.save(saved);
                if saved > 0 && self.failing {
                    self.failing = false;
                    tracing::info!(
                        "the data directory can be written to again; all values are on the disk"
                    );
                }
            }
            Err(Failed { round, error }) => {
                if !self.failing {
                    tracing::error!(
                        "{error}; going on from memory: values are delivered and remembered, and \
                         lost when the broker \
                         stops; trying again every second"
                    );
                }
                self.failing = true;
                // What it reads keeps the file open.
                self.copying.cancel();
                self.progress.fail(round, error.reason());
            }
        }
    }

    /// Writes what is waiting, if anything is.
    #[cfg(test)]
    pub(in crate::broker) fn try_turn(&mut self) {
        if let Ok(handover) = self.handovers.try_recv() {
            self.turn(handover);
        }
    }

    #[cfg(test)]
    pub(in crate::broker) fn handovers(&self) -> &Receiver<Handover> {
        &self.handovers
    }

    /// Writes a handover, and those that are waiting behind it. Returns the last round that is on
    /// the disk now, or 0.
    fn take(&mut self, first: Handover) -> Result<u64, Failed> {
        let mut whole = 0;
        let mut wishes: Vec<Wish> = Vec::new();
        let waiting = self.handovers.clone();
        // A round that is not whole goes on with a later handover.
        for Handover { round, changes, last, backup, .. } in
            [first].into_iter().chain(waiting.try_iter()).take(TOGETHER)
        {
            self.store.write(&changes).map_err(|error| Failed { round, error })?;
            if last {
                whole = round;
            }
            wishes.extend(backup);
        }
        if whole > 0 {
            self.store.commit().map_err(|error| Failed { round: whole, error })?;
        }
        wishes.into_iter().for_each(|wish| self.copying.begin(&mut *self.store, wish));
        Ok(whole)
    }
}

struct Failed {
    round: u64,
    error: StoreError,
}

#[derive(Debug)]
struct End(Arc<Progress>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}
