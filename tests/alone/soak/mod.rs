//! The soak: random clients that do what they like, sober ones that check everything the whole
//! time, and an account of what is left over when all have gone.
//!
//!     make soak SECONDS=600 SEED=1 CLIENTS=300 CONNECTIONS=100000
//!
//! Without these variables it is a short one. What a client chooses follows from the seed; how the
//! clients' choices interleave does not.
#![cfg(all(feature = "broker", feature = "middleware"))]

mod cut;
mod dawdlers;
mod leftovers;
mod python;
mod short;
mod sober;
mod stamp;
mod tally;
mod wild;

use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::alone;
use crate::support::process::{broker_threads, memory, no_thread_is_left, until};
use crate::support::start;
use leftovers::Holdings;
use sober::Sober;
use tally::Tally;

/// A number from the environment, or the one of the short soak.
fn setting(name: &str, short: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    if text.is_empty() {
        short
    } else {
        text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number"))
    }
}

/// What tells every client to come to an end.
#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    stopping: Condvar,
}

impl Stop {
    /// What stops everyone when it is dropped, by a panic as well.
    fn when_dropped(&self) -> impl Drop {
        struct Stopper<'a>(&'a Stop);
        impl Drop for Stopper<'_> {
            fn drop(&mut self) {
                *self.0.stopped.lock().unwrap() = true;
                self.0.stopping.notify_all();
            }
        }
        Stopper(self)
    }

    fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap()
    }

    /// Lets the time pass, unless it is the end. Returns whether it is.
    fn rest(&self, time: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap();
        *self.stopping.wait_timeout_while(stopped, time, |stopped| !*stopped).unwrap().0
    }
}

#[test]
fn sober_clients_among_wild_ones_lose_nothing_and_nothing_is_left_over() {
    let _alone = alone();
    let seconds = setting("SECONDS", 6);
    let seed = setting("SEED", 1);
    let clients = setting("CLIENTS", 30);
    println!("soak: SECONDS={seconds} SEED={seed} CLIENTS={clients}");
    // What is set up once for a process, by the library as well, is set up by a first round.
    let few = (seconds / 20).clamp(1, 5);
    soak(Duration::from_secs(few), seed.wrapping_add(1), clients).check();
    let before = Holdings::now();
    let began = Instant::now();
    let tally = soak(Duration::from_secs(seconds), seed, clients);
    let took = began.elapsed().as_secs_f64();
    let left = Holdings::now().beyond(&before);
    println!("{tally}");
    println!(
        "soak: {took:.0} s, at most {} MiB resident; left over: {left}",
        memory("self", "VmHWM") >> 20
    );
    tally.check();
    left.check();
}

/// A broker's whole life among its clients.
fn soak(time: Duration, seed: u64, clients: u64) -> Tally {
    let broker = start();
    let address = broker.local_addr();
    let (stop, tally) = (Stop::default(), Tally::default());
    thread::scope(|scope| {
        let stopping = stop.when_dropped();
        for client in 0..clients {
            let (stop, tally) = (&stop, &tally);
            let spawned = thread::Builder::new()
                .name(format!("wild-{client}"))
                .spawn_scoped(scope, move || wild::live(address, seed, client, stop, tally));
            spawned.unwrap();
        }
        scope.spawn(|| dawdlers::run(address, seed, &stop, &tally));
        Sober::new(address, seed, &tally).run(time);
        drop(stopping);
    });
    until("the broker notices that all are gone", || {
        let stats = broker.stats();
        (stats.open, stats.subscriptions) == (0, 0)
    });
    until("their threads end", || broker_threads().len() == 3);
    tally.close(broker.stats());
    broker.shutdown();
    no_thread_is_left();
    tally
}
