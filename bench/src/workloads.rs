//! What is measured, of which systems, and what babelmq has to reach.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::load::crowd::Crowd;
use crate::load::flow::{self, Flow};
use crate::load::{round_trip, topics};
use crate::payload::Payload;
use crate::systems::{Programs, System};
use crate::wire::{Babelmq, Format, Mqtt, Nats, Plain, Redis, Wire};

use Format::{Json, Pickle, Xml};
use System::{Cpython, Mosquitto, Redis as RedisServer, Relay};

/// A thing to measure.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) systems: &'static [System],
    kind: Kind,
    pub(crate) rows: &'static [Row],
}

/// A figure of a workload.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) metric: &'static str,
    /// Beside the workload's title.
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) goals: &'static [Goal],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// What babelmq has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// So many times another system's figure: at least where more is better, at most where less is.
    Times(f64, System),
    /// A figure.
    Bound(f64),
}

#[derive(Clone, Copy, Debug)]
enum Size {
    Bytes(usize),
    Record,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Flow { publishers: usize, subscribers: usize, from: Format, to: Format, size: Size },
    Formats,
    RoundTrip { loaded: bool },
    Idle,
    Crowd,
    Topics,
}

const BROKERS: &[System] = &[System::Babelmq, System::Nats, RedisServer, Mosquitto];
const ALL_BUT_CPYTHON: &[System] = &[System::Babelmq, System::Nats, RedisServer, Mosquitto, Relay];
const TRANSLATORS: &[System] = &[System::Babelmq, System::Nats, Cpython];

const fn flow(publishers: usize, subscribers: usize, from: Format, to: Format, size: Size) -> Kind {
    Kind::Flow { publishers, subscribers, from, to, size }
}

macro_rules! rates {
    ($($goal:expr),* $(,)?) => {
        &[
            Row { metric: "rate", title: "", unit: "deliveries/s", better: Better::More, goals: &[$($goal),*] },
            Row { metric: "processor", title: "the broker's processor time", unit: "ns \
            each", better: Better::Less, goals: &[] },
        ]
    };
}

use Goal::{Bound, Times};
const NATS: System = System::Nats;

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "one-to-one",
        title: "JSON to JSON, 1 to 1, 128 bytes",
        systems: ALL_BUT_CPYTHON,
        kind: flow(1, 1, Json, Json, Size::Bytes(128)),
        rows: rates![Times(3.0, NATS), Times(0.25, Relay)],
    },
    Workload {
        name: "one-to-one-16",
        title: "JSON to JSON, 1 to 1, 16 bytes",
        systems: ALL_BUT_CPYTHON,
        kind: flow(1, 1, Json, Json, Size::Bytes(16)),
        rows: rates![Times(3.0, NATS)],
    },
    Workload {
        name: "one-to-one-1k",
        title: "JSON to JSON, 1 to 1, 1 KiB",
        systems: ALL_BUT_CPYTHON,
        kind: flow(1, 1, Json, Json, Size::Bytes(1024)),
        rows: rates![Times(1.5, NATS)],
    },
    Workload {
        name: "fan-out",
        title: "JSON to JSON, 1 to 8",
        systems: ALL_BUT_CPYTHON,
        kind: flow(1, 8, Json, Json, Size::Bytes(128)),
        rows: rates![Times(6.0, NATS)],
    },
    Workload {
        name: "fan-in",
        title: "JSON to JSON, 8 to 1",
        systems: BROKERS,
        kind: flow(8, 1, Json, Json, Size::Bytes(128)),
        rows: rates![Times(3.0, NATS)],
    },
    Workload {
        name: "mesh",
        title: "JSON to JSON, 8 to 8",
        systems: BROKERS,
        kind: flow(8, 8, Json, Json, Size::Bytes(128)),
        rows: rates![Times(4.0, NATS)],
    },
    Workload {
        name: "pickle-to-json",
        title: "pickle to JSON, 1 to 1, 128 bytes",
        systems: TRANSLATORS,
        kind: flow(1, 1, Pickle, Json, Size::Bytes(128)),
        rows: rates![Times(1.2, NATS)],
    },
    Workload {
        name: "json-to-pickle",
        title: "JSON to pickle, 1 to 1, 128 bytes",
        systems: TRANSLATORS,
        kind: flow(1, 1, Json, Pickle, Size::Bytes(128)),
        rows: rates![Times(1.2, NATS)],
    },
    Workload {
        name: "pickle-to-json-record",
        title: "pickle to JSON, a nested record of 833 bytes",
        systems: TRANSLATORS,
        kind: flow(1, 1, Pickle, Json, Size::Record),
        rows: rates![Times(5.0, Cpython)],
    },
    Workload {
        name: "json-to-xml-record",
        title: "JSON to XML, the same record",
        systems: TRANSLATORS,
        kind: flow(1, 1, Json, Xml, Size::Record),
        rows: rates![Times(15.0, Cpython)],
    },
    Workload {
        name: "xml-to-json-record",
        title: "XML to JSON, the same record",
        systems: TRANSLATORS,
        kind: flow(1, 1, Xml, Json, Size::Record),
        rows: rates![Times(5.0, Cpython)],
    },
    Workload {
        name: "formats",
        title: "one pickle producer, 9 consumers, 3 per format",
        systems: &[System::Babelmq],
        kind: Kind::Formats,
        rows: &[
            Row {
                metric: "rate",
                title: "",
                unit: "deliveries/s",
                better: Better::More,
                goals: &[],
            },
            Row {
                metric: "share",
                title: "of what JSON to 9 JSON consumers reaches",
                unit: "of 1",
                better: Better::More,
                goals: &[Bound(0.7)],
            },
        ],
    },
    Workload {
        name: "round-trip",
        title: "round trip, one message at a time",
        systems: ALL_BUT_CPYTHON,
        kind: Kind::RoundTrip { loaded: false },
        rows: &[
            Row {
                metric: "p50",
                title: "p50",
                unit: "µs",
                better: Better::Less,
                goals: &[Times(0.5, NATS)],
            },
            Row {
                metric: "p99",
                title: "p99",
                unit: "µs",
                better: Better::Less,
                goals: &[Times(1.0, NATS)],
            },
        ],
    },
    Workload {
        name: "round-trip-loaded",
        title: "round trip beside a flow of half of what NATS can carry",
        systems: BROKERS,
        kind: Kind::RoundTrip { loaded: true },
        rows: &[
            Row {
                metric: "p50",
                title: "p50",
                unit: "µs",
                better: Better::Less,
                goals: &[Times(1.0, NATS)],
            },
            Row {
                metric: "p99",
                title: "p99",
                unit: "µs",
                better: Better::Less,
                goals: &[Times(1.0, NATS)],
            },
        ],
    },
    Workload {
        name: "idle",
        title: "an idle broker with 1,000 connections",
        systems: BROKERS,
        kind: Kind::Idle,
        rows: &[Row {
            metric: "load",
            title: "processor",
            unit: "% of a core",
            better: Better::Less,
            goals: &[Bound(0.1)],
        }],
    },
    Workload {
        name: "crowd",
        title: "10,000 subscribers",
        systems: BROKERS,
        kind: Kind::Crowd,
        rows: &[
            Row {
                metric: "memory",
                title: "resident memory per idle connection",
                unit: "bytes",
                better: Better::Less,
                goals: &[Times(1.0, NATS)],
            },
            Row {
                metric: "memory-with-kernel",
                title: "the same with page tables and threads' kernel stacks",
                unit: "bytes",
                better: Better::Less,
                goals: &[],
            },
            Row {
                metric: "everybody",
                title: "one publish to all",
                unit: "ms",
                better: Better::Less,
                goals: &[Times(1.0, NATS)],
            },
        ],
    },
    Workload {
        name: "topics",
        title: "1,000,000 topics with 64-byte values",
        systems: &[System::Babelmq, Mosquitto],
        kind: Kind::Topics,
        rows: &[
            Row {
                metric: "memory",
                title: "memory per topic over the payload",
                unit: "bytes",
                better: Better::Less,
                goals: &[Bound(250.0)],
            },
            Row {
                metric: "publish-cost",
                title: "a publish, against one with one topic",
                unit: "times",
                better: Better::Less,
                goals: &[Bound(1.5)],
            },
            Row {
                metric: "publish-time",
                title: "a publish with one topic and no subscriber",
                unit: "ns",
                better: Better::Less,
                goals: &[],
            },
            Row {
                metric: "snapshot",
                title: "snapshot of all",
                unit: "values/s",
                better: Better::More,
                goals: &[Bound(1_000_000.0)],
            },
        ],
    },
];

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) time: Duration,
    pub(crate) crowd: usize,
    pub(crate) topics: usize,
    /// One string instead of a record.
    pub(crate) texts: bool,
}

pub(crate) type Figures = Vec<(&'static str, f64)>;

fn wire_of(system: System, from: Format, to: Format) -> Arc<dyn Wire> {
    match system {
        System::Babelmq => Arc::new(Babelmq { producer: from, consumer: to }),
        System::Nats => Arc::new(Nats),
        System::Redis => Arc::new(Redis),
        System::Mosquitto => Arc::new(Mqtt),
        System::Relay => Arc::new(Plain::json()),
        System::Cpython => Arc::new(Plain(from)),
    }
}

impl Size {
    fn payload(self, texts: bool) -> Result<Payload> {
        match self {
            Size::Bytes(bytes) if texts => Payload::text(bytes),
            Size::Bytes(bytes) => Payload::of_size(bytes),
            Size::Record => Payload::record(),
        }
    }
}

/// A flow of JSON from one to one.
fn simple_flow(system: System, pace: Option<f64>) -> Result<Flow> {
    let wire = wire_of(system, Json, Json);
    Ok(Flow {
        topic: "bench/flow",
        payload: Payload::of_size(128)?,
        publishers: 1,
        producer: wire.clone(),
        consumers: vec![wire],
        pace,
    })
}

/// Half of the messages per second that NATS carries from one to one; without NATS, of what babelmq
/// does.
pub(crate) fn half_load(programs: &Programs, time: Duration) -> Result<f64> {
    let system = if programs.find(NATS).is_ok() { NATS } else { System::Babelmq };
    let mut rates = Vec::new();
    for _ in 0..3 {
        let running = programs.start(system, "")?;
        rates
            .push(flow::measure(&running, simple_flow(system, None)?, time)?.deliveries_per_second);
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[1] / 2.0)
}

impl Workload {
    pub(crate) fn needs_half_load(&self) -> bool {
        matches!(self.kind, Kind::RoundTrip { loaded: true })
    }

    /// What the CPython translator does in this workload.
    pub(crate) fn direction(&self) -> &'static str {
        match self.kind {
            Kind::Flow { from: Pickle, to: Json, .. } => "pickle-json",
            Kind::Flow { from: Json, to: Pickle, .. } => "json-pickle",
            Kind::Flow { from: Json, to: Xml, .. } => "json-xml",
            Kind::Flow { from: Xml, to: Json, .. } => "xml-json",
            _ => "",
        }
    }

    /// Measures a system once, freshly started.
    pub(crate) fn measure(
        &self,
        programs: &Programs,
        system: System,
        scale: Scale,
        half: f64,
    ) -> Result<Figures> {
        let running = programs.start(system, self.direction())?;
        match self.kind {
            Kind::Flow { publishers, subscribers, from, to, size } => {
                let wire = wire_of(system, from, to);
                let flow = Flow {
                    topic: "bench/flow",
                    payload: size.payload(scale.texts)?,
                    publishers,
                    producer: wire.clone(),
                    consumers: vec![wire; subscribers],
                    pace: None,
                };
                let measured = flow::measure(&running, flow, scale.time)?;
                Ok(vec![
                    ("rate", measured.deliveries_per_second),
                    ("processor", measured.processor_per_delivery),
                ])
            }
            Kind::Formats => {
                let rate = |from: Format, to: [Format; 3]| -> Result<f64> {
                    let consumers = to.into_iter().cycle().take(9);
                    let flow = Flow {
                        topic: "bench/flow",
                        payload: Payload::of_size(128)?,
                        publishers: 1,
                        producer: wire_of(system, from, from),
                        consumers: consumers.map(|to| wire_of(system, from, to)).collect(),
                        pace: None,
                    };
                    // Both on brokers of their own.
                    let running = programs.start(system, "")?;
                    Ok(flow::measure(&running, flow, scale.time)?.deliveries_per_second)
                };
                drop(running);
                let (alike, mixed) = (rate(Json, [Json; 3])?, rate(Pickle, [Json, Xml, Pickle])?);
                Ok(vec![("rate", mixed), ("share", mixed / alike)])
            }
            Kind::RoundTrip { loaded } => {
                let wire = wire_of(system, Json, Json);
                let background = if loaded { Some(simple_flow(system, Some(half))?) } else { None };
                let payload = Payload::of_size(128)?;
                let latency =
                    round_trip::measure(&running, &wire, &payload, background, scale.time)?;
                Ok(vec![("p50", latency.p50), ("p99", latency.p99)])
            }
            Kind::Idle => {
                let wire = wire_of(system, Json, Json);
                let crowd = Crowd::gather(&running, wire.as_ref(), 1_000.min(scale.crowd))?;
                // Long enough for what brokers do once a second.
                let load = crowd.idle_load(&running, scale.time.max(Duration::from_secs(3)))?;
                Ok(vec![("load", load)])
            }
            Kind::Crowd => {
                let wire = wire_of(system, Json, Json);
                let mut crowd = Crowd::gather(&running, wire.as_ref(), scale.crowd)?;
                let each = |before: f64, after: f64| (after - before) / scale.crowd as f64;
                let (before, after) = (crowd.before, crowd.after);
                let everybody =
                    crowd.publish_to_all(&running, wire.as_ref(), &Payload::of_size(128)?);
                Ok(vec![
                    ("memory", each(before.resident, after.resident)),
                    ("memory-with-kernel", each(before.with_kernel, after.with_kernel)),
                    ("everybody", everybody.context("one publish to all")?),
                ])
            }
            Kind::Topics => {
                // babelmq says when the stored values have all been sent; MQTT does not.
                let replies = match system {
                    System::Babelmq => 1,
                    System::Mosquitto => 0,
                    _ => bail!("{} keeps no last values", system.title()),
                };
                let wire = wire_of(system, Json, Json);
                let payload = Payload::of_size(64)?;
                let measured =
                    topics::measure(&running, wire.as_ref(), &payload, scale.topics, replies)?;
                Ok(vec![
                    ("memory", measured.bytes_per_topic),
                    ("publish-cost", measured.publish_cost),
                    ("publish-time", measured.publish_time),
                    ("snapshot", measured.snapshot_rate),
                ])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_name_systems_that_are_measured() {
        for workload in WORKLOADS {
            for row in workload.rows {
                for goal in row.goals {
                    if let Times(_, system) = goal {
                        assert!(workload.systems.contains(system), "{}", workload.name);
                    }
                }
            }
        }
    }
}
