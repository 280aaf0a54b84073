//! How a workload is measured.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Kind, Scale, Size, Workload};
use crate::direction::Direction;
use crate::load::crowd::Crowd;
use crate::load::flow::{self, Content, Flow};
use crate::load::{handshakes, round_trip, topics};
use crate::payload::Payload;
use crate::systems::{Programs, System};
use crate::wire::{Babelmq, Format, Mqtt, Nats, Plain, Redis, Stomp, Wire};

use Format::{Json, Pickle, Xml};

pub(crate) type Figures = Vec<(&'static str, f64)>;

pub(super) fn wire_of(system: System, from: Format, to: Format) -> Arc<dyn Wire> {
    match system {
        System::Babelmq => Arc::new(Babelmq { producer: from, consumer: to }),
        System::Nats | System::DebianNats => Arc::new(Nats),
        System::Redis => Arc::new(Redis),
        System::Mosquitto => Arc::new(Mqtt),
        System::Relay => Arc::new(Plain::json()),
        System::Cpython | System::Orjson => Arc::new(Plain(from)),
        System::ActiveMq => Arc::new(Stomp { consumer: to }),
        // What they keep has protocols of its own, in `kept`.
        System::JetStream => Arc::new(Nats),
        System::RedisStreams => Arc::new(Redis),
        System::Beanstalkd => Arc::new(Plain::json()),
    }
}

impl Size {
    pub(super) fn payload(self, texts: bool) -> Result<Payload> {
        match self {
            Size::Bytes(bytes) if texts => Payload::text(bytes),
            Size::Bytes(bytes) => Payload::of_size(bytes),
            Size::Record => Payload::record(),
        }
    }
}

fn alike(payload: Payload) -> Content {
    Content::Alike { topics: vec!["bench/flow".to_owned()], payload }
}

/// A flow of JSON from one to one.
fn simple_flow(system: System, pace: Option<f64>) -> Result<Flow> {
    let wire = wire_of(system, Json, Json);
    Ok(Flow {
        content: alike(Payload::of_size(128)?),
        publishers: 1,
        producer: wire.clone(),
        consumers: vec![wire],
        pace,
    })
}

/// Half of the messages per second that NATS carries from one to one; without NATS, of what babelmq
/// does.
pub(crate) fn half_load(programs: &Programs, time: Duration) -> Result<f64> {
    let system = if programs.find(System::Nats).is_ok() { System::Nats } else { System::Babelmq };
    let mut rates = Vec::new();
    for _ in 0..3 {
        let running = programs.start(system, "")?;
        rates
            .push(flow::measure(&running, simple_flow(system, None)?, time)?.deliveries_per_second);
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[1] / 2.0)
}

impl Kind {
    /// Its flow, if it is one.
    pub(super) fn flow(self, system: System, scale: Scale) -> Result<Flow> {
        let Kind::Flow { publishers, subscribers, from, to, size } = self else {
            bail!("{self:?} is no flow of one message")
        };
        let wire = wire_of(system, from, to);
        Ok(Flow {
            content: alike(size.payload(scale.texts)?),
            publishers,
            producer: wire.clone(),
            consumers: vec![wire; subscribers],
            pace: None,
        })
    }
}

impl Workload {
    pub(crate) fn needs_half_load(&self) -> bool {
        matches!(self.kind, Kind::RoundTrip { loaded: true })
    }

    /// What the CPython translator does in this workload.
    fn direction(&self) -> String {
        let direction = match self.kind {
            Kind::Flow { from, to, .. } => Direction { from, to },
            Kind::Stream { direction, .. } => direction,
            _ => return String::new(),
        };
        direction.to_string()
    }

    /// Measures a system once, freshly started.
    pub(crate) fn measure(
        &self,
        programs: &Programs,
        system: System,
        scale: Scale,
        half: f64,
    ) -> Result<Figures> {
        let (kind, running) = match self.kind {
            // They start what they need.
            Kind::Rights { rights, topics } => {
                return super::rights::measure(programs, rights, topics, scale);
            }
            Kind::Guesses => return super::rights::guesses(programs, scale),
            Kind::Web(kind) => return super::web::measure(programs, *kind, system, scale),
            Kind::Http(http) => return super::web::requests(programs, http, scale),
            Kind::Mqtt(what) => return super::mqtt::measure(programs, what, system, scale),
            Kind::Kept(what) => return super::streams::measure(programs, what, system, scale),
            Kind::Tls(kind) => (*kind, programs.start_sealed(system)?),
            kind => (kind, programs.start(system, &self.direction())?),
        };
        match kind {
            Kind::Rights { .. }
            | Kind::Guesses
            | Kind::Tls(_)
            | Kind::Web(_)
            | Kind::Http(_)
            | Kind::Mqtt(_)
            | Kind::Kept(_) => bail!("not with TLS"),
            Kind::Handshakes => {
                let wire = wire_of(system, Json, Json);
                let measured = handshakes::measure(&running, wire.as_ref(), scale.time)?;
                Ok(vec![("rate", measured.rate), ("processor", measured.processor)])
            }
            Kind::Flow { .. } => {
                let measured = flow::measure(&running, kind.flow(system, scale)?, scale.time)?;
                Ok(vec![
                    ("rate", measured.deliveries_per_second),
                    ("processor", measured.processor_per_delivery),
                ])
            }
            Kind::Stream { entry, direction: Direction { from, to } } => {
                let wire = wire_of(system, from, to);
                let stream = entry.load()?;
                let flow = Flow {
                    content: Content::Stream { root: entry.root.clone(), stream, format: from },
                    publishers: 1,
                    producer: wire.clone(),
                    consumers: vec![wire],
                    pace: None,
                };
                // There are many of them.
                let measured = flow::measure(&running, flow, scale.time / 2)?;
                Ok(vec![
                    ("rate", measured.deliveries_per_second),
                    ("processor", measured.processor_per_delivery),
                ])
            }
            Kind::Formats => {
                let rate = |from: Format, to: [Format; 3]| -> Result<f64> {
                    let consumers = to.into_iter().cycle().take(9);
                    let flow = Flow {
                        content: alike(Payload::of_size(128)?),
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
                let size = 1_000.min(scale.crowd);
                let wire = wire_of(system, Json, Json);
                let crowd = Crowd::gather(&running, wire.as_ref(), size)?;
                let each = |before: f64, after: f64| (after - before) / size as f64;
                let (before, after) = (crowd.before, crowd.after);
                // Long enough for what brokers do once a second.
                let load = crowd.idle_load(&running, scale.time.max(Duration::from_secs(3)))?;
                Ok(vec![
                    ("load", load),
                    ("memory", each(before.resident, after.resident)),
                    ("memory-with-kernel", each(before.with_kernel, after.with_kernel)),
                ])
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
