//! NATS JetStream: publications with an inbox, each answered with a PubAck, without waiting for it;
//! a pull consumer, asked for another batch when half of the last one has come.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Keeper, Member, NAME, Reading, Taken, WINDOW, ask, bytes_of, connect, number};
use crate::net::{Endpoint, PATIENCE};
use crate::payload::Payload;
use crate::wire::{Format, Scanned, Wire};

pub(super) const SUBJECT: &str = "bench.kept";
/// Where answers of the interface go.
const ANSWERS: &str = "_INBOX.api";
const HELLO: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n";
/// Messages in a pull request.
const BATCH: u64 = WINDOW / 2;

pub(crate) struct JetStream {
    producer: Format,
    /// Where confirmations go: who published is told of its own alone.
    inbox: String,
    /// The name of the consumer.
    consumer: String,
    /// Servers that are to have each message.
    replicas: usize,
    /// The number of the next message, where each has an id.
    next_id: Option<AtomicU64>,
}

impl JetStream {
    pub(crate) fn new(producer: Format) -> JetStream {
        static KEEPERS: AtomicU64 = AtomicU64::new(0);
        let inbox = format!("_INBOX.b{}", KEEPERS.fetch_add(1, Ordering::Relaxed));
        JetStream { producer, inbox, consumer: NAME.to_owned(), replicas: 1, next_id: None }
    }

    /// Keeps each message on so many servers.
    pub(crate) fn on(self, replicas: usize) -> JetStream {
        JetStream { replicas, ..self }
    }

    /// One of several clients, with a consumer of its own. Of two messages with the same id the
    /// stream keeps one: what is in doubt may be published again.
    pub(crate) fn with_ids(producer: Format) -> JetStream {
        let of = JetStream::new(producer);
        let consumer = of.inbox.replace('.', "-");
        JetStream { consumer, next_id: Some(AtomicU64::new(1)), ..of }
    }
}

fn has_pong(answer: &[u8]) -> bool {
    memchr::memmem::find(answer, b"PONG\r\n").is_some()
}

/// Connects a client whose answers come to `inbox`.
fn hello(stream: &mut TcpStream, inbox: &str) -> Result<()> {
    let hello = [HELLO, format!("SUB {inbox} 1\r\nPING\r\n").as_bytes()].concat();
    ask(stream, &hello, has_pong)?;
    Ok(())
}

/// A request to JetStream's interface.
pub(super) fn request(endpoint: &Endpoint, of: &str, body: &Value) -> Result<Value> {
    let mut stream = connect(endpoint)?;
    hello(&mut stream, ANSWERS)?;
    let body = body.to_string();
    let question = format!("PUB $JS.API.{of} {ANSWERS} {}\r\n{body}\r\n", body.len());
    let is_whole = |answer: &[u8]| message(answer).is_ok_and(|message| message.is_some());
    let answer = ask(&mut stream, question.as_bytes(), is_whole)?;
    let Message { payload, .. } = message(&answer)?.context("no answer")?;
    let answer: Value = serde_json::from_slice(payload)
        .with_context(|| String::from_utf8_lossy(payload).into_owned())?;
    ensure!(answer.get("error").is_none(), "JetStream says {answer}");
    Ok(answer)
}

/// A request that something be made, again until the servers have found each other.
pub(super) fn made(endpoint: &Endpoint, of: &str, body: &Value) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match request(endpoint, of, body) {
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(100)),
            made => return made,
        }
    }
}

/// The first message among some bytes, or a line of another kind.
struct Message<'a> {
    /// Empty of what is no message.
    reply: &'a [u8],
    is_message: bool,
    payload: &'a [u8],
    whole: usize,
}

fn message(bytes: &[u8]) -> Result<Option<Message<'_>>> {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
    let line = &bytes[..end.saturating_sub(1)];
    let has_headers = line.starts_with(b"HMSG ");
    if !has_headers && !line.starts_with(b"MSG ") {
        ensure!(line.first() != Some(&b'-'), "NATS says {}", String::from_utf8_lossy(line));
        let whole = end + 1;
        return Ok(Some(Message { reply: b"", is_message: false, payload: b"", whole }));
    }
    let last = memchr::memrchr(b' ', line).map_or(0, |at| at + 1);
    let length = number(&line[last..]) as usize;
    let whole = end + 1 + length + 2;
    let Some(payload) = bytes.get(end + 1..whole) else { return Ok(None) };
    // MSG SUBJECT SID [REPLY] LENGTH, and HMSG with one length more.
    let mut words = line.split(|byte| *byte == b' ').skip(3);
    let reply = words.next().unwrap_or_default();
    Ok(Some(Message {
        reply: if reply.starts_with(b"$JS.ACK") { reply } else { b"" },
        is_message: true,
        payload: &payload[..length],
        whole,
    }))
}

impl Keeper for JetStream {
    fn make(&self, endpoint: &Endpoint, reading: Option<Reading>) -> Result<()> {
        let stream = json!({
            "name": NAME, "subjects": [SUBJECT], "storage": "file", "retention": "limits",
            "max_msgs": -1, "max_bytes": -1, "num_replicas": self.replicas,
        });
        made(endpoint, &format!("STREAM.CREATE.{NAME}"), &stream)?;
        let policy = match reading {
            None => return Ok(()),
            // One for all would acknowledge another member's.
            Some(Reading::AckEach | Reading::Shared) => "explicit",
            Some(Reading::AckMany) => "all",
            Some(Reading::Replay | Reading::Live) => "none",
        };
        let name = &self.consumer;
        let mut config = json!({
            "durable_name": name, "name": name, "deliver_policy": "all", "replay_policy": "instant",
            "ack_policy": policy,
        });
        if policy != "none" {
            config["ack_wait"] = 30_000_000_000_u64.into();
            // Four members share it.
            config["max_ack_pending"] = (4 * WINDOW).into();
        }
        let consumer = json!({ "stream_name": NAME, "config": config });
        made(endpoint, &format!("CONSUMER.CREATE.{NAME}.{name}"), &consumer)?;
        Ok(())
    }

    fn open_publisher(&self, stream: &mut TcpStream) -> Result<()> {
        hello(stream, &self.inbox)
    }

    fn publish(&self, payload: &Payload, messages: u64, out: &mut Vec<u8>) -> u64 {
        let (bytes, inbox) = (bytes_of(payload, self.producer), &self.inbox);
        let first = self.next_id.as_ref().map(|next| next.fetch_add(messages, Ordering::Relaxed));
        for place in 0..messages {
            match first {
                None => {
                    let _ = write!(out, "PUB {SUBJECT} {inbox} {}\r\n", bytes.len());
                }
                Some(first) => {
                    let id = format!("NATS/1.0\r\nNats-Msg-Id: {inbox}-{}\r\n\r\n", first + place);
                    let (head, all) = (id.len(), id.len() + bytes.len());
                    let _ = write!(out, "HPUB {SUBJECT} {inbox} {head} {all}\r\n{id}");
                }
            }
            out.extend(bytes);
            out.extend(b"\r\n");
        }
        messages
    }

    fn confirmed(&self, bytes: &[u8]) -> Result<Scanned> {
        if memchr::memmem::find(bytes, b"\"error\"").is_some() {
            bail!("JetStream says {}", String::from_utf8_lossy(&bytes[..bytes.len().min(500)]));
        }
        crate::wire::Nats.scan(bytes)
    }

    fn open_member(
        &self,
        stream: &mut TcpStream,
        reading: Reading,
        member: usize,
    ) -> Result<Box<dyn Member>> {
        let inbox = format!("_INBOX.m{member}");
        hello(stream, &inbox)?;
        Ok(Box::new(Pull { reading, inbox, consumer: self.consumer.clone(), asked: 0 }))
    }

    fn count(&self, endpoint: &Endpoint) -> Result<u64> {
        let answer = request(endpoint, &format!("STREAM.INFO.{NAME}"), &json!({}))?;
        answer["state"]["messages"].as_u64().context("no count")
    }

    fn left(&self, endpoint: &Endpoint) -> Result<u64> {
        let answer = request(endpoint, &format!("CONSUMER.INFO.{NAME}.{NAME}"), &json!({}))?;
        let of = |key: &str| answer[key].as_u64().with_context(|| format!("no {key}"));
        Ok(of("num_pending")? + of("num_ack_pending")?)
    }
}

struct Pull {
    reading: Reading,
    inbox: String,
    consumer: String,
    /// Messages that were asked for and have not come.
    asked: u64,
}

impl Pull {
    fn pull(&mut self, out: &mut Vec<u8>) {
        let body = format!("{{\"batch\":{BATCH},\"expires\":{}}}", 120_000_000_000_u64);
        let (inbox, consumer, length) = (&self.inbox, &self.consumer, body.len());
        let _ = write!(
            out,
            "PUB $JS.API.CONSUMER.MSG.NEXT.{NAME}.{consumer} {inbox} {length}\r\n{body}\r\n"
        );
        self.asked += BATCH;
    }
}

fn ack(reply: &[u8], out: &mut Vec<u8>) {
    out.extend(b"PUB ");
    out.extend(reply);
    out.extend(b" 4\r\n+ACK\r\n");
}

impl Member for Pull {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.pull(out);
        self.pull(out);
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Taken> {
        let mut taken = Taken::default();
        let mut last: &[u8] = b"";
        while let Some(one) = message(&bytes[taken.consumed..])? {
            taken.consumed += one.whole;
            if !one.is_message {
                continue;
            }
            // What is said of a request has headers and no reply.
            ensure!(
                !one.reply.is_empty(),
                "JetStream says {}",
                String::from_utf8_lossy(one.payload)
            );
            // $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQ.…
            let seq = one.reply.split(|byte| *byte == b'.').nth(5).unwrap_or_default();
            taken.messages += 1;
            taken.sum += number(seq);
            last = one.reply;
            if matches!(self.reading, Reading::AckEach | Reading::Shared) {
                ack(one.reply, out);
            }
        }
        if self.reading == Reading::AckMany && !last.is_empty() {
            ack(last, out);
        }
        self.asked = self.asked.saturating_sub(taken.messages);
        if self.asked <= BATCH {
            self.pull(out);
        }
        Ok(taken)
    }

    fn ask(&self, out: &mut Vec<u8>) {
        out.extend(b"PING\r\n");
    }

    fn is_answer(&self, answer: &[u8]) -> bool {
        has_pong(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_acknowledged_where_they_were_cut() {
        let one = b"MSG bench.kept 1 $JS.ACK.bench.bench.1.7.7.123.0 2\r\n{}\r\n";
        let stream = [&one[..], b"PING\r\n", one].concat();
        for cut in 0..stream.len() {
            let (inbox, consumer) = (String::new(), String::new());
            let mut member = Pull { reading: Reading::AckEach, inbox, consumer, asked: 2 * BATCH };
            let mut out = Vec::new();
            let before = member.take(&stream[..cut], &mut out).unwrap();
            let after = member.take(&stream[before.consumed..], &mut out).unwrap();
            assert_eq!(before.messages + after.messages, 2, "cut at {cut}");
            assert_eq!(before.sum + after.sum, 14, "cut at {cut}");
            let mut acks = Vec::new();
            let _ = write!(acks, "PUB $JS.ACK.bench.bench.1.7.7.123.0 4\r\n+ACK\r\n");
            assert!(out.starts_with(&acks.repeat(2)), "cut at {cut}");
        }
    }
}
