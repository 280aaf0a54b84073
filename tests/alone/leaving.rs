//! Who goes, who is sent away, and the broker that stops.
#![cfg(all(feature = "broker", feature = "middleware"))]

use std::thread;
use std::time::{Duration, Instant};

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::{Broker, BrokerHandle, Config};

use crate::alone;
use crate::support::Field::{Int, Str};
use crate::support::line::over_every_line;
use crate::support::process::{broker_threads, no_thread_is_left, until};
use crate::support::{self, Client, FORMATS, PATIENCE, config, number, start};

over_every_line! {
    a_consumer_goes_in_the_middle_of_a_delivery_while_others_are_served,
    who_does_not_keep_up_is_told_so_and_cut_off,
    shutdown_under_load_delivers_what_was_confirmed_and_joins_every_thread,
    what_was_sent_before_the_shutdown_is_routed_by_it,
    shutdown_does_not_wait_for_ever_for_who_does_not_read,
    silent_clients_and_half_frames_do_not_hold_a_shutdown_up,
}

/// A subscriber that does not read, with as much on its way to it as fits the sockets, and more.
fn stuck(broker: &BrokerHandle) -> Client {
    let mut consumer = Client::connect(broker);
    consumer.subscribe(Json, "/big");
    let mut producer = Client::connect(broker);
    let payload = format!("\"{}\"", "x".repeat(1 << 20));
    for _ in 0..20 {
        producer.publish(Json, "/big", payload.as_bytes());
    }
    producer.flush(Json);
    consumer
}

fn a_consumer_goes_in_the_middle_of_a_delivery_while_others_are_served() {
    let _alone = alone();
    let broker = start();
    let mut other = Client::connect(&broker);
    other.subscribe(Xml, "/t");
    let mut producer = Client::connect(&broker);
    for round in 0..5 {
        let mut consumer = stuck(&broker);
        // It has begun to read the first of twenty.
        consumer.next();
        drop(consumer);
        for count in 0..50 {
            producer.publish(Json, "/t", &number(Json, count));
            assert_eq!(other.next().number(), count, "round {round}");
        }
    }
    until("the broker notices that they are gone", || broker.stats().open == 2);
    let stats = broker.stats();
    assert_eq!((stats.subscriptions, stats.panics, stats.encoding_failures), (1, 0, 0));
    // The listener, the dispatcher, the attendant, and of the clients those that are not silent: at
    // most two each.
    until("their threads end", || broker_threads().len() <= 6);
}

fn who_does_not_keep_up_is_told_so_and_cut_off() {
    let _alone = alone();
    let broker = start();
    let mut slow = Client::connect(&broker);
    slow.subscribe_with(Pickle, "/t", &[("queue", Int(10)), ("overflow", Str("disconnect"))]);
    let mut quick = Client::connect(&broker);
    quick.subscribe(Json, "/t");
    let mut producer = Client::connect(&broker);
    let payload = format!("\"{}\"", "x".repeat(1 << 20));
    let mut sent = 0;
    while broker.stats().slow_consumers == 0 {
        producer.publish(Json, "/t", payload.as_bytes());
        producer.flush(Json);
        assert_eq!(quick.next().message().len(), payload.len());
        sent += 1;
        assert!(sent < 500, "a subscriber that does not read is never cut off");
    }
    let mut delivered = 0;
    let error = loop {
        let frame = slow.next();
        match frame.field("command").as_str() {
            "publish" => delivered += 1,
            _ => break frame,
        }
    };
    error.refuses("slow-consumer", true);
    slow.ends();
    assert!(delivered < sent, "{delivered} of {sent}");
    producer.publish(Json, "/t", b"1");
    assert_eq!(quick.next().number(), 1);
}

fn shutdown_under_load_delivers_what_was_confirmed_and_joins_every_thread() {
    let _alone = alone();
    for round in 0..10 {
        let broker = start();
        let consumers: Vec<_> = FORMATS
            .into_iter()
            .map(|format| {
                let mut client = Client::connect(&broker);
                client.subscribe(format, "/t");
                thread::spawn(move || {
                    let mut numbers = Vec::new();
                    while let Some(frame) = client.next_or_end() {
                        numbers.push(frame.number());
                    }
                    numbers
                })
            })
            .collect();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let mut writer = Client::connect(&broker);
        let mut reader = writer.share();
        let producer = thread::spawn(move || {
            for count in 0.. {
                let mut bytes = support::publish(Json, "/t", &number(Json, count));
                let ping = format!(r#"{{"command":"ping","id":{count}}}"#);
                bytes.extend(support::frame(0, ping.as_bytes()));
                if writer.try_send_raw(&bytes).is_err() {
                    return;
                }
            }
        });
        let confirmations = thread::spawn(move || {
            let mut confirmed = -1;
            // The producer goes on writing, so its connection may well end with a reset.
            let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                while let Some(pong) = reader.next_or_end() {
                    confirmed = pong.field("id").parse().unwrap();
                    let _ = begun.send(());
                }
            }));
            drop(end);
            confirmed
        });
        for _ in 0..=round * 20 {
            has_begun.recv_timeout(PATIENCE).unwrap();
        }
        let began = Instant::now();
        broker.shutdown();
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        no_thread_is_left();
        let confirmed: i64 = confirmations.join().unwrap();
        producer.join().unwrap();
        assert!(confirmed >= 0);
        for consumer in consumers {
            let numbers = consumer.join().unwrap();
            assert!(numbers.len() as i64 > confirmed, "{} of {confirmed}", numbers.len());
            assert!(numbers.iter().copied().eq(0..numbers.len() as i64), "in order, each once");
        }
    }
}

fn what_was_sent_before_the_shutdown_is_routed_by_it() {
    let _alone = alone();
    let broker = start();
    let mut consumer = Client::connect(&broker);
    consumer.subscribe(Json, "/t");
    let mut producer = Client::connect(&broker);
    producer.is_quiet();
    let bytes: Vec<u8> =
        (0..1_000).flat_map(|count| support::publish(Json, "/t", &number(Json, count))).collect();
    producer.send_raw(&bytes);
    broker.shutdown();
    for count in 0..1_000 {
        assert_eq!(consumer.next().number(), count);
    }
    consumer.ends();
    producer.ends();
}

fn shutdown_does_not_wait_for_ever_for_who_does_not_read() {
    let _alone = alone();
    let broker = start();
    let stuck = stuck(&broker);
    let mut reader = Client::connect(&broker);
    reader.subscribe(Json, "/t");
    broker.put_topic("/t", &5.into()).unwrap();
    let began = Instant::now();
    broker.shutdown();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    no_thread_is_left();
    // Whoever read got everything.
    assert_eq!(reader.next().number(), 5);
    reader.ends();
    drop(stuck);
}

fn silent_clients_and_half_frames_do_not_hold_a_shutdown_up() {
    let _alone = alone();
    let broker = start();
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(&broker)).collect();
    for client in &mut clients[..5] {
        client.send_raw(&[0, 0, 0, 1]);
    }
    clients[9].subscribe(Pickle, "#");
    let began = Instant::now();
    broker.shutdown();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    clients.iter_mut().for_each(Client::ends);
    no_thread_is_left();
}

#[test]
fn dropping_the_handle_shuts_down_and_the_port_is_free_at_once() {
    let _alone = alone();
    let broker = start();
    let address = broker.local_addr();
    let mut client = Client::connect(&broker);
    client.publish(Json, "/t", b"1");
    client.subscribe(Json, "#");
    let taken = Broker::start(Config::listening_on(address)).map(drop).unwrap_err();
    assert!(taken.to_string().contains(&format!("{address}: the address is in use")), "{taken}");
    drop(broker);
    no_thread_is_left();
    client.ends();
    let again = Broker::start(Config::listening_on(address)).unwrap();
    assert_eq!(again.local_addr(), address);
    assert_eq!(Client::to(address).subscribe(Json, "#").len(), 0, "it begins with nothing");
}

#[test]
fn one_too_many_is_turned_away_with_an_error() {
    let _alone = alone();
    let broker = Broker::start(config().max_connections(2)).unwrap();
    let mut first = Client::connect(&broker);
    let mut second = Client::connect(&broker);
    first.is_quiet();
    second.is_quiet();
    for turned_away in 1..4 {
        let mut third = Client::connect(&broker);
        third.next().refuses("too-many-connections", true);
        third.ends();
        let stats = broker.stats();
        assert_eq!((stats.turned_away, stats.connections, stats.open), (turned_away, 2, 2));
    }
    drop(first);
    until("the place is free", || broker.stats().open == 1);
    until("somebody can take it", || {
        let mut third = Client::connect(&broker);
        third.command(Json, &[("command", Str("ping"))]);
        third.next().field("command") == "pong"
    });
    second.is_quiet();
}

#[test]
fn one_too_many_that_has_sent_already_gets_no_reset() {
    let _alone = alone();
    let broker = Broker::start(config().max_connections(0)).unwrap();
    for _ in 0..50 {
        let mut client = Client::connect(&broker);
        let _ = client.try_send_raw(&support::publish(Json, "/t", &[b'1'; 4_000]));
        client.next().refuses("too-many-connections", true);
        client.ends();
    }
    assert_eq!(broker.list_topics().len(), 0);
}
