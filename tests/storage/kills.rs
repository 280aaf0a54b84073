//! Killed at random moments under load, and what is there afterwards.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use babelmq::Format::Json;

use crate::support::process::until;
use crate::support::random::Random;
use crate::support::{Client, Field, body, frame};
use crate::{scratch, serve, setting};

const PRODUCERS: u64 = 2;
const TOPICS: usize = 40;

/// What one producer knows of one topic: what it has published or cleared there, by the number of the message.
#[derive(Clone, Default)]
struct History {
    /// The number, and whether it was a publish.
    deeds: Vec<(u64, bool)>,
    /// How many of them a pong has confirmed.
    confirmed: usize,
    /// How many of them were seen on the disk.
    seen: usize,
}

/// What a producer has done, over all runs of the broker.
struct Producer {
    name: u64,
    random: Random,
    number: u64,
    topics: BTreeMap<String, History>,
}

impl Producer {
    /// Publishes, clears and pings until the broker is gone.
    fn work(&mut self, address: SocketAddr, pongs: &AtomicU64) {
        let mut stream = TcpStream::connect(address).unwrap();
        loop {
            let mut bytes = Vec::new();
            let mut counts = BTreeMap::new();
            for _ in 0..=self.random.below(30) {
                let topic = format!("p{}/{}", self.name, self.random.below(TOPICS));
                self.number += 1;
                let publishes = self.random.below(8) > 0;
                bytes.extend(if publishes { publish(&topic, self.number) } else { clear(&topic) });
                let history = self.topics.entry(topic.clone()).or_default();
                history.deeds.push((self.number, publishes));
                counts.insert(topic, history.deeds.len());
            }
            bytes.extend(frame(0, b"{\"command\":\"ping\"}"));
            if stream.write_all(&bytes).is_err() || !is_pong(&mut stream) {
                return;
            }
            for (topic, count) in counts {
                self.topics.get_mut(&topic).unwrap().confirmed = count;
            }
            pongs.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Holds what the broker remembers to what was done, and goes on from there. `confirmed` says whether what a pong has
    /// confirmed must be there.
    fn judge(&mut self, stored: &BTreeMap<String, u64>, confirmed: bool) {
        for (topic, history) in &mut self.topics {
            let found = stored.get(topic).copied();
            // The last deed that explains what is there.
            let at = history.deeds.iter().rposition(|(number, publishes)| match found {
                Some(found) => *publishes && *number == found,
                None => !*publishes,
            });
            let reached = match (at, found) {
                (Some(at), _) => at + 1,
                (None, None) => 0,
                (None, Some(found)) => {
                    panic!("{topic} holds {found}, which was never published, or is older than before")
                }
            };
            let least = if confirmed { history.confirmed } else { history.seen };
            assert!(
                reached >= least,
                "{topic} is at {reached} of {:?}, {least} were confirmed",
                history.deeds
            );
            // What is older than what was seen must not come back: with the deeds it would be unexplained.
            let kept = history.deeds.get(reached.wrapping_sub(1)).copied();
            history.deeds = kept.into_iter().collect();
            history.confirmed = history.deeds.len();
            history.seen = history.deeds.len();
        }
    }
}

/// A message that says which one it is, more than once.
fn publish(topic: &str, number: u64) -> Vec<u8> {
    let message =
        format!("{{\"topic\":\"{topic}\",\"n\":{number},\"again\":\"{}\"}}", number.to_string().repeat(20));
    let message = Field::Raw(message.as_bytes());
    frame(
        0,
        &body(
            Json,
            &[("command", Field::Str("publish")), ("topic", Field::Str(topic)), ("message", message)],
        ),
    )
}

fn clear(topic: &str) -> Vec<u8> {
    frame(0, &body(Json, &[("command", Field::Str("clear")), ("topic", Field::Str(topic))]))
}

fn is_pong(stream: &mut TcpStream) -> bool {
    let mut header = [0; 5];
    if stream.read_exact(&mut header).is_err() {
        return false;
    }
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    let mut body = vec![0; length as usize];
    if stream.read_exact(&mut body).is_err() {
        return false;
    }
    assert_eq!(String::from_utf8_lossy(&body), "{\"command\":\"pong\"}");
    true
}

/// What the broker remembers. Each value is whole and its topic's own, and those of a producer come in its order.
fn stored(address: SocketAddr) -> BTreeMap<String, u64> {
    let mut stored = BTreeMap::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for value in Client::to(address).subscribe(Json, "#") {
        let topic = value.field("topic");
        let message: serde_json::Value = serde_json::from_str(&value.message()).unwrap();
        let number = message["n"].as_u64().unwrap();
        let whole = message["topic"] == topic.as_str() && message["again"] == number.to_string().repeat(20);
        assert!(whole, "{topic}: {message}");
        let producer = topic.split('/').next().unwrap().to_owned();
        let before = last.insert(producer, number).unwrap_or(0);
        assert!(before < number, "{topic}: {number} comes after {before}");
        stored.insert(topic, number);
    }
    stored
}

fn killed(name: &str, options: &[&str], kills: u64, confirmed: bool) {
    let directory = scratch(name);
    let seed = setting("SEED", 1);
    let mut random = Random::new(seed);
    let producer =
        |name| Producer { name, random: Random::new(seed + name + 1), number: 0, topics: BTreeMap::new() };
    let mut producers: Vec<Producer> = (0..PRODUCERS).map(producer).collect();
    for kill in 0..kills {
        let pongs = AtomicU64::new(0);
        let enough = random.below(200);
        let broker = serve(&directory, options);
        let found = stored(broker.address);
        for producer in &mut producers {
            producer.judge(&found, confirmed);
        }
        thread::scope(|scope| {
            for producer in &mut producers {
                let pongs = &pongs;
                scope.spawn(move || producer.work(broker.address, pongs));
            }
            until("pongs enough", || pongs.load(Ordering::Relaxed) >= enough as u64);
            // In the middle of whatever it is doing.
            for _ in 0..random.below(20_000) {
                std::hint::spin_loop();
            }
            broker.signal("KILL");
        });
        drop(broker);
        assert!(Path::new(&directory).join("last-values.redb").exists(), "kill {kill}");
    }
    // A last look, and what ends in good order has lost nothing.
    let broker = serve(&directory, options);
    let found = stored(broker.address);
    producers.iter_mut().for_each(|producer| producer.judge(&found, confirmed));
    Client::to(broker.address).send_raw(&publish("p9/1", 7));
    Client::to(broker.address).flush(Json);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    let broker = serve(&directory, options);
    let after = stored(broker.address);
    assert_eq!(after.get("p9/1"), Some(&7));
    assert_eq!(after.len(), found.len() + 1);
    eprintln!("{name}: {kills} kills survived, seed {seed}");
}

#[test]
fn what_a_pong_has_confirmed_survives_a_kill() {
    killed("always", &["--fsync", "always"], setting("KILLS", 12), true);
}

#[test]
fn at_an_interval_nothing_is_torn_foreign_or_older_than_before() {
    killed("interval", &["--fsync-interval", "20ms"], setting("KILLS", 12), false);
}

#[test]
fn without_fsync_a_kill_leaves_nothing_torn_foreign_or_older_either() {
    killed("never", &["--fsync", "never", "--fsync-interval", "20ms"], setting("KILLS", 12), false);
}
