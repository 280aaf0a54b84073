//! Filters, and what is asked for with them.

use super::{reason, start};
use crate::support::mqtt::{Mqtt, V3_1_1, V5, packet, text};

#[test]
fn filters_match_exactly() {
    let broker = start();
    for (filter, yes, no) in [
        ("a", &["a"][..], &["a/b", "b", "/a"][..]),
        ("a/#", &["a", "a/b", "a/b/c"], &["b", "/a"]),
        ("+/b", &["a/b", "/b"], &["b", "a/b/c"]),
        ("#", &["a", "a/b", "/a"], &[]),
        ("+", &["a"], &["/a", "a/b"]),
        ("/+", &["/a"], &["a", "/a/b"]),
    ] {
        let mut subscriber = Mqtt::connect(&broker, V3_1_1, "subscriber");
        assert_eq!(subscriber.subscribe(filter, 0), 0);
        let mut publisher = Mqtt::connect(&broker, V3_1_1, "publisher");
        for topic in no.iter().chain(yes) {
            publisher.publish(topic, b"1", 0, false, 0);
        }
        for topic in yes {
            assert_eq!(subscriber.plain_message().0, *topic, "{filter}");
        }
        subscriber.disconnect();
        publisher.disconnect();
    }
}

/// The specification allows either order, and clients wait for this one.
#[test]
fn a_subscription_is_answered_before_its_last_values() {
    let broker = start();
    for version in [V3_1_1, V5] {
        let mut client = Mqtt::connect(&broker, version, "client");
        for topic in 0..3 {
            client.publish(&format!("last/{topic}"), b"1", 0, true, 0);
        }
        for _ in 0..2 {
            // This reads nothing but the answer.
            assert_eq!(client.subscribe("last/+", 0), 0);
            for topic in 0..3 {
                assert_eq!(client.plain_message().0, format!("last/{topic}"));
            }
        }
        assert_eq!(client.subscribe("other", 1), 1);
        client.ping();
        client.disconnect();
    }
}

/// Each place of a SUBSCRIBE is answered by what it asked for, though a later one takes its place.
#[test]
fn a_filter_may_be_asked_for_twice() {
    let broker = start();
    let mut client = Mqtt::connect(&broker, V3_1_1, "client");
    let asked = |id: u8, qualities: &[u8]| {
        let filters = qualities.iter().flat_map(|qos| [&text("t")[..], &[*qos]].concat());
        packet(0x82, &[0, id].into_iter().chain(filters).collect::<Vec<u8>>())
    };
    client.send(&[asked(1, &[2, 0, 1]), asked(2, &[0])].concat());
    assert_eq!(client.read().body, [0, 1, 2, 0, 1]);
    assert_eq!(client.read().body, [0, 2, 0]);
    client.publish("t", b"1", 1, false, 1);
    assert!([client.read(), client.read()].iter().any(|packet| packet.first == 0x30));
}

#[test]
fn a_filter_that_there_is_not_is_refused() {
    let broker = start();
    let mut new = Mqtt::connect(&broker, V5, "new");
    for filter in ["a//b", "a/", "a/#/b", "a+", "$share/g", "$share/+/t", "$share/g/a//b"] {
        assert_eq!(new.subscribe(filter, 1), reason::TOPIC_FILTER, "{filter}");
    }
    let mut old = Mqtt::connect(&broker, V3_1_1, "old");
    assert_eq!(old.subscribe("a//b", 1), 0x80);
    old.ping();
}

#[test]
fn what_is_not_wanted_any_more_does_not_come() {
    let broker = start();
    let mut mqtt = Mqtt::connect(&broker, V5, "both");
    mqtt.subscribe("t", 0);
    assert_eq!(mqtt.unsubscribe("t").body.last(), Some(&0));
    assert_eq!(mqtt.unsubscribe("t").body.last(), Some(&reason::NO_SUBSCRIPTION_EXISTED));
    mqtt.publish("t", b"1", 0, false, 0);
    mqtt.ping();
}

/// MQTT 5, 3.8.3.1.
#[test]
fn a_client_may_be_spared_what_it_has_published() {
    const NO_LOCAL: u8 = 4;
    let broker = start();
    let mut both = Mqtt::connect(&broker, V5, "both");
    both.subscribe("t", NO_LOCAL);
    both.publish("t", b"own", 0, false, 0);
    let mut other = Mqtt::connect(&broker, V5, "other");
    other.publish("t", b"another's", 0, false, 0);
    assert_eq!(both.plain_message().1, b"another's");
}

#[test]
fn retain_is_kept_where_that_is_asked() {
    const AS_PUBLISHED: u8 = 8;
    let broker = start();
    let mut as_published = Mqtt::connect(&broker, V5, "as published");
    as_published.subscribe("t", AS_PUBLISHED);
    let mut usual = Mqtt::connect(&broker, V5, "usual");
    usual.subscribe("t", 0);
    usual.publish("t", b"1", 0, true, 0);
    usual.publish("t", b"2", 0, false, 0);
    for retain in [true, false] {
        assert_eq!(as_published.message().retain, retain);
        assert!(!usual.message().retain);
    }
}

#[test]
fn last_values_come_as_they_are_asked_for() {
    let broker = start();
    let mut mqtt = Mqtt::connect(&broker, V5, "client");
    mqtt.publish("t", b"1", 1, true, 1);
    assert_eq!(mqtt.read().kind(), "PUBACK");
    let (always, if_new, never) = (0, 0x10, 0x20);
    assert_eq!(mqtt.subscribe("t", never), 0);
    for (handling, comes) in [(if_new, false), (always, true)] {
        mqtt.subscribe("t", handling);
        if comes {
            let message = mqtt.message();
            assert_eq!((message.retain, &message.payload[..]), (true, &b"1"[..]));
        }
        mqtt.ping();
    }
    mqtt.unsubscribe("t");
    mqtt.subscribe("t", if_new);
    assert!(mqtt.message().retain);
}

/// A message that several subscriptions match comes once, with the number of each.
#[test]
fn a_message_comes_once() {
    let broker = start();
    let mut mqtt = Mqtt::connect(&broker, V5, "client");
    mqtt.subscribe_with("a/+", 0, &[11, 1]);
    mqtt.subscribe_with("a/#", 1, &[11, 2]);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("a/b", b"text", 1, false, 3);
    let message = mqtt.message();
    assert_eq!(message.qos, 1);
    let identifiers = &message.properties;
    assert!(*identifiers == [11, 1, 11, 2] || *identifiers == [11, 2, 11, 1], "{message:?}");
    mqtt.ping();
}
