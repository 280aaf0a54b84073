//! What a subscription can ask for.

use super::wire::write_command;
use crate::codec::FrameField;
use crate::protocol::{Command, Format, Overflow};

/// How a subscription is to be.
///
/// ```
/// use babelmq::{Overflow, Subscribe};
///
/// // A slow consumer loses messages instead of its connection.
/// let lossy = Subscribe::default().overflow(Overflow::DropOldest).queue(1_000);
/// // And one that wants what Python sent, tuples too.
/// let exact = Subscribe::default().exact(true);
/// # assert!(exact.exact && lossy.queue == Some(1_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribe {
    /// Whether JSON tags what it cannot tell apart.
    pub exact: bool,
    /// What happens when the queue is full; `None` leaves it to the broker.
    pub overflow: Option<Overflow>,
    /// How many messages may wait; `None` leaves it to the broker.
    pub queue: Option<u32>,
}

impl Subscribe {
    /// Says whether JSON tags what it cannot tell apart.
    #[must_use]
    pub fn exact(self, exact: bool) -> Subscribe {
        Subscribe { exact, ..self }
    }

    /// Says what happens when the queue is full.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Subscribe {
        Subscribe { overflow: Some(overflow), ..self }
    }

    /// Lets so many messages wait.
    #[must_use]
    pub fn queue(self, messages: u32) -> Subscribe {
        Subscribe { queue: Some(messages), ..self }
    }
}

/// Appends the `subscribe` frame.
pub(super) fn write_subscribe(format: Format, filter: &str, how: Subscribe, out: &mut Vec<u8>) {
    let mut fields = vec![("topic", FrameField::Str(filter))];
    if how.exact {
        fields.push(("exact", FrameField::Bool(true)));
    }
    if let Some(overflow) = how.overflow {
        fields.push(("overflow", FrameField::Str(overflow.as_str())));
    }
    if let Some(queue) = how.queue {
        fields.push(("queue", FrameField::Int(queue.into())));
    }
    write_command(format, Command::Subscribe.as_str(), &fields, out);
}
