//! Long answers that nobody reads: what they keep alive is bounded, and nobody else notices.
#![cfg(feature = "broker")]

use babelmq::Format::Json;
use babelmq::broker::{SMALLEST_MEMORY, Use};
use babelmq::{Broker, BrokerHandle};

use crate::support::Field::Str;
use crate::support::line::over_every_line;
use crate::support::process::until;
use crate::support::{self, Client, claimed, config, publish};

over_every_line! {
    a_slow_reader_of_a_snapshot_sees_one_moment,
    who_keeps_too_much_alive_is_cut_off_and_a_bystander_goes_on,
}

/// A broker with as little memory as there may be: 4 MiB for values that are kept and pieces of
/// long answers.
fn start() -> BrokerHandle {
    start_with(SMALLEST_MEMORY)
}

fn start_with(memory: usize) -> BrokerHandle {
    Broker::start(config().memory(memory)).unwrap()
}

fn snapshots(broker: &BrokerHandle) -> u64 {
    claimed(broker, Use::Snapshots)
}

/// Publishes the same number to each of `topics` topics.
fn publish_all(client: &mut Client, topics: usize, number: usize) {
    let message = number.to_string();
    let frames: Vec<Vec<u8>> = (0..topics)
        .map(|topic| publish(Json, &format!("many/{topic}"), message.as_bytes()))
        .collect();
    client.send_raw(&frames.concat());
    client.is_quiet();
}

fn ask(command: &str) -> Vec<u8> {
    support::frame(0, format!(r#"{{"command":"{command}","topic":"many"}}"#).as_bytes())
}

/// 20 clients ask for 60 lists each and read nothing, while everything is published again and
/// again. What is kept for them is kept once; each list is whole when it is read.
#[test]
fn many_unread_lists_keep_each_value_once() {
    const TOPICS: usize = 3_000;
    const CLIENTS: usize = 20;
    const LISTS: usize = 60;
    let broker = start_with(512 << 20);
    let mut producer = Client::connect(&broker);
    publish_all(&mut producer, TOPICS, 1);
    let mut lists: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(&broker)).collect();
    // Each has asked when this is answered; nothing of it is read.
    lists.iter_mut().for_each(|client| client.send_raw(&ask("list").repeat(LISTS)));
    let mut modest = Client::connect(&broker);
    for round in 2..5 {
        publish_all(&mut producer, TOPICS, round);
        // Each value once, and two pieces for each client.
        let most = (TOPICS * 120 + CLIENTS * 2 * 1_024 * 120) as u64;
        assert!(snapshots(&broker) <= most, "{} of {most} bytes", snapshots(&broker));
        modest.publish(Json, "calm", b"7");
        modest.command(Json, &[("command", Str("get")), ("topic", Str("calm"))]);
        assert_eq!(modest.next().number(), 7);
    }
    for mut client in lists.drain(..1) {
        for _ in 0..LISTS {
            let frame = client.next();
            assert!(frame.text().starts_with(r#"{"command":"topics""#), "{}", frame.text());
            assert_eq!(frame.text().matches("many/").count(), TOPICS);
        }
    }
    drop(lists);
    until("all of it is given back", || snapshots(&broker) == 0);
    assert_eq!(broker.stats().slow_consumers, 0);
}

/// Whoever reads slowly sees one moment, whatever is published meanwhile.
fn a_slow_reader_of_a_snapshot_sees_one_moment() {
    const TOPICS: usize = 3_000;
    let broker = start();
    let mut producer = Client::connect(&broker);
    publish_all(&mut producer, TOPICS, 1);
    let mut slow = Client::connect(&broker);
    slow.send_raw(&ask("subscribe"));
    until("it is subscribed", || broker.stats().subscriptions == 1);
    publish_all(&mut producer, TOPICS, 2);
    for retained in 0..TOPICS {
        let frame = slow.next();
        assert_eq!((frame.field("topic"), frame.number()), (format!("many/{retained}"), 1));
        assert_eq!(frame.field("retained"), "true");
    }
    slow.next().says(&[("command", "subscribed"), ("topic", "many"), ("values", "3000")]);
    for live in 0..TOPICS {
        let frame = slow.next();
        assert_eq!((frame.field("topic"), frame.number()), (format!("many/{live}"), 2));
    }
    slow.is_quiet();
    until("all of it is given back", || snapshots(&broker) == 0);
}

/// A client asks for everything and never reads, while all of it is published again and again: when
/// too much is kept for it, it is cut off.
fn who_keeps_too_much_alive_is_cut_off_and_a_bystander_goes_on() {
    const TOPICS: usize = 2_000;
    let broker = start();
    let mut producer = Client::connect(&broker);
    let value = format!("\"{}\"", "x".repeat(2_500));
    let frames: Vec<Vec<u8>> = (0..TOPICS)
        .map(|topic| publish(Json, &format!("many/{topic}"), value.as_bytes()))
        .collect();
    let publish_all = |producer: &mut Client| {
        producer.send_raw(&frames.concat());
        producer.is_quiet();
    };
    publish_all(&mut producer);
    let mut stalled = Client::connect(&broker);
    stalled.send_raw(&ask("list").repeat(60));
    let mut bystander = Client::connect(&broker);
    bystander.subscribe(Json, "calm");
    for number in 0..5 {
        publish_all(&mut producer);
        assert!(snapshots(&broker) <= 5 << 20, "{} bytes", snapshots(&broker));
        bystander.publish(Json, "calm", number.to_string().as_bytes());
        assert_eq!(bystander.next().number(), number);
    }
    until("it is cut off", || broker.stats().slow_consumers == 1);
    until("all of it is given back", || snapshots(&broker) == 0);
}

/// A value that is too long to wait uncounted comes by a walk, and is the same to whoever reads.
#[test]
fn a_few_long_values_come_in_pieces() {
    let broker = start();
    let mut client = Client::connect(&broker);
    let value = format!("\"{}\"", "x".repeat(300_000));
    for topic in 0..5 {
        client.publish(Json, &format!("many/{topic}"), value.as_bytes());
    }
    let frames = client.subscribe(Json, "many");
    assert_eq!(frames.len(), 5);
    assert!(frames.iter().all(|frame| frame.message().len() == value.len()));
    until("all of it is given back", || snapshots(&broker) == 0);
}

/// A list that would be longer than an answer may be, or than there is memory for, is refused, and
/// the connection goes on.
#[test]
fn a_list_that_is_too_long_is_refused_and_the_connection_goes_on() {
    const TOPICS: usize = 30_000;
    let mut limited = config();
    limited.limits.max_encoded = 100_000;
    let small = config().memory(SMALLEST_MEMORY);
    // The shorter the names, the more memory a list takes for its length: with these it has none
    // long before it is too long.
    let names = ["short".to_owned(), "x".repeat(80)];
    for (config, name, code) in
        [(limited, &names[0], "too-large"), (small, &names[1], "memory-full")]
    {
        let broker = Broker::start(config).unwrap();
        let mut client = Client::connect(&broker);
        for part in 0..10 {
            let frames: Vec<Vec<u8>> = (0..TOPICS / 10)
                .map(|topic| publish(Json, &format!("many/{part}/{name}/{topic}"), b"1"))
                .collect();
            client.send_raw(&frames.concat());
        }
        client.is_quiet();
        client.send_raw(&ask("list"));
        let refused = client.next();
        refused.refuses(code, false);
        assert!(refused.field("reason").contains("list a subtree"), "{}", refused.field("reason"));
        client.command(Json, &[("command", Str("list")), ("topic", Str("many/3"))]);
        let frame = client.next();
        assert_eq!(frame.field("command"), "topics", "{}", frame.text());
        assert_eq!(frame.text().matches("many/3/").count(), TOPICS / 10);
        client.is_quiet();
        let writing = || claimed(&broker, Use::Writing);
        until("all of it is given back", || writing() == 0);
    }
}
