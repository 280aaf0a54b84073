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
mod delivery;
mod disk;
mod mailbox;
mod outbox;
mod shutdown;
mod streams;
mod tls;
mod written;

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::Runner;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};

use super::closing::GRACE;
use super::net::{self, Text};
use super::{Broker, BrokerHandle};
use crate::broker::Delivery;
use crate::broker::sync::world::{any, never_waits_for, running_threads};
use crate::codec::{Batch, BatchEntry, Dialect, Document, Part, PayloadSpan, Wanted};
use crate::protocol::{ErrorCode, Format, Limits, Refusal, Reply, Token, Topic, TopicFilter};

/// Schedules of each kind that a model is tried on, unless MODEL_ITERATIONS says otherwise: one of
/// a few threads, and one of a whole broker.
const SCHEDULES: usize = 10_000;
const SCHEDULES_OF_A_BROKER: usize = 2_500;
/// Changes of threads at the worst moment that PCT looks for.
const DEPTH: usize = 3;
/// Bytes of stack for each thread of a model.
const STACK: usize = 256 << 10;

/// Tries a model on random schedules, and on those of PCT, which lets one thread run for long and
/// changes at few places.
///
/// MODEL_ITERATIONS is the number of each, MODEL_SEED repeats a run.
fn explore(name: &str, model: fn()) {
    explore_so_often(name, SCHEDULES, model);
}

/// The same with a model of a whole broker, of which each schedule takes long.
fn explore_broker(name: &str, model: fn()) {
    explore_so_often(name, SCHEDULES_OF_A_BROKER, model);
}

fn explore_so_often(name: &str, schedules: usize, model: fn()) {
    let schedules = number("MODEL_ITERATIONS").map_or(schedules, |number| number as usize);
    let seed = number("MODEL_SEED").unwrap_or_else(|| RandomState::new().hash_one(name));
    eprintln!("{name}: MODEL_SEED={seed}");
    let begun = Instant::now();
    run(RandomScheduler::new_from_seed(seed, schedules), model);
    run(PctScheduler::new_from_seed(seed, DEPTH, schedules), model);
    eprintln!("{name}: {} schedules in {:.1} s", 2 * schedules, begun.elapsed().as_secs_f64());
}

fn run(scheduler: impl Scheduler + 'static, model: fn()) {
    let mut config = shuttle::Config::new();
    config.stack_size = STACK;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(model);
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")))
}

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
