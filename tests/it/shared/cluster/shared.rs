//! What all clients of one run know and note.

use std::collections::{HashMap, HashSet};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::shared::checker::Event;

/// See the module.
pub(super) struct Shared {
    begin: Instant,
    state: Mutex<State>,
    /// Notified whenever something of the state changes that is waited for.
    changed: Condvar,
    connections: AtomicU64,
    refusals: AtomicU64,
    is_finishing: AtomicBool,
    brokers: usize,
}

#[derive(Default)]
struct State {
    history: Vec<Event>,
    /// Where each broker is, if it is there, and how often it has confirmed something.
    addresses: Vec<Option<SocketAddr>>,
    pongs: Vec<u64>,
    killed: HashSet<usize>,
    /// Connections that there are, and what subscribers and followers among them have heard last.
    sockets: HashMap<u64, TcpStream>,
    subscribers: HashMap<u64, i64>,
    is_over: bool,
}

/// What a whole cluster and all brokers may take to go on.
const PATIENCE: Duration = Duration::from_secs(90);

impl Shared {
    pub(super) fn new(brokers: usize) -> Shared {
        let state =
            State { addresses: vec![None; brokers], pongs: vec![0; brokers], ..State::default() };
        Shared {
            begin: Instant::now(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            connections: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            is_finishing: AtomicBool::new(false),
            brokers,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a client fails with is said by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is so, whatever changes.
    #[track_caller]
    fn until<T>(&self, what: &str, mut found: impl FnMut(&State) -> Option<T>) -> T {
        let (mut state, end) = (self.state(), Instant::now() + PATIENCE);
        loop {
            if let Some(found) = found(&state) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain: {what}, {:?}", state.pongs);
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    pub(super) fn brokers(&self) -> usize {
        self.brokers
    }

    /// Milliseconds since the beginning.
    pub(super) fn time(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }

    pub(super) fn note(&self, event: Event) {
        self.state().history.push(event);
    }

    pub(super) fn note_all(&self, events: impl Iterator<Item = Event>) {
        self.state().history.extend(events);
    }

    /// Waits until a broker is there, and says where; `None` when all is over.
    pub(super) fn address(&self, broker: usize) -> Option<SocketAddr> {
        self.until("a broker", |state| match state.is_over {
            true => Some(None),
            false => state.addresses[broker].map(Some),
        })
    }

    /// A broker is there, or is not.
    pub(super) fn set_address(&self, broker: usize, address: Option<SocketAddr>) {
        self.state().addresses[broker] = address;
        self.changed.notify_all();
    }

    /// Notes that a broker is about to be killed.
    pub(super) fn kills(&self, broker: usize) {
        self.state().killed.insert(broker);
    }

    pub(super) fn was_killed(&self, broker: usize) -> bool {
        self.state().killed.contains(&broker)
    }

    /// A moment before the next attempt.
    pub(super) fn pause(&self) {
        let state = self.state();
        drop(self.changed.wait_timeout(state, Duration::from_millis(50)).unwrap());
    }

    /// Takes in a connection, and gives it a number; `None` when all is over.
    pub(super) fn add(&self, stream: &TcpStream) -> Option<u64> {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let mut state = self.state();
        if state.is_over {
            return None;
        }
        state.sockets.insert(number, stream.try_clone().unwrap());
        Some(number)
    }

    pub(super) fn remove(&self, connection: u64) {
        let mut state = self.state();
        if !state.is_over {
            state.sockets.remove(&connection);
            state.subscribers.remove(&connection);
        }
    }

    /// A broker has confirmed something.
    pub(super) fn ponged(&self, broker: usize) {
        self.state().pongs[broker] += 1;
        self.changed.notify_all();
    }

    /// A broker has refused something.
    pub(super) fn refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Waits until each broker that is there has confirmed something that was sent from here on.
    pub(super) fn until_all_confirm(&self, what: &str) {
        // The first may have been on its way.
        let before: Vec<u64> = self.state().pongs.clone();
        self.until(what, |state| {
            let mut all = state.pongs.iter().zip(&before).zip(&state.addresses);
            all.all(|((now, before), at)| at.is_none() || *now > before + 3).then_some(())
        });
    }

    /// A subscriber is there, and has heard nothing.
    pub(super) fn is_present(&self, connection: u64) {
        self.state().subscribers.insert(connection, 0);
        self.changed.notify_all();
    }

    /// What a subscriber has heard last.
    pub(super) fn heard(&self, connection: u64, number: i64) {
        let mut state = self.state();
        state.subscribers.insert(connection, number);
        drop(state);
        if self.is_finishing() {
            self.changed.notify_all();
        }
    }

    /// Waits until so many subscribers are there, and have heard a number last.
    pub(super) fn until_heard(&self, number: i64, subscribers: usize) {
        self.until("all subscribers have heard the last message", |state| {
            let heard = state.subscribers.values().filter(|heard| **heard == number).count();
            (heard == subscribers).then_some(())
        });
    }

    /// Nothing new is published from here on.
    pub(super) fn finish(&self) {
        self.is_finishing.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.is_finishing.load(Ordering::SeqCst)
    }

    /// Ends all connections. Returns the subscribers that were there.
    pub(super) fn end(&self) -> HashSet<u64> {
        let mut state = self.state();
        state.is_over = true;
        self.changed.notify_all();
        for socket in state.sockets.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        state.subscribers.keys().copied().collect()
    }

    pub(super) fn history(self) -> Vec<Event> {
        self.state.into_inner().unwrap().history
    }
}

/// Ends the clients where the test fails, so that it does not wait for them.
pub(super) struct EndOf<'a>(pub(super) &'a Shared);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}
