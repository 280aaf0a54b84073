//! The thread that accepts connections.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use super::session::{SESSION_STACK, Session, Shared};
use crate::broker::{ClientId, Counters, Event};
use crate::codec::write_reply;
use crate::protocol::{ErrorCode, Format, Refusal, Reply};

/// How long the listener waits when the system has no descriptors or threads left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// Each session gets a clone; the dispatcher holds the other end.
    pub(super) events: Sender<Event>,
    /// Each session gets a clone; the broker waits for all of them to be dropped.
    pub(super) alive: Sender<()>,
    pub(super) shared: Arc<Shared>,
    pub(super) max_connections: usize,
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
                    thread::sleep(EXHAUSTED_PAUSE);
                }
            }
        }
    }

    fn start(&self, client: ClientId, stream: TcpStream, peer: SocketAddr) -> std::io::Result<()> {
        if self.shared.connections.len() >= self.max_connections {
            self.turn_away(&stream, peer);
            return Ok(());
        }
        // Small frames that nobody waits to fill up are what a broker sends.
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        let events = self.events.clone();
        let (shared, alive) = (self.shared.clone(), self.alive.clone());
        Counters::add(&self.shared.counters.connections, 1);
        self.shared.counters.open.fetch_add(1, Ordering::Relaxed);
        let session = Session::new(client, peer, stream.clone(), events, shared, alive);
        // The thread gets its session when it runs: a session that could not be given one would end under the lock of
        // the connections, which its end takes as well.
        let (hand_over, take) = bounded::<Session>(1);
        self.shared.connections.add(client, stream, || {
            thread::Builder::new().name(format!("session-{client}")).stack_size(SESSION_STACK).spawn(
                move || {
                    if let Ok(session) = take.recv() {
                        session.run();
                    }
                },
            )
        })?;
        // The thread is waiting for it.
        let _ = hand_over.send(session);
        Ok(())
    }

    fn turn_away(&self, mut stream: &TcpStream, peer: SocketAddr) {
        Counters::add(&self.shared.counters.turned_away, 1);
        tracing::info!(%peer, limit = self.max_connections, "connection turned away: there are as many as may be");
        let refusal = Refusal::new(
            ErrorCode::TooManyConnections,
            format!(
                "this broker has {} connections, as many as it may; try again later",
                self.max_connections
            ),
        );
        let mut frame = Vec::new();
        write_reply(&mut frame, Format::Json, &Reply::Error(refusal));
        // It fits any socket's buffer, and whether it arrives is the peer's business.
        let _ = stream.set_nonblocking(true);
        let _ = stream.write_all(&frame);
        let _ = stream.shutdown(Shutdown::Write);
    }
}
