//! Queues: one topic, one format, push and pull.

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::{Connection, Frame, Patience};
use super::error::{QueueError, Refused};
use super::publish::Publish;
use super::wire::sealed::Sealed;
use super::wire::{Incoming, Json, Pickle, Wire, Xml, write_command, write_value};
use crate::codec::{Dialect, FrameField};
use crate::protocol::{ErrorCode, Format, Refusal, Topic, TopicFilter, Value};

/// Where a broker is looked for when nothing says where.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:5000";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

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

/// A connection to a broker, tied to one topic.
///
/// Delivery is at most once: what [`flush`](Self::flush) has confirmed was routed to every
/// subscriber that was there.
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
    connection: Connection,
    timeout: Duration,
    dialect: Dialect,
    /// Deliveries that came while something else was waited for.
    deliveries: VecDeque<(Topic, W::Message)>,
    /// What the broker refused and nobody was told yet.
    refused: VecDeque<Refused>,
    /// Who waits for `topics` replies, in the order in which they were asked for.
    listings: VecDeque<Listing>,
    answers: Answers,
    pings: i64,
    frame: Vec<u8>,
    format: PhantomData<W>,
}

/// Who asked for a list of topics.
enum Listing {
    /// A callback, to be called during a pull.
    Callback(Box<dyn FnOnce(Vec<Topic>) + Send>),
    /// [`Queue::topics`].
    Waiting,
}

/// Answers that came and were not looked at yet.
#[derive(Default)]
struct Answers {
    /// The number of the last ping that was answered; a broker answers them in their order.
    ping: i64,
    /// Why what came before that ping is not on the broker's disk.
    unsaved: Option<Refused>,
    topics: Option<Vec<Topic>>,
}

/// How a queue is to be: see [`Queue::builder`].
///
/// ```no_run
/// use std::time::Duration;
///
/// let consumer = babelmq::JsonQueue::builder("/weather")
///     .address("broker.example:5000")
///     .timeout(Duration::from_secs(3))
///     .exact(true)
///     .consumer()?;
/// # Ok::<(), babelmq::QueueError>(())
/// ```
#[derive(Clone, Debug)]
pub struct QueueBuilder<W> {
    topic: String,
    address: Option<String>,
    timeout: Duration,
    exact: bool,
    format: PhantomData<W>,
}

impl<W: Wire> QueueBuilder<W> {
    /// The broker's address, `host:port`. Default: the environment's `BABELMQ_ADDR`, else
    /// `127.0.0.1:5000`.
    #[must_use]
    pub fn address(mut self, address: impl fmt::Display) -> Self {
        self.address = Some(address.to_string());
        self
    }

    /// How long to wait for the connection and for the broker's answers. Default 10 s.
    /// [`Queue::pull`] waits without end all the same.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether a JSON consumer gets tags for what JSON cannot tell apart (tuples, frozensets, keys
    /// that are no strings), so that values arrive exactly as they were sent. The other formats
    /// always are exact. Default false.
    #[must_use]
    pub fn exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// Connects, and sends nothing.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] for a topic that cannot be published to, [`QueueError::Connect`].
    pub fn producer(self) -> Result<Queue<W>, QueueError> {
        Topic::parse(&self.topic)?;
        self.connect()
    }

    /// Connects and subscribes; the subscription is in place when this returns, and the stored
    /// values wait to be pulled.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] for a topic that cannot be subscribed to, [`QueueError::Connect`],
    /// and whatever the broker answers.
    pub fn consumer(self) -> Result<Queue<W>, QueueError> {
        TopicFilter::parse(&self.topic)?;
        let exact = self.exact;
        let mut queue = self.connect()?;
        queue.subscribe(exact)?;
        Ok(queue)
    }

    fn connect(self) -> Result<Queue<W>, QueueError> {
        let address = match self.address {
            Some(address) => address,
            None => env::var("BABELMQ_ADDR").unwrap_or_else(|_| DEFAULT_ADDRESS.to_owned()),
        };
        let connection = Connection::open(&address, Some(self.timeout))?;
        Ok(Queue {
            topic: self.topic,
            connection,
            timeout: self.timeout,
            // What is pushed is written exactly, so that no meaning is lost on the way to the
            // broker.
            dialect: Dialect::new(W::FORMAT, true),
            deliveries: VecDeque::new(),
            refused: VecDeque::new(),
            listings: VecDeque::new(),
            answers: Answers::default(),
            pings: 0,
            frame: Vec::new(),
            format: PhantomData,
        })
    }
}

impl<W: Wire> Queue<W> {
    /// A queue to be configured.
    pub fn builder(topic: impl Into<String>) -> QueueBuilder<W> {
        QueueBuilder {
            topic: topic.into(),
            address: None,
            timeout: DEFAULT_TIMEOUT,
            exact: false,
            format: PhantomData,
        }
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

    /// Publishes a value of the program's own type to the queue's topic.
    ///
    /// It returns when the value is on its way. That the broker has it is known after
    /// [`flush`](Self::flush); what the broker refused comes out of the next `flush`, or of a
    /// `push` before it.
    ///
    /// # Errors
    /// [`QueueError::Type`] where the type cannot be a message, [`QueueError::Refused`] for
    /// something pushed before, and a broken connection.
    pub fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), QueueError> {
        self.push_with(|topic, out| W::write_push(topic, None, value, out))
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
        self.push_with(|topic, out| W::write_push(topic, ttl, value, out))
    }

    /// Publishes a [`Value`], exactly: tuples stay tuples and sets sets, in JSON as well.
    ///
    /// # Errors
    /// As for [`push`](Self::push); [`QueueError::Invalid`] for a value that no message can hold.
    pub fn push_value(&mut self, value: &Value) -> Result<(), QueueError> {
        let dialect = self.dialect;
        self.push_with(|topic, out| Ok(write_value(dialect, topic, None, value, out)?))
    }

    pub(super) fn push_with(
        &mut self,
        write: impl FnOnce(&str, &mut Vec<u8>) -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        self.take_in_waiting()?;
        self.refused()?;
        self.frame.clear();
        write(&self.topic, &mut self.frame)?;
        self.connection.send(&self.frame)
    }

    /// Waits for the next message and returns it with its topic.
    ///
    /// # Errors
    /// [`QueueError::Refused`] where the broker ended the subscription, and a broken connection.
    pub fn pull(&mut self) -> Result<(Topic, Value), QueueError> {
        let (topic, message) = self.next_delivery(Patience::Endless)?;
        Ok((topic, W::value(message)?))
    }

    /// Waits for the next message for at most `timeout`.
    ///
    /// # Errors
    /// [`QueueError::TimedOut`], and as for [`pull`](Self::pull).
    pub fn pull_timeout(&mut self, timeout: Duration) -> Result<(Topic, Value), QueueError> {
        let (topic, message) = self.next_delivery(Patience::new(Some(timeout)))?;
        Ok((topic, W::value(message)?))
    }

    /// Waits for the next message and returns it as the program's own type.
    ///
    /// # Errors
    /// [`QueueError::Type`] for a message that is something else (it is not pulled again), and as
    /// for [`pull`](Self::pull).
    pub fn pull_as<T: DeserializeOwned>(&mut self) -> Result<(Topic, T), QueueError> {
        let (topic, message) = self.next_delivery(Patience::Endless)?;
        Ok((topic, W::typed(message)?))
    }

    /// Waits for the next message for at most `timeout`, and returns it as the program's own type.
    ///
    /// # Errors
    /// [`QueueError::TimedOut`], and as for [`pull_as`](Self::pull_as).
    pub fn pull_as_timeout<T: DeserializeOwned>(
        &mut self,
        timeout: Duration,
    ) -> Result<(Topic, T), QueueError> {
        let (topic, message) = self.next_delivery(Patience::new(Some(timeout)))?;
        Ok((topic, W::typed(message)?))
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
    /// `storage-failed` where it cannot write to its disk; [`QueueError::TimedOut`], a broken
    /// connection.
    pub fn flush(&mut self) -> Result<(), QueueError> {
        self.frame.clear();
        match self.confirm()? {
            Some(unsaved) => Err(QueueError::Refused(unsaved)),
            None => self.refused(),
        }
    }

    /// Asks for the topics that hold a value; `callback` is called with them during a later pull.
    ///
    /// # Errors
    /// A broken connection.
    pub fn list_topics(
        &mut self,
        callback: impl FnOnce(Vec<Topic>) + Send + 'static,
    ) -> Result<(), QueueError> {
        self.ask_topics()?;
        self.listings.push_back(Listing::Callback(Box::new(callback)));
        Ok(())
    }

    /// Asks for the topics that hold a value, and waits for them.
    ///
    /// # Errors
    /// [`QueueError::TimedOut`], a broken connection.
    pub fn topics(&mut self) -> Result<Vec<Topic>, QueueError> {
        self.ask_topics()?;
        self.listings.push_back(Listing::Waiting);
        let patience = self.patience();
        loop {
            if let Some(topics) = self.answers.topics.take() {
                return Ok(topics);
            }
            if let Err(error) = self.take_in(patience) {
                // The answer may still come, and is then nobody's.
                if let Some(abandoned) = self.listings.back_mut() {
                    *abandoned = Listing::Callback(Box::new(drop));
                }
                return Err(error);
            }
        }
    }

    /// Ends the subscription. What came before can still be pulled; then pulling waits for nothing.
    ///
    /// # Errors
    /// [`QueueError::TimedOut`], a broken connection.
    pub fn cancel(&mut self) -> Result<(), QueueError> {
        self.frame.clear();
        write_command(
            W::FORMAT,
            "cancel",
            &[("topic", FrameField::Str(&self.topic))],
            &mut self.frame,
        );
        self.confirm().map(drop)
    }

    fn subscribe(&mut self, exact: bool) -> Result<(), QueueError> {
        let fields = [("topic", FrameField::Str(&self.topic)), ("exact", FrameField::Bool(exact))];
        self.frame.clear();
        write_command(W::FORMAT, "subscribe", &fields, &mut self.frame);
        self.confirm()?;
        self.refused()
    }

    /// Sends what is in `frame` and a ping, and waits until that is answered. The broker answers in
    /// the order in which it was asked, so the answer has come by then; and an answer that came too
    /// late for one wait does not end the next. Returns why what was sent is not on the broker's
    /// disk, if it should be.
    fn confirm(&mut self) -> Result<Option<Refused>, QueueError> {
        self.pings += 1;
        write_command(W::FORMAT, "ping", &[("id", FrameField::Int(self.pings))], &mut self.frame);
        self.connection.send(&self.frame)?;
        let patience = self.patience();
        while self.answers.ping < self.pings {
            self.take_in(patience)?;
        }
        Ok(self.answers.unsaved.take())
    }

    fn ask_topics(&mut self) -> Result<(), QueueError> {
        self.frame.clear();
        write_command(W::FORMAT, "list", &[], &mut self.frame);
        self.connection.send(&self.frame)
    }

    fn patience(&self) -> Patience {
        Patience::new(Some(self.timeout))
    }

    pub(super) fn next_delivery(
        &mut self,
        patience: Patience,
    ) -> Result<(Topic, W::Message), QueueError> {
        loop {
            if let Some(delivery) = self.deliveries.pop_front() {
                return Ok(delivery);
            }
            self.refused()?;
            self.take_in(patience)?;
        }
    }

    /// The oldest thing that was refused and not reported.
    fn refused(&mut self) -> Result<(), QueueError> {
        match self.refused.pop_front() {
            Some(refused) => Err(QueueError::Refused(refused)),
            None => Ok(()),
        }
    }

    /// Takes in one frame.
    fn take_in(&mut self, patience: Patience) -> Result<(), QueueError> {
        match self.connection.receive(patience) {
            Ok(Some(frame)) => self.understand(frame),
            Ok(None) => Err(QueueError::TimedOut),
            // Why the broker closed the connection says more than that it did.
            Err(error) => self.refused().and(Err(error)),
        }
    }

    /// Takes in the frames that have arrived.
    fn take_in_waiting(&mut self) -> Result<(), QueueError> {
        loop {
            match self.connection.receive_waiting() {
                Ok(Some(frame)) => self.understand(frame)?,
                Ok(None) => return Ok(()),
                Err(error) => return self.refused().and(Err(error)),
            }
        }
    }

    fn understand(&mut self, Frame { format, body }: Frame) -> Result<(), QueueError> {
        if format != W::FORMAT {
            return self.understand_foreign(format, body);
        }
        let Incoming { command, topic, message, topics, id, code, reason, fatal, .. } =
            W::read(body)?;
        match (&*command, topic, message, topics, code) {
            ("publish", Some(topic), Some(message), ..) => {
                self.deliveries.push_back((from_broker(&topic)?, message));
            }
            ("subscribed" | "cancelled", ..) => {}
            ("pong", ..) => {
                self.answers.ping = id.and_then(|id| id.parse().ok()).unwrap_or(self.answers.ping);
                self.answers.unsaved = None;
            }
            ("topics", _, _, Some(topics), _) => {
                let topics = topics
                    .iter()
                    .map(|topic| from_broker(topic))
                    .collect::<Result<Vec<Topic>, _>>()?;
                match self.listings.pop_front() {
                    Some(Listing::Callback(callback)) => callback(topics),
                    Some(Listing::Waiting) => self.answers.topics = Some(topics),
                    None => {
                        return Err(QueueError::Protocol("topics that nobody asked for".into()));
                    }
                }
            }
            ("error", topic, _, _, Some(code)) => {
                let refused = Refused { code, reason: reason.unwrap_or_default(), topic, fatal };
                if refused.is(ErrorCode::StorageFailed) {
                    // It is the answer to a ping, in the place of a pong.
                    self.answers.ping += 1;
                    self.answers.unsaved = Some(refused);
                } else {
                    self.refused.push_back(refused);
                }
            }
            _ => {
                return Err(QueueError::Protocol(format!(
                    "a {command:?} message that lacks a field, or is unknown"
                )));
            }
        }
        Ok(())
    }

    /// A frame in a format that this queue does not speak: the broker says in JSON what it says
    /// before it knows the client's format, that it has too many connections.
    fn understand_foreign(&mut self, format: Format, body: Vec<u8>) -> Result<(), QueueError> {
        if format == Format::Json
            && let Incoming { topic, code: Some(code), reason, fatal, .. } = Json::read(body)?
        {
            self.refused.push_back(Refused {
                code,
                reason: reason.unwrap_or_default(),
                topic,
                fatal,
            });
            return Ok(());
        }
        Err(QueueError::foreign(format, W::FORMAT))
    }
}

pub(super) fn from_broker(topic: &str) -> Result<Topic, QueueError> {
    Topic::parse(topic).map_err(|refusal: Refusal| QueueError::Protocol(refusal.reason.clone()))
}

impl<W: Wire> fmt::Debug for Queue<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("topic", &self.topic)
            .field("format", &W::FORMAT)
            .finish_non_exhaustive()
    }
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
    queue: &'a mut Queue<W>,
    failed: bool,
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
