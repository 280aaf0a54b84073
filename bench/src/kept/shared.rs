//! babelmq in front of JetStream: its own protocol, and messages that JetStream keeps.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::babelmq::Babelmq;
use super::jetstream::{JetStream, SUBJECT, made, request};
use super::{Keeper, Member, NAME, Reading};
use crate::net::{Endpoint, PATIENCE};
use crate::payload::Payload;
use crate::wire::{Format, Scanned};

/// A broker that shares what is published.
pub(crate) struct Shared {
    babelmq: Babelmq,
    jetstream: JetStream,
    /// Where JetStream is.
    at: Endpoint,
}

impl Shared {
    /// Brokers in front of this JetStream, in which the stream is made.
    pub(crate) fn by(at: Endpoint, replicas: usize) -> Result<Shared> {
        let stream = json!({
            "name": NAME, "subjects": [SUBJECT, format!("{SUBJECT}.>")], "storage": "file",
            "retention": "limits", "max_msgs": -1, "max_bytes": -1, "num_replicas": replicas,
            "allow_direct": true,
        });
        made(&at, &format!("STREAM.CREATE.{NAME}"), &stream)?;
        let producer = Format::Json;
        let jetstream = JetStream::new(producer);
        Ok(Shared { babelmq: Babelmq { producer }, jetstream, at })
    }

    /// Waits until so many brokers read the stream.
    pub(crate) fn until_read_by(&self, brokers: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = request(&self.at, &format!("STREAM.INFO.{NAME}"), &json!({}))?;
            let readers = answer["state"]["consumer_count"].as_u64().context("no count")?;
            if readers == brokers as u64 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{readers} of {brokers} brokers read the stream");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the brokers are told that they share.
    pub(crate) fn topics() -> String {
        format!("{NAME}={}", super::TOPIC)
    }
}

impl Keeper for Shared {
    fn make(&self, _endpoint: &Endpoint, _reading: Option<Reading>) -> Result<()> {
        Ok(())
    }

    fn open_publisher(&self, stream: &mut TcpStream) -> Result<()> {
        self.babelmq.open_publisher(stream)
    }

    fn publish(&self, payload: &Payload, messages: u64, out: &mut Vec<u8>) -> u64 {
        self.babelmq.publish(payload, messages, out)
    }

    fn confirmed(&self, bytes: &[u8]) -> Result<Scanned> {
        self.babelmq.confirmed(bytes)
    }

    fn open_member(
        &self,
        stream: &mut TcpStream,
        reading: Reading,
        member: usize,
    ) -> Result<Box<dyn Member>> {
        self.babelmq.open_member(stream, reading, member)
    }

    fn count(&self, _endpoint: &Endpoint) -> Result<u64> {
        self.jetstream.count(&self.at)
    }

    fn left(&self, _endpoint: &Endpoint) -> Result<u64> {
        self.jetstream.left(&self.at)
    }
}
