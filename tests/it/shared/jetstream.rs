//! Brokers that share topics by a server of NATS, from end to end.

mod following;
mod formats;
mod members;
mod memory;
mod outages;

use std::path::Path;

use babelmq::{Broker, BrokerHandle, Config, Jetstream, JetstreamOptions, NoStore, Storage};
use serde_json::{Value, json};

use super::sharing;
use crate::support::nats::NatsServer;
use crate::support::plain_nats::PlainNats;
use crate::support::process::until;

/// What the usual stream has.
const SUBJECTS: &[&str] = &["orders", "orders.>"];

/// A server that has the usual stream, and a client of it that is no broker.
fn server() -> (NatsServer, PlainNats) {
    server_with(&[], json!({}))
}

fn server_with(configuration: &[&str], of_stream: Value) -> (NatsServer, PlainNats) {
    let server = NatsServer::start_with(configuration);
    let mut nats = PlainNats::connect(&server.url()).unwrap();
    nats.make("orders", SUBJECTS, of_stream).unwrap();
    (server, nats)
}

fn backbone(urls: &str) -> Box<Jetstream> {
    Box::new(Jetstream::new(JetstreamOptions::new(urls).unwrap()))
}

fn start_with(server: &NatsServer, config: Config) -> BrokerHandle {
    Broker::start_sharing(config, Box::new(NoStore), backbone(&server.url())).unwrap()
}

/// A broker that has what is in the stream.
fn start(server: &NatsServer) -> BrokerHandle {
    ready(start_with(server, patient()))
}

/// One that keeps its values in a directory.
fn start_in(folder: &Path, server: &NatsServer) -> BrokerHandle {
    let storage = Box::new(Storage::open(folder, true).unwrap());
    ready(Broker::start_sharing(patient(), storage, backbone(&server.url())).unwrap())
}

/// What is published waits as long as a test does.
fn patient() -> Config {
    sharing().backbone_wait(std::time::Duration::from_secs(60))
}

fn ready(broker: BrokerHandle) -> BrokerHandle {
    until("it has what is shared", || broker.shared_topics()[0].has_caught_up);
    broker
}
