//! The thread that accepts connections.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use socket2::{Socket, TcpKeepalive};

use super::bound::Bound;
use super::line::{Incoming, Line, Outgoing, Wait};
use super::parked::Parked;
use super::purse::Purse;
use super::session::Session;
use super::shared::Shared;
use super::threads::EXHAUSTED_PAUSE;
use crate::broker::{ClientId, Counters, Event, Peer};
use crate::codec::write_reply;
use crate::protocol::{ErrorCode, Format, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, Refusal, Reply};

/// What Linux takes as the time of a keepalive; with another no connection could be accepted.
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);
/// The same of a user timeout.
const LONGEST_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

pub(super) struct Listener {
    /// The broker's handle has it too, and wakes the listener when the broker stops.
    pub(super) bound: Arc<Bound>,
    /// Each session gets a clone; the dispatcher holds the other end.
    pub(super) events: Sender<Event>,
    /// Each session gets a clone; the broker waits for all of them to be dropped.
    pub(super) alive: Sender<()>,
    pub(super) shared: Arc<Shared>,
    pub(super) parked: Arc<Parked>,
}

impl Listener {
    /// Accepts until the broker stops.
    pub(super) fn run(self) {
        let mut exhausted = false;
        loop {
            let accepted = self.bound.accept();
            if self.shared.stopping.load(Ordering::Acquire) {
                return;
            }
            let started = accepted.and_then(|(socket, peer)| self.start(socket, peer));
            match started {
                Ok(()) if exhausted => {
                    exhausted = false;
                    tracing::info!("accepting connections again");
                }
                Ok(()) => {}
                // The peer gave up before it was accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted | ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    if !exhausted {
                        exhausted = true;
                        tracing::warn!(
                            listener = %self.bound.url(), %error,
                            "cannot accept connections; waiting (is the limit of open files or \
                             threads too low?)"
                        );
                    }
                    thread::park_timeout(EXHAUSTED_PAUSE);
                }
            }
        }
    }

    fn start(&self, socket: Socket, peer: Peer) -> io::Result<()> {
        let client = ClientId(self.shared.next_client.fetch_add(1, Ordering::Relaxed));
        self.set_options(&socket, peer)?;
        let (line, incoming, outgoing) = self.line(socket);
        if let Err(why) =
            self.shared.connections.add(client, peer.origin(), line, &self.shared.config)
        {
            self.turn_away(incoming, outgoing, peer, why);
            return Ok(());
        }
        let Some(purse) = Purse::open(&self.shared) else {
            self.shared.connections.remove(client);
            let memory = self.shared.memory.total();
            let why = format!(
                "this broker has no memory for more connections ({memory} bytes are its budget for \
                 everything); try again later"
            );
            self.turn_away(incoming, outgoing, peer, why);
            return Ok(());
        };
        Counters::add(&self.shared.counters.connections, 1);
        self.shared.counters.open.fetch_add(1, Ordering::Relaxed);
        let (events, alive) = (self.events.clone(), self.alive.clone());
        let ends = (incoming, outgoing);
        let session = Session::new(client, peer, ends, events, self.shared.clone(), alive, purse);
        tracing::debug!(%client, %peer, "connected");
        self.parked.start(session).map_err(|(session, error)| {
            // It waits for a thread where the others wait that have none.
            drop(self.parked.park(session));
            error
        })
    }

    /// Says how the system is to treat a connection.
    fn set_options(&self, socket: &Socket, peer: Peer) -> io::Result<()> {
        // A Unix socket sends at once, and knows when its peer is gone.
        if !matches!(peer, Peer::Tcp(_)) {
            return Ok(());
        }
        // Small frames that nobody waits to fill up are what a broker sends.
        socket.set_tcp_nodelay(true)?;
        if let Some(time) = self.shared.config.keepalive {
            let time = time.clamp(SHORTEST_KEEPALIVE, LONGEST_KEEPALIVE);
            let interval = time.min(KEEPALIVE_INTERVAL);
            let keepalive = TcpKeepalive::new()
                .with_time(time)
                .with_interval(interval)
                .with_retries(KEEPALIVE_PROBES);
            socket.set_tcp_keepalive(&keepalive)?;
            // The system asks nobody who has yet to acknowledge something, and sends that again for
            // a quarter of an hour. A client that is there and does not read is for the writer to
            // judge, so it is not given up earlier.
            let asked = time.saturating_add(interval * KEEPALIVE_PROBES);
            let unheard = asked.max(self.shared.config.write_timeout).min(LONGEST_USER_TIMEOUT);
            socket.set_tcp_user_timeout(Some(unheard))?;
        }
        Ok(())
    }

    /// The parts of a connection.
    fn line(&self, socket: Socket) -> (Line, Incoming, Outgoing) {
        #[cfg(test)]
        if self.shared.is_sealed {
            return Line::sealed(socket);
        }
        Line::plain(socket)
    }

    /// Tells a client why it cannot stay, without waiting for it.
    fn turn_away(&self, incoming: Incoming, mut outgoing: Outgoing, peer: Peer, why: String) {
        Counters::add(&self.shared.counters.turned_away, 1);
        tracing::info!(%peer, why, "connection turned away");
        let refusal = Refusal::new(ErrorCode::TooManyConnections, why);
        let mut frame = Vec::new();
        write_reply(&mut frame, Format::Json, &Reply::Error(refusal));
        // It fits any socket's buffer, and whether it arrives is the peer's business.
        let _ = outgoing.push(&[IoSlice::new(&frame)], Wait::No);
        outgoing.line().shut_down(Shutdown::Write);
        self.parked.see_off(incoming);
    }
}
