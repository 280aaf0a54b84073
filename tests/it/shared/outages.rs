//! A backbone that is away, or does not answer.

use std::time::Duration;

use babelmq::Format::{Json, Pickle};

use super::{delivery, publish, sharing, start, start_with, until_value};
use crate::support::Field::Str;
use crate::support::backbone::LocalBackbone;
use crate::support::process::until;
use crate::support::{Client, number};

/// The answer to a ping that is sent now.
fn ping(client: &mut Client) -> crate::support::Frame {
    client.command(Json, &[("command", Str("ping"))]);
    client.next()
}

#[test]
fn what_is_published_meanwhile_waits_and_arrives_once() {
    let backbone = LocalBackbone::default();
    let patient = || sharing().backbone_wait(Duration::from_secs(60));
    let (one, other) = (start_with(&backbone, patient()), start_with(&backbone, patient()));
    let (mut producer, mut there) = (Client::connect(&one), Client::connect(&other));
    there.subscribe(Json, "orders");
    publish(&mut producer, Json, "orders/1", 1);
    backbone.go_down();
    for value in 2..=4 {
        producer.publish(Pickle, "orders/1", &number(Pickle, value));
    }
    producer.command(Json, &[("command", Str("ping"))]);
    // What is not shared goes on, also while somebody waits.
    let mut local = Client::connect(&one);
    publish(&mut local, Json, "weather", 7);
    backbone.come_up();
    assert_eq!(producer.next().field("command"), "pong");
    for value in 1..=4 {
        assert_eq!(delivery(&mut there).1, value);
    }
    there.is_quiet();
}

#[test]
fn what_waits_for_too_long_is_refused_until_it_is_back() {
    let backbone = LocalBackbone::default();
    let (one, other) = (start(&backbone), start(&backbone));
    let mut producer = Client::connect(&one);
    publish(&mut producer, Json, "orders/1", 1);
    backbone.go_down();
    producer.publish(Json, "orders/1", b"2");
    let unconfirmed = ping(&mut producer);
    unconfirmed.refuses("backbone-unavailable", false);
    assert!(unconfirmed.field("reason").contains("it is down"));
    producer.publish(Json, "orders/1", b"3");
    let refused = producer.next();
    refused.refuses("backbone-unavailable", false);
    assert_eq!(refused.field("topic"), "orders/1");
    // What was not handed over is confirmed as ever.
    let mut local = Client::connect(&one);
    publish(&mut local, Json, "weather", 7);
    backbone.come_up();
    until("it is taken again", || {
        producer.publish(Json, "orders/2", b"4");
        ping(&mut producer).field("command") == "pong" || {
            // The pong follows the refusal.
            producer.next();
            false
        }
    });
    // What was accepted before it was refused was kept, and is there once.
    for broker in [&one, &other] {
        until_value(broker, "orders/1", Some(2));
        until_value(broker, "orders/2", Some(4));
    }
}

#[test]
fn nothing_is_confirmed_that_the_backbone_does_not_confirm() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let mut producer = Client::connect(&broker);
    backbone.be_mute(true);
    producer.publish(Json, "orders/1", b"1");
    let unconfirmed = ping(&mut producer);
    unconfirmed.refuses("backbone-unavailable", false);
    assert!(unconfirmed.field("reason").contains("confirms nothing"));
    // It is delivered all the same: the backbone has it.
    until_value(&broker, "orders/1", Some(1));
}

#[test]
fn what_the_backbone_refuses_is_not_confirmed_and_what_comes_later_is() {
    let backbone = LocalBackbone::default();
    let broker = start(&backbone);
    let mut producer = Client::connect(&broker);
    publish(&mut producer, Json, "orders/1", 1);
    backbone.refuse(Some("maximum messages exceeded"));
    producer.publish(Json, "orders/1", b"2");
    until("it is refused", || broker.shared_topics()[0].refused == 1);
    backbone.refuse(None);
    producer.publish(Json, "orders/1", b"3");
    let unconfirmed = ping(&mut producer);
    // Who connects again knows that what was not confirmed is to be published again.
    unconfirmed.refuses("disconnected", true);
    assert!(unconfirmed.field("reason").contains("maximum messages exceeded"));
    producer.ends();
    until_value(&broker, "orders/1", Some(3));
    publish(&mut Client::connect(&broker), Json, "orders/1", 4);
}

#[test]
fn a_broker_is_ready_when_it_has_what_is_shared() {
    let backbone = LocalBackbone::default();
    backbone.go_down();
    let broker = start_with(
        &backbone,
        sharing().listeners(["http://127.0.0.1:0".parse::<babelmq::ListenUrl>().unwrap()]),
    );
    let ready = || {
        use std::io::{Read, Write};
        let mut http = std::net::TcpStream::connect(broker.http_addr()).unwrap();
        http.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        http.read_to_string(&mut answer).unwrap();
        answer
    };
    until("it says why it is not", || {
        let answer = ready();
        answer.starts_with("HTTP/1.1 503") && answer.contains("it is down")
    });
    backbone.come_up();
    until("it is", || ready().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_broker_starts_without_a_backbone_and_stops_without_one() {
    let backbone = LocalBackbone::default();
    backbone.go_down();
    let broker = start_with(&backbone, sharing().backbone_wait(Duration::from_secs(60)));
    let mut producer = Client::connect(&broker);
    publish(&mut producer, Json, "weather", 1);
    producer.publish(Json, "orders/1", b"1");
    until("it waits", || broker.shared_topics()[0].unconfirmed > 0);
    let unsaved = broker.close().unwrap_err();
    assert_eq!(unsaved.messages, 1);
    assert!(unsaved.to_string().contains("orders"), "{unsaved}");
}
