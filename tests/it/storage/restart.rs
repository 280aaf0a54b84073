//! What was published is there again after a restart, as it was published.

use std::fs;
use std::path::Path;

use babelmq::Format::{self, Json, Pickle, Xml};

use super::{run, scratch, serve};
use crate::support::process::until;
use crate::support::{Client, FORMATS, Field, Frame, number};

/// Stops the broker as a service manager does.
fn stop(broker: super::Served) {
    broker.signal("TERM");
    let (code, _, log) = broker.end();
    assert_eq!(code, Some(0), "{log}");
}

fn topics(values: &[Frame]) -> Vec<String> {
    values.iter().map(|value| value.field("topic")).collect()
}

#[test]
fn values_come_back_in_their_order_and_with_their_own_bytes() {
    let directory = scratch("order");
    let long = format!("long/{}", "x".repeat(1_019));
    let deep = vec!["s"; 64].join("/");
    let bytes: [(&str, Format, &[u8]); 7] = [
        ("z", Json, br#"{ "a" : 1.50, "b":[ ] }"#),
        ("a/b", Xml, b"<message type=\"dict\"><!-- x --><k type=\"int\">1</k></message>"),
        ("a", Pickle, b"K\x07"),
        (&long, Json, b"1"),
        (&deep, Json, b"2"),
        ("/", Json, b"3"),
        ("/a", Json, b"4"),
    ];
    let broker = serve(&directory, &[]);
    let mut client = Client::to(broker.address);
    client.publish(Json, "z", b"0");
    client.publish(Json, "gone", b"0");
    for (topic, format, message) in bytes.iter().filter(|(topic, ..)| *topic != "/") {
        client.publish(*format, topic, message);
    }
    client.command(Json, &[("command", Field::Str("clear")), ("topic", Field::Str("gone"))]);
    client.flush(Json);
    let before = client.subscribe(Json, "#");
    drop(client);
    stop(broker);
    for _ in 0..2 {
        let broker = serve(&directory, &[]);
        let mut client = Client::to(broker.address);
        let after = client.subscribe(Json, "#");
        assert_eq!(topics(&after), ["z", "a/b", "a", &long, &deep, "/a"]);
        assert_eq!(after, before);
        assert_eq!(after[0].message(), r#"{ "a" : 1.50, "b":[ ] }"#);
        let xml = client.subscribe(Xml, "a/b");
        assert_eq!(
            xml[0].message(),
            "<message type=\"dict\"><!-- x --><k type=\"int\">1</k></message>"
        );
        assert_eq!(client.subscribe(Pickle, "a")[1].number(), 7);
        stop(broker);
    }
}

#[test]
fn a_value_is_newer_than_all_that_were_there_before_the_restart() {
    let directory = scratch("newer");
    for round in 0..3 {
        let broker = serve(&directory, &["--fsync", "always"]);
        let mut client = Client::to(broker.address);
        for (place, format) in FORMATS.into_iter().enumerate() {
            client.publish(format, &format!("t/{round}/{place}"), &number(format, round));
        }
        client.publish(Json, "t/0/1", b"5");
        client.flush(Json);
        broker.signal("KILL");
    }
    let broker = serve(&directory, &[]);
    let order = topics(&Client::to(broker.address).subscribe(Json, "t"));
    assert_eq!(
        order,
        ["t/0/0", "t/0/2", "t/1/0", "t/1/1", "t/1/2", "t/2/0", "t/2/1", "t/2/2", "t/0/1"]
    );
}

/// Whether the file holds these bytes.
fn holds(directory: &Path, bytes: &[u8]) -> bool {
    let file = fs::read(directory.join("last-values.redb")).unwrap();
    file.windows(bytes.len()).any(|window| window == bytes)
}

#[test]
fn without_anybody_asking_a_value_is_on_the_disk_after_the_interval() {
    for fsync in ["interval", "never"] {
        let directory = scratch(&format!("on-the-disk-{fsync}"));
        let broker = serve(&directory, &["--fsync", fsync, "--fsync-interval", "10ms"]);
        let mut client = Client::to(broker.address);
        client.publish(Json, "t", br#""Kilimanjaro""#);
        until("the value is in the file", || holds(&directory, b"Kilimanjaro"));
        // The next interval ends after the write that was seen.
        client.publish(Json, "u", br#""Popocatepetl""#);
        until("the value is in the file", || holds(&directory, b"Popocatepetl"));
        broker.signal("KILL");
        drop(broker);
        let broker = serve(&directory, &[]);
        assert_eq!(
            Client::to(broker.address).subscribe(Json, "t")[0].message(),
            r#""Kilimanjaro""#
        );
    }
}

#[test]
fn many_topics_are_there_again_and_what_is_said_of_memory_is_true() {
    const TOPICS: usize = 20_000;
    let directory = scratch("many");
    let broker = serve(&directory, &[]);
    let mut client = Client::to(broker.address);
    let frames: Vec<u8> = (0..TOPICS)
        .flat_map(|n| {
            crate::support::publish(
                Json,
                &format!("plant/{}/{n}", n % 100),
                n.to_string().as_bytes(),
            )
        })
        .collect();
    client.send_raw(&frames);
    client.flush(Json);
    broker.signal("TERM");
    let (_, _, log) = broker.end();
    assert!(log.contains(&format!("last values in {}", directory.display())), "{log}");
    let (code, listed, _) = run(&["topics", "--data-dir", directory.to_str().unwrap()]);
    assert_eq!((code, listed.lines().count()), (Some(0), TOPICS));
    let broker = serve(&directory, &[]);
    let values = Client::to(broker.address).subscribe(Json, "#");
    assert_eq!(values.len(), TOPICS);
    assert!(values.iter().enumerate().all(|(n, value)| value.message() == n.to_string()));
    let without = super::Served::start(&mut super::babelmq(&["serve", "--listen", "127.0.0.1:0"]));
    without.signal("TERM");
    assert!(without.end().2.contains("last values in memory only"));
}
