//! How a queue is to be.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Queue;
use crate::middleware::address::Given;
use crate::middleware::error::QueueError;
use crate::middleware::events::{ConnectionEvent, Listener};
use crate::middleware::options::Options;
use crate::middleware::secret::Secret;
use crate::middleware::session::{Session, Target};
use crate::middleware::subscribe::{Exact, Subscribe};
use crate::middleware::wire::Wire;
use crate::protocol::{Order, Overflow, Start, Topic, TopicFilter};

/// How a queue is to be: see [`Queue::builder`].
///
/// ```no_run
/// use std::time::Duration;
///
/// let consumer = babelmq::JsonQueue::builder("/weather")
///     .address("broker.example:5000")
///     .timeout(Duration::from_secs(3))
///     .wait(Duration::from_secs(60))
///     .exact(true)
///     .consumer()?;
/// # Ok::<(), babelmq::QueueError>(())
/// ```
#[derive(Clone, Debug)]
pub struct QueueBuilder<W> {
    topic: String,
    options: Options,
    wait: Duration,
    how: Subscribe,
    below: bool,
    retained: bool,
    reliable: bool,
    listener: Option<Listener>,
    format: PhantomData<W>,
}

impl<W: Wire> QueueBuilder<W> {
    pub(in crate::middleware) fn new(topic: String) -> QueueBuilder<W> {
        QueueBuilder {
            topic,
            options: Options::default(),
            wait: Duration::ZERO,
            how: Subscribe::default(),
            below: true,
            retained: true,
            reliable: false,
            listener: None,
            format: PhantomData,
        }
    }

    /// The broker's address. Default: the environment's `BABELMQ_ADDR`, else `127.0.0.1:5000`.
    ///
    /// | address | what it is |
    /// |---|---|
    /// | `babelmq://host:5000`, `host:5000` | TCP, in plain |
    /// | `babelmqs://host:5000` | TCP with TLS 1.2 or 1.3, with the feature `tls` |
    /// | `unix:/run/babelmq.sock` | a Unix socket of this machine |
    ///
    /// In a URL the port is 5000 where none is given, IPv6 is in brackets
    /// (`babelmq://[::1]:5000`), and a user and a password may come before the host,
    /// `babelmqs://user:password@host`, with percent signs for what a URL cannot hold
    /// (`%40` for `@`).
    #[must_use]
    pub fn address(mut self, address: impl fmt::Display) -> Self {
        self.options.address = Some(Given(address.to_string()));
        self
    }

    /// The user to log in as, with [`password`](Self::password). Default: that of the address; else
    /// `BABELMQ_USER`, where no address is given.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.options.user = Some(name.into());
        self
    }

    /// The password of the user. It is never shown, and goes over a network only with TLS: see
    /// [`allow_plain_login`](Self::allow_plain_login). Default: that of the address; else
    /// `BABELMQ_PASSWORD`, where no address is given.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.options.password = Some(Secret::new(password.into()));
        self
    }

    /// A token to log in with, in the place of a user and a password. Default: `BABELMQ_TOKEN`,
    /// where neither an address nor a login is given.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.options.token = Some(Secret::new(token.into()));
        self
    }

    /// Whether a password or a token may go to another machine without TLS, where everybody on the
    /// way can read it. Default false: such an address is [`QueueError::Options`].
    #[must_use]
    pub fn allow_plain_login(mut self, allow: bool) -> Self {
        self.options.allow_plain_login = allow;
        self
    }

    /// A file of CA certificates in PEM that are trusted with TLS, in the place of the system's.
    /// Default: `BABELMQ_CA`, else the system's. Without TLS it is [`QueueError::Options`].
    #[must_use]
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.ca = Some(path.into());
        self
    }

    /// A file with a client certificate in PEM, for a broker that asks for one, and behind it those
    /// that lead to a CA. Default: `BABELMQ_CERT`, where no key is given either.
    #[must_use]
    pub fn cert(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.cert = Some(path.into());
        self
    }

    /// The file with the key of [`cert`](Self::cert) in PEM, not encrypted. Default: the file of
    /// the certificate; `BABELMQ_KEY`, where no certificate is given either.
    #[must_use]
    pub fn key(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.key = Some(path.into());
        self
    }

    /// How long to wait for the connection and for the broker's answers. Default 10 s.
    /// [`Queue::pull`] waits without end all the same.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// How long to try again where nobody listens, for a program that may start before its broker.
    /// Default: not at all. (A connection that was there once is made again without end.)
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// After how long a silence a queue that waits asks whether the broker is there. Where nothing
    /// comes for as long again (or for [`timeout`](Self::timeout), if that is longer) the
    /// connection is taken for lost; so is one that takes nothing for so long while something is to
    /// be sent. TCP asks too, also while the queue is not used. Default 30 s; `None`, or no time at
    /// all, for never.
    #[must_use]
    pub fn keepalive(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.options.silence = silence.into().filter(|silence| !silence.is_zero());
        self
    }

    /// The longest frame that is taken, in bytes of body: a longer one is skipped, and one pull
    /// says so. Default: whatever a broker can be told to send, 1 GiB.
    #[must_use]
    pub fn max_frame(mut self, bytes: u32) -> Self {
        self.options.max_frame = bytes;
        self
    }

    /// Whether a consumer gets what is below its topics as well. Without it a topic is that many
    /// segments, as a filter of MQTT is, and a trailing `#` gives the subtree back. Default true.
    ///
    #[cfg_attr(feature = "broker", doc = "```")]
    #[cfg_attr(not(feature = "broker"), doc = "```ignore")]
    /// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
    /// # let queue = babelmq::JsonQueue::builder("/weather/+").address(broker.local_addr());
    /// let mut cities = queue.below(false).consumer()?;
    /// broker.put_topic("/weather/oslo/wind", &"NW".into())?;
    /// broker.put_topic("/weather/oslo", &21.5.into())?;
    /// assert_eq!(cities.pull()?.0.as_str(), "/weather/oslo");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn below(mut self, below: bool) -> Self {
        self.below = below;
        self
    }

    /// Whether a JSON consumer gets tags for what JSON cannot tell apart (tuples, frozensets, keys
    /// that are no strings, dates), so that values arrive exactly as they were sent. The other
    /// formats always are exact, but for XML that is [`plain`](Self::plain). Default false;
    /// [`Exact::Js`] tags more.
    #[must_use]
    pub fn exact(mut self, exact: impl Into<Exact>) -> Self {
        self.how.exact = exact.into();
        self
    }

    /// Whether an XML consumer gets XML without types, as `xmltodict.unparse` writes it: a document
    /// that went through JSON is the document that it was, and values that were no text are text.
    /// Default false.
    #[must_use]
    pub fn plain(mut self, plain: bool) -> Self {
        self.how.plain = plain;
        self
    }

    /// The element that plain XML puts a value into which is not one element of its own. Default:
    /// none.
    #[must_use]
    pub fn root(mut self, name: impl Into<String>) -> Self {
        self.how.root = Some(name.into());
        self
    }

    /// The element of an item of a list that has no key, in plain XML. Default: `item`.
    #[must_use]
    pub fn item(mut self, name: impl Into<String>) -> Self {
        self.how.item = Some(name.into());
        self
    }

    /// Whether [`Queue::pull_message`] says when a last value is cleared, or expires; all other
    /// pulls pass over that. What happens while there is no connection is not said. Default false.
    #[must_use]
    pub fn cleared(mut self, cleared: bool) -> Self {
        self.how.cleared = cleared;
        self
    }

    /// What the broker does when this consumer falls behind; [`Queue::dropped`] counts what that
    /// costs. The broker's default is to disconnect it.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.how.overflow = Some(overflow);
        self
    }

    /// How many messages may wait at the broker.
    #[must_use]
    pub fn queue(mut self, messages: u32) -> Self {
        self.how.queue = Some(messages);
        self
    }

    /// Whether stored values are pulled, those that come again with a new connection too. Default
    /// true.
    #[must_use]
    pub fn retained(mut self, retained: bool) -> Self {
        self.retained = retained;
        self
    }

    /// Consumes a stream under a name that it remembers, of letters, digits, `-`, `_` and `.`: each
    /// message is delivered until it is acknowledged, also what was published while no queue of
    /// that name was there; queues of one name share the messages. There are no stored values.
    ///
    /// A message that [`pull`](Queue::pull), [`pull_as`](Queue::pull_as) or an iteration gives is
    /// acknowledged when the next is pulled, or by [`Queue::ack`]; one that cannot be read is
    /// rejected, and becomes a dead letter. What [`pull_message`](Queue::pull_message) gives is
    /// settled by hand alone: [`Delivery::ack`](super::Delivery::ack), `nak`, `touch`, `reject`.
    ///
    /// Acknowledgements share writes: they go out when the queue waits, and after 100 µs at the
    /// latest. Where the connection is lost, those that the broker has not read are lost with it.
    /// These messages come again, with a greater [`attempt`](crate::Origin::attempt), as does all
    /// that was delivered and not acknowledged; a consumer must be able to bear that.
    /// [`flush`](Queue::flush) waits until the broker has read them. The next connection consumes
    /// under the same name.
    ///
    #[cfg_attr(all(feature = "broker", feature = "storage"), doc = "```")]
    #[cfg_attr(not(all(feature = "broker", feature = "storage")), doc = "```ignore")]
    /// # use babelmq::{Broker, Config, JsonQueue, Start, Storage, StreamDefinition, TopicFilter};
    /// # let folder = std::env::temp_dir().join(format!("babelmq-durable-{}", std::process::id()));
    /// # let orders = StreamDefinition::new("orders", TopicFilter::parse("orders/#")?)?;
    /// # let config = Config::listening_on(([127, 0, 0, 1], 0)).streams([orders]);
    /// # let broker = Broker::start_with(config, Box::new(Storage::open(&folder, false)?))?;
    /// let queue = JsonQueue::builder("orders").address(broker.local_addr());
    /// let mut producer = queue.clone().producer()?;
    /// producer.push_to("orders/7", "created")?;
    /// producer.push_to("orders/7", "paid")?;
    /// producer.flush()?;
    /// let billing = || queue.clone().durable("billing").start(Start::All).consumer();
    /// let mut consumer = billing()?;
    /// assert_eq!(consumer.pull()?.1.as_str(), Some("created"));
    /// assert_eq!(consumer.pull()?.1.as_str(), Some("paid")); // the first is acknowledged by this
    /// drop(consumer); // and the second is not
    /// let again = billing()?.pull_message()?;
    /// let origin = again.origin.as_ref().expect("it is of a stream");
    /// assert_eq!((again.value.as_str(), origin.seq, origin.attempt), (Some("paid"), 2, 2));
    /// # broker.close()?;
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn durable(mut self, consumer: impl Into<String>) -> Self {
        self.how.consumer = Some(consumer.into());
        self
    }

    /// Where to begin in a stream: a [`Start`], the number of a message, or a `SystemTime`. For a
    /// [`durable`](Self::durable) consumer that is there already it means nothing. Without one it
    /// makes a follower, which gets what the stream keeps from there on and then what is published,
    /// and settles nothing; where its connection is lost, it goes on behind the last message that
    /// it got (one that got none begins anew). Default: the next that is published.
    #[must_use]
    pub fn start(mut self, start: impl Into<Start>) -> Self {
        self.how.start = Some(start.into());
        self
    }

    /// The stream, where more than one keeps the topic.
    #[must_use]
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.how.stream = Some(name.into());
        self
    }

    /// How many messages the broker may deliver to this queue before they are settled, from 1 to
    /// 65,536. Default 256. Where some take long, 1 leaves the others to other queues.
    #[must_use]
    pub fn window(mut self, messages: u32) -> Self {
        self.how.window = Some(messages);
        self
    }

    /// How long a message may stay unsettled before it is delivered again. Default 30 s.
    #[must_use]
    pub fn ack_wait(mut self, time: Duration) -> Self {
        self.how.ack_wait = Some(time);
        self
    }

    /// How often a message is delivered before it is a dead letter. Default 5.
    #[must_use]
    pub fn max_deliver(mut self, times: u32) -> Self {
        self.how.max_deliver = Some(times);
        self
    }

    /// The pauses before a message is delivered again, 32 at most; the last holds for all that
    /// follow. Default: none.
    #[must_use]
    pub fn backoff(mut self, pauses: impl Into<Vec<Duration>>) -> Self {
        self.how.backoff = pauses.into();
        self
    }

    /// What stays in order where several queues consume under one name: the messages of each topic,
    /// or nothing. Default: nothing.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.how.order = Some(order);
        self
    }

    /// Whether what is pushed is kept until the broker has confirmed it, and sent again after the
    /// connection was lost. Each message has an id, so that a stream keeps it once, if it is sent
    /// again within two minutes; elsewhere, or later, it may be delivered twice. While there is no
    /// connection a push does not wait until 16,384 messages or 8 MiB are kept, and then as long as
    /// [`timeout`](Self::timeout) says. [`flush`](Queue::flush) waits until all is confirmed, over
    /// as many connections as it takes, and never says [`QueueError::Lost`]; a queue that is
    /// dropped before may lose what is kept. Default false.
    #[must_use]
    pub fn reliable(mut self, reliable: bool) -> Self {
        self.reliable = reliable;
        self
    }

    /// What is called when the connection is made, lost, or cannot be made: for a log. It is called
    /// from within a method of the queue.
    #[must_use]
    pub fn on_connection(
        mut self,
        listener: impl Fn(&ConnectionEvent) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Listener::new(listener));
        self
    }

    /// Connects, and sends nothing.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] for a topic that cannot be published to, [`QueueError::Options`] for
    /// what else cannot be, [`QueueError::Connect`], [`QueueError::Certificate`] and
    /// [`QueueError::LoginFailed`].
    pub fn producer(self) -> Result<Queue<W>, QueueError> {
        Topic::parse(&self.topic)?;
        self.connect().map(Queue::established)
    }

    /// Connects and subscribes; the subscription is in place when this returns, and the stored
    /// values wait to be pulled.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] for a topic that cannot be subscribed to, what else
    /// [`producer`](Self::producer) says, and whatever the broker answers.
    pub fn consumer(self) -> Result<Queue<W>, QueueError> {
        TopicFilter::parse(&self.topic)?;
        let topic = self.topic.clone();
        let mut queue = self.connect()?;
        queue.subscribe_to(&topic)?;
        Ok(queue.established())
    }

    fn connect(self) -> Result<Queue<W>, QueueError> {
        let target = Target {
            destination: Arc::new(self.options.destination(W::FORMAT)?),
            how: self.how,
            below: self.below,
            retained: self.retained,
            listener: self.listener,
        };
        let mut session = Session::open(target, self.wait)?;
        if self.reliable {
            session.keep_unconfirmed();
        }
        Ok(Queue::new(self.topic, session))
    }
}
