//! The broker's one budget of memory, and what each use may have of it.
//!
//! Nothing here allocates: a thread that is about to use more memory than every connection has
//! claims it from the share of that use, and waits or refuses where there is none. See [`Share`]
//! for how a share is divided among its holders.

use std::sync::Arc;

use crate::codec::{DECODING_FACTOR, Share};
use crate::protocol::Limits;

/// The least that a broker's budget can be, in bytes.
pub const SMALLEST_MEMORY: usize = 64 << 20;
/// The most, so that sums of what is claimed cannot overflow.
const MAXIMUM_MEMORY: usize = usize::MAX >> 8;

/// Parts that the budget is divided into.
const PARTS: usize = 32;

/// The uses that a broker has for memory. The word on the wire is [`Use::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Last values, and their topics.
    Stored,
    /// Connections: their threads, their subscriptions.
    Connections,
    /// Frames that have not arrived as a whole.
    Frames,
    /// Messages while they are decoded.
    Decoding,
    /// Messages on their way: for the dispatcher, and in outboxes.
    InFlight,
    /// Deliveries that wait for one subscriber alone, beyond a few kilobytes of each.
    Queues,
    /// Answers that wait to be written.
    Answers,
    /// Deliveries that are being written, as far as messages on their way do not hold it.
    Writing,
    /// Values that were overwritten while somebody reads them.
    Snapshots,
    /// Streams: where the messages are that were written last, and what publishers called theirs.
    Streams,
}

impl Use {
    /// Every use, in the order of its declaration.
    pub const ALL: [Use; 10] = [
        Use::Stored,
        Use::Connections,
        Use::Frames,
        Use::Decoding,
        Use::InFlight,
        Use::Queues,
        Use::Answers,
        Use::Writing,
        Use::Snapshots,
        Use::Streams,
    ];

    /// The use in a word.
    pub fn name(self) -> &'static str {
        match self {
            Use::Stored => "stored",
            Use::Connections => "connections",
            Use::Frames => "frames",
            Use::Decoding => "decoding",
            Use::InFlight => "in_flight",
            Use::Queues => "queues",
            Use::Answers => "answers",
            Use::Writing => "writing",
            Use::Snapshots => "snapshots",
            Use::Streams => "streams",
        }
    }

    /// Parts of the budget that it may have, of [`PARTS`].
    fn parts(self) -> usize {
        match self {
            Use::Stored | Use::Connections => 6,
            Use::Decoding | Use::Writing => 4,
            Use::InFlight => 3,
            Use::Frames | Use::Queues | Use::Answers | Use::Snapshots => 2,
            Use::Streams => 1,
        }
    }
}

/// A broker's budget.
#[derive(Clone, Debug)]
pub struct Memory {
    total: usize,
    shares: [Arc<Share>; Use::ALL.len()],
}

impl Memory {
    /// A budget of so many bytes; at least [`SMALLEST_MEMORY`].
    pub fn new(total: usize) -> Memory {
        let total = total.clamp(SMALLEST_MEMORY, MAXIMUM_MEMORY);
        Memory { total, shares: Use::ALL.map(|of| Share::new(total / PARTS * of.parts())) }
    }

    /// A budget that is never used up.
    pub fn unlimited() -> Memory {
        Memory { total: MAXIMUM_MEMORY, shares: Use::ALL.map(|_| Share::unlimited()) }
    }

    /// Bytes of all shares together.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The share of a use.
    pub fn of(&self, this: Use) -> &Arc<Share> {
        &self.shares[this as usize]
    }

    /// The limits, cut to what one message can have of the budget: a frame must fit its share, a
    /// message decoding has its own and takes twice what it decodes to, and a stored value is
    /// decoded and encoded in one share.
    #[must_use]
    pub fn cut(&self, limits: Limits) -> Limits {
        let most = |this| self.of(this).most_for_one();
        let max_frame = (limits.max_frame as usize).min(most(Use::Frames) - FRAME_OVERHEAD);
        let max_encoded = u32::try_from(most(Use::Writing) / 2)
            .map_or(limits.max_encoded, |most| limits.max_encoded.min(most));
        let mut cut = limits;
        cut.max_frame = u32::try_from(max_frame).unwrap_or(limits.max_frame);
        cut.decoded_size = limits.decoded_size.min(most(Use::Decoding) / DECODING_FACTOR);
        cut.max_encoded = max_encoded;
        cut
    }
}

/// Bytes of a buffer beyond the body of the frame in it.
const FRAME_OVERHEAD: usize = 64 << 10;

impl Default for Memory {
    fn default() -> Memory {
        Memory::unlimited()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_make_up_the_budget_and_limits_fit_them() {
        assert_eq!(Use::ALL.map(Use::parts).iter().sum::<usize>(), PARTS);
        let memory = Memory::new(512 << 20);
        let shares: usize = Use::ALL.iter().map(|this| memory.of(*this).limit()).sum();
        assert_eq!(shares, memory.total());
        let limits = memory.cut(Limits::default());
        assert_eq!(limits.max_frame, 16 << 20);
        assert_eq!((limits.decoded_size, limits.max_encoded), (24 << 20, 24 << 20));
        assert_eq!(Memory::new(64 << 30).cut(Limits::default()), Limits::default());
        assert_eq!(Memory::unlimited().cut(Limits::default()), Limits::default());
        let smallest = Memory::new(0).cut(Limits::default());
        assert!(smallest.max_frame >= 1 << 20, "{smallest:?}");
    }
}
