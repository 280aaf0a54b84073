//! The thread that accepts connections.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use socket2::{SockRef, TcpKeepalive};

use super::line::{Incoming, Line, Outgoing};
use super::purse::Purse;
use super::server::Config;
use super::session::{EXHAUSTED_PAUSE, Session, Shared};
use crate::broker::{ClientId, Counters, Event};
use crate::codec::write_reply;
use crate::protocol::{ErrorCode, Format, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, Refusal, Reply};

/// What Linux takes as the time of a keepalive; with another no connection could be accepted.
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);
/// The same of a user timeout.
const LONGEST_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

pub(super) struct Listener {
    /// The broker's handle has it too, and shuts it down to wake the listener.
    pub(super) socket: Arc<TcpListener>,
    /// Each session gets a clone; the dispatcher holds the other end.
    pub(super) events: Sender<Event>,
    /// Each session gets a clone; the broker waits for all of them to be dropped.
    pub(super) alive: Sender<()>,
    pub(super) shared: Arc<Shared>,
}

impl Listener {
    /// Accepts until the broker stops.
    pub(super) fn run(self) {
        let next_client = AtomicU64::new(1);
        let mut exhausted = false;
        loop {
            let accepted = self.socket.accept();
            if self.shared.stopping.load(Ordering::Acquire) {
                return;
            }
            let started = accepted.and_then(|(stream, peer)| {
                let client = ClientId(next_client.fetch_add(1, Ordering::Relaxed));
                self.start(client, stream, peer)
            });
            match started {
                Ok(()) if exhausted => {
                    exhausted = false;
                    tracing::info!("accepting connections again");
                }
                Ok(()) => {}
                // The peer gave up before it was accepted.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => {
                    if !exhausted {
                        exhausted = true;
                        tracing::warn!(
                            %error,
                            "cannot accept connections; waiting (is the limit of open files or threads too low?)"
                        );
                    }
                    thread::park_timeout(EXHAUSTED_PAUSE);
                }
            }
        }
    }

    fn start(&self, client: ClientId, stream: TcpStream, peer: SocketAddr) -> std::io::Result<()> {
        if let Some(why) = self.no_room_for(peer) {
            self.turn_away(stream, peer, why);
            return Ok(());
        }
        let Some(purse) = Purse::open(&self.shared) else {
            let memory = self.shared.memory.total();
            let why = format!(
                "this broker has no memory for more connections ({memory} bytes are its budget for everything); try again later"
            );
            self.turn_away(stream, peer, why);
            return Ok(());
        };
        // Small frames that nobody waits to fill up are what a broker sends.
        stream.set_nodelay(true)?;
        if let Some(time) = self.shared.config.keepalive {
            let time = time.clamp(SHORTEST_KEEPALIVE, LONGEST_KEEPALIVE);
            let interval = time.min(KEEPALIVE_INTERVAL);
            let keepalive =
                TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(KEEPALIVE_PROBES);
            let socket = SockRef::from(&stream);
            socket.set_tcp_keepalive(&keepalive)?;
            // The system asks nobody who has yet to acknowledge something, and sends that again for a quarter of an hour.
            // A client that is there and does not read is for the writer to judge, so it is not given up earlier.
            let asked = time.saturating_add(interval * KEEPALIVE_PROBES);
            let unheard = asked.max(self.shared.config.write_timeout).min(LONGEST_USER_TIMEOUT);
            socket.set_tcp_user_timeout(Some(unheard))?;
        }
        let (line, incoming, outgoing) = self.line(stream);
        Counters::add(&self.shared.counters.connections, 1);
        self.shared.counters.open.fetch_add(1, Ordering::Relaxed);
        self.shared.connections.add(client, peer, line);
        let (events, alive) = (self.events.clone(), self.alive.clone());
        let ends = (incoming, outgoing);
        let session = Session::new(client, peer, ends, events, self.shared.clone(), alive, purse);
        tracing::debug!(%client, %peer, "connected");
        session.start().map_err(|(session, error)| {
            // It waits for a thread where the others wait that have none.
            drop(self.shared.parked.park(session));
            error
        })
    }

    /// The parts of a connection.
    fn line(&self, stream: TcpStream) -> (Line, Incoming, Outgoing) {
        #[cfg(test)]
        if self.shared.is_sealed {
            return Line::sealed(stream);
        }
        Line::plain(stream)
    }

    /// Why a connection cannot stay, if it cannot.
    fn no_room_for(&self, peer: SocketAddr) -> Option<String> {
        let Config { max_connections, max_connections_per_address, .. } = self.shared.config;
        if self.shared.connections.len() >= max_connections {
            return Some(format!(
                "this broker has {max_connections} connections, as many as it may; try again later"
            ));
        }
        let address = peer.ip();
        (self.shared.connections.count_of(address) >= max_connections_per_address).then(|| {
            format!(
                "this broker has {max_connections_per_address} connections from {address}, as many as it may have \
                 from one address; close one that is not needed, or ask for a higher limit"
            )
        })
    }

    fn turn_away(&self, mut stream: TcpStream, peer: SocketAddr, why: String) {
        Counters::add(&self.shared.counters.turned_away, 1);
        tracing::info!(%peer, why, "connection turned away");
        let refusal = Refusal::new(ErrorCode::TooManyConnections, why);
        let mut frame = Vec::new();
        write_reply(&mut frame, Format::Json, &Reply::Error(refusal));
        // It fits any socket's buffer, and whether it arrives is the peer's business.
        let _ = stream.set_nonblocking(true);
        let _ = stream.write_all(&frame);
        let _ = stream.shutdown(Shutdown::Write);
        self.shared.parked.see_off(stream);
    }
}
