//! A server that is not there, has no stream, or no room.

use babelmq::Format::{Json, Pickle};

use super::{patient, server, server_with, start, start_in, start_with};
use crate::shared::consumers::{consume, settle, work};
use crate::shared::{delivery, publish, scratch, sharing, until_value};
use crate::support::Field::{Bool, Raw, Str};
use crate::support::nats::NatsServer;
use crate::support::plain_nats::PlainNats;
use crate::support::process::until;
use crate::support::proxy::Proxy;
use crate::support::{Client, Frame, number};

fn ping(client: &mut Client) -> Frame {
    client.command(Json, &[("command", Str("ping"))]);
    client.next()
}

#[test]
fn a_broker_with_a_directory_goes_on_where_it_was() {
    let (server, mut nats) = server();
    let folder = scratch("jetstream-position");
    let (one, other) = (start(&server), start_in(&folder, &server));
    let mut producer = Client::connect(&one);
    for value in 1..=5 {
        publish(&mut producer, Json, &format!("orders/{}", value % 2), value);
    }
    until_value(&other, "orders/1", Some(5));
    other.close().unwrap();
    // Each topic's last message would not do: it is none that is remembered.
    publish(&mut producer, Json, "orders/1", 7);
    let brief = [
        ("command", Str("publish")),
        ("topic", Str("orders/1")),
        ("message", Raw(b"8")),
        ("retain", Bool(false)),
    ];
    producer.command(Json, &brief);
    nats.publish("orders.0", &[("Babelmq-Clear", "true")], b"");
    producer.is_quiet();
    // One that is over before the broker hears of it, and that took the place of another.
    publish(&mut producer, Json, "orders/2", 9);
    nats.publish("orders.2", &[("Babelmq-Ttl", "1")], b"10");
    until_value(&one, "orders/2", Some(10));
    until_value(&one, "orders/2", None);
    let other = start_in(&folder, &server);
    assert_eq!(other.shared_topics()[0].applied, 10);
    until_value(&other, "orders/1", Some(7));
    until_value(&other, "orders/0", None);
    until_value(&other, "orders/2", None);
    let mut subscriber = Client::connect(&other);
    assert_eq!(subscriber.subscribe(Pickle, "orders").len(), 1);
    publish(&mut producer, Json, "orders/1", 11);
    assert_eq!(delivery(&mut subscriber), ("orders/1".to_owned(), 11));
    subscriber.is_quiet();
}

#[test]
fn a_stream_that_is_missing_is_said_and_taken_up_when_it_is_made() {
    let server = NatsServer::start();
    let broker = start_with(&server, sharing());
    until("it is known", || broker.shared_topics()[0].reason.contains("no stream orders"));
    let mut client = Client::connect(&broker);
    client.publish(Json, "orders/1", b"1");
    let refusal = ping(&mut client);
    refusal.refuses("backbone-unavailable", false);
    let reason = refusal.field("reason");
    let how =
        format!("babelmq backbone create --backbone {} --shared 'orders=orders/#'", server.url());
    assert!(reason.contains("no stream orders") && reason.contains(&how), "{reason}");
    let mut nats = PlainNats::connect(&server.url()).unwrap();
    nats.make("orders", super::SUBJECTS, serde_json::json!({})).unwrap();
    // What was accepted, and not confirmed, is not forgotten.
    until_value(&broker, "orders/1", Some(1));
    publish(&mut client, Json, "orders/1", 2);
    until_value(&broker, "orders/1", Some(2));
    assert_eq!(nats.kept("orders").len(), 2);
}

#[test]
fn a_stream_that_is_made_anew_is_another_one() {
    let (server, mut nats) = server();
    let folder = scratch("jetstream-anew");
    let (one, other) = (start(&server), start_in(&folder, &server));
    let mut producer = Client::connect(&one);
    for value in 1..=5 {
        publish(&mut producer, Json, "orders/1", value);
    }
    let mut member = Client::connect(&one);
    consume(&mut member, 10);
    publish(&mut producer, Json, "orders/2", 6);
    assert_eq!(work(&mut member), (6, 6, 1));
    until("both have everything", || other.shared_topics()[0].applied == 6);
    other.close().unwrap();
    nats.ask("STREAM.DELETE.orders", &serde_json::Value::Null).unwrap();
    // What is said of messages that there are no more is answered when that is known.
    member.command(Json, &[("command", Str("ack")), ("seq", Raw(b"6"))]);
    member.command(Json, &[("command", Str("ping"))]);
    nats.make("orders", super::SUBJECTS, serde_json::json!({})).unwrap();
    assert_eq!(member.next().field("command"), "pong");
    nats.publish("orders.3", &[], b"11");
    for value in 12..=20 {
        publish(&mut producer, Json, "orders/1", value);
    }
    let other = start_in(&folder, &server);
    for broker in [&one, &other] {
        until_value(broker, "orders/1", Some(20));
        until_value(broker, "orders/3", Some(11));
        assert_eq!(broker.shared_topics()[0].applied, 10);
        // Of this topic it knows nothing.
        until_value(broker, "orders/2", Some(6));
    }
    // All that is in it is new to its members.
    let got = [work(&mut member), work(&mut member), work(&mut member)];
    assert_eq!(got, [(1, 11, 1), (2, 12, 1), (3, 13, 1)]);
}

/// It has begun with the values of a stream that had none: what comes while there is no server is
/// no last value, but all of it.
#[test]
fn a_broker_that_began_with_nothing_misses_nothing() {
    let (mut server, _nats) = server();
    let (broker, other) = (start(&server), start(&server));
    let mut subscriber = Client::connect(&broker);
    subscriber.subscribe(Json, "orders");
    let link = Proxy::to(server.url().trim_start_matches("nats://").parse().unwrap());
    let url = format!("nats://{}", link.address);
    let away = babelmq::Broker::start_sharing(
        patient(),
        Box::new(babelmq::NoStore),
        super::backbone(&url),
    );
    let away = super::ready(away.unwrap());
    let mut there = Client::connect(&away);
    there.subscribe(Json, "orders");
    link.close(true);
    link.cut();
    until("it is away", || !away.shared_topics()[0].is_connected);
    let mut producer = Client::connect(&other);
    for value in 1..=5 {
        publish(&mut producer, Json, "orders/1", value);
    }
    link.close(false);
    for value in 1..=5 {
        assert_eq!(delivery(&mut there).1, value);
        assert_eq!(delivery(&mut subscriber).1, value);
    }
    server.kill();
    server.start_again();
    publish(&mut producer, Json, "orders/1", 6);
    for subscriber in [&mut there, &mut subscriber] {
        assert_eq!(delivery(subscriber).1, 6);
        subscriber.is_quiet();
    }
}

#[test]
fn a_server_that_is_restarted_in_the_middle_loses_and_repeats_nothing() {
    let (mut server, _nats) = server();
    let (one, other) = (start(&server), start(&server));
    let mut subscribers = [&one, &other].map(Client::connect);
    for subscriber in &mut subscribers {
        subscriber.subscribe(Json, "orders");
    }
    let mut producers = [&one, &other].map(Client::connect);
    let mut sent = 0;
    for round in 0..3 {
        for (at, producer) in producers.iter_mut().enumerate() {
            for value in 0..300 {
                let value = 1_000 * round + value;
                producer.publish(Json, &format!("orders/{at}"), &number(Json, value));
                sent += 1;
            }
            producer.command(Json, &[("command", Str("ping"))]);
        }
        until("some of it is confirmed", || one.shared_topics()[0].applied > sent - 500);
        server.kill();
        server.start_again();
        for producer in &mut producers {
            assert_eq!(producer.next().field("command"), "pong");
        }
    }
    let [here, there] =
        subscribers.each_mut().map(|it| (0..sent).map(|_| delivery(it)).collect::<Vec<_>>());
    assert_eq!(here, there);
    for at in ["orders/0", "orders/1"] {
        let of = here.iter().filter(|(topic, _)| topic == at).map(|(_, value)| *value);
        let expected = (0..3).flat_map(|round| (0..300).map(move |value| 1_000 * round + value));
        assert!(of.eq(expected));
    }
    subscribers.iter_mut().for_each(Client::is_quiet);
}

#[test]
fn what_the_stream_has_no_room_for_is_not_confirmed() {
    let of_stream = serde_json::json!({"max_msgs": 2, "discard": "new"});
    let (server, mut nats) = server_with(&[], of_stream);
    let broker = start(&server);
    let mut client = Client::connect(&broker);
    publish(&mut client, Json, "orders/1", 1);
    publish(&mut client, Json, "orders/1", 2);
    client.publish(Json, "orders/1", b"3");
    let refusal = ping(&mut client);
    // Who connects again knows that what was not confirmed is in doubt.
    refusal.refuses("disconnected", true);
    assert!(refusal.field("reason").contains("maximum messages exceeded"));
    client.ends();
    assert_eq!(nats.kept("orders").len(), 2);
    until_value(&broker, "orders/1", Some(2));
}

#[test]
fn a_publish_waits_for_a_server_that_hangs() {
    let (server, _nats) = server();
    let broker = start_with(&server, patient());
    let mut client = Client::connect(&broker);
    publish(&mut client, Json, "orders/1", 1);
    server.freeze();
    client.publish(Json, "orders/1", b"2");
    client.command(Json, &[("command", Str("ping"))]);
    until("it is noticed", || !broker.shared_topics()[0].is_connected);
    assert_eq!(broker.shared_topics()[0].unconfirmed, 1);
    server.thaw();
    assert_eq!(client.next().field("command"), "pong");
    until_value(&broker, "orders/1", Some(2));
}

/// What a member says while its server is away is known to it afterwards, and not confirmed before.
#[test]
fn an_acknowledgement_is_confirmed_when_the_server_has_it() {
    let (mut server, _nats) = server();
    let broker = start(&server);
    let mut client = Client::connect(&broker);
    consume(&mut client, 10);
    let mut producer = Client::connect(&broker);
    for value in 1..=3 {
        publish(&mut producer, Json, "orders/1", value);
        assert_eq!(work(&mut client).1, value);
    }
    settle(&mut client, "ack", 1);
    // Killed, it would lose the last moment of its consumers: without replicas they are written
    // down a moment later.
    server.stop();
    until("it is noticed", || !broker.shared_topics()[0].is_connected);
    for seq in [b"2", b"3"] {
        client.command(Json, &[("command", Str("ack")), ("seq", Raw(seq))]);
    }
    client.command(Json, &[("command", Str("ping"))]);
    server.start_again();
    assert_eq!(client.next().field("command"), "pong");
    server.stop();
    server.start_again();
    drop(client);
    let mut next = Client::connect(&broker);
    until("there is a server", || consume(&mut next, 10).field("command") == "subscribed");
    publish(&mut producer, Json, "orders/1", 4);
    assert_eq!(work(&mut next), (4, 4, 1));
}
