//! The cost of an event to the dispatcher.
//!
//! The work that waits in front of an event is how late it is, so the [`Backlog`](super::Backlog)
//! is bounded by time and not by bytes, and so is what one event brings. The unit is a byte of an
//! ordinary message, of which the dispatcher does about one in a nanosecond. The figures are rough:
//! what matters is that nothing costs a hundred times what it is said to.

use std::ops::AddAssign;

use super::event::{Control, Step};

/// The most that one event costs, apart from its last step or message: about a millisecond.
pub const EVENT_COST: usize = 1 << 20;

/// A segment of a topic that may have to be made: a node of the tree.
const SEGMENT: usize = 512;
/// A shape of filters that a topic is held against where its routes are not known.
const SHAPE: usize = 64;
/// A connection that a batch is delivered to.
const DELIVERY: usize = 512;
/// A message that is put into a mailbox by itself.
const COPY: usize = 256;
/// A message that goes to a connection to which others of its batch do not go.
const SELECTED: usize = 16;
/// A subscription that matches a topic, where the topic's routes are not known yet.
const FOUND: usize = 48;
/// A grant that is asked about a topic.
const JUDGED: usize = 256;
/// A segment of a filter that is compared with a topic's.
const COMPARED: usize = 8;
/// What a consumer says of a message, which goes to the stream's thread with others.
pub const SETTLED: usize = 32;
/// A request that is answered on the spot.
const SMALL: usize = 1 << 10;
/// A `list`, and a `subscribe`, which may look at a thousand topics before they become a snapshot
/// and make all routes void.
const LOOK: usize = 64 << 10;
/// A `stats`, which looks at every subscriber.
const STATS: usize = 1 << 20;

/// The cost of a topic that a message names, where there are so many shapes of filters.
pub fn topic_cost(topic: &str, shapes: usize) -> usize {
    let segments = 1 + memchr::memchr_iter(b'/', topic.as_bytes()).count();
    segments * SEGMENT + shapes * SHAPE
}

/// The cost of delivering a batch to so many connections.
pub fn fanout_cost(connections: usize) -> usize {
    connections * DELIVERY
}

/// The cost of a message that so many connections may get, where it is not known yet: as if each
/// put it into a mailbox. A session guesses once, and its first event is short where there are
/// many.
pub fn guessed_cost(connections: usize) -> usize {
    connections * COPY
}

/// The cost of a batch beyond its bytes and its deliveries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extra {
    /// Messages that were put into mailboxes by themselves.
    pub(super) copies: usize,
    /// Bytes of their topics' names, which are hashed and copied with them.
    pub(super) copied_names: usize,
    /// Messages that were chosen one by one, for each connection.
    pub(super) selected: usize,
    /// The cost of finding the routes that were not known.
    pub(super) search: Search,
}

/// The cost of finding routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// Subscriptions that match, however many of them are of one connection.
    pub(super) found: usize,
    /// Segments of their filters.
    pub(super) compared: usize,
    /// Shapes of filters that topics were held against.
    pub(super) shapes: usize,
    /// Grants that were asked whether somebody may see a topic.
    pub(super) judged: usize,
}

impl AddAssign for Search {
    fn add_assign(&mut self, other: Search) {
        self.found += other.found;
        self.compared += other.compared;
        self.shapes += other.shapes;
        self.judged += other.judged;
    }
}

impl Extra {
    pub(super) fn cost(self) -> usize {
        // A session has counted the shapes of each topic already.
        let Search { found, compared, judged, shapes: _ } = self.search;
        self.copies * COPY
            + self.copied_names
            + self.selected * SELECTED
            + found * FOUND
            + compared * COMPARED
            + judged * JUDGED
    }
}

/// The cost of a value that is forgotten, and of what it took to find who is told of it.
pub(super) fn forget_cost(topic: &str, search: Search) -> usize {
    let Search { found, compared, shapes, judged } = search;
    topic_cost(topic, shapes) + found * FOUND + compared * COMPARED + judged * JUDGED
}

/// The cost of telling so many connections of a topic which are not told of all others with it, and
/// so many that take a copy.
pub(super) fn notices_cost(selected: usize, copies: usize, topic: &str) -> usize {
    selected * SELECTED + copies * (COPY + topic.len())
}

impl Step {
    /// Its cost, messages aside.
    pub fn cost(&self) -> usize {
        match self {
            Step::Publish(_) => 0,
            Step::Clear(topic) => topic_cost(topic.as_str(), 0).max(SMALL),
            Step::Settle(settle) => SMALL + settle.what.len() * SETTLED,
            Step::Control(_, control) => match control {
                // The last messages of a stream are read by the writer; to find them is to look.
                Control::Get { last: Some(_), .. } => LOOK,
                Control::Admin(_) => STATS,
                Control::Stats | Control::Backup => STATS,
                Control::Subscribe { .. } | Control::List { .. } | Control::ClearBelow { .. } => {
                    LOOK
                }
                Control::Cancel { .. }
                | Control::Leave { .. }
                | Control::Join { .. }
                | Control::Quit { .. } => LOOK / 4,
                Control::Get { .. } | Control::Ping { .. } | Control::Refuse { .. } => SMALL,
                // All subscriptions of the client may have to be looked at.
                Control::Welcome { .. } => LOOK,
            },
        }
    }
}
