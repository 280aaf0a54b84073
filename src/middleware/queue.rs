//! Queues: push and pull, in one format.

mod builder;
mod delivery;
mod durable;

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::QueueError;
use super::patience::Patience;
use super::publish::{Publish, check_id};
use super::session::{Arrived, Pulled, Session};
use super::settle::Settle;
use super::settler::Settler;
use super::wire::{Json, Pickle, Wire, With, Xml, write_value};
use crate::codec::Dialect;
use crate::protocol::{Topic, TopicFilter, Value};
pub use builder::QueueBuilder;
pub use delivery::{Delivery, Pulls};

/// A queue that speaks JSON.
///
#[cfg_attr(feature = "broker", doc = "```")]
#[cfg_attr(not(feature = "broker"), doc = "```ignore")]
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// let queue = babelmq::JsonQueue::builder("/weather").address(broker.local_addr());
/// let (mut consumer, mut producer) = (queue.clone().consumer()?, queue.producer()?);
/// producer.push(&("oslo", 21.5))?;
/// // JSON has lists and no tuples.
/// assert_eq!(consumer.pull()?.1, babelmq::Value::List(vec!["oslo".into(), 21.5.into()]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type JsonQueue = Queue<Json>;
/// A queue that speaks XML.
///
#[cfg_attr(feature = "broker", doc = "```")]
#[cfg_attr(not(feature = "broker"), doc = "```ignore")]
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// let queue = babelmq::XmlQueue::builder("/weather").address(broker.local_addr());
/// let (mut consumer, mut producer) = (queue.clone().consumer()?, queue.producer()?);
/// producer.push(&("oslo", 21.5))?;
/// let (_, (town, temperature)) = consumer.pull_as::<(String, f64)>()?;
/// assert_eq!((town.as_str(), temperature), ("oslo", 21.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type XmlQueue = Queue<Xml>;
/// A queue that speaks pickle.
///
#[cfg_attr(feature = "broker", doc = "```")]
#[cfg_attr(not(feature = "broker"), doc = "```ignore")]
/// use babelmq::{PickleQueue, Value};
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// let queue = PickleQueue::builder("/weather").address(broker.local_addr());
/// let (mut consumer, mut producer) = (queue.clone().consumer()?, queue.producer()?);
/// let pair = Value::Tuple(vec!["oslo".into(), 21.5.into()]);
/// producer.push_value(&pair)?;
/// assert_eq!(consumer.pull()?.1, pair);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type PickleQueue = Queue<Pickle>;

/// What a program pushes to and pulls from: one format, one topic (or several), one connection at a
/// time.
///
/// Delivery is at most once: what [`flush`](Self::flush) has confirmed was routed to every
/// subscriber that was there. What a stream keeps is delivered until it is acknowledged, see
/// [`durable`](QueueBuilder::durable), and pushed until it is confirmed by a queue that is
/// [`reliable`](QueueBuilder::reliable).
///
/// A connection that is lost is made again by whichever call needs it, at growing intervals, and
/// its subscriptions with it. The broker then sends the stored values again: what was published
/// meanwhile is missed but for the last value of each topic, and a value may be seen a second time.
/// A pull waits for that as it waits for a message, a push as long as
/// [`timeout`](QueueBuilder::timeout) says. [`QueueBuilder::on_connection`] is told, and `flush`
/// says [`QueueError::Lost`] where something that was pushed may not have arrived.
///
/// [`push`](Self::push) writes a message at once, unless it is one of a burst: when several have
/// come within a few microseconds of each other, the next wait for more to share a write with.
/// They are written when they are 64 KiB, when the queue waits for something (`flush`, a pull) or is
/// dropped, and otherwise after 100 µs, by a thread of the library. A process that ends without
/// dropping the queue may lose
/// these last ones.
///
#[cfg_attr(feature = "broker", doc = "```")]
#[cfg_attr(not(feature = "broker"), doc = "```ignore")]
/// use babelmq::{Json, Pickle, Queue, QueueError, Wire};
///
/// /// Takes the next number of a queue of any format.
/// fn next<W: Wire>(queue: &mut Queue<W>) -> Result<f64, QueueError> {
///     Ok(queue.pull_as()?.1)
/// }
/// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
/// let at = broker.local_addr();
/// let mut consumer = Queue::<Json>::builder("/weather/#").address(at).consumer()?;
/// let mut producer = Queue::<Pickle>::builder("/weather/oslo").address(at).producer()?;
/// producer.push(&21.5)?;
/// assert_eq!(next(&mut consumer)?, 21.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Queue<W: Wire> {
    topic: String,
    session: Session<W>,
    format: PhantomData<W>,
}

/// What is pushed is written exactly, so that no meaning is lost on the way to the broker.
fn dialect<W: Wire>() -> Dialect {
    Dialect::new(W::FORMAT, true)
}

impl<W: Wire> Queue<W> {
    pub(super) fn new(topic: String, session: Session<W>) -> Queue<W> {
        Queue { topic, session, format: PhantomData }
    }

    pub(super) fn established(mut self) -> Queue<W> {
        self.session.establish();
        self
    }

    /// A queue to be configured.
    pub fn builder(topic: impl Into<String>) -> QueueBuilder<W> {
        QueueBuilder::new(topic.into())
    }

    /// A queue that pushes to a topic. Sends nothing yet.
    ///
    /// # Errors
    /// As for [`QueueBuilder::producer`].
    pub fn producer(topic: impl Into<String>) -> Result<Queue<W>, QueueError> {
        Self::builder(topic).producer()
    }

    /// A queue that pulls what is published to a topic and its descendants.
    ///
    /// # Errors
    /// As for [`QueueBuilder::consumer`].
    pub fn consumer(topic: impl Into<String>) -> Result<Queue<W>, QueueError> {
        Self::builder(topic).consumer()
    }

    /// The topic, as it was given.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Whether there is a connection, as far as the last call knew.
    pub fn is_connected(&self) -> bool {
        self.session.is_connected()
    }

    /// How many messages made room for newer ones, see
    /// [`overflow`](super::QueueBuilder::overflow), as far as the broker has said so.
    pub fn dropped(&self) -> u64 {
        self.session.dropped()
    }

    /// Whether the broker lets this user see only a part of what was subscribed to, as it said when
    /// it answered.
    pub fn is_limited(&self) -> bool {
        self.session.is_limited()
    }

    /// Publishes a value of the program's own type to the queue's topic.
    ///
    /// It returns when the value is on its way, or waits for others to go with ([`Queue`] says how
    /// long). That the broker has it is known after [`flush`](Self::flush); what the broker refused
    /// comes out of the next `flush`, or of a `push` before it.
    ///
    /// # Errors
    /// [`QueueError::Type`] where the type cannot be a message, [`QueueError::Refused`] for
    /// something pushed before; [`QueueError::TimedOut`] where there is no connection and none can
    /// be made in time, [`QueueError::Lost`] where two broke under this one message. In all these
    /// cases this value was not sent.
    pub fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), QueueError> {
        self.push_with(|topic, with, out| W::write_push(topic, with, value, out))
    }

    /// Publishes a value to another topic: a program with many topics needs no more than one queue,
    /// and what it pushes keeps its order over all of them.
    ///
    #[cfg_attr(feature = "broker", doc = "```")]
    #[cfg_attr(not(feature = "broker"), doc = "```ignore")]
    /// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
    /// # let queue = babelmq::JsonQueue::builder("/weather").address(broker.local_addr());
    /// let mut producer = queue.producer()?;
    /// for (town, temperature) in [("/weather/oslo", 21.5), ("/weather/rome", 30.0)] {
    ///     producer.push_to(town, &temperature)?;
    /// }
    /// producer.flush()?;
    /// assert_eq!(producer.topics()?.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`push`](Self::push), and [`QueueError::Invalid`] for what cannot be a topic.
    pub fn push_to<T: Serialize + ?Sized>(
        &mut self,
        topic: &str,
        value: &T,
    ) -> Result<(), QueueError> {
        Topic::parse(topic)?;
        self.push_with(|_, with, out| W::write_push(topic, with, value, out))
    }

    /// Publishes a value that the broker forgets after a time, unless another takes its place
    /// before; a fraction of a second counts as a whole one. Who subscribes later does not get it,
    /// and it is not listed.
    ///
    /// # Errors
    /// As for [`push`](Self::push), and [`QueueError::Invalid`] for no time at all, or more than
    /// 4,294,967,295 s.
    pub fn push_with_ttl<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        ttl: Duration,
    ) -> Result<(), QueueError> {
        let ttl = Publish { ttl: Some(ttl), ..Publish::default() }.seconds()?;
        self.push_with(|topic, with, out| W::write_push(topic, With { ttl, ..with }, value, out))
    }

    /// Publishes a value with an id of the program's own, of 1 to 128 bytes: within two minutes a
    /// stream keeps one message of each id. So a program that does not know whether it pushed
    /// something before it ended may push it again.
    ///
    /// # Errors
    /// As for [`push`](Self::push), and [`QueueError::Invalid`] for an id that is empty or longer.
    pub fn push_with_id<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        id: &str,
    ) -> Result<(), QueueError> {
        let id = Some(check_id(id)?);
        self.push_with(|topic, with, out| W::write_push(topic, With { id, ..with }, value, out))
    }

    /// Publishes a [`Value`], exactly: tuples stay tuples and sets sets, in JSON as well.
    ///
    /// # Errors
    /// As for [`push`](Self::push); [`QueueError::Invalid`] for a value that no message can hold.
    pub fn push_value(&mut self, value: &Value) -> Result<(), QueueError> {
        self.push_with(|topic, with, out| Ok(write_value(dialect::<W>(), topic, with, value, out)?))
    }

    /// Publishes a [`Value`], exactly, to another topic.
    ///
    /// # Errors
    /// As for [`push_value`](Self::push_value), and [`QueueError::Invalid`] for what cannot be a
    /// topic.
    pub fn push_value_to(&mut self, topic: &str, value: &Value) -> Result<(), QueueError> {
        Topic::parse(topic)?;
        self.push_with(|_, with, out| Ok(write_value(dialect::<W>(), topic, with, value, out)?))
    }

    pub(super) fn push_with(
        &mut self,
        write: impl FnOnce(&str, With<'_>, &mut Vec<u8>) -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let id = self.session.next_id();
        let with = With { ttl: None, id: id.as_deref() };
        self.session.frame.clear();
        write(&self.topic, with, &mut self.session.frame)?;
        self.session.push()
    }

    /// Waits for the next message and returns it with its topic.
    ///
    /// # Errors
    /// [`QueueError::Refused`] where the broker refused something or ended the connection (the next
    /// pull connects again); [`QueueError::TooLarge`] and [`QueueError::Protocol`] for one message
    /// that cannot be read, and the next pull goes on with the next; [`QueueError::NotSubscribed`]
    /// where nothing can ever come. While the broker cannot be reached it waits.
    pub fn pull(&mut self) -> Result<(Topic, Value), QueueError> {
        let (topic, message) = self.pull_payload(Patience::Endless)?;
        self.read(W::value(message)).map(|value| (topic, value))
    }

    /// Waits for the next message for at most `timeout`.
    ///
    /// # Errors
    /// [`QueueError::TimedOut`], whether nothing came or the broker could not be reached, and as
    /// for [`pull`](Self::pull).
    pub fn pull_timeout(&mut self, timeout: Duration) -> Result<(Topic, Value), QueueError> {
        let (topic, message) = self.pull_payload(Patience::new(Some(timeout)))?;
        self.read(W::value(message)).map(|value| (topic, value))
    }

    /// Waits for the next message and returns it with all that is known of it: whether it is a
    /// stored value, and the format. Of a queue that was made with
    /// [`cleared`](QueueBuilder::cleared) it also says when a last value was cleared, or has expired.
    ///
    #[cfg_attr(feature = "broker", doc = "```")]
    #[cfg_attr(not(feature = "broker"), doc = "```ignore")]
    /// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
    /// # let queue = babelmq::JsonQueue::builder("/weather").address(broker.local_addr());
    /// let mut consumer = queue.cleared(true).consumer()?;
    /// broker.put_topic("/weather/oslo", &21.5.into())?;
    /// broker.clear_topic("/weather/oslo")?;
    /// assert!(!consumer.pull_message()?.cleared);
    /// let gone = consumer.pull_message()?;
    /// assert!(gone.cleared && gone.topic.as_str() == "/weather/oslo");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`pull`](Self::pull).
    pub fn pull_message(&mut self) -> Result<Delivery, QueueError> {
        pulled::<W>(self.session.pull_any(Patience::Endless)?)
    }

    /// The same for at most `timeout`.
    ///
    /// # Errors
    /// As for [`pull_timeout`](Self::pull_timeout).
    pub fn pull_message_timeout(&mut self, timeout: Duration) -> Result<Delivery, QueueError> {
        pulled::<W>(self.session.pull_any(Patience::new(Some(timeout)))?)
    }

    /// The next of the stored values, with which a subscription begins; `None` when there are no
    /// more of them, and what is pulled from then on is live. What was published meanwhile is kept
    /// for the other pulls.
    ///
    /// # Errors
    /// As for [`pull_timeout`](Self::pull_timeout), with the queue's own timeout.
    pub fn pull_stored(&mut self) -> Result<Option<Delivery>, QueueError> {
        let stored = self.session.pull_stored(self.session.patience())?;
        stored.map(delivery::<W>).transpose()
    }

    /// Waits for the next message and returns it as the program's own type.
    ///
    /// # Errors
    /// [`QueueError::Type`] for a message that is something else (it is not pulled again), and as
    /// for [`pull`](Self::pull).
    pub fn pull_as<T: DeserializeOwned>(&mut self) -> Result<(Topic, T), QueueError> {
        let (topic, message) = self.pull_payload(Patience::Endless)?;
        self.read(W::typed(message)).map(|value| (topic, value))
    }

    /// Waits for the next message for at most `timeout`, and returns it as the program's own type.
    ///
    /// # Errors
    /// [`QueueError::TimedOut`], and as for [`pull_as`](Self::pull_as).
    pub fn pull_as_timeout<T: DeserializeOwned>(
        &mut self,
        timeout: Duration,
    ) -> Result<(Topic, T), QueueError> {
        let (topic, message) = self.pull_payload(Patience::new(Some(timeout)))?;
        self.read(W::typed(message)).map(|value| (topic, value))
    }

    /// The next message, which is acknowledged when the one after it is pulled.
    pub(super) fn pull_payload(
        &mut self,
        patience: Patience,
    ) -> Result<(Topic, W::Message), QueueError> {
        let arrived = self.session.pull(patience)?;
        self.session.acknowledge_next_time(&arrived);
        Ok((arrived.topic, arrived.message))
    }

    /// What was read of the message that was pulled last; one that cannot be read is not pulled
    /// again, and so a consumer of a stream rejects it.
    pub(super) fn read<T>(&mut self, read: Result<T, QueueError>) -> Result<T, QueueError> {
        if let Err(error) = &read {
            self.session.settle_pulled(Settle::Reject(&error.to_string()));
        }
        read
    }

    /// The messages as an iterator that waits for each. It ends after the first error.
    pub fn iter(&mut self) -> Pulls<'_, W> {
        Pulls { queue: self, failed: false }
    }

    /// Waits until everything that this queue pushed was routed to every subscriber that was there,
    /// and is on the disk of a broker that promises so.
    ///
    /// # Errors
    /// [`QueueError::Refused`] where the broker refused some of it, and at once with the code
    /// `storage-failed` where it cannot write to its disk; [`QueueError::Lost`] where a connection
    /// was lost since the last `flush` and something had been pushed on it, which may or may not
    /// have been routed; [`QueueError::TimedOut`].
    pub fn flush(&mut self) -> Result<(), QueueError> {
        self.session.flush()
    }

    /// Asks for the topics that hold a value; `callback` is called with them during a later pull.
    ///
    /// # Errors
    /// [`QueueError::TimedOut`].
    pub fn list_topics(
        &mut self,
        callback: impl FnOnce(Vec<Topic>) + Send + 'static,
    ) -> Result<(), QueueError> {
        self.session.list(callback)
    }

    /// Asks for the topics that hold a value, and waits for them.
    ///
    /// # Errors
    /// [`QueueError::TimedOut`].
    pub fn topics(&mut self) -> Result<Vec<Topic>, QueueError> {
        self.session.topics()
    }

    /// Subscribes to one more topic, or to the queue's own again after
    /// [`cancel`](Self::cancel); with the builder's options. It is in place when this returns.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] for what cannot be subscribed to, and whatever the broker answers.
    pub fn subscribe_to(&mut self, topic: &str) -> Result<(), QueueError> {
        TopicFilter::parse(topic)?;
        if self.session.is_taken(topic) {
            return Err(QueueError::Options(format!(
                "a queue of a stream has one subscription; make another queue for {topic}"
            )));
        }
        self.session.subscribe(topic)
    }

    /// Ends the subscriptions. What came before can still be pulled; then a pull says
    /// [`QueueError::NotSubscribed`].
    ///
    /// # Errors
    /// [`QueueError::TimedOut`].
    pub fn cancel(&mut self) -> Result<(), QueueError> {
        self.session.cancel()
    }
}

fn delivery<W: Wire>(arrived: Arrived<W::Message>) -> Result<Delivery, QueueError> {
    let Arrived { topic, message, retained, origin, settler } = arrived;
    let value = match W::value(message) {
        Ok(value) => value,
        Err(error) => {
            let reject = |origin| settler.settle(origin, Settle::Reject(&error.to_string()));
            origin.as_ref().map(reject);
            return Err(error);
        }
    };
    let (format, cleared) = (W::FORMAT, false);
    Ok(Delivery { topic, value, retained, format, cleared, origin, settler })
}

fn pulled<W: Wire>(pulled: Pulled<W::Message>) -> Result<Delivery, QueueError> {
    match pulled {
        Pulled::Delivery(arrived) => delivery::<W>(arrived),
        Pulled::Cleared(topic) => Ok(Delivery {
            topic,
            value: Value::None,
            retained: false,
            format: W::FORMAT,
            cleared: true,
            origin: None,
            settler: Settler::default(),
        }),
    }
}

impl<W: Wire> fmt::Debug for Queue<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("topic", &self.topic)
            .field("format", &W::FORMAT)
            .finish_non_exhaustive()
    }
}
