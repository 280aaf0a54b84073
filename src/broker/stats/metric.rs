//! The numbers that a broker tells of itself: their names, kinds and units.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::histogram::Durations;

/// A number that the broker tells of itself.
///
/// ```
/// use babelmq::{METRICS, MetricKind};
///
/// let published = METRICS.iter().find(|metric| metric.name == "published").unwrap();
/// assert_eq!((published.kind, published.unit.name()), (MetricKind::Counter, "messages"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name on the wire.
    pub name: &'static str,
    /// How it changes.
    pub kind: MetricKind,
    /// What it counts.
    pub unit: Unit,
    /// Its name for Prometheus, with its unit there, which is a base unit; see `docs/metrics.md`.
    pub prometheus: &'static str,
    /// The labels that tell its parts apart there; none where it is one number.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
}

/// How a [`Metric`] changes.
///
/// ```
/// use babelmq::{METRICS, MetricKind};
///
/// // A monitor shows some as rates and others as they are.
/// let is_rate = |name| {
///     METRICS.iter().any(|metric| metric.name == name && metric.kind == MetricKind::Counter)
/// };
/// assert!(is_rate("published") && !is_rate("topics"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It has only grown since the broker started.
    Counter,
    /// It is what is there at the moment.
    Gauge,
    /// It counts by how long something took.
    Histogram,
}

impl MetricKind {
    /// The kind in a word.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// The units of a [`Metric`].
///
/// ```
/// use babelmq::{METRICS, Unit};
///
/// let of_bytes = METRICS.iter().filter(|metric| metric.unit == Unit::Bytes);
/// assert!(of_bytes.map(|metric| metric.name).any(|name| name == "stored_bytes"));
/// assert_eq!(Unit::Bytes.name(), "bytes");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Connections.
    Connections,
    /// Durable consumers.
    Consumers,
    /// Failures.
    Failures,
    /// Files, and what the system counts as such.
    Files,
    /// Frames.
    Frames,
    /// Messages.
    Messages,
    /// Milliseconds.
    Milliseconds,
    /// No unit: the labels say all.
    None,
    /// Requests.
    Requests,
    /// Seconds.
    Seconds,
    /// Sessions of MQTT.
    Sessions,
    /// Subscriptions.
    Subscriptions,
    /// Topics.
    Topics,
    /// Values.
    Values,
}

impl Unit {
    /// The unit in a word.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Bytes => "bytes",
            Unit::Connections => "connections",
            Unit::Consumers => "consumers",
            Unit::Failures => "failures",
            Unit::Files => "files",
            Unit::Frames => "frames",
            Unit::Messages => "messages",
            Unit::Milliseconds => "milliseconds",
            Unit::None => "none",
            Unit::Requests => "requests",
            Unit::Seconds => "seconds",
            Unit::Sessions => "sessions",
            Unit::Subscriptions => "subscriptions",
            Unit::Topics => "topics",
            Unit::Values => "values",
        }
    }
}

/// One number of a metric, or of a part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The values of the metric's labels, in their order.
    pub labels: Vec<Cow<'static, str>>,
    /// The number, in the unit that the metric has for Prometheus.
    pub number: Number,
}

/// A number of a [`Sample`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Whole(u64),
    /// A time in seconds.
    Seconds(Duration),
}

/// All that there is of a metric at a moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// A number for each part; none where there is nothing to be said.
    Numbers(Vec<Sample>),
    /// How often something took how long.
    Histogram(Durations),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Whole(number) => number.fmt(f),
            Number::Seconds(time) => time.as_secs_f64().fmt(f),
        }
    }
}
