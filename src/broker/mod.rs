//! The topics, their last values, their subscribers, and the way of each message to them. This room
//! opens no socket.
//!
//! A [`Dispatcher`] owns all of it and lives on one thread. The world reaches it as an [`Event`];
//! its decisions leave through an [`Outbox`] for each connection.

mod client_id;
mod client_report;
mod cost;
mod delivery;
mod dispatcher;
mod ending;
mod event;
mod memory;
mod peer;
mod persist;
mod rare;
mod retained;
mod rights;
mod routing;
mod shared;
mod small_map;
mod stats;
mod streams;
pub(crate) mod sync;
mod tenths;
mod wall_clock;

pub(crate) use rare::{Empty, Rare};
pub(crate) use routing::FilterMap;
pub(crate) use small_map::SmallMap;

pub use client_id::ClientId;
pub use client_report::{
    Away, ClientReport, FeedReport, MemberReport, SessionReport, SubscriptionReport,
};
pub use cost::{EVENT_COST, SETTLED, fanout_cost, guessed_cost, topic_cost};
pub use delivery::{
    BACKLOG_COST, Backlog, Charge, Chosen, Delivery, Discarded, Fate, Full, Inbox, Lane, Leftover,
    Leftovers, Letter, Mailbox, Outbox, Piece, QueueLimits, Queued, Selection, Taken, Undelivered,
    outbox, outbox_with,
};
pub use dispatcher::{CLIENTS_TOGETHER, Dispatcher, StreamsPlan};
pub use ending::Ending;
pub use event::{Control, Event, Query, RightLost, Settle, Step, SubscriptionInfo};
pub use memory::{Memory, SMALLEST_MEMORY, Use};
pub use peer::{Origin, Peer};
pub use persist::{
    Backup, BackupMade, Change, Expires, Fsync, Kept, NoStore, Store, StoreError, StoreWriter,
    Ticket, Unsaved,
};
pub use retained::{StoreLimits, Stored, Subtree};
pub use rights::Rights;
pub use shared::{
    Arrived, BESIDE_FOLLOWED, Backbone, BackboneLine, FromBackbone, HowSettled, Incoming,
    JoinShared, JoinedShared, NoBackbone, Outgoing, Position, Room, Shared, SharedConsumer,
    SharedContent, SharedMessage, SharedNumbers, SharedPayload, SharedPlan, SharedReport,
    SharedTopics, ToBackbone,
};
pub use stats::{
    CONSUMERS_TOLD, ConsumerNumbers, Counters, Durations, Histogram, METRICS, Metric, MetricKind,
    MqttWay, Number, Process, Report, SCRAPED, Sample, Samples, Started, Stats, StreamNumbers,
    Unit,
};
pub use streams::{
    Announcer, Asked, Assignment, Blind, Consumer, ConsumerEntry, ConsumerReport, ConsumerSettings,
    Cursor, DEAD_LETTERS, Damage, Dead, DeadMessage, Due, Feed, Found, FromStream, LastMessages,
    Log, LogReader, LogSync, LogWriter, Look, MemberId, Order, Place, Record, STREAM_NAME_BYTES,
    Sight, StreamDefinition, StreamReport, StreamStore, StreamSummary, WhenFull, WhyDead,
    check_name, consumers_to_value,
};
pub use tenths::tenths;
pub use wall_clock::wall_clock;
