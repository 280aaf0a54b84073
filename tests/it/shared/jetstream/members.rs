//! Durable consumers of JetStream, whose members are at two brokers.

use std::time::Duration;

use babelmq::Format::Json;
use babelmq::{Broker, NoStore};

use super::{server, start, start_in};
use crate::shared::consumers::{consume, settle, work};
use crate::shared::{publish, scratch};
use crate::support::Client;
use crate::support::Field::{Int, Str};
use crate::support::process::until;
use crate::support::proxy::Proxy;

#[test]
fn members_at_two_brokers_share_the_work_and_what_is_acknowledged_does_not_come_again() {
    let (server, mut nats) = server();
    let (one, other) = (start(&server), start(&server));
    let (mut first, mut second) = (Client::connect(&one), Client::connect(&other));
    assert_eq!(consume(&mut first, 1).field("pending"), "0");
    consume(&mut second, 1);
    let mut producer = Client::connect(&one);
    for value in 11..=14 {
        publish(&mut producer, Json, "orders/1", value);
    }
    for value in 15..=18 {
        nats.publish("orders.2", &[], value.to_string().as_bytes());
    }
    let mut got = Vec::new();
    // Each may have one more by then, which leaves enough for the other.
    for _ in 0..3 {
        for client in [&mut first, &mut second] {
            let (seq, value, attempt) = work(client);
            assert_eq!((seq + 10, attempt), (value, 1));
            got.push(seq);
            // The next may come before a pong does.
            client.command(Json, &[("command", Str("ack")), ("seq", Int(seq))]);
        }
    }
    // Neither with other members, nor with other brokers.
    drop((first, second));
    one.shutdown();
    let mut third = Client::connect(&other);
    consume(&mut third, 10);
    publish(&mut Client::connect(&other), Json, "orders/1", 19);
    got.extend((0..3).map(|_| work(&mut third).0));
    third.is_quiet();
    got.sort_unstable();
    assert_eq!(got, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn what_was_not_acknowledged_comes_to_another_broker() {
    let (server, _nats) = server();
    let (one, other) = (start(&server), start(&server));
    let mut first = Client::connect(&one);
    consume(&mut first, 10);
    let mut producer = Client::connect(&other);
    for value in 1..=3 {
        publish(&mut producer, Json, "orders/1", value);
    }
    assert_eq!((work(&mut first).0, work(&mut first).0, work(&mut first).0), (1, 2, 3));
    settle(&mut first, "ack", 2);
    one.shutdown();
    let mut second = Client::connect(&other);
    consume(&mut second, 10);
    let mut again = [work(&mut second), work(&mut second)];
    again.sort_unstable();
    assert_eq!(again, [(1, 1, 2), (3, 3, 2)]);
    second.command(Json, &[("command", Str("nak")), ("seq", Int(3))]);
    assert_eq!(work(&mut second), (3, 3, 3));
    second.command(Json, &[("command", Str("ack")), ("upto", Int(3))]);
    second.is_quiet();
}

#[test]
fn what_cannot_be_done_becomes_a_dead_letter() {
    let (server, _nats) = server();
    let broker = start_in(&scratch("jetstream-dead"), &server);
    let mut undertaker = Client::connect(&broker);
    undertaker.subscribe(Json, "$dead");
    let mut client = Client::connect(&broker);
    let words = [
        ("command", Str("subscribe")),
        ("topic", Str("orders")),
        ("consumer", Str("billing")),
        ("max-deliver", Int(2)),
    ];
    client.command(Json, &words);
    client.next();
    let mut producer = Client::connect(&broker);
    publish(&mut producer, Json, "orders/1", 10);
    assert_eq!(work(&mut client), (1, 10, 1));
    client.command(
        Json,
        &[("command", Str("reject")), ("seq", Int(1)), ("reason", Str("no such customer"))],
    );
    assert_eq!(undertaker.next().field("topic"), "$dead/billing/orders/1");
    publish(&mut producer, Json, "orders/2", 20);
    for attempt in 1..=2 {
        assert_eq!(work(&mut client), (2, 20, attempt));
        client.command(Json, &[("command", Str("nak")), ("seq", Int(2))]);
    }
    let letter = undertaker.next().message();
    assert!(letter.contains("it was delivered 2 times") && letter.contains("20"), "{letter}");
    publish(&mut producer, Json, "orders/3", 30);
    assert_eq!(work(&mut client), (3, 30, 1));
    // Letters are settled for good, too.
    settle(&mut client, "ack", 3);
    until("nothing is left to be done", || {
        client.command(Json, &[("command", Str("consumers"))]);
        let listed = client.next().message();
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        listed[0]["outstanding"] == 0 && listed[0]["pending"] == 0
    });
}

#[test]
fn a_member_is_told_that_its_consumer_was_forgotten_elsewhere() {
    let (server, mut nats) = server();
    let (one, other) = (start(&server), start(&server));
    let (mut here, mut there) = (Client::connect(&one), Client::connect(&other));
    consume(&mut here, 10);
    consume(&mut there, 10);
    let mut admin = Client::connect(&one);
    let remove = [
        ("command", Str("remove-consumer")),
        ("stream", Str("orders")),
        ("consumer", Str("billing")),
    ];
    admin.command(Json, &remove);
    assert_eq!(admin.next().field("command"), "done");
    assert!(!is_member(&mut here));
    until("the other broker has heard of it", || !is_member(&mut there));
    // By a tool of NATS, too.
    consume(&mut there, 10);
    assert!(is_member(&mut there));
    nats.ask("CONSUMER.DELETE.orders.billing", &serde_json::Value::Null).unwrap();
    until("the broker has heard of it", || !is_member(&mut there));
}

/// One that was forgotten while its broker was away is not made anew by a member that comes back.
#[test]
fn a_member_that_comes_back_does_not_bring_its_consumer_back() {
    let (server, mut nats) = server();
    let link = Proxy::to(server.url().trim_start_matches("nats://").parse().unwrap());
    let backbone = super::backbone(&format!("nats://{}", link.address));
    let broker = Broker::start_sharing(super::patient(), Box::new(NoStore), backbone).unwrap();
    let broker = super::ready(broker);
    let mut member = Client::connect(&broker);
    consume(&mut member, 10);
    link.close(true);
    link.cut();
    until("it is away", || !broker.shared_topics()[0].is_connected);
    nats.ask("CONSUMER.DELETE.orders.billing", &serde_json::Value::Null).unwrap();
    link.close(false);
    until("the broker has heard of it", || !is_member(&mut member));
    assert!(nats.ask("CONSUMER.INFO.orders.billing", &serde_json::Value::Null).is_err());
}

/// Whether what a client says of messages is said of a consumer.
fn is_member(client: &mut Client) -> bool {
    client.command(Json, &[("command", Str("ack")), ("seq", Int(1))]);
    client.command(Json, &[("command", Str("ping"))]);
    let answer = client.next();
    if answer.field("command") == "pong" {
        return true;
    }
    answer.refuses("no-consumer", false);
    assert_eq!(client.next().field("command"), "pong");
    false
}

/// A member that is silent for longer than `ack-wait` has it no more; one that asks for more time
/// does.
#[test]
fn what_nobody_says_anything_of_comes_again() {
    let (server, _nats) = server();
    let broker = start(&server);
    let mut client = Client::connect(&broker);
    let words = [
        ("command", Str("subscribe")),
        ("topic", Str("orders")),
        ("consumer", Str("billing")),
        ("ack-wait", Int(1)),
    ];
    client.command(Json, &words);
    client.next();
    publish(&mut Client::connect(&broker), Json, "orders/1", 1);
    assert_eq!(work(&mut client), (1, 1, 1));
    assert_eq!(work(&mut client), (1, 1, 2));
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_millis(1_800) {
        // Sooner than it would come again.
        settle(&mut client, "touch", 1);
    }
    settle(&mut client, "ack", 1);
    client.is_quiet();
}
