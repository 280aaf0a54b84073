//! The clients of a measurement.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;

use super::Args;
use crate::codec::Dialect;
use crate::codec::Message;
use crate::middleware::{Arrival, Client, Publish, QueueError, Subscribe};
use crate::protocol::{Topic, TopicFilter, Value};

/// Messages that may be on their way to the slowest subscriber. More would measure how long queues
/// are.
const WINDOW: u64 = 1_000;
/// Who has to wait takes in what the broker says for so long at a time.
const PATIENCE: Duration = Duration::from_millis(1);
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
    published: AtomicU64,
    /// How many messages each subscriber has read.
    read: Vec<AtomicU64>,
    /// One of them cannot go on, so nobody has to.
    failed: AtomicBool,
    progress: &'a ProgressBar,
}

pub(super) fn run(args: &Args, progress: &ProgressBar) -> Result<Measured, QueueError> {
    let topic = Topic::parse(&format!("/babelmq-bench/{}", std::process::id()))?;
    let filter = TopicFilter::parse(topic.as_str())?;
    let mut subscribers = Vec::new();
    for _ in 0..args.subs {
        let mut client = connect(args)?;
        client.subscribe(&filter, args.to, Subscribe::default())?;
        client.flush()?;
        subscribers.push(client);
    }
    let publishers = (0..args.pubs).map(|_| connect(args)).collect::<Result<Vec<_>, _>>()?;
    let course = Course {
        args,
        topic,
        started: Instant::now(),
        published: AtomicU64::new(0),
        read: subscribers.iter().map(|_| AtomicU64::new(0)).collect(),
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
            .enumerate()
            .map(|(index, client)| {
                scope.spawn(move || course.guard(course.publisher(client, index as u64)))
            })
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
        measured.published = course.published.load(Ordering::Relaxed);
        Ok(measured)
    })
}

fn connect(args: &Args) -> Result<Client, QueueError> {
    args.broker.connect()
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
        i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    /// A message that says when it is sent.
    fn payload(&self) -> Result<Message, QueueError> {
        let text = "x".repeat(self.args.size as usize);
        let value = Value::List(vec![self.now().into(), text.into()]);
        Ok(Message::of_value(&value, Dialect::new(self.args.from, false))?)
    }

    /// Publishes every so-manyth message. Returns when the last was confirmed.
    fn publisher(&self, mut client: Client, index: u64) -> Result<Duration, QueueError> {
        let Args { count, pubs, rate, .. } = self.args;
        let passing = Publish { retain: false, ..Publish::default() };
        let mut number = index;
        while number < *count {
            let due = rate.and_then(|rate| Duration::try_from_secs_f64(number as f64 / rate).ok());
            let due = due.and_then(|due| self.started.checked_add(due));
            self.wait(&mut client, number, due)?;
            if self.failed.load(Ordering::Relaxed) {
                break;
            }
            client.publish(&self.topic, &self.payload()?, passing)?;
            self.published.fetch_add(1, Ordering::Relaxed);
            self.progress.inc(1);
            number += u64::from(*pubs);
        }
        client.flush()?;
        Ok(self.started.elapsed())
    }

    /// Waits until message `number` may be sent: its time has come, and no subscriber is too far
    /// behind.
    fn wait(
        &self,
        client: &mut Client,
        number: u64,
        due: Option<Instant>,
    ) -> Result<(), QueueError> {
        loop {
            let slowest =
                self.read.iter().map(|read| read.load(Ordering::Relaxed)).min().unwrap_or(number);
            let early = due.filter(|due| *due > Instant::now());
            let crowded = number >= slowest + WINDOW && !self.failed.load(Ordering::Relaxed);
            let arrival = match early {
                Some(due) => client.next(Some(due))?,
                None if crowded => client.next(Instant::now().checked_add(PATIENCE))?,
                None => return Ok(()),
            };
            if let Some(Arrival::Refused(refused)) = arrival {
                return Err(QueueError::Refused(refused));
            }
        }
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
                    latency.saturating_record(u64::try_from(arrived - sent).unwrap_or(0).max(1));
                    self.read[index].fetch_add(1, Ordering::Relaxed);
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
        self.published.load(Ordering::Relaxed) >= self.args.count
            && last.elapsed() > self.args.broker.timeout
    }
}
