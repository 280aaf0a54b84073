//! Brokers that share topics, by a backbone in this process.
#![cfg(all(feature = "broker", feature = "storage"))]

mod checker;
#[cfg(all(feature = "jetstream", feature = "cli"))]
mod cluster;
mod consumers;
mod following;
mod histories;
#[cfg(feature = "jetstream")]
mod jetstream;
mod outages;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use babelmq::{Broker, BrokerHandle, Config, Format, NoStore, Storage, Value};

use crate::support::backbone::LocalBackbone;
use crate::support::process::until;
use crate::support::{Client, Frame, config, number};

/// A directory of its own for a test.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shared-{name}"));
    // What a failed run left behind.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// How a broker shares `orders/#`, without much patience.
fn sharing() -> Config {
    config().shared(["orders/#".parse().unwrap()]).backbone_wait(Duration::from_millis(200))
}

/// A broker that shares `orders/#` and forgets everything with its process.
fn start(backbone: &LocalBackbone) -> BrokerHandle {
    start_with(backbone, sharing())
}

fn start_with(backbone: &LocalBackbone, config: Config) -> BrokerHandle {
    Broker::start_sharing(config, Box::new(NoStore), Box::new(backbone.clone())).unwrap()
}

/// One that keeps its values in a directory.
fn start_in(folder: &Path, backbone: &LocalBackbone) -> BrokerHandle {
    let storage = Box::new(Storage::open(folder, true).unwrap());
    Broker::start_sharing(sharing(), storage, Box::new(backbone.clone())).unwrap()
}

/// Publishes a number in a format, and waits until it is confirmed.
#[track_caller]
fn publish(client: &mut Client, format: Format, topic: &str, value: i64) {
    client.publish(format, topic, &number(format, value));
    client.is_quiet();
}

/// The topic and the number of the next delivery.
#[track_caller]
fn delivery(client: &mut Client) -> (String, i64) {
    let frame: Frame = client.next();
    assert_eq!(frame.field("command"), "publish", "{:?}", frame.fields());
    (frame.field("topic"), frame.number())
}

/// Waits until the last value of a topic is this number, or there is none.
fn until_value(broker: &BrokerHandle, topic: &str, value: Option<i64>) {
    until(topic, || broker.get_topic(topic).unwrap() == value.map(Value::Int));
}
