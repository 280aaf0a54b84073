//! One producer, as fast as what it publishes is confirmed.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::{Arriving, Keeper, WINDOW, WRITE, connect};
use crate::net::PATIENCE;
use crate::payload::Payload;
use crate::systems::Running;
use crate::window::Window;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Confirmed messages a second.
    pub(crate) rate: f64,
    /// Nanoseconds of the system's processor time for each.
    pub(crate) processor: f64,
}

/// A producer whose writes are all alike.
struct Producer {
    bytes: Vec<u8>,
    messages: u64,
    /// That answer a write.
    confirmations: u64,
    window: Window,
    stop: AtomicBool,
}

impl Producer {
    fn new(keeper: &dyn Keeper, payload: &Payload) -> Producer {
        let mut bytes = Vec::new();
        let confirmations = keeper.publish(payload, WRITE, &mut bytes);
        Producer {
            bytes,
            messages: WRITE,
            confirmations,
            window: Window::of(WINDOW, 1),
            stop: AtomicBool::new(false),
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Publishes until it is stopped, or until that many messages are published.
    fn write(&self, stream: &mut TcpStream, most: u64) -> Result<()> {
        while !self.stopped() && self.window.published() < most {
            if self.window.reserve(self.messages) {
                stream.write_all(&self.bytes)?;
            }
        }
        Ok(())
    }

    /// Reads confirmations until all that was published is confirmed.
    fn read(&self, stream: &mut TcpStream, keeper: &dyn Keeper, most: u64) -> Result<()> {
        let mut arriving = Arriving::new();
        let mut quiet_since = Instant::now();
        let mut confirmations = 0;
        loop {
            arriving.read(stream, |bytes| {
                let scanned = keeper.confirmed(bytes)?;
                if scanned.messages > 0 {
                    confirmations += scanned.messages;
                    quiet_since = Instant::now();
                    let messages = confirmations * self.messages / self.confirmations;
                    self.window.receive(0, messages - self.window.received());
                }
                Ok(scanned.consumed)
            })?;
            let published = self.window.published();
            if (self.stopped() || published >= most) && self.window.received() == published {
                return Ok(());
            }
            ensure!(
                quiet_since.elapsed() < PATIENCE,
                "of {published} messages {} were confirmed",
                self.window.received()
            );
        }
    }

    /// Runs both ends beside some work, which may stop them; returns what the work did.
    fn run<T>(
        &self,
        running: &Running,
        keeper: &dyn Keeper,
        most: u64,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let mut stream = connect(&running.endpoint)?;
        keeper.open_publisher(&mut stream)?;
        let mut writing = stream.try_clone()?;
        thread::scope(|scope| {
            let ends = [
                scope.spawn(move || self.guarded(|| self.write(&mut writing, most))),
                scope.spawn(move || self.guarded(|| self.read(&mut stream, keeper, most))),
            ];
            let done = self.guarded(work);
            for end in ends {
                end.join().unwrap_or_else(|_| Err(anyhow!("a producer's thread panicked")))?;
            }
            done
        })
    }

    fn guarded<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let done = work();
        if done.is_err() {
            self.stop.store(true, Ordering::SeqCst);
        }
        done
    }
}

/// Confirmed messages a second, for some time, behind a warm-up.
fn timed(running: &Running, producer: &Producer, time: Duration) -> Result<f64> {
    // The clock is what is measured with: nothing is waited for here.
    thread::sleep(running.warm_up);
    let before = producer.window.received();
    let start = Instant::now();
    thread::sleep(time);
    let messages = (producer.window.received() - before) as f64;
    let seconds = start.elapsed().as_secs_f64();
    producer.stop.store(true, Ordering::SeqCst);
    Ok(messages / seconds)
}

/// Publishes for some time beside others. Returns how many messages a second are confirmed.
pub(crate) fn rate(
    running: &Running,
    keeper: &dyn Keeper,
    payload: &Payload,
    time: Duration,
) -> Result<f64> {
    let producer = Producer::new(keeper, payload);
    producer.run(running, keeper, u64::MAX, || timed(running, &producer, time))
}

/// Publishes for some time, and looks at the end whether all that was confirmed is kept.
pub(crate) fn measure(
    running: &Running,
    keeper: &dyn Keeper,
    payload: &Payload,
    time: Duration,
) -> Result<Measured> {
    let producer = Producer::new(keeper, payload);
    let measured = producer.run(running, keeper, u64::MAX, || {
        let processor = running.processor_time()?;
        let before = producer.window.received();
        let rate = timed(running, &producer, time)?;
        let messages = (producer.window.received() - before) as f64;
        let processor = (running.processor_time()? - processor).max(0.0);
        Ok(Measured { rate, processor: processor / messages.max(1.0) })
    })?;
    ensure_kept(running, keeper, producer.window.published())?;
    Ok(measured)
}

/// The same from the first write until the last confirmation: where the disk is waited for,
/// confirmations may come in heaps that are seconds apart.
pub(crate) fn measure_all(
    running: &Running,
    keeper: &dyn Keeper,
    payload: &Payload,
    time: Duration,
) -> Result<Measured> {
    let producer = Producer::new(keeper, payload);
    let (start, processor) = (Instant::now(), running.used()?);
    producer.run(running, keeper, u64::MAX, || {
        thread::sleep(time);
        producer.stop.store(true, Ordering::SeqCst);
        Ok(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let messages = producer.window.published() as f64;
    let processor = (running.used()? - processor) / messages.max(1.0);
    ensure_kept(running, keeper, producer.window.published())?;
    Ok(Measured { rate: messages / seconds, processor })
}

/// Publishes that many messages at least. Returns how many.
pub(crate) fn fill(
    running: &Running,
    keeper: &dyn Keeper,
    payload: &Payload,
    messages: u64,
) -> Result<u64> {
    let producer = Producer::new(keeper, payload);
    producer.run(running, keeper, messages, || Ok(()))?;
    let published = producer.window.published();
    ensure_kept(running, keeper, published)?;
    Ok(published)
}

/// Publishes that many messages at least to a stream that holds some.
pub(crate) fn add(
    running: &Running,
    keeper: &dyn Keeper,
    payload: &Payload,
    messages: u64,
) -> Result<()> {
    Producer::new(keeper, payload).run(running, keeper, messages, || Ok(()))
}

fn ensure_kept(running: &Running, keeper: &dyn Keeper, published: u64) -> Result<()> {
    let kept = keeper.count(&running.endpoint)?;
    ensure!(kept == published, "{published} messages were confirmed and {kept} are kept");
    Ok(())
}
