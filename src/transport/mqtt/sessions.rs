//! Who has which session, and whose clients are away.

use std::collections::BTreeSet;
use std::net::Shutdown;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::kept::{Absent, LastWord, Stored};
use super::places::{Found, Place, Places};
use super::session_name::SessionName;
use crate::broker::sync::{Alive, Instant, Mutex, RecvTimeoutError, lifetime};
use crate::broker::{ClientId, Counters, Peer, SessionReport};
use crate::transport::line::Line;
use crate::transport::net::Waker;
use crate::wire::mqtt::{Reason, Seen, Talk};

/// How often those whose clients are away are looked at, whether the dispatcher still has them:
/// what waits for one that it has cut off is in the way of others.
const LOOK: Duration = Duration::from_secs(1);
/// Sessions whose talks are looked at together.
const LOOKED_AT_TOGETHER: usize = 256;

/// All sessions of MQTT clients.
#[derive(Debug)]
pub(in crate::transport) struct Sessions {
    inner: Mutex<Inner>,
    /// Wakes the thread that looks after those whose clients are away.
    waker: OnceLock<Arc<Waker>>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Inner {
    places: Places,
    /// When something is to be done about those whose clients are away.
    due: BTreeSet<(Instant, SessionName)>,
    /// When all of them are looked at next; `None` where there are none.
    next_look: Option<Instant>,
    is_over: bool,
}

/// The right of a connection to its session.
#[derive(Debug)]
pub(in crate::transport) struct Seat {
    pub(in crate::transport) name: SessionName,
    client: ClientId,
    /// Dropped when the session is let go of; somebody may wait for it.
    _over: Alive,
}

impl Sessions {
    /// None yet. Those that there are will be counted.
    pub(in crate::transport) fn new(counters: Arc<Counters>) -> Sessions {
        let places = Places::new(counters.clone());
        let (due, next_look, is_over) = (BTreeSet::new(), None, false);
        let inner = Mutex::new(Inner { places, due, next_look, is_over });
        Sessions { inner, waker: OnceLock::new(), counters }
    }

    /// Says whom to wake when there is something to look after.
    pub(in crate::transport) fn set_waker(&self, waker: Arc<Waker>) {
        let _ = self.waker.set(waker);
    }

    /// Ends the connection that has a session, which is told that it was taken over. Returns
    /// whether there was one, when it has let go.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub(in crate::transport) fn end_connection(
        &self,
        name: &SessionName,
        until: Instant,
    ) -> Result<bool, RecvTimeoutError> {
        let inner = self.inner.lock();
        let Some(Place::Taken { line, talk, over, .. }) = inner.places.get(name) else {
            return Ok(false);
        };
        if over.is_over() {
            // A panic has ended it before it could let go.
            return Ok(false);
        }
        talk.lock().end(Reason::TAKEN_OVER);
        // Its session reads nothing more, and says goodbye.
        line.shut_down(Shutdown::Read);
        let over = over.clone();
        drop(inner);
        if over.wait_until(until) { Ok(true) } else { Err(RecvTimeoutError::Timeout) }
    }

    /// Takes a session, from the connection that has it if there is one. Returns what was kept of
    /// it.
    ///
    /// # Errors
    /// Where the connection that has it does not end in time.
    pub(in crate::transport) fn take(
        &self,
        name: &SessionName,
        (client, line, talk): (ClientId, &Line, &Arc<Mutex<Talk>>),
        until: Instant,
    ) -> Result<(Seat, Option<Absent>), RecvTimeoutError> {
        let mut is_taken_over = false;
        loop {
            is_taken_over |= self.end_connection(name, until)?;
            let mut inner = self.inner.lock();
            let away = match inner.places.remove(name) {
                Some(Place::Taken { client, line, talk, over }) if !over.is_over() => {
                    // Somebody else was faster.
                    inner.places.insert(name.clone(), Place::Taken { client, line, talk, over });
                    continue;
                }
                Some(Place::Absent(away)) => {
                    if let Some(at) = away.due() {
                        inner.due.remove(&(at, name.clone()));
                    }
                    Some(away)
                }
                Some(Place::Taken { .. }) | None => None,
            };
            let (held, over) = lifetime();
            let place = Place::Taken { client, line: line.clone(), talk: talk.clone(), over };
            inner.places.insert(name.clone(), place);
            Counters::add(&self.counters.mqtt_taken_over, usize::from(is_taken_over));
            return Ok((Seat { name: name.clone(), client, _over: held }, away));
        }
    }

    /// Says that a connection has the number of the session that it goes on with, and what its
    /// writer knows.
    pub(in crate::transport) fn resume(
        &self,
        seat: &mut Seat,
        client: ClientId,
        talk: &Arc<Mutex<Talk>>,
    ) {
        seat.client = client;
        self.inner.lock().places.renumber(&seat.name, client, talk);
    }

    /// Lets go of a session, of which something may be left. What cannot be kept is given back.
    pub(in crate::transport) fn leave(&self, seat: Seat, left: Option<Absent>) -> Option<Absent> {
        let mut inner = self.inner.lock();
        let is_own =
            |place: &Place| matches!(place, Place::Taken { client, .. } if *client == seat.client);
        if !inner.places.get(&seat.name).is_some_and(is_own) {
            return left;
        }
        inner.places.remove(&seat.name);
        if inner.is_over {
            return left.and_then(Absent::only_here);
        }
        inner.keep(seat.name.clone(), left?);
        drop(inner);
        if let Some(waker) = self.waker.get() {
            let _ = waker.wake();
        }
        None
    }

    /// Takes in a session that was there before the broker.
    pub(in crate::transport) fn restore(&self, stored: Stored) {
        let name = stored.lasting.name.clone();
        self.inner.lock().keep(name, Absent::Stored(Box::new(stored)));
    }

    /// When something is to be done about a session whose client is away.
    pub(in crate::transport) fn next_due(&self) -> Option<Instant> {
        let inner = self.inner.lock();
        let first = inner.due.first().map(|(at, _)| *at);
        first.into_iter().chain(inner.next_look).min()
    }

    /// Ends the sessions whose clients were away for too long, or for which nothing more can come,
    /// and takes the wills that were to be published later. Returns what is to be said for them.
    pub(in crate::transport) fn look_after(&self, now: Instant) -> Vec<LastWord> {
        let mut words = Vec::new();
        let mut inner = self.inner.lock();
        while inner.due.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, name)) = inner.due.pop_first()
        {
            let Some(away) = inner.places.absent(&name) else { continue };
            if away.until().is_some_and(|until| until <= now) {
                if let Some(Place::Absent(away)) = inner.places.remove(&name) {
                    words.push(away.end());
                    Counters::add(&self.counters.mqtt_expired, 1);
                }
                continue;
            }
            words.extend(away.take_will());
            if let Some(at) = away.due() {
                inner.due.insert((at, name));
            }
        }
        if inner.next_look.is_some_and(|look| look <= now) {
            inner.look_at_all(now, &mut words);
        }
        words
    }

    /// How many sessions there are, and those of them whose clients are away.
    pub(in crate::transport) fn count(&self) -> (u64, u64) {
        self.inner.lock().places.count()
    }

    /// Sessions whose clients are away, at most `most` behind `after`, by their numbers, and where
    /// these were connected from.
    pub(in crate::transport) fn away(
        &self,
        after: Option<ClientId>,
        most: usize,
    ) -> Vec<(ClientId, Peer)> {
        self.inner.lock().places.away(after, most)
    }

    /// What is to be seen of the session that a client of this number has, if it has one.
    pub(in crate::transport) fn report(&self, client: ClientId) -> Option<SessionReport> {
        let now = Instant::now();
        let Found { client_id, talk, away } = self.inner.lock().places.find(client, now)?;
        let Seen { version, inflight, window } = talk.lock().look_at();
        let (inflight, receive_maximum) = (inflight as u64, window as u64);
        let version = version.name();
        Some(SessionReport { client_id, version, inflight, receive_maximum, away })
    }

    /// Messages of QoS 1 and 2 on their way to all of them. They are looked at some at a time, so
    /// that nobody waits for long who comes or goes.
    pub(in crate::transport) fn inflight(&self) -> u64 {
        let (mut after, mut inflight) = (None, 0);
        loop {
            let talks = self.inner.lock().places.talks(after, LOOKED_AT_TOGETHER);
            let Some((last, _)) = talks.last() else { return inflight };
            after = Some(*last);
            inflight +=
                talks.iter().map(|(_, talk)| talk.lock().look_at().inflight as u64).sum::<u64>();
        }
    }

    /// Ends a session whose client is away. Returns what is to be said for it.
    pub(in crate::transport) fn end_away(&self, client: ClientId) -> Option<LastWord> {
        let mut inner = self.inner.lock();
        let name = inner.places.name_of_away(client)?;
        inner.end(&name)
    }

    /// Forgets those whose clients are away, when the broker stops: with them goes what keeps the
    /// dispatcher from its end.
    pub(in crate::transport) fn end(&self) {
        let mut inner = self.inner.lock();
        inner.is_over = true;
        inner.due.clear();
        inner.next_look = None;
        let kept = inner.places.take_away();
        drop(inner);
        drop(kept);
    }
}

impl Inner {
    fn keep(&mut self, name: SessionName, away: Absent) {
        if let Some(at) = away.due() {
            self.due.insert((at, name.clone()));
        }
        if matches!(away, Absent::Kept(_)) {
            self.next_look.get_or_insert_with(|| Instant::now() + LOOK);
        }
        self.places.insert(name, Place::Absent(away));
    }

    /// Ends the sessions that the dispatcher has let go of, but for what streams keep of them.
    fn look_at_all(&mut self, now: Instant, words: &mut Vec<LastWord>) {
        let (mut over, mut are_left) = (Vec::new(), false);
        for (name, place) in self.places.iter() {
            match place {
                Place::Absent(away) if away.is_over() => over.push(name.clone()),
                Place::Absent(Absent::Kept(_)) => are_left = true,
                _ => {}
            }
        }
        self.next_look = are_left.then(|| now + LOOK);
        for name in over {
            let Some(Place::Absent(away)) = self.places.remove(&name) else { continue };
            if let Some(at) = away.due() {
                self.due.remove(&(at, name.clone()));
            }
            let (stored, word) = away.fade();
            words.push(word);
            if let Some(stored) = stored {
                self.keep(name, Absent::Stored(Box::new(stored)));
            }
        }
    }

    /// Ends a session whose client is away.
    fn end(&mut self, name: &SessionName) -> Option<LastWord> {
        let kept = match self.places.remove(name)? {
            Place::Absent(kept) => kept,
            taken @ Place::Taken { .. } => {
                self.places.insert(name.clone(), taken);
                return None;
            }
        };
        if let Some(at) = kept.due() {
            self.due.remove(&(at, name.clone()));
        }
        Some(kept.end())
    }
}
