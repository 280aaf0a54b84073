//! The workloads of MQTT.

use std::sync::Arc;

use anyhow::Result;

use super::measure::{Figures, wire_of};
use super::tls::row;
use super::{Better, Goal, Kind, Scale, Size, Workload};
use crate::load::assured;
use crate::load::crowd::Crowd;
use crate::load::flow::{self, Content, Flow};
use crate::load::round_trip::{self, Latency};
use crate::net::Endpoint;
use crate::payload::Payload;
use crate::systems::{Programs, Running, System};
use crate::wire::Format::{self, Json, Pickle, Xml};
use crate::wire::{Assured, Mqtt, Wire};

use Goal::Times;

const NATS: System = System::Nats;
const MOSQUITTO: System = System::Mosquitto;

const ALL: &[System] = &[System::Babelmq, MOSQUITTO, NATS];
const ALONE: &[System] = &[System::Babelmq];

/// What one end of a translation speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Speaker {
    Mqtt,
    Native(Format),
}

/// What is said by MQTT.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spoken {
    /// Of QoS 0, to so many topics in turn.
    Flow {
        publishers: usize,
        subscribers: usize,
        topics: usize,
        size: Size,
    },
    Assured(Assured),
    RoundTrip,
    AssuredRoundTrip,
    /// Idle sessions: of one topic, or each of its own.
    Sessions {
        has_own_topics: bool,
    },
    /// From one to one, to the same in babelmq's own protocol.
    Across {
        from: Speaker,
        to: Speaker,
        size: Size,
    },
}

macro_rules! rates {
    ($($goal:expr),*) => {
        &[
            row("rate", "", "deliveries/s", Better::More, &[$($goal),*]),
            row("processor", "the broker's processor time", "ns each", Better::Less, &[]),
        ]
    };
}

macro_rules! latencies {
    () => {
        &[row("p50", "p50", "µs", Better::Less, &[]), row("p99", "p99", "µs", Better::Less, &[])]
    };
}

macro_rules! shares {
    () => {
        &[
            row("rate", "", "deliveries/s", Better::More, &[]),
            row("share", "of what native JSON to JSON is", "of 1", Better::More, &[]),
            row("processor", "the broker's processor time", "ns each", Better::Less, &[]),
        ]
    };
}

macro_rules! sessions {
    ($($goal:expr),*) => {
        &[
            row("memory", "resident memory of each", "bytes", Better::Less, &[$($goal),*]),
            row(
                "memory-with-kernel",
                "the same with page tables and threads' kernel stacks",
                "bytes",
                Better::Less,
                &[],
            ),
            row("arrivals", "how many connect and subscribe", "a second", Better::More, &[]),
        ]
    };
}

const fn flow_of(publishers: usize, subscribers: usize, topics: usize, bytes: usize) -> Kind {
    Kind::Mqtt(Spoken::Flow { publishers, subscribers, topics, size: Size::Bytes(bytes) })
}

const fn across(from: Speaker, to: Speaker, size: Size) -> Kind {
    Kind::Mqtt(Spoken::Across { from, to, size })
}

/// With `--only mqtt`, all of these.
pub(crate) const OF_MQTT: &[Workload] = &[
    Workload {
        name: "mqtt-one-to-one",
        title: "QoS 0, 1 to 1, 128 bytes",
        systems: ALL,
        kind: flow_of(1, 1, 1, 128),
        rows: rates![Times(10.0, MOSQUITTO), Times(2.0, NATS)],
    },
    Workload {
        name: "mqtt-one-to-one-16",
        title: "QoS 0, 1 to 1, 16 bytes",
        systems: ALL,
        kind: flow_of(1, 1, 1, 16),
        rows: rates![],
    },
    Workload {
        name: "mqtt-one-to-one-1k",
        title: "QoS 0, 1 to 1, 1 KiB",
        systems: ALL,
        kind: flow_of(1, 1, 1, 1024),
        rows: rates![],
    },
    Workload {
        name: "mqtt-1000-topics",
        title: "QoS 0, 1 to 1, 1,000 topics in turn, 128 bytes",
        systems: ALL,
        kind: flow_of(1, 1, 1000, 128),
        rows: rates![],
    },
    Workload {
        name: "mqtt-fan-out",
        title: "QoS 0, 1 to 8, 128 bytes",
        systems: ALL,
        kind: flow_of(1, 8, 1, 128),
        rows: rates![Times(10.0, MOSQUITTO)],
    },
    Workload {
        name: "mqtt-fan-in",
        title: "QoS 0, 8 to 1, 128 bytes",
        systems: ALL,
        kind: flow_of(8, 1, 1, 128),
        rows: rates![],
    },
    Workload {
        name: "mqtt-qos-1",
        title: "QoS 1, 1 to 1, 128 bytes",
        systems: ALL,
        kind: Kind::Mqtt(Spoken::Assured(Assured::AtLeastOnce)),
        rows: rates![Times(3.0, MOSQUITTO)],
    },
    Workload {
        name: "mqtt-qos-2",
        title: "QoS 2, 1 to 1, 128 bytes",
        systems: ALL,
        kind: Kind::Mqtt(Spoken::Assured(Assured::ExactlyOnce)),
        rows: rates![],
    },
    Workload {
        name: "mqtt-round-trip",
        title: "QoS 0, one message at a time",
        systems: ALL,
        kind: Kind::Mqtt(Spoken::RoundTrip),
        rows: latencies!(),
    },
    Workload {
        name: "mqtt-round-trip-qos-1",
        title: "QoS 1, one message at a time",
        systems: ALL,
        kind: Kind::Mqtt(Spoken::AssuredRoundTrip),
        rows: latencies!(),
    },
    Workload {
        name: "mqtt-sessions",
        title: "10,000 idle sessions, each of a topic of its own",
        systems: ALL,
        kind: Kind::Mqtt(Spoken::Sessions { has_own_topics: true }),
        rows: sessions![Times(2.0, MOSQUITTO)],
    },
    Workload {
        name: "mqtt-crowd",
        title: "10,000 idle sessions, all of one topic",
        systems: ALL,
        kind: Kind::Mqtt(Spoken::Sessions { has_own_topics: false }),
        rows: &[
            row("memory", "resident memory of each", "bytes", Better::Less, &[]),
            row("arrivals", "how many connect and subscribe", "a second", Better::More, &[]),
            row("everybody", "one publish to all", "ms", Better::Less, &[]),
        ],
    },
    Workload {
        name: "mqtt-to-mqtt",
        title: "from MQTT to MQTT, 128 bytes",
        systems: ALONE,
        kind: across(Speaker::Mqtt, Speaker::Mqtt, Size::Bytes(128)),
        rows: shares!(),
    },
    Workload {
        name: "mqtt-from-native",
        title: "from native JSON to MQTT, 128 bytes",
        systems: ALONE,
        kind: across(Speaker::Native(Json), Speaker::Mqtt, Size::Bytes(128)),
        rows: shares!(),
    },
    Workload {
        name: "mqtt-to-native",
        title: "from MQTT to native JSON, 128 bytes",
        systems: ALONE,
        kind: across(Speaker::Mqtt, Speaker::Native(Json), Size::Bytes(128)),
        rows: shares!(),
    },
    Workload {
        name: "mqtt-to-pickle",
        title: "JSON from MQTT to a native pickle, 128 bytes",
        systems: ALONE,
        kind: across(Speaker::Mqtt, Speaker::Native(Pickle), Size::Bytes(128)),
        rows: shares!(),
    },
    Workload {
        name: "mqtt-to-xml",
        title: "JSON from MQTT to native XML, 128 bytes",
        systems: ALONE,
        kind: across(Speaker::Mqtt, Speaker::Native(Xml), Size::Bytes(128)),
        rows: shares!(),
    },
    Workload {
        name: "mqtt-from-pickle",
        title: "from a native pickle to JSON in MQTT, 128 bytes",
        systems: ALONE,
        kind: across(Speaker::Native(Pickle), Speaker::Mqtt, Size::Bytes(128)),
        rows: shares!(),
    },
    Workload {
        name: "mqtt-to-pickle-record",
        title: "JSON from MQTT to a native pickle, a nested record of 833 bytes",
        systems: ALONE,
        kind: across(Speaker::Mqtt, Speaker::Native(Pickle), Size::Record),
        rows: shares!(),
    },
];

pub(super) fn measure(
    programs: &Programs,
    what: Spoken,
    system: System,
    scale: Scale,
) -> Result<Figures> {
    let started = programs.start_mqtt(system)?;
    let running = &started.running;
    match what {
        // It starts what it needs.
        Spoken::Across { from, to, size } => {
            drop(started);
            measure_across(programs, from, to, &size.payload(scale.texts)?, scale)
        }
        Spoken::Flow { publishers, subscribers, topics, size } => {
            let topics = match topics {
                1 => vec!["bench/flow".to_owned()],
                _ => (0..topics).map(|topic| format!("bench/flow/{topic:03}")).collect(),
            };
            let wire: Arc<dyn Wire> = Arc::new(Mqtt);
            let flow = Flow {
                content: Content::Alike { topics, payload: size.payload(scale.texts)? },
                publishers,
                producer: wire.clone(),
                consumers: vec![wire; subscribers],
                pace: None,
            };
            Ok(rates_of(flow::measure(running, flow, scale.time)?))
        }
        Spoken::Assured(qos) => {
            let payload = Size::Bytes(128).payload(scale.texts)?;
            Ok(rates_of(assured::measure(running, qos, &payload, scale.time)?))
        }
        Spoken::RoundTrip => {
            let wire: Arc<dyn Wire> = Arc::new(Mqtt);
            let payload = Payload::of_size(128)?;
            let Latency { p50, p99 } =
                round_trip::measure(running, &wire, &payload, None, scale.time)?;
            Ok(vec![("p50", p50), ("p99", p99)])
        }
        Spoken::AssuredRoundTrip => {
            let Latency { p50, p99 } =
                assured::latency(running, &Payload::of_size(128)?, scale.time)?;
            Ok(vec![("p50", p50), ("p99", p99)])
        }
        Spoken::Sessions { has_own_topics } => {
            let gather = if has_own_topics { Crowd::scatter } else { Crowd::gather };
            let mut crowd = gather(running, &Mqtt, scale.crowd)?;
            let each = |before: f64, after: f64| (after - before) / scale.crowd as f64;
            let (before, after) = (crowd.before, crowd.after);
            let mut figures = vec![
                ("memory", each(before.resident, after.resident)),
                ("memory-with-kernel", each(before.with_kernel, after.with_kernel)),
                ("arrivals", crowd.arrivals),
            ];
            if !has_own_topics {
                let payload = Payload::of_size(128)?;
                figures.push(("everybody", crowd.publish_to_all(running, &Mqtt, &payload)?));
            }
            Ok(figures)
        }
    }
}

impl Speaker {
    fn wire(self) -> Arc<dyn Wire> {
        match self {
            Speaker::Mqtt => Arc::new(Mqtt),
            Speaker::Native(format) => wire_of(System::Babelmq, format, format),
        }
    }

    fn endpoint(self, running: &Running) -> &Endpoint {
        match self {
            Speaker::Mqtt => &running.endpoint,
            Speaker::Native(_) => &running.native,
        }
    }
}

/// Measures babelmq's own protocol as well, around it, so that what changes with time changes both.
fn measure_across(
    programs: &Programs,
    from: Speaker,
    to: Speaker,
    payload: &Payload,
    scale: Scale,
) -> Result<Figures> {
    let run = |from: Speaker, to: Speaker| -> Result<flow::Measured> {
        let started = programs.start_mqtt(System::Babelmq)?;
        let running = &started.running;
        let flow = Flow {
            content: Content::Alike {
                topics: vec!["bench/flow".to_owned()],
                payload: payload.clone(),
            },
            publishers: 1,
            producer: from.wire(),
            consumers: vec![to.wire()],
            pace: None,
        };
        let ends = (from.endpoint(running), to.endpoint(running));
        flow::measure_across(running, flow, ends, scale.time)
    };
    let native = Speaker::Native(Json);
    let (before, first, second, after) =
        (run(native, native)?, run(from, to)?, run(from, to)?, run(native, native)?);
    let sum = |figure: fn(&flow::Measured) -> f64, one, other| figure(one) + figure(other);
    let rate = |one, other| sum(|measured| measured.deliveries_per_second, one, other);
    let processor = sum(|measured| measured.processor_per_delivery, &first, &second);
    Ok(vec![
        ("rate", rate(&first, &second) / 2.0),
        ("share", rate(&first, &second) / rate(&before, &after)),
        ("processor", processor / 2.0),
    ])
}

fn rates_of(measured: flow::Measured) -> Figures {
    vec![("rate", measured.deliveries_per_second), ("processor", measured.processor_per_delivery)]
}
