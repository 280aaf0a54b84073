//! The connections that are open, so that all of them can be counted and ended, and their threads
//! joined.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::config::Config;
use super::line::Line;
use super::threads::Thread;
use crate::broker::sync::{HashMap, Mutex};
use crate::broker::{ClientId, Counters, Origin, Peer};

/// What connections may speak, in a word for each: it is told of those that nobody speaks, too.
const PROTOCOLS: [&str; 7] = ["tcp", "tls", "unix", "websocket", "http", "sse", "mqtt"];

/// Open connections and the threads that serve them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// In the order in which they were accepted.
    open: BTreeMap<ClientId, Box<Connection>>,
    per_origin: HashMap<Origin, usize>,
    /// How many speak what.
    spoken: BTreeMap<&'static str, u64>,
    /// Threads that are at their very end.
    ended: Vec<Thread>,
}

#[derive(Debug)]
struct Connection {
    line: Line,
    peer: Peer,
    /// What it speaks, in a word.
    protocol: &'static str,
    /// Counts it among those of its listener.
    _at: At,
    /// The session's thread; none before it was started, and while it is parked.
    thread: Option<Box<Thread>>,
    /// The writer's thread, where it has one; perhaps one that has ended.
    writer: Option<Box<Thread>>,
}

/// A connection, for who administrates the broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub(super) client: ClientId,
    pub(super) peer: Peer,
    /// What it speaks, in a word.
    pub(super) protocol: &'static str,
}

/// The listener of a connection, which counts it for as long as this is there.
#[derive(Debug)]
pub(super) struct At {
    counters: Arc<Counters>,
    listener: usize,
}

impl At {
    pub(super) fn listener(counters: &Arc<Counters>, listener: usize) -> At {
        if let Some((_, open)) = counters.listeners.get(listener) {
            open.fetch_add(1, Ordering::Relaxed);
        }
        At { counters: counters.clone(), listener }
    }
}

impl Drop for At {
    fn drop(&mut self) {
        if let Some((_, open)) = self.counters.listeners.get(self.listener) {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Inner {
    fn speaks_no_more(&mut self, protocol: &'static str) {
        if let Some(count) = self.spoken.get_mut(protocol) {
            *count -= 1;
        }
    }
}

impl Connections {
    /// Adds a connection that no thread serves yet, if there may be another, and another from
    /// there.
    ///
    /// # Errors
    /// Why it cannot stay, and what to do.
    pub(super) fn add(
        &self,
        Listed { client, peer, protocol }: Listed,
        line: Line,
        at: At,
        config: &Config,
    ) -> Result<(), String> {
        let origin = peer.origin();
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
        *inner.spoken.entry(protocol).or_default() += 1;
        let (thread, writer) = (None, None);
        let connection = Connection { line, peer, protocol, _at: at, thread, writer };
        inner.open.insert(client, Box::new(connection));
        Ok(())
    }

    /// Gives a connection another number, which none has.
    pub(super) fn rename(&self, client: ClientId, number: ClientId) {
        let mut inner = self.inner.lock();
        if let Some(connection) = inner.open.remove(&client) {
            inner.open.insert(number, connection);
        }
    }

    /// Says that a connection speaks something else from now on.
    pub(super) fn speak(&self, client: ClientId, protocol: &'static str) {
        let mut inner = self.inner.lock();
        if let Some(connection) = inner.open.get_mut(&client) {
            let before = std::mem::replace(&mut connection.protocol, protocol);
            inner.speaks_no_more(before);
            *inner.spoken.entry(protocol).or_default() += 1;
        }
    }

    /// How many connections speak what, in a word for each.
    pub(super) fn spoken(&self) -> Vec<(&'static str, u64)> {
        let mut spoken: BTreeMap<_, _> = PROTOCOLS.into_iter().map(|it| (it, 0)).collect();
        spoken.extend(&self.inner.lock().spoken);
        spoken.into_iter().collect()
    }

    /// Connections that are open, at most `most` behind `after`, in the order in which they were
    /// accepted.
    pub(super) fn list(&self, after: Option<ClientId>, most: usize) -> Vec<Listed> {
        let behind = (after.map_or(Unbounded, Excluded), Unbounded);
        let inner = self.inner.lock();
        let some = inner.open.range(behind).take(most);
        let listed = |client: &ClientId, connection: &Connection| {
            let Connection { peer, protocol, .. } = *connection;
            Listed { client: *client, peer, protocol }
        };
        some.map(|(client, connection)| listed(client, connection)).collect()
    }

    /// What a connection speaks, in a word, if it is there.
    pub(super) fn protocol(&self, client: ClientId) -> Option<&'static str> {
        self.inner.lock().open.get(&client).map(|connection| connection.protocol)
    }

    /// Shuts a connection down in one direction or both.
    pub(super) fn end(&self, client: ClientId, how: Shutdown) {
        if let Some(connection) = self.inner.lock().open.get(&client) {
            connection.line.shut_down(how);
        }
    }

    /// Says which thread serves a connection from now on.
    pub(super) fn serve(&self, client: ClientId, thread: Thread) {
        let mut inner = self.inner.lock();
        let before = match inner.open.get_mut(&client) {
            Some(connection) => connection.thread.replace(Box::new(thread)).map(|before| *before),
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
        inner.ended.extend(thread.map(|thread| *thread));
    }

    /// Says which thread writes to a connection from now on.
    pub(super) fn write(&self, client: ClientId, thread: Thread) {
        let mut inner = self.inner.lock();
        let before = match inner.open.get_mut(&client) {
            Some(connection) => connection.writer.replace(Box::new(thread)).map(|before| *before),
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
        inner.ended.extend(thread.map(|thread| *thread));
    }

    /// Joins threads that are at their end.
    pub(super) fn join_ended(&self) {
        let ended = std::mem::take(&mut self.inner.lock().ended);
        ended.into_iter().for_each(Thread::join);
    }

    /// Says that a connection is over, and its thread at its end.
    pub(super) fn remove(&self, client: ClientId) {
        let mut inner = self.inner.lock();
        let Some(connection) = inner.open.remove(&client) else {
            return;
        };
        let Connection { peer, protocol, thread, writer, .. } = *connection;
        inner.speaks_no_more(protocol);
        let origin = peer.origin();
        inner.ended.extend(thread.into_iter().chain(writer).map(|thread| *thread));
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
            let open = std::mem::take(&mut inner.open).into_iter();
            threads.extend(open.flat_map(|(_, connection)| {
                connection.thread.into_iter().chain(connection.writer).map(|thread| *thread)
            }));
            threads
        };
        threads.into_iter().for_each(Thread::join);
    }
}
