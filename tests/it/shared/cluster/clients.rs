//! Producers, subscribers, followers and members that work until all is over, and note
//! what they did and saw.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

use babelmq::Format::{self, Json};

use super::shared::Shared;
use crate::shared::checker::{Delivery, Event};
use crate::support::Field::{Int, Raw, Str};
use crate::support::random::Random;
use crate::support::{FORMATS, Field, Frame, body, frame, number};

pub(super) const TOPICS: usize = 8;

/// A connection to a broker, which may end.
struct Connection<'a> {
    number: u64,
    reads: BufReader<TcpStream>,
    format: Format,
    shared: &'a Shared,
}

impl<'a> Connection<'a> {
    /// One to a broker, as soon as that is there; `None` when all is over.
    fn open(shared: &'a Shared, broker: usize, format: Format) -> Option<Connection<'a>> {
        loop {
            let address = shared.address(broker)?;
            let Ok(stream) = TcpStream::connect(address) else {
                shared.pause();
                continue;
            };
            let number = shared.add(&stream)?;
            return Some(Connection { number, reads: BufReader::new(stream), format, shared });
        }
    }

    /// Sends commands together, if the broker is there.
    fn send(&mut self, commands: &[Vec<(&str, Field<'_>)>]) -> Option<()> {
        let format = self.format;
        let frames = commands.iter().map(|fields| frame(format.byte(), &body(format, fields)));
        let bytes: Vec<u8> = frames.flatten().collect();
        self.reads.get_mut().write_all(&bytes).ok()
    }

    /// The next frame, unless the broker is gone.
    fn next(&mut self) -> Option<Frame> {
        let mut header = [0; 5];
        self.reads.read_exact(&mut header).ok()?;
        let format = Format::from_byte(header[0]).unwrap();
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![0; length as usize];
        self.reads.read_exact(&mut body).ok()?;
        Some(Frame { format, body })
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        let _ = self.reads.get_mut().shutdown(Shutdown::Both);
        self.shared.remove(self.number);
    }
}

fn ping() -> Vec<(&'static str, Field<'static>)> {
    vec![("command", Str("ping"))]
}

/// What a frame says: its fields, and its command.
fn read(frame: &Frame) -> (BTreeMap<String, String>, String) {
    let fields = frame.fields();
    let command = fields["command"].clone();
    if command == "error" {
        // Behind the second the connection ends, and what was not confirmed is published again.
        let codes = ["backbone-unavailable", "disconnected"];
        assert!(codes.contains(&&*fields["code"]), "{fields:?}");
    }
    (fields, command)
}

/// One who publishes. One that is reliable gives each message an id, and sends what is not
/// confirmed again, to the next broker.
pub(super) struct Producer {
    name: usize,
    random: Random,
    next: i64,
    open: VecDeque<(i64, String)>,
}

impl Producer {
    pub(super) fn new(name: usize, random: Random) -> Producer {
        Producer { name, random, next: 0, open: VecDeque::new() }
    }

    fn is_reliable(&self) -> bool {
        self.name.is_multiple_of(2)
    }

    /// Publishes until it is time to finish, and then until everything is confirmed.
    pub(super) fn work(mut self, shared: &Shared) {
        let mut broker = self.name % shared.brokers();
        let format = FORMATS[self.name % FORMATS.len()];
        while let Some(mut connection) = Connection::open(shared, broker, format) {
            while self.round(&mut connection, broker).is_some() {
                if shared.is_finishing() && self.open.is_empty() {
                    return;
                }
            }
            if self.is_reliable() {
                broker = (broker + 1) % shared.brokers();
            } else {
                self.open.clear();
            }
        }
    }

    /// Publishes some messages, and waits for what is said of them. `None` where another connection
    /// is to be made.
    fn round(&mut self, connection: &mut Connection<'_>, broker: usize) -> Option<()> {
        let shared = connection.shared;
        if !shared.is_finishing() && self.open.len() < 100 {
            for _ in 0..=self.random.below(6) {
                self.next += 1;
                let number = self.name as i64 * 1_000_000 + self.next;
                self.open.push_back((number, format!("orders/{}", self.random.below(TOPICS))));
            }
        }
        let clears = !self.is_reliable() && self.random.one_in(20);
        shared.note_all(self.open.iter().map(|(number, topic)| Event::Sent {
            connection: connection.number,
            number: *number,
            topic: topic.clone(),
        }));
        let format = connection.format;
        let ids: Vec<String> = self.open.iter().map(|(number, _)| format!("p{number}")).collect();
        let payloads: Vec<Vec<u8>> =
            self.open.iter().map(|(value, _)| number(format, *value)).collect();
        let mut commands = Vec::new();
        for (at, (_, topic)) in self.open.iter().enumerate() {
            let mut fields = vec![("command", Str("publish")), ("topic", Str(topic))];
            fields.push(("message", Raw(&payloads[at])));
            if self.is_reliable() {
                fields.push(("id", Str(&ids[at])));
            }
            commands.push(fields);
        }
        let cleared = format!("orders/{}", self.random.below(TOPICS));
        if clears {
            commands.push(vec![("command", Str("clear")), ("topic", Str(&cleared))]);
        }
        commands.push(ping());
        connection.send(&commands)?;
        let mut is_refused = false;
        loop {
            let (fields, command) = read(&connection.next()?);
            match &*command {
                "pong" if is_refused => break,
                "pong" => {
                    let confirmed = self.open.drain(..);
                    shared.note_all(confirmed.map(|(number, _)| Event::Confirmed { number }));
                    shared.ponged(broker);
                    return Some(());
                }
                // A message, and the answer to the ping follows.
                "error" if fields.contains_key("topic") => is_refused = true,
                "error" => break,
                "cleared" => {}
                other => panic!("{other}: {fields:?}"),
            }
        }
        if !self.is_reliable() {
            self.open.clear();
        }
        shared.refused();
        shared.pause();
        // One that is reliable tries elsewhere.
        (!self.is_reliable()).then_some(())
    }
}

/// Subscribes at a broker, whenever that is there, until all is over.
pub(super) fn subscribe(shared: &Shared, broker: usize, format: Format) {
    while let Some(mut connection) = Connection::open(shared, broker, format) {
        let _ = listen(&mut connection, broker);
    }
}

fn listen(connection: &mut Connection<'_>, broker: usize) -> Option<()> {
    let shared = connection.shared;
    let may_be_newer = shared.was_killed(broker);
    connection.send(&[vec![("command", Str("subscribe")), ("topic", Str("orders"))]])?;
    let mut values = BTreeMap::new();
    loop {
        let frame = connection.next()?;
        let (fields, command) = read(&frame);
        if command == "subscribed" {
            break;
        }
        values.insert(fields["topic"].clone(), frame.number());
    }
    let number = connection.number;
    shared.note(Event::Subscribed { connection: number, values, may_be_newer });
    shared.is_present(number);
    loop {
        let frame = connection.next()?;
        let (fields, command) = read(&frame);
        assert_eq!(command, "publish", "{fields:?}");
        let topic = fields["topic"].clone();
        shared.note(Event::Heard { connection: number, topic, number: frame.number() });
        shared.heard(number, frame.number());
    }
}

/// Follows at a broker, from the first message on and then behind the last that it has read, until
/// all is over.
pub(super) fn follow(shared: &Shared, broker: usize) {
    let mut next = 1;
    while let Some(mut connection) = Connection::open(shared, broker, Json) {
        let _ = read_on(&mut connection, broker, &mut next);
        shared.pause();
    }
}

fn read_on(connection: &mut Connection<'_>, follower: usize, next: &mut i64) -> Option<()> {
    let shared = connection.shared;
    let follows = [("command", Str("subscribe")), ("topic", Str("orders")), ("start", Int(*next))];
    connection.send(&[follows.to_vec()])?;
    let (_, command) = read(&connection.next()?);
    if command != "subscribed" {
        return None;
    }
    shared.is_present(connection.number);
    loop {
        let frame = connection.next()?;
        let (fields, command) = read(&frame);
        assert_eq!(command, "publish", "{fields:?}");
        let (topic, number) = (fields["topic"].clone(), frame.number());
        let seq: u64 = fields["seq"].parse().unwrap();
        shared.note(Event::Followed { follower, seq, topic, number });
        shared.heard(connection.number, number);
        *next = seq as i64 + 1;
    }
}

/// Is a member of a consumer, at a broker, until all is over. It leaves now and then.
pub(super) fn consume(shared: &Shared, consumer: &str, broker: usize, mut random: Random) {
    while let Some(mut connection) = Connection::open(shared, broker, Json) {
        let _ = stay(&mut connection, consumer, &mut random);
        shared.pause();
    }
}

fn stay(connection: &mut Connection<'_>, consumer: &str, random: &mut Random) -> Option<()> {
    let shared = connection.shared;
    let joins = [
        ("command", Str("subscribe")),
        ("topic", Str("orders")),
        ("consumer", Str(consumer)),
        ("start", Str("all")),
        ("window", Int(32)),
        ("ack-wait", Int(6)),
        ("max-deliver", Int(1_000_000)),
    ];
    connection.send(&[joins.to_vec()])?;
    let (_, command) = read(&connection.next()?);
    if command != "subscribed" {
        return None;
    }
    for _ in 0..=random.below(2_000) {
        let frame = connection.next()?;
        let (fields, command) = read(&frame);
        match &*command {
            "publish" => {
                let seq: u64 = fields["seq"].parse().unwrap();
                let attempt = fields.get("attempt").map_or(1, |attempt| attempt.parse().unwrap());
                shared.note(Event::Delivered(Delivery {
                    consumer: consumer.to_owned(),
                    connection: connection.number,
                    seq,
                    topic: fields["topic"].clone(),
                    number: frame.number(),
                    attempt,
                    time: shared.time(),
                }));
                let of = |command| vec![("command", Str(command)), ("seq", Int(seq as i64))];
                match random.below(50) {
                    0 => connection.send(&[of("nak")])?,
                    // It comes again, when nothing was said of it for long enough.
                    1 if !shared.is_finishing() => {}
                    _ => {
                        // The pong says what it confirms.
                        let id = seq.to_string();
                        let asks = vec![("command", Str("ping")), ("id", Str(&id))];
                        connection.send(&[of("ack"), asks])?;
                    }
                }
            }
            "pong" => {
                let (consumer, time) = (consumer.to_owned(), shared.time());
                let seq = fields["id"].parse().unwrap();
                shared.note(Event::Settled { consumer, seq, time });
            }
            // It is not known whether the acknowledgement is.
            "error" => {}
            other => panic!("{other}: {fields:?}"),
        }
    }
    Some(())
}
