//! Sessions of MQTT clients whose messages a stream keeps: they outlive the broker.

use std::path::Path;

use babelmq::{BrokerHandle, Format, Fsync, ListenUrl};

use super::trouble::{Trouble, start_on};
use super::{Json, orders, scratch, start_with, stream};
use crate::support::config;
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5, packet, text};
use crate::support::process::until;

/// A broker that speaks MQTT and has the usual stream.
pub(super) fn start(folder: &Path) -> BrokerHandle {
    let urls = ["127.0.0.1:0", "mqtt://127.0.0.1:0"].map(|url| url.parse::<ListenUrl>().unwrap());
    start_with(folder, config().listeners(urls).streams(vec![orders()]))
}

pub(super) fn staying(client: &str) -> Hello<'_> {
    Hello::new(V5, client).staying()
}

pub(super) fn back(broker: &BrokerHandle, hello: &Hello<'_>) -> Mqtt {
    let (mqtt, is_present) = Mqtt::hello(broker, hello);
    assert!(is_present, "the session is there");
    mqtt
}

pub(super) fn fresh(broker: &BrokerHandle, hello: &Hello<'_>) -> Mqtt {
    let (mqtt, is_present) = Mqtt::hello(broker, hello);
    assert!(!is_present, "there is no session");
    mqtt
}

/// Publishes with QoS 1, and waits for the answers.
pub(super) fn publish(broker: &BrokerHandle, topic: &str, payloads: &[&str]) {
    let mut mqtt = Mqtt::connect(broker, V3_1_1, "publisher");
    for payload in payloads {
        mqtt.publish(topic, payload.as_bytes(), 1, false, 1);
        assert_eq!(mqtt.read().kind(), "PUBACK");
    }
    mqtt.disconnect();
}

/// The next messages, which are acknowledged.
#[track_caller]
pub(super) fn take(mqtt: &mut Mqtt, payloads: &[&str]) {
    for payload in payloads {
        let message = mqtt.message();
        assert_eq!(String::from_utf8_lossy(&message.payload), *payload);
        if message.qos > 0 {
            mqtt.ack(0x40, message.id);
        }
    }
}

/// The names of the consumers that there are.
pub(super) fn consumers(broker: &BrokerHandle) -> Vec<String> {
    let listed = Json::connect(broker).list(r#"{"command":"consumers"}"#);
    listed.iter().map(|one| one["consumer"].as_str().unwrap().to_owned()).collect()
}

/// How many sessions are written down.
fn written(broker: &BrokerHandle) -> usize {
    let listed = Json::connect(broker).ask(r#"{"command":"list","topic":"$mqtt/sessions"}"#);
    serde_json::from_str::<Vec<String>>(&listed.field("topics")).unwrap().len()
}

#[test]
fn what_a_session_is_sent_from_a_stream_counts_as_delivered() {
    let broker = start(&scratch("mqtt-delivered"));
    let mut mqtt = fresh(&broker, &staying("sensor"));
    assert_eq!(mqtt.subscribe("orders/#", 1), 1);
    publish(&broker, "orders/1", &["a", "b"]);
    take(&mut mqtt, &["a", "b"]);
    until("both are counted", || broker.stats().delivered == 2);
}

#[test]
fn a_session_outlives_the_broker() {
    let folder = scratch("mqtt-restart");
    for (version, client) in [(V3_1_1, "old"), (V5, "new")] {
        let hello = Hello::new(version, client).staying();
        let broker = start(&folder);
        let mut mqtt = fresh(&broker, &hello);
        assert_eq!(mqtt.subscribe("orders/+/paid", 1), 1);
        publish(&broker, "orders/1/paid", &["here"]);
        take(&mut mqtt, &["here"]);
        publish(&broker, "orders/1/paid", &["half"]);
        assert_eq!(mqtt.message().payload, b"half");
        drop(mqtt);
        publish(&broker, "orders/2/paid", &["away", "away too"]);
        publish(&broker, "orders/2/sent", &["for nobody"]);
        broker.shutdown();

        let broker = start(&folder);
        publish(&broker, "orders/3/paid", &["after"]);
        let mut mqtt = back(&broker, &hello);
        take(&mut mqtt, &["half", "away", "away too", "after"]);
        publish(&broker, "orders/4/paid", &["live"]);
        take(&mut mqtt, &["live"]);
        mqtt.ping();
        mqtt.disconnect();
        broker.shutdown();

        // What was acknowledged does not come again.
        let broker = start(&folder);
        let mut mqtt = back(&broker, &hello);
        publish(&broker, "orders/5/paid", &["last"]);
        take(&mut mqtt, &["last"]);
        mqtt.disconnect();
        broker.shutdown();
    }
}

/// MQTT 5, 4.4: what was on its way is sent again with DUP and its number, and no second time
/// because its consumer has it again.
#[test]
fn what_was_on_its_way_comes_once_more() {
    let broker = start(&scratch("mqtt-again"));
    let mut mqtt = fresh(&broker, &staying("flaky"));
    mqtt.subscribe("orders/#", 1);
    publish(&broker, "orders/1", &["a", "b", "c"]);
    let sent = [mqtt.message(), mqtt.message(), mqtt.message()];
    mqtt.ack(0x40, sent[1].id);
    mqtt.ping();
    drop(mqtt);
    publish(&broker, "orders/1", &["d"]);
    let mut mqtt = back(&broker, &staying("flaky"));
    for before in [&sent[0], &sent[2]] {
        let again = mqtt.message();
        assert_eq!((again.id, again.dup, &again.payload), (before.id, true, &before.payload));
        mqtt.ack(0x40, again.id);
    }
    take(&mut mqtt, &["d"]);
    publish(&broker, "orders/1", &["e"]);
    take(&mut mqtt, &["e"]);
    mqtt.ping();
    assert_eq!(consumers(&broker).len(), 1);
}

/// No more are on their way than the client has said, whatever waits in the stream.
#[test]
fn a_narrow_client_gets_one_after_the_other() {
    let broker = start(&scratch("mqtt-narrow"));
    // Session Expiry Interval and Receive Maximum.
    let properties = &[17, 0, 0, 0, 99, 33, 0, 1];
    let hello = Hello { clean: false, properties, ..Hello::new(V5, "narrow") };
    let mut mqtt = fresh(&broker, &hello);
    mqtt.subscribe("orders/#", 1);
    let all: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    publish(&broker, "orders/1", &all.iter().map(String::as_str).collect::<Vec<_>>());
    for payload in all {
        let message = mqtt.message();
        assert_eq!(String::from_utf8_lossy(&message.payload), payload);
        // Nothing comes before it is answered.
        mqtt.ping();
        mqtt.ack(0x40, message.id);
    }
}

/// A message of QoS 0 is kept as well, comes with QoS 0, and once.
#[test]
fn a_message_comes_with_the_lesser_qos() {
    let folder = scratch("mqtt-lesser");
    let broker = start(&folder);
    let mut mqtt = fresh(&broker, &staying("lesser"));
    mqtt.subscribe("orders/#", 1);
    mqtt.disconnect();
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("orders/1", b"zero", 0, false, 0);
    publisher.publish("orders/1", b"two", 2, false, 7);
    assert_eq!(publisher.read().kind(), "PUBREC");
    Json::connect(&broker).publish("orders/1", [5]);
    let mut mqtt = back(&broker, &staying("lesser"));
    let qos: Vec<u8> = (0..3)
        .map(|_| {
            let message = mqtt.message();
            if message.qos > 0 {
                mqtt.ack(0x40, message.id);
            }
            message.qos
        })
        .collect();
    assert_eq!(qos, [0, 1, 1]);
    mqtt.ping();
    mqtt.disconnect();
    broker.shutdown();
    let broker = start(&folder);
    let mut mqtt = back(&broker, &staying("lesser"));
    publish(&broker, "orders/1", &["next"]);
    take(&mut mqtt, &["next"]);
}

/// Last values come at the beginning, and no more than they are asked for.
#[test]
fn a_subscription_begins_with_the_last_values() {
    let broker = start(&scratch("mqtt-values"));
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("orders/1", b"kept", 1, true, 1);
    assert_eq!(publisher.read().kind(), "PUBACK");
    let mut mqtt = fresh(&broker, &staying("values"));
    for _ in 0..2 {
        assert_eq!(mqtt.subscribe("orders/#", 1), 1);
        let message = mqtt.message();
        assert_eq!((&message.payload[..], message.retain), (&b"kept"[..], true));
        mqtt.ack(0x40, message.id);
    }
    // Retain Handling: if it is new, and never.
    for options in [0x11, 0x21] {
        assert_eq!(mqtt.subscribe("orders/#", options), 1);
        mqtt.ping();
    }
    // A second filter in one packet, and a refused one before it.
    let body = [&[0, 9, 0][..], &text("orders//x"), &[1], &text("orders/2"), &[1]].concat();
    mqtt.send(&packet(0x82, &body));
    let suback = mqtt.read();
    assert_eq!((suback.kind(), &suback.body[suback.body.len() - 2..]), ("SUBACK", &[0x8f, 1][..]));
    publish(&broker, "orders/1", &["new"]);
    let message = mqtt.message();
    assert_eq!((&message.payload[..], message.retain), (&b"new"[..], false));
    mqtt.ping();
}

/// Message Expiry Interval (MQTT 5, 3.3.2.3.3).
#[test]
fn what_is_over_before_it_is_sent_is_not_sent() {
    const EXPIRY: [u8; 4] = [2, 0, 0, 0];
    let broker = start(&scratch("mqtt-expiry"));
    let mut mqtt = fresh(&broker, &staying("late"));
    mqtt.subscribe("orders/#", 1);
    mqtt.disconnect();
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    for (payload, seconds) in [(b"short", 1), (b"while", 60)] {
        publisher.publish_with(
            "orders/1",
            payload,
            (1, false, 1),
            &[&EXPIRY[..], &[seconds]].concat(),
        );
        assert_eq!(publisher.read().kind(), "PUBACK");
    }
    // A last value that came later, and is over, says that the first is, which ends with a second.
    publisher.subscribe("clock", 0);
    publisher.publish_with("clock", b"1", (0, true, 0), &[&EXPIRY[..], &[2]].concat());
    assert_eq!(publisher.plain_message().1, b"1");
    assert_eq!(publisher.plain_message().1, b"");
    let mut mqtt = back(&broker, &staying("late"));
    let message = mqtt.message();
    assert_eq!(&message.payload[..], b"while");
    let left = message.properties.strip_prefix(&EXPIRY).unwrap()[0];
    assert!((1..60).contains(&left), "{left}");
    mqtt.ack(0x40, message.id);
    mqtt.ping();
}

#[test]
fn a_session_that_ends_leaves_nothing_behind() {
    let folder = scratch("mqtt-end");
    let broker = start(&folder);
    let nothing = |broker: &BrokerHandle| {
        until("nothing is left", || written(broker) == 0 && consumers(broker).is_empty());
    };
    // By UNSUBSCRIBE.
    let mut mqtt = fresh(&broker, &staying("leaves"));
    mqtt.subscribe("orders/#", 1);
    mqtt.subscribe("orders/1", 1);
    assert_eq!((written(&broker), consumers(&broker).len()), (1, 2));
    assert_eq!(mqtt.unsubscribe("orders/#").body.last(), Some(&0));
    until("one is left", || consumers(&broker).len() == 1);
    // A stream goes on with what it keeps, whatever QoS is asked for then.
    assert_eq!((mqtt.subscribe("orders/1", 2), consumers(&broker).len()), (1, 1));
    assert_eq!((mqtt.subscribe("orders/1", 0), consumers(&broker).len()), (0, 1));
    publish(&broker, "orders/1", &["of QoS 0"]);
    let message = mqtt.message();
    assert_eq!((&message.payload[..], message.qos), (&b"of QoS 0"[..], 0));
    // By No Local, of which it knows nothing.
    assert_eq!(mqtt.subscribe("orders/1", 5), 1);
    nothing(&broker);
    publish(&broker, "orders/1", &["plain"]);
    take(&mut mqtt, &["plain"]);
    mqtt.disconnect();
    fresh(&broker, &Hello::new(V5, "leaves")).disconnect();
    // By a clean start, by its time, and by what it says when it goes.
    for (last, goodbye) in
        [(0, &[0xe0, 0][..]), (1, &[0xe0, 0]), (9, &[0xe0, 7, 0, 5, 17, 0, 0, 0, 0])]
    {
        let properties = [17, 0, 0, 0, last.max(9)];
        let hello = Hello { clean: false, properties: &properties, ..Hello::new(V5, "ends") };
        let mut mqtt = fresh(&broker, &hello);
        mqtt.subscribe("orders/#", 1);
        assert_eq!((written(&broker), consumers(&broker).len()), (1, 1));
        let short = [0xe0, 7, 0, 5, 17, 0, 0, 0, 1];
        mqtt.send(if last == 1 { &short } else { goodbye });
        assert_eq!(mqtt.next(), None);
        if last == 0 {
            fresh(&broker, &Hello::new(V5, "ends")).disconnect();
        }
        nothing(&broker);
    }
    // A stranger to the session is not asked to end it.
    let mut mqtt = fresh(&broker, &staying("stays"));
    mqtt.subscribe("orders/#", 1);
    mqtt.disconnect();
    broker.shutdown();
    let broker = start(&folder);
    fresh(&broker, &staying("other")).disconnect();
    assert_eq!((written(&broker), consumers(&broker).len()), (1, 1));
    fresh(&broker, &Hello::new(V5, "stays")).disconnect();
    nothing(&broker);
}

/// A client is never told that its session is there when messages of it were lost.
#[test]
fn a_session_with_more_than_streams_keep_ends_with_the_broker() {
    let folder = scratch("mqtt-mixed");
    let broker = start(&folder);
    for (client, filter, options) in
        [("elsewhere", "prices/#", 1), ("twice", "orders/x", 2), ("not own", "orders/x", 5)]
    {
        let mut mqtt = fresh(&broker, &staying(client));
        mqtt.subscribe("orders/#", 1);
        mqtt.subscribe(filter, options);
        mqtt.disconnect();
        back(&broker, &staying(client)).disconnect();
    }
    // Messages of QoS 0 are kept for nobody.
    let mut mqtt = fresh(&broker, &staying("whole"));
    mqtt.subscribe("orders/#", 1);
    mqtt.subscribe("prices/#", 0);
    mqtt.disconnect();
    assert_eq!((written(&broker), consumers(&broker).len()), (1, 4));
    broker.shutdown();
    let broker = start(&folder);
    until("those that nobody comes for are gone", || consumers(&broker).len() == 1);
    for client in ["elsewhere", "twice", "not own"] {
        fresh(&broker, &staying(client)).disconnect();
    }
    let mut mqtt = back(&broker, &staying("whole"));
    mqtt.ping();
    publish(&broker, "prices/1", &["price"]);
    take(&mut mqtt, &["price"]);
    publish(&broker, "orders/1", &["order"]);
    take(&mut mqtt, &["order"]);
}

/// A stream that is removed takes what it kept with it. The client is told, and goes on without.
#[test]
fn a_session_outlives_its_stream() {
    let broker = start(&scratch("mqtt-removed"));
    let mut mqtt = fresh(&broker, &staying("stays"));
    mqtt.subscribe("orders/#", 1);
    let removed = Json::connect(&broker).ask(r#"{"command":"remove-stream","stream":"orders"}"#);
    assert_eq!(removed.field("command"), "done");
    let goodbye = mqtt.read();
    assert_eq!((goodbye.kind(), goodbye.body[0]), ("DISCONNECT", 0x98));
    assert_eq!(mqtt.next(), None);
    let mut mqtt = back(&broker, &staying("stays"));
    mqtt.ping();
    publish(&broker, "orders/1", &["plain"]);
    take(&mut mqtt, &["plain"]);
    assert_eq!(written(&broker), 0);
}

/// Nobody else is a member of a session's consumer, and takes its messages.
#[test]
fn a_sessions_consumer_is_its_own() {
    let broker = start(&scratch("mqtt-own"));
    let mut mqtt = fresh(&broker, &staying("own"));
    mqtt.subscribe("orders/#", 1);
    let name = consumers(&broker).remove(0);
    assert!(name.starts_with("$mqtt-"), "{name}");
    let consume = format!(r#"{{"command":"subscribe","topic":"orders","consumer":"{name}"}}"#);
    Json::connect(&broker).ask(&consume).refuses("invalid-field", false);
}

/// What was published before is not delivered, were it in the same millisecond.
#[test]
fn a_subscription_does_not_reach_back() {
    let broker = start(&scratch("mqtt-back"));
    let mut publisher = Mqtt::connect(&broker, V3_1_1, "publisher");
    for client in 0..20 {
        let client = client.to_string();
        let mut mqtt = fresh(&broker, &staying(&client));
        publisher.publish("orders/1", b"before", 1, false, 1);
        assert_eq!(publisher.read().kind(), "PUBACK");
        mqtt.subscribe("orders/#", 1);
        publisher.publish("orders/1", b"behind", 1, false, 1);
        assert_eq!(publisher.read().kind(), "PUBACK");
        take(&mut mqtt, &["behind"]);
    }
}

/// Only a stream that keeps all of a filter keeps a subscription.
#[test]
fn a_filter_wider_than_the_stream_is_plain() {
    let folder = scratch("mqtt-wider");
    let broker = start(&folder);
    for filter in ["#", "+/1", "prices"] {
        let mut mqtt = fresh(&broker, &staying("wide"));
        mqtt.subscribe(filter, 1);
        assert!(consumers(&broker).is_empty(), "{filter}");
        mqtt.disconnect();
        fresh(&broker, &Hello::new(V5, "wide")).disconnect();
    }
    broker.shutdown();
    // Two streams that keep it: nobody can say which is meant.
    let urls = ["127.0.0.1:0", "mqtt://127.0.0.1:0"].map(|url| url.parse::<ListenUrl>().unwrap());
    let streams = vec![orders(), stream("all", "#")];
    let broker = start_with(&folder, config().listeners(urls).streams(streams));
    let mut mqtt = fresh(&broker, &staying("both"));
    mqtt.subscribe("orders/1", 1);
    assert!(consumers(&broker).is_empty());
}

/// A session is a member of its groups again. What a group gives with QoS 1 waits in memory, so
/// with that a session does not survive.
#[test]
fn a_session_is_in_its_groups_after_a_restart() {
    let folder = scratch("mqtt-groups");
    let broker = start(&folder);
    let mut mqtt = fresh(&broker, &staying("member"));
    assert_eq!(mqtt.subscribe("orders/#", 1), 1);
    assert_eq!(mqtt.subscribe_with("$share/g/jobs/+", 0, &[11, 7]), 0);
    assert_eq!(written(&broker), 1);
    mqtt.disconnect();
    broker.shutdown();
    let broker = start(&folder);
    let mut mqtt = back(&broker, &staying("member"));
    until("it is a member", || broker.list_subscriptions("jobs/1").unwrap().len() == 1);
    publish(&broker, "jobs/1", &["shared"]);
    let message = mqtt.message();
    assert_eq!((&message.payload[..], message.qos), (&b"shared"[..], 0));
    assert_eq!(message.properties, [11, 7]);
    assert_eq!(mqtt.subscribe("$share/g/jobs/+", 1), 1);
    until("it is not written down any more", || written(&broker) == 0);
    assert_eq!(mqtt.unsubscribe("$share/g/jobs/+").body.last(), Some(&0));
    until("it is again", || written(&broker) == 1);
    assert!(broker.list_subscriptions("jobs/1").unwrap().is_empty());
    // The filter of a stream is no reason to keep what a group shares there.
    assert_eq!(mqtt.subscribe("$share/g/orders/+", 0), 0);
    publish(&broker, "orders/1", &["both"]);
    let both = [mqtt.message(), mqtt.message()];
    assert_eq!(both.map(|message| message.qos).iter().sum::<u8>(), 1);
}

/// The messages that come up to a PINGRESP, or to a SUBACK, by their payloads; each is
/// acknowledged.
fn all_to(mqtt: &mut Mqtt, kind: &str) -> Vec<String> {
    let mut payloads = Vec::new();
    loop {
        let packet = mqtt.read();
        if packet.kind() == kind {
            return payloads;
        }
        let message = mqtt.message_in(&packet);
        mqtt.ack(0x40, message.id);
        payloads.push(String::from_utf8(message.payload).unwrap());
    }
}

/// A session with a narrow Receive Maximum.
fn narrow(client: &str) -> Hello<'_> {
    const PROPERTIES: &[u8] = &[17, 0, 0, 0, 99, 33, 0, 1];
    Hello { clean: false, properties: PROPERTIES, ..Hello::new(V5, client) }
}

/// Many clients subscribe again whenever they connect: nothing comes twice on one connection.
#[test]
fn a_subscription_that_is_made_again_repeats_nothing() {
    let broker = start(&scratch("mqtt-anew"));
    let all: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    for round in 0..20 {
        let client = round.to_string();
        let mut mqtt = fresh(&broker, &staying(&client));
        mqtt.subscribe("orders/#", 1);
        mqtt.disconnect();
        publish(&broker, "orders/1", &all.iter().map(String::as_str).collect::<Vec<_>>());
        let mut mqtt = back(&broker, &staying(&client));
        let mut came = Vec::new();
        for _ in 0..5 {
            mqtt.ask_for("orders/#", 1, &[]);
            came.extend(all_to(&mut mqtt, "SUBACK"));
        }
        while came.len() < all.len() {
            let message = mqtt.message();
            mqtt.ack(0x40, message.id);
            came.push(String::from_utf8(message.payload).unwrap());
        }
        mqtt.send(&[0xc0, 0]);
        came.extend(all_to(&mut mqtt, "PINGRESP"));
        assert_eq!(came, all, "round {round}");
        fresh(&broker, &Hello::new(V5, &client)).disconnect();
    }
}

/// A subscription far behind does not keep the others from a narrow client.
#[test]
fn subscriptions_take_turns() {
    let broker = start(&scratch("mqtt-turns"));
    let mut mqtt = fresh(&broker, &narrow("turns"));
    for filter in ["orders/long", "orders/short", "orders/other"] {
        mqtt.subscribe(filter, 1);
    }
    mqtt.disconnect();
    publish(&broker, "orders/long", &["long"; 100]);
    publish(&broker, "orders/other", &["other"; 100]);
    publish(&broker, "orders/short", &["short"]);
    let mut mqtt = back(&broker, &narrow("turns"));
    until("each is due one", || {
        let listed = Json::connect(&broker).list(r#"{"command":"consumers"}"#);
        listed.iter().all(|one| one["outstanding"] == 1)
    });
    let place = (0..200).find(|_| {
        let message = mqtt.message();
        // By then all of them have tried.
        mqtt.ping();
        mqtt.ack(0x40, message.id);
        message.payload == b"short"
    });
    assert!(place.is_some_and(|place| place < 10), "{place:?}");
}

/// MQTT 5, 3.8.4: messages are not lost because a subscription takes the place of another.
#[test]
fn what_waits_is_not_lost_when_a_stream_comes() {
    let folder = scratch("mqtt-comes");
    let urls = ["127.0.0.1:0", "mqtt://127.0.0.1:0"].map(|url| url.parse::<ListenUrl>().unwrap());
    let broker = start_with(&folder, config().listeners(urls).streams(vec![stream("x", "x")]));
    let mut mqtt = fresh(&broker, &narrow("early"));
    mqtt.subscribe("orders/#", 1);
    mqtt.disconnect();
    publish(&broker, "orders/1", &["a", "b", "c"]);
    let added = Json::connect(&broker)
        .ask(r#"{"command":"add-stream","stream":"orders","topic":"orders/#"}"#);
    assert_eq!(added.field("command"), "done", "{:?}", added.fields());
    let mut mqtt = back(&broker, &narrow("early"));
    mqtt.ask_for("orders/#", 1, &[]);
    let mut came = all_to(&mut mqtt, "SUBACK");
    publish(&broker, "orders/1", &["d"]);
    while came.last().is_none_or(|last| last != "d") {
        let message = mqtt.message();
        mqtt.ack(0x40, message.id);
        came.push(String::from_utf8(message.payload).unwrap());
    }
    assert_eq!(came, ["a", "b", "c", "d"]);
}

/// The same where another stream keeps the filter too: the session stays with its own.
#[test]
fn what_waits_is_not_lost_when_a_second_stream_comes() {
    let broker = start(&scratch("mqtt-second"));
    for again in [false, true] {
        let mut mqtt = fresh(&broker, &narrow("first"));
        mqtt.subscribe("orders/#", 1);
        mqtt.disconnect();
        publish(&broker, "orders/1", &["a", "b", "c"]);
        let mut admin = Json::connect(&broker);
        let added = admin.ask(r#"{"command":"add-stream","stream":"all","topic":"orders/#"}"#);
        assert_eq!(added.field("command"), "done", "{:?}", added.fields());
        let mut mqtt = back(&broker, &narrow("first"));
        if again {
            mqtt.ask_for("orders/#", 1, &[]);
            let came = all_to(&mut mqtt, "SUBACK");
            take(&mut mqtt, &["a", "b", "c"][came.len()..]);
        } else {
            take(&mut mqtt, &["a", "b", "c"]);
        }
        publish(&broker, "orders/1", &["d"]);
        take(&mut mqtt, &["d"]);
        assert_eq!(consumers(&broker).len(), 1);
        fresh(&broker, &Hello::new(V5, "first")).disconnect();
        admin.ask(r#"{"command":"remove-stream","stream":"all"}"#);
    }
}

/// The same where what is asked for again is of another QoS: it goes on to wait in memory.
#[test]
fn what_waits_in_memory_is_not_lost_with_another_qos() {
    let broker = start(&scratch("mqtt-qos"));
    let mut mqtt = fresh(&broker, &narrow("other"));
    for (before, after) in [(2, 1), (1, 1)] {
        mqtt.subscribe("orders/#", before);
        publish(&broker, "orders/1", &["a", "b", "c"]);
        mqtt.ask_for("orders/#", after, &[]);
        let mut ids = Vec::new();
        let mut came = 0;
        loop {
            let packet = mqtt.read();
            if packet.kind() == "SUBACK" {
                break;
            }
            ids.push(mqtt.message_in(&packet));
        }
        while came < 3 {
            let message = ids.pop().unwrap_or_else(|| mqtt.message());
            came += 1;
            match message.qos {
                0 => {}
                1 => mqtt.ack(0x40, message.id),
                _ => {
                    mqtt.ack(0x50, message.id);
                    assert_eq!(mqtt.read().kind(), "PUBREL");
                    mqtt.ack(0x70, message.id);
                }
            }
        }
        assert_eq!(consumers(&broker).len(), usize::from(before == 1));
        mqtt.unsubscribe("orders/#");
        until("it is gone", || consumers(&broker).is_empty());
    }
}

/// Who removes a session's consumer ends the connection: it would be told of nothing more.
#[test]
fn a_consumer_that_is_removed_ends_the_connection() {
    let broker = start(&scratch("mqtt-consumer-rm"));
    let mut mqtt = fresh(&broker, &staying("loses"));
    mqtt.subscribe("orders/#", 1);
    let name = consumers(&broker).remove(0);
    let remove =
        format!(r#"{{"command":"remove-consumer","stream":"orders","consumer":"{name}"}}"#);
    assert_eq!(Json::connect(&broker).ask(&remove).field("command"), "done");
    let goodbye = mqtt.read();
    assert_eq!((goodbye.kind(), goodbye.body[0]), ("DISCONNECT", 0x98));
    let mut mqtt = back(&broker, &staying("loses"));
    publish(&broker, "orders/1", &["next"]);
    take(&mut mqtt, &["next"]);
}

/// What was refused is not written down, and its consumer is forgotten.
#[test]
fn what_is_refused_leaves_nothing_behind() {
    let folder = scratch("mqtt-refused");
    let urls = ["127.0.0.1:0", "mqtt://127.0.0.1:0"].map(|url| url.parse::<ListenUrl>().unwrap());
    let config = config().listeners(urls).streams(vec![orders()]).max_subscriptions(1);
    let broker = start_with(&folder, config);
    let mut mqtt = fresh(&broker, &staying("few"));
    assert_eq!(mqtt.subscribe("orders/1", 1), 1);
    // One that takes the place of another needs none of its own.
    assert_eq!(mqtt.subscribe("orders/1", 1), 1);
    assert_eq!(mqtt.subscribe("orders/2", 1), 0x97);
    mqtt.disconnect();
    publish(&broker, "orders/2", &["nobody's"]);
    broker.shutdown();
    let broker = start(&folder);
    let mut mqtt = back(&broker, &staying("few"));
    publish(&broker, "orders/1", &["next"]);
    take(&mut mqtt, &["next"]);
    mqtt.ping();
    assert_eq!(consumers(&broker).len(), 1);
}

/// The disk of a stream that hangs is nothing to the sessions of others, were all to be on the disk
/// that is confirmed.
#[test]
fn a_session_does_not_wait_for_the_disk_of_another_stream() {
    let urls = ["127.0.0.1:0", "mqtt://127.0.0.1:0"].map(|url| url.parse::<ListenUrl>().unwrap());
    let streams = vec![orders(), stream("others", "others/#")];
    let config = config().listeners(urls).streams(streams).fsync(Fsync::Always);
    let (broker, disk) = start_on(&scratch("mqtt-hangs"), config, "orders");
    disk.set(Trouble { hangs: true, ..Trouble::default() });
    Json::connect(&broker).client.publish(Format::Json, "orders/1", b"1");
    disk.wait_for_failures(1);
    let mut mqtt = fresh(&broker, &staying("waits"));
    assert_eq!(mqtt.subscribe("others/#", 1), 1);
    publish(&broker, "others/1", &["next"]);
    take(&mut mqtt, &["next"]);
    mqtt.ping();
}
