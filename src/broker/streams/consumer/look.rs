//! How a consumer sees the messages that it has not delivered yet.

use crate::protocol::TopicName;

/// What stands in the log at a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight<'a> {
    /// A message of this topic.
    Message(TopicName<'a>),
    /// Nothing, up to and with this number: what was there is deleted, dropped or damaged. These
    /// are settled.
    Missing(u64),
    /// This is not the moment: enough was read for now, or the disk cannot be read. The consumer
    /// asks again when it assigns again.
    Later,
}

/// The messages of a log, by their numbers. A consumer asks for ascending numbers in one call of
/// [`assign`](super::Consumer::assign), most often the next one.
pub trait Look {
    /// What stands at this number, which is less than the `end` that `assign` was given.
    fn look(&mut self, seq: u64) -> Sight<'_>;
}

/// For a consumer that looks at nothing: its filter covers its stream and it keeps no order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blind;

impl Look for Blind {
    fn look(&mut self, _: u64) -> Sight<'_> {
        Sight::Later
    }
}
