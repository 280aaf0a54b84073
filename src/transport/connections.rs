//! The connections that are open, so that all of them can be counted and ended, and their threads
//! joined.

use std::net::Shutdown;

use super::config::Config;
use super::line::Line;
use super::threads::Thread;
use crate::broker::sync::{HashMap, Mutex};
use crate::broker::{ClientId, Origin};

/// Open connections and the threads that serve them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    open: HashMap<ClientId, Connection>,
    per_origin: HashMap<Origin, usize>,
    /// Threads that are at their very end.
    ended: Vec<Thread>,
}

#[derive(Debug)]
struct Connection {
    line: Line,
    origin: Origin,
    /// The session's thread; none before it was started, and while it is parked.
    thread: Option<Thread>,
    /// The writer's thread, where it has one; perhaps one that has ended.
    writer: Option<Thread>,
}

impl Connections {
    /// Adds a connection that no thread serves yet, if there may be another, and another from
    /// there.
    ///
    /// # Errors
    /// Why it cannot stay, and what to do.
    pub(super) fn add(
        &self,
        client: ClientId,
        origin: Origin,
        line: Line,
        config: &Config,
    ) -> Result<(), String> {
        let Config { max_connections, max_connections_per_address, .. } = *config;
        let mut inner = self.inner.lock();
        if inner.open.len() >= max_connections {
            return Err(format!(
                "this broker has {max_connections} connections, as many as it may; try again later"
            ));
        }
        let count = inner.per_origin.get(&origin).copied().unwrap_or(0);
        if count >= max_connections_per_address {
            return Err(format!(
                "this broker has {max_connections_per_address} connections from {origin}, as many \
                 as it may have \
                 from one address or user; close one that is not needed, or ask for a higher limit"
            ));
        }
        inner.per_origin.insert(origin, count + 1);
        inner.open.insert(client, Connection { line, origin, thread: None, writer: None });
        Ok(())
    }

    /// Says which thread serves a connection from now on.
    pub(super) fn serve(&self, client: ClientId, thread: Thread) {
        let mut inner = self.inner.lock();
        let before = match inner.open.get_mut(&client) {
            Some(connection) => connection.thread.replace(thread),
            None => Some(thread),
        };
        inner.ended.extend(before);
        drop(inner);
        self.join_ended();
    }

    /// Says that a connection is parked, and its thread at its end.
    pub(super) fn park(&self, client: ClientId) {
        let mut inner = self.inner.lock();
        let thread = inner.open.get_mut(&client).and_then(|connection| connection.thread.take());
        inner.ended.extend(thread);
    }

    /// Says which thread writes to a connection from now on.
    pub(super) fn write(&self, client: ClientId, thread: Thread) {
        let mut inner = self.inner.lock();
        let before = match inner.open.get_mut(&client) {
            Some(connection) => connection.writer.replace(thread),
            None => Some(thread),
        };
        inner.ended.extend(before);
    }

    /// Says that this thread, which wrote to a connection, is at its end. Another may have taken
    /// its place already.
    pub(super) fn write_no_more(&self, client: ClientId) {
        let mut inner = self.inner.lock();
        let Some(connection) = inner.open.get_mut(&client) else { return };
        let thread = connection.writer.take_if(|thread| thread.is_this());
        inner.ended.extend(thread);
    }

    /// Joins threads that are at their end.
    pub(super) fn join_ended(&self) {
        let ended = std::mem::take(&mut self.inner.lock().ended);
        ended.into_iter().for_each(Thread::join);
    }

    /// Says that a connection is over, and its thread at its end.
    pub(super) fn remove(&self, client: ClientId) {
        let mut inner = self.inner.lock();
        let Some(Connection { origin, thread, writer, .. }) = inner.open.remove(&client) else {
            return;
        };
        inner.ended.extend(thread.into_iter().chain(writer));
        if let Some(count) = inner.per_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                inner.per_origin.remove(&origin);
            }
        }
    }

    /// Shuts every open connection down in one direction or both.
    pub(super) fn shut_down(&self, how: Shutdown) {
        for connection in self.inner.lock().open.values() {
            connection.line.shut_down(how);
        }
    }

    /// Waits for the threads of all connections.
    pub(super) fn join(&self) {
        let threads = {
            let mut inner = self.inner.lock();
            let mut threads = std::mem::take(&mut inner.ended);
            let open = inner.open.drain();
            threads.extend(open.flat_map(|(_, connection)| {
                connection.thread.into_iter().chain(connection.writer)
            }));
            threads
        };
        threads.into_iter().for_each(Thread::join);
    }
}
