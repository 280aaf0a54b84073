//! The workloads of streams that are kept.

use anyhow::Result;

use super::list::flow as flow_of;
use super::measure::Figures;
use super::tls::row;
use super::{Better, Goal, Kind, Row, Scale, Size, Workload};
use crate::kept::{self, Reading, consume, latency, length, publish};
use crate::load::flow;
use crate::payload::Payload;
use crate::systems::{Programs, Sync, System};
use crate::wire::Format::{self, Json, Pickle};

use Goal::{Bound, Times};

const JETSTREAM: System = System::JetStream;

const ALL: &[System] = &[System::Babelmq, JETSTREAM, System::RedisStreams, System::Beanstalkd];
const WITH_REPLAY: &[System] = &[System::Babelmq, JETSTREAM, System::RedisStreams];
const ALONE: &[System] = &[System::Babelmq];

/// What is done with a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kept {
    Publish(Sync),
    Consume {
        reading: Reading,
        members: usize,
        from: Format,
    },
    EndToEnd(Sync),
    /// Of topics that no stream keeps, to the same without any stream.
    Beside,
    Length,
}

macro_rules! rates {
    ($unit:expr, $($goal:expr),*) => {
        &[
            row("rate", "", $unit, Better::More, &[$($goal),*]),
            row("processor", "the system's processor time", "ns each", Better::Less, &[]),
        ]
    };
}

macro_rules! latencies {
    ($goals:expr) => {
        &[
            row("p50", "p50", "µs", Better::Less, $goals),
            row("p99", "p99", "µs", Better::Less, $goals),
            row("confirmed-p50", "delivered and confirmed, p50", "µs", Better::Less, &[]),
            row("confirmed-p99", "delivered and confirmed, p99", "µs", Better::Less, &[]),
        ]
    };
}

const fn consume(reading: Reading, members: usize, from: Format) -> Kind {
    Kind::Kept(Kept::Consume { reading, members, from })
}

/// With `--only streams`, all of these.
pub(crate) const OF_STREAMS: &[Workload] = &[
    Workload {
        name: "streams-publish-always",
        title: "published and confirmed on the disk, 1 producer, 128 bytes",
        systems: ALL,
        kind: Kind::Kept(Kept::Publish(Sync::Always)),
        rows: rates!["messages/s", Times(3.0, JETSTREAM)],
    },
    Workload {
        name: "streams-publish",
        title: "published and confirmed, 1 producer, 128 bytes",
        systems: ALL,
        kind: Kind::Kept(Kept::Publish(Sync::Interval)),
        rows: rates!["messages/s", Times(3.0, JETSTREAM)],
    },
    Workload {
        name: "streams-consume",
        title: "delivered and acknowledged many at once, 1 consumer",
        systems: ALL,
        kind: consume(Reading::AckMany, 1, Json),
        rows: rates!["messages/s", Times(2.0, JETSTREAM)],
    },
    Workload {
        name: "streams-consume-each",
        title: "delivered and acknowledged one by one, 1 consumer",
        systems: WITH_REPLAY,
        kind: consume(Reading::AckEach, 1, Json),
        rows: rates!["messages/s", Times(2.0, JETSTREAM)],
    },
    Workload {
        name: "streams-share",
        title: "delivered and acknowledged, 4 members sharing",
        systems: ALL,
        kind: consume(Reading::Shared, 4, Json),
        rows: rates!["messages/s", Times(2.0, JETSTREAM)],
    },
    Workload {
        name: "streams-share-each",
        title: "delivered and acknowledged one by one, 4 members sharing",
        systems: WITH_REPLAY,
        kind: consume(Reading::AckEach, 4, Json),
        rows: rates!["messages/s",],
    },
    Workload {
        name: "streams-replay",
        title: "replay from the beginning, pickle to JSON",
        systems: WITH_REPLAY,
        kind: consume(Reading::Replay, 1, Pickle),
        rows: rates!["messages/s", Bound(1_000_000.0)],
    },
    Workload {
        name: "streams-replay-json",
        title: "replay from the beginning, JSON to JSON",
        systems: WITH_REPLAY,
        kind: consume(Reading::Replay, 1, Json),
        rows: rates!["messages/s",],
    },
    Workload {
        name: "streams-end-to-end-always",
        title: "end to end by way of the disk, one message at a time",
        systems: ALL,
        kind: Kind::Kept(Kept::EndToEnd(Sync::Always)),
        rows: latencies!(&[Times(1.0, JETSTREAM)]),
    },
    Workload {
        name: "streams-end-to-end",
        title: "end to end, one message at a time",
        systems: ALL,
        kind: Kind::Kept(Kept::EndToEnd(Sync::Interval)),
        rows: latencies!(&[]),
    },
    Workload {
        name: "streams-beside",
        title: "topics that no stream keeps, JSON to JSON, 1 to 1, 128 bytes",
        systems: ALONE,
        kind: Kind::Kept(Kept::Beside),
        rows: &[
            row("rate", "", "deliveries/s", Better::More, &[]),
            row("share", "of what it is without streams", "of 1", Better::More, &[Bound(0.97)]),
        ],
    },
    Workload {
        name: "streams-length",
        title: "a long stream",
        systems: ALONE,
        kind: Kind::Kept(Kept::Length),
        rows: LENGTH,
    },
];

const LENGTH: &[Row] = &[
    row("start", "from the program's start until it listens", "s", Better::Less, &[Bound(2.0)]),
    row("start-killed", "the same after a kill while it was published to", "s", Better::Less, &[]),
    row("memory", "resident memory", "MiB", Better::Less, &[]),
    row(
        "memory-to-none",
        "resident memory, to that with an empty stream",
        "times",
        Better::Less,
        &[Bound(1.2)],
    ),
];

pub(super) fn measure(
    programs: &Programs,
    what: Kept,
    system: System,
    scale: Scale,
) -> Result<Figures> {
    let payload = Payload::of_size(128)?;
    match what {
        Kept::Publish(sync) => {
            let keeping = programs.start_keeping(system, sync)?;
            let keeper = kept::keeper(system, Json)?;
            keeper.make(&keeping.running.endpoint, None)?;
            let measure = match sync {
                Sync::Always => publish::measure_all,
                Sync::Interval => publish::measure,
            };
            let measured = measure(&keeping.running, keeper.as_ref(), &payload, scale.time)?;
            Ok(vec![("rate", measured.rate), ("processor", measured.processor)])
        }
        Kept::Consume { reading, members, from } => {
            let keeping = programs.start_keeping(system, Sync::Interval)?;
            let keeper = kept::keeper(system, from)?;
            keeper.make(&keeping.running.endpoint, Some(reading))?;
            // About as many as the fastest reads in the time.
            let messages = (scale.time.as_secs_f64() * 1e6) as u64;
            let running = &keeping.running;
            let measured =
                consume::measure(running, keeper.as_ref(), &payload, messages, reading, members)?;
            Ok(vec![("rate", measured.rate), ("processor", measured.processor)])
        }
        Kept::EndToEnd(sync) => {
            let keeping = programs.start_keeping(system, sync)?;
            let keeper = kept::keeper(system, Json)?;
            let (running, each) = (&keeping.running, Reading::AckEach);
            keeper.make(&running.endpoint, Some(each))?;
            let measured = latency::measure(running, keeper.as_ref(), &payload, scale.time, each)?;
            Ok(vec![
                ("p50", measured.delivered.p50),
                ("p99", measured.delivered.p99),
                ("confirmed-p50", measured.confirmed.p50),
                ("confirmed-p99", measured.confirmed.p99),
            ])
        }
        Kept::Beside => beside(programs, scale),
        Kept::Length => {
            let measured = length::measure(programs, scale.gib)?;
            Ok(vec![
                ("start", measured.seconds),
                ("start-killed", measured.after_kill),
                ("memory", measured.memory / f64::from(1 << 20)),
                ("memory-to-none", measured.memory / measured.memory_of_none),
            ])
        }
    }
}

/// Measures without, with, with, and without, so that what changes with time changes both.
fn beside(programs: &Programs, scale: Scale) -> Result<Figures> {
    let kind = flow_of(1, 1, Json, Json, Size::Bytes(128));
    let run = |has_stream: bool| -> Result<f64> {
        let flow = kind.flow(System::Babelmq, scale)?;
        let measured = if has_stream {
            let keeping = programs.start_keeping(System::Babelmq, Sync::Interval)?;
            flow::measure(&keeping.running, flow, scale.time)?
        } else {
            let folder = programs.data.join("no-stream");
            let folder = folder.display().to_string();
            let running = programs.start_babelmq(&["--data-dir", &folder])?;
            let measured = flow::measure(&running, flow, scale.time);
            drop(running);
            std::fs::remove_dir_all(folder)?;
            measured?
        };
        Ok(measured.deliveries_per_second)
    };
    let (before, first, second, after) = (run(false)?, run(true)?, run(true)?, run(false)?);
    Ok(vec![("rate", (first + second) / 2.0), ("share", (first + second) / (before + after))])
}
