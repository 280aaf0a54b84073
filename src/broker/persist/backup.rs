//! A copy of the store that is made while the broker runs: the question for it, and the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::broker::persist::store::Store;
use crate::broker::persist::store_error::StoreError;
use crate::protocol::{ErrorCode, Refusal};

/// The ticket that an answer waits for: that a backup has been made.
#[derive(Clone, Debug)]
pub struct BackupMade(Receiver<Result<String, StoreError>>);

impl BackupMade {
    /// Waits for it, and returns the name that the store gave it.
    ///
    /// # Errors
    /// [`ErrorCode::StorageFailed`] where it could not be made.
    pub fn wait(&self) -> Result<String, Refusal> {
        let made = self.0.recv().unwrap_or_else(|_| {
            let reason = "the store could not write what was to be in the backup, or the broker is \
            stopping; its log says why";
            Err(StoreError::new(reason))
        });
        made.map_err(|error| Refusal::new(ErrorCode::StorageFailed, error.reason()))
    }
}

/// That somebody waits for a backup. Where this is dropped, there will be none.
#[derive(Debug)]
pub(in crate::broker) struct Wish(Sender<Result<String, StoreError>>);

impl Wish {
    pub(in crate::broker) fn new() -> (Wish, BackupMade) {
        let (sender, made) = bounded(1);
        (Wish(sender), BackupMade(made))
    }

    fn answer(&self, made: Result<String, StoreError>) {
        // The client that asked may have gone.
        let _ = self.0.try_send(made);
    }
}

/// The backup that is being made, on a thread of its own: commits go on beside it.
#[derive(Debug, Default)]
pub(in crate::broker) struct Copying {
    thread: Option<JoinHandle<()>>,
    cancelled: Arc<AtomicBool>,
}

impl Copying {
    /// Begins a backup of what the store has now.
    pub(in crate::broker) fn begin(&mut self, store: &mut dyn Store, wish: Wish) {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            let reason = "another backup is being made; ask again when that is done";
            return wish.answer(Err(StoreError::new(reason)));
        }
        let copy = match store.backup() {
            Ok(copy) => copy,
            Err(error) => return wish.answer(Err(error)),
        };
        self.cancelled = Arc::default();
        let cancelled = self.cancelled.clone();
        let thread = thread::Builder::new().name("backup".into()).spawn(move || {
            let made = copy(&cancelled);
            if let Err(error) = &made {
                tracing::warn!("{error}");
            }
            wish.answer(made);
        });
        match thread {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => tracing::warn!("cannot start the thread that makes a backup: {error}"),
        }
    }

    /// Gives it up, so that the store's file can be closed.
    pub(in crate::broker) fn cancel(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        // A panic was reported where it happened.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
