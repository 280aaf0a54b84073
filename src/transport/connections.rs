//! The connections that are open, so that all of them can be ended, and their threads joined.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::broker::ClientId;

/// Open connections and the threads that serve them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    open: HashMap<ClientId, (Arc<TcpStream>, JoinHandle<()>)>,
    /// Threads that are at their very end.
    ended: Vec<JoinHandle<()>>,
}

impl Connections {
    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.inner.lock().open.len()
    }

    /// Adds a connection with the thread that `spawn` starts for it, and joins threads that have ended.
    ///
    /// # Errors
    /// Those of `spawn`; then nothing was added.
    pub(super) fn add<E>(
        &self,
        client: ClientId,
        stream: Arc<TcpStream>,
        spawn: impl FnOnce() -> Result<JoinHandle<()>, E>,
    ) -> Result<(), E> {
        let ended = {
            // The lock is held until the thread is entered, so that it cannot leave before.
            let mut inner = self.inner.lock();
            let thread = spawn()?;
            inner.open.insert(client, (stream, thread));
            std::mem::take(&mut inner.ended)
        };
        join(ended);
        Ok(())
    }

    /// Says that a connection's thread is at its end.
    pub(super) fn remove(&self, client: ClientId) {
        let mut inner = self.inner.lock();
        if let Some((_, thread)) = inner.open.remove(&client) {
            inner.ended.push(thread);
        }
    }

    /// Shuts every open connection down in one direction or both.
    pub(super) fn shut_down(&self, how: Shutdown) {
        for (stream, _) in self.inner.lock().open.values() {
            // One that is gone already need not be shut down.
            let _ = stream.shutdown(how);
        }
    }

    /// Waits for the threads of all connections.
    pub(super) fn join(&self) {
        let threads = {
            let mut inner = self.inner.lock();
            let mut threads = std::mem::take(&mut inner.ended);
            threads.extend(inner.open.drain().map(|(_, (_, thread))| thread));
            threads
        };
        join(threads);
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A panic in it was counted and logged where it happened.
        let _ = thread.join();
    }
}
