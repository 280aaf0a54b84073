//! Messages as they are pulled.

use super::Queue;
use crate::middleware::error::QueueError;
use crate::middleware::origin::Origin;
use crate::middleware::settler::Settler;
use crate::middleware::wire::Wire;
use crate::protocol::{Format, Topic, Value};

/// A message, with all that is known of it: see [`Queue::pull_message`].
///
#[cfg_attr(feature = "broker", doc = "```")]
#[cfg_attr(not(feature = "broker"), doc = "```ignore")]
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// # broker.put_topic("/weather/oslo", &21.5.into())?;
/// # let queue = babelmq::JsonQueue::builder("/weather").address(broker.local_addr());
/// let mut consumer = queue.consumer()?;
/// // What was there before this consumer,
/// while let Some(stored) = consumer.pull_stored()? {
///     println!("{} is {}", stored.topic, stored.value);
///     assert!(stored.retained);
/// }
/// // and what comes.
/// # broker.put_topic("/weather/oslo", &22.0.into())?;
/// assert!(!consumer.pull_message()?.retained);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// Where it was published.
    pub topic: Topic,
    /// What was published; `None` of the model where [`cleared`](Self::cleared).
    pub value: Value,
    /// Whether it is a stored value: published before the subscription, or before the connection
    /// was made again.
    pub retained: bool,
    /// The format in which it came.
    pub format: Format,
    /// Whether it is no message but says that the topic's last value was cleared, or has expired: of
    /// a queue that was made with [`cleared`](super::QueueBuilder::cleared).
    pub cleared: bool,
    /// Its place in a stream, where the queue is of one: number, time, attempt.
    pub origin: Option<Origin>,
    /// What it is settled by.
    pub(in crate::middleware) settler: Settler,
}

/// The messages of a queue, see [`Queue::iter`].
///
#[cfg_attr(feature = "broker", doc = "```")]
#[cfg_attr(not(feature = "broker"), doc = "```ignore")]
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// # broker.put_topic("/weather/oslo", &21.5.into())?;
/// # broker.put_topic("/weather/rome", &30.0.into())?;
/// # let queue = babelmq::JsonQueue::builder("/weather").address(broker.local_addr());
/// let mut consumer = queue.consumer()?;
/// for pulled in consumer.iter().take(2) {
///     let (topic, value) = pulled?;
///     println!("{topic}: {value}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pulls<'a, W: Wire> {
    pub(in crate::middleware) queue: &'a mut Queue<W>,
    pub(in crate::middleware) failed: bool,
}

impl<W: Wire> Iterator for Pulls<'_, W> {
    type Item = Result<(Topic, Value), QueueError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let pulled = self.queue.pull();
        self.failed = pulled.is_err();
        Some(pulled)
    }
}

impl<'a, W: Wire> IntoIterator for &'a mut Queue<W> {
    type Item = Result<(Topic, Value), QueueError>;
    type IntoIter = Pulls<'a, W>;

    fn into_iter(self) -> Pulls<'a, W> {
        self.iter()
    }
}
