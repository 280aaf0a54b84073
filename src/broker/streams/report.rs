//! What there is to be said of streams and consumers, and a topic's last messages: answers that a
//! writer completes, because that reads the disk or waits for a stream's thread.

use std::sync::Arc;
use std::time::Duration;

use super::consumer::{ConsumerReport, ConsumerSettings, Order};
use super::definition::StreamDefinition;
use super::log::{Cursor, Found, LogReader, Record};
use super::state::{Condition, StreamState};
use crate::broker::persist::StoreError;
use crate::broker::shared::SharedNumbers;
use crate::broker::stats::{ConsumerNumbers, StreamNumbers};
use crate::broker::sync::Receiver;
use crate::codec::Dialect;
use crate::protocol::{Token, Topic, Value};

/// How long a stream's thread may take to say what it knows, before it is left out: it may wait for
/// a disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of a stream without asking its thread.
#[derive(Clone, Debug)]
pub struct StreamSummary {
    pub(in crate::broker) definition: StreamDefinition,
    pub(in crate::broker) reader: Arc<dyn LogReader>,
    pub(in crate::broker) state: Arc<StreamState>,
}

impl StreamSummary {
    /// The definition.
    pub fn definition(&self) -> &StreamDefinition {
        &self.definition
    }

    /// Messages that it keeps.
    pub fn messages(&self) -> u64 {
        self.reader.messages()
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    /// Why it cannot be written to at present; `None` where it can.
    pub fn failure(&self) -> Option<String> {
        (self.state.condition() == Condition::Failing).then(|| self.state.reason())
    }

    /// How it stands with the backbone, if it is a stream of that.
    pub fn shared(&self) -> Option<SharedNumbers> {
        let (unconfirmed, _) = self.state.unwritten();
        self.state.shared().map(|shared| {
            let mut numbers = shared.numbers();
            if numbers.is_connected && self.state.condition() == Condition::Open {
                numbers.reason.clear();
            }
            numbers.stream.clone_from(&self.definition.name);
            SharedNumbers { unconfirmed, ..numbers }
        })
    }

    /// What monitors are told, with what its thread says of its consumers, if it does.
    pub fn numbers(&self, said: Option<StreamReport>) -> StreamNumbers {
        let StreamSummary { definition, reader, state } = self;
        let of_one = |ConsumerEntry { name, report, .. }: ConsumerEntry| ConsumerNumbers {
            consumer: (*name).to_owned(),
            lag: report.pending,
            outstanding: report.outstanding,
            members: report.members as u64,
            redelivered: report.redelivered,
            dead: report.dead,
        };
        StreamNumbers {
            stream: definition.name.clone(),
            messages: self.messages(),
            bytes: reader.bytes(),
            first: reader.first(),
            next: reader.next(),
            damaged: reader.damaged(),
            shared: self.shared(),
            state: match state.condition() {
                Condition::Failing => "failing",
                _ if said.is_none() => "silent",
                Condition::Full => "full",
                Condition::Open => "ok",
            },
            consumers: said.map(|said| said.consumers.into_iter().map(of_one).collect()),
        }
    }

    /// What a message that it keeps is to somebody who looks at it; `None` where it is not kept, or
    /// cannot be read any more. This waits for the disk.
    ///
    /// # Errors
    /// [`StoreError`] where the disk cannot be read.
    pub fn look_at<T>(
        &self,
        seq: u64,
        look: impl FnOnce(Record<'_>) -> T,
    ) -> Result<Option<T>, StoreError> {
        let mut cursor = self.reader.cursor(seq);
        Ok(match cursor.read()? {
            Some(Found::Record(record)) if record.seq == seq => Some(look(record)),
            _ => None,
        })
    }

    /// As clients are told.
    pub fn to_value(&self) -> Value {
        let StreamSummary { definition, reader, state } = self;
        let or_none = |count: Option<u64>| count.map_or(Value::None, number);
        let (word, mut reason) = match state.condition() {
            Condition::Open => ("ok", None),
            Condition::Full => ("full", None),
            Condition::Failing => ("failing", Some(state.reason())),
        };
        let mut fields = vec![
            ("stream", Value::from(definition.name.as_str())),
            ("filter", Value::from(definition.filter.as_str())),
            ("messages", number(self.messages())),
            ("bytes", number(reader.bytes())),
            ("first", number(reader.first())),
            ("next", number(reader.next())),
            ("age", or_none(definition.age.map(|age| age.as_secs()))),
            ("max-bytes", or_none(definition.bytes)),
            ("max-messages", or_none(definition.messages)),
            ("full", Value::from(definition.full.as_str())),
            ("consumers", number(state.consumers() as u64)),
            ("damaged", number(reader.damaged())),
            ("state", Value::from(word)),
        ];
        if let Some(shared) = self.shared() {
            fields.extend([
                ("shared", Value::Bool(true)),
                ("connected", Value::Bool(shared.is_connected)),
                ("lag", number(shared.lag)),
                ("unconfirmed", number(shared.unconfirmed)),
            ]);
            reason = Some(shared.reason).filter(|reason| !reason.is_empty());
        }
        fields.extend(reason.map(|reason| ("reason", Value::from(reason))));
        dict(fields)
    }
}

/// A consumer, as its stream's thread knows it.
#[derive(Clone, Debug)]
pub struct ConsumerEntry {
    /// Its name.
    pub name: Arc<str>,
    /// What it was asked to be.
    pub settings: ConsumerSettings,
    /// How far it is.
    pub report: ConsumerReport,
}

impl ConsumerEntry {
    /// As clients are told, who know it by its stream.
    pub fn to_value(&self, stream: &str) -> Value {
        let ConsumerEntry { name, settings, report } = self;
        let seconds = |time: &Duration| Value::from(time.as_secs_f64());
        dict(vec![
            ("stream", Value::from(stream)),
            ("consumer", Value::from(&**name)),
            ("filter", Value::from(settings.filter.as_str())),
            ("members", number(report.members as u64)),
            ("window", number(u64::from(settings.window))),
            ("ack-wait", seconds(&settings.ack_wait)),
            ("max-deliver", number(u64::from(settings.max_deliver))),
            ("backoff", Value::List(settings.backoff.iter().map(seconds).collect())),
            ("order", Value::from(if settings.order == Order::ByTopic { "topic" } else { "none" })),
            ("floor", number(report.floor)),
            ("next-seq", number(report.next)),
            ("outstanding", number(report.outstanding)),
            ("pending", number(report.pending)),
            ("redelivered", number(report.redelivered)),
            ("dead", number(report.dead)),
        ])
    }
}

/// What a stream's thread knows.
#[derive(Clone, Debug, Default)]
pub struct StreamReport {
    /// Its consumers, by name.
    pub consumers: Vec<ConsumerEntry>,
}

/// A stream's thread that was asked for its consumers.
#[derive(Debug)]
pub struct Asked {
    pub(in crate::broker) stream: String,
    pub(in crate::broker) report: Receiver<StreamReport>,
}

impl Asked {
    /// The stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Waits for what the thread says; `None` where it says nothing for two seconds.
    pub fn wait(&self) -> Option<StreamReport> {
        self.wait_for(PATIENCE)
    }

    /// The same for as long as the caller has patience.
    pub fn wait_for(&self, patience: Duration) -> Option<StreamReport> {
        self.report.recv_timeout(patience).ok()
    }
}

/// The consumers of streams, as clients are told. Those of a stream whose thread waits for a disk
/// are left out.
pub fn consumers_to_value(asked: &[Asked]) -> Value {
    let of_stream = |asked: &Asked| {
        let report = asked.wait().unwrap_or_default();
        report.consumers.into_iter().map(|entry| entry.to_value(&asked.stream)).collect()
    };
    Value::List(asked.iter().flat_map(|asked| -> Vec<Value> { of_stream(asked) }).collect())
}

/// A count, as an integer of 64 bits.
pub(super) fn number(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A dict of these fields.
pub(super) fn dict(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Dict(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// The question for the last messages of a topic.
#[derive(Debug)]
pub struct LastMessages {
    pub(in crate::broker) reader: Arc<dyn LogReader>,
    pub(in crate::broker) state: Arc<StreamState>,
    pub(in crate::broker) topic: Topic,
    pub(in crate::broker) last: u32,
    pub(in crate::broker) dialect: Dialect,
    pub(in crate::broker) token: Token,
}

impl LastMessages {
    /// The topic.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The stream.
    pub fn stream(&self) -> &str {
        self.state.name()
    }

    /// How they are written.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What the answer brings back.
    pub fn token(&self) -> Token {
        self.token
    }

    /// The numbers of the messages, ascending, and a place to read them from.
    ///
    /// # Errors
    /// [`StoreError`] where the disk cannot be read.
    pub fn find(&self) -> Result<(Vec<u64>, Box<dyn Cursor>), StoreError> {
        let all = self.reader.last_of_topic(self.topic.name(), self.last as usize)?;
        Ok((all, self.reader.cursor(self.state.readable())))
    }
}
