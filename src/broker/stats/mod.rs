//! The counters of a broker: one table, from which the counters, their snapshot, the answer to a
//! `stats`, what Prometheus is told, and the documents come.

mod histogram;
mod metric;
mod parts;
mod report;
mod streams;

pub use histogram::{Durations, Histogram};
pub use metric::{Metric, MetricKind, Number, Sample, Samples, Unit};
pub use parts::{MqttWay, Process};
pub use report::Report;
pub(in crate::broker) use report::{SubscriberReport, TopicReport};
pub use streams::{CONSUMERS_TOLD, ConsumerNumbers, StreamNumbers};

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::broker::memory::Use;
use crate::protocol::Format;
use histogram::{IN_MEMORY, ON_A_DISK};
use parts::{DROPPING, parts_or};

/// The formats.
const FORMATS: usize = Format::ALL.len();
/// The qualities of service of MQTT.
const QOS: usize = 3;

macro_rules! metrics {
    (
        sessions { $(
            $session:ident: $session_kind:ident, $session_unit:ident, $session_prometheus:literal
            $(by [$($session_label:literal),*] $session_parts:ident)?, $session_help:literal;
        )* }
        dispatcher { $(
            $own:ident: $own_kind:ident, $own_unit:ident, $own_prometheus:literal
            $(by [$($own_label:literal),*] $own_parts:ident)?, $own_help:literal;
        )* }
        now { $(
            $now:ident: $now_kind:ident, $now_unit:ident, $now_prometheus:literal, $now_help:literal;
        )* }
        derived { $(
            $derived:ident: $derived_kind:ident, $derived_unit:ident, $derived_prometheus:literal
            by [] $derived_parts:ident, $derived_help:literal, $of:expr;
        )* }
        scraped { $(
            $scraped:ident: $scraped_kind:ident, $scraped_unit:ident, $scraped_prometheus:literal
            by [$($scraped_label:literal),*] $scraped_parts:ident, $scraped_help:literal;
        )* }
        timed { $($timed:ident: $bounds:ident, $timed_prometheus:literal, $timed_help:literal;)* }
    ) => {
        /// Counters that sessions and writers add to while they run.
        #[derive(Debug)]
        pub struct Counters {
            /// Since when there is something to count.
            pub started: Started,
            $(#[doc = $session_help] pub $session: AtomicU64,)*
            $(#[doc = $timed_help] pub $timed: Histogram,)*
            /// Messages that were translated, by the format that they were in and the one that they
            /// are in then, both in the order of [`Format::ALL`].
            pub translated_in: [[AtomicU64; FORMATS]; FORMATS],
            /// Messages that clients of MQTT have sent, and that were sent to them, by their QoS.
            pub mqtt_by_qos: [[AtomicU64; QOS]; 2],
            /// Messages of streams that were written for subscribers, by their formats.
            pub streamed_in: [AtomicU64; FORMATS],
            /// Where the broker listens, and the connections there that are open.
            pub listeners: Vec<(String, AtomicU64)>,
        }

        impl Default for Counters {
            fn default() -> Counters {
                Counters {
                    started: Started::default(),
                    $($session: AtomicU64::new(0),)*
                    $($timed: Histogram::new($bounds),)*
                    translated_in: Default::default(),
                    mqtt_by_qos: Default::default(),
                    streamed_in: Default::default(),
                    listeners: Vec::new(),
                }
            }
        }

        /// Counters of the dispatcher, which nobody else adds to.
        #[derive(Debug, Default)]
        pub(super) struct Counts {
            $(pub(super) $own: u64,)*
            pub(super) published_in: [u64; FORMATS],
            delivered_in: [u64; FORMATS],
            dropped_by: [u64; DROPPING.len()],
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
            pub published_in: [u64; FORMATS],
            /// How long the oldest change that is not in the store has been waiting; 0 where there
            /// is none, or no store.
            pub unsaved: Duration,
            /// Bytes of memory that the broker may use, all in all.
            pub memory_budget: u64,
            /// Bytes that are claimed of it for each use, in the order of [`Use::ALL`].
            pub(in crate::broker) claimed: [u64; Use::ALL.len()],
            /// Bytes that each may have at most.
            pub(in crate::broker) shares: [u64; Use::ALL.len()],
            pub(in crate::broker) delivered_in: [u64; FORMATS],
            pub(in crate::broker) dropped_by: [u64; DROPPING.len()],
            pub(in crate::broker) translated_in: [[u64; FORMATS]; FORMATS],
            pub(in crate::broker) mqtt_by_qos: [[u64; QOS]; 2],
            pub(in crate::broker) listeners: Vec<(String, u64)>,
            /// Connections that are open, by what they speak, where it was asked.
            pub(crate) spoken: Vec<(&'static str, u64)>,
            /// Messages on their way to clients of MQTT, where it was asked.
            pub(crate) inflight: Option<u64>,
            /// What the system says of the process, where it was asked.
            pub(crate) process: Option<Process>,
            /// What is known of streams and consumers, where they were asked.
            pub(crate) streams: Vec<StreamNumbers>,
            $(pub(in crate::broker) $timed: Durations,)*
        }

        /// Every number that has a name in the answer to a `stats`, in the order of
        /// [`Stats::values`].
        ///
        /// ```
        /// for metric in babelmq::METRICS {
        ///     println!("{} ({}): {}", metric.name, metric.kind.name(), metric.help);
        /// }
        /// ```
        pub const METRICS: &[Metric] = &[
            $(Metric {
                name: stringify!($session),
                kind: MetricKind::$session_kind,
                unit: Unit::$session_unit,
                prometheus: $session_prometheus,
                labels: &[$($($session_label),*)?],
                help: $session_help,
            },)*
            $(Metric {
                name: stringify!($own),
                kind: MetricKind::$own_kind,
                unit: Unit::$own_unit,
                prometheus: $own_prometheus,
                labels: &[$($($own_label),*)?],
                help: $own_help,
            },)*
            $(Metric {
                name: stringify!($now),
                kind: MetricKind::$now_kind,
                unit: Unit::$now_unit,
                prometheus: $now_prometheus,
                labels: &[],
                help: $now_help,
            },)*
            $(Metric {
                name: stringify!($derived),
                kind: MetricKind::$derived_kind,
                unit: Unit::$derived_unit,
                prometheus: $derived_prometheus,
                labels: &[],
                help: $derived_help,
            },)*
        ];

        /// What Prometheus is told beside that: what is no number of a broker, or more than one.
        pub const SCRAPED: &[Metric] = &[
            $(Metric {
                name: stringify!($scraped),
                kind: MetricKind::$scraped_kind,
                unit: Unit::$scraped_unit,
                prometheus: $scraped_prometheus,
                labels: &[$($scraped_label),*],
                help: $scraped_help,
            },)*
            $(Metric {
                name: stringify!($timed),
                kind: MetricKind::Histogram,
                unit: Unit::Seconds,
                prometheus: $timed_prometheus,
                labels: &[],
                help: $timed_help,
            },)*
        ];

        impl Counters {
            /// Writes the counters into a snapshot of the dispatcher's, once.
            pub fn fill(&self, stats: &mut Stats) {
                let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                $(stats.$session = read(&self.$session);)*
                $(stats.$timed = self.$timed.durations();)*
                stats.translated_in = std::array::from_fn(|from| {
                    std::array::from_fn(|to| read(&self.translated_in[from][to]))
                });
                stats.mqtt_by_qos =
                    self.mqtt_by_qos.each_ref().map(|parts| parts.each_ref().map(read));
                // Writers read streams themselves; the dispatcher has counted all else.
                for (parts, streamed) in stats.delivered_in.iter_mut().zip(&self.streamed_in) {
                    *parts += read(streamed);
                    stats.delivered += read(streamed);
                }
                let listeners = self.listeners.iter();
                stats.listeners = listeners.map(|(url, open)| (url.clone(), read(open))).collect();
            }
        }

        impl Counts {
            /// The same for those of the dispatcher.
            pub(super) fn fill(&self, stats: &mut Stats) {
                $(stats.$own = self.$own;)*
                stats.published_in = self.published_in;
                stats.delivered_in = self.delivered_in;
                stats.dropped_by = self.dropped_by;
            }
        }

        impl Stats {
            /// Every number that has a name, in the order of [`METRICS`].
            pub fn values(&self) -> impl Iterator<Item = (&'static Metric, u64)> + use<> {
                let values = [$(self.$session,)* $(self.$own,)* $(self.$now,)* $($of(self),)*];
                METRICS.iter().zip(values)
            }

            /// All that Prometheus is told, in the order of [`METRICS`] and [`SCRAPED`].
            pub fn samples(&self) -> impl Iterator<Item = (&'static Metric, Samples)> + use<> {
                let samples = [
                    $(parts_or([$(self.$session_parts())?], self.$session),)*
                    $(parts_or([$(self.$own_parts())?], self.$own),)*
                    $(parts_or([], self.$now),)*
                    $(Samples::Numbers(self.$derived_parts()),)*
                    $(Samples::Numbers(self.$scraped_parts()),)*
                    $(Samples::Histogram(self.$timed.clone()),)*
                ];
                METRICS.iter().chain(SCRAPED).zip(samples)
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
        connections: Counter, Connections, "babelmq_connections_accepted_total",
            "Connections accepted.";
        open: Gauge, Connections, "babelmq_connections" by ["listener"] open_at,
            "Connections that are open.";
        turned_away: Counter, Connections, "babelmq_connections_turned_away_total",
            "Connections turned away at a limit.";
        failed_handshakes: Counter, Connections, "babelmq_handshakes_failed_total",
            "Connections whose TLS handshake failed.";
        certificate_expires: Gauge, Seconds, "babelmq_certificate_expiry_timestamp_seconds"
            by [] certificate_end, "When the broker's certificate ends, in seconds since \
        1970; 0 where there is none, of which Prometheus is told nothing.";
        refused: Counter, Requests, "babelmq_requests_refused_total",
            "Requests refused, messages and frames alike.";
        logins_failed: Counter, Requests, "babelmq_logins_failed_total",
            "Logins with a wrong password, token or name.";
        frame_timeouts: Counter, Frames, "babelmq_frame_timeouts_total",
            "Frames that were begun and not finished in time.";
        write_timeouts: Counter, Connections, "babelmq_write_timeouts_total",
            "Clients that took too little of what was written to them for too long.";
        vanished: Counter, Connections, "babelmq_connections_vanished_total",
            "Clients that the keepalive found gone.";
        bytes_in: Counter, Bytes, "babelmq_bytes_received_total", "Bytes received.";
        bytes_out: Counter, Bytes, "babelmq_bytes_sent_total", "Bytes sent.";
        translated: Counter, Messages, "babelmq_messages_translated_total"
            by ["from", "to"] translated_between, "Messages encoded for subscribers of another \
        format, or another dialect, than they were published in; however many share a translation, \
        it is one.";
        encoding_failures: Counter, Messages, "babelmq_encoding_failures_total", "Messages that \
        could not be encoded although they were judged: a bug if it is not 0.";
        panics: Counter, Failures, "babelmq_panics_total", "Sessions and writers that ended by a \
        panic: a bug if it is not 0.";
        mqtt_received: Counter, Messages, "babelmq_mqtt_messages_received_total"
            by ["qos"] received_by_qos, "Messages that clients of MQTT have sent, refused and \
        repeated ones among them.";
        mqtt_sent: Counter, Messages, "babelmq_mqtt_messages_sent_total" by ["qos"] sent_by_qos,
            "Messages that were sent to clients of MQTT, repeated ones among them.";
        mqtt_sessions: Gauge, Sessions, "babelmq_mqtt_sessions",
            "Sessions of MQTT, those whose clients are away among them.";
        mqtt_away: Gauge, Sessions, "babelmq_mqtt_sessions_away",
            "Sessions of MQTT whose clients are away.";
        mqtt_taken_over: Counter, Sessions, "babelmq_mqtt_sessions_taken_over_total",
            "Sessions of MQTT that a connection took from another one.";
        mqtt_expired: Counter, Sessions, "babelmq_mqtt_sessions_expired_total",
            "Sessions of MQTT that ended because their clients were away for too long.";
    }
    dispatcher {
        published: Counter, Messages, "babelmq_messages_published_total"
            by ["format"] published_by_format, "Messages published.";
        delivered: Counter, Messages, "babelmq_messages_delivered_total"
            by ["format"] delivered_by_format, "Messages put into outboxes, and read from streams for \
        their subscribers, counted for each subscriber.";
        snapshot_values: Counter, Values, "babelmq_snapshot_values_total",
            "Stored values sent to new subscribers.";
        slow_consumers: Counter, Connections, "babelmq_slow_consumers_total",
            "Subscribers cut off because they did not keep up.";
        dropped: Counter, Messages, "babelmq_messages_dropped_total" by ["policy"] dropped_by_policy,
            "Messages that subscriptions with `drop-oldest` or `latest` let go for newer ones.";
        store_refused: Counter, Messages, "babelmq_messages_refused_store_full_total",
            "Messages refused because the store is full.";
        expired: Counter, Values, "babelmq_values_expired_total",
            "Values whose time to live was over.";
        kept: Counter, Messages, "babelmq_messages_kept_total",
            "Messages handed to streams, counted for each stream.";
        repeated: Counter, Messages, "babelmq_messages_repeated_total",
            "Messages left out because their streams have one with the same id.";
        shared_unremembered: Counter, Messages, "babelmq_shared_unremembered_total",
            "Messages of shared topics that were delivered and not remembered, for want of room.";
    }
    now {
        subscriptions: Gauge, Subscriptions, "babelmq_subscriptions", "Subscriptions that exist.";
        topics: Gauge, Topics, "babelmq_topics", "Topics that hold a value.";
        stored_bytes: Gauge, Bytes, "babelmq_stored_bytes", "Bytes of the values that are stored.";
        stored_cost: Gauge, Bytes, "babelmq_stored_cost_bytes", "The same with what their topics \
        cost, as it counts for the limit of stored bytes.";
        unsaved_clears: Gauge, Topics, "babelmq_unsaved_clears", "Topics that were cleared and \
        that the store may still have.";
    }
    derived {
        unsaved_ms: Gauge, Milliseconds, "babelmq_unsaved_seconds" by [] unsaved_seconds,
            "How long the oldest change that is not in the store has been waiting; 0 where there \
        is none, or no store.",
            |stats: &Stats| u64::try_from(stats.unsaved.as_millis()).unwrap_or(u64::MAX);
    }
    scraped {
        clients: Gauge, Connections, "babelmq_clients" by ["protocol"] clients_by_protocol,
            "Connections that are open, by what they speak.";
        mqtt_inflight: Gauge, Messages, "babelmq_mqtt_inflight_messages" by [] mqtt_inflight,
            "Messages of QoS 1 and 2 that are on their way to clients of MQTT.";
        memory_use: Gauge, Bytes, "babelmq_memory_bytes" by ["use"] memory_by_use,
            "Bytes that are claimed of the broker's budget of memory.";
        memory_use_limit: Gauge, Bytes, "babelmq_memory_use_limit_bytes" by ["use"]
            memory_limit_by_use, "Bytes that each use may have of it at most.";
        memory_limit: Gauge, Bytes, "babelmq_memory_limit_bytes" by [] memory_limit,
            "Bytes of memory that the broker may use, all in all.";
        build: Gauge, None, "babelmq_build_info" by ["version"] build,
            "Which broker this is; the number is always 1.";
        process_start: Gauge, Seconds, "process_start_time_seconds" by [] process_start,
            "When the process began, in seconds since 1970.";
        process_resident: Gauge, Bytes, "process_resident_memory_bytes" by [] process_resident,
            "Bytes of memory that the process has in use.";
        process_open_files: Gauge, Files, "process_open_fds" by [] process_open_files,
            "File descriptors that the process has open.";
        process_most_files: Gauge, Files, "process_max_fds" by [] process_most_files,
            "File descriptors that the process may have open.";
        process_cpu: Counter, Seconds, "process_cpu_seconds_total" by [] process_cpu,
            "Seconds of processors that the process has taken.";
        shared_connected: Gauge, None, "babelmq_shared_connected" by ["stream"] shared_connected,
            "1 where the stream of shared topics can be reached, and 0 where it cannot.";
        shared_reconnects: Counter, Connections, "babelmq_shared_reconnects_total" by ["stream"]
            shared_reconnects, "Times that the stream of shared topics could be reached again.";
        shared_lag: Gauge, Messages, "babelmq_shared_lag_messages" by ["stream"] shared_lag,
            "Messages of shared topics that are in the stream and not delivered here yet.";
        shared_unconfirmed: Gauge, Messages, "babelmq_shared_unconfirmed_messages" by ["stream"]
            shared_unconfirmed,
            "Messages of shared topics that were published here and are not confirmed yet.";
        shared_rejected: Counter, Messages, "babelmq_shared_rejected_total" by ["stream"]
            shared_rejected, "Messages of the stream of shared topics that are none here: a topic \
            or payload that cannot be read.";
        shared_refused: Counter, Messages, "babelmq_shared_refused_total" by ["stream"]
            shared_refused, "Messages of shared topics that were published here and refused, or \
            given up.";
        stream_messages: Gauge, Messages, "babelmq_stream_messages" by ["stream"] stream_messages,
            "Messages that a stream keeps.";
        stream_bytes: Gauge, Bytes, "babelmq_stream_bytes" by ["stream"] stream_bytes,
            "Bytes that a stream takes on the disk.";
        stream_first: Gauge, Messages, "babelmq_stream_first_seq" by ["stream"] stream_first,
            "The number of the first message that a stream keeps.";
        stream_next: Gauge, Messages, "babelmq_stream_next_seq" by ["stream"] stream_next,
            "The number that the next message of a stream will have.";
        stream_damaged: Gauge, Messages, "babelmq_stream_damaged_messages" by ["stream"]
            stream_damaged, "Messages of a stream that cannot be read, as far as is known.";
        stream_state: Gauge, None, "babelmq_stream_state" by ["stream", "state"] stream_state,
            "1 for the state that a stream is in, and 0 for the others.";
        stream_consumers: Gauge, Consumers, "babelmq_stream_consumers" by ["stream"]
            stream_consumers, "Consumers that a stream has.";
        consumer_lag: Gauge, Messages, "babelmq_consumer_lag_messages" by ["stream", "consumer"]
            consumer_lag, "Messages that a consumer has not settled, outstanding ones among them.";
        consumer_outstanding: Gauge, Messages, "babelmq_consumer_outstanding_messages"
            by ["stream", "consumer"] consumer_outstanding,
            "Messages that the members of a consumer have and have not settled.";
        consumer_members: Gauge, Subscriptions, "babelmq_consumer_members"
            by ["stream", "consumer"] consumer_members, "Members that a consumer has.";
        consumer_redelivered: Counter, Messages, "babelmq_consumer_redelivered_total"
            by ["stream", "consumer"] consumer_redelivered,
            "Deliveries to a consumer that were not the first of their message.";
        consumer_dead: Counter, Messages, "babelmq_consumer_dead_letters_total"
            by ["stream", "consumer"] consumer_dead,
            "Messages of a consumer that became dead letters.";
    }
    timed {
        routing: IN_MEMORY, "babelmq_routing_seconds", "How long a step of the dispatcher took: \
        what one read of a client brought, or another event. One step of 17 is measured.";
        fsync: ON_A_DISK, "babelmq_fsync_seconds", "How long the store took to write a round of \
        changes down, and to make sure of it where it does.";
        ack: ON_A_DISK, "babelmq_ack_seconds", "How long a ping that asks for what is on the disk \
        waited for its pong.";
    }
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
