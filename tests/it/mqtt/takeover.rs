//! Connections that take sessions over from others, and what goes on with them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use babelmq::{Config, StoreLimits};

use super::{reason, start, start_with};
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5, packet, text};
use crate::support::process::until;

const URL: &str = "mqtt://127.0.0.1:0";

/// A phone that has lost its network leaves a connection behind that takes nothing. It is not to
/// wait until the broker has found that out.
#[test]
fn a_connection_that_takes_nothing_keeps_nobody_from_its_session() {
    let broker = start();
    let hello = Hello::new(V5, "phone").staying();
    let (mut lost, _) = Mqtt::hello(&broker, &hello);
    lost.take_little();
    lost.subscribe("t", 1);
    let mut publisher = Mqtt::connect(&broker, V3_1_1, "publisher");
    for _ in 0..150 {
        publisher.publish("t", &[b'x'; 100_000], 1, false, 1);
        assert_eq!(publisher.read().kind(), "PUBACK");
    }
    // Its writer has written what fits the buffers, and has begun to wait once more: nothing
    // happens then that could be waited for.
    let mut written = 0;
    while written != broker.stats().bytes_out {
        written = broker.stats().bytes_out;
        std::thread::sleep(Duration::from_millis(1_500));
    }
    let began = Instant::now();
    let (mut back, is_present) = Mqtt::hello(&broker, &hello);
    assert!(is_present && began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for number in 0..150 {
        let message = back.message();
        assert_eq!((message.payload.len(), message.qos), (100_000, 1), "{number}");
        back.ack(0x40, message.id);
    }
}

/// A session has its number from connection to connection, and none of these is lost from sight
/// for that.
#[test]
fn connections_are_counted_however_often_a_session_is_taken_over() {
    let broker = start_with(Config::default().max_connections_per_address(4), URL);
    let hello = Hello::new(V5, "same").staying();
    let mut last = Mqtt::hello(&broker, &hello).0;
    for round in 0..300 {
        let mut next = Mqtt::dial(&broker, V5);
        let connack = next.ask(&hello);
        assert_eq!((connack.kind(), &connack.body[..2]), ("CONNACK", &[1, 0][..]), "{round}");
        last = next;
    }
    last.ping();
    drop(last);
    broker.close().unwrap();
}

/// A broker stops at once, whoever is waiting for whose session.
#[test]
fn a_broker_stops_while_sessions_are_taken_over() {
    for _ in 0..5 {
        let broker = start();
        let (address, is_over) = (broker.mqtt_addr(), AtomicBool::new(false));
        let took = std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let hello = Hello::new(V3_1_1, "same").staying();
                    while !is_over.load(Ordering::Relaxed) {
                        Mqtt::ask_in_vain(address, &hello);
                    }
                });
            }
            until("sessions are taken over", || broker.stats().connections > 20);
            let began = Instant::now();
            broker.close().unwrap();
            is_over.store(true, Ordering::Relaxed);
            began.elapsed()
        });
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
}

/// MQTT 5, 4.9: what is sent again has to fit the window of the new connection, and goes on when
/// the client answers.
#[test]
fn what_is_sent_again_waits_for_the_window_of_the_new_connection() {
    let broker = start();
    let wide = Hello::new(V5, "flaky").staying();
    let (mut flaky, _) = Mqtt::hello(&broker, &wide);
    flaky.subscribe("t", 1);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    for (payload, id) in [(b"1", 1), (b"2", 2), (b"3", 3)] {
        publisher.publish("t", payload, 1, false, id);
        assert_eq!(publisher.read().kind(), "PUBACK");
        flaky.message();
    }
    drop(flaky);
    // Session Expiry Interval, and Receive Maximum.
    let narrow = Hello { properties: &[17, 0xff, 0xff, 0xff, 0xff, 33, 0, 1], ..wide };
    let (mut narrow, is_present) = Mqtt::hello(&broker, &narrow);
    assert!(is_present);
    for payload in [b"1", b"2", b"3"] {
        let message = narrow.message();
        assert_eq!((&message.payload[..], message.dup), (&payload[..], true));
        narrow.ping();
        narrow.ack(0x40, message.id);
    }
}

/// PUBACK never says that a message was taken which was not, however many were not.
#[test]
fn every_message_that_the_store_refuses_is_refused() {
    let config = Config::default().store(StoreLimits::default().values(1));
    let broker = start_with(config, URL);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    let retained = |topic: &str, id: u16| {
        let body = [&text(topic)[..], &id.to_be_bytes(), &[0], b"1"].concat();
        packet(0x33, &body)
    };
    publisher.send(&retained("first", 1));
    assert_eq!(publisher.read().body, [0, 1]);
    let all: Vec<u8> = (1..=1_000).flat_map(|id| retained(&format!("t/{id}"), id)).collect();
    publisher.send(&all);
    for id in 1..=1_000_u16 {
        let puback = publisher.read();
        assert_eq!((puback.kind(), &puback.body[..2]), ("PUBACK", &id.to_be_bytes()[..]));
        assert_eq!(puback.body.get(2), Some(&reason::QUOTA), "{id}");
    }
}

/// Subscribers get what decodes to far more than its length explains, and only so much of it at a
/// time.
#[test]
fn what_expands_goes_from_mqtt_to_mqtt() {
    let broker = start();
    let mut subscriber = Mqtt::connect(&broker, V5, "subscriber");
    subscriber.subscribe("t", 1);
    let mut value = [b"(", &b"N".repeat(100)[..], b"t\x94"].concat();
    for memo in 0..2_u8 {
        let again = [b'h', memo].repeat(9);
        value = [b"(", &value[..], &again, b"t\x94"].concat();
    }
    let pickle = [b"\x80\x04", &value[..], b"."].concat();
    let content = [&[3][..], &text("application/x-python-pickle")].concat();
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    for id in 1..=3 {
        publisher.publish_with("t", &pickle, (2, false, id), &content);
    }
    for id in 1..=3_u16 {
        let pubrec = publisher.read();
        assert_eq!((pubrec.kind(), &pubrec.body[..]), ("PUBREC", &id.to_be_bytes()[..]));
        let message = subscriber.message();
        assert!(message.payload.starts_with(b"[["), "{}", message.payload.len());
        assert!(message.payload.len() > 40_000, "{}", message.payload.len());
        subscriber.ack(0x40, message.id);
    }
}

/// Where there are hundreds of writers they take turns, and each comes to know what its session
/// knows.
#[test]
fn hundreds_of_clients_are_written_to_in_turns() {
    let broker = start();
    // Session Expiry Interval, and Receive Maximum.
    let properties = &[17, 0xff, 0xff, 0xff, 0xff, 33, 0, 1];
    let names: Vec<String> = (0..300).map(|number| format!("client-{number}")).collect();
    let connect = |name: &String| {
        let hello = Hello { properties, clean: false, ..Hello::new(V5, name) };
        Mqtt::hello(&broker, &hello).0
    };
    let mut clients: Vec<Mqtt> = names.iter().map(connect).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.subscribe("t", 1), 1));
    let mut publisher = Mqtt::connect(&broker, V3_1_1, "publisher");
    for (payload, id) in [(b"1", 1), (b"2", 2), (b"3", 3)] {
        publisher.publish("t", payload, 1, false, id);
        assert_eq!(publisher.read().kind(), "PUBACK");
    }
    let take = |clients: &mut Vec<Mqtt>, payload: &[u8], dup| {
        for client in clients {
            let message = client.message();
            assert_eq!((&message.payload[..], message.dup), (payload, dup));
            client.ping();
            client.ack(0x40, message.id);
        }
    };
    take(&mut clients, b"1", false);
    clients.iter_mut().for_each(|client| assert_eq!(client.message().payload, b"2"));
    let mut clients: Vec<Mqtt> = names.iter().map(connect).collect();
    take(&mut clients, b"2", true);
    take(&mut clients, b"3", false);
    clients.into_iter().for_each(Mqtt::disconnect);
}
