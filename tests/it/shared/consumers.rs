//! Durable consumers of shared topics: their members are at any broker.

use babelmq::Format::Json;
use babelmq::broker::Use;

use super::{publish, scratch, start, start_in};
use crate::support::Field::{Int, Str};
use crate::support::backbone::LocalBackbone;
use crate::support::process::until;
use crate::support::{Client, Frame, claimed};

/// Consumes `orders` as `billing`, with a window.
#[track_caller]
pub(super) fn consume(client: &mut Client, window: i64) -> Frame {
    client.command(
        Json,
        &[
            ("command", Str("subscribe")),
            ("topic", Str("orders")),
            ("consumer", Str("billing")),
            ("window", Int(window)),
        ],
    );
    client.next()
}

/// The number in the stream, the number that it says, and the attempt of the next delivery.
#[track_caller]
pub(super) fn work(client: &mut Client) -> (i64, i64, i64) {
    let frame = client.next();
    let fields = frame.fields();
    assert_eq!(fields["command"], "publish", "{fields:?}");
    assert_eq!((&*fields["stream"], &*fields["consumer"]), ("orders", "billing"));
    let attempt = fields.get("attempt").map_or(1, |attempt| attempt.parse().unwrap());
    (fields["seq"].parse().unwrap(), frame.number(), attempt)
}

pub(super) fn settle(client: &mut Client, command: &str, seq: i64) {
    client.command(Json, &[("command", Str(command)), ("seq", Int(seq))]);
    client.is_quiet();
}

#[test]
fn members_at_two_brokers_share_the_work() {
    let backbone = LocalBackbone::default();
    let (one, other) = (start(&backbone), start(&backbone));
    let (mut first, mut second) = (Client::connect(&one), Client::connect(&other));
    let subscribed = consume(&mut first, 1);
    subscribed.says(&[
        ("command", "subscribed"),
        ("topic", "orders"),
        ("values", "0"),
        ("stream", "orders"),
        ("consumer", "billing"),
        ("pending", "0"),
    ]);
    consume(&mut second, 1);
    let mut producer = Client::connect(&one);
    for value in 11..=14 {
        publish(&mut producer, Json, "orders/1", value);
    }
    let mut got = Vec::new();
    for _ in 0..2 {
        for client in [&mut first, &mut second] {
            let (seq, value, attempt) = work(client);
            assert_eq!((seq + 10, attempt), (value, 1));
            got.push(seq);
            // The next may come before a pong does.
            client.command(Json, &[("command", Str("ack")), ("seq", Int(seq))]);
        }
    }
    got.sort_unstable();
    assert_eq!(got, [1, 2, 3, 4]);
    first.is_quiet();
    second.is_quiet();
}

#[test]
fn what_was_not_acknowledged_comes_to_another_broker() {
    let backbone = LocalBackbone::default();
    let (one, other) = (start(&backbone), start(&backbone));
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
    assert_eq!((work(&mut second), work(&mut second)), ((1, 1, 2), (3, 3, 2)));
    // It may come again before a pong does.
    second.command(Json, &[("command", Str("nak")), ("seq", Int(3))]);
    assert_eq!(work(&mut second), (3, 3, 3));
    second.command(Json, &[("command", Str("ack")), ("upto", Int(3))]);
    second.is_quiet();
    drop(second);
    let mut third = Client::connect(&other);
    consume(&mut third, 10);
    third.is_quiet();
}

#[test]
fn what_cannot_be_done_becomes_a_dead_letter() {
    let (backbone, folder) = (LocalBackbone::default(), scratch("dead"));
    let broker = start_in(&folder, &backbone);
    let mut undertaker = Client::connect(&broker);
    undertaker.subscribe(Json, "$dead");
    let mut client = Client::connect(&broker);
    client.command(
        Json,
        &[
            ("command", Str("subscribe")),
            ("topic", Str("orders")),
            ("consumer", Str("billing")),
            ("max-deliver", Int(2)),
        ],
    );
    client.next();
    let mut producer = Client::connect(&broker);
    publish(&mut producer, Json, "orders/1", 10);
    assert_eq!(work(&mut client), (1, 10, 1));
    client.command(
        Json,
        &[("command", Str("reject")), ("seq", Int(1)), ("reason", Str("no such customer"))],
    );
    let letter = undertaker.next();
    assert_eq!(letter.field("topic"), "$dead/billing/orders/1");
    assert!(letter.message().contains("no such customer"), "{}", letter.message());
    publish(&mut producer, Json, "orders/2", 20);
    for attempt in 1..=2 {
        assert_eq!(work(&mut client), (2, 20, attempt));
        client.command(Json, &[("command", Str("nak")), ("seq", Int(2))]);
    }
    let letter = undertaker.next().message();
    assert!(letter.contains("it was delivered 2 times") && letter.contains("20"), "{letter}");
    publish(&mut producer, Json, "orders/3", 30);
    assert_eq!(work(&mut client), (3, 30, 1));
}

#[test]
fn an_acknowledgement_is_confirmed_when_the_backbone_has_it() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let mut client = Client::connect(&broker);
    consume(&mut client, 10);
    publish(&mut Client::connect(&broker), Json, "orders/1", 1);
    assert_eq!(work(&mut client), (1, 1, 1));
    backbone.go_down();
    client.command(Json, &[("command", Str("ack")), ("seq", Int(1))]);
    client.command(Json, &[("command", Str("ping"))]);
    client.next().refuses("backbone-unavailable", false);
    backbone.come_up();
    until("it is confirmed", || {
        client.command(Json, &[("command", Str("ping"))]);
        client.next().field("command") == "pong"
    });
    drop(client);
    let mut next = Client::connect(&broker);
    assert_eq!(consume(&mut next, 10).field("pending"), "0");
    next.is_quiet();
}

#[test]
fn what_is_settled_takes_no_memory() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let mut client = Client::connect(&broker);
    consume(&mut client, 10);
    let before = claimed(&broker, Use::Streams);
    let mut producer = Client::connect(&broker);
    let long = format!("\"{}\"", "x".repeat(100_000));
    for seq in 1..=3 {
        producer.publish(Json, "orders/1", long.as_bytes());
        producer.is_quiet();
        assert_eq!(client.next().field("seq"), seq.to_string());
    }
    assert!(claimed(&broker, Use::Streams) >= before + 300_000);
    settle(&mut client, "ack", 1);
    client.command(Json, &[("command", Str("reject")), ("seq", Int(2))]);
    // What nobody settles goes with its member.
    client.is_quiet();
    drop(client);
    until("nothing is held", || claimed(&broker, Use::Streams) <= before);
}

#[test]
fn consumers_are_listed_and_forgotten() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let mut client = Client::connect(&broker);
    consume(&mut client, 5);
    let mut producer = Client::connect(&broker);
    publish(&mut producer, Json, "orders/1", 1);
    assert_eq!(work(&mut client).0, 1);
    let mut admin = Client::connect(&broker);
    admin.command(Json, &[("command", Str("consumers"))]);
    let listed: serde_json::Value = serde_json::from_str(&admin.next().message()).unwrap();
    assert_eq!(listed[0]["consumer"], "billing");
    assert_eq!((&listed[0]["outstanding"], &listed[0]["members"]), (&1.into(), &1.into()));
    let remove = [
        ("command", Str("remove-consumer")),
        ("stream", Str("orders")),
        ("consumer", Str("billing")),
    ];
    admin.command(Json, &remove);
    assert_eq!(admin.next().field("command"), "done");
    admin.command(Json, &remove);
    admin.next().refuses("no-consumer", false);
}

#[test]
fn a_member_is_refused_where_the_backbone_is_away() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    backbone.go_down();
    let mut client = Client::connect(&broker);
    consume(&mut client, 5).refuses("backbone-unavailable", false);
    backbone.come_up();
    until("it is back", || {
        let answer = consume(&mut client, 5);
        answer.field("command") == "subscribed"
    });
}
