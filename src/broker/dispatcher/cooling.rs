//! Letting go of the channels to writers that rest, some time after they were called.

use std::sync::Arc;
use std::time::Duration;

use super::Dispatcher;
use crate::broker::client_id::ClientId;
use crate::broker::delivery::{Outbox, Warm};
use crate::broker::sync::Instant;

/// About the least time from a delivery to the end of the channel that it came through.
const PAUSE: Duration = Duration::from_secs(1);
/// Connections that are looked at between other events: some tenths of a millisecond.
const TOGETHER: usize = 1_024;

/// The outboxes whose channels are looked at when it is time.
#[derive(Debug, Default)]
pub(super) struct Cooling {
    warm: Arc<Warm>,
    /// When it is time, if there are any.
    due: Option<Instant>,
    /// Those that are looked at now.
    rest: Vec<ClientId>,
}

impl Cooling {
    /// Looks after an outbox from now on.
    pub(super) fn watch(&self, outbox: &mut Outbox) {
        outbox.note_in(&self.warm);
    }

    /// When it is time for the next of them.
    pub(super) fn due(&mut self) -> Option<Instant> {
        if self.due.is_none() && self.warm.are_some() {
            self.due = Some(Instant::now() + PAUSE);
        }
        self.due
    }

    /// The same, as it was found last.
    #[cfg(not(shuttle))]
    pub(super) fn is_due_at(&self) -> Option<Instant> {
        self.due
    }

    /// Those whose time has come, if it has.
    fn next(&mut self) -> Vec<ClientId> {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return Vec::new();
        }
        if self.rest.is_empty() {
            self.rest = self.warm.take();
        }
        let some = self.rest.split_off(self.rest.len().saturating_sub(TOGETHER));
        if self.rest.is_empty() {
            self.rest = Vec::new();
            self.due = None;
        }
        some
    }
}

impl Dispatcher {
    /// Lets go of the channels of writers that rest, of some if they are many.
    pub(super) fn cool_some(&mut self) {
        for client in self.cooling.next() {
            let slot = self.by_id.get(&client).map_or(usize::MAX, |slot| *slot as usize);
            if let Some(Some(found)) = self.slots.get_mut(slot)
                && found.outbox.cool()
            {
                self.cooling.warm.again(client);
            }
        }
    }
}
