//! babelmq in front of JetStream: its own protocol, and messages that JetStream keeps.

use std::net::TcpStream;

use anyhow::Result;
use serde_json::json;

use super::babelmq::Babelmq;
use super::jetstream::{JetStream, SUBJECT, request};
use super::{Keeper, Member, NAME, Reading};
use crate::net::Endpoint;
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
    pub(crate) fn by(at: Endpoint) -> Result<Shared> {
        let stream = json!({
            "name": NAME, "subjects": [SUBJECT, format!("{SUBJECT}.>")], "storage": "file",
            "retention": "limits", "max_msgs": -1, "max_bytes": -1, "num_replicas": 1,
            "allow_direct": true,
        });
        request(&at, &format!("STREAM.CREATE.{NAME}"), &stream)?;
        let producer = Format::Json;
        Ok(Shared { babelmq: Babelmq { producer }, jetstream: JetStream { producer }, at })
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
