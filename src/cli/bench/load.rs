//! The clients of a measurement.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;

use super::super::address::Broker;
use super::Args;
use super::window::Window;
use crate::codec::Dialect;
use crate::codec::Message;
use crate::middleware::{Arrival, Client, Publish, QueueError, Subscribe};
use crate::protocol::{Topic, TopicFilter, Value};

/// Messages that a publisher writes at once, if as many may be sent: so does every client that has
/// more to say than it can send.
pub(super) const BATCH: u64 = 64;
/// Every message says when it was sent in as many digits.
const EPOCH: i64 = 1_000_000_000_000_000_000;
/// Latencies are kept in nanoseconds, to an hour, to three digits.
const LONGEST: u64 = 3_600_000_000_000;

/// What was measured.
pub(super) struct Measured {
    pub(super) published: u64,
    pub(super) delivered: u64,
    /// From the first message to the last confirmation.
    pub(super) publishing: Duration,
    /// From the first message to the last delivery.
    pub(super) delivering: Duration,
    /// From just before a message is sent until it is read, in nanoseconds.
    pub(super) latency: Histogram<u64>,
    /// Bytes of one published payload.
    pub(super) payload: usize,
}

/// What the clients tell each other.
struct Course<'a> {
    args: &'a Args,
    topic: Topic,
    started: Instant,
    window: Window,
    /// One of them cannot go on, so nobody has to.
    failed: AtomicBool,
    progress: &'a ProgressBar,
}

pub(super) fn run(
    args: &Args,
    broker: &Broker,
    progress: &ProgressBar,
) -> Result<Measured, QueueError> {
    let topic = Topic::parse(&format!("/babelmq-bench/{}", std::process::id()))?;
    let filter = TopicFilter::parse(topic.as_str())?;
    let mut subscribers = Vec::new();
    for _ in 0..args.subs {
        let mut client = broker.connect()?;
        client.subscribe(&filter, args.to, Subscribe::default())?;
        client.flush()?;
        subscribers.push(client);
    }
    let publishers = (0..args.pubs).map(|_| broker.connect()).collect::<Result<Vec<_>, _>>()?;
    let course = Course {
        args,
        topic,
        started: Instant::now(),
        window: Window::new(subscribers.len()),
        failed: AtomicBool::new(false),
        progress,
    };
    thread::scope(|scope| {
        let course = &course;
        let subscribing: Vec<_> = subscribers
            .into_iter()
            .enumerate()
            .map(|(index, client)| {
                scope.spawn(move || course.guard(course.subscriber(client, index)))
            })
            .collect();
        let publishing: Vec<_> = publishers
            .into_iter()
            .map(|client| scope.spawn(move || course.guard(course.publisher(client))))
            .collect();
        let mut measured = Measured {
            published: 0,
            delivered: 0,
            publishing: Duration::ZERO,
            delivering: Duration::ZERO,
            latency: histogram()?,
            payload: course.payload()?.bytes().len(),
        };
        for publisher in publishing {
            let took = joined(publisher.join())?;
            measured.publishing = measured.publishing.max(took);
        }
        for subscriber in subscribing {
            let (latency, took) = joined(subscriber.join())?;
            measured.delivered += latency.len();
            measured.delivering = measured.delivering.max(took);
            // Both were made by the same function, so there is nothing that does not fit.
            let _ = measured.latency.add(latency);
        }
        measured.published = course.window.published();
        Ok(measured)
    })
}

fn histogram() -> Result<Histogram<u64>, QueueError> {
    Histogram::new_with_bounds(1, LONGEST, 3).map_err(|error| QueueError::Type(error.to_string()))
}

/// What a thread came to; one that panicked has said so.
fn joined<T>(result: thread::Result<Result<T, QueueError>>) -> Result<T, QueueError> {
    result.unwrap_or_else(|_| Err(QueueError::Type("a thread of the measurement panicked".into())))
}

impl Course<'_> {
    fn guard<T>(&self, result: Result<T, QueueError>) -> Result<T, QueueError> {
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    fn now(&self) -> i64 {
        EPOCH.saturating_add(i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }

    /// A message that says when it is sent.
    fn payload(&self) -> Result<Message, QueueError> {
        let text = "x".repeat(self.args.size as usize);
        let value = Value::List(vec![self.now().into(), text.into()]);
        Ok(Message::of_value(&value, Dialect::new(self.args.from, false))?)
    }

    /// Publishes as many messages as may be sent, until there are enough. Returns when the last was
    /// confirmed.
    fn publisher(&self, mut client: Client) -> Result<Duration, QueueError> {
        let passing = Publish { retain: false, ..Publish::default() };
        while !self.failed.load(Ordering::Relaxed) {
            let number = self.window.published();
            if number >= self.args.count {
                break;
            }
            let (due, next) = self.due(number);
            let arrival = match next {
                Some(next) if due == 0 => client.next(Some(next))?,
                _ => client.next_waiting()?,
            };
            if let Some(Arrival::Refused(refused)) = arrival {
                return Err(QueueError::Refused(refused));
            }
            let wanted = due.min(self.args.count - number).min(BATCH);
            if wanted == 0 {
                continue;
            }
            let messages = self.window.reserve(number, wanted);
            if messages > 0 {
                client.publish_times(&self.topic, &self.payload()?, passing, messages)?;
                self.progress.inc(messages);
            }
        }
        client.flush()?;
        Ok(self.started.elapsed())
    }

    /// How many messages may be sent by now after the first `number`, as far as their pace goes;
    /// and when the next one may be.
    fn due(&self, number: u64) -> (u64, Option<Instant>) {
        let Some(rate) = self.args.rate else { return (u64::MAX, None) };
        let so_far = (self.started.elapsed().as_secs_f64() * rate) as u64 + 1;
        let next = Duration::try_from_secs_f64(number as f64 / rate).ok();
        (so_far.saturating_sub(number), next.and_then(|next| self.started.checked_add(next)))
    }

    /// Reads every message. Returns how long each took, and when the last was there.
    fn subscriber(
        &self,
        mut client: Client,
        index: usize,
    ) -> Result<(Histogram<u64>, Duration), QueueError> {
        let mut latency = histogram()?;
        let mut last = Instant::now();
        while latency.len() < self.args.count && !self.failed.load(Ordering::Relaxed) {
            // Publishers that fail are noticed soon, a broker that says nothing any more in the
            // end.
            match client.next(Instant::now().checked_add(Duration::from_millis(100)))? {
                Some(Arrival::Delivery { message, .. }) => {
                    let arrived = self.now();
                    let sent = match message.value()? {
                        Value::List(items) => {
                            items.first().and_then(Value::as_i64).unwrap_or(arrived)
                        }
                        _ => arrived,
                    };
                    // Those that came with it are as old at most.
                    let more = client.skip_alike((self.args.count - latency.len()).min(BATCH) - 1);
                    let took = u64::try_from(arrived - sent).unwrap_or(0).max(1);
                    latency.saturating_record_n(took, 1 + more);
                    self.window.receive(index, 1 + more);
                    last = Instant::now();
                }
                Some(Arrival::Refused(refused)) => return Err(QueueError::Refused(refused)),
                Some(_) => {}
                None if self.is_overdue(last) => return Err(QueueError::TimedOut),
                None => {}
            }
        }
        Ok((latency, last.duration_since(self.started)))
    }

    /// Whether nothing comes although all has been published for long.
    fn is_overdue(&self, last: Instant) -> bool {
        self.window.published() >= self.args.count && last.elapsed() > self.args.broker.timeout
    }
}
