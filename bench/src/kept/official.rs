//! Clients of JetStream as anybody has them: those of the official library, each on a thread of its
//! own, that publish with an id, wait for acknowledgements, and pull what all of them publish.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::Notify;

use super::jetstream::SUBJECT;
use super::{NAME, WINDOW, latency};
use crate::net::PATIENCE;
use crate::payload::Payload;
use crate::systems::Running;

/// Looks whether it is over this often.
const TICK: Duration = Duration::from_millis(20);

/// What the clients have in common: what is published, and received by each. As in
/// [`through`](super::through), the slowest of them decides how much is under way.
struct Gate {
    limit: u64,
    published: AtomicU64,
    confirmed: AtomicU64,
    received: Vec<AtomicU64>,
    is_shut: AtomicBool,
    opened: Notify,
    stop: AtomicBool,
}

impl Gate {
    fn slowest(&self) -> u64 {
        self.received.iter().map(|count| count.load(Ordering::SeqCst)).min().unwrap_or(0)
    }

    fn under_way(&self) -> u64 {
        self.published.load(Ordering::SeqCst).saturating_sub(self.slowest())
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Waits until another message may be published, for a tick at most.
    async fn wait(&self) {
        let mut opened = pin!(self.opened.notified());
        opened.as_mut().enable();
        self.is_shut.store(true, Ordering::SeqCst);
        if self.under_way() > self.limit / 2 {
            let _ = tokio::time::timeout(TICK, opened).await;
        }
    }

    fn receive(&self, place: usize) {
        self.received[place].fetch_add(1, Ordering::SeqCst);
        if self.is_shut.load(Ordering::SeqCst) && self.under_way() <= self.limit / 2 {
            self.is_shut.store(false, Ordering::SeqCst);
            self.opened.notify_waiters();
        }
    }
}

/// Messages a second that every client receives, for some time, behind a warm-up.
pub(crate) fn measure(
    running: &Running,
    clients: usize,
    payload: &Payload,
    time: Duration,
) -> Result<f64> {
    let gate = Gate {
        limit: WINDOW * clients as u64,
        published: AtomicU64::new(0),
        confirmed: AtomicU64::new(0),
        received: (0..clients).map(|_| AtomicU64::new(0)).collect(),
        is_shut: AtomicBool::new(false),
        opened: Notify::new(),
        stop: AtomicBool::new(false),
    };
    let url = format!("nats://{}", running.endpoint.address);
    let mut ready = Vec::new();
    for place in 0..clients {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        ready.push((place, runtime.block_on(join(&url, AckPolicy::None))?, runtime));
    }
    let rate = thread::scope(|scope| {
        let gate = &gate;
        let mut handles = Vec::new();
        for (place, (context, consumer), runtime) in ready {
            handles.push(scope.spawn(move || {
                let done = runtime.block_on(run(gate, place, context, consumer, payload));
                if done.is_err() {
                    gate.stop.store(true, Ordering::SeqCst);
                }
                done
            }));
        }
        // The clock is what is measured with: nothing is waited for here.
        thread::sleep(running.warm_up);
        let (before, start) = (gate.slowest(), Instant::now());
        thread::sleep(time);
        let rate = (gate.slowest() - before) as f64 / start.elapsed().as_secs_f64();
        gate.stop.store(true, Ordering::SeqCst);
        for handle in handles {
            handle.join().unwrap_or_else(|_| Err(anyhow!("a client's thread panicked")))?;
        }
        Ok::<_, anyhow::Error>(rate)
    })?;
    let (published, confirmed) = (gate.published.into_inner(), gate.confirmed.into_inner());
    ensure!(confirmed == published, "of {published} messages {confirmed} were confirmed");
    Ok(rate)
}

async fn join(url: &str, ack_policy: AckPolicy) -> Result<(Context, PullConsumer)> {
    let client = async_nats::connect(url).await?;
    let context = ContextBuilder::new().max_ack_inflight(WINDOW as usize).build(client);
    let config = pull::Config { ack_policy, ..pull::Config::default() };
    let consumer = context.create_consumer_on_stream(config, NAME).await;
    let consumer = consumer.map_err(|error| anyhow!("no consumer: {error}"))?;
    Ok((context, consumer))
}

async fn run(
    gate: &Gate,
    place: usize,
    context: Context,
    consumer: PullConsumer,
    payload: &Payload,
) -> Result<()> {
    let bytes = Bytes::from(payload.json.clone());
    let publish = async {
        let mut waiting: VecDeque<PublishAckFuture> = VecDeque::new();
        let mut number = 0_u64;
        while !gate.stopped() {
            if gate.under_way() >= gate.limit {
                gate.wait().await;
            } else {
                number += 1;
                gate.published.fetch_add(1, Ordering::SeqCst);
                let message = PublishMessage::build()
                    .payload(bytes.clone())
                    .message_id(format!("{place}-{number}"));
                waiting.push_back(context.send_publish(SUBJECT, message).await?);
            }
            while waiting.len() >= WINDOW as usize / 2
                && let Some(ack) = waiting.pop_front()
            {
                ack.await?;
                gate.confirmed.fetch_add(1, Ordering::SeqCst);
            }
        }
        for ack in waiting {
            ack.await?;
            gate.confirmed.fetch_add(1, Ordering::SeqCst);
        }
        Ok::<(), anyhow::Error>(())
    };
    let receive = async {
        let mut messages = consumer.stream().max_messages_per_batch(4_096).messages().await?;
        let mut stopped_at = None;
        let count = || gate.received[place].load(Ordering::SeqCst);
        while !gate.stopped() || count() < gate.published.load(Ordering::SeqCst) {
            if let Ok(message) = tokio::time::timeout(TICK, messages.next()).await {
                message.context("no more messages")??;
                gate.receive(place);
            }
            if gate.stopped() {
                let since = *stopped_at.get_or_insert_with(Instant::now);
                ensure!(since.elapsed() < PATIENCE, "{} messages are there", count());
            }
        }
        Ok(())
    };
    tokio::try_join!(publish, receive).map(drop)
}

/// One message at a time, from its publication to a consumer, which acknowledges it.
pub(crate) fn latency(
    running: &Running,
    payload: &Payload,
    time: Duration,
) -> Result<latency::Measured> {
    let url = format!("nats://{}", running.endpoint.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (context, consumer) = join(&url, AckPolicy::Explicit).await?;
        let mut messages = consumer.stream().messages().await?;
        let mut times = latency::Times::new()?;
        let bytes = Bytes::from(payload.json.clone());
        let (mut number, mut start) = (0_u64, Instant::now());
        while start.elapsed() < time {
            number += 1;
            if number == latency::WARM_UP as u64 {
                start = Instant::now();
            }
            let message =
                PublishMessage::build().payload(bytes.clone()).message_id(number.to_string());
            let begun = Instant::now();
            let published = context.send_publish(SUBJECT, message).await?;
            let next = tokio::time::timeout(PATIENCE, messages.next()).await?;
            let message = next.context("no more messages")??;
            let delivered = begun.elapsed();
            message.ack().await.map_err(|error| anyhow!("no acknowledgement: {error}"))?;
            published.await?;
            if number > latency::WARM_UP as u64 {
                times.record(delivered, begun.elapsed())?;
            }
        }
        Ok(times.measured())
    })
}
