//! Many consumers, and many messages.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use babelmq::broker::{Record, Use};
use babelmq::codec::PayloadRef;
use babelmq::{Format, Fsync, Storage, Store, Topic};

use super::{Json, orders, scratch, start, start_in, start_with, stream};
use crate::storage::setting;
use crate::support::process::{memory, until};
use crate::support::{claimed, config};

/// Publishes numbers to a topic, and waits until they are where they are to be.
fn publish(producer: &mut Json, topic: &str, numbers: std::ops::Range<i64>) {
    for number in numbers {
        producer.client.publish(Format::Json, topic, number.to_string().as_bytes());
    }
    producer.client.is_quiet();
}

/// None of the messages that it looks at is its own, until the last.
#[test]
fn a_consumer_of_little_finds_it_behind_much_that_is_not_its_own() {
    // Nothing else wakes the stream.
    let config = config().streams(vec![stream("orders", "orders/#")]).fsync(Fsync::Never);
    let broker = start_with(&scratch("little"), config);
    let mut producer = Json::connect(&broker);
    publish(&mut producer, "orders/others", 0..20_000);
    publish(&mut producer, "orders/own", 0..1);
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders/own", "billing", r#","start":"all""#);
    assert_eq!(consumer.delivery(), (20_001, 0, 1));
    let mut ordered = Json::connect(&broker);
    ordered.consume("orders/own", "ordered", r#","start":"all","order":"topic""#);
    assert_eq!(ordered.delivery(), (20_001, 0, 1));
}

#[test]
fn a_thousand_consumers_of_one_stream_each_get_everything() {
    const MESSAGES: i64 = 20;
    let count = setting("CONSUMERS", 1_000);
    let broker = start("thousand");
    let mut consumers: Vec<Json> = (0..count).map(|_| Json::connect(&broker)).collect();
    for (number, consumer) in consumers.iter_mut().enumerate() {
        // However busy the machine is, nothing comes again for that.
        let consumed = r#","window":4,"ack-wait":3600"#;
        consumer.consume("orders", &format!("c{number}"), consumed);
    }
    let before = memory("self", "VmRSS");
    let (mut producer, started) = (Json::connect(&broker), Instant::now());
    publish(&mut producer, "orders/1", 0..MESSAGES);
    let mut slowest = Duration::ZERO;
    for consumer in &mut consumers {
        for number in 0..MESSAGES {
            assert_eq!(consumer.delivery(), (number as u64 + 1, number, 1));
            consumer.ack(number as u64 + 1);
        }
        slowest = slowest.max(started.elapsed());
    }
    let grown = memory("self", "VmRSS").saturating_sub(before);
    eprintln!(
        "{count} consumers, {MESSAGES} messages each: {slowest:.1?}, {} KiB of memory more",
        grown >> 10
    );
    assert!(grown < 256 << 20, "{grown} bytes");
    for mut consumer in consumers {
        consumer.client.is_quiet();
    }
    let mut admin = Json::connect(&broker);
    let list = admin.list(r#"{"command":"consumers"}"#);
    assert_eq!(list.len() as u64, count);
    assert!(list.iter().all(|one| one["pending"] == 0), "{list:?}");
    // What their windows claimed is given back with them.
    until("all have left", || claimed(&broker, Use::Connections) < 1 << 20);
}

/// A consumer that catches up passes through neither the dispatcher nor those who are there.
#[test]
fn a_consumer_that_is_far_behind_catches_up_in_order_and_delays_nobody() {
    let behind = setting("BEHIND", 200_000) as i64;
    let folder = scratch("behind");
    let broker = start_in(&folder, &[stream("orders", "orders/#")]);
    let mut producer = Json::connect(&broker);
    for from in (0..behind).step_by(10_000) {
        publish(&mut producer, "orders/1", from..behind.min(from + 10_000));
    }
    let mut live = Json::connect(&broker);
    live.consume("orders", "live", "");
    let (started, before) = (Instant::now(), memory("self", "VmRSS"));
    let mut late = Json::connect(&broker);
    late.consume("orders", "late", r#","start":"all","window":1024"#);
    let catching_up = std::thread::spawn(move || {
        for seq in 1..=behind as u64 {
            assert_eq!(late.delivery(), (seq, seq as i64 - 1, 1));
            if seq % 256 == 0 {
                late.send(&format!(r#"{{"command":"ack","upto":{seq}}}"#));
            }
        }
        late
    });
    let (mut slowest, mut next) = (Duration::ZERO, behind);
    while !catching_up.is_finished() {
        let sent = Instant::now();
        producer.client.publish(Format::Json, "orders/1", next.to_string().as_bytes());
        assert_eq!(live.delivery(), (next as u64 + 1, next, 1));
        live.ack(next as u64 + 1);
        slowest = slowest.max(sent.elapsed());
        next += 1;
    }
    let mut late = catching_up.join().unwrap();
    eprintln!(
        "{behind} messages behind: caught up in {:.1?}, {} KiB of memory more; the slowest of {} \
         live ones took {slowest:.1?}",
        started.elapsed(),
        memory("self", "VmRSS").saturating_sub(before) >> 10,
        next - behind
    );
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    // Then it is a live one too.
    late.send(&format!(r#"{{"command":"ack","upto":{behind}}}"#));
    for seq in behind as u64 + 1..=next as u64 {
        assert_eq!(late.delivery().0, seq);
        late.ack(seq);
    }
}

/// Writes so many of the shortest messages. Where the broker was killed, the last of them have come
/// to the disk without being waited for.
fn fill(folder: &Path, count: u64, is_killed: bool) {
    const TOGETHER: usize = 4_096;
    let mut storage = Storage::open(folder, true).unwrap();
    let streams = storage.streams().unwrap().unwrap();
    let mut log = streams.open(&orders()).unwrap();
    let topic = Topic::parse("orders/1").unwrap();
    // Before the time for which ids are known, of which every message is read.
    let before = SystemTime::now() - Duration::from_secs(3_600);
    let time = before.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    let record = |seq| Record {
        seq,
        time,
        topic: topic.name(),
        id: None,
        payload: PayloadRef::new(b"7", Format::Json),
    };
    let mut unsynced = 0;
    for from in (1..=count).step_by(TOGETHER) {
        let records: Vec<Record<'_>> =
            (from..(from + TOGETHER as u64).min(count + 1)).map(record).collect();
        log.writer.append(&records).unwrap();
        unsynced += records.len();
        if unsynced >= 100_000 {
            log.sync.sync().unwrap();
            unsynced = 0;
        }
    }
    if !is_killed {
        log.sync.sync().unwrap();
    }
}

#[test]
fn a_broker_starts_soon_and_small_however_much_a_stream_keeps() {
    let count = setting("KEPT", 250_000);
    for (name, is_killed) in [("kept", false), ("kept-killed", true)] {
        let folder = scratch(name);
        fill(&folder, count, is_killed);
        let (began, before) = (Instant::now(), memory("self", "VmRSS"));
        let broker = start_in(&folder, &[orders()]);
        let (took, grown) = (began.elapsed(), memory("self", "VmRSS").saturating_sub(before));
        let mut client = Json::connect(&broker);
        client.subscribe("orders", &format!(r#""start":{count}"#));
        assert_eq!(client.delivery().0, count);
        Json::connect(&broker).publish("orders/1", [8]);
        assert_eq!(client.delivery(), (count + 1, 8, 1));
        eprintln!("{name}: {count} messages, started in {took:.1?}, {} KiB more", grown >> 10);
        assert!(grown < 128 << 20, "{grown} bytes");
        broker.close().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
