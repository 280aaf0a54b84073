//! Clients that keep to the protocol and believe nothing: producers that number their messages,
//! consumers that check that each number comes, once and in order.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::Stop;
use super::stamp::Stamp;
use super::tally::Tally;
use crate::support::Field::{Bool, Str};
use crate::support::random::Random;
use crate::support::{Client, FORMATS, Frame, PATIENCE, number, publish};

const PRODUCERS: usize = 3;
/// Topics of each producer.
const TOPICS: usize = 3;
/// Consumers that stay from the first message to the last.
const STEADY: usize = 3;
/// Consumers that come, look and go.
const VISITORS: usize = 3;
/// Messages that a producer may be ahead of the slowest steady consumer, so that none of those is a
/// slow one.
const WINDOW: u64 = 2_000;
/// What the last message of all is published to.
const END: &str = "/sober/end";

/// A number for each topic of each producer.
type PerTopic = [[u64; TOPICS]; PRODUCERS];

pub struct Sober<'a> {
    address: SocketAddr,
    seed: u64,
    tally: &'a Tally,
    /// How much each steady consumer has of each producer.
    progress: Mutex<[[u64; PRODUCERS]; STEADY]>,
    progressed: Condvar,
    /// Nothing more is published.
    done: Stop,
}

impl Sober<'_> {
    pub fn new(address: SocketAddr, seed: u64, tally: &Tally) -> Sober<'_> {
        Sober {
            address,
            seed,
            tally,
            progress: Mutex::default(),
            progressed: Condvar::new(),
            done: Stop::default(),
        }
    }

    /// Produces for that time; returns when everything that was published was received.
    pub fn run(&self, time: Duration) {
        let end = Instant::now() + time;
        thread::scope(|scope| {
            // Whatever goes wrong here, the visitors are not waited for in vain.
            let done = self.done.when_dropped();
            let steady: Vec<_> = (0..STEADY)
                .map(|consumer| {
                    let mut client = self.connect();
                    assert_eq!(client.subscribe(FORMATS[consumer % 3], "/sober"), []);
                    scope.spawn(move || self.stay(client, consumer))
                })
                .collect();
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|producer| scope.spawn(move || self.produce(producer, end)))
                .collect();
            for visitor in 0..VISITORS {
                scope.spawn(move || self.come_and_go(visitor));
            }
            let published: Vec<_> =
                producers.into_iter().map(|producer| producer.join().unwrap()).collect();
            let published: PerTopic = published.try_into().unwrap();
            self.last_values(&published);
            drop(done);
            let mut client = self.connect();
            client.publish(FORMATS[0], END, &number(FORMATS[0], 0));
            assert_eq!(client.flush(FORMATS[0]), []);
            for consumer in steady {
                let received = consumer.join().unwrap();
                let missing = |(of, had): (&u64, &u64)| of - had;
                let lost: u64 =
                    published.as_flattened().iter().zip(received.as_flattened()).map(missing).sum();
                self.tally.lost.add(lost);
            }
            self.tally.published.add(published.as_flattened().iter().sum());
        });
    }

    fn connect(&self) -> Client {
        self.tally.connections.add(1);
        Client::to(self.address)
    }

    /// Publishes in bursts; returns how many to each topic.
    fn produce(&self, producer: usize, end: Instant) -> [u64; TOPICS] {
        let mut random = Random::of(self.seed, 1 << 40 | producer as u64);
        let mut client = self.connect();
        let mut counts = [0; TOPICS];
        while Instant::now() < end {
            let mut bytes = Vec::new();
            for _ in 0..=random.below(40) {
                let format = *random.pick(&FORMATS);
                let topic = random.below(TOPICS);
                let stamp = Stamp::now(counts[topic]).pack();
                bytes.extend(publish(format, &name(producer, topic), &number(format, stamp)));
                counts[topic] += 1;
            }
            // In two writes, of which the first may end anywhere in a frame.
            let (first, second) = bytes.split_at(random.below(bytes.len()));
            client.send_raw(first);
            client.send_raw(second);
            if random.one_in(4) {
                assert_eq!(client.flush(FORMATS[producer % 3]), []);
            }
            self.wait_for_the_slowest(producer, counts.iter().sum());
            self.done.rest(Duration::from_millis(random.below(20) as u64));
        }
        assert_eq!(client.flush(FORMATS[producer % 3]), []);
        counts
    }

    fn wait_for_the_slowest(&self, producer: usize, published: u64) {
        let progress = self.progress.lock().unwrap();
        let behind = |progress: &mut [[u64; PRODUCERS]; STEADY]| {
            progress.iter().any(|of_one| of_one[producer] + WINDOW < published)
        };
        let (progress, waited) =
            self.progressed.wait_timeout_while(progress, PATIENCE, behind).unwrap();
        assert!(
            !waited.timed_out(),
            "of {published} of producer {producer} have arrived: {progress:?}"
        );
    }

    /// Receives everything; returns how much of each topic.
    fn stay(&self, mut client: Client, consumer: usize) -> PerTopic {
        let mut seen = Seen::default();
        let mut latencies = Vec::new();
        loop {
            let frame = client.next();
            if frame.field("topic") == END {
                break;
            }
            let ((producer, _), stamp) =
                seen.live(&frame, self.tally).expect("nobody else publishes there");
            latencies.push(u32::try_from(stamp.age()).unwrap());
            self.progress.lock().unwrap()[consumer][producer] += 1;
            self.progressed.notify_all();
        }
        client.is_quiet();
        self.tally.latencies(latencies);
        seen.next
    }

    fn come_and_go(&self, visitor: usize) {
        let mut random = Random::of(self.seed, 2 << 40 | visitor as u64);
        while !self.done.is_stopped() {
            self.visit(&mut random);
        }
    }

    /// Where the stored values end and the live stream begins, nothing is missing and nothing comes
    /// twice.
    fn visit(&self, random: &mut Random) {
        let mut client = self.connect();
        let format = *random.pick(&FORMATS);
        let (producer, topic) = (random.below(PRODUCERS), random.below(TOPICS));
        let filters = [
            "/sober".to_owned(),
            format!("/sober/{producer}"),
            format!("/sober/+/{topic}"),
            name(producer, topic),
            "#".to_owned(),
        ];
        let filter = random.pick(&filters);
        let mut seen = Seen::default();
        for stored in client.subscribe_with(format, filter, &[("exact", Bool(random.one_in(2)))]) {
            seen.stored(&stored, self.tally);
        }
        for _ in 0..random.below(20) {
            for frame in client.flush(*random.pick(&FORMATS)) {
                seen.live(&frame, self.tally);
            }
            self.done.rest(Duration::from_millis(random.below(10) as u64));
        }
        match random.below(3) {
            0 => {
                client.command(format, &[("command", Str("cancel")), ("topic", Str(filter))]);
                while let frame = client.next()
                    && frame.field("command") == "publish"
                {
                    seen.live(&frame, self.tally);
                }
                client.is_quiet();
                let known = seen.next[producer][topic];
                self.expect_at_least(&mut client, producer, topic, known);
            }
            1 => {
                client.finish_sending();
                while let Some(frame) = client.next_or_end() {
                    seen.live(&frame, self.tally);
                }
            }
            // It goes in the middle of everything.
            _ => {}
        }
    }

    /// The last values, when nothing is published any more, to somebody who comes and to somebody
    /// who asks.
    fn last_values(&self, published: &PerTopic) {
        let mut client = self.connect();
        for format in FORMATS {
            let mut seen = Seen::default();
            for stored in client.subscribe(format, "/sober") {
                seen.stored(&stored, self.tally);
            }
            if seen.next != *published {
                self.tally.stale.add(1);
            }
        }
        let mut other = self.connect();
        for (producer, counts) in published.iter().enumerate() {
            for (topic, count) in counts.iter().enumerate() {
                self.expect_at_least(&mut other, producer, topic, *count);
            }
        }
        client.is_quiet();
    }

    /// `known` messages were published, so the last value is that of the last of them, or a later
    /// one.
    fn expect_at_least(&self, client: &mut Client, producer: usize, topic: usize, known: u64) {
        if known > 0 {
            client.command(
                FORMATS[0],
                &[("command", Str("get")), ("topic", Str(&name(producer, topic)))],
            );
            if Stamp::unpack(client.next().number()).count + 1 < known {
                self.tally.stale.add(1);
            }
        }
    }
}

fn name(producer: usize, topic: usize) -> String {
    format!("/sober/{producer}/{topic}")
}

/// What one consumer expects next.
#[derive(Default)]
struct Seen {
    next: PerTopic,
}

impl Seen {
    fn stored(&mut self, frame: &Frame, tally: &Tally) {
        let Some(((producer, topic), stamp)) = read(frame) else { return };
        tally.received.add(1);
        if std::mem::replace(&mut self.next[producer][topic], stamp.count + 1) != 0 {
            tally.duplicates.add(1);
        }
    }

    /// Judges a message, if it is of a sober producer.
    fn live(&mut self, frame: &Frame, tally: &Tally) -> Option<((usize, usize), Stamp)> {
        let ((producer, topic), stamp) = read(frame)?;
        tally.received.add(1);
        let next = &mut self.next[producer][topic];
        if stamp.count < *next {
            tally.duplicates.add(1);
        } else {
            tally.lost.add(stamp.count - *next);
            *next = stamp.count + 1;
        }
        Some(((producer, topic), stamp))
    }
}

/// The producer, its topic, and what it said.
fn read(frame: &Frame) -> Option<((usize, usize), Stamp)> {
    let fields = frame.fields();
    assert_eq!(fields["command"], "publish", "{fields:?}");
    let (producer, topic) = fields["topic"].strip_prefix("/sober/")?.split_once('/')?;
    let index = (producer.parse().unwrap(), topic.parse().unwrap());
    Some((index, Stamp::unpack(frame.number())))
}
