//! What an event costs the dispatcher.
//!
//! What waits in front of an event is how late it is, so the [`Backlog`](super::Backlog) is bounded by time and not by
//! bytes. The unit is a byte of an ordinary message, of which the dispatcher does about one in a nanosecond. The figures are
//! rough: what matters is that nothing costs a hundred times what it is said to.

use super::event::{Control, Step};

/// A segment of a topic that may have to be made: a node of the tree.
const SEGMENT: usize = 512;
/// A shape of filters that a topic is held against where its routes are not known.
const SHAPE: usize = 64;
/// A connection that a batch is delivered to.
const DELIVERY: usize = 256;
/// A request that is answered on the spot.
const SMALL: usize = 1 << 10;
/// A `list`, and a `subscribe`, which may look at a thousand topics before they become a walk and make all routes void.
const LOOK: usize = 64 << 10;
/// A `stats`, which looks at every subscriber.
const STATS: usize = 256 << 10;

impl Step {
    /// What it costs: `shapes` is how many shapes of filters there are, `fanout` how many connections the last batch of the
    /// same producer was delivered to.
    pub fn cost(&self, shapes: usize, fanout: usize) -> usize {
        match self {
            Step::Publish(batch) => {
                let topics = batch.topics();
                let per_topic = topics.segments() * SEGMENT + topics.len() * shapes * SHAPE;
                batch.bytes().len() + per_topic + fanout * DELIVERY
            }
            Step::Clear(_) => SMALL,
            Step::Control(control) => match control {
                Control::Stats { .. } => STATS,
                Control::Subscribe { .. } | Control::List { .. } => LOOK,
                Control::Cancel { .. } => LOOK / 4,
                Control::Get { .. } | Control::Ping { .. } | Control::Refuse { .. } => SMALL,
            },
        }
    }
}
