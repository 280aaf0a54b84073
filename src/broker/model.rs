//! Models of what the broker's threads do to each other, tried in many orders: `make model`.
//!
//! A model runs the real outboxes, mailboxes, backlog and dispatcher on threads of shuttle's, which
//! runs one at a time and chooses at each lock, atomic and channel who goes on. A schedule in which
//! all wait for each other fails, as does one that breaks what the model asserts. Only sockets, and
//! the threads of `transport` that hold them, are stand-ins.
//!
//! Shuttle takes every atomic for sequentially consistent: what a weaker order could do is not
//! tried here.

mod backlog;
mod mailbox;
mod outbox;
mod shutdown;
mod socket;
mod transport;
mod writer;

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::BuildHasher;
use std::time::Instant;

use shuttle::rand::{RngCore, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

use super::{Delivery, Selection};
use crate::codec::{Batch, BatchEntry, Document, Part, PayloadSpan};
use crate::protocol::{ErrorCode, Format, Limits, Refusal, Reply, Token, Topic, TopicFilter};

/// Schedules of each kind that a model is tried on, unless MODEL_ITERATIONS says otherwise.
const SCHEDULES: usize = 10_000;
/// Changes of threads at the worst moment that PCT looks for.
const DEPTH: usize = 3;
/// Bytes of stack for each thread of a model.
const STACK: usize = 256 << 10;

/// Tries a model on random schedules, and on those of PCT, which lets one thread run for long and
/// changes at few places.
///
/// MODEL_ITERATIONS is the number of each, MODEL_SEED repeats a run.
fn explore(name: &str, model: fn()) {
    let schedules = number("MODEL_ITERATIONS").map_or(SCHEDULES, |number| number as usize);
    let seed = number("MODEL_SEED").unwrap_or_else(|| RandomState::new().hash_one(name));
    eprintln!("{name}: MODEL_SEED={seed}");
    let begun = Instant::now();
    run(RandomScheduler::new_from_seed(seed, schedules), model);
    run(PctScheduler::new_from_seed(seed, DEPTH, schedules), model);
    eprintln!("{name}: {} schedules in {:.1} s", 2 * schedules, begun.elapsed().as_secs_f64());
}

fn run(scheduler: impl Scheduler + 'static, model: fn()) {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(model);
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")))
}

/// Any number below `bound`; part of what the seed decides.
fn any(bound: u64) -> u64 {
    thread_rng().next_u64() % bound
}

/// Whether something happens that does in one of `n` cases.
fn one_in(n: u64) -> bool {
    any(n) == 0
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
    Batch::new(
        bytes,
        Document::new(),
        [Topic::parse(topic).unwrap()].into_iter().collect(),
        messages,
        Limits::default(),
    )
}

/// What a message of [`batch`] says.
fn said(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}

/// The topics and numbers of some messages of a batch.
fn chosen(batch: &Batch, selection: &Selection, skipped: usize) -> Vec<Line> {
    let all: Vec<u32> = match selection {
        Selection::Whole => (0..batch.messages().len() as u32).collect(),
        Selection::Some(some) => some.to_vec(),
    };
    let line = |index: u32| {
        let published = &batch.messages()[index as usize];
        let topic = batch.topics().get(published.topic()).to_string();
        Line::Message(topic, said(&batch.bytes()[published.part().range().clone()]))
    };
    all.into_iter().skip(skipped).map(line).collect()
}

/// What a client reads, a frame each.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Message(String, u64),
    Dropped(String, u64),
    Subscribed,
    Cancelled,
    Pong,
    Error(ErrorCode),
}

fn line_of(reply: &Reply) -> Line {
    match reply {
        Reply::Subscribed { .. } => Line::Subscribed,
        Reply::Cancelled { .. } => Line::Cancelled,
        Reply::Dropped { topic, count } => Line::Dropped(topic.to_string(), *count),
        Reply::Pong { .. } => Line::Pong,
        Reply::Error(refusal) => Line::Error(refusal.code),
        Reply::Topics { .. } | Reply::NoValue { .. } => panic!("no model asks for that"),
    }
}

fn reply(reply: Reply) -> Delivery {
    Delivery::Reply { reply, token: Token::default() }
}

fn error(code: ErrorCode) -> Reply {
    Reply::Error(Refusal::new(code, "on purpose"))
}
