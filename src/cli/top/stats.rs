//! What a broker says of itself, and what of it is a rate.

use std::collections::HashMap;
use std::time::Instant;

use serde::Deserialize;

use crate::broker::METRICS;
use crate::codec::Message;
use crate::middleware::QueueError;

/// The `message` of a `stats`, as far as it is shown; see `docs/protocol.md`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stats {
    pub(super) version: String,
    pub(super) uptime: f64,
    pub(super) memory: u64,
    pub(super) counters: HashMap<String, u64>,
    pub(super) published_in: HashMap<String, u64>,
    pub(super) topics: Vec<TopicStats>,
    pub(super) subscribers: Vec<Subscriber>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct TopicStats {
    pub(super) topic: String,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Subscriber {
    pub(super) client: u64,
    pub(super) peer: String,
    /// These five are told of a session of MQTT.
    pub(super) protocol_version: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) connected: Option<bool>,
    pub(super) inflight: Option<u64>,
    pub(super) receive_maximum: Option<u64>,
    pub(super) format: String,
    pub(super) topics: Vec<String>,
    pub(super) subscriptions: u64,
    pub(super) waiting: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
}

impl Stats {
    pub(super) fn read(message: &Message) -> Result<Stats, QueueError> {
        serde_json::from_slice(message.bytes())
            .map_err(|error| QueueError::Protocol(error.to_string()))
    }

    pub(super) fn counter(&self, name: &str) -> u64 {
        debug_assert!(
            METRICS.iter().any(|metric| metric.name == name),
            "no counter is called {name}"
        );
        self.counters.get(name).copied().unwrap_or_default()
    }
}

/// The last two answers.
pub(super) struct Rates {
    pub(super) now: Stats,
    before: Option<Stats>,
    topics_before: HashMap<String, u64>,
    delivered_before: HashMap<u64, u64>,
    at: Instant,
    /// Seconds between the two.
    between: f64,
}

impl Rates {
    pub(super) fn new(first: Stats) -> Rates {
        Rates {
            now: first,
            before: None,
            topics_before: HashMap::new(),
            delivered_before: HashMap::new(),
            at: Instant::now(),
            between: 1.0,
        }
    }

    pub(super) fn renew(&mut self, next: Stats) {
        let at = Instant::now();
        self.between = at.duration_since(self.at).as_secs_f64().max(1e-3);
        self.at = at;
        self.topics_before =
            self.now.topics.iter().map(|t| (t.topic.clone(), t.messages)).collect();
        self.delivered_before =
            self.now.subscribers.iter().map(|s| (s.client, s.delivered)).collect();
        self.before = Some(std::mem::replace(&mut self.now, next));
    }

    /// How fast a counter grows, a second.
    pub(super) fn of(&self, name: &str) -> f64 {
        self.rate(self.now.counter(name), self.before.as_ref().map(|before| before.counter(name)))
    }

    pub(super) fn published_in(&self, format: &str) -> f64 {
        let count = |stats: &Stats| stats.published_in.get(format).copied().unwrap_or_default();
        self.rate(count(&self.now), self.before.as_ref().map(count))
    }

    /// The topics, those with most messages a second first.
    pub(super) fn topics(&self) -> Vec<(&TopicStats, f64)> {
        let rate =
            |t: &TopicStats| self.rate(t.messages, self.topics_before.get(&t.topic).copied());
        let mut topics: Vec<_> = self.now.topics.iter().map(|topic| (topic, rate(topic))).collect();
        topics.sort_by(|(one, fast), (other, slow)| {
            slow.total_cmp(fast).then_with(|| one.topic.cmp(&other.topic))
        });
        topics
    }

    pub(super) fn delivered_to(&self, subscriber: &Subscriber) -> f64 {
        self.rate(subscriber.delivered, self.delivered_before.get(&subscriber.client).copied())
    }

    /// What was not there before has no rate yet.
    fn rate(&self, now: u64, before: Option<u64>) -> f64 {
        before.map_or(0.0, |before| now.saturating_sub(before) as f64 / self.between)
    }
}
