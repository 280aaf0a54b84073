//! A broker that keeps the last value of a million topics.

use std::io::Write;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::WRITE;
use crate::net::{Counting, Stream, connect, open, ping};
use crate::payload::Payload;
use crate::systems::Running;
use crate::wire::{Role, Wire};

/// Coprime with any power of ten: multiples of it visit every topic once, far from the one before.
const STRIDE: usize = 611_953;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Resident bytes for each topic, its payload not counted.
    pub(crate) bytes_per_topic: f64,
    /// What one publication costs, all over the topics, in units of what it costs with one topic.
    pub(crate) publish_cost: f64,
    /// Nanoseconds for each publication with one topic.
    pub(crate) publish_time: f64,
    /// Values per second of a new subscription to everything.
    pub(crate) snapshot_rate: f64,
}

fn topic(index: usize) -> String {
    format!("t/{:03}/{:03}", index / 1000, index % 1000)
}

/// Publications to the topics with these numbers, in one run of bytes.
pub(super) fn prepare(
    wire: &dyn Wire,
    payload: &Payload,
    topics: impl Iterator<Item = usize>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    topics.for_each(|index| wire.publish(&topic(index), payload, true, &mut bytes));
    bytes
}

/// The number of a topic, far away from those before, where all are visited in turn.
pub(super) fn scattered(index: usize, count: usize) -> usize {
    index * STRIDE % count
}

/// Seconds until a broker has taken in some publications.
fn publish(stream: &mut Stream, wire: &dyn Wire, bytes: &[u8]) -> Result<f64> {
    let start = Instant::now();
    for chunk in bytes.chunks(WRITE) {
        stream.write_all(chunk)?;
    }
    ping(stream, wire)?;
    Ok(start.elapsed().as_secs_f64())
}

/// `replies`: what a subscription is answered with beside the values, in messages.
pub(crate) fn measure(
    running: &Running,
    wire: &dyn Wire,
    payload: &Payload,
    count: usize,
    replies: u64,
) -> Result<Measured> {
    ensure!(
        count.is_multiple_of(1000) && count <= 1_000_000,
        "thousands of topics, at most a million"
    );
    let mut publisher = open(&running.endpoint, wire, Role::Publisher)?;
    let one_topic = publish(&mut publisher, wire, &prepare(wire, payload, (0..count).map(|_| 0)))?;
    let before = running.memory()?.resident;
    publish(&mut publisher, wire, &prepare(wire, payload, 0..count))?;
    let bytes = (running.memory()?.resident - before) / count as f64;
    let scattered = prepare(wire, payload, (0..count).map(|index| scattered(index, count)));
    let all_topics = publish(&mut publisher, wire, &scattered)?;
    let start = Instant::now();
    let mut subscriber = connect(&running.endpoint, wire, Role::Subscriber("t/#"))?;
    Counting::new().read_until(&mut subscriber, wire, count as u64 + replies)?;
    let snapshot = start.elapsed().as_secs_f64();
    Ok(Measured {
        bytes_per_topic: bytes - payload.json.len() as f64,
        publish_cost: all_topics / one_topic,
        publish_time: one_topic / count as f64 * 1e9,
        snapshot_rate: count as f64 / snapshot,
    })
}
