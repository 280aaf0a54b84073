//! The thread that accepts connections.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connections::{At, Listed};
use super::line::{Incoming, Line, Outgoing, SEALED, Wait};
use super::net::{self, Bound, Socket};
use super::parked::Parked;
use super::purse::Purse;
use super::session::Session;
use super::shared::Shared;
use super::threads::EXHAUSTED_PAUSE;
use crate::broker::sync::{Sender, thread};
use crate::broker::{ClientId, Counters, Event, Peer};
use crate::codec::write_reply;
use crate::protocol::{ErrorCode, Format, Refusal, Reply};

pub(super) struct Listener {
    /// Its place in the list of all of them.
    pub(super) number: usize,
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
        net::set_options(&socket, peer, &self.shared.config)?;
        let (line, incoming, outgoing) = self.line(socket)?;
        let url = self.bound.url();
        let listed = Listed { client, peer, protocol: url.protocol() };
        let at = At::listener(&self.shared.counters, self.number);
        if let Err(why) = self.shared.connections.add(listed, line, at, &self.shared.config) {
            self.turn_away(incoming, outgoing, peer, why);
            return Ok(());
        }
        let sealed = if url.is_tls() { SEALED } else { 0 };
        let Some(purse) = Purse::open(&self.shared, sealed) else {
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
        let mut session =
            Session::new(client, peer, ends, events, self.shared.clone(), alive, purse);
        if url.is_http() {
            session = session.speaking_http(url);
        }
        if let Some(format) = url.mqtt() {
            session = session.speaking_mqtt(url, format);
        }
        tracing::debug!(%client, %peer, "connected");
        self.parked.start(session).map_err(|(session, error)| {
            // It waits for a thread where the others wait that have none.
            drop(self.parked.park(session));
            error
        })
    }

    /// The parts of a connection.
    fn line(&self, socket: Socket) -> io::Result<(Line, Incoming, Outgoing)> {
        #[cfg(all(test, shuttle))]
        match self.shared.text {
            net::Text::Plain => {}
            net::Text::Sealed => return Ok(Line::sealed(socket)),
            net::Text::Tls => {
                return Line::tls(socket, net::tls::server(), super::UserFrom::None);
            }
        }
        // The broker does not start where one is wanted and there is none.
        let tls = self.bound.url().is_tls().then(|| self.shared.tls.lock().clone()).flatten();
        match tls {
            Some(tls) => Line::tls(socket, tls.server.clone(), tls.user_from),
            None => Ok(Line::plain(socket)),
        }
    }

    /// Tells a client why it cannot stay, without waiting for it.
    fn turn_away(&self, incoming: Incoming, mut outgoing: Outgoing, peer: Peer, why: String) {
        Counters::add(&self.shared.counters.turned_away, 1);
        tracing::info!(%peer, why, "connection turned away");
        // MQTT has no word for that before a CONNECT.
        if self.bound.url().mqtt().is_none() {
            let refusal = Refusal::new(ErrorCode::TooManyConnections, why);
            let mut frame = Vec::new();
            write_reply(&mut frame, Format::Json, &Reply::Error(refusal));
            // It fits any socket's buffer, and whether it arrives is the peer's business.
            let _ = outgoing.push(&[IoSlice::new(&frame)], Wait::No);
        }
        outgoing.end();
        self.parked.see_off(incoming);
    }
}
