//! Clocks that jump.

use std::time::{Duration, SystemTime};

use babelmq::broker::Record;
use babelmq::codec::PayloadRef;
use babelmq::{Format, Storage, Store, Topic};

use super::{Json, orders, scratch, start_in};

/// What a broker left behind whose clock was ahead by an hour.
fn left_by_a_fast_clock(folder: &std::path::Path, age: Option<Duration>) -> u64 {
    let ahead = SystemTime::now() + Duration::from_secs(3_600);
    let time = ahead.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut storage = Storage::open(folder, true).unwrap();
    let streams = storage.streams().unwrap().unwrap();
    let mut orders = orders();
    orders.age = age;
    let mut log = streams.open(&orders).unwrap();
    let topic = Topic::parse("orders/1").unwrap();
    let record = |seq| Record {
        seq,
        time,
        topic: topic.name(),
        id: None,
        payload: PayloadRef::new(b"7", Format::Json),
    };
    log.writer.append(&[record(1), record(2)]).unwrap();
    log.sync.sync().unwrap();
    time
}

#[test]
fn time_does_not_go_back_in_a_stream_when_the_clock_was_set_back() {
    let folder = scratch("clock");
    left_by_a_fast_clock(&folder, None);
    let broker = start_in(&folder, &[orders()]);
    let mut client = Json::connect(&broker);
    client.publish("orders/1", [7]);
    client.consume("orders", "billing", r#","start":"all""#);
    let times: Vec<String> = (0..3).map(|_| client.client.next().field("time")).collect();
    assert_eq!((&times[0], &times[1]), (&times[1], &times[2]), "{times:?}");
    // Who asks for that time gets all of it.
    let mut follower = Json::connect(&broker);
    follower.subscribe("orders", &format!(r#""start":"{}""#, times[2]));
    assert_eq!(follower.seqs(3), [1, 2, 3]);
}

#[test]
fn what_is_of_the_future_is_not_too_old() {
    let folder = scratch("clock-age");
    let age = Duration::from_secs(60);
    left_by_a_fast_clock(&folder, Some(age));
    let mut orders = orders();
    orders.age = Some(age);
    let broker = start_in(&folder, &[orders]);
    let mut client = Json::connect(&broker);
    client.publish("orders/1", [7]);
    client.consume("orders", "billing", r#","start":"all""#);
    assert_eq!(client.seqs(3), [1, 2, 3]);
}
