//! Clients of MQTT that ask for more than their part, and what others have of it.

use std::io::ErrorKind;

use babelmq::broker::Use;
use babelmq::{BrokerHandle, Config, QueueLimits};

use super::{reason, start, start_with};
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5, Will, packet, text};
use crate::support::process::until;
use crate::support::{PATIENCE, claimed};

const URL: &str = "mqtt://127.0.0.1:0";

/// A message of QoS 0 or 1.
fn message(topic: &str, payload: &[u8], id: Option<u16>) -> Vec<u8> {
    let id = id.map(u16::to_be_bytes);
    let body = [&text(topic)[..], id.as_ref().map_or(&[], |id| &id[..]), payload].concat();
    packet(if id.is_some() { 0x32 } else { 0x30 }, &body)
}

/// A subscriber to `t` with QoS 1 that may have one message on its way, and a publisher.
fn narrow(broker: &BrokerHandle, window: u8) -> (Mqtt, Mqtt) {
    let narrow = Hello { properties: &[33, 0, window], ..Hello::new(V5, "narrow") };
    let (mut narrow, _) = Mqtt::hello(broker, &narrow);
    assert_eq!(narrow.subscribe("t", 1), 1);
    (narrow, Mqtt::connect(broker, V3_1_1, "publisher"))
}

fn is_cut_off(narrow: &mut Mqtt, publisher: &mut Mqtt, heap: &[u8]) {
    for _ in 0..200 {
        publisher.send(heap);
        while publisher.read().body != [0, 2] {}
    }
    let mut goodbye = narrow.read();
    while goodbye.kind() == "PUBLISH" {
        goodbye = narrow.read();
    }
    assert_eq!((goodbye.kind(), goodbye.body[0]), ("DISCONNECT", reason::QUOTA));
}

/// What waits for a client that does not answer counts, whatever else came with it.
#[test]
fn messages_that_wait_for_a_client_count_until_it_has_them() {
    let config = || Config::default().queue(QueueLimits::default().messages(100));
    let heaps = [
        // The last one is not one that waits.
        [message("t", b"1", Some(1)), message("t", b"2", Some(2)), message("t", b"3", None)],
        [message("t", b"1", Some(1)), message("u", b"2", None), message("t", b"3", Some(2))],
    ];
    for heap in heaps {
        let broker = start_with(config(), URL);
        let (mut narrow, mut publisher) = narrow(&broker, 1);
        is_cut_off(&mut narrow, &mut publisher, &heap.concat());
    }
}

/// Whoever answers the last message of each heap alone has the others still.
#[test]
fn a_message_that_was_not_answered_counts_though_a_later_one_was() {
    let queue = QueueLimits::default().messages(20);
    let broker = start_with(Config::default().queue(queue), URL);
    let (mut narrow, mut publisher) = narrow(&broker, 200);
    let heap = [message("t", b"1", Some(1)), message("t", b"2", Some(2))].concat();
    for _ in 0..60 {
        publisher.send(&heap);
        while publisher.read().body != [0, 2] {}
        loop {
            match narrow.read() {
                packet if packet.kind() == "DISCONNECT" => {
                    return assert_eq!(packet.body[0], reason::QUOTA);
                }
                packet if packet.body.ends_with(b"2") => {
                    narrow.ack(0x40, u16::from_be_bytes([packet.body[3], packet.body[4]]));
                    break;
                }
                _ => {}
            }
        }
    }
    panic!("what is not answered does not count");
}

/// Answers are kept for a client that reads, and not for one that asks for ever.
#[test]
fn a_client_that_pings_and_does_not_read_is_let_go() {
    let broker = start();
    let mut deaf = Mqtt::connect(&broker, V5, "deaf");
    deaf.give_up_writing_after(PATIENCE);
    let pings = [0xc0, 0].repeat(64 << 10);
    for sent in 0..1_024 {
        match deaf.try_send(&pings) {
            Ok(()) => {}
            Err(error) => {
                let is_ended =
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
                return assert!(is_ended, "{error} after {sent} times 64 Ki pings");
            }
        }
    }
    panic!("128 MiB of pings were taken of a client that reads no answer");
}

#[test]
fn a_packet_of_far_too_many_filters_ends_the_connection() {
    let broker = start();
    let mut mqtt = Mqtt::connect(&broker, V5, "greedy");
    let filters = |count: usize| {
        let body = [&[0, 9, 0][..], &[&text("a")[..], &[0]].concat().repeat(count)].concat();
        packet(0x82, &body)
    };
    mqtt.send(&filters(2_000));
    let suback = mqtt.read();
    assert_eq!((suback.kind(), suback.body.last()), ("SUBACK", Some(&reason::QUOTA)));
    mqtt.send(&filters(100_000));
    let goodbye = mqtt.read();
    assert_eq!((goodbye.kind(), goodbye.body[0]), ("DISCONNECT", reason::QUOTA));
}

/// Nobody needs megabytes to say who they are.
#[test]
fn a_connect_is_not_as_long_as_a_message_may_be() {
    let broker = start();
    let mut mqtt = Mqtt::dial(&broker, V5);
    // The head says how long it is: more is not waited for.
    let head = [&[0x10, 0xff, 0xff, 0x3f][..], &text("MQTT"), &[5]].concat();
    mqtt.send(&head);
    let connack = mqtt.read();
    assert_eq!((connack.kind(), connack.body[1]), ("CONNACK", reason::TOO_LARGE));
    assert_eq!(mqtt.next(), None);
}

/// Sessions whose clients are away leave room for those who come.
#[test]
fn strangers_who_leave_sessions_behind_keep_nobody_out() {
    let broker = start_with(Config::default().memory(64 << 20), URL);
    let names: Vec<String> = (0..400).map(|number| format!("away-{number}")).collect();
    for name in &names {
        let (away, _) = Mqtt::hello(&broker, &Hello::new(V3_1_1, name).staying());
        away.disconnect();
    }
    let mut here = Mqtt::connect(&broker, V5, "here");
    here.ping();
    // The first were kept.
    let (_first, is_present) = Mqtt::hello(&broker, &Hello::new(V3_1_1, &names[0]).staying());
    assert!(is_present);
    let (_last, is_present) = Mqtt::hello(&broker, &Hello::new(V3_1_1, &names[399]).staying());
    assert!(!is_present);
}

/// Wills wait for as long as their clients are there, and take nothing of what messages need that
/// move.
#[test]
fn wills_take_no_memory_of_messages_on_their_way() {
    let broker = start_with(Config::default().memory(64 << 20), URL);
    let payload = vec![b'x'; 60_000];
    let names: Vec<String> = (0..105).map(|number| format!("mortal-{number}")).collect();
    let will = Will { topic: "will", payload: &payload, ..Will::default() };
    let hello = |name| Hello { will: Some(will.clone()), ..Hello::new(V5, name) };
    let _mortals: Vec<_> = names.iter().map(|name| Mqtt::hello(&broker, &hello(name))).collect();
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("t", &payload, 1, false, 1);
    assert_eq!(publisher.read().kind(), "PUBACK");
}

/// What waits for a session that was cut off is not kept until its client comes back.
#[test]
fn a_session_that_is_cut_off_while_its_client_is_away_holds_nothing() {
    let queue = QueueLimits::default().messages(10);
    let broker = start_with(Config::default().memory(64 << 20).queue(queue), URL);
    let hello = Hello::new(V3_1_1, "away").staying();
    let (mut away, _) = Mqtt::hello(&broker, &hello);
    away.subscribe("t", 1);
    let mut publisher = Mqtt::connect(&broker, V3_1_1, "publisher");
    let payload = vec![b'x'; 1 << 20];
    publisher.publish("t", &payload, 1, false, 1);
    assert_eq!(publisher.read().kind(), "PUBACK");
    assert_eq!(away.message().payload.len(), payload.len());
    drop(away);
    let in_flight = || claimed(&broker, Use::InFlight);
    for _ in 0..20 {
        publisher.publish("t", b"more", 1, false, 1);
        assert_eq!(publisher.read().kind(), "PUBACK");
    }
    until("nothing is held", || in_flight() <= 1 << 20);
    let (_back, is_present) = Mqtt::hello(&broker, &hello);
    assert!(!is_present);
}

/// What is no MQTT is not sent to a client of MQTT, though it cannot stay.
#[test]
fn a_client_that_cannot_stay_is_told_nothing_in_another_protocol() {
    let broker = start_with(Config::default().max_connections(1), URL);
    let _first = Mqtt::connect(&broker, V5, "first");
    assert_eq!(Mqtt::dial(&broker, V5).next(), None);
}
