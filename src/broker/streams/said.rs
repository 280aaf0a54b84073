//! What a stream's thread has to say to the dispatcher.

use std::sync::Arc;

use super::definition::StreamDefinition;
use super::feed::Feed;
use super::log::LogReader;
use super::recent_ids::RecentIds;
use super::request::{Answer, Burial, Request, What};
use super::state::StreamState;
use crate::broker::persist::StoreError;
use crate::broker::shared::Arrival;
use crate::broker::sync::Sender;
use crate::broker::sync::thread::JoinHandle;
use crate::codec::Batch;

/// What a stream's thread has to say to the dispatcher.
#[derive(Debug)]
pub enum FromStream {
    /// There is something for a connection's writer to read.
    Due(Arc<Feed>),
    /// A dead letter, to be published.
    Bury(Box<DeadLetter>),
    /// A stream that was opened while the broker runs.
    Opened(Box<Opened>),
    /// Messages of shared topics, back from the backbone.
    Arrived(Box<Arrival>),
}

/// A stream that was opened, or why it was not; and who is told, if anybody is.
#[derive(Debug)]
pub struct Opened {
    pub(in crate::broker) name: String,
    pub(in crate::broker) stream: Result<OpenStream, StoreError>,
    pub(in crate::broker) answer: Option<Answer>,
}

/// A dead letter, and who is told when it is safe.
#[derive(Debug)]
pub struct DeadLetter {
    pub(in crate::broker) batch: Batch,
    pub(in crate::broker) burial: Burial,
}

/// A stream whose threads run.
#[derive(Debug)]
pub(in crate::broker) struct OpenStream {
    pub(in crate::broker) definition: StreamDefinition,
    pub(in crate::broker) requests: Sender<Request>,
    pub(in crate::broker) state: Arc<StreamState>,
    pub(in crate::broker) reader: Arc<dyn LogReader>,
    pub(in crate::broker) ids: RecentIds,
    /// When its last message was published, in milliseconds since 1970.
    pub(in crate::broker) time: u64,
    pub(in crate::broker) thread: JoinHandle<()>,
}

impl Opened {
    /// Ends the stream that nobody will use.
    pub(in crate::broker) fn end(self) {
        let Ok(OpenStream { requests, thread, .. }) = self.stream else { return };
        let _ = requests.send(Request { op: 1, what: What::Stop });
        // A panic was reported where it happened.
        let _ = thread.join();
    }
}
