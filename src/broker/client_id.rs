//! The numbers of a client: its own, and that of its place.

use std::fmt;

/// A connection, for as long as the broker runs: no number is given twice.
///
#[cfg_attr(feature = "middleware", doc = "```")]
#[cfg_attr(not(feature = "middleware"), doc = "```ignore")]
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// # let queue = babelmq::JsonQueue::builder("/weather").address(broker.local_addr());
/// let consumers = [queue.clone().consumer()?, queue.consumer()?];
/// let subscriptions = broker.list_subscriptions("/weather")?;
/// assert_ne!(subscriptions[0].client, subscriptions[1].client);
/// println!("client {} listens", subscriptions[0].client);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A place in the dispatcher's list of connections that can receive.
pub(in crate::broker) type Slot = u32;
