//! Killed at random moments under load: eight producers, and two consumers of eight members each
//! that come and go. Afterwards a checker reads what all of them have seen.
//!
//!     make soak-streams KILLS=200 SEED=1
#![cfg(feature = "cli")]

mod clients;

use std::net::SocketAddr;
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
pub(super) struct Shared {
    history: Mutex<Vec<Event>>,
    /// Connections so far.
    connections: AtomicU64,
    /// Pongs of this run.
    pongs: AtomicU64,
}

impl Shared {
    pub(super) fn note(&self, event: Event) {
        self.history.lock().unwrap().push(event);
    }

    fn note_all(&self, events: impl IntoIterator<Item = Event>) {
        self.history.lock().unwrap().extend(events);
    }
}

/// All clients, over all runs of the broker.
pub(super) struct Load {
    seed: u64,
    pub(super) shared: Shared,
    producers: Vec<Producer>,
    seats: Vec<Seat>,
}

impl Load {
    pub(super) fn new(seed: u64) -> Load {
        let producer = |name| Producer::new(name, Random::of(seed, name));
        let seat = |place: u64| {
            let (consumer, joins) = CONSUMERS[(place / SEATS) as usize];
            Seat::new(consumer, joins, Random::of(seed, 100 + place))
        };
        Load {
            seed,
            shared: Shared::default(),
            producers: (0..PRODUCERS).map(producer).collect(),
            seats: (0..SEATS * CONSUMERS.len() as u64).map(seat).collect(),
        }
    }

    /// Works until the broker is gone, which `end` sees to.
    pub(super) fn work(&mut self, address: SocketAddr, end: impl FnOnce(&AtomicU64)) {
        let Load { shared, producers, seats, .. } = self;
        shared.pongs.store(0, Ordering::Relaxed);
        let shared = &*shared;
        thread::scope(|scope| {
            for producer in producers {
                scope.spawn(move || producer.work(address, shared));
            }
            for seat in seats {
                scope.spawn(move || seat.work(address, shared));
            }
            end(&shared.pongs);
        });
    }

    /// Holds what was seen to what is promised.
    pub(super) fn check(self, name: &str, ends: u64, attempts_outlive: bool) {
        let names = || CONSUMERS.iter().map(|(name, _)| (*name).to_owned());
        let promises = Promises {
            consumers: names().collect(),
            ordered: vec!["ordered".to_owned()],
            attempts_outlive,
        };
        let (seed, history) = (self.seed, self.shared.history.into_inner().unwrap());
        match check(&history, &promises) {
            Ok(counts) => eprintln!("streams-{name}: {ends} survived, seed {seed}: {counts:?}"),
            Err(wrong) => panic!("seed {seed}, {ends} ends: {wrong}"),
        }
    }
}

/// Publishes what is not confirmed, settles everything, and reads the dead letters.
pub(super) fn settle_everything(load: &mut Load, address: SocketAddr) {
    for producer in &mut load.producers {
        producer.finish(address, &load.shared);
    }
    for (consumer, joins) in CONSUMERS {
        drain(address, consumer, joins, &load.shared);
    }
    bury(address, &load.shared);
}

fn start(directory: &Path, fsync: &[&str]) -> Served {
    serve(directory, &[fsync, &["--stream", "orders:filter=orders/#"]].concat())
}

fn killed(name: &str, fsync: &[&str], kills: u64) {
    let (directory, seed) = (scratch(name), setting("SEED", 1));
    let (mut random, mut load) = (Random::new(seed), Load::new(seed));
    for _ in 0..kills {
        let broker = start(&directory, fsync);
        let enough = random.below(400) as u64;
        let turns = random.below(200_000);
        load.work(broker.address, |pongs| {
            until("pongs enough", || pongs.load(Ordering::Relaxed) >= enough);
            // In the middle of whatever it is doing.
            for _ in 0..turns {
                std::hint::spin_loop();
            }
            broker.signal("KILL");
        });
        drop(broker);
        load.shared.note(Event::Restarted);
    }
    let broker = start(&directory, fsync);
    settle_everything(&mut load, broker.address);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    load.check(name, kills, true);
}

#[test]
fn streams_keep_their_promises_when_the_broker_is_killed() {
    killed("kills-always", &["--fsync", "always"], setting("KILLS", 6));
}

#[test]
fn a_kill_costs_streams_nothing_at_an_interval_either() {
    killed("kills-interval", &["--fsync-interval", "1s"], setting("KILLS", 6));
}
