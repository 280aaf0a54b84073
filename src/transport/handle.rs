//! The embedding program's hold on a running broker.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::certificates::TlsError;
use super::closing::{Closing, Threads};
use super::listen_url::ListenUrl;
use super::net::Bound;
use super::parked::Parked;
use super::shared::Shared;
use super::users::{AUDIT, UsersFileError, load_users};
use crate::broker::sync::{Receiver, Sender, bounded};
use crate::broker::{
    Announcer, Ending, Event, Query, RightLost, SharedNumbers, Stats, StreamSummary,
    SubscriptionInfo, Unsaved,
};
use crate::codec::{Batch, Document, Payload, to_value};
use crate::protocol::{Refusal, Topic, TopicFilter, Value, check_writable};

/// A running broker. Dropping it shuts the broker down, as [`shutdown`](Self::shutdown) does.
///
/// ```
/// use babelmq::{Broker, Config, Topic};
///
/// let broker = Broker::start(Config::listening_on(([127, 0, 0, 1], 0)))?;
/// broker.put_topic("/weather/oslo", &21.5.into())?;
/// assert_eq!(broker.list_topics(), [Topic::parse("/weather/oslo")?]);
/// assert_eq!(broker.get_topic("/weather/oslo")?, Some(21.5.into()));
/// assert!(broker.clear_topic("/weather/oslo")?);
/// broker.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BrokerHandle {
    /// The sockets that the listeners listen on, so that they can be woken.
    bound: Vec<Arc<Bound>>,
    /// The dispatcher holds the other end and ends when this and every session's clone are gone.
    pub(super) events: Option<Sender<Event>>,
    pub(super) shared: Arc<Shared>,
    pub(super) parked: Arc<Parked>,
    /// Every session holds the other end; it disconnects when the last has ended.
    all_gone: Receiver<()>,
    /// Threads of streams reach the dispatcher by it.
    announcer: Announcer,
    /// How far the disks are.
    ending: Ending,
    /// Empty when the broker has stopped.
    pub(super) threads: Threads,
}

impl BrokerHandle {
    /// A handle of a broker whose threads are still to be started.
    pub(super) fn new(
        bound: Vec<Arc<Bound>>,
        events: Sender<Event>,
        shared: Arc<Shared>,
        parked: Arc<Parked>,
        all_gone: Receiver<()>,
        announcer: Announcer,
        ending: Ending,
    ) -> BrokerHandle {
        let (events, threads) = (Some(events), Threads::default());
        BrokerHandle { bound, events, shared, parked, all_gone, announcer, ending, threads }
    }

    /// The first TCP address that the broker listens on for its own protocol, with the port that it
    /// took; `0.0.0.0:0` where there is none.
    pub fn local_addr(&self) -> SocketAddr {
        self.address(|url| !url.is_http() && url.mqtt().is_none())
    }

    /// The first address where it speaks HTTP, with the port that it took; `0.0.0.0:0` where there
    /// is none.
    ///
    /// ```
    /// use babelmq::{Broker, Config, ListenUrl};
    ///
    /// let config = Config::default()
    ///     .listeners(["127.0.0.1:0".parse::<ListenUrl>()?, "http://127.0.0.1:0".parse()?]);
    /// let broker = Broker::start(config)?;
    /// println!("http://{}/", broker.http_addr());
    /// assert_ne!(broker.http_addr().port(), broker.local_addr().port());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn http_addr(&self) -> SocketAddr {
        self.address(ListenUrl::is_http)
    }

    /// The first address where it speaks MQTT, with the port that it took; `0.0.0.0:0` where there
    /// is none.
    ///
    /// ```
    /// use babelmq::{Broker, Config, ListenUrl};
    ///
    /// let config = Config::default().listeners(["mqtt://127.0.0.1:0".parse::<ListenUrl>()?]);
    /// let broker = Broker::start(config)?;
    /// println!("mosquitto_sub -p {} -t '#'", broker.mqtt_addr().port());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mqtt_addr(&self) -> SocketAddr {
        self.address(|url| url.mqtt().is_some())
    }

    fn address(&self, is_wanted: impl Fn(&ListenUrl) -> bool) -> SocketAddr {
        let mut urls = self.listeners().filter(|url| is_wanted(url));
        urls.find_map(ListenUrl::address).unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// Where the broker listens, in the order of
    /// [`Config::listeners`](field@super::Config::listeners), with the ports that it took.
    pub fn listeners(&self) -> impl Iterator<Item = &ListenUrl> {
        self.bound.iter().map(|bound| bound.url())
    }

    /// The topics that hold a value, sorted, but for [the broker's
    /// own](crate::protocol::TopicName::is_brokers).
    pub fn list_topics(&self) -> Vec<Topic> {
        let Ok(all) = TopicFilter::parse("#") else { return Vec::new() };
        self.ask(|reply| Query::Topics(all, reply)).unwrap_or_default()
    }

    /// The last value of a topic, or `None` where it holds none.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidTopic`](crate::protocol::ErrorCode::InvalidTopic).
    pub fn get_topic(&self, topic: &str) -> Result<Option<Value>, Refusal> {
        let topic = Topic::parse(topic)?;
        let Some(payload) = self.ask(|reply| Query::Get(topic, reply)).flatten() else {
            return Ok(None);
        };
        let mut document = Document::new();
        let root = payload.decode(&mut document, &self.shared.config.limits)?;
        Ok(Some(to_value(document.view(payload.source(), root))))
    }

    /// Publishes a value as a client would: stored as the topic's last value, and routed to every
    /// subscriber when this returns. It does not wait for a disk, whatever
    /// [`Config::fsync`](field@super::Config::fsync) says; [`flush`](Self::flush) does.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidTopic`](crate::protocol::ErrorCode::InvalidTopic), also for a topic of
    /// [the broker's own](crate::protocol::TopicName::is_brokers), and whatever a client's message
    /// would be refused for.
    pub fn put_topic(&self, topic: &str, value: &Value) -> Result<(), Refusal> {
        let topic = Topic::parse(topic)?;
        check_writable(topic.as_str())?;
        let payload = Payload::of_value(topic.as_str(), value, &self.shared.config.limits)?;
        let limits = self.shared.config.limits;
        let batch = Box::new(Batch::of_payload(topic, payload, (true, None), limits));
        self.ask(|reply| Query::Put(batch, reply)).unwrap_or(Ok(()))
    }

    /// Reads the files of [`Config::tls`](field@super::Config::tls) again, for connections that
    /// come from now on; those that are open go on with what they began with.
    ///
    /// # Errors
    /// What is wrong with the files; nothing changes then.
    pub fn reload_certificates(&self) -> Result<(), TlsError> {
        if let Some(files) = &self.shared.config.tls {
            self.shared.use_certificates(files.load()?);
        }
        Ok(())
    }

    /// Reads the file of [`Config::users`](field@super::Config::users) again. When this returns,
    /// nobody has a right any more that is not in it: subscriptions to what may not be seen have
    /// ended, and so have connections of users that there are no more, or that log in another way.
    /// What was read from a connection before counts as published before.
    ///
    /// # Errors
    /// What is wrong with the file; nothing changes then.
    pub fn reload_users(&self) -> Result<(), UsersFileError> {
        let Some(path) = &self.shared.config.users else { return Ok(()) };
        // One after the other: the file that was read last is to be the one that holds.
        let _reloading = self.shared.users.reloading();
        let (policy, text) = load_users(path)?;
        if self.shared.users.is_of(&text) {
            return Ok(());
        }
        // The dispatcher is told before sessions can be: it must know whoever they let in.
        let answer = self.begin_to_ask(|reply| Query::Policy(policy.clone(), reply));
        self.shared.users.replace(policy, text);
        let lost = answer.and_then(|answer| answer.recv().ok());
        tracing::info!(target: AUDIT, event = "users", users = %path.display(), "users read again");
        for RightLost { client, peer, user, filter } in lost.unwrap_or_default() {
            let topic = filter.as_ref().map(TopicFilter::as_str);
            tracing::info!(
                target: AUDIT, event = "right-lost", %client, %peer, user = &*user, topic,
                "a right was lost"
            );
        }
        Ok(())
    }

    /// Waits until everything that was stored or cleared before is in the store: with
    /// [`Fsync::Always`](crate::broker::Fsync::Always) and
    /// [`Fsync::Interval`](crate::broker::Fsync::Interval) on the disk, which with the latter takes
    /// up to an interval, and with [`Fsync::Never`](crate::broker::Fsync::Never) in the hands of
    /// the system. There is nothing to wait for where memory ends with the process.
    ///
    /// # Errors
    /// [`ErrorCode::StorageFailed`](crate::protocol::ErrorCode::StorageFailed) where the store
    /// could not write. The broker goes on trying.
    pub fn flush(&self) -> Result<(), Refusal> {
        self.ask(Query::Saved).flatten().map_or(Ok(()), |ticket| ticket.wait())
    }

    /// Forgets the last value of a topic, as [`put_topic`](Self::put_topic) stores one. Returns
    /// whether there was one.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidTopic`](crate::protocol::ErrorCode::InvalidTopic), also for a topic of
    /// [the broker's own](crate::protocol::TopicName::is_brokers).
    pub fn clear_topic(&self, topic: &str) -> Result<bool, Refusal> {
        let topic = Topic::parse(topic)?;
        check_writable(topic.as_str())?;
        Ok(self.ask(|reply| Query::Clear(topic, reply)).unwrap_or_default())
    }

    /// The subscriptions that a message to `topic` would reach: who, and in which format.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidTopic`](crate::protocol::ErrorCode::InvalidTopic).
    pub fn list_subscriptions(&self, topic: &str) -> Result<Vec<SubscriptionInfo>, Refusal> {
        let topic = Topic::parse(topic)?;
        Ok(self.ask(|reply| Query::Subscriptions(topic, reply)).unwrap_or_default())
    }

    /// How it stands with the topics that the broker shares with others, by their streams.
    pub fn shared_topics(&self) -> Vec<SharedNumbers> {
        let streams = self.ask(Query::Streams).unwrap_or_default();
        streams.iter().filter_map(StreamSummary::shared).collect()
    }

    /// The broker's counters.
    pub fn stats(&self) -> Stats {
        let mut stats = self.ask(Query::Stats).unwrap_or_default();
        self.shared.counters.fill(&mut stats);
        stats
    }

    /// Stops the broker: no new clients, what was accepted is routed and written out (for at most 5
    /// s), every thread is joined. A disk that does not answer is waited for until
    /// [`Config::stop_timeout`](field@super::Config::stop_timeout); threads that hang there are
    /// left behind, and keep the data directory locked. What could not be saved is in the log;
    /// [`close`](Self::close) returns it.
    pub fn shutdown(mut self) {
        let _ = self.stop();
    }

    /// Stops the broker as [`shutdown`](Self::shutdown) does, and says what could not be saved.
    ///
    /// # Errors
    /// [`Unsaved`] where a disk could not be written to, or did not answer: what it does not have
    /// is lost.
    pub fn close(mut self) -> Result<(), Unsaved> {
        self.stop()
    }

    fn ask<T>(&self, query: impl FnOnce(Sender<T>) -> Query) -> Option<T> {
        self.begin_to_ask(query)?.recv().ok()
    }

    /// Asks the dispatcher. The answer comes out of the returned end.
    fn begin_to_ask<T>(&self, query: impl FnOnce(Sender<T>) -> Query) -> Option<Receiver<T>> {
        let (reply, answer) = bounded(1);
        self.events.as_ref()?.send(Event::Query(query(reply))).ok()?;
        Some(answer)
    }

    fn stop(&mut self) -> Result<(), Unsaved> {
        // After `shutdown` there is nothing left to stop.
        let Some(events) = self.events.take() else { return Ok(()) };
        self.shared.stopping.store(true, Ordering::Release);
        let closing = Closing {
            bound: std::mem::take(&mut self.bound),
            events,
            shared: self.shared.clone(),
            parked: self.parked.clone(),
            all_gone: self.all_gone.clone(),
            announcer: self.announcer.clone(),
            threads: std::mem::take(&mut self.threads),
            ending: self.ending.clone(),
        };
        let saved = closing.close();
        if let Err(unsaved) = &saved {
            tracing::error!("{unsaved}");
        }
        saved
    }
}

impl Drop for BrokerHandle {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
