//! Publishing what a broker is to remember, as fast as it takes it.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{WRITE, topics};
use crate::net::{open, ping};
use crate::payload::Payload;
use crate::systems::Running;
use crate::wire::{Role, Wire};

/// Messages between two questions whether all before has been taken in.
const TOGETHER: usize = 65_536;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Publications a second.
    pub(crate) rate: f64,
    /// Nanoseconds of the broker's processor time for each.
    pub(crate) processor: f64,
}

/// Publishes to `count` topics, far apart from each other, again and again. The first pass is not
/// counted.
pub(crate) fn measure(
    running: &Running,
    wire: &dyn Wire,
    payload: &Payload,
    count: usize,
    time: Duration,
) -> Result<Measured> {
    let mut publisher = open(&running.endpoint, wire, Role::Publisher)?;
    let passes = TOGETHER.div_ceil(count).max(1);
    let bytes = topics::prepare(
        wire,
        payload,
        (0..passes * count).map(|index| topics::scattered(index, count)),
    );
    let mut publish = || -> Result<()> {
        for chunk in bytes.chunks(WRITE) {
            publisher.write_all(chunk)?;
        }
        ping(&mut publisher, wire)
    };
    publish()?;
    let (start, processor) = (Instant::now(), running.processor_time()?);
    let mut messages = 0.0;
    while start.elapsed() < time {
        publish()?;
        messages += (passes * count) as f64;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Measured {
        rate: messages / seconds,
        processor: (running.processor_time()? - processor) / messages,
    })
}
