//! Models of what the broker's threads do to each other, tried in many orders: `make model`.
//!
//! A model runs the broker as it is, with a client at the other end of each socket, on threads of
//! shuttle's, which runs one at a time and chooses at each lock, atomic and channel who goes on. A
//! schedule in which all wait for each other fails, as does one that breaks what the model asserts.
//! Simulated are only what `broker::sync` and `transport::net` bring: locks and channels, threads,
//! time, sockets and the listener's, and what waits for many of them. Time passes by chance
//! (`broker::sync::clock`).
//!
//! What breaking the broker showed is in docs/reliability.md. Whoever adds a model breaks what it
//! is about, and sees it fail.
//!
//! Shuttle takes every atomic for sequentially consistent: what a weaker order could do is not
//! tried here.

mod backlog;
mod client;
mod dead_letters;
mod delivery;
mod disk;
mod mailbox;
mod outbox;
mod shutdown;
mod streams;
mod tls;
mod written;

use std::sync::Arc;
use std::time::Duration;

use super::closing::GRACE;
use super::net::{self, Text};
use super::{Broker, BrokerHandle};
use crate::broker::Delivery;
use crate::broker::sync::explore::{explore, explore_broker};
use crate::broker::sync::world::{any, never_waits_for, running_threads};
use crate::codec::{Batch, BatchEntry, Dialect, Document, Part, PayloadSpan, Wanted};
use crate::protocol::{ErrorCode, Format, Limits, Refusal, Reply, Token, Topic, TopicFilter};

fn filter(name: &str) -> TopicFilter {
    TopicFilter::parse(name).unwrap()
}

/// A batch of JSON messages to one topic, each a number.
fn batch(topic: &str, numbers: impl IntoIterator<Item = u64>) -> Batch {
    let (mut bytes, mut messages) = (Vec::new(), Vec::new());
    for number in numbers {
        let start = bytes.len();
        bytes.extend_from_slice(number.to_string().as_bytes());
        let message = PayloadSpan { part: Part::Value(start..bytes.len()), document: None };
        messages.push(BatchEntry::new(0, Format::Json, &message, false, None, None));
    }
    let topics = [Topic::parse(topic).unwrap()].into_iter().collect();
    let mut batch = Batch::new(bytes, Document::new(), topics, messages, Limits::default());
    batch.want(Dialect::Json, Wanted::All);
    batch
}

fn reply(reply: Reply) -> Delivery {
    Delivery::Reply { reply, token: Token::default() }
}

fn error(code: ErrorCode) -> Reply {
    Reply::Error(Refusal::new(code, "on purpose"))
}

/// Bytes of memory of a broker, so that nobody waits for some.
const MEMORY: usize = 1 << 40;

/// A broker, whose connections may be sealed.
fn start(write_timeout: Duration) -> BrokerHandle {
    // A handshake of TLS takes as long as all else together.
    let text = match any(8) {
        0 | 1 => Text::Sealed,
        2 => Text::Tls,
        _ => Text::Plain,
    };
    start_with(text, write_timeout)
}

fn start_with(text: Text, write_timeout: Duration) -> BrokerHandle {
    net::set_text(text);
    Broker::start(config(write_timeout)).unwrap()
}

fn config(write_timeout: Duration) -> super::Config {
    super::Config {
        memory: Some(MEMORY),
        // However late the rest of a frame is.
        frame_timeout: 2 * GRACE,
        write_timeout,
        ..super::Config::default()
    }
}

/// A broker that has as much time as it needs: what it waits for comes, or is waited for for ever.
fn patient(longest: Duration) -> BrokerHandle {
    never_waits_for(longest);
    start(2 * GRACE)
}

/// Stops a broker. Every thread of it has ended then, and nobody holds on to anything of it.
fn stop(broker: BrokerHandle) {
    let shared = broker.shared.clone();
    broker.shutdown();
    assert_eq!(running_threads(), 0, "threads have not ended");
    assert_eq!(shared.counters.panics.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert_eq!(Arc::strong_count(&shared), 1, "somebody holds on to the broker");
}
