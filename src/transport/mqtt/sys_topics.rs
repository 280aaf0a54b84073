//! `$SYS/broker/…`: the counters that users of Mosquitto look for, said every ten seconds to
//! whoever subscribes to them.
//!
//! The names and what they mean are Mosquitto's (mosquitto(8), "Broker status"), as far as the
//! broker counts the same. They are not remembered: what is old when it is read helps nobody, and a
//! data directory would be written to for ever.

use std::time::Duration;

use crate::broker::sync::{Receiver, RecvTimeoutError, Sender, bounded};
use crate::broker::{Event, Query, Stats};
use crate::codec::{Batch, BatchEntry, Document, Part, PayloadSpan, Topics};
use crate::protocol::{Format, Limits, TopicName};
use crate::transport::shared::Shared;

/// How often they are said.
pub(in crate::transport) const INTERVAL: Duration = Duration::from_secs(10);
/// The times that loads are averaged over, in minutes, and their names.
const SPANS: [(f64, &str); 3] = [(1.0, "1min"), (5.0, "5min"), (15.0, "15min")];

/// What grows, of which there are averages.
#[derive(Clone, Copy)]
struct Grown {
    name: &'static str,
    of: fn(&Stats) -> u64,
}

const GROWN: [Grown; 5] = [
    Grown { name: "messages/received", of: |stats| stats.published },
    Grown { name: "messages/sent", of: |stats| stats.delivered + stats.snapshot_values },
    Grown { name: "bytes/received", of: |stats| stats.bytes_in },
    Grown { name: "bytes/sent", of: |stats| stats.bytes_out },
    Grown { name: "connections", of: |stats| stats.connections },
];

/// A counter as it was, and its averages by the minute.
#[derive(Clone, Copy, Default)]
struct Load {
    last: u64,
    averages: [f64; SPANS.len()],
}

impl Load {
    /// Takes the counter in `passed` after it was taken last.
    fn take(&mut self, now: u64, passed: Duration) {
        let minutes = passed.as_secs_f64() / 60.0;
        let rate = now.saturating_sub(self.last) as f64 / minutes.max(f64::EPSILON);
        for (average, (span, _)) in self.averages.iter_mut().zip(SPANS) {
            let weight = (-minutes / span).exp();
            *average = rate + weight * (*average - rate);
        }
        self.last = now;
    }
}

/// What is said from one time to the next.
#[derive(Default)]
struct Said {
    loads: [Load; GROWN.len()],
    most_connected: u64,
}

impl Said {
    /// Every topic with its value, JSON or words.
    fn topics(
        &mut self,
        stats: &Stats,
        uptime: Duration,
        (sessions, away): (u64, u64),
    ) -> Vec<(String, String)> {
        // Clients of MQTT that are away are clients; those of other protocols are connections.
        let connected = stats.open;
        self.most_connected = self.most_connected.max(connected);
        let mut topics = vec![
            ("version", format!("babelmq version {}", env!("CARGO_PKG_VERSION"))),
            ("uptime", format!("{} seconds", uptime.as_secs())),
        ];
        let numbers = [
            ("clients/connected", connected),
            ("clients/disconnected", away),
            ("clients/total", connected + away),
            ("clients/expired", stats.mqtt_expired),
            ("clients/maximum", self.most_connected),
            ("sessions/count", sessions),
            ("messages/received", stats.published),
            ("messages/sent", stats.delivered + stats.snapshot_values),
            ("publish/messages/received", stats.published),
            ("publish/messages/sent", stats.delivered + stats.snapshot_values),
            ("publish/messages/dropped", stats.dropped),
            ("bytes/received", stats.bytes_in),
            ("bytes/sent", stats.bytes_out),
            ("retained messages/count", stats.topics),
            ("store/messages/count", stats.topics),
            ("store/messages/bytes", stats.stored_bytes),
            ("subscriptions/count", stats.subscriptions),
        ];
        topics.extend(numbers.map(|(name, number)| (name, number.to_string())));
        let mut topics: Vec<(String, String)> = topics
            .into_iter()
            .map(|(name, value)| (format!("$SYS/broker/{name}"), value))
            .collect();
        for (grown, load) in GROWN.iter().zip(&mut self.loads) {
            load.take((grown.of)(stats), INTERVAL);
            topics.extend(load.averages.iter().zip(SPANS).map(|(average, (_, span))| {
                (format!("$SYS/broker/load/{}/{span}", grown.name), format!("{average:.2}"))
            }));
        }
        topics
    }
}

/// One batch of all of them.
fn batch(topics: &[(String, String)], limits: Limits) -> Batch {
    let (mut bytes, mut names, mut entries) = (Vec::new(), Topics::default(), Vec::new());
    for (topic, value) in topics {
        let start = bytes.len();
        bytes.extend_from_slice(value.as_bytes());
        let range = start..bytes.len();
        // A number is JSON, and all else are words.
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let part = if is_number { Part::Value(range) } else { Part::Text(range) };
        let index = names.push(TopicName::judged(topic));
        let span = PayloadSpan { part, document: None };
        entries.push(BatchEntry::new(index, Format::Json, &span, false, None, None));
    }
    Batch::new(bytes, Document::new(), names, entries, limits)
}

/// Says them until the other end of `stop` is dropped.
pub(in crate::transport) fn run(shared: &Shared, events: &Sender<Event>, stop: &Receiver<()>) {
    let mut said = Said::default();
    while stop.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let (reply, answer) = bounded(1);
        if events.send(Event::Query(Query::Stats(reply))).is_err() {
            return;
        }
        let Ok(mut stats) = answer.recv() else { return };
        shared.counters.fill(&mut stats);
        let uptime = shared.counters.started.0.elapsed();
        let topics = said.topics(&stats, uptime, shared.mqtt.count());
        let batch = Box::new(batch(&topics, shared.config.limits));
        // Nobody waits for what becomes of it.
        let (reply, _) = bounded(1);
        if events.send(Event::Query(Query::Put(batch, reply))).is_err() {
            return;
        }
    }
}
