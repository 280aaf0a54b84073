//! Sessions that outlive their connections, and messages that are on their way.

use super::{reason, start};
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5, packet, text};
use crate::support::process::until;

#[test]
fn a_session_is_taken_over() {
    let broker = start();
    let mut first = Mqtt::connect(&broker, V5, "same");
    let _second = Mqtt::connect(&broker, V5, "same");
    let goodbye = first.read();
    assert_eq!((goodbye.kind(), goodbye.body[0]), ("DISCONNECT", reason::TAKEN_OVER));
    assert_eq!(first.next(), None);
    let mut old = Mqtt::connect(&broker, V3_1_1, "old");
    let _ = Mqtt::connect(&broker, V3_1_1, "old");
    assert_eq!(old.next(), None);
}

#[test]
fn what_comes_meanwhile_is_there_when_the_client_comes_back() {
    let broker = start();
    for version in [V3_1_1, V5] {
        let hello = Hello::new(version, "away").staying();
        let (mut away, is_present) = Mqtt::hello(&broker, &hello);
        assert!(!is_present);
        away.subscribe("t", 1);
        away.disconnect();
        let mut publisher = Mqtt::connect(&broker, version, "publisher");
        for (payload, qos) in [(b"a", 1), (b"b", 0), (b"c", 2)] {
            publisher.publish("t", payload, qos, false, 1);
            match qos {
                0 => {}
                _ => assert_eq!(publisher.read().body, [0, 1]),
            }
        }
        publisher.ping();
        let (mut back, is_present) = Mqtt::hello(&broker, &hello);
        assert!(is_present);
        // What is of QoS 0 is not for somebody who is away.
        for payload in [b"a", b"c"] {
            let message = back.message();
            assert_eq!((&message.payload[..], message.qos, message.dup), (&payload[..], 1, false));
            back.ack(0x40, message.id);
        }
        publisher.publish("t", b"live", 0, false, 0);
        assert_eq!(back.plain_message().1, b"live");
        back.disconnect();
        // One that begins anew has nothing of it.
        let (mut clean, is_present) = Mqtt::hello(&broker, &Hello::new(version, "away"));
        assert!(!is_present);
        publisher.publish("t", b"for nobody", 0, false, 0);
        publisher.ping();
        clean.ping();
        clean.disconnect();
        publisher.disconnect();
    }
}

/// MQTT 5, 3.3.2.3.3: what is over before it was sent is not sent, and the rest says what it has
/// left.
#[test]
fn what_expires_meanwhile_is_not_there() {
    /// Message Expiry Interval, of so many seconds.
    const EXPIRY: [u8; 4] = [2, 0, 0, 0];
    let broker = start();
    let hello = Hello::new(V5, "away").staying();
    let (mut away, _) = Mqtt::hello(&broker, &hello);
    away.subscribe("t", 2);
    away.disconnect();
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    for (payload, seconds) in [(b"short", 1), (b"while", 60), (b"again", 1)] {
        let expiry = [&EXPIRY[..], &[seconds]].concat();
        publisher.publish_with("t", payload, (1, false, 1), &expiry);
        assert_eq!(publisher.read().body, [0, 1]);
    }
    // A last value that came later and is over says that the others are.
    publisher.subscribe("clock", 0);
    publisher.publish_with("clock", b"1", (0, true, 0), &[&EXPIRY[..], &[1]].concat());
    assert_eq!(publisher.plain_message(), ("clock".into(), b"1".to_vec()));
    assert_eq!(publisher.plain_message(), ("clock".into(), Vec::new()));
    let (mut back, is_present) = Mqtt::hello(&broker, &hello);
    assert!(is_present);
    let message = back.message();
    assert_eq!((&message.payload[..], message.id), (&b"while"[..], 1));
    let left = message.properties.strip_prefix(&EXPIRY).unwrap()[0];
    assert!((1..60).contains(&left), "{left}");
    back.ping();
}

/// What the client was not sent before it has said goodbye is sent for the first time afterwards.
#[test]
fn what_comes_behind_a_goodbye_is_not_sent_again() {
    let broker = start();
    for _ in 0..20 {
        let hello = Hello::new(V3_1_1, "brief").staying();
        let (mut brief, _) = Mqtt::hello(&broker, &hello);
        brief.subscribe("t", 1);
        let publish = [&text("t")[..], &[0, 1], b"late"].concat();
        brief.send(&[packet(0x32, &publish), vec![0xe0, 0]].concat());
        while brief.next().is_some() {}
        let (mut back, is_present) = Mqtt::hello(&broker, &hello);
        assert!(is_present);
        let message = back.read();
        let message = if message.kind() == "PUBACK" { back.read() } else { message };
        assert_eq!(message.first, 0x32, "{message:?}");
        let (anew, _) = Mqtt::hello(&broker, &Hello::new(V3_1_1, "brief"));
        anew.disconnect();
    }
}

/// MQTT 5, 4.4: what was not answered is sent again, with DUP, in its order; of QoS 2 what the
/// client is known to have is not.
#[test]
fn what_was_on_its_way_is_sent_again() {
    let broker = start();
    let hello = Hello::new(V5, "flaky").staying();
    let (mut flaky, _) = Mqtt::hello(&broker, &hello);
    flaky.subscribe("t", 2);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("t", b"1", 1, false, 1);
    publisher.publish("t", b"2", 2, false, 2);
    publisher.publish("t", b"3", 2, false, 3);
    let sent: Vec<_> = (0..3).map(|_| flaky.message()).collect();
    flaky.ack(0x50, sent[1].id);
    assert_eq!(flaky.read().kind(), "PUBREL");
    drop(flaky);
    let (mut back, is_present) = Mqtt::hello(&broker, &hello);
    assert!(is_present);
    let first = back.message();
    assert_eq!((first.id, first.dup, &first.payload[..]), (sent[0].id, true, &b"1"[..]));
    let pubrel = back.read();
    assert_eq!((pubrel.kind(), &pubrel.body[..]), ("PUBREL", &sent[1].id.to_be_bytes()[..]));
    let third = back.message();
    assert_eq!((third.id, third.dup, &third.payload[..]), (sent[2].id, true, &b"3"[..]));
}

/// MQTT 5, 3.1.2.11.2.
#[test]
fn a_session_ends_when_its_time_is_over() {
    let broker = start();
    let short = Hello { properties: &[17, 0, 0, 0, 1], ..Hello::new(V5, "short").staying() };
    let short = Hello { properties: &[17, 0, 0, 0, 1], ..short };
    let (mut mqtt, _) = Mqtt::hello(&broker, &short);
    mqtt.subscribe("t", 1);
    mqtt.disconnect();
    assert_eq!(broker.list_subscriptions("t").unwrap().len(), 1);
    until("the session is over", || broker.list_subscriptions("t").unwrap().is_empty());
    let (_mqtt, is_present) = Mqtt::hello(&broker, &short);
    assert!(!is_present);
}

/// MQTT 5, 3.3.4: no more are on their way than the client has said, and answers are not held up.
#[test]
fn a_client_says_how_many_may_be_on_their_way() {
    let broker = start();
    // Receive Maximum.
    let narrow = Hello { properties: &[33, 0, 1], ..Hello::new(V5, "narrow") };
    let (mut narrow, _) = Mqtt::hello(&broker, &narrow);
    narrow.subscribe("t", 1);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    for (payload, id) in [(b"1", 1), (b"2", 2), (b"3", 3)] {
        publisher.publish("t", payload, 1, false, id);
        assert_eq!(publisher.read().kind(), "PUBACK");
    }
    let first = narrow.message();
    // Nothing else comes, and a ping is answered.
    narrow.ping();
    narrow.ack(0x40, first.id);
    let second = narrow.message();
    assert_eq!((&first.payload[..], &second.payload[..]), (&b"1"[..], &b"2"[..]));
    narrow.ping();
    narrow.ack(0x40, second.id);
    assert_eq!(narrow.message().payload, b"3");
}

/// One that does not read is let go, and is told why.
#[test]
fn a_broker_that_stops_ends_its_sessions() {
    let broker = start();
    let (mut staying, _) = Mqtt::hello(&broker, &Hello::new(V5, "staying").staying());
    staying.subscribe("t", 1);
    let (away, _) = Mqtt::hello(&broker, &Hello::new(V5, "away").staying());
    away.disconnect();
    broker.close().unwrap();
    let goodbye = staying.read();
    assert_eq!((goodbye.kind(), goodbye.body[0]), ("DISCONNECT", 0x8b));
    assert_eq!(staying.next(), None);
}
