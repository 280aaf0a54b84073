//! What the dispatcher hands to a stream's thread.

use std::sync::Arc;

use super::consumer::MemberId;
use super::definition::StreamDefinition;
use super::feed::{Feed, HearsAcks};
use super::report::StreamReport;
use crate::broker::delivery::Selection;
use crate::broker::sync::Sender;
use crate::codec::Batch;
use crate::protocol::{DurableRequest, Refusal, Reply, Settlement, Start, Topic};

/// Something for a stream's thread, with its place in the order of all that was handed over.
#[derive(Debug)]
pub(in crate::broker) struct Request {
    pub(in crate::broker) op: u64,
    pub(in crate::broker) what: What,
}

impl HearsAcks for Sender<Request> {
    fn acked(&self, feed: &Arc<Feed>) {
        // A thread that has ended has said so in its state.
        let _ = self.send(Request { op: 0, what: What::Acked { feed: feed.clone() } });
    }
}

#[derive(Debug)]
pub(in crate::broker) enum What {
    /// Messages for the log.
    Append(Append),
    /// A topic of shared ones whose last value is to be forgotten by all brokers.
    Clear { topic: Topic },
    /// A subscription under a consumer's name.
    Join(Box<Join>),
    /// A subscription that reads without acknowledgements, from here.
    Follow { feed: Arc<Feed>, start: Start, next: u64, answer: Answer },
    /// A subscription has ended.
    Leave { feed: Arc<Feed>, member: MemberId },
    /// What a member says of messages that it was given.
    Settle { member: MemberId, what: Vec<Settlement> },
    /// The client of a feed is done with messages, and has said so in the feed.
    Acked { feed: Arc<Feed> },
    /// A dead letter is where it is to be.
    Buried { consumer: Arc<str>, seq: u64 },
    /// New limits.
    Define { definition: StreamDefinition, answer: Answer },
    /// A consumer begins anew.
    Reset { consumer: String, start: Start, next: u64, answer: Answer },
    /// A consumer is forgotten.
    RemoveConsumer { consumer: String, answer: Answer },
    /// A consumer gets a message again.
    Retry { consumer: String, seq: u64, answer: Answer },
    /// A message is forgotten.
    Delete { seq: u64, answer: Answer },
    /// What is known of its consumers.
    Report { answer: Sender<StreamReport> },
    /// Somebody waits until all that was handed over before is on the disk.
    Hurry,
    /// All messages before `next` are on the disk: the thread that waits for it says so.
    Synced { next: u64 },
    /// There will be nothing more.
    Stop,
    /// The stream is removed, with all that it holds.
    Remove { answer: Answer },
}

/// Messages of a batch for the log.
#[derive(Debug)]
pub(in crate::broker) struct Append {
    pub(in crate::broker) batch: Arc<Batch>,
    pub(in crate::broker) selection: Selection,
    /// The number of the first.
    pub(in crate::broker) first: u64,
    /// When they were published, in milliseconds since 1970.
    pub(in crate::broker) time: u64,
    /// Bytes of memory that wait with it.
    pub(in crate::broker) bytes: usize,
    /// Who is told when they are where they are to be.
    pub(in crate::broker) burial: Option<Burial>,
}

/// A dead letter on its way: who is told when it is safe.
#[derive(Debug)]
pub(in crate::broker) struct Burial {
    pub(in crate::broker) to: Sender<Request>,
    pub(in crate::broker) consumer: Arc<str>,
    pub(in crate::broker) seq: u64,
}

/// A subscription under a consumer's name.
#[derive(Debug)]
pub(in crate::broker) struct Join {
    pub(in crate::broker) consumer: Arc<str>,
    pub(in crate::broker) member: MemberId,
    pub(in crate::broker) feed: Arc<Feed>,
    pub(in crate::broker) wanted: DurableRequest,
    /// The number that the next message has at this moment.
    pub(in crate::broker) next: u64,
    pub(in crate::broker) answer: Answer,
}

/// Where an answer goes. The one that asked may have gone.
pub(in crate::broker) type Answer = Sender<Result<Reply, Refusal>>;
