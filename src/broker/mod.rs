//! Who gets what: the topics, their last values and their subscribers. This room opens no socket.
//!
//! A [`Dispatcher`] owns all of it and lives on one thread. What happens reaches it as an [`Event`]; what it decides
//! leaves through an [`Outbox`] for each connection.

mod backlog;
mod backup;
mod chain;
mod cost;
mod delivery;
mod dispatcher;
mod event;
mod expiry;
mod filter_map;
mod keeper;
mod level;
mod mailbox;
mod memory;
#[cfg(all(test, shuttle))]
mod model;
mod outbox;
mod patterns;
mod peer;
mod progress;
mod recorder;
mod report;
mod routes;
mod selections;
mod stats;
mod store;
mod stored;
mod subscriptions;
mod subtrees;
mod sync;
mod tree;
mod turn;
mod wait;
mod walks;

pub use backlog::{BACKLOG_COST, Backlog, Lane, Queued};
pub use backup::BackupMade;
pub use cost::{EVENT_COST, fanout_cost, guessed_cost, topic_cost};
pub use delivery::{Delivery, Piece, Selection};
pub use dispatcher::Dispatcher;
pub use event::{ClientId, Control, Event, Query, Step, SubscriptionInfo};
pub use keeper::Keeper;
pub use level::Charge;
pub use mailbox::{Letter, Mailbox, Taken};
pub use memory::{Memory, SMALLEST_MEMORY, Use};
pub use outbox::{Discarded, Fate, Full, Inbox, Outbox, QueueLimits, Undelivered, outbox, outbox_with};
pub use peer::{Origin, Peer};
pub use progress::{Ticket, Unsaved};
pub use report::Report;
pub use stats::{Counters, METRICS, Metric, MetricKind, Started, Stats, Unit};
pub use store::{Backup, Change, Expires, Fsync, Kept, NoStore, Store, StoreError};
pub use stored::Stored;
pub use subtrees::Subtree;
pub use tree::StoreLimits;
