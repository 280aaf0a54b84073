//! One budget of memory for the broker: whoever wants much waits or is refused, and nobody modest
//! notices.
#![cfg(feature = "broker")]

use std::time::{Duration, Instant};

use babelmq::Format::{Json, Pickle};
use babelmq::broker::{SMALLEST_MEMORY, Use};
use babelmq::{Broker, BrokerHandle, Config};
use socket2::SockRef;

use crate::support::Field::{Bool, Raw, Str};
use crate::support::line::over_every_line;
use crate::support::process::until;
use crate::support::{self, Client, FORMATS, PATIENCE, claimed, config, publish};

over_every_line! {
    answers_that_are_not_read_are_refused_and_the_connection_goes_on,
    a_reader_of_a_little_now_and_then_is_given_up,
    a_frame_that_was_refused_holds_no_memory,
    producers_do_not_wait_for_ever_for_consumers_that_do_not_read,
}

/// A broker with as little memory as there may be: 4 MiB for frames, as much for answers.
fn start(change: impl FnOnce(&mut Config)) -> BrokerHandle {
    let mut config = config().memory(SMALLEST_MEMORY);
    change(&mut config);
    Broker::start(config).unwrap()
}

/// JSON of about so many bytes.
fn text(bytes: usize) -> Vec<u8> {
    format!("\"{}\"", "x".repeat(bytes)).into_bytes()
}

/// 60 clients begin frames of 2 MiB and send nearly all of them.
#[test]
fn unfinished_frames_take_their_share_and_a_modest_client_goes_on() {
    let broker = start(|config| config.frame_timeout = Duration::from_secs(1));
    let whole = publish(Json, "big", &text(2 << 20));
    let mut greedy: Vec<Client> = (0..60).map(|_| Client::connect(&broker)).collect();
    let sending: Vec<_> = greedy
        .iter()
        .map(|client| {
            let (mut client, bytes) = (client.share(), whole[..whole.len() - 1].to_vec());
            // The broker does not read more than it has memory for.
            std::thread::spawn(move || client.try_send_raw(&bytes).is_ok())
        })
        .collect();
    until("much of the share is claimed", || claimed(&broker, Use::Frames) > 2 << 20);
    let mut modest = Client::connect(&broker);
    modest.subscribe(Json, "small");
    for number in 0..100 {
        modest.publish(Json, "small", number.to_string().as_bytes());
        assert_eq!(modest.next().number(), number);
        assert!(claimed(&broker, Use::Frames) <= 4 << 20);
    }
    // Who waits for the memory of others makes them finish.
    let mut last = Client::connect(&broker);
    last.subscribe(Json, "big");
    loop {
        last.send_raw(&whole);
        let frame = last.next();
        if frame.field("command") == "publish" {
            assert_eq!(frame.message().len(), (2 << 20) + 2);
            break;
        }
        // The frame was skipped, and what follows it is read.
        frame.refuses("memory-full", false);
    }
    drop(greedy.drain(..));
    drop(sending);
    until("all of it is given back", || claimed(&broker, Use::Frames) == 0);
}

/// A client that asks for long answers and does not read them gets some, and then refusals, and
/// goes on.
fn answers_that_are_not_read_are_refused_and_the_connection_goes_on() {
    const ASKED: usize = 300;
    let broker = start(|_| {});
    let mut client = Client::connect(&broker);
    let value = text(400 << 10);
    client.publish(Json, "long", &value);
    client.is_quiet();
    let ask = support::frame(0, br#"{"command":"get","topic":"long"}"#);
    let mut asked = 0;
    // The kernel holds some megabytes; what is beyond that waits in the broker.
    until("it has as much as it may", || {
        client.send_raw(&ask);
        asked += 1;
        claimed(&broker, Use::Answers) > 2 << 20
    });
    client.send_raw(&ask.repeat(ASKED - asked));
    let mut modest = Client::connect(&broker);
    modest.publish(Json, "short", b"7");
    modest.command(Json, &[("command", Str("get")), ("topic", Str("short"))]);
    assert_eq!(modest.next().number(), 7);
    let (mut values, mut refused) = (0, 0);
    for _ in 0..ASKED {
        let frame = client.next();
        if frame.field("command") == "value" {
            values += 1;
            assert_eq!(
                frame.body.len(),
                value.len() + br#"{"command":"value","topic":"long","message":}"#.len()
            );
        } else {
            refused += 1;
            frame.refuses("memory-full", false);
        }
    }
    assert!(values > 0 && refused > 10, "{values} values, {refused} refusals");
    client.is_quiet();
    until("all of it is given back", || claimed(&broker, Use::Answers) == 0);
}

/// Whoever reads a long answer so slowly that it would take for ever is given up, though there is
/// progress all the time.
fn a_reader_of_a_little_now_and_then_is_given_up() {
    let broker = start(|config| config.write_timeout = Duration::from_secs(2));
    let mut client = Client::connect(&broker);
    // The system says what was read in steps of a part of its buffer.
    SockRef::from(client.stream()).set_recv_buffer_size(16 << 10).unwrap();
    client.publish(Json, "long", &text(2 << 20));
    client.is_quiet();
    let ask = support::frame(0, br#"{"command":"get","topic":"long"}"#);
    // The kernel holds some megabytes, of which 48 KB are read in the time that is given.
    let (began, mut read) = (Instant::now(), Vec::new());
    until("it is given up", || {
        // Refusals that wait would make it a slow consumer, which is given up for that.
        if claimed(&broker, Use::Answers) == 0 {
            // It may be over already.
            let _ = client.try_send_raw(&ask);
        }
        if (read.len() as u128) < 24 * began.elapsed().as_millis() {
            client.read_some(&mut read);
        }
        broker.stats().write_timeouts == 1
    });
    assert_eq!(broker.stats().slow_consumers, 0);
    until("its memory is given back", || claimed(&broker, Use::Answers) == 0);
}

/// They would take all of the memory for frames until `frame-timeout`, however long that is.
#[test]
fn many_who_do_not_finish_frames_of_some_kilobytes_are_hurried_when_another_needs_the_memory() {
    let broker = start(|config| config.frame_timeout = 3 * PATIENCE);
    let frame = publish(Json, "half", &text(20 << 10));
    let mut unfinished: Vec<Client> = (0..240).map(|_| Client::connect(&broker)).collect();
    unfinished.iter_mut().for_each(|client| client.send_raw(&frame[..10 << 10]));
    until("all of it is taken", || claimed(&broker, Use::Frames) > (4 << 20) - (40 << 10));
    let mut producer = Client::connect(&broker);
    producer.publish(Json, "whole", &text(60 << 10));
    producer.is_quiet();
    assert_eq!(broker.stats().published, 1);
}

/// Its client reads nothing, so the refusal is not written for long: memory for a frame is not for
/// that.
fn a_frame_that_was_refused_holds_no_memory() {
    let broker = start(|config| config.frame_timeout = Duration::from_millis(200));
    let mut producer = Client::connect(&broker);
    producer.publish(Json, "long", &text(900 << 10));
    producer.is_quiet();
    let mut client = Client::connect(&broker);
    for _ in 0..20 {
        client.command(Json, &[("command", Str("get")), ("topic", Str("long"))]);
    }
    client.send_raw(&publish(Json, "half", &text(2 << 20))[..8 << 10]);
    until("all of the frame is claimed", || claimed(&broker, Use::Frames) > 2 << 20);
    until("it is refused and given back", || claimed(&broker, Use::Frames) < 4 << 10);
    assert_eq!((broker.stats().frame_timeouts, broker.stats().open), (1, 2));
}

/// More frames at once than there is memory for, each of them sent as a whole and at once: they
/// take turns. Frames of 84 KiB were each read in part, until all of the memory was taken by parts.
#[test]
fn frames_wait_for_memory_and_not_for_each_other() {
    for (senders, frames, length) in [(12, 4, 900 << 10), (220, 8, 84 << 10)] {
        let broker = start(|config| config.frame_timeout = Duration::from_secs(60));
        let frame = publish(Json, "large", &text(length));
        let clients: Vec<Client> = (0..senders).map(|_| Client::connect(&broker)).collect();
        let sending: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                let frames = frame.repeat(frames);
                std::thread::spawn(move || {
                    client.send_raw(&frames);
                    client.is_quiet();
                })
            })
            .collect();
        sending.into_iter().for_each(|client| client.join().unwrap());
        let stats = broker.stats();
        let all = (senders * frames) as u64;
        assert_eq!((stats.published, stats.refused, stats.frame_timeouts), (all, 0, 0), "{length}");
        until("all of it is given back", || claimed(&broker, Use::Frames) < 4 << 10);
    }
}

/// Slow consumers that hold what the broker has for messages on their way are cut off when a
/// producer needs it.
fn producers_do_not_wait_for_ever_for_consumers_that_do_not_read() {
    let broker = start(|_| {});
    let mut slow: Vec<Client> = (0..8).map(|_| Client::connect(&broker)).collect();
    slow.iter_mut().for_each(|client| drop(client.subscribe(Json, "flow")));
    let mut bystander = Client::connect(&broker);
    bystander.subscribe(Json, "calm");
    let mut producer = Client::connect(&broker);
    let message = publish(Json, "flow", &text(200 << 10));
    for number in 0..200 {
        producer.send_raw(&message);
        bystander.publish(Json, "calm", number.to_string().as_bytes());
        assert_eq!(bystander.next().number(), number);
    }
    producer.is_quiet();
    assert_eq!(broker.stats().slow_consumers, 8);
    until("all of it is given back", || claimed(&broker, Use::InFlight) < 1 << 20);
}

/// More connections than there is memory for are turned away, and those that are there go on.
#[test]
fn connections_beyond_the_memory_are_turned_away() {
    let broker = start(|_| {});
    let mut first = Client::connect(&broker);
    first.is_quiet();
    let mut others = Vec::new();
    let refused = loop {
        let mut client = Client::connect(&broker);
        client.command(Json, &[("command", Str("ping"))]);
        let frame = client.next();
        if frame.field("command") == "error" {
            break frame;
        }
        others.push(client);
        assert!(others.len() < 1_000, "there is memory for all of them");
    };
    refused.refuses("too-many-connections", true);
    assert!(refused.field("reason").contains("memory"), "{}", refused.field("reason"));
    first.is_quiet();
    drop(others.pop());
    until("there is room again", || broker.stats().open <= others.len() as u64 + 1);
    Client::connect(&broker).is_quiet();
}

/// A list of 300 references to one list of 300 numbers: 1 KB that are 90,000 numbers.
fn expanding() -> Vec<u8> {
    let inner = [b"](", &b"K\x07".repeat(300)[..], b"eq\x01"].concat();
    [b"](", &inner[..], &b"h\x01".repeat(299), b"e"].concat()
}

/// Messages that decode to far more than they look like take their turn among ordinary ones, in
/// every format and for every kind of queue; they are written for each reader by itself.
#[test]
fn messages_that_expand_keep_their_place_among_others() {
    const ROUNDS: i64 = 12;
    let broker = support::start();
    let mut readers = Vec::new();
    for format in FORMATS {
        for overflow in ["disconnect", "drop-oldest"] {
            let mut reader = Client::connect(&broker);
            reader.subscribe_with(format, "mixed", &[("overflow", Str(overflow))]);
            readers.push((format, reader));
        }
    }
    let expanding = expanding();
    let mut sent = Vec::new();
    for round in 0..ROUNDS {
        sent.extend(publish(Pickle, "mixed", &support::number(Pickle, round)));
        sent.extend(publish(Pickle, "mixed", &expanding));
        sent.extend(publish(Json, "mixed", round.to_string().as_bytes()));
    }
    let mut producer = Client::connect(&broker);
    producer.send_raw(&sent);
    for (format, reader) in &mut readers {
        for round in 0..ROUNDS {
            assert_eq!(reader.next().number(), round, "{format:?}");
            let message = reader.next().message();
            let sevens = message.matches('7').count();
            assert_eq!(sevens, 90_000, "{format:?}: {} bytes", message.len());
            assert_eq!(reader.next().number(), round, "{format:?}");
        }
    }
    producer.is_quiet();
    readers.iter_mut().for_each(|(_, reader)| reader.is_quiet());
    // The last value is one of the numbers; a later reader begins with it.
    assert_eq!(Client::connect(&broker).subscribe(Json, "mixed")[0].number(), ROUNDS - 1);
    until("all of it is given back", || {
        [Use::Decoding, Use::InFlight, Use::Writing].iter().all(|this| claimed(&broker, *this) == 0)
    });
}

/// Many messages that nobody wants, then one that somebody does.
fn more_than_is_allowed(count: usize) -> Vec<u8> {
    let fields = [("command", Str("publish")), ("topic", Str("unwanted")), ("retain", Bool(false))];
    let body = support::body(Pickle, &[&fields[..], &[("message", Raw(&expanding()))]].concat());
    let mut sent = support::frame(2, &body).repeat(count);
    sent.extend(publish(Json, "end", b"1"));
    sent
}

/// What waits for an allowance when the broker stops is not decoded: there may be minutes of it.
#[test]
fn a_broker_that_stops_waits_for_no_allowance() {
    let broker = support::start();
    let mut reader = Client::connect(&broker);
    reader.subscribe(Json, "end");
    let mut client = Client::connect(&broker);
    client.send_raw(&more_than_is_allowed(1_000));
    until("the allowance is used up", || broker.stats().published >= 150);
    broker.shutdown();
    reader.ends();
}

/// Consumers that read nothing want the newest message of each topic: copies that nobody shares.
#[test]
fn what_waits_for_consumers_alone_has_a_share_and_a_modest_consumer_goes_on() {
    const SLOW: usize = 12;
    const TOPICS: usize = 12_000;
    let broker = start(|_| {});
    let mut slow: Vec<Client> = (0..SLOW).map(|_| Client::connect(&broker)).collect();
    slow.iter_mut().for_each(|client| {
        client.subscribe_with(Json, "many", &[("overflow", Str("latest"))]);
    });
    let mut modest = Client::connect(&broker);
    modest.subscribe_with(Json, "few", &[("overflow", Str("latest"))]);
    let value = text(1_000);
    let mut producer = Client::connect(&broker);
    for topic in 0..TOPICS {
        let name = format!("many/{topic}");
        let fields = [("topic", Str(&name)), ("retain", Bool(false)), ("message", Raw(&value))];
        producer.command(Json, &[&[("command", Str("publish"))], &fields[..]].concat());
        if topic % 200 == 199 {
            producer.publish(Json, "few", topic.to_string().as_bytes());
            assert_eq!(modest.next().number(), topic as i64);
            let queues = claimed(&broker, Use::Queues);
            assert!(queues <= 4 << 20, "{queues} bytes");
        }
    }
    producer.is_quiet();
    let stats = broker.stats();
    assert_eq!(stats.slow_consumers, 0, "they would rather lose messages");
    assert!(stats.dropped > 1_000, "{} were dropped", stats.dropped);
    // Each is told what it has lost.
    for client in &mut slow {
        let (mut delivered, mut dropped) = (0, 0);
        while delivered + dropped < TOPICS {
            let frame = client.next();
            match frame.field("command").as_str() {
                "publish" => delivered += 1,
                "dropped" => dropped += frame.field("count").parse::<usize>().unwrap(),
                other => panic!("{other}"),
            }
        }
        assert_eq!(delivered + dropped, TOPICS);
    }
    until("all of it is given back", || claimed(&broker, Use::Queues) == 0);
}
