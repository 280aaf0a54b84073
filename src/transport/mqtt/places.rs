//! Which sessions of MQTT there are, by their names and by the numbers of their clients.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::kept::Absent;
use super::session_name::SessionName;
use crate::broker::sync::{HashMap, Instant, Lifetime, Mutex};
use crate::broker::{Away, ClientId, Counters, Peer};
use crate::transport::line::Line;
use crate::wire::mqtt::Talk;

/// Who has a session.
#[derive(Debug)]
pub(super) enum Place {
    /// Its client is connected.
    Taken {
        client: ClientId,
        line: Line,
        talk: Arc<Mutex<Talk>>,
        /// Over when the connection has let go of the session.
        over: Lifetime,
    },
    Absent(Absent),
}

/// A session that was looked for.
#[derive(Debug)]
pub(super) struct Found {
    /// What its client calls itself.
    pub(super) client_id: Arc<str>,
    pub(super) talk: Arc<Mutex<Talk>>,
    /// Since when its client is away, if it is.
    pub(super) away: Option<Away>,
}

impl Place {
    /// The number by which the dispatcher knows its client, and the talk with it; `None` where the
    /// client has not been there since the broker was started.
    fn seen(&self) -> Option<(ClientId, &Arc<Mutex<Talk>>)> {
        match self {
            Place::Taken { client, talk, .. } => Some((*client, talk)),
            Place::Absent(Absent::Kept(kept)) => Some((kept.client, &kept.talk)),
            Place::Absent(Absent::Stored(_)) => None,
        }
    }
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Places {
    by_name: HashMap<SessionName, Place>,
    /// The names of those whose clients are connected.
    connected: BTreeMap<ClientId, SessionName>,
    /// The names of those whose clients are away.
    away: BTreeMap<ClientId, SessionName>,
    /// The names of those whose clients have no number.
    unseen: BTreeSet<SessionName>,
    counters: Arc<Counters>,
}

impl Places {
    pub(super) fn new(counters: Arc<Counters>) -> Places {
        let (connected, away) = (BTreeMap::new(), BTreeMap::new());
        let (by_name, unseen) = (HashMap::default(), BTreeSet::new());
        Places { by_name, connected, away, unseen, counters }
    }

    pub(super) fn get(&self, name: &SessionName) -> Option<&Place> {
        self.by_name.get(name)
    }

    /// One whose client is away.
    pub(super) fn absent(&mut self, name: &SessionName) -> Option<&mut Absent> {
        match self.by_name.get_mut(name)? {
            Place::Absent(absent) => Some(absent),
            Place::Taken { .. } => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SessionName, &Place)> {
        self.by_name.iter()
    }

    pub(super) fn insert(&mut self, name: SessionName, place: Place) {
        self.remove(&name);
        match (&place, place.seen()) {
            (Place::Taken { .. }, Some((client, _))) => {
                self.connected.insert(client, name.clone());
            }
            (_, Some((client, _))) => drop(self.away.insert(client, name.clone())),
            (_, None) => drop(self.unseen.insert(name.clone())),
        }
        self.by_name.insert(name, place);
        self.tell();
    }

    pub(super) fn remove(&mut self, name: &SessionName) -> Option<Place> {
        let place = self.by_name.remove(name)?;
        match (&place, place.seen()) {
            (Place::Taken { .. }, Some((client, _))) => drop(self.connected.remove(&client)),
            (_, Some((client, _))) => drop(self.away.remove(&client)),
            (_, None) => drop(self.unseen.remove(name)),
        }
        self.tell();
        Some(place)
    }

    /// Gives a session that is taken another number and another talk.
    pub(super) fn renumber(
        &mut self,
        name: &SessionName,
        client: ClientId,
        talk: &Arc<Mutex<Talk>>,
    ) {
        if let Some(Place::Taken { client: number, talk: known, .. }) = self.by_name.get_mut(name) {
            self.connected.remove(number);
            self.connected.insert(client, name.clone());
            (*number, *known) = (client, talk.clone());
        }
    }

    /// Takes all those whose clients are away.
    pub(super) fn take_away(&mut self) -> Vec<Place> {
        let (away, unseen) = (std::mem::take(&mut self.away), std::mem::take(&mut self.unseen));
        let names = away.values().chain(&unseen);
        let kept = names.filter_map(|name| self.by_name.remove(name)).collect();
        self.tell();
        kept
    }

    /// How many there are, and those of them whose clients are away.
    pub(super) fn count(&self) -> (u64, u64) {
        (self.by_name.len() as u64, (self.away.len() + self.unseen.len()) as u64)
    }

    /// The first `most` behind `after` whose clients are away, by the numbers of these.
    pub(super) fn away(&self, after: Option<ClientId>, most: usize) -> Vec<(ClientId, Peer)> {
        let behind = (after.map_or(Unbounded, Excluded), Unbounded);
        let peer = |(client, name): (&ClientId, &SessionName)| match self.by_name.get(name)? {
            Place::Absent(Absent::Kept(kept)) => Some((*client, kept.peer)),
            _ => None,
        };
        self.away.range(behind).take(most).filter_map(peer).collect()
    }

    /// The name of a session whose client is away.
    pub(super) fn name_of_away(&self, client: ClientId) -> Option<SessionName> {
        self.away.get(&client).cloned()
    }

    /// The session of a client.
    pub(super) fn find(&self, client: ClientId, now: Instant) -> Option<Found> {
        let name = self.connected.get(&client).or_else(|| self.away.get(&client))?;
        let place = self.by_name.get(name)?;
        let away = match place {
            Place::Absent(Absent::Kept(kept)) => Some(Away {
                since: now.saturating_duration_since(kept.since),
                expires_in: kept.until.map(|until| until.saturating_duration_since(now)),
            }),
            _ => None,
        };
        let (_, talk) = place.seen()?;
        Some(Found { client_id: name.client.clone(), talk: talk.clone(), away })
    }

    /// The talks of some sessions, which the clients behind `after` have.
    pub(super) fn talks(
        &self,
        after: Option<ClientId>,
        most: usize,
    ) -> Vec<(ClientId, Arc<Mutex<Talk>>)> {
        let behind = (after.map_or(Unbounded, Excluded), Unbounded);
        let of = |(client, name): (&ClientId, &SessionName)| {
            let (_, talk) = self.by_name.get(name)?.seen()?;
            Some((*client, talk.clone()))
        };
        let connected = self.connected.range(behind).take(most);
        let away = self.away.range(behind).take(most);
        let mut talks: Vec<_> = connected.chain(away).filter_map(of).collect();
        talks.sort_by_key(|(client, _)| *client);
        talks.truncate(most);
        talks
    }

    /// Says how many there are where that is counted.
    fn tell(&self) {
        let (all, away) = self.count();
        self.counters.mqtt_sessions.store(all, Ordering::Relaxed);
        self.counters.mqtt_away.store(away, Ordering::Relaxed);
    }
}
