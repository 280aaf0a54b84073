//! Messages of QoS 1 and 2 from one client of MQTT to another: as fast as they are acknowledged,
//! and one at a time.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use hdrhistogram::Histogram;

use super::flow::Measured;
use super::round_trip::{Latency, MOST, WARM_UP};
use crate::net::{PATIENCE, Stream, await_open, begin, is_tick, open};
use crate::payload::Payload;
use crate::systems::Running;
use crate::window::Window;
use crate::wire::{Assured, Brought, Mqtt, Role};

const TOPIC: &str = "bench/assured";
/// Messages that a publisher has published and that were not acknowledged, at most.
pub(crate) const IN_FLIGHT: u16 = 1000;
/// Messages in a write, or a multiple of it.
const BATCH: u16 = 100;
/// As much as either end reads at once.
const READ: usize = 64 << 10;

/// One end: its connection, and what has arrived on it in part.
struct End {
    qos: Assured,
    stream: Stream,
    buffer: Vec<u8>,
    kept: usize,
}

impl End {
    fn publisher(running: &Running, qos: Assured) -> Result<End> {
        let stream = open(&running.endpoint, &Mqtt, Role::Publisher)?;
        Ok(End { qos, stream, buffer: vec![0; READ], kept: 0 })
    }

    fn subscriber(running: &Running, qos: Assured) -> Result<End> {
        let mut stream = begin(&running.endpoint, &Mqtt)?;
        let mut hello = Vec::new();
        qos.subscribe(TOPIC, &mut hello);
        stream.write_all(&hello)?;
        await_open(&mut stream, &Mqtt, Role::Subscriber(TOPIC))?;
        Ok(End { qos, stream, buffer: vec![0; READ], kept: 0 })
    }

    /// Reads once, and adds what has to be answered to `out`. Nothing after a tick without input.
    fn read(&mut self, out: &mut Vec<u8>) -> Result<Brought> {
        match self.stream.read(&mut self.buffer[self.kept..]) {
            Ok(0) => bail!("the broker closed a connection"),
            Ok(count) => {
                let end = self.kept + count;
                let brought = self.qos.take(&self.buffer[..end], out)?;
                self.buffer.copy_within(brought.consumed..end, 0);
                self.kept = end - brought.consumed;
                Ok(brought)
            }
            Err(error) if is_tick(&error) => Ok(Brought::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads once, and answers.
    fn serve(&mut self, out: &mut Vec<u8>) -> Result<Brought> {
        out.clear();
        let brought = self.read(out)?;
        if !out.is_empty() {
            self.stream.write_all(out)?;
        }
        Ok(brought)
    }
}

/// What both ends know.
struct Shared {
    window: Window,
    stop: AtomicBool,
    /// Everything that was published has been acknowledged, and nothing more will be.
    is_published: AtomicBool,
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn guarded(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let result = work();
        if result.is_err() {
            self.stop.store(true, Ordering::SeqCst);
        }
        result
    }

    fn publish(&self, mut end: End, payload: &Payload) -> Result<()> {
        // As many numbers as may be under way: acknowledgements come in order, so a batch's are
        // free when its turn comes again.
        let numbers: Vec<u16> = (1..=IN_FLIGHT).collect();
        let batches: Vec<Vec<u8>> = numbers
            .chunks(BATCH.into())
            .map(|numbers| {
                let mut batch = Vec::new();
                for number in numbers {
                    end.qos.publish(TOPIC, *number, payload, &mut batch);
                }
                batch
            })
            .collect();
        let mut next = batches.iter().cycle();
        let (mut in_flight, mut out) = (0, Vec::new());
        let mut quiet_since = Instant::now();
        while !self.stopped() || in_flight > 0 {
            while !self.stopped()
                && in_flight + u64::from(BATCH) <= u64::from(IN_FLIGHT)
                && self.window.reserve(BATCH.into())
            {
                out.extend(next.next().into_iter().flatten());
                in_flight += u64::from(BATCH);
            }
            if !out.is_empty() {
                end.stream.write_all(&out)?;
                out.clear();
            }
            // The window of what was not received may be shut while nothing is to be acknowledged.
            if in_flight > 0 {
                let Brought { settled, .. } = end.read(&mut out)?;
                ensure!(settled <= in_flight, "more was acknowledged than published");
                in_flight -= settled;
                if settled > 0 || !out.is_empty() {
                    quiet_since = Instant::now();
                }
                ensure!(quiet_since.elapsed() < PATIENCE, "{in_flight} are not acknowledged");
            }
        }
        self.is_published.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn subscribe(&self, mut end: End) -> Result<()> {
        let mut out = Vec::new();
        let mut quiet_since = Instant::now();
        loop {
            let Brought { messages, .. } = end.serve(&mut out)?;
            if messages > 0 {
                self.window.receive(0, messages);
                quiet_since = Instant::now();
            }
            let (received, published) = (self.window.received(), self.window.published());
            ensure!(received <= published, "{published} were published and {received} received");
            if self.is_published.load(Ordering::SeqCst) && received == published {
                return Ok(());
            }
            if self.stopped() && quiet_since.elapsed() > PATIENCE {
                bail!("of {published} messages only {received} arrived");
            }
        }
    }
}

/// Counts what the subscriber receives; all that was published has to be acknowledged and received
/// once in the end.
pub(crate) fn measure(
    running: &Running,
    qos: Assured,
    payload: &Payload,
    time: Duration,
) -> Result<Measured> {
    let shared = Shared {
        window: Window::new(1, payload.json.len() as u64),
        stop: AtomicBool::new(false),
        is_published: AtomicBool::new(false),
    };
    let subscriber = End::subscriber(running, qos)?;
    let publisher = End::publisher(running, qos)?;
    thread::scope(|scope| {
        let ends = [
            scope.spawn(|| shared.guarded(|| shared.subscribe(subscriber))),
            scope.spawn(|| shared.guarded(|| shared.publish(publisher, payload))),
        ];
        let measured = (|| {
            // The clock is what is measured with: nothing is waited for here.
            thread::sleep(running.warm_up);
            let (before, processor) = (shared.window.received(), running.processor_time()?);
            let start = Instant::now();
            thread::sleep(time);
            let messages = (shared.window.received() - before) as f64;
            let seconds = start.elapsed().as_secs_f64();
            let processor = (running.processor_time()? - processor).max(0.0);
            Ok(Measured {
                deliveries_per_second: messages / seconds,
                processor_per_delivery: processor / messages.max(1.0),
            })
        })();
        shared.stop.store(true, Ordering::SeqCst);
        for end in ends {
            end.join().unwrap_or_else(|_| Err(anyhow!("a client's thread panicked")))?;
        }
        measured
    })
}

/// One message of QoS 1 at a time, from the write to the delivery; the next is published when both
/// ends are done with it.
pub(crate) fn latency(running: &Running, payload: &Payload, time: Duration) -> Result<Latency> {
    let qos = Assured::AtLeastOnce;
    let mut subscriber = End::subscriber(running, qos)?;
    let mut publisher = End::publisher(running, qos)?;
    let (mut message, mut out) = (Vec::new(), Vec::new());
    qos.publish(TOPIC, 1, payload, &mut message);
    let mut trip = || -> Result<Duration> {
        let start = Instant::now();
        publisher.stream.write_all(&message)?;
        let is_late = || start.elapsed() > PATIENCE;
        while subscriber.serve(&mut out)?.messages == 0 {
            ensure!(!is_late(), "a message did not arrive within {PATIENCE:?}");
        }
        let arrived = start.elapsed();
        while publisher.serve(&mut out)?.settled == 0 {
            ensure!(!is_late(), "a message was not acknowledged within {PATIENCE:?}");
        }
        Ok(arrived)
    };
    for _ in 0..WARM_UP {
        trip()?;
    }
    let mut times = Histogram::<u64>::new(3)?;
    let start = Instant::now();
    while start.elapsed() < time && times.len() < MOST {
        times.record(trip()?.as_nanos() as u64)?;
    }
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Latency { p50: at(0.5), p99: at(0.99) })
}
