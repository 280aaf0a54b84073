//! One connection on which everything can be asked for, in every format.

mod builder;
mod streams;

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::address::DEFAULT_ADDRESS;
use super::arrival::{Arrival, arrival};
use super::backoff::Backoff;
use super::connection::{Connection, Frame, Received};
use super::dial::Dial;
use super::error::QueueError;
use super::options::Destination;
use super::patience::Patience;
use super::publish::{Publish, write_message};
use super::subscribe::{Subscribe, write_subscribe};
use super::wire::{Json, Pickle, Xml, write_command};
use crate::codec::{FrameField, Message};
use crate::protocol::{Command, Format, Topic, TopicFilter, Value};
pub use builder::ClientBuilder;
pub use streams::StreamLimits;

/// A connection to a broker that is tied to no topic and no format: for tools, bridges, and
/// programs with many topics. Most programs want a [`Queue`](super::Queue).
///
/// It is one connection and not more: when that ends, every method says so, and a new client has to
/// be made. What a bridge has to say again on a new connection, and what of it is lost, nobody
/// else knows. Messages share writes as those of a [`Queue`](super::Queue) do, and after 30 s of
/// silence a client that waits asks whether the broker is still there.
///
/// ```no_run
/// use babelmq::{Arrival, Client, Format, Message, Publish, Subscribe, Topic, TopicFilter};
///
/// let mut client = Client::connect("127.0.0.1:5000", std::time::Duration::from_secs(10))?;
/// client.subscribe(&TopicFilter::parse("/weather")?, Format::Xml, Subscribe::default())?;
/// let (topic, message) = (Topic::parse("/weather/oslo")?, Message::parse(Format::Json, b"21.5")?);
/// client.publish(&topic, &message, Publish::default())?;
/// while let Some(Arrival::Delivery { message, .. }) = client.next(None)? {
///     println!("{}", String::from_utf8_lossy(message.bytes()));
/// }
/// # Ok::<(), babelmq::QueueError>(())
/// ```
pub struct Client {
    connection: Connection,
    timeout: Duration,
    /// Pings that were sent, whose ids are their numbers.
    pings: i64,
    /// The last of them that was answered; a broker answers them in their order.
    answered: i64,
    /// Those that only ask whether the broker is there, and that nobody waits for.
    probes: VecDeque<i64>,
    frame: Vec<u8>,
    /// What came while something else was waited for.
    arrived: VecDeque<Arrival>,
}

impl Client {
    /// Connects to a broker at an address: `host:port`, or a URL as
    /// [`QueueBuilder::address`](super::QueueBuilder::address) says. `timeout` is for the
    /// connection and for each answer that is waited for.
    ///
    /// # Errors
    /// [`QueueError::Connect`], and as for [`ClientBuilder::connect`].
    pub fn connect(address: &str, timeout: Duration) -> Result<Client, QueueError> {
        Client::connect_within(address, timeout, Duration::ZERO)
    }

    /// The same, again and again for as long as `wait` says, for a program that may start before
    /// its broker.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn connect_within(
        address: &str,
        timeout: Duration,
        wait: Duration,
    ) -> Result<Client, QueueError> {
        Client::builder().address(address).timeout(timeout).wait(wait).connect()
    }

    /// A client to be configured: its user, its certificates.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Connects, again and again for as long as `wait` says.
    pub(crate) fn open(to: &Arc<Destination>, wait: Duration) -> Result<Client, QueueError> {
        let until = Patience::new(Some(wait));
        let mut backoff = Backoff::new();
        let connection = loop {
            match Dial::new(to).and_then(|mut dial| dial.wait(Patience::Endless)) {
                Ok(Some(connection)) => break connection,
                Ok(None) => return Err(QueueError::TimedOut),
                Err(error) if until.is_over() || error.finally().is_some() => return Err(error),
                Err(_) => {
                    backoff.failed();
                    backoff.due().map(|due| until.sleep_until(due));
                }
            }
        };
        Ok(Client {
            connection,
            timeout: to.timeout,
            pings: 0,
            answered: 0,
            probes: VecDeque::new(),
            frame: Vec::new(),
            arrived: VecDeque::new(),
        })
    }

    /// Sets after how long a silence a client that waits asks whether the broker is there; where
    /// nothing comes for as long again (or for its timeout, if that is longer) the connection is
    /// taken for broken. 30 s where nobody says otherwise; `None` for never.
    pub fn set_keepalive(&mut self, silence: Option<Duration>) {
        self.connection.set_keepalive(silence.filter(|silence| !silence.is_zero()), self.timeout);
    }

    /// Where a broker is looked for: the environment's `BABELMQ_ADDR`, else `127.0.0.1:5000`. There
    /// may be a password in it.
    pub fn default_address() -> String {
        std::env::var("BABELMQ_ADDR").unwrap_or_else(|_| DEFAULT_ADDRESS.to_owned())
    }

    /// Publishes a message, in its own format. That the broker has it is known after
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`QueueError::Invalid`] for a message over the limits of every broker or a time to live that
    /// is none, and a broken connection.
    pub fn publish(
        &mut self,
        topic: &Topic,
        message: &Message,
        how: Publish,
    ) -> Result<(), QueueError> {
        self.frame.clear();
        write_message(message, topic, (how, None), &mut self.frame)?;
        if self.connection.defer(&self.frame) { Ok(()) } else { self.send() }
    }

    /// Publishes a message with an id of 1 to 128 bytes: within two minutes a stream keeps one
    /// message of each id, so a program that does not know whether it arrived may publish it again.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub fn publish_with_id(
        &mut self,
        topic: &Topic,
        message: &Message,
        how: Publish,
        id: &str,
    ) -> Result<(), QueueError> {
        self.frame.clear();
        write_message(message, topic, (how, Some(id)), &mut self.frame)?;
        if self.connection.defer(&self.frame) { Ok(()) } else { self.send() }
    }

    /// Subscribes. The stored values come next, then [`Arrival::Subscribed`], then what is
    /// published. It takes the place of a subscription to a filter that is spelled alike, also of
    /// one that [`TopicFilter::below`] tells from it.
    ///
    /// # Errors
    /// A broken connection.
    pub fn subscribe(
        &mut self,
        filter: &TopicFilter,
        format: Format,
        how: Subscribe,
    ) -> Result<(), QueueError> {
        self.frame.clear();
        let filter = (filter.as_str(), filter.reaches_below());
        write_subscribe(format, filter, &how, &mut self.frame);
        self.send()
    }

    /// Ends a subscription; [`Arrival::Cancelled`] is the end of what it sends.
    ///
    /// # Errors
    /// A broken connection.
    pub fn cancel(&mut self, filter: &TopicFilter) -> Result<(), QueueError> {
        self.command(Format::Json, Command::Cancel, &[("topic", FrameField::Str(filter.as_str()))])
    }

    /// The last value of a topic, in a format; `None` where it holds none.
    ///
    /// # Errors
    /// [`QueueError::Refused`], [`QueueError::TimedOut`], a broken connection.
    pub fn get(&mut self, topic: &Topic, format: Format) -> Result<Option<Message>, QueueError> {
        self.command(format, Command::Get, &[("topic", FrameField::Str(topic.as_str()))])?;
        self.answer(|_, arrival| match arrival {
            Arrival::Value { message, .. } => Ok(message),
            other => Err(other),
        })
    }

    /// The topics below `filter` that hold a value, sorted by their bytes.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn topics(&mut self, filter: &TopicFilter) -> Result<Vec<Topic>, QueueError> {
        self.command(Format::Json, Command::List, &[("topic", FrameField::Str(filter.as_str()))])?;
        self.answer(|_, arrival| match arrival {
            Arrival::Topics(topics) => Ok(topics),
            other => Err(other),
        })
    }

    /// Forgets the last value of a topic, and returns when it is done.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    pub fn clear(&mut self, topic: &Topic) -> Result<(), QueueError> {
        self.command(Format::Json, Command::Clear, &[("topic", FrameField::Str(topic.as_str()))])?;
        self.flush()
    }

    /// Forgets the last values of all topics that a filter names, and returns when it is done. One
    /// without a wildcard is a topic, and names that alone and not what is below it.
    ///
    /// ```no_run
    /// use babelmq::{Client, TopicFilter};
    ///
    /// let mut client = Client::connect("127.0.0.1:5000", std::time::Duration::from_secs(10))?;
    /// client.clear_matching(&TopicFilter::parse("/weather/#")?)?;
    /// # Ok::<(), babelmq::QueueError>(())
    /// ```
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    pub fn clear_matching(&mut self, filter: &TopicFilter) -> Result<(), QueueError> {
        self.command(Format::Json, Command::Clear, &[("topic", FrameField::Str(filter.as_str()))])?;
        self.flush()
    }

    /// What the broker counts, as a JSON object; see `docs/protocol.md`. Answered on the broker's
    /// own machine only.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn stats(&mut self) -> Result<Message, QueueError> {
        self.command(Format::Json, Command::Stats, &[])?;
        self.answer(|_, arrival| match arrival {
            Arrival::Stats(stats) => Ok(stats),
            other => Err(other),
        })
    }

    /// Has the broker copy all that was published before into a new file in its data directory, and
    /// returns the file's name. It takes as long as writing all values does; `patience` is how long
    /// to wait for it.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn backup(&mut self, patience: Duration) -> Result<String, QueueError> {
        self.command(Format::Json, Command::Backup, &[])?;
        let timeout = mem::replace(&mut self.timeout, patience);
        let name = self.answer(|_, arrival| match arrival {
            Arrival::Backup(name) => Ok(Ok(name)),
            Arrival::Refused(refused) => Ok(Err(refused)),
            other => Err(other),
        });
        self.timeout = timeout;
        match name?.map_err(QueueError::Refused)?.value() {
            Ok(Value::Str(name)) => Ok(name),
            _ => Err(QueueError::Protocol("a backup without a name".into())),
        }
    }

    /// Waits until all that was sent has been routed to every subscriber that was there, and is on
    /// the disk of a broker that promises so.
    ///
    /// # Errors
    /// [`QueueError::Refused`] where the broker refused some of it, at once with the code
    /// `storage-failed` where it cannot write to its disk, and as for [`get`](Self::get).
    pub fn flush(&mut self) -> Result<(), QueueError> {
        self.pings += 1;
        let ping = self.pings;
        self.command(Format::Json, Command::Ping, &[("id", FrameField::Int(ping))])?;
        self.answer(|answered, arrival| match arrival {
            Arrival::Pong(_) if answered == ping => Ok(Ok(())),
            Arrival::Refused(refused) if answered == ping && refused.is_of_ping() => {
                Ok(Err(refused))
            }
            other => Err(other),
        })?
        .map_err(QueueError::Refused)
    }

    /// What comes next, or `None` when nothing came until `deadline`. Without one it waits as long
    /// as it takes.
    ///
    /// # Errors
    /// A broken connection, or what is no message of the protocol.
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Option<Arrival>, QueueError> {
        if let Some(arrival) = self.arrived.pop_front() {
            return Ok(Some(arrival));
        }
        self.receive(deadline.map_or(Patience::Endless, Patience::Until))
    }

    /// What has come already.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    pub fn next_waiting(&mut self) -> Result<Option<Arrival>, QueueError> {
        if let Some(arrival) = self.arrived.pop_front() {
            return Ok(Some(arrival));
        }
        while let Some(frame) = self.connection.receive_waiting()? {
            let arrival = self.understand(frame)?;
            if arrival.is_some() {
                return Ok(arrival);
            }
        }
        Ok(None)
    }

    fn receive(&mut self, patience: Patience) -> Result<Option<Arrival>, QueueError> {
        loop {
            match self.connection.receive(patience)? {
                Received::Frame(frame) => {
                    let arrival = self.understand(frame)?;
                    if arrival.is_some() {
                        return Ok(arrival);
                    }
                }
                Received::Ask => {
                    self.pings += 1;
                    self.probes.push_back(self.pings);
                    self.command(
                        Format::Json,
                        Command::Ping,
                        &[("id", FrameField::Int(self.pings))],
                    )?;
                }
                Received::Nothing => return Ok(None),
            }
        }
    }

    /// Waits for an answer, which `is` knows by which ping was the last to be answered, and by
    /// itself. A refusal that comes before it is its error; deliveries are kept.
    fn answer<T>(
        &mut self,
        is: impl Fn(i64, Arrival) -> Result<T, Arrival>,
    ) -> Result<T, QueueError> {
        let mut refused = None;
        // The same end for each frame that is not the answer, or a busy subscription would postpone
        // it for ever.
        let patience = Patience::new(Some(self.timeout));
        loop {
            let arrival = match self.receive(patience) {
                Ok(Some(arrival)) => arrival,
                Ok(None) => return Err(refused.map_or(QueueError::TimedOut, QueueError::Refused)),
                // Why the broker closed the connection says more than that it did.
                Err(error) => return Err(refused.map_or(error, QueueError::Refused)),
            };
            match is(self.answered, arrival) {
                Ok(answer) => {
                    return refused.map_or(Ok(answer), |refused| Err(QueueError::Refused(refused)));
                }
                Err(Arrival::Refused(refusal)) => {
                    refused.get_or_insert(refusal);
                }
                Err(other) => self.arrived.push_back(other),
            }
        }
    }

    /// Reads a message, and notes which ping it answers; `None` where nobody waits for that.
    fn understand(&mut self, Frame { format, body }: Frame) -> Result<Option<Arrival>, QueueError> {
        let arrival = match format {
            Format::Json => arrival::<Json>(body),
            Format::Xml => arrival::<Xml>(body),
            Format::Pickle => arrival::<Pickle>(body),
        }?;
        match &arrival {
            Arrival::Pong(id) => {
                self.answered = id.as_ref().and_then(|id| id.parse().ok()).unwrap_or(self.answered);
            }
            // It is the answer to a ping, in the place of a pong.
            Arrival::Refused(refused) if refused.is_of_ping() => self.answered += 1,
            // Another connection would come to no more.
            Arrival::Refused(refused) => {
                let error = QueueError::from(refused.clone());
                return if error.finally().is_some() { Err(error) } else { Ok(Some(arrival)) };
            }
            _ => return Ok(Some(arrival)),
        }
        while self.probes.front().is_some_and(|probe| *probe < self.answered) {
            self.probes.pop_front();
        }
        if self.probes.front() == Some(&self.answered) {
            self.probes.pop_front();
            return Ok(None);
        }
        Ok(Some(arrival))
    }

    fn command(
        &mut self,
        format: Format,
        command: Command,
        fields: &[(&str, FrameField<'_>)],
    ) -> Result<(), QueueError> {
        self.frame.clear();
        write_command(format, command.as_str(), fields, &mut self.frame);
        self.send()
    }

    fn send(&mut self) -> Result<(), QueueError> {
        match self.connection.send(&self.frame, Patience::Endless) {
            Ok(_) => Ok(()),
            // What the broker said before it closed the connection says why.
            Err(error) => loop {
                match self.connection.receive_waiting() {
                    Ok(Some(frame)) => {
                        if let Some(Arrival::Refused(refused)) = self.understand(frame)? {
                            return Err(QueueError::Refused(refused));
                        }
                    }
                    Err(verdict @ QueueError::Certificate(_)) => return Err(verdict),
                    _ => return Err(error),
                }
            },
        }
    }
}

/// What a measurement does, which counts messages that it made itself.
#[cfg(feature = "cli")]
impl Client {
    /// Publishes the same message so many times, with one write.
    pub(crate) fn publish_times(
        &mut self,
        topic: &Topic,
        message: &Message,
        how: Publish,
        times: u64,
    ) -> Result<(), QueueError> {
        self.frame.clear();
        write_message(message, topic, (how, None), &mut self.frame)?;
        let length = self.frame.len();
        (1..times).for_each(|_| self.frame.extend_from_within(..length));
        self.send()
    }

    /// Passes over the messages that came with the last one and are as long, at most so many.
    pub(crate) fn skip_alike(&mut self, most: u64) -> u64 {
        self.connection.skip_alike(most)
    }
}

/// What was kept back is written, as far as the broker takes it in time.
impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.connection.write_out(Patience::new(Some(self.timeout)));
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
