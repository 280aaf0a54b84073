//! The load generator: the same threads, buffers and window for every system.

pub(crate) mod assured;
pub(crate) mod crowd;
pub(crate) mod flow;
pub(crate) mod guesses;
pub(crate) mod handshakes;
pub(crate) mod http;
pub(crate) mod round_trip;
pub(crate) mod stored;
pub(crate) mod topics;

use crate::payload::Payload;
use crate::stream::Stream;
use crate::wire::{Format, Wire};

/// As much as a publisher writes at once.
const WRITE: usize = 32 << 10;
/// As many messages as a publisher writes at once, at most.
const MAX_BATCH: usize = 256;

/// Messages for one write.
#[derive(Debug)]
struct Prepared {
    bytes: Vec<u8>,
    messages: u64,
}

impl Prepared {
    /// As many of one message, to each of the topics in turn, as belong into one write.
    fn batch(wire: &dyn Wire, topics: &[String], payload: &Payload) -> Prepared {
        let mut one = Vec::new();
        wire.publish(topics.first().map_or("", String::as_str), payload, false, &mut one);
        let messages = (WRITE / one.len().max(1)).clamp(1, MAX_BATCH);
        // Every topic as often.
        let whole = (messages / topics.len()).max(1) * topics.len();
        Prepared::of(wire, topics, payload, whole)
    }

    /// To each of the topics in turn.
    fn of(wire: &dyn Wire, topics: &[String], payload: &Payload, messages: usize) -> Prepared {
        let mut bytes = Vec::new();
        for topic in topics.iter().cycle().take(messages) {
            wire.publish(topic, payload, false, &mut bytes);
        }
        Prepared { bytes, messages: messages as u64 }
    }

    /// A stream's messages, as many in each write as belong into one.
    fn stream(wire: &dyn Wire, stream: &Stream, format: Format) -> Vec<Prepared> {
        let mut all: Vec<Prepared> = Vec::new();
        let mut one = Vec::new();
        for message in &stream.messages {
            one.clear();
            wire.carry(message, format, &mut one);
            match all.last_mut() {
                Some(last)
                    if last.bytes.len() + one.len() <= WRITE
                        && last.messages < MAX_BATCH as u64 =>
                {
                    last.bytes.extend_from_slice(&one);
                    last.messages += 1;
                }
                _ => all.push(Prepared { bytes: one.clone(), messages: 1 }),
            }
        }
        all
    }
}
