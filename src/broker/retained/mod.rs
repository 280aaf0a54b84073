//! The last value of each topic, the order in which they were published, and how they are read and
//! forgotten.

mod expiry;
mod publication_order;
mod snapshots;
mod stored;
mod subtrees;
mod tree;

pub(in crate::broker) use expiry::Expiries;
#[cfg(test)]
pub(in crate::broker) use expiry::{Clock, Hands};
pub(in crate::broker) use snapshots::{MAX_SNAPSHOTS, Snapshots, TooMany};
pub use stored::Stored;
pub use subtrees::Subtree;
pub(in crate::broker) use subtrees::Subtrees;
pub use tree::StoreLimits;
pub(in crate::broker) use tree::{AHEAD, Marker, Prefetch, TopicId, Tree};
