//! Producers and members that work until the broker is gone, and note what they did and saw.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::Shared;
use crate::streams::checker::{Delivery, Event};
use crate::support::PATIENCE;
use crate::support::frame;
use crate::support::random::Random;

const TOPICS: usize = 12;
/// Dead letters are read by one of these, which remembers them itself.
const UNDERTAKER: &str = r#"{"command":"subscribe","topic":"$dead","start":"all"}"#;

/// A connection of this test: what it may not see fails it, but for the end of the broker.
struct Connection {
    number: u64,
    reads: BufReader<TcpStream>,
}

impl Connection {
    /// One to the broker, unless that is gone.
    fn open(address: SocketAddr, shared: &Shared) -> Option<Connection> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Some(Connection { number, reads: BufReader::new(stream) })
    }

    /// Sends frames together. Returns whether the broker may have got them.
    fn send(&mut self, bodies: &[String]) -> Option<()> {
        let bytes: Vec<u8> = bodies.iter().flat_map(|body| frame(0, body.as_bytes())).collect();
        self.reads.get_mut().write_all(&bytes).ok()
    }

    /// The next frame, unless the broker is gone.
    fn next(&mut self) -> Option<Value> {
        let mut header = [0; 5];
        let read = self.reads.read_exact(&mut header);
        if let Err(error) = &read {
            let is_late = error.kind() == std::io::ErrorKind::WouldBlock;
            assert!(!is_late, "connection {} waited in vain", self.number);
        }
        read.ok()?;
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![0; length as usize];
        self.reads.read_exact(&mut body).ok()?;
        Some(serde_json::from_slice(&body).unwrap())
    }
}

const PING: &str = r#"{"command":"ping"}"#;

/// Whether a frame is a pong; nothing where the disk is gone, and the broker as well.
fn is_pong(frame: &Value) -> Option<bool> {
    match frame["code"].as_str() {
        Some("storage-failed") => None,
        Some(_) => panic!("{frame}"),
        None => Some(frame["command"] == "pong"),
    }
}

/// One producer, over all runs.
pub(super) struct Producer {
    name: u64,
    random: Random,
    number: u64,
    /// What no pong has confirmed, in the order in which it was sent.
    open: VecDeque<(u64, String)>,
}

impl Producer {
    pub(super) fn new(name: u64, random: Random) -> Producer {
        Producer { name, random, number: 0, open: VecDeque::new() }
    }

    /// Publishes and pings until the broker is gone. What may have been lost is sent again.
    pub(super) fn work(&mut self, address: SocketAddr, shared: &Shared) {
        let _ = self.try_work(address, shared);
    }

    fn try_work(&mut self, address: SocketAddr, shared: &Shared) -> Option<()> {
        let mut connection = Connection::open(address, shared)?;
        loop {
            self.confirm(&mut connection, shared)?;
            for _ in 0..=self.random.below(20) {
                self.number += 1;
                let topic = format!("orders/{}", self.random.below(TOPICS));
                self.open.push_back((self.number, topic));
            }
        }
    }

    /// Sends again what is not confirmed, until it is.
    pub(super) fn finish(&mut self, address: SocketAddr, shared: &Shared) {
        let mut connection = Connection::open(address, shared).unwrap();
        self.confirm(&mut connection, shared).unwrap();
    }

    /// Publishes what is open, and waits for the pong.
    fn confirm(&mut self, connection: &mut Connection, shared: &Shared) -> Option<()> {
        let producer = self.name;
        let sent = |(number, topic): &(u64, String)| Event::Sent {
            producer,
            number: *number,
            topic: topic.clone(),
        };
        shared.note_all(self.open.iter().map(sent));
        let mut bodies = Vec::new();
        for (number, topic) in &self.open {
            let long = if number % 64 == 0 { 20_000 } else { number % 200 };
            let padding = "x".repeat(long as usize);
            bodies.push(format!(
                r#"{{"command":"publish","topic":"{topic}","id":"{producer}-{number}","#
            ) + &format!(
                r#""message":{{"producer":{producer},"number":{number},"padding":"{padding}"}}}}"#
            ));
        }
        bodies.push(PING.to_owned());
        connection.send(&bodies)?;
        assert!(is_pong(&connection.next()?)?);
        let confirmed = |(number, _)| Event::Confirmed { producer, number };
        shared.note_all(self.open.drain(..).map(confirmed));
        shared.pongs.fetch_add(1, Ordering::Relaxed);
        Some(())
    }
}

/// One who is a member of a consumer, leaves, and comes again, over all runs.
pub(super) struct Seat {
    consumer: String,
    joins: String,
    random: Random,
}

/// What a member has said of messages since its last ping: of which, and whether it rejected them.
type Said = Vec<(u64, bool)>;

impl Seat {
    pub(super) fn new(consumer: &str, joins: &str, random: Random) -> Seat {
        Seat { consumer: consumer.to_owned(), joins: joins.to_owned(), random }
    }

    /// Consumes until the broker is gone.
    pub(super) fn work(&mut self, address: SocketAddr, shared: &Shared) {
        while self.stay(address, shared).is_some() {}
    }

    /// Is a member for a while. Returns whether the broker is there.
    fn stay(&mut self, address: SocketAddr, shared: &Shared) -> Option<()> {
        let mut connection = Connection::open(address, shared)?;
        let mut member = Member::join(&self.consumer, &self.joins, &mut connection)?;
        let mut pings: VecDeque<Said> = VecDeque::new();
        for _ in 0..=self.random.below(300) {
            let frame = connection.next()?;
            if frame["command"] == "publish" {
                let seq = member.note(&frame, shared);
                self.judge(seq, &mut member, shared);
                // What is left unsaid at the end is delivered to others.
                if self.random.one_in(8) {
                    member.say(PING.to_owned());
                    pings.push_back(std::mem::take(&mut member.said));
                }
                if self.random.one_in(4) {
                    connection.send(&std::mem::take(&mut member.words))?;
                }
            } else if is_pong(&frame)? {
                shared.note_all(pings.pop_front().unwrap().iter().map(|said| member.good(*said)));
                shared.pongs.fetch_add(1, Ordering::Relaxed);
            }
        }
        connection.send(&member.words)
    }

    /// Says something of a message, or nothing.
    fn judge(&mut self, seq: u64, member: &mut Member, shared: &Shared) {
        match self.random.below(100) {
            0..3 => member.say(format!(r#"{{"command":"nak","seq":{seq}}}"#)),
            3..5 => member.say(format!(r#"{{"command":"nak","seq":{seq},"delay":0.01}}"#)),
            5..7 => {
                member.say(format!(r#"{{"command":"touch","seq":{seq}}}"#));
                member.settle(seq, false, shared);
            }
            7 => member.settle(seq, true, shared),
            8 => {}
            _ => member.settle(seq, false, shared),
        }
    }
}

/// A member, and what it is about to say.
struct Member {
    consumer: String,
    connection: u64,
    words: Vec<String>,
    said: Said,
}

impl Member {
    /// Joins, and waits for the answer.
    fn join(consumer: &str, joins: &str, connection: &mut Connection) -> Option<Member> {
        // Whoever leaves in the middle has attempts counted that it never saw.
        let subscribe =
            format!(r#"{{"command":"subscribe","topic":"orders","consumer":"{consumer}",{joins},"#)
                + r#""max-deliver":1000000}"#;
        connection.send(&[subscribe])?;
        let answer = connection.next()?;
        is_pong(&answer)?;
        assert_eq!(answer["command"], "subscribed", "{answer}");
        Some(Member {
            consumer: consumer.to_owned(),
            connection: connection.number,
            words: Vec::new(),
            said: Vec::new(),
        })
    }

    fn say(&mut self, body: String) {
        self.words.push(body);
    }

    /// Notes that a message was delivered. Returns its number in the stream.
    fn note(&self, frame: &Value, shared: &Shared) -> u64 {
        let seq = frame["seq"].as_u64().unwrap();
        assert_eq!(frame["consumer"], self.consumer, "{frame}");
        shared.note(Event::Delivered(Delivery {
            consumer: self.consumer.clone(),
            connection: self.connection,
            seq,
            topic: frame["topic"].as_str().unwrap().to_owned(),
            attempt: frame["attempt"].as_u64().unwrap_or(1),
            producer: frame["message"]["producer"].as_u64().unwrap(),
            number: frame["message"]["number"].as_u64().unwrap(),
        }));
        seq
    }

    fn settle(&mut self, seq: u64, rejects: bool, shared: &Shared) {
        let (consumer, connection) = (self.consumer.clone(), self.connection);
        shared.note(Event::Settled { consumer, connection, seq, rejects });
        let word = if rejects { "reject" } else { "ack" };
        self.say(format!(r#"{{"command":"{word}","seq":{seq}}}"#));
        self.said.push((seq, rejects));
    }

    /// What a pong has confirmed.
    fn good(&self, (seq, rejects): (u64, bool)) -> Event {
        let (consumer, connection) = (self.consumer.clone(), self.connection);
        Event::SettledForGood { consumer, connection, seq, rejects }
    }
}

/// Takes everything that a consumer has not settled, and settles it.
pub(super) fn drain(address: SocketAddr, consumer: &str, joins: &str, shared: &Shared) {
    let mut connection = Connection::open(address, shared).unwrap();
    let mut member = Member::join(consumer, joins, &mut connection).unwrap();
    loop {
        let ask = r#"{"command":"consumers","stream":"orders"}"#;
        connection.send(&[ask.to_owned()]).unwrap();
        let pending = loop {
            let frame = connection.next().unwrap();
            if frame["command"] == "publish" {
                let seq = member.note(&frame, shared);
                member.settle(seq, false, shared);
                connection.send(&std::mem::take(&mut member.words)).unwrap();
            } else if frame["command"] == "consumers" {
                let all = frame["message"].as_array().unwrap();
                let of_it = all.iter().find(|one| one["consumer"] == consumer).unwrap();
                break of_it["pending"].as_u64().unwrap();
            } else {
                panic!("{frame}");
            }
        };
        if pending == 0 {
            return;
        }
    }
}

/// Reads all dead letters.
pub(super) fn bury(address: SocketAddr, shared: &Shared) {
    let mut connection = Connection::open(address, shared).unwrap();
    connection.send(&[UNDERTAKER.to_owned()]).unwrap();
    let subscribed = connection.next().unwrap();
    let mut seen = BTreeMap::new();
    for _ in 0..subscribed["pending"].as_u64().unwrap() {
        let letter = connection.next().unwrap();
        let consumer = letter["topic"].as_str().unwrap().split('/').nth(1).unwrap().to_owned();
        let seq = letter["message"]["seq"].as_u64().unwrap();
        *seen.entry((consumer.clone(), seq)).or_insert(0) += 1;
        shared.note(Event::Buried { consumer, seq });
    }
}
