//! Messages that groups have given to a connection that has ended, and that it has not got.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::broker::delivery::Delivery;
use crate::broker::delivery::outbox::Inbox;
use crate::codec::Batch;

/// Messages of a batch that are for somebody else of a group.
#[derive(Debug)]
pub struct Leftover {
    /// The name of the group.
    pub group: Arc<str>,
    /// Where they are.
    pub batch: Arc<Batch>,
    /// Which they are.
    pub places: Vec<u32>,
}

/// All of them that a connection leaves behind.
#[derive(Debug)]
pub struct Leftovers {
    taken: VecDeque<Leftover>,
    inbox: Inbox,
}

impl Leftovers {
    /// Those that were taken out of an inbox and did not arrive, and what is still in it.
    pub fn new(taken: Vec<Leftover>, inbox: Inbox) -> Leftovers {
        Leftovers { taken: taken.into(), inbox }
    }

    /// The next of them. Each message takes one of the steps that are left, and so does whatever
    /// else is in the inbox; where some are left and there is no next, that was all.
    pub(in crate::broker) fn next(&mut self, steps: &mut usize) -> Option<Leftover> {
        while *steps > 0 {
            if let Some(mut first) = self.taken.pop_front() {
                if first.places.len() > *steps {
                    let places = first.places.split_off(*steps);
                    let (group, batch) = (first.group.clone(), first.batch.clone());
                    self.taken.push_front(Leftover { group, batch, places });
                }
                *steps -= first.places.len();
                return Some(first);
            }
            let (delivery, charge) = self.inbox.take()?;
            self.inbox.written(charge);
            *steps -= 1;
            if let Delivery::Messages { batch, dialect, selection, chosen: Some(chosen), .. } =
                delivery
            {
                let places = selection.wanted(&batch, dialect).map(|place| place as u32).collect();
                self.taken.push_back(Leftover { group: chosen.group.clone(), batch, places });
            }
        }
        None
    }
}
