//! In order, each once: with many at a time, and where the snapshot meets the live stream.
#![cfg(all(feature = "broker", feature = "middleware"))]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use babelmq::BrokerHandle;
use babelmq::Format::{self, Json, Pickle, Xml};

use crate::support::Field::Str;
use crate::support::line::over_every_line;
use crate::support::{Client, FORMATS, Frame, number, publish, start};

over_every_line! {
    four_consumers_that_stay_see_four_producers_in_order,
    four_consumers_that_come_and_go_see_four_producers_in_order,
}

/// The numbers that came, for each topic.
#[derive(Default)]
struct Seen(BTreeMap<String, Vec<i64>>);

impl Seen {
    fn add(&mut self, frame: &Frame) {
        self.0.entry(frame.field("topic")).or_default().push(frame.number());
    }

    /// Fails unless each topic's numbers follow one another.
    #[track_caller]
    fn is_gapless(&self) {
        for (topic, numbers) in &self.0 {
            let expected = numbers[0]..numbers[0] + numbers.len() as i64;
            let wrong = numbers.iter().copied().zip(expected).find(|(is, expected)| is != expected);
            assert_eq!(wrong, None, "{topic}: a number and the one expected in its place");
        }
    }
}

const PRODUCERS: i64 = 4;
const MESSAGES: i64 = 3_000;

/// Publishes numbers to two topics in turn, several frames to a write, in a format of its own.
fn produce(broker: &BrokerHandle, producer: i64) -> thread::JoinHandle<()> {
    let mut client = Client::connect(broker);
    let format = FORMATS[producer as usize % 3];
    thread::spawn(move || {
        let topic = format!("/load/{producer}");
        let other = format!("/load/{producer}/more");
        let mut bytes = Vec::new();
        for count in 0..MESSAGES {
            bytes.extend(publish(format, &topic, &number(format, count)));
            bytes.extend(publish(format, &other, &number(format, count)));
            // Writes of all lengths, some of them ending within a frame.
            if count % 17 == producer {
                let cut = bytes.len() - (count as usize % 5);
                client.send_raw(&bytes[..cut]);
                bytes.drain(..cut);
            }
        }
        client.send_raw(&bytes);
        assert_eq!(client.flush(format), []);
    })
}

fn four_consumers_that_stay_see_four_producers_in_order() {
    let broker = start();
    let consumers: Vec<_> = [Json, Xml, Pickle, Json]
        .into_iter()
        .map(|format| {
            let mut client = Client::connect(&broker);
            client.subscribe(format, "/load");
            thread::spawn(move || {
                let mut seen = Seen::default();
                for _ in 0..PRODUCERS * MESSAGES * 2 {
                    seen.add(&client.next());
                }
                client.is_quiet();
                seen
            })
        })
        .collect();
    let producers: Vec<_> = (0..PRODUCERS).map(|producer| produce(&broker, producer)).collect();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    for consumer in consumers {
        let seen = consumer.join().unwrap();
        seen.is_gapless();
        let counts: Vec<_> =
            seen.0.values().map(|numbers| (numbers[0], numbers.len() as i64)).collect();
        assert_eq!(counts, [(0, MESSAGES); 8]);
    }
    assert_eq!(broker.stats().published, (PRODUCERS * MESSAGES * 2) as u64);
}

fn four_consumers_that_come_and_go_see_four_producers_in_order() {
    let broker = Arc::new(start());
    let done = Arc::new(AtomicBool::new(false));
    let consumers: Vec<_> = (0..4)
        .map(|consumer: usize| {
            let (broker, done) = (broker.clone(), done.clone());
            thread::spawn(move || {
                let mut visits = 0;
                while visits < 3 || !done.load(Ordering::Acquire) {
                    visit(&broker, FORMATS[(consumer + visits) % 3], visits);
                    visits += 1;
                }
            })
        })
        .collect();
    let producers: Vec<_> = (0..PRODUCERS).map(|producer| produce(&broker, producer)).collect();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    done.store(true, Ordering::Release);
    consumers.into_iter().for_each(|consumer| consumer.join().unwrap());
    // Whoever comes now finds the last of everything, in the order in which it was published.
    let stored = Client::connect(&broker).subscribe(Json, "/load");
    assert_eq!(stored.len(), 8);
    assert!(stored.iter().all(|frame| frame.number() == MESSAGES - 1));
    assert_eq!(broker.stats().panics, 0);
}

/// Subscribes, watches for a while, and leaves politely or not.
fn visit(broker: &BrokerHandle, format: Format, manner: usize) {
    let mut client = Client::connect(broker);
    let mut seen = Seen::default();
    for stored in client.subscribe(format, "/load") {
        seen.add(&stored);
    }
    assert!(seen.0.values().all(|numbers| numbers.len() == 1), "one stored value a topic");
    for frame in client.flush(format) {
        seen.add(&frame);
    }
    if manner.is_multiple_of(2) {
        client.command(format, &[("command", Str("cancel")), ("topic", Str("/load"))]);
        loop {
            let frame = client.next();
            if frame.field("command") == "cancelled" {
                break;
            }
            seen.add(&frame);
        }
        client.is_quiet();
    }
    seen.is_gapless();
}

#[test]
fn the_snapshot_meets_the_live_stream() {
    const TOPICS: i64 = 5;
    let broker = start();
    let done = Arc::new(AtomicBool::new(false));
    // Two publishers, each with topics of its own, as fast as they can.
    let publishers: Vec<_> = (0..2)
        .map(|publisher| {
            let mut client = Client::connect(&broker);
            let done = done.clone();
            thread::spawn(move || {
                let mut round = 0;
                while !done.load(Ordering::Acquire) {
                    let bytes: Vec<u8> = (0..20)
                        .flat_map(|more| {
                            (0..TOPICS).flat_map(move |topic| {
                                let format = FORMATS[topic as usize % 3];
                                let name = format!("/busy/{publisher}/{topic}");
                                publish(format, &name, &number(format, round * 20 + more))
                            })
                        })
                        .collect();
                    client.send_raw(&bytes);
                    // Not further ahead of the broker than this, or the queues would fill up.
                    assert_eq!(client.flush(Json), []);
                    round += 1;
                }
                round
            })
        })
        .collect();
    let mut met_in_full_run = 0;
    for joined in 0..60 {
        let format = FORMATS[joined % 3];
        let mut client = Client::connect(&broker);
        let filter = ["/busy", "#", "/busy/+/#", "/busy/1"][joined % 4];
        let stored = client.subscribe(format, filter);
        let mut seen = Seen::default();
        // As every topic's stored value is its last one, a publisher's are at most one round apart,
        // in its order.
        for publisher in 0..2 {
            let of_one: Vec<i64> = stored
                .iter()
                .filter(|frame| frame.field("topic").starts_with(&format!("/busy/{publisher}/")))
                .map(Frame::number)
                .collect();
            assert!(of_one.is_sorted(), "in the order of publication: {of_one:?}");
            let span = of_one.last().zip(of_one.first()).map_or(0, |(last, first)| last - first);
            assert!(span <= 1, "one moment and not two: {of_one:?}");
        }
        stored.iter().for_each(|frame| seen.add(frame));
        for _ in 0..300 {
            let live = client.next();
            assert!(!live.fields().contains_key("retained"), "{:?}", live.fields());
            seen.add(&live);
        }
        seen.is_gapless();
        met_in_full_run += usize::from(seen.0.values().any(|numbers| numbers[0] > 0));
    }
    done.store(true, Ordering::Release);
    for publisher in publishers {
        assert!(publisher.join().unwrap() > 1);
    }
    assert!(met_in_full_run > 30, "most joined while values were stored: {met_in_full_run}");
}

/// A snapshot that is too large to be taken at once shows one moment all the same, and so does a
/// list; and whoever asks for something else meanwhile is answered.
#[test]
fn a_large_snapshot_meets_the_live_stream() {
    const TOPICS: i64 = 3_000;
    let broker = start();
    let mut publisher = Client::connect(&broker);
    let round = move |round: i64| -> Vec<u8> {
        (0..TOPICS)
            .flat_map(|topic| {
                let format = FORMATS[topic as usize % 3];
                publish(format, &format!("/many/{}/{topic}", topic % 10), &number(format, round))
            })
            .collect()
    };
    publisher.send_raw(&round(0));
    publisher.flush(Json);
    let done = Arc::new(AtomicBool::new(false));
    let publishing = {
        let done = done.clone();
        thread::spawn(move || {
            for count in 1.. {
                if done.load(Ordering::Acquire) {
                    return;
                }
                publisher.send_raw(&round(count));
                assert_eq!(publisher.flush(Json), []);
            }
        })
    };
    let mut other = Client::connect(&broker);
    for joined in 0..12 {
        let format = FORMATS[joined % 3];
        let filter = ["/many", "#", "/many/+"][joined % 3];
        let mut client = Client::connect(&broker);
        client.command(format, &[("command", Str("list")), ("topic", Str(filter))]);
        client.command(format, &[("command", Str("subscribe")), ("topic", Str(filter))]);
        other.is_quiet();
        let topics = client.next();
        assert_eq!(topics.field("command"), "topics");
        let mut seen = Seen::default();
        let mut stored = Vec::new();
        loop {
            let frame = client.next();
            if frame.field("command") == "subscribed" {
                assert_eq!(frame.field("values"), TOPICS.to_string());
                break;
            }
            assert!(frame.fields().contains_key("retained"));
            stored.push(frame.number());
            seen.add(&frame);
        }
        assert_eq!(seen.0.len() as i64, TOPICS, "none is missed and none comes twice");
        // The publisher goes round, so the oldest are the last of the round before.
        assert!(stored.is_sorted(), "in the order of publication");
        assert!(stored[stored.len() - 1] - stored[0] <= 1, "one moment and not two");
        for _ in 0..TOPICS {
            seen.add(&client.next());
        }
        seen.is_gapless();
    }
    done.store(true, Ordering::Release);
    publishing.join().unwrap();
    let topics = broker.list_topics();
    assert_eq!(topics.len() as i64, TOPICS);
    assert!(topics.is_sorted());
}

#[test]
fn the_snapshot_is_in_the_order_of_the_last_publication() {
    let broker = start();
    let mut client = Client::connect(&broker);
    let mut expected: Vec<(String, i64)> = Vec::new();
    // A fixed pseudo-random walk over 50 topics at several depths.
    let mut state = 12_345_u64;
    for count in 0..400 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chosen = (state >> 33) % 50;
        let topic = match chosen % 3 {
            0 => format!("s/{chosen}"),
            1 => format!("s/x/{chosen}"),
            _ => format!("s/x/y/{chosen}"),
        };
        expected.retain(|(other, _)| *other != topic);
        if chosen.is_multiple_of(7) && count % 2 == 0 {
            client.command(Json, &[("command", Str("clear")), ("topic", Str(&topic))]);
            continue;
        }
        let format = FORMATS[count as usize % 3];
        client.publish(format, &topic, &number(format, count));
        expected.push((topic, count));
    }
    for (format, filter) in FORMATS.into_iter().zip(["s", "#", "s/x/y"]) {
        let stored: Vec<_> = client
            .subscribe(format, filter)
            .iter()
            .map(|frame| (frame.field("topic"), frame.number()))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .filter(|(topic, _)| filter == "#" || topic.starts_with(&format!("{filter}/")))
            .cloned()
            .collect();
        assert!(expected.len() > 5);
        assert_eq!(stored, expected, "{filter}");
    }
}
