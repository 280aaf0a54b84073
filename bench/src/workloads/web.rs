//! The workloads of WebSocket and HTTP.

use anyhow::Result;

use super::list::flow as flow_of;
use super::measure::{Figures, wire_of};
use super::tls::row;
use super::{Better, Goal, Http, Kind, Scale, Size, Workload};
use crate::load::flow::{self, Measured};
use crate::load::{http, round_trip};
use crate::payload::Payload;
use crate::systems::{Programs, System};
use crate::wire::Format::Json;

use Goal::{Bound, Times};

const NATS: System = System::Nats;

/// Those that are measured by WebSocket.
const BOTH: &[System] = &[System::Babelmq, NATS];
const ALONE: &[System] = &[System::Babelmq];

macro_rules! rates {
    ($share:expr, $($goal:expr),*) => {
        &[
            row("rate", "", "deliveries/s", Better::More, &[$($goal),*]),
            row("share", "of what it is over plain TCP", "of 1", Better::More, $share),
            row("processor", "the broker's processor time", "ns each", Better::Less, &[]),
        ]
    };
}

/// With `--only web`, all of these.
pub(crate) const OF_WEB: &[Workload] = &[
    Workload {
        name: "web-one-to-one",
        title: "WebSocket, JSON to JSON, 1 to 1, 128 bytes",
        systems: BOTH,
        kind: Kind::Web(&flow_of(1, 1, Json, Json, Size::Bytes(128))),
        rows: rates![&[Bound(0.7)], Times(3.0, NATS)],
    },
    Workload {
        name: "web-fan-out",
        title: "WebSocket, JSON to JSON, 1 to 8",
        systems: BOTH,
        kind: Kind::Web(&flow_of(1, 8, Json, Json, Size::Bytes(128))),
        rows: rates![&[],],
    },
    Workload {
        name: "web-round-trip",
        title: "WebSocket, round trip, one message at a time",
        systems: BOTH,
        kind: Kind::Web(&Kind::RoundTrip { loaded: false }),
        rows: &[
            row("p50", "p50", "µs", Better::Less, &[]),
            row("p99", "p99", "µs", Better::Less, &[]),
        ],
    },
    Workload {
        name: "web-publish",
        title: "publications by HTTP, one after the other",
        systems: ALONE,
        kind: Kind::Http(Http::Publish),
        rows: &[
            row("one", "one connection", "requests/s", Better::More, &[]),
            row("p50", "one connection, p50", "µs", Better::Less, &[]),
            row("p99", "one connection, p99", "µs", Better::Less, &[]),
            row("eight", "8 connections", "requests/s", Better::More, &[]),
            row(
                "processor",
                "8 connections, the broker's processor time",
                "ns each",
                Better::Less,
                &[],
            ),
        ],
    },
    Workload {
        name: "web-scrape",
        title: "/metrics with 100,000 topics and 1,000 clients",
        systems: ALONE,
        kind: Kind::Http(Http::Scrape),
        rows: &[
            row("p50", "p50", "ms", Better::Less, &[]),
            row("p99", "p99", "ms", Better::Less, &[Bound(10.0)]),
            row("bytes", "bytes", "bytes", Better::Less, &[]),
        ],
    },
];

/// Measures over WebSocket; a flow over plain TCP as well, around it, so that what changes with
/// time changes both.
pub(super) fn measure(
    programs: &Programs,
    kind: Kind,
    system: System,
    scale: Scale,
) -> Result<Figures> {
    let wire = wire_of(system, Json, Json);
    if let Kind::RoundTrip { .. } = kind {
        let running = programs.start_web(system)?;
        let payload = Payload::of_size(128)?;
        let latency = round_trip::measure(&running, &wire, &payload, None, scale.time)?;
        return Ok(vec![("p50", latency.p50), ("p99", latency.p99)]);
    }
    let run = |is_web: bool| -> Result<Measured> {
        let running =
            if is_web { programs.start_web(system)? } else { programs.start(system, "")? };
        flow::measure(&running, kind.flow(system, scale)?, scale.time)
    };
    let (before, first, second, after) = (run(false)?, run(true)?, run(true)?, run(false)?);
    let mean = |figure: fn(&Measured) -> f64, one, other| (figure(one) + figure(other)) / 2.0;
    let rate = |one, other| mean(|measured| measured.deliveries_per_second, one, other);
    let processor = |one, other| mean(|measured| measured.processor_per_delivery, one, other);
    Ok(vec![
        ("rate", rate(&first, &second)),
        ("share", rate(&first, &second) / rate(&before, &after)),
        ("processor", processor(&first, &second)),
    ])
}

/// Requests of HTTP.
pub(super) fn requests(programs: &Programs, http: Http, scale: Scale) -> Result<Figures> {
    let running = programs.start_web(System::Babelmq)?;
    match http {
        Http::Publish => {
            let payload = Payload::of_size(128)?;
            let one = http::publish(&running, &payload, 1, scale.time)?;
            let eight = http::publish(&running, &payload, 8, scale.time)?;
            Ok(vec![
                ("one", one.rate),
                ("p50", one.p50),
                ("p99", one.p99),
                ("eight", eight.rate),
                ("processor", eight.processor),
            ])
        }
        Http::Scrape => {
            let wire = wire_of(System::Babelmq, Json, Json);
            let scraped = http::scrape(&running, &wire, scale.time)?;
            Ok(vec![
                ("p50", scraped.p50 / 1000.0),
                ("p99", scraped.p99 / 1000.0),
                ("bytes", scraped.bytes as f64),
            ])
        }
    }
}
