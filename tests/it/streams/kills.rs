//! Killed at random moments under load: eight producers, and two consumers of eight members each
//! that come and go. Afterwards a checker reads what all of them have seen.
//!
//!     make soak-streams KILLS=200 SEED=1
#![cfg(feature = "cli")]

mod clients;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::checker::{Event, Promises, check};
use super::scratch;
use crate::storage::{serve, setting};
use crate::support::process::until;
use crate::support::random::Random;
use crate::support::served::Served;
use clients::{Producer, Seat, bury, drain};

const PRODUCERS: u64 = 8;
const SEATS: u64 = 8;
/// The consumers, and what they say when they join.
const CONSUMERS: [(&str, &str); 2] =
    [("all", r#""start":"all","window":16"#), ("ordered", r#""start":"all","order":"topic""#)];

/// What all clients of all runs share.
#[derive(Default)]
struct Shared {
    history: Mutex<Vec<Event>>,
    /// Connections so far.
    connections: AtomicU64,
    /// Pongs of this run.
    pongs: AtomicU64,
}

impl Shared {
    fn note(&self, event: Event) {
        self.history.lock().unwrap().push(event);
    }

    fn note_all(&self, events: impl IntoIterator<Item = Event>) {
        self.history.lock().unwrap().extend(events);
    }
}

fn start(directory: &Path, fsync: &[&str]) -> Served {
    serve(directory, &[fsync, &["--stream", "orders:filter=orders/#"]].concat())
}

fn killed(name: &str, fsync: &[&str], kills: u64) {
    let directory = scratch(name);
    let seed = setting("SEED", 1);
    let mut random = Random::new(seed);
    let shared = Shared::default();
    let mut producers: Vec<Producer> =
        (0..PRODUCERS).map(|name| Producer::new(name, Random::of(seed, name))).collect();
    let mut seats: Vec<Seat> = CONSUMERS
        .iter()
        .flat_map(|consumer| (0..SEATS).map(move |seat| (consumer, seat)))
        .enumerate()
        .map(|(place, ((consumer, joins), _))| {
            Seat::new(consumer, joins, Random::of(seed, 100 + place as u64))
        })
        .collect();
    for _ in 0..kills {
        let broker = start(&directory, fsync);
        shared.pongs.store(0, Ordering::Relaxed);
        let enough = random.below(400) as u64;
        thread::scope(|scope| {
            for producer in &mut producers {
                scope.spawn(|| producer.work(broker.address, &shared));
            }
            for seat in &mut seats {
                scope.spawn(|| seat.work(broker.address, &shared));
            }
            until("pongs enough", || shared.pongs.load(Ordering::Relaxed) >= enough);
            // In the middle of whatever it is doing.
            for _ in 0..random.below(200_000) {
                std::hint::spin_loop();
            }
            broker.signal("KILL");
        });
        drop(broker);
        shared.note(Event::Restarted);
    }
    let broker = start(&directory, fsync);
    for producer in &mut producers {
        producer.finish(broker.address, &shared);
    }
    for (consumer, joins) in CONSUMERS {
        drain(broker.address, consumer, joins, &shared);
    }
    bury(broker.address, &shared);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    let names = || CONSUMERS.iter().map(|(name, _)| (*name).to_owned());
    let promises = Promises { consumers: names().collect(), ordered: vec!["ordered".to_owned()] };
    let history = shared.history.into_inner().unwrap();
    match check(&history, &promises) {
        Ok(counts) => eprintln!("streams-{name}: {kills} kills survived, seed {seed}: {counts:?}"),
        Err(wrong) => panic!("seed {seed}, {kills} kills: {wrong}"),
    }
}

#[test]
fn streams_keep_their_promises_when_the_broker_is_killed() {
    killed("kills-always", &["--fsync", "always"], setting("KILLS", 6));
}

#[test]
fn a_kill_costs_streams_nothing_at_an_interval_either() {
    killed("kills-interval", &["--fsync-interval", "1s"], setting("KILLS", 6));
}
