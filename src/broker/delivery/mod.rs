//! The deliveries that the dispatcher hands to a writer through an outbox.

mod backlog;
mod bell;
mod leftovers;
mod level;
mod link;
mod mailbox;
mod outbox;
mod parcel;

pub use backlog::{BACKLOG_COST, Backlog, Lane, Queued};
pub use leftovers::{Leftover, Leftovers};
pub use level::Charge;
pub(in crate::broker) use mailbox::Put;
pub use mailbox::{Letter, Mailbox, Taken};
pub(in crate::broker) use outbox::Warm;
pub use outbox::{
    Discarded, Fate, Full, Inbox, Outbox, QueueLimits, Undelivered, outbox, outbox_with,
};

use std::sync::Arc;

use crate::broker::persist::{BackupMade, Ticket};
use crate::broker::retained::Stored;
use crate::broker::stats::Report;
use crate::broker::streams::{Asked, Feed, LastMessages, StreamSummary};
use crate::broker::sync::{Receiver, Sender};
use crate::codec::{Batch, Claim, Dialect, PlainNames};

use crate::protocol::{Id, Refusal, Reply, Token, TopicFilter};

/// Something for a writer to write.
#[derive(Debug)]
pub enum Delivery {
    /// Messages of a batch.
    Messages {
        /// Shared with every other subscriber.
        batch: Arc<Batch>,
        /// How to write them.
        dialect: Dialect,
        /// Whether the connection has published them itself.
        is_own: bool,
        /// Which of them.
        selection: Selection,
        /// The group of which the connection was chosen for them, where it was.
        chosen: Option<Arc<Chosen>>,
    },
    /// There are messages for a subscription that can lose some.
    Mailbox(Arc<Mailbox>),
    /// The stored values that a subscription begins with.
    Snapshot {
        /// In the order in which they were published.
        values: Vec<Stored>,
        /// How to write them.
        dialect: Dialect,
    },
    /// The same where they are many. A `subscribed` follows, with their number.
    LongSnapshot {
        /// The dispatcher holds the other end, and drops it when there are no more.
        pieces: Receiver<Piece>,
        /// The subscription.
        topic: TopicFilter,
        /// Whether the client may see only some of what it matches.
        limited: bool,
        /// How to write them.
        dialect: Dialect,
        /// What the answer brings back.
        token: Token,
    },
    /// The answer to a `list` of many topics, to be sorted.
    Topics {
        /// The values that the topics hold; the dispatcher holds the other end, and drops it when
        /// there are no more.
        pieces: Receiver<Piece>,
        /// What the answer brings back.
        token: Token,
    },
    /// The answer to a `get` of a topic that holds a value.
    Value {
        /// The value.
        stored: Stored,
        /// How it is written.
        dialect: Dialect,
        /// What the answer brings back.
        token: Token,
    },
    /// An answer that says that everything before it is on the disk; it waits there, and what is
    /// behind it with it.
    Durable {
        /// What to wait for.
        ticket: Ticket,
        /// What to say then.
        reply: Reply,
        /// What the answer brings back.
        token: Token,
    },
    /// The answer to a `backup`, when there is one; what is behind it waits with it.
    Backup {
        /// The name of the file, or why there is none.
        made: BackupMade,
        /// What the answer brings back.
        token: Token,
    },
    /// The answer to a `stats`; the writer adds what it knows.
    Report {
        /// What the dispatcher knows.
        report: Box<Report>,
        /// What the answer brings back.
        token: Token,
    },
    /// There are messages of a stream for one subscription.
    Feed(Arc<Feed>),
    /// The question for a topic's last messages in a stream.
    Last(Box<LastMessages>),
    /// The answer to `streams`.
    Streams {
        /// What is known of them.
        streams: Vec<StreamSummary>,
        /// What the answer brings back.
        token: Token,
    },
    /// The answer to `consumers`, when the streams' threads have said what they know.
    Consumers {
        /// Those that were asked.
        consumers: Vec<Asked>,
        /// What the answer brings back.
        token: Token,
    },
    /// What a stream's thread answers; what is behind it waits with it.
    Answer {
        /// The thread holds the other end.
        answer: Receiver<Result<Reply, Refusal>>,
        /// What the answer brings back.
        token: Token,
    },
    /// The names of elements in all plain XML from here on.
    Names(Box<PlainNames>),
    /// Nothing: the connection has something to say for itself, between two others.
    Wake,
    /// Anything else.
    Reply {
        /// What to say.
        reply: Reply,
        /// What the answer brings back.
        token: Token,
    },
}

impl Delivery {
    /// About how many bytes of memory an answer keeps alive.
    pub(super) fn weight(&self) -> usize {
        const SMALL: usize = 256;
        const SNAPSHOT: usize = 2_048;
        /// Bytes of one of many beyond its text.
        const EACH: usize = 64;
        match self {
            Delivery::Snapshot { values, .. } => {
                let of_one =
                    |stored: &Stored| EACH + stored.topic().as_str().len() + stored.weight();
                SMALL + values.iter().map(of_one).sum::<usize>()
            }
            Delivery::Value { stored, .. } => {
                SMALL + stored.topic().as_str().len() + stored.weight()
            }
            Delivery::Durable { reply: Reply::Pong { id: Some(Id::Str(id)) }, .. }
            | Delivery::Reply { reply: Reply::Pong { id: Some(Id::Str(id)) }, .. } => {
                SMALL + id.len()
            }
            Delivery::Reply { reply: Reply::Topics { topics }, .. } => {
                SMALL + topics.iter().map(|topic| EACH + topic.as_str().len()).sum::<usize>()
            }
            Delivery::Reply { reply: Reply::Error(refusal), .. } => {
                SMALL + refusal.reason.len() + refusal.topic.as_ref().map_or(0, String::len)
            }
            Delivery::Reply { reply: Reply::NoValue { topic }, .. } => SMALL + topic.as_str().len(),
            Delivery::Reply {
                reply: Reply::Cancelled { topic } | Reply::Subscribed { topic, .. },
                ..
            } => SMALL + topic.as_str().len(),
            Delivery::Reply { reply: Reply::Values { topic, .. }, .. } => {
                SMALL + topic.as_str().len()
            }
            Delivery::Report { report, .. } => SMALL + report.weight(),
            Delivery::LongSnapshot { .. } | Delivery::Topics { .. } => SNAPSHOT,
            Delivery::Streams { streams, .. } => SMALL * (1 + streams.len()),
            Delivery::Consumers { consumers, .. } => SMALL * (1 + consumers.len()),
            Delivery::Feed(_) | Delivery::Last(_) | Delivery::Answer { .. } => SMALL,
            Delivery::Durable { .. }
            | Delivery::Backup { .. }
            | Delivery::Reply { .. }
            | Delivery::Messages { .. }
            | Delivery::Names(_)
            | Delivery::Wake
            | Delivery::Mailbox(_) => SMALL,
        }
    }
}

impl Delivery {
    /// Whether writing it may mean waiting for something, or holds up others: many values, or an
    /// answer that is not known yet.
    pub fn may_take_time(&self) -> bool {
        /// Bytes of values that are written at once.
        const FEW: usize = 64 << 10;
        const SMALL: usize = 64;
        match self {
            Delivery::LongSnapshot { .. }
            | Delivery::Topics { .. }
            | Delivery::Feed(_)
            | Delivery::Last(_)
            | Delivery::Streams { .. }
            | Delivery::Consumers { .. }
            | Delivery::Answer { .. } => true,
            Delivery::Durable { ticket, .. } => !ticket.is_ready(),
            Delivery::Backup { .. } => true,
            Delivery::Snapshot { values, .. } => {
                values.iter().map(|stored| SMALL + stored.weight()).sum::<usize>() > FEW
            }
            Delivery::Value { stored, .. } => stored.weight() > FEW,
            Delivery::Mailbox(mailbox) => mailbox.is_longer_than(64, FEW),
            Delivery::Messages { batch, .. } => batch.expands(),
            Delivery::Report { .. }
            | Delivery::Names(_)
            | Delivery::Wake
            | Delivery::Reply { .. } => false,
        }
    }
}

/// How messages come to a connection that is a member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The name of the group.
    pub group: Arc<str>,
    /// What the connection said of itself when it [joined](crate::broker::Control::Join).
    pub mark: u64,
}

/// Some of many stored values, in the order in which they were published.
#[derive(Debug)]
pub struct Piece {
    /// The values.
    pub values: Vec<Stored>,
    /// Whether these are the last. Where there are no more pieces and none said so, the connection
    /// was cut off.
    pub last: bool,
    /// Memory that the values keep alive.
    pub(super) _claim: Claim,
    /// Dropped last, when the memory is given back.
    pub(super) _returned: Returned,
}

/// Tells the dispatcher that a piece was dropped.
#[derive(Debug)]
pub(super) struct Returned {
    line: u64,
    bytes: usize,
    to: Sender<(u64, usize)>,
}

impl Returned {
    pub(super) fn new(line: u64, bytes: usize, to: Sender<(u64, usize)>) -> Returned {
        Returned { line, bytes, to }
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        // The dispatcher may have ended; then nobody asks.
        let _ = self.to.send((self.line, self.bytes));
    }
}

impl Selection {
    /// The messages that are meant, by their places in the batch, where all of it is wanted.
    pub(in crate::broker) fn places<'a>(
        &'a self,
        batch: &Batch,
    ) -> impl Iterator<Item = usize> + use<'a> {
        let (whole, some): (usize, &[u32]) = match self {
            Selection::Whole => (batch.messages().len(), &[]),
            Selection::Some(places) => (0, places),
        };
        (0..whole).chain(some.iter().map(|place| *place as usize))
    }

    /// The messages that are meant, by their places in the batch, where they are written in this
    /// dialect.
    pub(crate) fn wanted<'a>(
        &'a self,
        batch: &'a Batch,
        dialect: Dialect,
    ) -> impl Iterator<Item = usize> + use<'a> {
        let is_whole = *self == Selection::Whole;
        self.places(batch).filter(move |place| !is_whole || batch.is_wanted(dialect, *place))
    }

    /// Bytes of memory that it takes of its own.
    pub(super) fn weight(&self) -> usize {
        match self {
            Selection::Whole => 0,
            Selection::Some(messages) => size_of_val::<[u32]>(messages),
        }
    }
}

/// Which messages of a batch one subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All that anybody wants in the dialect.
    Whole,
    /// These, ascending.
    Some(Box<[u32]>),
}
