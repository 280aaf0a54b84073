//! What a connection promises to whoever reads and writes it, in plain text and by TLS alike.
#![cfg(feature = "broker")]

use std::time::Duration;

use babelmq::Broker;
use babelmq::Format::Json;

use crate::support::Field::{Int, Str};
use crate::support::line::over_every_line;
use crate::support::{Client, body, config, frame, number, start};

over_every_line! {
    what_has_begun_on_its_way_is_a_frame_that_has_begun,
    a_subscriber_that_does_not_read_is_told_so_at_the_end_of_whole_frames,
    a_crowd_of_subscribers_is_served,
    a_broker_that_stops_tells_those_too_who_say_nothing,
}

/// Nothing can be read of a record that is there in part, and it is no silence.
fn what_has_begun_on_its_way_is_a_frame_that_has_begun() {
    let broker = Broker::start(config().frame_timeout(Duration::from_millis(200))).unwrap();
    let ping = frame(0, &body(Json, &[("command", Str("ping"))]));
    for missing in [1, 10, ping.len() - 1] {
        let mut client = Client::connect(&broker);
        client.is_quiet();
        client.send_without_the_last(&ping, missing);
        client.next().refuses("frame-timeout", true);
        client.ends();
    }
    assert_eq!(broker.stats().frame_timeouts, 3);
}

fn a_subscriber_that_does_not_read_is_told_so_at_the_end_of_whole_frames() {
    let broker = start();
    let (mut slow, mut producer) = (Client::connect(&broker), Client::connect(&broker));
    slow.subscribe_with(Json, "t", &[("queue", Int(10))]);
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    while broker.stats().slow_consumers == 0 {
        producer.publish(Json, "t", long.as_bytes());
        producer.is_quiet();
    }
    let told = loop {
        let frame = slow.next();
        if frame.field("command") != "publish" {
            break frame;
        }
        assert_eq!(frame.message().len(), long.len());
    };
    told.refuses("slow-consumer", true);
    slow.ends();
}

/// More than have a thread of their own: what a turn leaves behind is sent in the next.
fn a_crowd_of_subscribers_is_served() {
    let broker = start();
    let mut readers: Vec<Client> = (0..300).map(|_| Client::connect(&broker)).collect();
    readers.iter_mut().for_each(|reader| drop(reader.subscribe(Json, "t")));
    let mut producer = Client::connect(&broker);
    for number in 0..3 {
        let message = format!("[{number},\"{}\"]", "x".repeat(20_000));
        producer.publish(Json, "t", message.as_bytes());
        readers.iter_mut().for_each(|reader| assert!(reader.next().message() == message));
    }
    broker.shutdown();
    readers.iter_mut().for_each(Client::ends);
}

fn a_broker_that_stops_tells_those_too_who_say_nothing() {
    let broker = start();
    let silent = Client::connect(&broker);
    let mut begun = Client::connect(&broker);
    begun.send_raw(&[0, 0]);
    let mut subscribed = Client::connect(&broker);
    subscribed.subscribe(Json, "t");
    let mut producer = Client::connect(&broker);
    producer.publish(Json, "t", &number(Json, 1));
    producer.is_quiet();
    broker.shutdown();
    assert_eq!(subscribed.next().number(), 1);
    for mut client in [silent, begun, subscribed, producer] {
        client.ends();
    }
}
