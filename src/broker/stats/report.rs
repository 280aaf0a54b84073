//! The answer to a `stats`: what a person who looks at a broker wants to see.

use crate::broker::client_id::ClientId;
use crate::broker::client_report::SessionReport;
use crate::broker::peer::Peer;
use crate::broker::stats::{Counters, Stats};
use crate::protocol::{Format, Topic, Value};

/// Characters of a client identifier of MQTT that are told of each subscriber.
const CLIENT_ID: usize = 64;

/// The dispatcher's part of the answer; the writer adds the rest.
#[derive(Debug)]
pub struct Report {
    pub(in crate::broker) stats: Stats,
    /// Some of the topics, those that were published last.
    pub(in crate::broker) topics: Vec<TopicReport>,
    /// Some of the connections that subscribe, those with most waiting.
    pub(in crate::broker) subscribers: Vec<SubscriberReport>,
}

#[derive(Debug)]
pub(in crate::broker) struct TopicReport {
    pub(in crate::broker) topic: Topic,
    /// Messages that were stored there.
    pub(in crate::broker) messages: u64,
    /// Bytes of its last value.
    pub(in crate::broker) bytes: u64,
}

#[derive(Debug)]
pub(in crate::broker) struct SubscriberReport {
    pub(in crate::broker) client: ClientId,
    pub(in crate::broker) peer: Peer,
    pub(in crate::broker) format: Format,
    /// Some of its subscriptions, and how many there are.
    pub(in crate::broker) topics: Vec<String>,
    pub(in crate::broker) subscriptions: u64,
    pub(in crate::broker) waiting: u64,
    pub(in crate::broker) waiting_bytes: u64,
    pub(in crate::broker) delivered: u64,
    pub(in crate::broker) dropped: u64,
}

/// A dict in the making.
fn dict<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Dict(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn int(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Report {
    /// About how many bytes of memory it takes.
    pub(in crate::broker) fn weight(&self) -> usize {
        const TEXTS: usize = 64;
        self.topics.len() * (size_of::<TopicReport>() + TEXTS)
            + self.subscribers.len() * (size_of::<SubscriberReport>() + TEXTS)
    }

    /// The `message` of the answer, with what sessions and writers count, the memory of the
    /// process, in bytes, and what is known of a connection that is a session of MQTT.
    pub fn complete(
        mut self,
        counters: &Counters,
        memory: u64,
        session_of: impl Fn(ClientId) -> Option<SessionReport>,
    ) -> Value {
        counters.fill(&mut self.stats);
        let uptime = counters.started.0.elapsed();
        let counters = self.stats.values().map(|(metric, value)| (metric.name.into(), int(value)));
        let claimed = self.stats.memory_claimed().map(|(name, bytes)| (name.into(), int(bytes)));
        let Stats { published_in, memory_budget, .. } = self.stats;
        let budget = [("total".into(), int(memory_budget))].into_iter().chain(claimed).collect();
        let subscriber = |it: SubscriberReport| {
            let session = session_of(it.client);
            it.into_value(session.as_ref())
        };
        let formats =
            Format::ALL.iter().zip(published_in).map(|(f, count)| (f.name().into(), int(count)));
        dict([
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("uptime", uptime.as_secs_f64().into()),
            ("memory", int(memory)),
            ("memory_budget", Value::Dict(budget)),
            ("counters", Value::Dict(counters.collect())),
            ("published_in", Value::Dict(formats.collect())),
            ("topics", Value::List(self.topics.into_iter().map(TopicReport::into_value).collect())),
            ("subscribers", Value::List(self.subscribers.into_iter().map(subscriber).collect())),
        ])
    }
}

impl TopicReport {
    fn into_value(self) -> Value {
        dict([
            ("topic", self.topic.as_str().into()),
            ("messages", int(self.messages)),
            ("bytes", int(self.bytes)),
        ])
    }
}

impl SubscriberReport {
    fn into_value(self, session: Option<&SessionReport>) -> Value {
        let begin = [("client", int(self.client.0)), ("peer", self.peer.to_string().into())];
        let protocol = session.map(|_| ("protocol", "mqtt".into()));
        let of_session = session.into_iter().flat_map(|it| it.members(CLIENT_ID));
        let end = [
            ("format", self.format.name().into()),
            ("topics", Value::List(self.topics.into_iter().map(Value::Str).collect())),
            ("subscriptions", int(self.subscriptions)),
            ("waiting", int(self.waiting)),
            ("waiting_bytes", int(self.waiting_bytes)),
            ("delivered", int(self.delivered)),
            ("dropped", int(self.dropped)),
        ];
        let members = begin.into_iter().chain(protocol).chain(of_session).chain(end);
        Value::Dict(members.map(|(name, value)| (name.into(), value)).collect())
    }
}
