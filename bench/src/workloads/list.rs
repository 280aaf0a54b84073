//! The workloads that are the same in every run.

use super::{Better, Goal, Kind, Row, Size, Workload};
use crate::systems::System;
use crate::wire::Format;

use Format::{Json, Pickle, Xml};
use Goal::{Bound, Times};
use System::{Cpython, DebianNats, Mosquitto, Orjson, Redis as RedisServer, Relay};

pub(super) const TRANSLATORS_OF_MAPS: &[System] =
    &[System::Babelmq, NATS, Cpython, Orjson, System::ActiveMq];

const NATS: System = System::Nats;

const BROKERS: &[System] = &[System::Babelmq, NATS, DebianNats, RedisServer, Mosquitto];
pub(super) const ALL_BUT_CPYTHON: &[System] =
    &[System::Babelmq, NATS, DebianNats, RedisServer, Mosquitto, Relay];
pub(super) const TRANSLATORS: &[System] = &[System::Babelmq, NATS, Cpython, Orjson];

pub(super) const fn flow(
    publishers: usize,
    subscribers: usize,
    from: Format,
    to: Format,
    size: Size,
) -> Kind {
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

pub(super) use rates;

/// Of flows without a goal.
pub(super) const RATES: &[Row] = rates![];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_name_systems_that_are_measured() {
        let groups = [
            super::super::OF_TLS,
            super::super::OF_WEB,
            super::super::OF_STREAMS,
            super::super::OF_MQTT,
        ];
        for workload in WORKLOADS.iter().chain(groups.into_iter().flatten()) {
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
