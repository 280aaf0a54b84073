//! Values that live for a time, and rules for parts of the topic tree.

use babelmq::Format::{Json, Pickle, Xml};

use super::{Served, babelmq, run, scratch, serve};
use crate::support::process::until;
use crate::support::{Client, FORMATS, Field, Frame};

fn publish(client: &mut Client, topic: &str, ttl: i64) {
    let fields = [
        ("command", Field::Str("publish")),
        ("topic", Field::Str(topic)),
        ("message", Field::Raw(b"1")),
        ("ttl", Field::Int(ttl)),
    ];
    client.command(Json, &fields);
}

fn topics(client: &mut Client) -> Vec<String> {
    client.subscribe(Json, "#").iter().map(|value: &Frame| value.field("topic")).collect()
}

#[test]
fn a_value_that_has_expired_is_neither_sent_nor_listed_and_gone_from_the_disk() {
    let directory = scratch("ttl");
    let broker = serve(&directory, &["--fsync", "always", "--subtree", "short:ttl=1s"]);
    let mut client = Client::to(broker.address);
    publish(&mut client, "a", 1);
    publish(&mut client, "b", 1_000);
    publish(&mut client, "short/longer", 1_000);
    client.publish(Json, "short/er", b"1");
    client.publish(Json, "c", b"1");
    publish(&mut client, "again", 1);
    client.publish(Json, "again", b"1");
    client.flush(Json);
    assert_eq!(topics(&mut client).len(), 6);
    until("expired", || topics(&mut client) == ["b", "short/longer", "c", "again"]);
    client.command(Json, &[("command", Field::Str("get")), ("topic", Field::Str("a"))]);
    assert_eq!(client.next().try_message(), None);
    client.flush(Json);
    broker.signal("KILL");
    drop(broker);
    let (_, lines, _) = run(&["export", directory.to_str().unwrap()]);
    let exported: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expires: Vec<bool> = exported.iter().map(|line| line["expires"].is_u64()).collect();
    assert_eq!(expires, [true, true, false, false], "{lines}");
}

#[test]
fn what_expires_while_no_broker_runs_does_not_come_back() {
    let directory = scratch("ttl-stopped");
    let file = directory.join("x");
    let line = |topic: &str, expires: &str| {
        format!("{{\"topic\":\"{topic}\",\"format\":\"json\",\"payload\":\"1\"{expires}}}\n")
    };
    std::fs::write(&file, line("old", ",\"expires\":1000") + &line("new", "")).unwrap();
    let path = directory.to_str().unwrap();
    assert_eq!(run(&["import", path, file.to_str().unwrap()]).0, Some(0));
    assert_eq!(run(&["topics", "--data-dir", path]).1, "new\n");
    let broker = serve(&directory, &["--fsync", "always"]);
    let mut client = Client::to(broker.address);
    assert_eq!(topics(&mut client), ["new"]);
    client.flush(Json);
    broker.signal("TERM");
    broker.end();
    assert_eq!(run(&["export", path]).1.lines().count(), 1, "and its space is free");
}

#[test]
fn a_time_to_live_is_a_number_of_seconds_in_every_format() {
    let broker = Served::start(&mut babelmq(&["serve", "--listen", "127.0.0.1:0"]));
    let mut client = Client::to(broker.address);
    for format in FORMATS {
        let message: &[u8] = match format {
            Json => b"1",
            Xml => b"<message/>",
            Pickle => b"N",
        };
        let fields = |ttl| {
            [
                ("command", Field::Str("publish")),
                ("topic", Field::Str("t")),
                ("message", Field::Raw(message)),
                ("ttl", Field::Int(ttl)),
            ]
        };
        client.subscribe(format, "t");
        client.command(format, &fields(60));
        // It is for the broker alone, and not passed on.
        client.next().says(&[("command", "publish"), ("topic", "t")]);
        client.command(format, &fields(0));
        client.next().refuses("invalid-field", false);
    }
}

#[test]
fn a_subtree_has_limits_of_its_own() {
    let options = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--subtree",
        "s:values=2,bytes=276",
        "--subtree",
        "s/small:values=1",
    ];
    let broker = Served::start(&mut babelmq(&options));
    let mut client = Client::to(broker.address);
    client.flush(Json);
    let mut publish = |topic: &str, message: &[u8]| -> Vec<String> {
        client.publish(Json, topic, message);
        client.flush(Json).iter().map(|frame| frame.field("code")).collect()
    };
    // A value costs 128 bytes and its topic's name beside its payload.
    assert_eq!(publish("s/small/a", b"1"), [""; 0]);
    assert_eq!(publish("s/small/b", b"1"), ["store-full"]);
    assert_eq!(publish("s/a", b"1234567"), [""; 0]);
    assert_eq!(publish("s/a", b"12345678"), ["store-full"], "too many bytes");
    assert_eq!(publish("s/a", b"1"), [""; 0]);
    assert_eq!(publish("s/b", b"1"), ["store-full"], "too many values");
    assert_eq!(publish("other", b"123456789"), [""; 0]);
    client.command(Json, &[("command", Field::Str("clear")), ("topic", Field::Str("s/small/a"))]);
    let mut publish = |topic: &str| -> usize {
        client.publish(Json, topic, b"1");
        client.flush(Json).len()
    };
    assert_eq!((publish("s/b"), publish("s/c")), (0, 1));
}

#[test]
fn what_a_restart_brings_back_counts_for_the_limits() {
    let directory = scratch("limits-restart");
    let options = ["--subtree", "s:values=2", "--stored-values", "3"];
    let broker = serve(&directory, &options);
    let mut client = Client::to(broker.address);
    for topic in ["s/a", "s/b", "t"] {
        client.publish(Json, topic, b"1");
    }
    client.flush(Json);
    broker.signal("TERM");
    assert_eq!(broker.end().0, Some(0));
    let broker = serve(&directory, &options);
    let mut client = Client::to(broker.address);
    let mut refused = |topic: &str| -> usize {
        client.publish(Json, topic, b"2");
        client.flush(Json).len()
    };
    assert_eq!((refused("u"), refused("t"), refused("s/a")), (1, 0, 0));
    let mut other = Client::to(broker.address);
    other.command(Json, &[("command", Field::Str("clear")), ("topic", Field::Str("t"))]);
    other.flush(Json);
    assert_eq!((refused("s/c"), refused("u")), (1, 0), "the subtree is full, and all is not");
}
