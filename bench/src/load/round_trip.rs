//! One message at a time: published on one connection, awaited on another by the same thread.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use super::flow::Flow;
use crate::net::{Counting, PATIENCE, open};
use crate::payload::Payload;
use crate::systems::Running;
use crate::wire::{Role, Wire};

/// Round trips that are not counted, at the beginning.
pub(super) const WARM_UP: usize = 200;
/// More are not made, however much time there is.
pub(super) const MOST: u64 = 10_000_000;

/// In microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Measures round trips while another flow, if any, goes on.
pub(crate) fn measure(
    running: &Running,
    wire: &Arc<dyn Wire>,
    payload: &Payload,
    background: Option<Flow>,
    time: Duration,
) -> Result<Latency> {
    let Some(flow) = background else { return alone(running, wire.as_ref(), payload, time) };
    let opened = flow.open(&running.endpoint)?;
    thread::scope(|scope| {
        let handles = opened.start(scope);
        thread::sleep(running.warm_up);
        let latency = alone(running, wire.as_ref(), payload, time);
        opened.finish(handles)?;
        latency
    })
}

fn alone(running: &Running, wire: &dyn Wire, payload: &Payload, time: Duration) -> Result<Latency> {
    const TOPIC: &str = "bench/ping";
    let mut subscriber = open(&running.endpoint, wire, Role::Subscriber(TOPIC))?;
    let mut publisher = open(&running.endpoint, wire, Role::Publisher)?;
    let mut message = Vec::new();
    wire.publish(TOPIC, payload, false, &mut message);
    let mut counting = Counting::new();
    let mut trip = || -> Result<Duration> {
        let start = Instant::now();
        publisher.write_all(&message)?;
        while counting.read(&mut subscriber, wire)? == 0 {
            if start.elapsed() > PATIENCE {
                bail!("a message did not arrive within {PATIENCE:?}");
            }
        }
        Ok(start.elapsed())
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
