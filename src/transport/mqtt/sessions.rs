//! Who has which session, and whose clients are away.

use std::collections::BTreeSet;
use std::net::Shutdown;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::kept::{Away, LastWord, Stored};
use super::session_name::SessionName;
use crate::broker::ClientId;
use crate::broker::sync::{
    HashMap, Instant, Mutex, Receiver, RecvTimeoutError, Sender, TryRecvError, bounded,
};
use crate::transport::line::Line;
use crate::transport::net::Waker;
use crate::wire::mqtt::{Reason, Talk};

/// How often those whose clients are away are looked at, whether the dispatcher still has them:
/// what waits for one that it has cut off is in the way of others.
const LOOK: Duration = Duration::from_secs(1);

/// All sessions of MQTT clients.
#[derive(Debug, Default)]
pub(in crate::transport) struct Sessions {
    inner: Mutex<Inner>,
    /// Wakes the thread that looks after those whose clients are away.
    waker: OnceLock<Arc<Waker>>,
}

#[derive(Debug, Default)]
struct Inner {
    places: HashMap<SessionName, Place>,
    /// When something is to be done about those whose clients are away.
    due: BTreeSet<(Instant, SessionName)>,
    /// When all of them are looked at next; `None` where there are none.
    next_look: Option<Instant>,
    is_over: bool,
}

#[derive(Debug)]
enum Place {
    /// Its client is connected.
    Taken {
        client: ClientId,
        line: Line,
        talk: Arc<Mutex<Talk>>,
        /// The connection holds the other end until it has let go of the session.
        over: Receiver<()>,
    },
    Away(Away),
}

/// The right of a connection to its session.
#[derive(Debug)]
pub(in crate::transport) struct Seat {
    pub(in crate::transport) name: SessionName,
    client: ClientId,
    /// Dropped when the session is let go of; somebody may wait for it.
    _over: Sender<()>,
}

impl Sessions {
    /// Says whom to wake when there is something to look after.
    pub(in crate::transport) fn set_waker(&self, waker: Arc<Waker>) {
        let _ = self.waker.set(waker);
    }

    /// Takes a session. A connection that has it is told that it was taken over, and ends. Returns
    /// what was kept of it.
    ///
    /// # Errors
    /// Where the connection that has it does not end within `patience`.
    pub(in crate::transport) fn take(
        &self,
        name: &SessionName,
        (client, line, talk): (ClientId, &Line, &Arc<Mutex<Talk>>),
        patience: Duration,
    ) -> Result<(Seat, Option<Away>), RecvTimeoutError> {
        let until = Instant::now() + patience;
        loop {
            let mut inner = self.inner.lock();
            let away = match inner.places.remove(name) {
                // A panic has ended the connection before it could let go.
                Some(Place::Taken { over, .. })
                    if over.try_recv() == Err(TryRecvError::Disconnected) =>
                {
                    None
                }
                Some(Place::Taken { client, line, talk, over }) => {
                    talk.lock().end(Reason::TAKEN_OVER);
                    // Its session reads nothing more, and says goodbye.
                    line.shut_down(Shutdown::Read);
                    let waited = over.clone();
                    inner.places.insert(name.clone(), Place::Taken { client, line, talk, over });
                    drop(inner);
                    match waited.recv_deadline(until) {
                        Err(RecvTimeoutError::Timeout) => return Err(RecvTimeoutError::Timeout),
                        _ => continue,
                    }
                }
                Some(Place::Away(away)) => {
                    if let Some(at) = away.due() {
                        inner.due.remove(&(at, name.clone()));
                    }
                    Some(away)
                }
                None => None,
            };
            let (held, over) = bounded(0);
            let place = Place::Taken { client, line: line.clone(), talk: talk.clone(), over };
            inner.places.insert(name.clone(), place);
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
        if let Some(Place::Taken { client: number, talk: known, .. }) =
            self.inner.lock().places.get_mut(&seat.name)
        {
            (*number, *known) = (client, talk.clone());
        }
    }

    /// Lets go of a session, of which something may be left. What cannot be kept is given back.
    pub(in crate::transport) fn leave(&self, seat: Seat, left: Option<Away>) -> Option<Away> {
        let mut inner = self.inner.lock();
        let is_own =
            |place: &Place| matches!(place, Place::Taken { client, .. } if *client == seat.client);
        if !inner.places.get(&seat.name).is_some_and(is_own) {
            return left;
        }
        inner.places.remove(&seat.name);
        if inner.is_over {
            return left.and_then(Away::only_here);
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
        self.inner.lock().keep(name, Away::Stored(Box::new(stored)));
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
            let Some(Place::Away(away)) = inner.places.get_mut(&name) else { continue };
            if away.until().is_some_and(|until| until <= now) {
                if let Some(Place::Away(away)) = inner.places.remove(&name) {
                    words.push(away.end());
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
        let inner = self.inner.lock();
        let away = inner.places.values().filter(|place| matches!(place, Place::Away(_))).count();
        (inner.places.len() as u64, away as u64)
    }

    /// Forgets those whose clients are away, when the broker stops: with them goes what keeps the
    /// dispatcher from its end.
    pub(in crate::transport) fn end(&self) {
        let mut inner = self.inner.lock();
        inner.is_over = true;
        inner.due.clear();
        inner.next_look = None;
        let places = std::mem::take(&mut inner.places);
        let (kept, taken) = places
            .into_iter()
            .partition::<HashMap<_, _>, _>(|(_, place)| matches!(place, Place::Away(_)));
        inner.places = taken;
        drop(inner);
        drop(kept);
    }
}

impl Inner {
    fn keep(&mut self, name: SessionName, away: Away) {
        if let Some(at) = away.due() {
            self.due.insert((at, name.clone()));
        }
        if matches!(away, Away::Kept(_)) {
            self.next_look.get_or_insert_with(|| Instant::now() + LOOK);
        }
        self.places.insert(name, Place::Away(away));
    }

    /// Ends the sessions that the dispatcher has let go of, but for what streams keep of them.
    fn look_at_all(&mut self, now: Instant, words: &mut Vec<LastWord>) {
        let (mut over, mut are_left) = (Vec::new(), false);
        for (name, place) in &self.places {
            match place {
                Place::Away(away) if away.is_over() => over.push(name.clone()),
                Place::Away(Away::Kept(_)) => are_left = true,
                _ => {}
            }
        }
        self.next_look = are_left.then(|| now + LOOK);
        for name in over {
            let Some(Place::Away(away)) = self.places.remove(&name) else { continue };
            if let Some(at) = away.due() {
                self.due.remove(&(at, name.clone()));
            }
            let (stored, word) = away.fade();
            words.push(word);
            if let Some(stored) = stored {
                self.keep(name, Away::Stored(Box::new(stored)));
            }
        }
    }
}
