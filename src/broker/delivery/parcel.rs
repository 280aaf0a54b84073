//! A delivery on the way to its writer. A channel has 31 places as soon as something was sent, and
//! each connection has a place of its own where it has none.

use std::sync::Arc;

use super::mailbox::Mailbox;
use super::{Delivery, Selection};
use crate::broker::streams::Feed;
use crate::codec::{Batch, Dialect};

/// What is sent again and again lies in the channel itself, and all else behind a pointer.
#[derive(Debug)]
pub(super) enum Parcel {
    Messages { batch: Arc<Batch>, dialect: Dialect, is_own: bool, selection: Selection },
    Mailbox(Arc<Mailbox>),
    Feed(Arc<Feed>),
    Wake,
    Other(Box<Delivery>),
}

impl From<Delivery> for Parcel {
    fn from(delivery: Delivery) -> Parcel {
        match delivery {
            Delivery::Messages { batch, dialect, is_own, selection, chosen: None } => {
                Parcel::Messages { batch, dialect, is_own, selection }
            }
            Delivery::Mailbox(mailbox) => Parcel::Mailbox(mailbox),
            Delivery::Feed(feed) => Parcel::Feed(feed),
            Delivery::Wake => Parcel::Wake,
            other => Parcel::Other(Box::new(other)),
        }
    }
}

impl From<Parcel> for Delivery {
    fn from(parcel: Parcel) -> Delivery {
        match parcel {
            Parcel::Messages { batch, dialect, is_own, selection } => {
                Delivery::Messages { batch, dialect, is_own, selection, chosen: None }
            }
            Parcel::Mailbox(mailbox) => Delivery::Mailbox(mailbox),
            Parcel::Feed(feed) => Delivery::Feed(feed),
            Parcel::Wake => Delivery::Wake,
            Parcel::Other(other) => *other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Charge;

    #[test]
    fn a_place_in_a_channel_is_small() {
        assert!(size_of::<(Parcel, Charge)>() <= 64, "{}", size_of::<(Parcel, Charge)>());
    }
}
