//! The workloads of TLS and of users.

use super::list::{flow, rates};
use super::{Better, Goal, Kind, Rights, Row, Size, Workload};
use crate::systems::System;
use crate::wire::Format::Json;

use Goal::{Bound, Times};

const NATS: System = System::Nats;

/// Those that speak TLS.
const SEALED: &[System] = &[System::Babelmq, NATS, System::Mosquitto];
const ALONE: &[System] = &[System::Babelmq];

pub(super) const fn row(
    metric: &'static str,
    title: &'static str,
    unit: &'static str,
    better: Better,
    goals: &'static [Goal],
) -> Row {
    Row { metric, title, unit, better, goals }
}

/// Of a broker with rights to look at, beside one with fewer.
const RIGHTS: &[Row] = &[
    row("rate", "", "deliveries/s", Better::More, &[]),
    row("share", "of what it is without", "of 1", Better::More, &[Bound(0.97)]),
    row("processor", "the broker's processor time, to that without", "times", Better::Less, &[]),
];

/// With `--only tls`, those whose names begin so; with `--only users`, the others.
pub(crate) const OF_TLS: &[Workload] = &[
    Workload {
        name: "tls-one-to-one",
        title: "TLS, JSON to JSON, 1 to 1, 128 bytes",
        systems: SEALED,
        kind: Kind::Tls(&flow(1, 1, Json, Json, Size::Bytes(128))),
        rows: rates![Times(3.0, NATS)],
    },
    Workload {
        name: "tls-one-to-one-1k",
        title: "TLS, JSON to JSON, 1 to 1, 1 KiB",
        systems: SEALED,
        kind: Kind::Tls(&flow(1, 1, Json, Json, Size::Bytes(1024))),
        rows: rates![],
    },
    Workload {
        name: "tls-fan-out",
        title: "TLS, JSON to JSON, 1 to 8",
        systems: SEALED,
        kind: Kind::Tls(&flow(1, 8, Json, Json, Size::Bytes(128))),
        rows: rates![Times(5.0, NATS)],
    },
    Workload {
        name: "tls-round-trip",
        title: "TLS, round trip, one message at a time",
        systems: SEALED,
        kind: Kind::Tls(&Kind::RoundTrip { loaded: false }),
        rows: &[
            row("p50", "p50", "µs", Better::Less, &[Times(0.6, NATS)]),
            row("p99", "p99", "µs", Better::Less, &[]),
        ],
    },
    Workload {
        name: "tls-idle",
        title: "1,000 idle subscribers with TLS",
        systems: SEALED,
        kind: Kind::Tls(&Kind::Idle),
        rows: &[
            row("load", "processor", "% of a core", Better::Less, &[Bound(0.1)]),
            row("memory", "resident memory of each", "bytes", Better::Less, &[Times(1.0, NATS)]),
            row(
                "memory-with-kernel",
                "the same with page tables and threads' kernel stacks",
                "bytes",
                Better::Less,
                &[],
            ),
        ],
    },
    Workload {
        name: "tls-handshakes",
        title: "whole handshakes of 8 clients",
        systems: SEALED,
        kind: Kind::Tls(&Kind::Handshakes),
        rows: &[
            row("rate", "", "handshakes/s", Better::More, &[Bound(500.0), Times(1.0, NATS)]),
            row("processor", "the broker's processor time", "ns each", Better::Less, &[]),
        ],
    },
    Workload {
        name: "users-one-topic",
        title: "100 rules in a role, one topic, 1 to 1, 128 bytes",
        systems: ALONE,
        kind: Kind::Rights { rights: Rights::Rules, topics: 1 },
        rows: RIGHTS,
    },
    Workload {
        name: "users-50-topics",
        title: "100 rules in a role, 50 topics, 1 to 1, 128 bytes",
        systems: ALONE,
        kind: Kind::Rights { rights: Rights::Rules, topics: 50 },
        rows: RIGHTS,
    },
    Workload {
        name: "users-limited",
        title: "a subscriber with a denied branch, 50 topics, 1 to 1, 128 bytes",
        systems: ALONE,
        kind: Kind::Rights { rights: Rights::Limited, topics: 50 },
        rows: RIGHTS,
    },
    Workload {
        name: "users-guesses",
        title: "a round trip beside 1,000 wrong passwords a second",
        systems: ALONE,
        kind: Kind::Guesses,
        rows: &[
            row("p50", "p50", "µs", Better::Less, &[]),
            row("p99", "p99", "µs", Better::Less, &[]),
            row("p50-before", "p50 before", "µs", Better::Less, &[]),
            row("p99-before", "p99 before", "µs", Better::Less, &[]),
            row("made", "wrong passwords", "a second", Better::More, &[]),
            row("answered", "answered within 3 s", "a second", Better::More, &[]),
            row("load", "the broker's processor time meanwhile", "% of a core", Better::Less, &[]),
            row("login", "a right password from another address", "ms", Better::Less, &[]),
        ],
    },
];
