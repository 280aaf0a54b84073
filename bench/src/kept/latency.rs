//! One message at a time, from its producer to a consumer, which may acknowledge it.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use super::{Arriving, Keeper, Reading, connect, until_none_left};
use crate::load::round_trip::Latency;
use crate::net::{PATIENCE, await_answer};
use crate::payload::Payload;
use crate::systems::Running;

/// Messages that are not counted, at the beginning.
pub(crate) const WARM_UP: usize = 50;

/// In microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// From the write to the delivery.
    pub(crate) delivered: Latency,
    /// From the write until it is delivered and confirmed.
    pub(crate) confirmed: Latency,
}

/// Publishes and consumes by turns; the acknowledgement is beside it.
pub(crate) fn measure(
    running: &Running,
    keeper: &dyn Keeper,
    payload: &Payload,
    time: Duration,
    reading: Reading,
) -> Result<Measured> {
    let mut consumer = connect(&running.endpoint)?;
    let mut member = keeper.open_member(&mut consumer, reading, 0)?;
    let mut out = Vec::new();
    member.begin(&mut out);
    consumer.write_all(&out)?;
    let mut publisher = connect(&running.endpoint)?;
    keeper.open_publisher(&mut publisher)?;
    let mut message = Vec::new();
    let confirmations = keeper.publish(payload, 1, &mut message);
    let mut arriving = Arriving::new();
    let mut trip = || -> Result<(Duration, Duration)> {
        let start = Instant::now();
        publisher.write_all(&message)?;
        let mut arrived = 0;
        let mut took = None;
        while took.is_none() {
            out.clear();
            arriving.read(&mut consumer, |bytes| {
                let taken = member.take(bytes, &mut out)?;
                arrived += taken.messages;
                Ok(taken.consumed)
            })?;
            if arrived > 0 {
                took = Some(start.elapsed());
            }
            consumer.write_all(&out)?;
            ensure!(start.elapsed() < PATIENCE, "a message did not arrive within {PATIENCE:?}");
        }
        await_answer(&mut publisher, |answer| {
            keeper.confirmed(answer).is_ok_and(|scanned| scanned.messages >= confirmations)
        })?;
        Ok((took.unwrap_or_default(), start.elapsed()))
    };
    for _ in 0..WARM_UP {
        trip()?;
    }
    let mut times = Times::new()?;
    let start = Instant::now();
    while start.elapsed() < time {
        let (delivered, confirmed) = trip()?;
        times.record(delivered, confirmed)?;
    }
    if reading != Reading::Live {
        until_none_left(keeper, &running.endpoint)?;
    }
    Ok(times.measured())
}

/// How long each took.
#[derive(Debug)]
pub(crate) struct Times {
    delivered: Histogram<u64>,
    confirmed: Histogram<u64>,
}

impl Times {
    pub(crate) fn new() -> Result<Times> {
        Ok(Times { delivered: Histogram::new(3)?, confirmed: Histogram::new(3)? })
    }

    pub(crate) fn record(&mut self, delivered: Duration, confirmed: Duration) -> Result<()> {
        self.delivered.record(delivered.as_nanos() as u64)?;
        self.confirmed.record(confirmed.as_nanos() as u64)?;
        Ok(())
    }

    pub(crate) fn measured(&self) -> Measured {
        let of = |times: &Histogram<u64>| {
            let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
            Latency { p50: at(0.5), p99: at(0.99) }
        };
        Measured { delivered: of(&self.delivered), confirmed: of(&self.confirmed) }
    }
}
