//! Messages of QoS 1 and 2 that are on their way to a client (MQTT 5, 4.3, 4.4 and 4.9).

use std::collections::BTreeMap;

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::broker::{Empty, Rare};
use crate::wire::mqtt::{Ack, Fault, Kind, PacketId, Qos, Reason};

/// Messages that can be on their way to a client at once, whatever it says. It is a fraction of the
/// numbers that there are, so that one that is free is soon found.
pub(crate) const MOST_IN_FLIGHT: usize = 1 << 14;

/// Messages of QoS 1 and 2 that were sent to a client, in the order in which they were, each until
/// the client has it. `M` is what is needed to send one again.
///
/// Messages leave in the order in which they come, and on a new connection they are sent again in
/// that order, before any new one. What there is no room for waits with the caller.
#[derive(Debug)]
pub(crate) struct Outgoing<M> {
    /// How many may be on their way on this connection.
    window: usize,
    /// How many were sent on this connection and are not answered.
    open: usize,
    /// The number that was given last.
    pub(super) last: u16,
    flights: Rare<Flights<M>>,
    /// The place of the next message.
    next: u64,
    /// What was on its way before this connection, and not sent again yet, is from here on to
    /// `resent_to`.
    resend_from: u64,
    resend_to: u64,
}

/// What is on its way.
#[derive(Debug)]
struct Flights<M> {
    /// By the order in which they came.
    all: BTreeMap<u64, Flight<M>>,
    /// Where each is in that order.
    places: FxHashMap<PacketId, u64>,
}

impl<M> Flights<M> {
    const NONE: Flights<M> =
        Flights { all: BTreeMap::new(), places: FxHashMap::with_hasher(FxBuildHasher) };
}

impl<M> Default for Flights<M> {
    fn default() -> Flights<M> {
        Flights::NONE
    }
}

impl<M: 'static> Empty for Flights<M> {
    const EMPTY: &'static Flights<M> = &Flights::NONE;

    fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[derive(Debug)]
struct Flight<M> {
    id: PacketId,
    /// Whether it was sent on this connection, and takes a part of the window.
    is_open: bool,
    stage: Stage<M>,
}

/// What is awaited.
#[derive(Debug)]
enum Stage<M> {
    /// PUBACK.
    Once(M),
    /// PUBREC.
    Twice(M),
    /// PUBCOMP. The client has the message.
    Released,
}

/// What is sent again on a new connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Again<'a, M> {
    /// The message, in a PUBLISH with DUP.
    Publish(PacketId, Qos, &'a M),
    /// The client has it already and is to know so: a PUBREL.
    Pubrel(PacketId),
}

impl<M: 'static> Outgoing<M> {
    /// Nothing on its way yet. A `window` of messages may be: what the client says, the broker's
    /// own measure, or both; at most [`MOST_IN_FLIGHT`].
    pub(crate) fn new(window: u16) -> Outgoing<M> {
        Outgoing {
            window: usize::from(window).min(MOST_IN_FLIGHT),
            open: 0,
            last: 0,
            flights: Rare::NONE,
            next: 0,
            resend_from: 0,
            resend_to: 0,
        }
    }

    /// Begins a new connection, whose client may have said another window. What is on its way is to
    /// be sent [again](Outgoing::again).
    pub(crate) fn resume(&mut self, window: u16) {
        self.window = usize::from(window).min(MOST_IN_FLIGHT);
        self.open = 0;
        let all = self.flights.made().map(|flights| flights.all.values_mut());
        all.into_iter().flatten().for_each(|flight| flight.is_open = false);
        self.resend_from = self.flights.all.keys().next().copied().unwrap_or(self.next);
        self.resend_to = self.next;
    }

    /// The next of what is to be sent again, once for each connection; none where the window is
    /// full, or nothing is left. It is to be asked after each answer of the client, as is
    /// [`room`](Outgoing::room).
    pub(crate) fn again(&mut self) -> Option<Again<'_, M>> {
        let left = self.resend_from..self.resend_to;
        let (&place, flight) = self.flights.made()?.all.range_mut(left).next()?;
        let again = match &flight.stage {
            Stage::Once(message) => Again::Publish(flight.id, Qos::AtLeastOnce, message),
            Stage::Twice(message) => Again::Publish(flight.id, Qos::ExactlyOnce, message),
            // It takes no part of the window, for no message is sent.
            Stage::Released => {
                self.resend_from = place + 1;
                return Some(Again::Pubrel(flight.id));
            }
        };
        if self.open >= self.window {
            return None;
        }
        flight.is_open = true;
        self.open += 1;
        self.resend_from = place + 1;
        Some(again)
    }

    /// Whether there is something to be sent again now.
    pub(crate) fn has_again(&self) -> bool {
        let mut left = self.flights.all.range(self.resend_from..self.resend_to);
        left.next().is_some_and(|(_, flight)| {
            self.open < self.window || matches!(flight.stage, Stage::Released)
        })
    }

    /// How many new messages may be sent now; none as long as something is to be sent again.
    pub(crate) fn room(&self) -> usize {
        if self.flights.all.range(self.resend_from..self.resend_to).next().is_some() {
            return 0;
        }
        let free = MOST_IN_FLIGHT.saturating_sub(self.flights.all.len());
        self.window.saturating_sub(self.open).min(free)
    }

    /// How many messages the client may not have, or not know that it has.
    pub(crate) fn len(&self) -> usize {
        self.flights.all.len()
    }

    /// Gives back memory that was needed for what was on its way.
    pub(crate) fn shrink(&mut self) {
        self.flights.shrink();
    }

    /// How many may be on their way on this connection.
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// Takes a message that is sent now, and gives it its number. QoS 0 has none, so is not for
    /// here.
    ///
    /// # Errors
    /// The message, where there is no [`room`](Outgoing::room) for it.
    pub(crate) fn send(&mut self, qos: Qos, message: M) -> Result<PacketId, M> {
        if self.room() == 0 {
            return Err(message);
        }
        let Some(id) = self.free_id() else { return Err(message) };
        let stage = match qos {
            Qos::ExactlyOnce => Stage::Twice(message),
            _ => Stage::Once(message),
        };
        self.flights.places.insert(id, self.next);
        self.flights.all.insert(self.next, Flight { id, is_open: true, stage });
        self.next += 1;
        self.open += 1;
        Ok(id)
    }

    /// A number that no message on its way has, and as long unused as there are others.
    fn free_id(&mut self) -> Option<PacketId> {
        for _ in 0..=MOST_IN_FLIGHT {
            self.last = self.last.checked_add(1).unwrap_or(1);
            let id = PacketId::new(self.last)?;
            if !self.flights.places.contains_key(&id) {
                return Some(id);
            }
        }
        None
    }

    /// Takes a PUBACK, which ends a message of QoS 1 whatever its reason is, and gives the message;
    /// none for a number that no message has, which may be left from before.
    ///
    /// # Errors
    /// The message is one of QoS 2.
    pub(crate) fn puback(&mut self, id: PacketId) -> Result<Option<M>, Fault> {
        let Some((place, flight)) = self.flight(id) else { return Ok(None) };
        match &flight.stage {
            Stage::Once(_) => Ok(self.end(place)),
            _ => Err(out_of_turn(Kind::Puback, "the message is of QoS 2")),
        }
    }

    /// Takes a PUBREC: the client has the message, or will not have it, where the reason is a
    /// failure. Gives the message, the first time, and what is to be answered.
    ///
    /// # Errors
    /// The message is one of QoS 1.
    pub(crate) fn pubrec(
        &mut self,
        id: PacketId,
        reason: Reason,
    ) -> Result<(Option<M>, Option<Ack<'static>>), Fault> {
        let pubrel = |reason| Some(Ack::new(Kind::Pubrel, id, reason));
        let Some((place, flight)) = self.flight(id) else {
            // No more is said about a message that has failed.
            let answer = if reason.is_failure() { None } else { pubrel(Reason::ID_NOT_FOUND) };
            return Ok((None, answer));
        };
        match &flight.stage {
            Stage::Once(_) => Err(out_of_turn(Kind::Pubrec, "the message is of QoS 1")),
            _ if reason.is_failure() => Ok((self.end(place), None)),
            Stage::Twice(_) => {
                let stage = std::mem::replace(&mut flight.stage, Stage::Released);
                Ok((stage.message(), pubrel(Reason::SUCCESS)))
            }
            Stage::Released => Ok((None, pubrel(Reason::SUCCESS))),
        }
    }

    /// Takes a PUBCOMP, the end of a message of QoS 2. A number that no message has may be left
    /// from before.
    ///
    /// # Errors
    /// No PUBREC came before.
    pub(crate) fn pubcomp(&mut self, id: PacketId) -> Result<(), Fault> {
        let Some((place, flight)) = self.flight(id) else { return Ok(()) };
        match &flight.stage {
            Stage::Released => {
                self.end(place);
                Ok(())
            }
            _ => Err(out_of_turn(Kind::Pubcomp, "no PUBREC came for the message")),
        }
    }

    /// Gives up a message that cannot be sent, because it is longer than the client takes. It
    /// counts as one that has arrived (MQTT 5, 3.1.2.11.4).
    pub(crate) fn give_up(&mut self, id: PacketId) -> Option<M> {
        let (place, _) = self.flight(id)?;
        self.end(place)
    }

    /// The messages of QoS 1 that the client may not have, in their order.
    pub(crate) fn sent_once(&self) -> impl Iterator<Item = &M> {
        self.flights.all.values().filter_map(|flight| match &flight.stage {
            Stage::Once(message) => Some(message),
            Stage::Twice(_) | Stage::Released => None,
        })
    }

    /// Gives up all such messages.
    pub(crate) fn give_up_each(&mut self, is_meant: impl Fn(&M) -> bool) {
        let is_meant = |flight: &Flight<M>| match &flight.stage {
            Stage::Once(message) | Stage::Twice(message) => is_meant(message),
            Stage::Released => false,
        };
        let meant = self.flights.all.iter().filter(|(_, flight)| is_meant(flight));
        for place in meant.map(|(place, _)| *place).collect::<Vec<_>>() {
            drop(self.end(place));
        }
    }

    /// The messages that the client may not have, in their order.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &M> {
        self.flights.all.values().filter_map(|flight| match &flight.stage {
            Stage::Once(message) | Stage::Twice(message) => Some(message),
            Stage::Released => None,
        })
    }

    fn flight(&mut self, id: PacketId) -> Option<(u64, &mut Flight<M>)> {
        let flights = self.flights.made()?;
        let place = *flights.places.get(&id)?;
        Some((place, flights.all.get_mut(&place)?))
    }

    /// Ends a message, whose number is free again.
    fn end(&mut self, place: u64) -> Option<M> {
        let flights = self.flights.made()?;
        let flight = flights.all.remove(&place)?;
        flights.places.remove(&flight.id);
        self.open -= usize::from(flight.is_open);
        flight.stage.message()
    }
}

impl<M> Stage<M> {
    fn message(self) -> Option<M> {
        match self {
            Stage::Once(message) | Stage::Twice(message) => Some(message),
            Stage::Released => None,
        }
    }
}

/// An answer that cannot be one to what was sent.
#[cold]
fn out_of_turn(kind: Kind, what: &'static str) -> Fault {
    let field = "Packet Identifier";
    Fault { reason: Reason::PROTOCOL_ERROR, packet: kind.name(), field, at: 2, what }
}
