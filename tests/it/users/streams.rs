//! Consumers whose rights change while they consume.
#![cfg(feature = "storage")]

use std::path::Path;

use babelmq::Format::Json;
use babelmq::{Broker, BrokerHandle, ListenUrl, Storage, StreamDefinition, TopicFilter};

use super::{Users, logged_in, user};
use crate::support::mqtt::{Hello, Mqtt, V5};
use crate::support::{Client, config};

fn start(name: &str, users: &Users) -> BrokerHandle {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("users-streams-{name}"));
    // What a failed run left behind.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let orders = StreamDefinition::new("orders", TopicFilter::parse("orders/#").unwrap()).unwrap();
    let urls = ["127.0.0.1:0", "mqtt://127.0.0.1:0"].map(|url| url.parse::<ListenUrl>().unwrap());
    let config = config().users(&users.0).streams(vec![orders]).listeners(urls);
    Broker::start_with(config, Box::new(Storage::open(&folder, true).unwrap())).unwrap()
}

fn consume(client: &mut Client, more: &str) {
    let body = format!(r#"{{"command":"subscribe","topic":"orders",{more}}}"#);
    client.send(Json, body.as_bytes());
    let answer = client.next();
    assert_eq!(answer.field("command"), "subscribed", "{:?}", answer.fields());
}

fn publish(client: &mut Client, topic: &str, number: i64) {
    client.publish(Json, topic, number.to_string().as_bytes());
    client.is_quiet();
}

const BOB: &str = "publish = ['#']";

fn file(ada: &str) -> String {
    format!("{}{}", user("ada", ada), user("bob", BOB))
}

#[test]
fn who_lost_the_right_gets_no_more_and_leaves_its_share_to_others() {
    let users = Users::new(&format!(
        "{}{}",
        file("subscribe = ['orders']"),
        user("eve", "subscribe = ['orders']")
    ));
    let broker = start("lost", &users);
    let (mut ada, mut bob) = (logged_in(&broker, "ada"), logged_in(&broker, "bob"));
    let mut follower = logged_in(&broker, "ada");
    consume(&mut ada, r#""consumer":"billing""#);
    consume(&mut follower, r#""start":"all""#);
    publish(&mut bob, "orders/1", 1);
    for client in [&mut ada, &mut follower] {
        assert_eq!(client.next().number(), 1);
    }
    users.write(&format!("{}{}", file("publish = []"), user("eve", "subscribe = ['orders']")));
    broker.reload_users().unwrap();
    for client in [&mut ada, &mut follower] {
        client.next().refuses("not-permitted", false);
    }
    publish(&mut bob, "orders/1", 2);
    // What it says now is of nothing.
    ada.send(Json, br#"{"command":"ack","seq":1}"#);
    ada.next().refuses("no-consumer", false);
    for client in [&mut ada, &mut follower] {
        client.is_quiet();
    }
    // What it had and never settled is delivered to who may have it.
    let mut eve = logged_in(&broker, "eve");
    consume(&mut eve, r#""consumer":"billing""#);
    let (first, second) = (eve.next(), eve.next());
    let mut got = [(first.number(), first), (second.number(), second)];
    got.sort_by_key(|(number, _)| *number);
    assert_eq!((got[0].0, got[1].0), (1, 2));
    assert_eq!(got[0].1.field("attempt"), "2");
}

#[test]
fn a_follower_that_lost_a_part_reads_the_rest_and_a_consumer_ends() {
    let users = Users::new(&file("subscribe = ['orders']"));
    let broker = start("part", &users);
    let (mut ada, mut bob) = (logged_in(&broker, "ada"), logged_in(&broker, "bob"));
    let mut follower = logged_in(&broker, "ada");
    consume(&mut ada, r#""consumer":"billing""#);
    consume(&mut follower, r#""start":"all""#);
    users.write(&file("subscribe = ['orders']\ndeny-subscribe = ['orders/secret']"));
    broker.reload_users().unwrap();
    // A message that no member may see would wait for ever.
    ada.next().refuses("not-permitted", false);
    publish(&mut bob, "orders/secret", 1);
    publish(&mut bob, "orders/open", 2);
    assert_eq!(follower.next().number(), 2);
    follower.is_quiet();
    ada.is_quiet();
}

/// A session of MQTT that a stream keeps: neither what waits there comes, nor what was on its way.
#[test]
fn a_session_that_lost_the_right_gets_no_more() {
    let may = file("subscribe = ['orders/#', 't']\npublish = ['t']");
    let may_not = file("subscribe = ['t']\npublish = ['t']");
    let users = Users::new(&may);
    let broker = start("mqtt", &users);
    let mut bob = logged_in(&broker, "bob");
    let hello = Hello { user: Some(("ada", "secret")), ..Hello::new(V5, "ada").staying() };
    for is_there in [false, true] {
        users.write(&may);
        broker.reload_users().unwrap();
        let (mut ada, _) = Mqtt::hello(&broker, &hello);
        assert_eq!((ada.subscribe("orders/#", 0x21), ada.subscribe("t", 0)), (1, 0));
        publish(&mut bob, "orders/1", 1);
        assert_eq!(ada.plain_message().1, b"1");
        if is_there {
            users.write(&may_not);
            broker.reload_users().unwrap();
            let goodbye = ada.read();
            assert_eq!((goodbye.kind(), goodbye.body[0]), ("DISCONNECT", 0x87));
        } else {
            drop(ada);
            publish(&mut bob, "orders/1", 2);
            users.write(&may_not);
            broker.reload_users().unwrap();
        }
        let (mut ada, is_present) = Mqtt::hello(&broker, &hello);
        assert!(is_present);
        publish(&mut bob, "orders/1", 3);
        ada.publish("t", b"4", 0, false, 0);
        assert_eq!(ada.plain_message().1, b"4");
        ada.ping();
        ada.disconnect();
    }
}
