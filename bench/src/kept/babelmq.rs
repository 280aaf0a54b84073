//! babelmq: writes with a ping at the end, whose pong confirms them; a member of a consumer in
//! JSON, which answers `upto` or each; and a follower.

use std::io::Write;
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Keeper, Member, NAME, Reading, TOPIC, Taken, WINDOW, ask, connect, number};
use crate::net::{Endpoint, await_answer};
use crate::payload::Payload;
use crate::wire::{Babelmq as Protocol, Format, Scanned, Wire, frame};

const HEADER: usize = 5;
const SEQ: &[u8] = b"\"seq\":";

#[derive(Clone, Copy, Debug)]
pub(super) struct Babelmq {
    pub(super) producer: Format,
}

fn json_frame(body: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    frame(Format::Json, body.to_string().as_bytes(), &mut out);
    out
}

/// Where the body of the first frame lies, if it is there in full.
fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    rest.get(..length)
}

fn request(endpoint: &Endpoint, body: &Value) -> Result<Value> {
    let mut stream = connect(endpoint)?;
    let answer = ask(&mut stream, &json_frame(body), |answer| first(answer).is_some())?;
    let answer: Value = serde_json::from_slice(first(&answer).context("no answer")?)?;
    ensure!(answer["command"] != "error", "babelmq says {answer}");
    Ok(answer)
}

/// A figure of the one stream, or of its one consumer.
fn figure(endpoint: &Endpoint, command: &str, key: &str) -> Result<u64> {
    let answer = request(endpoint, &json!({ "command": command }))?;
    let all = answer["message"].as_array().context("no list")?;
    let of = all.iter().find(|one| one["stream"] == NAME).context("no such stream")?;
    of[key].as_u64().with_context(|| format!("no {key} in {of}"))
}

impl Keeper for Babelmq {
    /// The stream is made by an option, the consumer by its first member.
    fn make(&self, _endpoint: &Endpoint, _reading: Option<Reading>) -> Result<()> {
        Ok(())
    }

    fn open_publisher(&self, _stream: &mut TcpStream) -> Result<()> {
        Ok(())
    }

    fn publish(&self, payload: &Payload, messages: u64, out: &mut Vec<u8>) -> u64 {
        let protocol = Protocol { producer: self.producer, consumer: Format::Json };
        for _ in 0..messages {
            protocol.publish(TOPIC, payload, true, out);
        }
        protocol.ping(out);
        1
    }

    fn confirmed(&self, bytes: &[u8]) -> Result<Scanned> {
        Protocol::json().scan(bytes)
    }

    fn open_member(
        &self,
        stream: &mut TcpStream,
        reading: Reading,
        _member: usize,
    ) -> Result<Box<dyn Member>> {
        let mut subscribe = json!({ "command": "subscribe", "topic": TOPIC });
        if reading != Reading::Live {
            subscribe["start"] = "all".into();
        }
        if !matches!(reading, Reading::Replay | Reading::Live) {
            subscribe["consumer"] = NAME.into();
            subscribe["window"] = WINDOW.into();
        }
        stream.write_all(&json_frame(&subscribe))?;
        // Deliveries come behind the answer, perhaps together with it: it is read alone.
        let mut answer = Vec::new();
        while first(&answer).is_none() {
            let mut one = [0; 1];
            let mut limited = std::io::Read::take(&mut *stream, 1);
            let byte = await_answer(&mut limited, |byte| !byte.is_empty())?;
            one.copy_from_slice(&byte);
            answer.extend(one);
        }
        let answer = String::from_utf8_lossy(first(&answer).unwrap_or_default()).into_owned();
        ensure!(answer.contains("\"subscribed\""), "babelmq says {answer}");
        Ok(Box::new(Own { reading }))
    }

    fn count(&self, endpoint: &Endpoint) -> Result<u64> {
        figure(endpoint, "streams", "messages")
    }

    fn left(&self, endpoint: &Endpoint) -> Result<u64> {
        figure(endpoint, "consumers", "pending")
    }
}

struct Own {
    reading: Reading,
}

impl Member for Own {
    fn begin(&mut self, _out: &mut Vec<u8>) {}

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Taken> {
        let mut taken = Taken::default();
        let mut last = 0;
        while let Some(body) = first(&bytes[taken.consumed..]) {
            taken.consumed += HEADER + body.len();
            taken.messages += 1;
            if self.reading == Reading::Live {
                continue;
            }
            let Some(at) = memchr::memmem::find(&body[..body.len().min(256)], SEQ) else {
                bail!("not a delivery of a stream: {}", String::from_utf8_lossy(body));
            };
            last = number(&body[at + SEQ.len()..]);
            taken.sum += last;
            if self.reading == Reading::AckEach {
                let _ = write_ack(out, "seq", last);
            }
        }
        if matches!(self.reading, Reading::AckMany | Reading::Shared) && taken.messages > 0 {
            write_ack(out, "upto", last)?;
        }
        Ok(taken)
    }

    fn ask(&self, out: &mut Vec<u8>) {
        Protocol::json().ping(out);
    }

    fn is_answer(&self, answer: &[u8]) -> bool {
        memchr::memmem::find(answer, b"\"pong\"").is_some()
    }
}

fn write_ack(out: &mut Vec<u8>, field: &str, seq: u64) -> Result<()> {
    let start = out.len();
    out.extend([Format::Json.byte(), 0, 0, 0, 0]);
    write!(out, "{{\"command\":\"ack\",\"{field}\":{seq}}}")?;
    let length = (out.len() - start - HEADER) as u32;
    out[start + 1..start + HEADER].copy_from_slice(&length.to_be_bytes());
    Ok(())
}
