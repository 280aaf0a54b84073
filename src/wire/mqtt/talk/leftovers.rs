//! What groups have given to a client whose session is over, and the client has not got.

use std::sync::Arc;

use super::Talk;
use super::message::{Message, Source};
use super::queue::What;
use crate::broker::{Delivery, Inbox, Leftover, Leftovers};
use crate::codec::Batch;

impl Talk {
    /// What others of the client's groups are to get now that the session is over; the inbox is
    /// given back where the client was never in one.
    ///
    /// That is what was not sent, and what was sent with QoS 1 and not answered. A message of QoS 2
    /// that was sent goes to nobody else (MQTT 5, 4.8.2).
    pub(crate) fn leave_behind(&mut self, inbox: Inbox) -> Result<Leftovers, Inbox> {
        if !self.has_shared {
            return Err(inbox);
        }
        let mut left = Vec::new();
        for Message { source, chosen, .. } in self.outgoing.sent_once() {
            if let (Source::Batch(batch, place, _), Some(chosen)) = (source, chosen) {
                add(&mut left, &chosen.group, batch, *place);
            }
        }
        for mut waiting in std::mem::take(&mut self.going.waiting) {
            let What::Batch(published) = waiting.what.clone() else { continue };
            let Some(chosen) = published.chosen else { continue };
            while let Some(place) = waiting.take() {
                add(&mut left, &chosen.group, &published.batch, place as u32);
            }
        }
        if let Some((Delivery::Messages { batch, dialect, selection, chosen, .. }, _)) =
            self.saved()
            && let Some(chosen) = chosen
        {
            for place in selection.wanted(&batch, dialect) {
                add(&mut left, &chosen.group, &batch, place as u32);
            }
        }
        Ok(Leftovers::new(left, inbox))
    }
}

/// Adds a message to those of its batch, which are neighbours.
fn add(left: &mut Vec<Leftover>, group: &Arc<str>, batch: &Arc<Batch>, place: u32) {
    match left.last_mut() {
        Some(last) if last.group == *group && Arc::ptr_eq(&last.batch, batch) => {
            last.places.push(place);
        }
        _ => {
            let (group, batch) = (group.clone(), batch.clone());
            left.push(Leftover { group, batch, places: vec![place] });
        }
    }
}
