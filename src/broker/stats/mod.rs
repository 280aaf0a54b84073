//! The counters of a broker: one table, from which the counters, their snapshot, the answer to a
//! `stats` and the documents come.

mod report;

pub use report::Report;
pub(in crate::broker) use report::{SubscriberReport, TopicReport};

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::broker::memory::Use;
use crate::protocol::Format;

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
}

impl MetricKind {
    /// The kind in a word.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
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
    /// Failures.
    Failures,
    /// Frames.
    Frames,
    /// Messages.
    Messages,
    /// Milliseconds.
    Milliseconds,
    /// Requests.
    Requests,
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
            Unit::Failures => "failures",
            Unit::Frames => "frames",
            Unit::Messages => "messages",
            Unit::Milliseconds => "milliseconds",
            Unit::Requests => "requests",
            Unit::Subscriptions => "subscriptions",
            Unit::Topics => "topics",
            Unit::Values => "values",
        }
    }
}

macro_rules! metrics {
    (
        sessions { $($session:ident: $session_kind:ident, $session_unit:ident, $session_help:literal;)* }
        dispatcher { $($own:ident: $own_kind:ident, $own_unit:ident, $own_help:literal;)* }
        now { $($now:ident: $now_kind:ident, $now_unit:ident, $now_help:literal;)* }
        derived { $($derived:ident: $derived_kind:ident, $derived_unit:ident, $derived_help:literal, $of:expr;)* }
    ) => {
        /// Counters that sessions and writers add to while they run.
        #[derive(Debug, Default)]
        pub struct Counters {
            /// Since when there is something to count.
            pub started: Started,
            $(#[doc = $session_help] pub $session: AtomicU64,)*
        }

        /// Counters of the dispatcher, which nobody else adds to.
        #[derive(Debug, Default)]
        pub(super) struct Counts {
            $(pub(super) $own: u64,)*
            pub(super) published_in: [u64; Format::ALL.len()],
        }

        /// A snapshot of everything that is counted, since the broker started unless said
        /// otherwise.
        ///
        /// ```
        /// # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
        /// let stats = broker.stats();
        /// println!("{} messages, {} open connections", stats.published, stats.open);
        /// for (metric, value) in stats.values() {
        ///     println!("{}: {value} {}", metric.name, metric.unit.name());
        /// }
        /// # Ok::<(), babelmq::StartError>(())
        /// ```
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $(#[doc = $session_help] pub $session: u64,)*
            $(#[doc = $own_help] pub $own: u64,)*
            $(#[doc = $now_help] pub $now: u64,)*
            /// Messages published by format, in the order of [`Format::ALL`].
            pub published_in: [u64; Format::ALL.len()],
            /// How long the oldest change that is not in the store has been waiting; 0 where there
            /// is none, or no store.
            pub unsaved: Duration,
            /// Bytes of memory that the broker may use, all in all.
            pub memory_budget: u64,
            /// Bytes that are claimed of it for each use, in the order of [`Use::ALL`].
            pub(in crate::broker) claimed: [u64; Use::ALL.len()],
        }

        /// Every number that has a name, in the order of [`Stats::values`].
        ///
        /// ```
        /// for metric in babelmq::METRICS {
        ///     println!("{} ({}): {}", metric.name, metric.kind.name(), metric.help);
        /// }
        /// ```
        pub const METRICS: &[Metric] = &[
            $(metric(stringify!($session), MetricKind::$session_kind, Unit::$session_unit, $session_help),)*
            $(metric(stringify!($own), MetricKind::$own_kind, Unit::$own_unit, $own_help),)*
            $(metric(stringify!($now), MetricKind::$now_kind, Unit::$now_unit, $now_help),)*
            $(metric(stringify!($derived), MetricKind::$derived_kind, Unit::$derived_unit, $derived_help),)*
        ];

        impl Counters {
            /// Writes the counters into a snapshot of the dispatcher's.
            pub fn fill(&self, stats: &mut Stats) {
                $(stats.$session = self.$session.load(Ordering::Relaxed);)*
            }
        }

        impl Counts {
            /// The same for those of the dispatcher.
            pub(super) fn fill(&self, stats: &mut Stats) {
                $(stats.$own = self.$own;)*
                stats.published_in = self.published_in;
            }
        }

        impl Stats {
            /// Every number that has a name, in the order of [`METRICS`].
            pub fn values(&self) -> impl Iterator<Item = (&'static Metric, u64)> + use<> {
                let values = [$(self.$session,)* $(self.$own,)* $(self.$now,)* $($of(self),)*];
                METRICS.iter().zip(values)
            }

            /// Bytes that are claimed of [`memory_budget`](Self::memory_budget) for each use, which
            /// has its name on the wire.
            pub fn memory_claimed(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                Use::ALL.iter().map(|this| this.name()).zip(self.claimed)
            }
        }
    };
}

metrics! {
    sessions {
        connections: Counter, Connections, "Connections accepted.";
        open: Gauge, Connections, "Connections that are open.";
        turned_away: Counter, Connections, "Connections turned away at a limit.";
        refused: Counter, Requests, "Requests refused, messages and frames alike.";
        logins_failed: Counter, Requests, "Logins with a wrong password, token or name.";
        frame_timeouts: Counter, Frames, "Frames that were begun and not finished in time.";
        write_timeouts: Counter, Connections, "Clients that took too little of what was written to \
        them for too long.";
        vanished: Counter, Connections, "Clients that the keepalive found gone.";
        bytes_in: Counter, Bytes, "Bytes received.";
        bytes_out: Counter, Bytes, "Bytes sent.";
        translated: Counter, Messages, "Messages encoded for subscribers of another format, or \
        another dialect, than they were published in; however many share a translation, it is one.";
        encoding_failures: Counter, Messages, "Messages that could not be encoded although they \
        were judged: a bug if it is not 0.";
        panics: Counter, Failures, "Sessions and writers that ended by a panic: a bug if it is not \
        0.";
    }
    dispatcher {
        published: Counter, Messages, "Messages published.";
        delivered: Counter, Messages, "Messages put into outboxes, counted for each subscriber.";
        snapshot_values: Counter, Values, "Stored values sent to new subscribers.";
        slow_consumers: Counter, Connections, "Subscribers cut off because they did not keep up.";
        dropped: Counter, Messages, "Messages that subscriptions with `drop-oldest` or `latest` \
        let go for newer ones.";
        store_refused: Counter, Messages, "Messages refused because the store is full.";
        expired: Counter, Values, "Values whose time to live was over.";
    }
    now {
        subscriptions: Gauge, Subscriptions, "Subscriptions that exist.";
        topics: Gauge, Topics, "Topics that hold a value.";
        stored_bytes: Gauge, Bytes, "Bytes of the values that are stored.";
        stored_cost: Gauge, Bytes, "The same with what their topics cost, as it counts for the \
        limit of stored bytes.";
        unsaved_clears: Gauge, Topics, "Topics that were cleared and that the store may still \
        have.";
    }
    derived {
        unsaved_ms: Gauge, Milliseconds, "How long the oldest change that is not in the store has \
        been waiting; 0 where there is none, or no store.",
            |stats: &Stats| u64::try_from(stats.unsaved.as_millis()).unwrap_or(u64::MAX);
    }
}

const fn metric(name: &'static str, kind: MetricKind, unit: Unit, help: &'static str) -> Metric {
    Metric { name, kind, unit, help }
}

/// The moment of its making.
#[derive(Clone, Copy, Debug)]
pub struct Started(pub Instant);

impl Default for Started {
    fn default() -> Started {
        Started(Instant::now())
    }
}

impl Counters {
    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed) as usize
    }

    /// Adds to one of the counters.
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}
