//! Clients of the library that lose their connection every now and then, beside a sober one.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{Stop, python, setting};
use crate::alone;
use crate::support::proxy::Proxy;
use crate::support::random::Random;
use crate::support::{Client, start};
use babelmq::Format::Json;
use babelmq::{Json as AsJson, Pickle, Queue, Value, Wire, Xml};

const TOPIC: &str = "/cut";
/// How often connections are cut, in milliseconds.
const CUT: std::ops::Range<usize> = 200..1_500;
/// Messages that are confirmed together, at most.
const BATCH: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);
/// Messages that a producer may be ahead of the sober subscriber, so that this is no slow one.
const WINDOW: i64 = 20_000;
/// Numbers of each producer.
const NUMBERS: u32 = 40;

/// The last number of each producer that the sober subscriber has seen.
#[derive(Default)]
struct Progress {
    seen: Mutex<[i64; 3]>,
    more: Condvar,
}

impl Progress {
    fn note(&self, number: i64) {
        let last = &mut self.seen.lock().unwrap()[(number >> NUMBERS) as usize];
        *last = number.max(*last);
        self.more.notify_all();
    }

    /// Waits until what was confirmed is nearly seen.
    fn wait_for(&self, confirmed: i64) {
        let producer = (confirmed >> NUMBERS) as usize;
        let is_behind = |seen: &mut [i64; 3]| seen[producer] + WINDOW < confirmed;
        let seen = self.seen.lock().unwrap();
        let (seen, waited) = self.more.wait_timeout_while(seen, PATIENCE, is_behind).unwrap();
        assert!(!waited.timed_out(), "{confirmed} was confirmed, and {seen:?} seen");
    }
}

/// Numbers that were confirmed, and batches of which nobody knows.
#[derive(Default)]
struct Produced {
    confirmed: Vec<i64>,
    doubtful: usize,
}

#[test]
fn what_a_flush_confirmed_arrived_and_no_client_is_dead_at_the_end() {
    let _alone = alone();
    let time = Duration::from_secs(setting("SECONDS", 6));
    let mut random = Random::of(setting("SEED", 1), 5_u64 << 40);
    let broker = start();
    let proxy = Proxy::to(broker.local_addr());
    let way = proxy.address;
    let mut sober = Client::to(broker.local_addr());
    sober.subscribe(Json, TOPIC);
    let in_python = python::start(way, broker.local_addr());
    let (stop, progress) = (Stop::default(), Progress::default());
    let (produced, seen) = thread::scope(|scope| {
        let stopping = stop.when_dropped();
        let (stop, progress) = (&stop, &progress);
        let producers = [
            scope.spawn(move || produce::<AsJson>(way, 0, stop, progress)),
            scope.spawn(move || produce::<Xml>(way, 1, stop, progress)),
            scope.spawn(move || produce::<Pickle>(way, 2, stop, progress)),
        ];
        let consumers = [
            scope.spawn(move || consume::<AsJson>(way)),
            scope.spawn(move || consume::<Xml>(way)),
            scope.spawn(move || consume::<Pickle>(way)),
        ];
        let seen = scope.spawn(move || {
            let (mut seen, mut ended) = (HashSet::new(), 0);
            while ended < 3 {
                let frame = sober.next();
                let number: i64 = frame.message().parse().unwrap();
                if number < 0 {
                    ended += 1;
                } else {
                    seen.insert(number);
                    progress.note(number);
                }
            }
            seen
        });
        let began = Instant::now();
        let mut cuts = 0;
        while began.elapsed() < time {
            // When a cut comes is what is tried; nothing is waited for.
            thread::sleep(Duration::from_millis(
                (CUT.start + random.below(CUT.end - CUT.start)) as u64,
            ));
            proxy.cut();
            cuts += 1;
        }
        drop(stopping);
        println!("soak: {cuts} cuts");
        let produced = producers.map(|producer| producer.join().unwrap());
        // Each came back, and got what was published last.
        let pulled: Vec<usize> = consumers.map(|consumer| consumer.join().unwrap()).into();
        println!("soak: consumers that were cut off pulled {pulled:?}");
        (produced, seen.join().unwrap())
    });
    for Produced { confirmed, doubtful } in produced {
        println!("soak: {} confirmed, {doubtful} batches in doubt", confirmed.len());
        assert!(!confirmed.is_empty() && doubtful > 0, "nothing was tried");
        let missing: Vec<&i64> = confirmed.iter().filter(|number| !seen.contains(number)).collect();
        assert!(missing.is_empty(), "{} confirmed and not seen: {missing:?}", missing.len());
    }
    if let Some(clients) = in_python {
        clients.judge();
    }
    broker.shutdown();
}

/// Pushes numbers until it is the end, then one below zero that says so.
fn produce<W: Wire>(way: SocketAddr, producer: i64, stop: &Stop, progress: &Progress) -> Produced {
    let topic = format!("{TOPIC}/{producer}");
    let mut queue = Queue::<W>::builder(topic).address(way).wait(PATIENCE).producer().unwrap();
    let (mut produced, mut next) = (Produced::default(), producer << NUMBERS);
    while !stop.is_stopped() {
        let batch: Vec<i64> = (next..).take(BATCH).collect();
        next += batch.len() as i64;
        let pushed = batch.iter().try_for_each(|number| queue.push(number));
        match pushed.and_then(|()| queue.flush()) {
            Ok(()) => {
                produced.confirmed.extend(batch);
                progress.wait_for(next - 1);
            }
            Err(_) => produced.doubtful += 1,
        }
    }
    let ends = Instant::now() + PATIENCE;
    while let Err(error) = queue.push(&-1).and_then(|()| queue.flush()) {
        assert!(Instant::now() < ends, "a producer is dead: {error}");
    }
    produced
}

/// Pulls until all producers have ended. Returns how many messages that were.
fn consume<W: Wire>(way: SocketAddr) -> usize {
    let mut queue = Queue::<W>::builder(TOPIC).address(way).wait(PATIENCE).consumer().unwrap();
    let (mut ended, mut pulled) = (HashSet::new(), 0);
    while ended.len() < 3 {
        // A pull of little patience, so that an outage is longer than it.
        if let Ok((topic, value)) = queue.pull_timeout(Duration::from_millis(50)) {
            pulled += 1;
            if value == Value::Int(-1) {
                ended.insert(topic);
            }
        }
    }
    pulled
}
