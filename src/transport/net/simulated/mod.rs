//! Sockets in memory, whose other end a model has.
//!
//! The bytes that go through one are kept in two pipes that are soon full. A read brings less than
//! there is now and then, a write takes less than there is room for, and one that does not wait
//! takes nothing. Whoever closes an end that has not read everything resets the connection, and
//! what the other has not read is lost with it; so does what comes to an end that was shut down in
//! both directions.

mod bound;
mod poll;
#[cfg(test)]
pub(in crate::transport) mod tls;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::Peer;
use crate::broker::sync::world::{has_no_watch, one_in, some_of};
use crate::broker::sync::{Condvar, Mutex, Timer, yield_now};
use crate::transport::config::Config;
use crate::transport::line::Wait;

pub(in crate::transport) use bound::{Bound, Text, connect, set_text, text};
pub(in crate::transport) use poll::{Events, Poll, Registry, Token, Waker};

/// The broker's end. It is closed when it is dropped.
#[derive(Debug)]
pub(in crate::transport) struct Socket {
    connection: Arc<Connection>,
    read_timeout: Mutex<Option<Duration>>,
    write_timeout: Mutex<Option<Duration>>,
}

/// The client's end. It is closed when it is dropped.
#[derive(Debug)]
pub(in crate::transport) struct Client(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    state: Mutex<State>,
    /// Notified whenever the state changes.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// To the broker, and to the client.
    inbound: Pipe,
    outbound: Pipe,
    /// The end that was closed, if that did not read everything.
    is_reset: bool,
    watcher: Option<(Registry, Token)>,
}

#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    room: usize,
    /// Nothing comes any more.
    is_ended: bool,
    /// The bytes that come are not read any more.
    is_left: bool,
}

impl Pipe {
    fn new(room: usize) -> Pipe {
        Pipe { bytes: VecDeque::new(), room, is_ended: false, is_left: false }
    }

    /// Takes as much as fits, or a part of it.
    fn put(&mut self, bytes: impl Iterator<Item = u8>, count: usize) -> usize {
        let count = count.min(self.room.saturating_sub(self.bytes.len()));
        if count == 0 {
            return 0;
        }
        let count = some_of(count);
        self.bytes.extend(bytes.take(count));
        count
    }
}

impl Connection {
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        let watcher = if state.is_readable() { state.watcher.clone() } else { None };
        drop(state);
        self.changed.notify_all();
        if let Some((registry, token)) = watcher {
            registry.report(token);
        }
        result
    }

    /// Tries until it comes to something, or the time is over.
    fn attempt<R>(
        &self,
        patience: Option<Duration>,
        mut attempt: impl FnMut(&mut State) -> Option<io::Result<R>>,
    ) -> io::Result<R> {
        let timer = Timer::after(patience);
        loop {
            let mut state = self.state.lock();
            if let Some(result) = attempt(&mut state) {
                drop(state);
                self.changed.notify_all();
                return result;
            }
            if timer.is_endless() {
                self.changed.wait(&mut state);
                continue;
            }
            drop(state);
            if timer.is_over() {
                return Err(ErrorKind::WouldBlock.into());
            }
            yield_now();
        }
    }
}

impl State {
    /// Whether a read of the broker would not wait.
    fn is_readable(&self) -> bool {
        let Pipe { bytes, is_ended, is_left, .. } = &self.inbound;
        self.is_reset || *is_ended || *is_left || !bytes.is_empty()
    }

    /// The broker has ended the connection, and something has come that it has not read.
    fn reset(&mut self) {
        self.is_reset = true;
        self.outbound.bytes.clear();
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        if self.is_reset {
            return Some(Err(ErrorKind::ConnectionReset.into()));
        }
        let count = self.inbound.bytes.len().min(buffer.len());
        if count == 0 {
            let is_over = self.inbound.is_ended || self.inbound.is_left || buffer.is_empty();
            return is_over.then_some(Ok(0));
        }
        Some(self.inbound.bytes.read(&mut buffer[..some_of(count)]))
    }

    fn write(&mut self, pieces: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        if self.is_reset || self.outbound.is_left || self.outbound.is_ended {
            return Some(Err(ErrorKind::BrokenPipe.into()));
        }
        let bytes = pieces.iter().flat_map(|piece| piece.iter().copied());
        let count = pieces.iter().map(|piece| piece.len()).sum();
        let count = self.outbound.put(bytes, count);
        (count > 0).then_some(Ok(count))
    }
}

/// Both ends of a connection with so much room to the client.
pub(in crate::transport) fn pair(room: usize) -> (Client, Socket) {
    let state = State {
        inbound: Pipe::new(256),
        outbound: Pipe::new(room),
        is_reset: false,
        watcher: None,
    };
    let connection = Arc::new(Connection { state: Mutex::new(state), changed: Condvar::new() });
    let client = Client(connection.clone());
    (client, Socket { connection, read_timeout: Mutex::default(), write_timeout: Mutex::default() })
}

impl Socket {
    #[allow(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(in crate::transport) fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        *self.read_timeout.lock() = time;
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(in crate::transport) fn set_write_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        *self.write_timeout.lock() = time;
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(in crate::transport) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.connection.change(|state| {
            state.inbound.is_left |= how != Shutdown::Write;
            state.outbound.is_ended |= how != Shutdown::Read;
        });
        Ok(())
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let patience = *self.read_timeout.lock();
        self.connection.attempt(patience, |state| state.read(buffer))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.connection.change(|state| {
            state.outbound.is_ended = true;
            (state.inbound.is_left, state.watcher) = (true, None);
            if !state.inbound.bytes.is_empty() {
                state.reset();
            }
        });
    }
}

/// As `system::set_options`.
#[allow(clippy::unnecessary_wraps, reason = "the real one can fail")]
pub(in crate::transport) fn set_options(_: &Socket, _: Peer, _: &Config) -> io::Result<()> {
    Ok(())
}

/// As `system::send`.
pub(in crate::transport) fn send(
    socket: &Socket,
    pieces: &[IoSlice<'_>],
    wait: Wait,
) -> io::Result<usize> {
    if wait == Wait::Tick {
        let patience = *socket.write_timeout.lock();
        return socket.connection.attempt(patience, |state| state.write(pieces));
    }
    let would_block = || Err(ErrorKind::WouldBlock.into());
    if one_in(4) {
        return would_block();
    }
    socket.connection.change(|state| state.write(pieces).unwrap_or_else(would_block))
}

/// As `system::receive_at_once`.
pub(in crate::transport) fn receive_at_once(
    socket: &Socket,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let would_block = || Err(ErrorKind::WouldBlock.into());
    socket.connection.change(|state| state.read(buffer).unwrap_or_else(would_block))
}

/// As `system::is_over`.
pub(in crate::transport) fn is_over(socket: &Socket, one_direction: bool) -> bool {
    let state = socket.connection.state.lock();
    state.is_reset || state.outbound.is_left || one_direction && state.inbound.is_ended
}

/// As `system::watch`.
pub(in crate::transport) fn watch(
    socket: &Socket,
    registry: &Registry,
    token: Token,
) -> io::Result<()> {
    if has_no_watch() {
        return Err(ErrorKind::OutOfMemory.into());
    }
    socket.connection.change(|state| state.watcher = Some((registry.clone(), token)));
    Ok(())
}

/// As `system::watch_no_more`. What was reported already is seen all the same.
#[allow(clippy::unnecessary_wraps, reason = "the real one can fail")]
pub(in crate::transport) fn watch_no_more(socket: &Socket, _: &Registry) -> io::Result<()> {
    socket.connection.change(|state| state.watcher = None);
    Ok(())
}

impl Client {
    /// Sends all of it, or as much as the broker takes; returns whether it was all.
    pub(in crate::transport) fn send(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let mut state = self.0.state.lock();
            if state.outbound.is_ended && state.inbound.is_left {
                state.reset();
            }
            if state.is_reset {
                return false;
            }
            let sent = state.inbound.put(bytes.iter().copied(), bytes.len());
            if sent == 0 {
                self.0.changed.wait(&mut state);
                continue;
            }
            drop(state);
            self.0.change(|_| {});
            bytes = &bytes[sent..];
        }
        true
    }

    /// Waits for something, and appends it; returns whether more may come.
    pub(in crate::transport) fn receive(&self, into: &mut Vec<u8>) -> bool {
        let received = self.0.attempt(None, |state| {
            let is_ended = state.is_reset || state.outbound.is_ended;
            if state.outbound.bytes.is_empty() {
                return is_ended.then_some(Ok(false));
            }
            into.extend(state.outbound.bytes.drain(..));
            Some(Ok(true))
        });
        received.is_ok_and(|more| more)
    }

    /// Says that it sends nothing any more.
    pub(in crate::transport) fn finish(&self) {
        self.0.change(|state| state.inbound.is_ended = true);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.change(|state| {
            (state.inbound.is_ended, state.outbound.is_left) = (true, true);
            state.is_reset |= !state.outbound.bytes.is_empty();
        });
    }
}
