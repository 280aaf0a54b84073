//! Who gets what: the topics, their last values and their subscribers. This room opens no socket.
//!
//! A [`Dispatcher`] owns all of it and lives on one thread. What happens reaches it as an [`Event`]; what it decides
//! leaves through an [`Outbox`] for each connection.

mod dispatcher;
mod event;
mod outbox;
mod stats;
mod subscriptions;
mod tree;

pub use dispatcher::Dispatcher;
pub use event::{ClientId, Control, Event, Query, Step, SubscriptionInfo};
pub use outbox::{Charge, Delivery, Full, Inbox, Outbox, QueueLimits, Selection, outbox};
pub use stats::{Counters, Stats};
pub use tree::Stored;
