//! Subscribers beyond those that have threads of their own: their writers rest in a pool.
//!
//! What they get is what the others get, also where the pool cannot go on: a socket that is full,
//! many values, a client that is cut off, a broker that stops.
#![cfg(feature = "broker")]

use std::time::Duration;

use babelmq::Format::{Json, Xml};
use babelmq::{Broker, BrokerHandle, Config};
use socket2::SockRef;

use crate::alone;
use crate::support::Field::Str;
use crate::support::line::over_every_line;
use crate::support::process::{broker_threads, no_thread_is_left, until};
use crate::support::{self, Client, FORMATS, config, number};

over_every_line! {
    a_full_socket_gets_a_thread_for_a_while_and_the_order_stays,
    stored_values_and_answers_of_any_size_come_in_order,
    a_slow_consumer_without_a_thread_is_told_and_cut_off,
    a_client_without_a_thread_that_takes_nothing_is_given_up,
    a_broker_that_stops_writes_out_what_waits_for_those_without_threads,
    a_broker_that_stops_does_not_wait_for_those_that_take_nothing,
}

/// Writers that have threads of their own, and keep them.
const OWN_THREADS: usize = 16;

fn writers() -> usize {
    broker_threads().iter().filter(|name| name.starts_with("writer-")).count()
}

/// A broker with so many subscribers that the writers of all others rest.
fn crowded(config: Config) -> (BrokerHandle, Vec<Client>) {
    let broker = Broker::start(config).unwrap();
    let first = (0..OWN_THREADS)
        .map(|_| {
            let mut client = Client::connect(&broker);
            client.subscribe(Json, "first");
            client
        })
        .collect();
    (broker, first)
}

/// Publishes until the sockets on the way to whoever does not read are full for certain: 20 MiB.
fn fill(producer: &mut Client, topic: &str) {
    let payload = format!("\"{}\"", "x".repeat(1 << 20));
    for _ in 0..20 {
        producer.publish(Json, topic, payload.as_bytes());
    }
    producer.flush(Json);
}

/// Fails unless the client gets what [`fill`] has published.
fn reads_the_filling(client: &mut Client) {
    for count in 0..20 {
        let frame = client.next();
        assert_eq!(frame.field("command"), "publish", "number {count}");
        assert!(frame.body.len() > 1 << 20, "number {count} has {} bytes", frame.body.len());
    }
}

fn a_full_socket_gets_a_thread_for_a_while_and_the_order_stays() {
    let _alone = alone();
    let (broker, _first) = crowded(config());
    let mut slow: Vec<Client> = FORMATS
        .iter()
        .map(|format| {
            let mut client = Client::connect(&broker);
            // The system gives more room to whoever reads much, on some machines 32 MiB.
            SockRef::from(client.stream()).set_recv_buffer_size(1 << 20).unwrap();
            client.subscribe(*format, "t");
            client
        })
        .collect();
    let mut quick = Client::connect(&broker);
    quick.subscribe(Json, "t/quick");
    assert_eq!(writers(), OWN_THREADS, "those that came last have no threads");
    let mut producer = Client::connect(&broker);
    for round in 0..3 {
        for count in 0..10 {
            producer.publish(Json, "t", &number(Json, count));
        }
        fill(&mut producer, "t");
        until("who does not read has a thread", || writers() == OWN_THREADS + slow.len());
        for count in 10..2_000 {
            producer.publish(Xml, "t", &number(Xml, count));
        }
        // Nobody waits for those that do not read.
        producer.publish(Json, "t/quick", &number(Json, round));
        assert_eq!(quick.next().number(), round);
        for client in &mut slow {
            for count in 0..10 {
                assert_eq!(client.next().number(), count);
            }
            reads_the_filling(client);
            for count in 10..2_000 {
                assert_eq!(client.next().number(), count);
            }
            assert_eq!(client.next().number(), round);
        }
        until("it rests again", || writers() == OWN_THREADS);
    }
    slow.iter_mut().for_each(Client::is_quiet);
    assert_eq!((broker.stats().panics, broker.stats().slow_consumers), (0, 0));
    drop(broker);
    no_thread_is_left();
}

fn stored_values_and_answers_of_any_size_come_in_order() {
    let _alone = alone();
    let (broker, _first) = crowded(config());
    let mut producer = Client::connect(&broker);
    // More than one step of a walk, and more bytes than a turn writes.
    for count in 0..5_000 {
        producer.publish(Json, &format!("many/{count}"), &number(Json, count));
    }
    producer.publish(Json, "big", format!("\"{}\"", "x".repeat(8 << 20)).as_bytes());
    producer.flush(Json);
    for format in FORMATS {
        let mut client = Client::connect(&broker);
        client.command(format, &[("command", Str("subscribe")), ("topic", Str("many"))]);
        client.command(format, &[("command", Str("get")), ("topic", Str("big"))]);
        client.command(format, &[("command", Str("list")), ("topic", Str("many"))]);
        client.command(format, &[("command", Str("ping"))]);
        for count in 0..5_000 {
            assert_eq!(client.next().number(), count);
        }
        let answers: Vec<String> = (0..4).map(|_| client.next().field("command")).collect();
        assert_eq!(answers, ["subscribed", "value", "topics", "pong"]);
    }
    until("they rest again", || writers() == OWN_THREADS);
}

fn a_slow_consumer_without_a_thread_is_told_and_cut_off() {
    let _alone = alone();
    let mut config = config();
    config.queue.bytes = 4 << 20;
    let (broker, _first) = crowded(config);
    let mut producer = Client::connect(&broker);
    for format in FORMATS {
        let before = broker.stats();
        let mut slow = Client::connect(&broker);
        slow.subscribe(format, "t");
        let mut other = Client::connect(&broker);
        other.subscribe(format, "u");
        fill(&mut producer, "t");
        until("it is let go", || broker.stats().slow_consumers == before.slow_consumers + 1);
        // What was written before it was cut off comes whole, then why, then the end.
        let mut delivered = 0;
        let last = loop {
            let frame = slow.next();
            match frame.field("command").as_str() {
                "publish" => delivered += 1,
                _ => break frame,
            }
        };
        // On a busy machine it is cut off before its writer had a turn.
        assert!(delivered < 20, "{delivered}");
        last.refuses("slow-consumer", true);
        slow.ends();
        producer.publish(Json, "u", &number(Json, 1));
        assert_eq!(other.next().number(), 1);
    }
    assert_eq!(broker.stats().panics, 0);
}

fn a_client_without_a_thread_that_takes_nothing_is_given_up() {
    let _alone = alone();
    let (broker, _first) = crowded(config().write_timeout(Duration::from_millis(200)));
    let mut dead = Client::connect(&broker);
    dead.subscribe(Json, "t");
    let mut other = Client::connect(&broker);
    other.subscribe(Json, "u");
    let mut producer = Client::connect(&broker);
    fill(&mut producer, "t");
    until("it is given up", || broker.stats().write_timeouts == 1);
    until("it is gone", || broker.stats().open == OWN_THREADS as u64 + 2);
    producer.publish(Json, "u", &number(Json, 1));
    assert_eq!(other.next().number(), 1);
}

fn a_broker_that_stops_writes_out_what_waits_for_those_without_threads() {
    let _alone = alone();
    let (broker, _first) = crowded(config());
    let mut clients: Vec<Client> = (0..40)
        .map(|index| {
            let mut client = Client::connect(&broker);
            client.subscribe(FORMATS[index % 3], if index % 20 == 0 { "t" } else { "t/small" });
            client
        })
        .collect();
    let mut producer = Client::connect(&broker);
    // Two of them have full sockets and threads when it stops; the others still rest, or are being
    // called.
    fill(&mut producer, "t");
    until("they have threads", || writers() == OWN_THREADS + 2);
    let stream: Vec<u8> = (0..3_000)
        .flat_map(|count| support::publish(Json, "t/small", &number(Json, count)))
        .collect();
    producer.send_raw(&stream);
    producer.flush(Json);
    let stopping = std::thread::spawn(move || broker.shutdown());
    for (index, client) in clients.iter_mut().enumerate() {
        if index % 20 == 0 {
            reads_the_filling(client);
        }
        for count in 0..3_000 {
            assert_eq!(client.next().number(), count, "client {index}");
        }
        client.ends();
    }
    stopping.join().unwrap();
    no_thread_is_left();
}

fn a_broker_that_stops_does_not_wait_for_those_that_take_nothing() {
    let _alone = alone();
    let (broker, _first) = crowded(config());
    let mut stuck = Client::connect(&broker);
    stuck.subscribe(Json, "t");
    let mut producer = Client::connect(&broker);
    fill(&mut producer, "t");
    until("it has a thread", || writers() == OWN_THREADS + 1);
    broker.shutdown();
    no_thread_is_left();
}
