//! What came back from the backbone, on its way to the dispatcher.

use super::backbone::Room;
use crate::codec::Batch;
use crate::protocol::Topic;

/// Messages of shared topics, in the order of the backbone.
#[derive(Debug)]
pub struct Arrival {
    pub(in crate::broker) steps: Vec<ArrivalStep>,
    /// The last value of the topic that says how far this broker is.
    pub(in crate::broker) position: Box<Batch>,
    /// What is given back when they are delivered.
    pub(in crate::broker) room: Option<Room>,
}

/// One of them.
#[derive(Debug)]
pub(in crate::broker) enum ArrivalStep {
    /// A message, to be remembered and delivered.
    Publish(Box<Batch>),
    /// The topic has no last value any more.
    Clear(Topic),
}
