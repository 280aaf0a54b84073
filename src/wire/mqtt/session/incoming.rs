//! Messages of QoS 1 and 2 that a client has sent, and that are not answered to the end (MQTT 5,
//! 4.3 and 4.9).

use std::collections::BTreeMap;

use crate::wire::mqtt::{Ack, Fault, Kind, PacketId, Qos, Reason};

/// What a client has sent and does not know to have arrived.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// How many the client may send before it is answered.
    maximum: usize,
    /// How many of this connection are open.
    pub(super) open: usize,
    /// Messages of QoS 2 that have arrived and were not released, and whether they were sent on
    /// this connection.
    unreleased: BTreeMap<PacketId, bool>,
}

/// Whether a message is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// It is to be published, and then answered.
    New,
    /// It was published before, and is only answered once more.
    Again,
}

impl Incoming {
    /// Nothing has come yet. As many as `maximum` may, which CONNACK says.
    pub(crate) fn new(maximum: u16) -> Incoming {
        Incoming { maximum: maximum.into(), open: 0, unreleased: BTreeMap::new() }
    }

    /// Begins a new connection. Messages of QoS 1 that were not answered are sent again by the
    /// client, and published once more; those of QoS 2 are known.
    pub(crate) fn resume(&mut self, maximum: u16) {
        self.maximum = maximum.into();
        self.open = 0;
        self.unreleased.values_mut().for_each(|is_open| *is_open = false);
    }

    /// How many messages of QoS 2 are to be remembered.
    pub(crate) fn unreleased(&self) -> usize {
        self.unreleased.len()
    }

    /// Takes a message of QoS 1 or 2.
    ///
    /// # Errors
    /// The client has sent more than it may without an answer.
    pub(crate) fn publish(&mut self, qos: Qos, id: PacketId) -> Result<Arrived, Fault> {
        let known = self.unreleased.get(&id).copied().filter(|_| qos == Qos::ExactlyOnce);
        // One that was sent twice on a connection counts once.
        if known != Some(true) {
            if self.open >= self.maximum {
                let what = "the client has sent more than it may before it is answered";
                return Err(Fault::of(Reason::RECEIVE_MAXIMUM, Kind::Publish.name(), what));
            }
            self.open += 1;
        }
        if qos == Qos::ExactlyOnce {
            self.unreleased.insert(id, true);
        }
        Ok(if known.is_some() { Arrived::Again } else { Arrived::New })
    }

    /// Whether a message of QoS 2 was sent on this connection, and not released.
    pub(crate) fn is_open(&self, id: PacketId) -> bool {
        self.unreleased.get(&id) == Some(&true)
    }

    /// A PUBACK is sent for a message of this connection.
    pub(crate) fn acknowledged(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// A PUBREC with a failure is sent: the message ends with it.
    pub(crate) fn refused(&mut self, id: PacketId) {
        let is_open = self.unreleased.remove(&id).unwrap_or_default();
        self.open -= usize::from(is_open);
    }

    /// Takes a PUBREL, and gives its answer.
    pub(crate) fn pubrel(&mut self, id: PacketId) -> Ack<'static> {
        let reason = match self.unreleased.remove(&id) {
            Some(is_open) => {
                self.open -= usize::from(is_open);
                Reason::SUCCESS
            }
            None => Reason::ID_NOT_FOUND,
        };
        Ack::new(Kind::Pubcomp, id, reason)
    }
}
