//! Shared subscriptions (MQTT 5, 4.8.2).

use babelmq::Config;

use super::{reason, start, start_with};
use crate::http::Web;
use crate::support::mqtt::{Hello, Message, Mqtt, V3_1_1, V5};

const WORK: &str = "$share/workers/jobs/+";

/// Messages of a client up to the one that says the end, which it has subscribed to as well.
fn until_end(client: &mut Mqtt) -> Vec<Message> {
    let mut messages = Vec::new();
    loop {
        let message = client.message();
        if message.topic == "end" {
            return messages;
        }
        if message.qos == 1 {
            client.ack(0x40, message.id);
        }
        messages.push(message);
    }
}

fn numbers(messages: &[Message]) -> Vec<u8> {
    messages.iter().map(|message| message.payload[0]).collect()
}

/// One that has subscribed to this, and is told of the end.
fn member(broker: &babelmq::BrokerHandle, version: u8, name: &str, filter: &str, qos: u8) -> Mqtt {
    let mut member = Mqtt::connect(broker, version, name);
    assert_eq!(member.subscribe(filter, qos), qos);
    assert_eq!(member.subscribe("end", 0), 0);
    member
}

#[test]
fn each_message_goes_to_one_member_of_each_group() {
    let broker = start();
    for version in [V3_1_1, V5] {
        let all = [WORK, WORK, WORK, "$share/workers/jobs/#", "$share/others/jobs/+", "jobs/#"];
        let mut clients: Vec<Mqtt> = all
            .iter()
            .enumerate()
            .map(|(at, filter)| member(&broker, version, &format!("member {at}"), filter, 1))
            .collect();
        let mut publisher = Mqtt::connect(&broker, version, "publisher");
        for number in 0..90 {
            publisher.publish(&format!("jobs/{}", number % 7), &[number], number % 3, false, 1);
            match number % 3 {
                0 => {}
                1 => assert_eq!(publisher.read().kind(), "PUBACK"),
                _ => {
                    assert_eq!(publisher.read().kind(), "PUBREC");
                    publisher.ack(0x62, 1);
                    assert_eq!(publisher.read().kind(), "PUBCOMP");
                }
            }
        }
        publisher.publish("end", b"", 0, false, 0);
        let got: Vec<Vec<Message>> = clients.iter_mut().map(until_end).collect();
        for message in got.iter().flatten() {
            assert_eq!(message.qos, u8::from(message.payload[0] % 3 > 0));
        }
        let got: Vec<Vec<u8>> = got.iter().map(|messages| numbers(messages)).collect();
        let everything: Vec<u8> = (0..90).collect();
        for alone in &got[3..] {
            assert_eq!(*alone, everything);
        }
        assert_eq!(got[..3].iter().map(Vec::len).collect::<Vec<_>>(), [30, 30, 30]);
        let mut together = got[..3].concat();
        together.sort_unstable();
        assert_eq!(together, everything);
        clients.into_iter().for_each(Mqtt::disconnect);
        publisher.disconnect();
    }
}

/// MQTT 5, 4.8.2: one copy for the subscription of its own, and one for the group's. Each says what
/// was asked for with it.
#[test]
fn a_client_may_have_both() {
    const AS_PUBLISHED: u8 = 8;
    let broker = start();
    let mut both = Mqtt::connect(&broker, V5, "both");
    both.subscribe_with("t", 0, &[11, 1]);
    both.subscribe_with("$share/g/t", 1 | AS_PUBLISHED, &[11, 2]);
    both.subscribe_with("$share/g/+", 1, &[11, 3]);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("t", b"1", 2, true, 1);
    let mut copies: Vec<_> = (0..3)
        .map(|_| {
            let Message { properties, qos, retain, .. } = both.message();
            (properties, qos, retain)
        })
        .collect();
    copies.sort();
    assert_eq!(copies, [(vec![11, 1], 0, false), (vec![11, 2], 1, true), (vec![11, 3], 1, false)]);
    both.ping();
    // There are no last values for a group.
    assert_eq!(both.subscribe_with("$share/g/t", 0, &[11, 4]), 0);
    both.ping();
    assert_eq!(both.unsubscribe("$share/g/t").body.last(), Some(&0));
    let again = both.unsubscribe("$share/g/t").body.last().copied();
    assert_eq!(again, Some(reason::NO_SUBSCRIPTION_EXISTED));
    assert_eq!(both.unsubscribe("$share/g/+").body.last(), Some(&0));
    publisher.publish("t", b"2", 0, false, 0);
    assert_eq!(both.message().properties, [11, 1]);
    both.ping();
}

/// What a group has given to a member is sent to it though it leaves the group.
#[test]
fn who_leaves_has_what_it_was_given() {
    let broker = start();
    /// Receive Maximum.
    const ONE_AT_A_TIME: &[u8] = &[33, 0, 1];
    let hello = Hello { properties: ONE_AT_A_TIME, ..Hello::new(V5, "leaver") };
    let (mut leaver, _) = Mqtt::hello(&broker, &hello);
    assert_eq!(leaver.subscribe("$share/g/t", 1), 1);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    for number in 0..3 {
        publisher.publish("t", &[number], 1, false, 1);
        assert_eq!(publisher.read().kind(), "PUBACK");
    }
    let first = leaver.message();
    assert_eq!(first.payload, [0]);
    assert_eq!(leaver.unsubscribe("$share/g/t").body.last(), Some(&0));
    publisher.publish("t", b"nobody's", 1, false, 1);
    assert_eq!(publisher.read().kind(), "PUBACK");
    leaver.ack(0x40, first.id);
    for number in 1..3 {
        let message = leaver.message();
        assert_eq!(message.payload, [number]);
        leaver.ack(0x40, message.id);
    }
    leaver.ping();
}

/// Members whose clients are away get something where nobody else is there.
#[test]
fn who_is_away_comes_last() {
    let broker = start();
    let hello = Hello::new(V5, "away").staying();
    let (mut away, _) = Mqtt::hello(&broker, &hello);
    away.subscribe("$share/g/t", 1);
    away.disconnect();
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    let mut publish = |payload: u8| {
        publisher.publish("t", &[payload], 1, false, 1);
        assert_eq!(publisher.read().kind(), "PUBACK");
    };
    publish(0);
    let mut here = Mqtt::connect(&broker, V5, "here");
    assert_eq!(here.subscribe("$share/g/t", 0), 0);
    (1..5).for_each(&mut publish);
    assert_eq!((1..5).map(|_| here.message().payload[0]).collect::<Vec<_>>(), [1, 2, 3, 4]);
    here.ping();
    here.unsubscribe("$share/g/t");
    publish(5);
    let (mut back, is_present) = Mqtt::hello(&broker, &hello);
    assert!(is_present);
    for payload in [0, 5] {
        let message = back.message();
        assert_eq!((&message.payload[..], message.qos), (&[payload][..], 1));
        back.ack(0x40, message.id);
    }
    // It is a member as before.
    here.subscribe("$share/g/t", 0);
    (6..8).for_each(&mut publish);
    assert_ne!(back.message().payload, here.message().payload);
}

#[test]
fn a_member_is_listed_as_it_has_spelled_it() {
    let broker = start_with(Config::default(), "mqtt://127.0.0.1:0,http://127.0.0.1:0");
    let mut member = Mqtt::connect(&broker, V3_1_1, "member");
    member.subscribe(WORK, 0);
    let mut web = Web::connect(&broker);
    let clients = web.get("/api/v1/clients").json();
    let listed =
        &clients["clients"].as_array().unwrap().iter().find(|one| one["client_id"] == "member");
    assert_eq!(listed.unwrap()["subscriptions"][0]["filter"], WORK);
    let stats = web.get("/api/v1/stats").json();
    assert_eq!(stats["subscribers"][0]["topics"][0], WORK, "{stats}");
    let infos = broker.list_subscriptions("jobs/1").unwrap();
    assert_eq!(infos.iter().map(|info| &*info.filter).collect::<Vec<_>>(), [WORK]);
    assert!(!infos[0].below && broker.list_subscriptions("jobs").unwrap().is_empty());
    assert_eq!(broker.stats().subscriptions, 1);
    member.unsubscribe(WORK);
    assert_eq!(broker.stats().subscriptions, 0);
}

/// MQTT 5, 4.8.2: where the session of a member ends, what it was not sent goes to others, and what
/// it was sent with QoS 1 and has not answered; what it was sent with QoS 2 does not.
#[test]
fn what_a_member_leaves_behind_goes_to_another() {
    let broker = start();
    for (qos, first) in [(1, 0), (2, 1)] {
        let window: &[u8] = &[33, 0, 1];
        let expiring: &[u8] = &[33, 0, 1, 17, 0, 0, 0, 1];
        let hello = Hello { properties: window, ..Hello::new(V5, "leaver") };
        let staying = Hello { properties: expiring, ..hello.clone() };
        // It goes without a word, with one, and is away for too long.
        for (hello, says_goodbye) in [(&hello, false), (&hello, true), (&staying, false)] {
            let (mut leaver, _) = Mqtt::hello(&broker, hello);
            assert_eq!(leaver.subscribe("$share/g/t", qos), qos);
            let mut publisher = Mqtt::connect(&broker, V5, "publisher");
            for number in 0..5 {
                publisher.publish("t", &[number], 2, false, 1);
                assert_eq!(publisher.read().kind(), "PUBREC");
                publisher.ack(0x62, 1);
                assert_eq!(publisher.read().kind(), "PUBCOMP");
            }
            assert_eq!(leaver.message().payload, [0]);
            let mut heir = member(&broker, V3_1_1, "heir", "$share/g/t", 1);
            if says_goodbye {
                leaver.disconnect()
            } else {
                drop(leaver)
            }
            for number in first..5 {
                let message = heir.message();
                assert_eq!(
                    (&message.payload[..], message.qos, message.dup),
                    (&[number][..], 1, false)
                );
                heir.ack(0x40, message.id);
            }
            publisher.publish("end", b"", 0, false, 0);
            assert_eq!(until_end(&mut heir), []);
            heir.disconnect();
            publisher.disconnect();
        }
    }
}
