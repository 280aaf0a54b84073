//! The way from a stream's thread to a writer: it says that there is something in a feed.
//!
//! Everything else comes through the dispatcher, which holds the outbox. A feed's first word does
//! too, so that it stands behind the answer to the subscription; each later one would wake a thread
//! more than it takes, and wait for whatever the dispatcher does.

use std::sync::Arc;

use super::level::{Charge, Level};
use super::parcel::Parcel;
use crate::broker::client_id::ClientId;
use crate::broker::streams::{Feed, RingsWriter};
use crate::broker::sync::{Mutex, Sender};

/// Another end of an outbox, for feeds alone. It ends when the outbox does.
#[derive(Debug)]
pub(in crate::broker) struct Bell {
    sender: Mutex<Option<Sender<(Parcel, Charge)>>>,
    level: Arc<Level>,
    calls: Option<(ClientId, Sender<ClientId>)>,
}

impl Bell {
    pub(super) fn new(
        sender: Sender<(Parcel, Charge)>,
        level: Arc<Level>,
        calls: Option<(ClientId, Sender<ClientId>)>,
    ) -> Bell {
        Bell { sender: Mutex::new(Some(sender)), level, calls }
    }

    /// Rings no more: the writer sees the end of its outbox when nobody can send to it.
    pub(super) fn end(&self) {
        *self.sender.lock() = None;
    }

    fn send(&self, parcel: Parcel) -> bool {
        let sender = self.sender.lock();
        let Some(sender) = sender.as_ref().filter(|_| !self.level.is_left()) else { return false };
        if sender.send((parcel, Charge::default())).is_err() {
            return false;
        }
        // While nobody can end the outbox: its end calls as well, and is the last that does.
        self.level.call(self.calls.as_ref());
        true
    }
}

impl RingsWriter for Bell {
    fn ring(&self, feed: &Arc<Feed>) -> bool {
        self.send(Parcel::Feed(feed.clone()))
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;
    use crate::broker::delivery::{Delivery, QueueLimits, outbox};
    use crate::broker::sync::{TryRecvError, unbounded};

    #[test]
    fn a_bell_ends_with_its_outbox_though_somebody_has_it() {
        let (mut outbox, inbox) = outbox(QueueLimits::default());
        let bell = outbox.bell().unwrap();
        assert!(bell.send(Parcel::Wake));
        assert!(matches!(inbox.look(), Ok((Delivery::Wake, _))));
        drop(outbox);
        assert!(!bell.send(Parcel::Wake));
        assert_eq!(inbox.look().unwrap_err(), TryRecvError::Disconnected);
    }

    #[test]
    fn a_writer_that_rests_is_called_and_one_that_has_gone_is_not() {
        let (calls, called) = unbounded();
        let (outbox, mut inbox) = outbox(QueueLimits::default());
        let mut outbox = outbox.calling(ClientId(7), calls);
        let bell = outbox.bell().unwrap();
        inbox.begin_turn();
        assert!(inbox.end_turn());
        assert!(bell.send(Parcel::Wake));
        assert_eq!(called.try_recv(), Ok(ClientId(7)));
        drop(inbox);
        assert!(!bell.send(Parcel::Wake));
    }
}
