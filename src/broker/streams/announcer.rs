//! The way from the streams' threads to the dispatcher.

use std::sync::Arc;

use super::said::FromStream;
use crate::broker::event::Event;
use crate::broker::sync::{Mutex, SendError, Sender};

/// The way from the streams' threads to the dispatcher. It is closed when the broker stops, because
/// the dispatcher ends when nobody can send to it.
#[derive(Clone, Debug, Default)]
pub struct Announcer(Arc<Mutex<Option<Sender<Event>>>>);

impl Announcer {
    /// One that sends to a dispatcher.
    pub fn new(events: Sender<Event>) -> Announcer {
        Announcer(Arc::new(Mutex::new(Some(events))))
    }

    /// Sends nothing from now on.
    pub fn close(&self) {
        *self.0.lock() = None;
    }

    /// Whether the broker stops.
    pub(in crate::broker) fn is_closed(&self) -> bool {
        self.0.lock().is_none()
    }

    /// Sends something to the dispatcher.
    ///
    /// # Errors
    /// The same, where the dispatcher will not see it any more.
    pub(in crate::broker) fn send(&self, what: FromStream) -> Result<(), FromStream> {
        let events = self.0.lock();
        let Some(events) = events.as_ref() else { return Err(what) };
        match events.send(Event::Stream(what)) {
            Err(SendError(Event::Stream(what))) => Err(what),
            _ => Ok(()),
        }
    }
}
