//! `babelmq top` and `babelmq bench`, and the statistics that they show.

use std::io::Write;

use babelmq::Format::{Json, Pickle, Xml};
use serde_json::Value;

use super::terminal::Terminal;
use super::{Served, fails, run};
use crate::support::Field::Str;
use crate::support::{Client, number};

fn stats(served: &Served) -> Value {
    let (code, stdout, stderr) = run(&served.at("top", &["--json"]));
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn the_statistics_are_what_happened() {
    let served = Served::start(&[]);
    let mut consumer = Client::to(served.address);
    consumer.subscribe(Xml, "/t");
    let mut producer = Client::to(served.address);
    for count in 0..5 {
        producer.publish(Pickle, "/t/a", &number(Pickle, count));
    }
    producer.publish(Xml, "/t/b", &number(Xml, 5));
    producer.send(Json, b"{}");
    producer.next();
    producer.flush(Json);
    for _ in 0..6 {
        consumer.next();
    }
    let stats = stats(&served);
    let counters = &stats["counters"];
    let counted = |name: &str| counters[name].as_u64().unwrap();
    assert_eq!((counted("published"), counted("delivered"), counted("refused")), (6, 6, 1));
    assert_eq!((counted("open"), counted("subscriptions"), counted("topics")), (3, 1, 2));
    assert_eq!(counted("translated"), 5, "what was published in XML needs no translation");
    assert_eq!(stats["published_in"], serde_json::json!({"json": 0, "xml": 1, "pickle": 5}));
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        stats["memory"].as_u64().unwrap() > 1 << 20 && stats["uptime"].as_f64().unwrap() >= 0.0
    );
    let topics: Vec<(&str, u64)> = stats["topics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|topic| (topic["topic"].as_str().unwrap(), topic["messages"].as_u64().unwrap()))
        .collect();
    assert_eq!(topics, [("/t/b", 1), ("/t/a", 5)], "the last published first");
    let subscriber = &stats["subscribers"][0];
    assert_eq!(subscriber["peer"], consumer.local_addr().to_string());
    assert_eq!(
        (subscriber["format"].as_str(), subscriber["delivered"].as_u64()),
        (Some("xml"), Some(6))
    );
    assert_eq!(
        (subscriber["topics"].clone(), subscriber["waiting"].as_u64()),
        (serde_json::json!(["/t"]), Some(0))
    );
    // Whoever wants to may ask in another format.
    for format in [Xml, Pickle] {
        producer.command(format, &[("command", Str("stats"))]);
        let frame = producer.next();
        assert_eq!((frame.format, frame.field("command").as_str()), (format, "stats"));
    }
}

#[test]
fn what_is_dropped_is_counted_where_it_was_dropped() {
    let served = Served::start(&[]);
    let mut consumer = Client::to(served.address);
    let options = [("overflow", Str("drop-oldest")), ("queue", crate::support::Field::Int(1))];
    consumer.subscribe_with(Json, "/t", &options);
    let mut producer = Client::to(served.address);
    let text = format!("\"{}\"", "x".repeat(1 << 20));
    // Until its socket takes no more: then one message waits, and all before it made room.
    let (subscriber, counters) = loop {
        producer.publish(Json, "/t", text.as_bytes());
        producer.publish(Json, "/t", text.as_bytes());
        producer.flush(Json);
        let stats = stats(&served);
        let subscriber = &stats["subscribers"][0];
        if subscriber["dropped"] != 0 && subscriber["waiting"] != 0 {
            break (subscriber.clone(), stats["counters"].clone());
        }
    };
    assert_eq!(
        (&subscriber["dropped"], &subscriber["waiting"]),
        (&counters["dropped"], &serde_json::json!(1))
    );
}

#[test]
fn top_shows_a_broker_and_goes() {
    let served = Served::start(&[]);
    let mut consumer = Client::to(served.address);
    consumer.subscribe(Json, "/busy");
    let mut producer = Client::to(served.address);
    producer.publish(Json, "/quiet", b"1");
    producer.flush(Json);
    let mut top = Terminal::run(&served.at("top", &["--interval", "0.05"]));
    top.shows("q quit");
    for word in [
        "babelmq ",
        "memory",
        "3 connections",
        "1 subscriptions",
        "TOPIC",
        "MSG/S",
        "/quiet",
        "SUBSCRIBERS",
        "WAITING",
    ] {
        let screen = top.text();
        assert!(screen.to_lowercase().contains(&word.to_lowercase()), "no {word:?} in\n{screen}");
    }
    assert!(top.text().contains(&consumer.local_addr().to_string()), "{}", top.text());
    // A busy topic comes first, with its rate, as soon as it is.
    loop {
        for _ in 0..100 {
            producer.publish(Json, "/busy/topic", b"1");
        }
        producer.flush(Json);
        assert!(top.read(), "it ended:\n{}", top.text());
        let screen = top.text();
        let row = |topic: &str| screen.lines().position(|line| line.starts_with(topic));
        let line = screen.lines().find(|line| line.starts_with("/busy/topic")).unwrap_or_default();
        let rate = line.split_whitespace().nth(1).unwrap_or("0");
        if rate != "0" && row("/busy/topic") < row("/quiet") {
            break;
        }
    }
    top.press("p");
    top.shows("(paused)");
    top.press("q");
    let (left, code) = top.end();
    // The screen is as it was before.
    assert_eq!((left.as_str(), code), ("", Some(0)));
}

#[test]
fn top_ends_with_the_connection_if_it_is_told_to_and_gives_the_terminal_back() {
    let served = Served::start(&[]);
    let mut top = Terminal::run(&served.at("top", &["--interval", "0.05", "--once"]));
    top.shows("TOPIC");
    served.signal("TERM");
    let (left, code) = top.end();
    assert_eq!(code, Some(7), "{left}");
    assert!(
        left.starts_with("babelmq: the connection to 127.0.0.1:") && left.contains("ended"),
        "{left}"
    );
}

#[test]
fn top_is_for_a_terminal() {
    let served = Served::start(&[]);
    fails(&served.at("top", &[]), "", 2, &["--json"]);
}

#[test]
fn bench_measures() {
    let served = Served::start(&[]);
    let options = [
        "--pubs", "2", "--subs", "3", "-n", "501", "--from", "pickle", "--to", "xml", "--size",
        "10",
    ];
    let (code, stdout, stderr) = run(&served.at("bench", &[&options[..], &["--json"]].concat()));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let results: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (results["published"].as_u64(), results["delivered"].as_u64()),
        (Some(501), Some(1_503))
    );
    assert_eq!((results["from"].as_str(), results["to"].as_str()), (Some("pickle"), Some("xml")));
    let latency = |name: &str| results["latency_us"][name].as_f64().unwrap();
    assert!(
        latency("p50") > 0.0
            && latency("p50") <= latency("p99")
            && latency("p99") <= latency("max")
    );
    assert!(results["published_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!((results["batch"].as_u64(), results["window"].as_u64()), (Some(64), Some(8_192)));

    let (code, stdout, _) = run(&served.at("bench", &options));
    assert_eq!(code, Some(0));
    for part in [
        "published  501 messages of ",
        "bytes of pickle",
        "delivered  1503 as xml to 3 subscribers",
        "measured   with 2 publishers, up to 64 messages a write",
        "latency    p50 ",
        "█",
    ] {
        assert!(stdout.contains(part), "no {part:?} in {stdout}");
    }
    // Nothing of it stays behind.
    super::check(&served.at("topics", &[]), "", "");
    // Publishers alone.
    let (code, stdout, _) = run(&served.at("bench", &["--subs", "0", "-n", "10", "--json"]));
    assert_eq!(code, Some(0), "{stdout}");
}

#[test]
fn bench_keeps_a_pace_and_shows_how_far_it_is() {
    let served = Served::start(&[]);
    let mut bench = Terminal::run(&served.at("bench", &["-n", "100", "--rate", "200"]));
    bench.shows("% ");
    bench.shows("latency ");
    let (said, code) = bench.end();
    assert_eq!(code, Some(0));
    assert!(said.starts_with("published  100 messages"), "{said}");
}

#[test]
fn bench_says_what_stopped_it() {
    let served = Served::start(&["--max-connections", "1"]);
    fails(&served.at("bench", &["-n", "10"]), "", 5, &["too-many-connections"]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || {
        // Hangs up on whoever comes.
        let mut first = silent.accept().unwrap().0;
        first.flush().unwrap();
    });
    fails(&["bench", "-n", "10", "--address", &address], "", 7, &["ended"]);
    serving.join().unwrap();
}
