//! A session whose client is away: what it is delivered waits as it does for a client that is slow,
//! or in a stream.

use std::sync::Arc;
use std::time::Duration;

use super::lasting::Lasting;
use crate::broker::sync::{Instant, Mutex, Sender};
use crate::broker::{ClientId, Event, Fate, Inbox, Lane, Peer, Step};
use crate::codec::Claim;
use crate::wire::mqtt::Talk;

/// Seconds that mean for ever (MQTT 5, 3.1.2.11.2).
const FOR_EVER: u32 = u32::MAX;

/// How long a client is waited for that is away from now on: for so many seconds, or for ever.
pub(in crate::transport) fn waited_until(expiry: u32) -> Option<Instant> {
    (expiry < FOR_EVER).then(|| Instant::now() + Duration::from_secs(expiry.into()))
}

/// What there is of a session whose client is away.
#[derive(Debug)]
pub(in crate::transport) enum Absent {
    Kept(Box<Kept>),
    Stored(Box<Stored>),
}

/// A session of which nothing is in memory but where its messages are: it was there before the
/// broker, or there was no memory for more.
#[derive(Debug)]
pub(in crate::transport) struct Stored {
    pub(in crate::transport) lasting: Lasting,
    /// When its client is not waited for any more; `None` for ever.
    pub(in crate::transport) until: Option<Instant>,
    pub(in crate::transport) events: Sender<Event>,
}

/// What is left of a connection whose client may come back.
#[derive(Debug)]
pub(in crate::transport) struct Kept {
    /// The number by which the dispatcher knows it.
    pub(in crate::transport) client: ClientId,
    pub(in crate::transport) inbox: Inbox,
    pub(in crate::transport) fate: Fate,
    pub(in crate::transport) talk: Arc<Mutex<Talk>>,
    /// Where its client was connected from.
    pub(in crate::transport) peer: Peer,
    /// Since when its client is away.
    pub(in crate::transport) since: Instant,
    /// When it is not waited for any more; `None` for ever.
    pub(in crate::transport) until: Option<Instant>,
    /// What is published when its client has not come back by then.
    pub(in crate::transport) will: Option<DelayedWill>,
    /// What streams keep of it, if they do.
    pub(in crate::transport) lasting: Option<Lasting>,
    /// The seconds that were written down with that, if it was.
    pub(in crate::transport) written: Option<u32>,
    /// What it takes beside its deliveries.
    pub(in crate::transport) _memory: Claim,
    pub(in crate::transport) events: Sender<Event>,
}

/// A will that is published later.
#[derive(Debug)]
pub(in crate::transport) struct DelayedWill {
    pub(in crate::transport) at: Instant,
    pub(in crate::transport) steps: Vec<Step>,
    pub(in crate::transport) cost: usize,
}

impl Absent {
    /// When something is to be done about it.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Absent::Kept(kept) => {
                let will = kept.will.as_ref().map(|will| will.at);
                kept.until.into_iter().chain(will).min()
            }
            Absent::Stored(stored) => stored.until,
        }
    }

    /// When its client is not waited for any more.
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Absent::Kept(kept) => kept.until,
            Absent::Stored(stored) => stored.until,
        }
    }

    /// Whether the dispatcher has let go of it.
    pub(in crate::transport) fn is_over(&self) -> bool {
        matches!(self, Absent::Kept(kept) if kept.is_over())
    }

    /// Takes its will, where there is one that is not published yet.
    pub(super) fn take_will(&mut self) -> Option<LastWord> {
        match self {
            Absent::Kept(kept) => kept.take_will(),
            Absent::Stored(_) => None,
        }
    }

    /// What goes on though the dispatcher has let go of what waited in memory; and what is to be
    /// said.
    pub(in crate::transport) fn fade(self) -> (Option<Stored>, LastWord) {
        match self {
            Absent::Kept(kept) => kept.fade(),
            Absent::Stored(stored) => {
                let word = LastWord::nothing(&stored.events);
                (Some(*stored), word)
            }
        }
    }

    /// What is only in memory: the rest is for the next start.
    pub(super) fn only_here(self) -> Option<Absent> {
        match self {
            Absent::Kept(mut kept) => {
                kept.lasting = None;
                Some(Absent::Kept(kept))
            }
            Absent::Stored(_) => None,
        }
    }

    /// Ends the session: its will is published, its subscriptions are forgotten, and what waits for
    /// it with them, but for what others are to get.
    pub(in crate::transport) fn end(self) -> LastWord {
        match self {
            Absent::Kept(kept) => kept.end(),
            Absent::Stored(stored) => {
                let Stored { lasting, events, .. } = *stored;
                LastWord { lasting: Some(lasting), ..LastWord::nothing(&events) }
            }
        }
    }
}

impl Kept {
    /// Whether the dispatcher has let go of it, so that nobody can go on with it.
    fn is_over(&self) -> bool {
        self.inbox.is_overflowed() || self.inbox.is_closed()
    }

    fn take_will(&mut self) -> Option<LastWord> {
        let DelayedWill { steps, cost, .. } = self.will.take()?;
        let client = Some(self.client);
        Some(LastWord { client, steps, cost, ..LastWord::nothing(&self.events) })
    }

    fn fade(mut self) -> (Option<Stored>, LastWord) {
        let (until, events) = (self.until, self.events.clone());
        match self.lasting.take_if(|lasting| lasting.is_whole()) {
            Some(lasting) => (Some(Stored { lasting, until, events }), self.end()),
            None => (None, self.end()),
        }
    }

    fn end(mut self) -> LastWord {
        let will = self.take_will().unwrap_or_else(|| LastWord::nothing(&self.events));
        let Kept { client, inbox, talk, lasting, .. } = self;
        LastWord { client: Some(client), over: Some((inbox, talk)), lasting, ..will }
    }
}

/// How the dispatcher is told that a connection, or what is left of it, is over.
pub(in crate::transport) fn end_of(client: ClientId, inbox: Inbox, talk: &Mutex<Talk>) -> Event {
    match talk.lock().leave_behind(inbox) {
        Ok(leftovers) => Event::Retire { client, leftovers: Box::new(leftovers) },
        Err(_) => Event::Detach { client },
    }
}

/// What is still to be said for a client that is away. The dispatcher is waited for, so nothing is
/// held meanwhile that others want.
#[derive(Debug)]
#[must_use]
pub(in crate::transport) struct LastWord {
    client: Option<ClientId>,
    steps: Vec<Step>,
    cost: usize,
    events: Sender<Event>,
    /// What is left of its connection, where that is over.
    over: Option<(Inbox, Arc<Mutex<Talk>>)>,
    /// What streams are to forget.
    lasting: Option<Lasting>,
}

impl LastWord {
    fn nothing(events: &Sender<Event>) -> LastWord {
        LastWord {
            client: None,
            steps: Vec::new(),
            cost: 0,
            events: events.clone(),
            over: None,
            lasting: None,
        }
    }

    /// Says it.
    pub(in crate::transport) fn say(self, lane: &Lane) {
        let LastWord { client, steps, cost, events, over, lasting } = self;
        // The dispatcher outlives everybody who can send.
        if let Some(client) = client {
            if !steps.is_empty() {
                let queued = lane.claim(cost);
                let _ = events.send(Event::Steps { client, steps, queued });
            }
            if let Some((inbox, talk)) = over {
                let _ = events.send(end_of(client, inbox, &talk));
            }
        }
        if let Some(lasting) = lasting {
            lasting.end(&events);
        }
    }
}
