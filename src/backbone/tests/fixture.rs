//! A server with a stream, lines to it, and a client that knows nothing of this house.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap};

use super::super::thread::runtime;
use super::super::{Jetstream, JetstreamOptions, subject};
use super::PATIENCE;
use super::nats::NatsServer;
use crate::broker::sync::{Receiver, unbounded};
use crate::broker::{
    Arrived, Backbone, BackboneLine, FromBackbone, HowSettled, Incoming, JoinShared, JoinedShared,
    Outgoing, Position, SharedContent, SharedMessage, SharedPayload, SharedPlan, SharedReport,
    SharedTopics, ToBackbone,
};
use crate::codec::Encoding;
use crate::protocol::{Format, Start, Topic, TopicFilter};

/// A client of NATS as anybody has one.
pub(super) struct Plain {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Plain {
    pub(super) fn connect(server: &NatsServer) -> Plain {
        let runtime = runtime().unwrap();
        let client = runtime.block_on(async_nats::connect(server.url())).unwrap();
        Plain { runtime, client }
    }

    /// Makes a stream of these topics, or makes it anew, with what `change` does to it.
    pub(super) fn make(&self, topics: &str, change: impl FnOnce(&mut stream::Config)) {
        let topics: SharedTopics = topics.parse().unwrap();
        let mut config = stream::Config {
            name: topics.stream,
            subjects: subject::of_filter(&topics.filter),
            ..stream::Config::default()
        };
        change(&mut config);
        self.with(async |jetstream| drop(jetstream.create_stream(config).await.unwrap()));
    }

    pub(super) fn remove(&self, stream: &str) {
        let removed = self.with(async |jetstream| jetstream.delete_stream(stream).await.unwrap());
        assert!(removed.success);
    }

    fn with<T>(&self, what: impl AsyncFnOnce(jetstream::Context) -> T) -> T {
        let client = self.client.clone();
        self.runtime.block_on(async { what(jetstream::new(client)).await })
    }

    /// Publishes, and waits until the stream has it; its number there.
    pub(super) fn publish(
        &self,
        subject: &str,
        headers: &[(&'static str, &str)],
        text: &str,
    ) -> u64 {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.insert(*name, *value));
        let (subject, payload) = (subject.to_owned(), text.to_owned());
        self.with(async |jetstream| {
            let published = jetstream.publish_with_headers(subject, map, payload.into()).await;
            published.unwrap().await.unwrap().sequence
        })
    }

    /// How many messages a stream keeps.
    pub(super) fn messages(&self, stream: &str) -> u64 {
        self.with(async |jetstream| {
            jetstream.get_stream(stream).await.unwrap().cached_info().state.messages
        })
    }
}

/// A server that has a stream of `orders/#`.
pub(super) fn with_orders() -> (NatsServer, Plain) {
    let server = NatsServer::start();
    let plain = Plain::connect(&server);
    plain.make("orders/#", |_| ());
    (server, plain)
}

/// A line, as a broker has it, and what came of it that was not asked for yet.
pub(super) struct Line {
    line: Box<dyn BackboneLine>,
    heard: Receiver<FromBackbone>,
    waiting: VecDeque<FromBackbone>,
    number: u64,
}

impl Line {
    /// A line for `orders/#`, of a broker of its own.
    pub(super) fn open(server: &NatsServer, position: Option<Position>) -> Line {
        Line::at(&server.url(), "orders/#", position)
    }

    /// A line to servers by their addresses.
    pub(super) fn at(servers: &str, topics: &str, position: Option<Position>) -> Line {
        Line::with(JetstreamOptions::new(servers).unwrap(), topics, position)
    }

    pub(super) fn with(
        options: JetstreamOptions,
        topics: &str,
        position: Option<Position>,
    ) -> Line {
        let mut backbone = Jetstream::new(options);
        let plan = SharedPlan { topics: topics.parse().unwrap(), position };
        let (said, heard) = unbounded();
        let line = backbone.open(plan, said).unwrap();
        Line { line, heard, waiting: VecDeque::new(), number: 0 }
    }

    pub(super) fn hand(&self, what: ToBackbone) {
        self.line.send(what);
    }

    /// Hands over a message; its number.
    pub(super) fn publish(&mut self, message: SharedMessage, id: Option<&str>) -> u64 {
        self.number += 1;
        let (number, id) = (self.number, id.map(Into::into));
        self.hand(ToBackbone::Publish(vec![Outgoing { number, id, message }]));
        number
    }

    pub(super) fn publish_text(&mut self, topic: &str, text: &str) -> u64 {
        self.publish(message(topic, text), None)
    }

    /// The next thing that `pick` wants; what it does not want stays.
    pub(super) fn wait<T>(&mut self, what: &str, pick: impl Fn(&FromBackbone) -> Option<T>) -> T {
        if let Some(at) = self.waiting.iter().position(|said| pick(said).is_some()) {
            return pick(&self.waiting.remove(at).unwrap()).unwrap();
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let said = self.heard.recv_timeout(until.saturating_duration_since(Instant::now()));
            let said = said.unwrap_or_else(|_| panic!("no {what}, but {:?}", self.waiting));
            let before = self.waiting.len();
            self.waiting.extend(each(said));
            let found = (before..self.waiting.len()).find(|at| pick(&self.waiting[*at]).is_some());
            if let Some(found) = found.and_then(|at| self.waiting.remove(at)) {
                return pick(&found).unwrap();
            }
        }
    }

    /// Nothing of the kind has come.
    pub(super) fn has_none<T>(&mut self, pick: impl Fn(&FromBackbone) -> Option<T>) -> bool {
        self.waiting.extend(self.heard.try_iter().flat_map(each));
        !self.waiting.iter().any(|said| pick(said).is_some())
    }

    pub(super) fn connected(&mut self) -> usize {
        self.wait("Connected", |said| match said {
            FromBackbone::Connected { max_payload } => Some(*max_payload),
            _ => None,
        })
    }

    pub(super) fn unavailable(&mut self) -> String {
        self.wait("Unavailable", |said| match said {
            FromBackbone::Unavailable { reason } => Some(reason.clone()),
            _ => None,
        })
    }

    pub(super) fn stored(&mut self) -> u64 {
        self.wait("Stored", |said| match said {
            FromBackbone::Stored { numbers } => numbers.first().copied(),
            _ => None,
        })
    }

    pub(super) fn refused(&mut self) -> (u64, String) {
        self.wait("Refused", |said| match said {
            FromBackbone::Refused { number, reason } => Some((*number, reason.clone())),
            _ => None,
        })
    }

    /// Messages as they arrive, until there are so many; the epoch and the last number that was
    /// said too.
    pub(super) fn arrived(&mut self, count: usize) -> (Vec<Incoming>, Position) {
        let (mut all, mut position) = (Vec::new(), None);
        while all.len() < count || position.is_none() {
            let (messages, at) = self.wait("Arrived", |said| match said {
                FromBackbone::Arrived(Arrived { epoch, messages, last, .. }) => {
                    Some((messages.clone(), Position { epoch: epoch.to_string(), seq: *last }))
                }
                _ => None,
            });
            all.extend(messages);
            position = Some(at);
        }
        assert_eq!(all.len(), count, "{all:?}");
        (all, position.unwrap())
    }

    /// Becomes a member of `billing` from the first message on.
    pub(super) fn join(&mut self, member: u64, window: u32) -> Result<u64, String> {
        self.join_as(JoinShared { window, ..wanted(member) })
    }

    pub(super) fn join_as(&mut self, wanted: JoinShared) -> Result<u64, String> {
        let of = wanted.member;
        self.hand(ToBackbone::Join(Box::new(wanted)));
        self.joined(of)
    }

    pub(super) fn joined(&mut self, of: u64) -> Result<u64, String> {
        self.begun(of).map(|at| at.pending)
    }

    pub(super) fn begun(&mut self, of: u64) -> Result<JoinedShared, String> {
        self.wait("Joined", |said| match said {
            FromBackbone::Joined { member, joined } if *member == of => Some(joined.clone()),
            _ => None,
        })
    }

    /// The next message of a member: its number, which attempt it is, and its text.
    pub(super) fn delivered(&mut self, of: u64) -> (u64, u32, String) {
        self.wait("Delivered", |said| delivered(said, of))
    }

    pub(super) fn settle(&self, member: u64, seq: u64, how: HowSettled, op: u64) {
        self.hand(ToBackbone::Settle { member, seq, how, op });
    }

    /// Waits until everything up to this is settled, and nothing behind it is.
    pub(super) fn settled_up_to(&mut self, op: u64) {
        let mut last = 0;
        while last < op {
            let before = last;
            last = self.wait("Settled", |said| match said {
                FromBackbone::Settled { op } => Some(*op),
                _ => None,
            });
            assert!(before < last && last <= op, "{before}, and then {last} of {op}");
        }
    }
}

/// What is said of several messages, one by one.
fn each(said: FromBackbone) -> Vec<FromBackbone> {
    match said {
        FromBackbone::Stored { numbers } => numbers
            .into_iter()
            .map(|number| FromBackbone::Stored { numbers: vec![number] })
            .collect(),
        FromBackbone::Delivered { member, messages } => messages
            .into_iter()
            .map(|message| FromBackbone::Delivered { member, messages: vec![message] })
            .collect(),
        said => vec![said],
    }
}

fn delivered(said: &FromBackbone, of: u64) -> Option<(u64, u32, String)> {
    match said {
        FromBackbone::Delivered { member, messages } if *member == of => {
            let (attempt, message) = messages.first()?;
            Some((message.seq, *attempt, text(message)))
        }
        _ => None,
    }
}

/// A member of `billing` from the first message on.
pub(super) fn wanted(member: u64) -> JoinShared {
    JoinShared {
        member,
        consumer: Some("billing".into()),
        filter: TopicFilter::parse("orders/#").unwrap(),
        start: Start::All,
        window: 100,
        bytes: 16 << 20,
        // Longer than anything is waited for.
        ack_wait: 10 * PATIENCE,
    }
}

pub(super) fn payload(bytes: &[u8]) -> SharedPayload {
    SharedPayload {
        encoding: Some(Encoding::Value(Format::Json)),
        bytes: bytes.to_vec(),
        retain: true,
        ttl: None,
        qos: None,
        properties: Box::default(),
    }
}

pub(super) fn message(topic: &str, text: &str) -> SharedMessage {
    let content = SharedContent::Payload(payload(text.as_bytes()));
    SharedMessage { topic: Topic::parse(topic).unwrap(), content }
}

/// What a message says.
pub(super) fn text(message: &Incoming) -> String {
    match &message.message.content {
        SharedContent::Cleared => "cleared".to_owned(),
        SharedContent::Payload(payload) => String::from_utf8_lossy(&payload.bytes).into_owned(),
    }
}

pub(super) fn texts(messages: &[Incoming]) -> Vec<String> {
    messages.iter().map(text).collect()
}

impl Line {
    /// What arrives next, as it comes.
    pub(super) fn arrived_with_room(&mut self) -> Arrived {
        let is_one = |said: &FromBackbone| matches!(said, FromBackbone::Arrived(_));
        loop {
            let at = self.waiting.iter().position(is_one);
            if let Some(FromBackbone::Arrived(arrived)) = at.and_then(|at| self.waiting.remove(at))
            {
                return arrived;
            }
            self.waiting.extend(each(self.heard.recv_timeout(PATIENCE).unwrap()));
        }
    }

    pub(super) fn has_none_arrived(&mut self) -> bool {
        self.has_none(|said| matches!(said, FromBackbone::Arrived(_)).then_some(()))
    }

    /// What the server says of the stream, behind all that was on its way.
    pub(super) fn ask_for_a_report(&mut self) -> SharedReport {
        self.hand(ToBackbone::Report { op: 1 });
        self.wait("Report", |said| match said {
            FromBackbone::Report { report, .. } => Some(report.clone()),
            _ => None,
        })
    }
}

impl Line {
    /// What has come for a member, if anything has; it is waited for a moment.
    pub(super) fn delivered_now(&mut self, of: u64) -> Option<(u64, u32)> {
        let moment = Duration::from_millis(20);
        self.waiting.extend(self.heard.recv_timeout(moment).into_iter().flat_map(each));
        self.waiting.extend(self.heard.try_iter().flat_map(each));
        let at = self.waiting.iter().position(|said| delivered(said, of).is_some())?;
        let (seq, attempt, _) = delivered(&self.waiting.remove(at)?, of)?;
        Some((seq, attempt))
    }

    /// What comes for a member until nothing comes for a moment.
    pub(super) fn delivered_at_once(&mut self, of: u64) -> Vec<(u64, u32)> {
        let (seq, attempt, _) = self.delivered(of);
        let mut all = vec![(seq, attempt)];
        let moment = Duration::from_millis(100);
        while let Ok(said) = self.heard.recv_timeout(moment) {
            self.waiting.extend(each(said));
        }
        self.waiting.retain(|said| match delivered(said, of) {
            Some((seq, attempt, _)) => {
                all.push((seq, attempt));
                false
            }
            None => true,
        });
        all
    }

    /// The next message of whichever member.
    pub(super) fn delivered_to_any(&mut self) -> (u64, u32) {
        self.wait("Delivered", |said| match said {
            FromBackbone::Delivered { messages, .. } => {
                messages.first().map(|(attempt, message)| (message.seq, *attempt))
            }
            _ => None,
        })
    }
}
