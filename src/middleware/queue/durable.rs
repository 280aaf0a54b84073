//! Queues of streams: acknowledgements, and a topic's last messages.

use std::time::Duration;

use super::{Delivery, Queue, delivery};
use crate::middleware::error::QueueError;
use crate::middleware::settle::Settle;
use crate::middleware::wire::Wire;
use crate::protocol::{ErrorCode, MAX_LAST, Refusal, Topic};

impl<W: Wire> Queue<W> {
    /// Acknowledges the message that `pull`, `pull_as`, `pull_document` or an iteration gave last,
    /// which the next pull would do: for a consumer that stops, or does something else before it
    /// pulls again. Returns whether there was one, and the connection is still there on which it
    /// came. [`flush`](Self::flush) waits until the broker knows.
    pub fn ack(&mut self) -> bool {
        self.session.settle_pulled(Settle::Ack)
    }

    /// How many messages of a [`reliable`](super::QueueBuilder::reliable) queue are not confirmed
    /// yet, as far as the last call knew.
    pub fn unconfirmed(&self) -> usize {
        self.session.unconfirmed()
    }

    /// The last messages of a topic that a stream keeps, oldest first: `last` of them at most,
    /// which is from 1 to 10,000. Nothing is settled by that.
    ///
    #[cfg_attr(all(feature = "broker", feature = "storage"), doc = "```")]
    #[cfg_attr(not(all(feature = "broker", feature = "storage")), doc = "```ignore")]
    /// # use babelmq::{Broker, Config, JsonQueue, Storage, StreamDefinition, TopicFilter};
    /// # let folder = std::env::temp_dir().join(format!("babelmq-last-{}", std::process::id()));
    /// # let orders = StreamDefinition::new("orders", TopicFilter::parse("orders/#")?)?;
    /// # let config = Config::listening_on(([127, 0, 0, 1], 0)).streams([orders]);
    /// # let broker = Broker::start_with(config, Box::new(Storage::open(&folder, false)?))?;
    /// let mut queue = JsonQueue::builder("orders/7").address(broker.local_addr()).producer()?;
    /// for state in ["created", "paid", "sent"] {
    ///     queue.push(state)?;
    /// }
    /// queue.flush()?;
    /// let last = queue.get_last("orders/7", 2)?;
    /// assert_eq!((last[0].value.as_str(), last[1].value.as_str()), (Some("paid"), Some("sent")));
    /// assert_eq!(last[1].origin.as_ref().map(|origin| origin.seq), Some(3));
    /// # broker.close()?;
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`QueueError::Refused`] with the code `no-stream` where no stream keeps the topic;
    /// [`QueueError::Invalid`] for what is no topic or another number; [`QueueError::TimedOut`].
    pub fn get_last(&mut self, topic: &str, last: u32) -> Result<Vec<Delivery>, QueueError> {
        Topic::parse(topic)?;
        if !(1..=MAX_LAST).contains(&last) {
            let reason = format!("the number of last messages is from 1 to {MAX_LAST}, not {last}");
            return Err(Refusal::new(ErrorCode::InvalidField, reason).into());
        }
        self.session.get_last(topic, last)?.into_iter().map(delivery::<W>).collect()
    }
}

/// What a consumer of a stream says of a message that [`Queue::pull_message`] gave it. It can be
/// said from any thread, and what is said within 100 µs, or until the queue waits, shares a write.
/// Each returns whether the connection is still there on which the message came, as far as the queue
/// knows, and is `false` for a message of no consumer: where it is not, nothing is said, and the
/// message comes again.
impl Delivery {
    /// It is done.
    pub fn ack(&self) -> bool {
        self.settle(Settle::Ack)
    }

    /// It could not be done, and is to come again: after `delay`, or where that is `None` as
    /// [`backoff`](super::QueueBuilder::backoff) says.
    pub fn nak(&self, delay: impl Into<Option<Duration>>) -> bool {
        self.settle(Settle::Nak(delay.into()))
    }

    /// It is still worked at: the time in which it has to be settled begins anew.
    pub fn touch(&self) -> bool {
        self.settle(Settle::Touch)
    }

    /// It can never be done: it becomes a dead letter, with the reason, of which 1,024 bytes are
    /// kept.
    pub fn reject(&self, reason: &str) -> bool {
        self.settle(Settle::Reject(reason))
    }

    fn settle(&self, settle: Settle<'_>) -> bool {
        self.origin.as_ref().is_some_and(|origin| self.settler.settle(origin, settle))
    }
}
