//! A client of NATS that knows its protocol alone: one connection, one request at a time.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub struct PlainNats {
    reads: BufReader<TcpStream>,
    /// Subjects below this are told to this connection.
    inbox: String,
    requests: u64,
}

/// A message of NATS.
#[derive(Clone, Debug, Default)]
pub struct NatsMessage {
    pub subject: String,
    pub reply: String,
    /// What is said in its first line, as `503`; empty where that is nothing.
    pub status: String,
    pub headers: BTreeMap<String, String>,
    pub payload: Vec<u8>,
}

/// A message that a stream keeps.
#[derive(Clone, Debug)]
pub struct Kept {
    pub seq: u64,
    pub message: NatsMessage,
}

impl PlainNats {
    /// A connection to a server, `nats://HOST:PORT`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn connect(url: &str) -> io::Result<PlainNats> {
        let stream = TcpStream::connect(url.trim_start_matches("nats://"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let name = stream.local_addr()?.port();
        let (reads, inbox) = (BufReader::new(stream), format!("_INBOX.plain{name}"));
        let mut client = PlainNats { reads, inbox, requests: 0 };
        let hello = json!({"verbose": false, "headers": true, "no_responders": true});
        client.write(format!("CONNECT {hello}\r\nSUB {}.* 1\r\n", client.inbox).as_bytes())?;
        Ok(client)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reads.get_mut().write_all(bytes)
    }

    fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reads.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The next message of this connection's inbox.
    fn next(&mut self) -> io::Result<NatsMessage> {
        loop {
            let mut line = String::new();
            if self.reads.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |word: &str| word.parse::<usize>().map_err(io::Error::other);
            let (head, total, reply) = match words[..] {
                ["PING"] => {
                    self.write(b"PONG\r\n")?;
                    continue;
                }
                ["MSG", _, _, total] => (0, number(total)?, ""),
                ["MSG", _, _, reply, total] => (0, number(total)?, reply),
                ["HMSG", _, _, head, total] => (number(head)?, number(total)?, ""),
                ["HMSG", _, _, reply, head, total] => (number(head)?, number(total)?, reply),
                ["-ERR", ..] => return Err(io::Error::other(line)),
                _ => continue,
            };
            let mut message = NatsMessage {
                subject: words[1].to_owned(),
                reply: reply.to_owned(),
                ..NatsMessage::default()
            };
            let head = String::from_utf8(self.bytes(head)?).map_err(io::Error::other)?;
            message.payload = self.bytes(total - head.len())?;
            self.bytes(2)?;
            let mut lines = head.split("\r\n");
            let first = lines.next().unwrap_or_default();
            message.status = first.trim_start_matches("NATS/1.0").trim().to_owned();
            for (name, value) in lines.filter_map(|line| line.split_once(':')) {
                message.headers.insert(name.to_owned(), value.trim().to_owned());
            }
            return Ok(message);
        }
    }

    fn send(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> io::Result<String> {
        self.requests += 1;
        let reply = format!("{}.{}", self.inbox, self.requests);
        let mut head = String::new();
        if !headers.is_empty() {
            head.push_str("NATS/1.0\r\n");
            headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
            head.push_str("\r\n");
        }
        let (of_head, total) = (head.len(), head.len() + payload.len());
        let line = match of_head {
            0 => format!("PUB {subject} {reply} {total}\r\n"),
            _ => format!("HPUB {subject} {reply} {of_head} {total}\r\n"),
        };
        self.write(&[line.as_bytes(), head.as_bytes(), payload, b"\r\n"].concat())?;
        Ok(reply)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// Where the connection is lost, or nobody answers.
    pub fn request(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> io::Result<NatsMessage> {
        let asked = self.send(subject, headers, payload)?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            // What comes for an earlier request comes too late.
            let message = self.next()?;
            if message.subject == asked {
                return Ok(message);
            }
        }
        Err(ErrorKind::TimedOut.into())
    }

    /// Asks JetStream: what stands behind `$JS.API.` in the subject, and the request.
    ///
    /// # Errors
    /// As for [`request`](PlainNats::request), and what JetStream says instead of doing it.
    pub fn ask(&mut self, what: &str, request: &Value) -> io::Result<Value> {
        let payload = if request.is_null() { String::new() } else { request.to_string() };
        let answer = self.request(&format!("$JS.API.{what}"), &[], payload.as_bytes())?;
        let value: Value = serde_json::from_slice(&answer.payload)
            .map_err(|error| io::Error::other(format!("{what}: {} {error}", answer.status)))?;
        match &value["error"] {
            Value::Null => Ok(value),
            error => Err(io::Error::other(format!("{what}: {error}"))),
        }
    }

    /// Makes a stream of these subjects, with more said of it.
    ///
    /// # Errors
    /// As for [`ask`](PlainNats::ask).
    pub fn make(&mut self, stream: &str, subjects: &[&str], more: Value) -> io::Result<Value> {
        let mut config = json!({
            "name": stream, "subjects": subjects, "storage": "file", "retention": "limits",
            "num_replicas": 1, "max_consumers": -1, "max_msgs": -1, "max_bytes": -1,
        });
        if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
            config.extend(more);
        }
        self.ask(&format!("STREAM.CREATE.{stream}"), &config)
    }

    /// Publishes into a stream; the number that the message has there.
    pub fn publish(&mut self, subject: &str, headers: &[(&str, &str)], payload: &[u8]) -> u64 {
        let answer = self.request(subject, headers, payload).unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        answer["seq"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    /// All that a stream keeps, in its order.
    pub fn kept(&mut self, stream: &str) -> Vec<Kept> {
        let name = format!("audit{}", self.requests);
        let config = json!({
            "deliver_policy": "all", "ack_policy": "none", "num_replicas": 1, "mem_storage": true,
            "name": name, "inactive_threshold": 60_000_000_000_u64,
        });
        let request = json!({"stream_name": stream, "config": config});
        let made = self.ask(&format!("CONSUMER.CREATE.{stream}.{name}"), &request).unwrap();
        let count = made["num_pending"].as_u64().unwrap() as usize;
        let mut kept = Vec::new();
        while kept.len() < count {
            let batch = json!({"batch": 500, "no_wait": true}).to_string();
            let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}");
            self.send(&subject, &[], batch.as_bytes()).unwrap();
            for _ in 0..500 {
                let message = self.next().unwrap();
                if !message.status.is_empty() {
                    break;
                }
                // $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
                let seq = message.reply.rsplit('.').nth(3).unwrap().parse().unwrap();
                kept.push(Kept { seq, message });
                if kept.len() == count {
                    break;
                }
            }
        }
        kept
    }
}
