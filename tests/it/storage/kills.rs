//! Killed at random moments under load, and what is there afterwards.
//!
//! What may be lost is defined by the broker's own word and by the clock. While the producers work,
//! the broker is asked for its `unsaved_ms` again and again: whatever a pong had confirmed so long
//! before the question was sent must be there after the kill. And the time that is lost, from the
//! pong that confirmed the oldest change that is missing to the kill, is at most the interval and
//! what a write takes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use babelmq::Format::Json;

use super::{scratch, serve, setting};
use crate::support::process::until;
use crate::support::random::Random;
use crate::support::{Client, Field, PATIENCE, body, frame};

const PRODUCERS: u64 = 2;
const TOPICS: usize = 40;
/// What a write may take, on a machine that has other things to do as well.
const WRITE: Duration = Duration::from_secs(5);

/// Something that a producer did to a topic.
#[derive(Clone, Debug)]
struct Deed {
    /// The number of the message.
    number: u64,
    /// Whether it was published, and not cleared.
    publishes: bool,
    /// When a pong had confirmed it.
    confirmed: Option<Instant>,
}

/// What one producer knows of one topic.
#[derive(Clone, Debug, Default)]
struct History {
    deeds: Vec<Deed>,
    /// How many of them were seen on the disk.
    seen: usize,
}

/// What is known of the end of a broker.
#[derive(Clone, Copy, Debug)]
struct End {
    /// What had been confirmed by then must be there.
    saved: Option<Instant>,
    killed: Instant,
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
            let mut done = Vec::new();
            for _ in 0..=self.random.below(30) {
                let topic = format!("p{}/{}", self.name, self.random.below(TOPICS));
                self.number += 1;
                let publishes = self.random.below(8) > 0;
                bytes.extend(if publishes { publish(&topic, self.number) } else { clear(&topic) });
                let history = self.topics.entry(topic.clone()).or_default();
                history.deeds.push(Deed { number: self.number, publishes, confirmed: None });
                done.push((topic, history.deeds.len() - 1));
            }
            bytes.extend(frame(0, b"{\"command\":\"ping\"}"));
            if stream.write_all(&bytes).is_err() || !is_pong(&mut stream) {
                return;
            }
            let now = Instant::now();
            for (topic, place) in done {
                self.topics.get_mut(&topic).unwrap().deeds[place].confirmed = Some(now);
            }
            pongs.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Holds what the broker remembers to what was done, and goes on from there. Returns the time
    /// that was lost.
    fn judge(&mut self, stored: &BTreeMap<String, u64>, end: Option<End>) -> Duration {
        let mut lost = Duration::ZERO;
        for (topic, history) in &mut self.topics {
            let found = stored.get(topic).copied();
            // The last deed that explains what is there.
            let at = history.deeds.iter().rposition(|deed| match found {
                Some(found) => deed.publishes && deed.number == found,
                None => !deed.publishes,
            });
            let reached = match (at, found) {
                (Some(at), _) => at + 1,
                (None, None) => 0,
                (None, Some(found)) => {
                    panic!(
                        "{topic} holds {found}, which was never published, or is older than before"
                    )
                }
            };
            assert!(
                reached >= history.seen,
                "{topic} is older than before: {found:?} of {:?}",
                history.deeds
            );
            if let Some(end) = end {
                let missing =
                    history.deeds[reached..].iter().filter_map(|deed| deed.confirmed).min();
                let promised =
                    missing.zip(end.saved).is_some_and(|(confirmed, saved)| confirmed < saved);
                assert!(!promised, "{topic} is at {reached} of {:?}, {end:?}", history.deeds);
                lost = lost.max(missing.map_or(Duration::ZERO, |confirmed| end.killed - confirmed));
            }
            // What is older than what was seen must not come back: with the deeds it would be
            // unexplained.
            history.deeds =
                history.deeds.get(reached.wrapping_sub(1)).cloned().into_iter().collect();
            history.seen = history.deeds.len();
        }
        lost
    }
}

/// Asks the broker how far its disk is until it is gone, and notes before when everything is there.
fn watch(address: SocketAddr, saved: &Mutex<Option<Instant>>) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    loop {
        let asked = Instant::now();
        if stream.write_all(&frame(0, b"{\"command\":\"stats\"}")).is_err() {
            return;
        }
        let Some(body) = read_frame(&mut stream) else { return };
        let stats: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let unsaved = stats["message"]["counters"]["unsaved_ms"].as_u64().unwrap();
        // A part of a millisecond is not said.
        *saved.lock().unwrap() = asked.checked_sub(Duration::from_millis(unsaved + 1));
    }
}

/// A message that says which one it is, more than once.
fn publish(topic: &str, number: u64) -> Vec<u8> {
    let message = format!(
        "{{\"topic\":\"{topic}\",\"n\":{number},\"again\":\"{}\"}}",
        number.to_string().repeat(20)
    );
    let message = Field::Raw(message.as_bytes());
    frame(
        0,
        &body(
            Json,
            &[
                ("command", Field::Str("publish")),
                ("topic", Field::Str(topic)),
                ("message", message),
            ],
        ),
    )
}

fn clear(topic: &str) -> Vec<u8> {
    frame(0, &body(Json, &[("command", Field::Str("clear")), ("topic", Field::Str(topic))]))
}

/// The body of the next frame, unless the broker is gone.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).ok()?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

fn is_pong(stream: &mut TcpStream) -> bool {
    let body = read_frame(stream);
    body.is_some_and(|body| {
        assert_eq!(String::from_utf8_lossy(&body), "{\"command\":\"pong\"}");
        true
    })
}

/// What the broker remembers. Each value is whole and its topic's own, and those of a producer come
/// in its order.
fn stored(address: SocketAddr) -> BTreeMap<String, u64> {
    let mut stored = BTreeMap::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for value in Client::to(address).subscribe(Json, "#") {
        let topic = value.field("topic");
        let message: serde_json::Value = serde_json::from_str(&value.message()).unwrap();
        let number = message["n"].as_u64().unwrap();
        let whole =
            message["topic"] == topic.as_str() && message["again"] == number.to_string().repeat(20);
        assert!(whole, "{topic}: {message}");
        let producer = topic.split('/').next().unwrap().to_owned();
        let before = last.insert(producer, number).unwrap_or(0);
        assert!(before < number, "{topic}: {number} comes after {before}");
        stored.insert(topic, number);
    }
    stored
}

/// What is promised of what a pong has confirmed.
#[derive(Clone, Copy)]
enum Promise {
    /// It is there.
    There,
    /// It is there as soon as the broker says so, which it does after this time and a write.
    After(Duration),
}

fn killed(name: &str, options: &[&str], kills: u64, promise: Promise) {
    let directory = scratch(name);
    let seed = setting("SEED", 1);
    let mut random = Random::new(seed);
    let producer = |name| Producer {
        name,
        random: Random::new(seed + name + 1),
        number: 0,
        topics: BTreeMap::new(),
    };
    let mut producers: Vec<Producer> = (0..PRODUCERS).map(producer).collect();
    let mut end = None;
    let mut lost: Vec<Duration> = Vec::new();
    let judge = |producers: &mut [Producer], found: &BTreeMap<String, u64>, end| {
        let lost = producers.iter_mut().map(|producer| producer.judge(found, end)).max();
        lost.unwrap_or_default()
    };
    for kill in 0..kills {
        let (pongs, saved) = (AtomicU64::new(0), Mutex::new(None));
        let enough = random.below(200);
        let broker = serve(&directory, options);
        lost.push(judge(&mut producers, &stored(broker.address), end));
        let started = Instant::now();
        let killed = thread::scope(|scope| {
            for producer in &mut producers {
                let pongs = &pongs;
                scope.spawn(move || producer.work(broker.address, pongs));
            }
            scope.spawn(|| watch(broker.address, &saved));
            until("pongs enough", || pongs.load(Ordering::Relaxed) >= enough as u64);
            // Without anybody who asks for it, what the producers do gets to the disk.
            until("something is saved", || {
                saved.lock().unwrap().is_some_and(|saved| saved > started)
            });
            // In the middle of whatever it is doing.
            for _ in 0..random.below(20_000) {
                std::hint::spin_loop();
            }
            let killed = Instant::now();
            broker.signal("KILL");
            killed
        });
        let saved = saved.into_inner().unwrap();
        end = Some(match promise {
            // Whatever was confirmed, even while it was being killed.
            Promise::There => End { saved: Some(Instant::now()), killed },
            Promise::After(_) => End { saved, killed },
        });
        drop(broker);
        assert!(Path::new(&directory).join("last-values.redb").exists(), "kill {kill}");
    }
    // A last look, and what ends in good order has lost nothing.
    let broker = serve(&directory, options);
    let found = stored(broker.address);
    lost.push(judge(&mut producers, &found, end));
    Client::to(broker.address).send_raw(&publish("p9/1", 7));
    Client::to(broker.address).flush(Json);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    let broker = serve(&directory, options);
    let after = stored(broker.address);
    assert_eq!(after.get("p9/1"), Some(&7));
    assert_eq!(after.len(), found.len() + 1);
    lost.sort_unstable();
    let (median, most) = (lost[lost.len() / 2], lost[lost.len() - 1]);
    eprintln!(
        "{name}: {kills} kills survived, seed {seed}; time lost: median {median:.1?}, at most \
         {most:.1?}"
    );
    let allowed = match promise {
        Promise::There => Duration::ZERO,
        Promise::After(interval) => interval + WRITE,
    };
    assert!(most <= allowed, "{most:?} were lost");
}

/// The interval, as an option and as it is.
const INTERVAL: (&str, Duration) = ("20ms", Duration::from_millis(20));

#[test]
fn what_a_pong_has_confirmed_survives_a_kill() {
    killed("always", &["--fsync", "always"], setting("KILLS", 12), Promise::There);
}

#[test]
fn at_an_interval_a_kill_costs_no_more_than_that_and_nothing_gets_torn_or_older() {
    let (option, interval) = INTERVAL;
    killed(
        "interval",
        &["--fsync-interval", option],
        setting("KILLS", 12),
        Promise::After(interval),
    );
}

#[test]
fn without_fsync_a_kill_costs_no_more_either() {
    let (option, interval) = INTERVAL;
    let options = ["--fsync", "never", "--fsync-interval", option];
    killed("never", &options, setting("KILLS", 12), Promise::After(interval));
}

/// Values that a filter names, and of which a kill finds some cleared.
const LONG: u64 = 20_000;

#[test]
fn a_kill_amid_a_long_clear_leaves_values_whole_or_gone_and_no_confirmed_clear_comes_back() {
    let directory = scratch("clear");
    let options = ["--fsync", "always"];
    let mut random = Random::new(setting("SEED", 1));
    let (mut number, mut cut_short) = (0, 0);
    let kills = setting("KILLS", 4);
    for kill in 0..kills {
        let broker = serve(&directory, &options);
        let mut stream = TcpStream::connect(broker.address).unwrap();
        for (root, count) in [("kept", 100), ("done", 2_000), ("long", LONG)] {
            for n in 0..count {
                number += 1;
                stream.write_all(&publish(&format!("{root}/{n}"), number)).unwrap();
            }
        }
        confirmed(&mut stream, &clear("done/#"));
        let mut told = Client::to(broker.address);
        told.subscribe_with(Json, "long", &[("cleared", Field::Bool(true))]);
        stream.write_all(&clear("long/#")).unwrap();
        for _ in 0..=random.below(1_000) {
            assert_eq!(told.next().field("command"), "cleared");
        }
        broker.signal("KILL");
        drop(broker);

        let broker = serve(&directory, &options);
        let found = stored(broker.address);
        let of = |root| found.keys().filter(|topic| topic.starts_with(root)).count();
        assert_eq!((of("done/"), of("kept/")), (0, 100), "kill {kill}");
        cut_short += usize::from(of("long/") > 0);
        // What the next one confirms is gone for good.
        confirmed(&mut TcpStream::connect(broker.address).unwrap(), &clear("long/#"));
        broker.signal("KILL");
        drop(broker);
        let broker = serve(&directory, &options);
        assert_eq!(stored(broker.address).len(), 100, "kill {kill}");
        broker.signal("TERM");
        assert_eq!(broker.end().0, Some(0));
    }
    eprintln!("clear: {kills} kills survived, {cut_short} of them amid a clear");
    assert!(cut_short > 0, "each clear was on the disk before the kill");
}

/// Sends something, and waits until a pong has confirmed it. That never came where the clear was
/// still going on when the disk was told of its beginning.
fn confirmed(stream: &mut TcpStream, bytes: &[u8]) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[bytes, &frame(0, b"{\"command\":\"ping\"}")].concat()).unwrap();
    assert!(is_pong(stream), "no pong came");
}
