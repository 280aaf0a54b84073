//! Sessions that wait for a client that sends nothing, without a thread of their own.
//!
//! A subscriber that only listens needs its writer and nobody who blocks on its silence. Its
//! session is parked here: one thread waits for all parked sockets, and gives a session a thread
//! again as soon as there is something to read.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::expiry;
use super::line::Incoming;
use super::net::{Events, Poll, Registry, Token, Waker};
use super::session::Session;
use super::shared::Shared;
use super::threads::{self, EXHAUSTED_PAUSE};
use crate::broker::ClientId;
use crate::broker::sync::{AtomicBool, HashMap, Instant, Mutex, bounded};

/// How long a client that was turned away is listened to, so that what it sends does not destroy
/// what it was told.
const FAREWELL: Duration = Duration::from_secs(1);
/// Clients that are turned away in this manner at the same time; more are just closed.
const MAX_LEAVING: usize = 1_024;
/// Sockets that one wait can bring.
const EVENTS: usize = 1_024;

const WAKE: Token = Token(usize::MAX);
/// Tokens of clients that were turned away have this bit.
const LEAVING: usize = 1 << 62;

/// The parked sessions.
#[derive(Debug)]
pub(super) struct Parked {
    registry: Registry,
    waker: Arc<Waker>,
    inner: Mutex<Inner>,
    ending: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<ClientId, Box<Session>>,
    /// When something is done for those of them whatever their clients do: they get a thread, if it
    /// is not done without.
    due: BTreeSet<(Instant, ClientId)>,
    leaving: HashMap<usize, (Incoming, Instant)>,
    next_leaving: usize,
}

/// The thread that waits for all of them.
pub(super) struct Attendant {
    poll: Poll,
    parked: Arc<Parked>,
    /// Sessions that no thread could be started for.
    #[allow(clippy::vec_box, reason = "sessions are boxed wherever they are handed over")]
    stranded: Vec<Box<Session>>,
    /// When it looks whether the certificate of the broker ends soon, if there is one.
    next_look: Option<Instant>,
}

impl Parked {
    /// The place where sessions are parked, and who looks after them.
    ///
    /// # Errors
    /// The error of a system that has no descriptor left.
    pub(super) fn new() -> io::Result<(Arc<Parked>, Attendant)> {
        let poll = Poll::new()?;
        let parked = Arc::new(Parked {
            registry: poll.registry().try_clone()?,
            waker: Arc::new(Waker::new(poll.registry(), WAKE)?),
            inner: Mutex::default(),
            ending: AtomicBool::new(false),
        });
        Ok((parked.clone(), Attendant { poll, parked, stranded: Vec::new(), next_look: None }))
    }

    /// What wakes the attendant.
    pub(super) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Gives a session a thread until its client falls silent.
    ///
    /// # Errors
    /// The session, and what the system says where it has no thread left.
    pub(super) fn start(
        self: &Arc<Parked>,
        session: Box<Session>,
    ) -> Result<(), (Box<Session>, io::Error)> {
        // The thread gets its session when it runs: one that could not be given to a thread must
        // not be lost with it.
        let (hand_over, take) = bounded::<Box<Session>>(1);
        let (client, parked) = (session.client(), self.clone());
        let thread = threads::start(format!("session-{client}"), move || {
            let mut session = take.recv().ok();
            while let Some(awake) = session {
                // One that cannot be watched keeps its thread.
                session = awake.run().and_then(|silent| parked.park(silent).err());
            }
        });
        match thread {
            Ok(thread) => {
                session.connections().serve(client, thread);
                // The thread is waiting for it.
                let _ = hand_over.send(session);
                Ok(())
            }
            Err(error) => Err((session, error)),
        }
    }

    /// Parks a session until its client sends something.
    ///
    /// # Errors
    /// The session, where the system cannot watch its socket.
    pub(super) fn park(&self, session: Box<Session>) -> Result<(), Box<Session>> {
        let mut inner = self.inner.lock();
        // Looked at under the lock: an attendant that ends takes out who is parked, and nobody
        // comes after that.
        if self.ending.load(Ordering::Acquire) {
            return Err(session);
        }
        // Bytes that have arrived meanwhile are reported at once.
        let token = Token(session.client().0 as usize);
        if session.line().watch(&self.registry, token).is_err() {
            return Err(session);
        }
        session.connections().park(session.client());
        inner.due.extend(session.due().map(|at| (at, session.client())));
        inner.sessions.insert(session.client(), session);
        drop(inner);
        // The thread that ends here is to be joined.
        let _ = self.waker.wake();
        Ok(())
    }

    /// Takes over a client that was told that it cannot stay, and whose direction is shut down.
    pub(super) fn see_off(&self, incoming: Incoming) {
        let mut inner = self.inner.lock();
        if inner.leaving.len() >= MAX_LEAVING {
            return;
        }
        inner.next_leaving += 1;
        let token = LEAVING | inner.next_leaving;
        if incoming.line().watch(&self.registry, Token(token)).is_ok() {
            inner.leaving.insert(token, (incoming, Instant::now() + FAREWELL));
            drop(inner);
            // The time of the farewell has begun.
            let _ = self.waker.wake();
        }
    }

    /// Ends the attendant, and with it every parked session, when the broker stops.
    pub(super) fn end(&self) {
        // Under the lock, so that no session is parked after the attendant has looked for the last
        // time.
        let inner = self.inner.lock();
        self.ending.store(true, Ordering::Release);
        drop(inner);
        let _ = self.waker.wake();
    }

    #[allow(clippy::vec_box, reason = "sessions are boxed wherever they are handed over")]
    fn all(&self) -> Vec<Box<Session>> {
        let mut inner = self.inner.lock();
        inner.due.clear();
        inner.sessions.drain().map(|(_, session)| session).collect()
    }
}

impl Attendant {
    /// Looks after parked sessions until [`Parked::end`].
    pub(super) fn run(mut self, shared: &Shared) {
        let mut events = Events::with_capacity(EVENTS);
        if shared.tls.lock().is_some() {
            self.next_look = Some(Instant::now() + expiry::EVERY);
        }
        let mut exhausted = false;
        while !self.parked.ending.load(Ordering::Acquire) {
            if let Err(error) = self.poll.poll(&mut events, self.patience(shared))
                && error.kind() != ErrorKind::Interrupted
            {
                tracing::error!(%error, "cannot wait for idle connections; each gets a thread \
                again");
                self.parked.end();
                let sessions =
                    self.parked.all().into_iter().chain(std::mem::take(&mut self.stranded));
                // Those for which there is no thread end with that; first all of them let go of the
                // dispatcher, so that none waits for a writer that waits for the others.
                let mut rest: Vec<_> = sessions
                    .filter_map(|session| self.parked.start(session).err())
                    .map(|(session, _)| session)
                    .collect();
                rest.iter_mut().for_each(|session| session.take_leave());
                return;
            }
            let mut awake = std::mem::take(&mut self.stranded);
            {
                let mut inner = self.parked.inner.lock();
                for event in &events {
                    match event.token() {
                        WAKE => {}
                        Token(token) if token & LEAVING != 0 => inner.listen(token),
                        Token(client) => awake.extend(self.parked.unpark(&mut inner, client)),
                    }
                }
                let now = Instant::now();
                while inner.due.first().is_some_and(|(at, _)| *at <= now)
                    && let Some((_, client)) = inner.due.pop_first()
                {
                    if !inner.keep_alive(client, now) {
                        awake.extend(self.parked.unpark(&mut inner, client.0 as usize));
                    }
                }
                inner.leaving.retain(|_, (_, end)| *end > now);
            }
            self.speak_for_the_absent(shared);
            shared.connections.join_ended();
            if self.next_look.is_some_and(|look| look <= Instant::now()) {
                self.next_look = Some(Instant::now() + expiry::EVERY);
                shared.log_expiry();
            }
            for session in awake {
                if let Err((session, error)) = self.parked.start(session) {
                    if !exhausted {
                        exhausted = true;
                        tracing::warn!(%error, "cannot start a thread for a connection that is no \
                        longer idle; trying again");
                    }
                    self.stranded.push(session);
                }
            }
            exhausted &= !self.stranded.is_empty();
        }
        self.finish();
    }

    /// Ends all sessions that have no thread. None needs one for that: first all of them let go of
    /// the dispatcher, which then ends, and with it their writers.
    fn finish(&mut self) {
        let mut sessions = std::mem::take(&mut self.stranded);
        sessions.extend(self.parked.all());
        for session in &mut sessions {
            session.finish();
        }
    }

    /// Says what is still to be said for clients of MQTT that are away.
    fn speak_for_the_absent(&self, shared: &Shared) {
        for word in shared.mqtt.look_after(Instant::now()) {
            word.say(&shared.backlog.lane());
        }
    }

    fn patience(&self, shared: &Shared) -> Option<Duration> {
        if !self.stranded.is_empty() {
            return Some(EXHAUSTED_PAUSE);
        }
        let inner = self.parked.inner.lock();
        let due = inner.due.first().map(|(at, _)| *at);
        let ends = inner.leaving.values().map(|(_, end)| *end);
        let kept = shared.mqtt.next_due();
        let first = ends.chain(self.next_look).chain(due).chain(kept).min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }
}

impl Parked {
    fn unpark(&self, inner: &mut Inner, client: usize) -> Option<Box<Session>> {
        let session = inner.sessions.remove(&ClientId(client as u64))?;
        session.line().watch_no_more(&self.registry);
        if let Some(at) = session.due() {
            inner.due.remove(&(at, session.client()));
        }
        Some(session)
    }
}

impl Inner {
    /// Says something to a client that waits, if that is all that is due.
    fn keep_alive(&mut self, client: ClientId, now: Instant) -> bool {
        let Some(session) = self.sessions.get_mut(&client) else { return false };
        let keeps = session.keep_alive(now);
        if keeps {
            self.due.extend(session.due().map(|at| (at, client)));
        }
        keeps
    }

    /// Discards what a leaving client sends.
    fn listen(&mut self, token: usize) {
        let Some((incoming, _)) = self.leaving.get_mut(&token) else { return };
        if !incoming.discard_some() {
            self.leaving.remove(&token);
        }
    }
}
