//! Streams and durable consumers, on the wire.
#![cfg(feature = "storage")]

mod administration;
mod budget;
mod checker;
mod clock;
mod consuming;
mod cuts;
mod damage;
mod dead;
mod disks;
mod following;
mod forgetful;
mod kills;
mod many;
mod mqtt_churn;
mod mqtt_lost;
mod mqtt_sessions;
mod publishing;
mod sharing;
mod straight;
mod trouble;

use std::path::{Path, PathBuf};

use babelmq::{
    Broker, BrokerHandle, Config, Format, Fsync, Storage, StreamDefinition, TopicFilter,
};

use crate::support::process::until;
use crate::support::{Client, Frame, config};

/// A directory of its own for a test.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("streams-{name}"));
    // What a failed run left behind.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A stream of everything below a topic.
fn stream(name: &str, filter: &str) -> StreamDefinition {
    StreamDefinition::new(name, TopicFilter::parse(filter).unwrap()).unwrap()
}

/// The usual stream of the tests.
fn orders() -> StreamDefinition {
    stream("orders", "orders/#")
}

/// A broker that keeps streams in a directory.
fn start_in(folder: &Path, streams: &[StreamDefinition]) -> BrokerHandle {
    start_with(folder, config().streams(streams.to_vec()))
}

fn start_with(folder: &Path, config: Config) -> BrokerHandle {
    let sync = config.fsync != Fsync::Never;
    Broker::start_with(config, Box::new(Storage::open(folder, sync).unwrap())).unwrap()
}

/// A broker of its own for a test, with the usual stream.
fn start(name: &str) -> BrokerHandle {
    start_in(&scratch(name), &[orders()])
}

/// A client that speaks JSON.
struct Json {
    client: Client,
}

impl Json {
    fn connect(broker: &BrokerHandle) -> Json {
        Json { client: Client::connect(broker) }
    }

    fn send(&mut self, body: &str) {
        self.client.send(Format::Json, body.as_bytes());
    }

    /// Publishes numbers, and waits until they are where they are to be.
    fn publish(&mut self, topic: &str, numbers: impl IntoIterator<Item = i64>) {
        for number in numbers {
            self.client.publish(Format::Json, topic, number.to_string().as_bytes());
        }
        self.client.is_quiet();
    }

    /// Subscribes, with more fields than the topic; returns what it is told.
    #[track_caller]
    fn subscribe(&mut self, topic: &str, more: &str) -> Frame {
        self.send(&format!(r#"{{"command":"subscribe","topic":"{topic}",{more}}}"#));
        let subscribed = self.client.next();
        assert_eq!(subscribed.field("command"), "subscribed", "{:?}", subscribed.fields());
        subscribed
    }

    /// Consumes under a name.
    #[track_caller]
    fn consume(&mut self, topic: &str, consumer: &str, more: &str) -> Frame {
        self.subscribe(topic, &format!(r#""consumer":"{consumer}"{more}"#))
    }

    /// The next delivery: its number in the stream, what it says, and which attempt it is.
    #[track_caller]
    fn delivery(&mut self) -> (u64, i64, u64) {
        let frame = self.client.next();
        let fields = frame.fields();
        assert_eq!(fields["command"], "publish", "{fields:?}");
        let attempt = fields.get("attempt").map_or(1, |attempt| attempt.parse().unwrap());
        (fields["seq"].parse().unwrap(), frame.number(), attempt)
    }

    /// The numbers of the next deliveries.
    #[track_caller]
    fn seqs(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.delivery().0).collect()
    }

    fn ack(&mut self, seq: u64) {
        self.send(&format!(r#"{{"command":"ack","seq":{seq}}}"#));
    }

    /// Acknowledges, and waits until that is confirmed.
    #[track_caller]
    fn ack_all(&mut self, seqs: impl IntoIterator<Item = u64>) {
        seqs.into_iter().for_each(|seq| self.ack(seq));
        self.client.is_quiet();
    }

    /// Sends a command that is done or refused, and returns the answer.
    fn ask(&mut self, body: &str) -> Frame {
        self.send(body);
        self.client.next()
    }

    /// What a list of `streams` or `consumers` says.
    fn list(&mut self, body: &str) -> Vec<serde_json::Value> {
        let answer = self.ask(body);
        serde_json::from_str(&answer.message()).unwrap()
    }

    /// Waits until nobody consumes under any name: the broker sees the end of a connection when
    /// its session does, and delivers to it until then.
    fn until_nobody_consumes(&mut self) {
        until("the members are gone", || {
            let consumers = self.list(r#"{"command":"consumers"}"#);
            consumers.iter().all(|consumer| consumer["members"] == 0)
        });
    }
}
