//! Messages from publishers to subscribers, as fast as they go or at a given pace.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::Prepared;
use crate::net::{self, Counting, Endpoint, open};
use crate::payload::Payload;
use crate::stream::Stream;
use crate::systems::Running;
use crate::window::Window;
use crate::wire::{Format, Role, Wire};

/// When nothing more arrives for so long, messages are missing.
const LOST: Duration = Duration::from_secs(10);

/// What is published.
pub(crate) enum Content {
    /// One message, again and again, to each of these topics in turn. Where there are some, they
    /// lie side by side.
    Alike { topics: Vec<String>, payload: Payload },
    /// A stream in its producer's format, again and again; its topics lie below `root`.
    Stream { root: String, stream: Stream, format: Format },
}

/// Who publishes what to whom.
pub(crate) struct Flow {
    pub(crate) content: Content,
    pub(crate) publishers: usize,
    pub(crate) producer: Arc<dyn Wire>,
    /// One for each subscriber.
    pub(crate) consumers: Vec<Arc<dyn Wire>>,
    /// Messages per second of each publisher; without it, as many as go.
    pub(crate) pace: Option<f64>,
}

/// A flow whose connections are open.
pub(crate) struct Opened {
    flow: Flow,
    /// Each is for one thread only.
    publishers: Vec<Mutex<net::Stream>>,
    subscribers: Vec<Mutex<net::Stream>>,
    pub(crate) window: Window,
    stop: AtomicBool,
    publishing: AtomicUsize,
}

type Handles<'scope> = Vec<ScopedJoinHandle<'scope, Result<()>>>;

impl Flow {
    pub(crate) fn open(self, endpoint: &Endpoint) -> Result<Opened> {
        self.open_across(endpoint, endpoint)
    }

    /// Publishes at one place and subscribes at another of the same broker.
    fn open_across(self, publishing: &Endpoint, subscribing: &Endpoint) -> Result<Opened> {
        let (filter, bytes) = match &self.content {
            Content::Alike { topics, payload } => {
                let filter = match topics.as_slice() {
                    [topic] => topic.clone(),
                    [topic, ..] => format!("{}/#", topic.rsplit_once('/').map_or("", |cut| cut.0)),
                    [] => bail!("a flow to no topic"),
                };
                (filter, payload.json.len())
            }
            Content::Stream { root, stream, format } => {
                (format!("{root}/#"), stream.mean_bytes(*format))
            }
        };
        let mut subscribers = Vec::new();
        for wire in &self.consumers {
            let subscriber = open(subscribing, wire.as_ref(), Role::Subscriber(&filter))?;
            subscribers.push(Mutex::new(subscriber));
        }
        let mut publishers = Vec::new();
        for _ in 0..self.publishers {
            let publisher = open(publishing, self.producer.as_ref(), Role::Publisher)?;
            publishers.push(Mutex::new(publisher));
        }
        let window = Window::new(subscribers.len(), bytes as u64);
        let publishing = AtomicUsize::new(publishers.len());
        let stop = AtomicBool::new(false);
        Ok(Opened { flow: self, publishers, subscribers, window, stop, publishing })
    }
}

impl Opened {
    /// Starts a thread for each connection.
    pub(crate) fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Handles<'scope> {
        let subscribers = self.subscribers.iter().enumerate().map(|(index, stream)| {
            scope.spawn(move || {
                self.guarded(|| {
                    self.subscribe(
                        index,
                        &mut stream.lock().unwrap_or_else(PoisonError::into_inner),
                    )
                })
            })
        });
        let mut handles: Handles<'_> = subscribers.collect();
        for stream in &self.publishers {
            handles.push(scope.spawn(move || {
                let published = self.guarded(|| {
                    self.publish(&mut stream.lock().unwrap_or_else(PoisonError::into_inner))
                });
                self.publishing.fetch_sub(1, Ordering::SeqCst);
                published
            }));
        }
        handles
    }

    /// Publishes nothing more, waits for all that is under way, and says whether all of it arrived.
    pub(crate) fn finish(&self, handles: Handles<'_>) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        let mut result = Ok(());
        for handle in handles {
            let ended = handle
                .join()
                .unwrap_or_else(|_| Err(anyhow!("a thread of the load generator panicked")));
            result = result.and(ended);
        }
        result
    }

    /// When one thread fails, the others end as well.
    fn guarded(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let result = work();
        if result.is_err() {
            self.stop.store(true, Ordering::SeqCst);
        }
        result
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn publish(&self, stream: &mut net::Stream) -> Result<()> {
        const TICK: Duration = Duration::from_millis(1);
        let Flow { content, producer, pace, .. } = &self.flow;
        let wire = producer.as_ref();
        let (topics, payload, pace) = match (content, pace) {
            (Content::Alike { topics, payload }, None) => {
                return self.publish_all(stream, &[Prepared::batch(wire, topics, payload)]);
            }
            (Content::Alike { topics, payload }, Some(pace)) => (topics, payload, pace),
            (Content::Stream { stream: messages, format, .. }, _) => {
                return self.publish_all(stream, &Prepared::stream(wire, messages, *format));
            }
        };
        let messages = (pace * TICK.as_secs_f64()).round().max(1.0) as usize;
        let batch = Prepared::of(wire, topics, payload, messages);
        let mut next = Instant::now();
        while !self.stopped() {
            if self.window.reserve(batch.messages) {
                stream.write_all(&batch.bytes)?;
                // What a broker cannot take in time is not made up for.
                next = (next + TICK).max(Instant::now() - TICK);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        }
        Ok(())
    }

    /// As many as go, from the beginning when the end is reached.
    fn publish_all(&self, stream: &mut net::Stream, batches: &[Prepared]) -> Result<()> {
        for batch in batches.iter().cycle() {
            while !self.window.reserve(batch.messages) {
                if self.stopped() {
                    return Ok(());
                }
            }
            stream.write_all(&batch.bytes)?;
            if self.stopped() {
                break;
            }
        }
        Ok(())
    }

    fn subscribe(&self, index: usize, stream: &mut net::Stream) -> Result<()> {
        let wire = self.flow.consumers[index].as_ref();
        let mut counting = Counting::new();
        let mut quiet_since = Instant::now();
        loop {
            let messages = counting.read(stream, wire)?;
            if messages > 0 {
                self.window.receive(index, messages);
                quiet_since = Instant::now();
            }
            if self.stopped() && self.publishing.load(Ordering::SeqCst) == 0 {
                let (received, published) =
                    (self.window.received_by(index), self.window.published());
                if received == published {
                    return Ok(());
                }
                if received > published {
                    bail!("{published} messages were published and {received} received");
                }
                if quiet_since.elapsed() > LOST {
                    bail!("of {published} messages only {received} arrived");
                }
            }
        }
    }
}

/// What a flow did in the time it was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) deliveries_per_second: f64,
    /// Nanoseconds of the broker's processor time for each.
    pub(crate) processor_per_delivery: f64,
}

/// Runs a flow and counts what the subscribers receive.
pub(crate) fn measure(running: &Running, flow: Flow, time: Duration) -> Result<Measured> {
    measure_across(running, flow, (&running.endpoint, &running.endpoint), time)
}

/// The same, published at one place and subscribed to at another of the same broker.
pub(crate) fn measure_across(
    running: &Running,
    flow: Flow,
    (publishing, subscribing): (&Endpoint, &Endpoint),
    time: Duration,
) -> Result<Measured> {
    let opened = flow.open_across(publishing, subscribing)?;
    thread::scope(|scope| {
        let handles = opened.start(scope);
        let measured = (|| {
            // The clock is what is measured with: nothing is waited for here.
            thread::sleep(running.warm_up);
            let (before, processor, start) =
                (opened.window.received(), running.processor_time()?, Instant::now());
            thread::sleep(time);
            let deliveries = (opened.window.received() - before) as f64;
            let seconds = start.elapsed().as_secs_f64();
            let processor = (running.processor_time()? - processor).max(0.0);
            Ok(Measured {
                deliveries_per_second: deliveries / seconds,
                processor_per_delivery: processor / deliveries.max(1.0),
            })
        })();
        opened.finish(handles)?;
        measured
    })
}
