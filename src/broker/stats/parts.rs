//! The parts of numbers that are told apart by labels.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::metric::{Number, Sample, Samples};
use super::{Counters, Counts, QOS, Stats};
use crate::broker::memory::Use;
use crate::protocol::{Format, Overflow};

/// The policies by which messages are dropped.
pub(super) const DROPPING: [Overflow; 2] = [Overflow::DropOldest, Overflow::Latest];

/// What the system says of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// When it began, since 1970.
    pub started: Duration,
    /// Bytes of memory that it has in use.
    pub resident: u64,
    /// File descriptors that it has open.
    pub open_files: u64,
    /// File descriptors that it may have open.
    pub most_files: u64,
    /// Time of processors that it has taken.
    pub cpu: Duration,
}

/// The parts of a number, where it has some.
pub(super) fn parts_or<const N: usize>(parts: [Vec<Sample>; N], whole: u64) -> Samples {
    let whole = || one(Number::Whole(whole));
    Samples::Numbers(parts.into_iter().next().unwrap_or_else(whole))
}

fn one(number: Number) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), number }]
}

/// Parts that one label tells apart.
fn by<T: Into<std::borrow::Cow<'static, str>>>(
    parts: impl IntoIterator<Item = (T, u64)>,
) -> Vec<Sample> {
    let part = |(label, number): (T, u64)| Sample {
        labels: vec![label.into()],
        number: Number::Whole(number),
    };
    parts.into_iter().map(part).collect()
}

fn by_format(parts: [u64; Format::ALL.len()]) -> Vec<Sample> {
    by(Format::ALL.into_iter().map(Format::name).zip(parts))
}

impl Counters {
    /// Counters of a broker that listens at these URLs.
    pub fn of_listeners(urls: impl IntoIterator<Item = String>) -> Counters {
        let listeners = urls.into_iter().map(|url| (url, 0.into())).collect();
        Counters { listeners, ..Counters::default() }
    }

    /// Adds messages that were translated to a format, by the format that they were published in.
    pub fn add_translated(&self, from: [usize; Format::ALL.len()], to: Format) {
        for (parts, count) in self.translated_in.iter().zip(from) {
            if count > 0 {
                parts[to as usize].fetch_add(count as u64, Ordering::Relaxed);
                Counters::add(&self.translated, count);
            }
        }
    }
}

impl Counters {
    /// Adds messages of a stream that were written for a subscriber.
    pub fn add_streamed(&self, format: Format, messages: u64) {
        self.streamed_in[format as usize].fetch_add(messages, Ordering::Relaxed);
    }
}

/// Which way messages of MQTT go.
#[derive(Clone, Copy, Debug)]
pub enum MqttWay {
    /// From clients.
    In,
    /// To clients.
    Out,
}

impl Counters {
    /// Adds messages of MQTT, by their QoS.
    pub fn add_mqtt(&self, way: MqttWay, by_qos: [usize; QOS]) {
        let whole = match way {
            MqttWay::In => &self.mqtt_received,
            MqttWay::Out => &self.mqtt_sent,
        };
        for (part, count) in self.mqtt_by_qos[way as usize].iter().zip(by_qos) {
            if count > 0 {
                Counters::add(part, count);
                Counters::add(whole, count);
            }
        }
    }
}

impl Counts {
    /// Adds messages that a subscriber is given in a format.
    pub(in crate::broker) fn deliver(&mut self, format: Format, messages: usize) {
        self.delivered += messages as u64;
        self.delivered_in[format as usize] += messages as u64;
    }

    /// Adds messages that made room: in a mailbox that keeps the latest of each topic, or in one
    /// that drops the oldest.
    pub(in crate::broker) fn drop_messages(&mut self, keeps_latest: bool, messages: u64) {
        self.dropped += messages;
        self.dropped_by[usize::from(keeps_latest)] += messages;
    }
}

impl Stats {
    pub(super) fn open_at(&self) -> Vec<Sample> {
        by(self.listeners.iter().map(|(url, open)| (url.clone(), *open)))
    }

    pub(super) fn certificate_end(&self) -> Vec<Sample> {
        match self.certificate_expires {
            0 => Vec::new(),
            end => one(Number::Whole(end)),
        }
    }

    pub(super) fn translated_between(&self) -> Vec<Sample> {
        let pairs = Format::ALL.into_iter().zip(self.translated_in);
        let parts = pairs.flat_map(|(from, parts)| {
            Format::ALL.into_iter().zip(parts).map(move |(to, count)| Sample {
                labels: vec![from.name().into(), to.name().into()],
                number: Number::Whole(count),
            })
        });
        parts.collect()
    }

    pub(super) fn received_by_qos(&self) -> Vec<Sample> {
        by(["0", "1", "2"].into_iter().zip(self.mqtt_by_qos[MqttWay::In as usize]))
    }

    pub(super) fn sent_by_qos(&self) -> Vec<Sample> {
        by(["0", "1", "2"].into_iter().zip(self.mqtt_by_qos[MqttWay::Out as usize]))
    }

    pub(super) fn clients_by_protocol(&self) -> Vec<Sample> {
        by(self.spoken.iter().copied())
    }

    pub(super) fn mqtt_inflight(&self) -> Vec<Sample> {
        self.inflight.map_or_else(Vec::new, |inflight| one(Number::Whole(inflight)))
    }

    pub(super) fn published_by_format(&self) -> Vec<Sample> {
        by_format(self.published_in)
    }

    pub(super) fn delivered_by_format(&self) -> Vec<Sample> {
        by_format(self.delivered_in)
    }

    pub(super) fn dropped_by_policy(&self) -> Vec<Sample> {
        by(DROPPING.into_iter().map(Overflow::as_str).zip(self.dropped_by))
    }

    pub(super) fn unsaved_seconds(&self) -> Vec<Sample> {
        one(Number::Seconds(self.unsaved))
    }

    pub(super) fn memory_by_use(&self) -> Vec<Sample> {
        by(self.memory_claimed())
    }

    pub(super) fn memory_limit_by_use(&self) -> Vec<Sample> {
        by(Use::ALL.into_iter().map(Use::name).zip(self.shares))
    }

    pub(super) fn memory_limit(&self) -> Vec<Sample> {
        one(Number::Whole(self.memory_budget))
    }

    #[allow(clippy::unused_self, reason = "one signature for all rows of the table")]
    pub(super) fn build(&self) -> Vec<Sample> {
        by([(env!("CARGO_PKG_VERSION"), 1)])
    }

    pub(super) fn process_start(&self) -> Vec<Sample> {
        self.of_process(|process| Number::Seconds(process.started))
    }

    pub(super) fn process_resident(&self) -> Vec<Sample> {
        self.of_process(|process| Number::Whole(process.resident))
    }

    pub(super) fn process_open_files(&self) -> Vec<Sample> {
        self.of_process(|process| Number::Whole(process.open_files))
    }

    pub(super) fn process_most_files(&self) -> Vec<Sample> {
        self.of_process(|process| Number::Whole(process.most_files))
    }

    pub(super) fn process_cpu(&self) -> Vec<Sample> {
        self.of_process(|process| Number::Seconds(process.cpu))
    }

    fn of_process(&self, number: impl FnOnce(&Process) -> Number) -> Vec<Sample> {
        self.process.as_ref().map_or_else(Vec::new, |process| one(number(process)))
    }
}
