//! Wills: the message of a client that goes without a word.

use super::start;
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5, Will};

#[test]
fn the_will_of_a_client_that_is_gone_is_published() {
    let broker = start();
    for version in [V3_1_1, V5] {
        let mut heir = Mqtt::connect(&broker, version, "heir");
        heir.subscribe("will", 1);
        let hello = Hello {
            will: Some(Will { topic: "will", payload: b"gone", qos: 1, ..Will::default() }),
            ..Hello::new(version, "mortal")
        };
        let (mortal, _) = Mqtt::hello(&broker, &hello);
        drop(mortal);
        let message = heir.message();
        assert_eq!((&message.payload[..], message.qos), (&b"gone"[..], 1));
        // Who says goodbye has none.
        let (mortal, _) = Mqtt::hello(&broker, &hello);
        mortal.disconnect();
        heir.ping();
        heir.disconnect();
    }
}

#[test]
fn a_will_may_wait_for_its_client_to_come_back() {
    let broker = start();
    let mut heir = Mqtt::connect(&broker, V5, "heir");
    heir.subscribe("will", 0);
    // Will Delay Interval.
    let delay = &[24, 0, 0, 0, 1];
    let hello = Hello {
        will: Some(Will { topic: "will", payload: b"gone", properties: delay, ..Will::default() }),
        ..Hello::new(V5, "mortal").staying()
    };
    let (mortal, _) = Mqtt::hello(&broker, &hello);
    drop(mortal);
    let (mortal, is_present) = Mqtt::hello(&broker, &hello);
    assert!(is_present);
    heir.ping();
    let began = std::time::Instant::now();
    drop(mortal);
    assert_eq!(heir.message().payload, b"gone");
    assert!(began.elapsed().as_millis() >= 900, "{:?}", began.elapsed());
}

#[test]
fn a_will_that_could_not_be_published_is_refused_at_once() {
    let broker = start();
    let will = Will { topic: "a//b", ..Will::default() };
    let hello = Hello { will: Some(will), ..Hello::new(V5, "mortal") };
    let mut mqtt = Mqtt::dial(&broker, V5);
    assert_eq!(mqtt.ask(&hello).body[1], super::reason::TOPIC_NAME);
}
