//! Streams, consumers and dead letters, from a shell.

use super::{Served, check, fails, run, scratch};
use crate::support::process::until;

/// A broker with the stream `orders`, of which three messages are kept.
fn start(name: &str) -> Served {
    let folder = scratch(name);
    let broker = Served::start(&["--data-dir", folder.to_str().unwrap()]);
    check(&below(&broker, "stream add orders orders/#"), "", "");
    check(&broker.at("pub", &["orders/7", "-", "--no-retain"]), "1\n2\n3\n", "");
    broker
}

/// The words of a command that has others below it, with the broker's address.
fn below<'a>(broker: &'a Served, words: &'a str) -> Vec<&'a str> {
    words.split(' ').chain(["--address", &broker.text]).collect()
}

/// What a command prints.
#[track_caller]
fn printed(broker: &Served, words: &str) -> String {
    let (code, stdout, stderr) = run(&below(broker, words));
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{words}");
    stdout
}

/// Lines, each with single spaces.
fn squeezed(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The objects that a command prints as JSON.
fn objects(broker: &Served, words: &str) -> serde_json::Value {
    serde_json::from_str(&printed(broker, words)).unwrap()
}

#[test]
fn streams_are_added_listed_and_removed() {
    let broker = start("cli-streams");
    let limits = "stream add jobs jobs --age 7d --bytes 1MiB --messages 10 --full refuse";
    check(&below(&broker, limits), "", "");
    let listed = squeezed(&printed(&broker, "stream ls"));
    assert_eq!(listed[0], "stream filter messages bytes first limits state");
    assert!(listed[1].starts_with("$dead $dead/# 0 "), "{listed:?}");
    assert!(listed[2].starts_with("orders orders/# 3 ") && listed[2].ends_with(" 1 ok"));
    assert!(listed[3].ends_with(" age 7days, 1.00 MiB, 10 messages, refuse ok"), "{listed:?}");
    let all = objects(&broker, "stream ls --json");
    assert_eq!((&all[2]["stream"], &all[2]["max-messages"]), (&"jobs".into(), &10.into()));
    // The same name again is the stream's new limits.
    check(&below(&broker, "stream add jobs jobs"), "", "");
    assert_eq!(objects(&broker, "stream ls --json")[2]["age"], serde_json::Value::Null);
    check(&below(&broker, "stream rm jobs orders"), "", "");
    assert_eq!(printed(&broker, "stream ls").lines().count(), 2);
    fails(&below(&broker, "stream rm jobs"), "", 5, &["no-stream", "jobs"]);
    assert_eq!(run(&below(&broker, "stream add a b --bytes 0")).0, Some(2));
}

#[test]
fn a_consumer_goes_on_where_it_was_and_is_shown_reset_and_removed() {
    let broker = start("cli-consumers");
    let sub = |more: &[&str], lines: &str| {
        let arguments = [&["orders", "--consumer", "billing"], more].concat();
        check(&broker.at("sub", &arguments), "", lines);
    };
    sub(&["--start", "all", "-n", "2"], "orders/7 1\norders/7 2\n");
    sub(&["-n", "1"], "orders/7 3\n");
    check(&broker.at("pub", &["orders/8", "4"]), "", "");
    sub(&["-n", "1", "--ack", "never"], "orders/8 4\n");
    sub(&["-n", "1"], "orders/8 4\n");
    let listed = squeezed(&printed(&broker, "consumer ls"));
    assert_eq!(listed[0], "stream consumer filter members pending outstanding redelivered dead");
    assert!(listed[1].starts_with("orders billing orders 0 0 0 "), "{listed:?}");
    assert_eq!(printed(&broker, "consumer ls orders").lines().count(), 2);
    let shown = squeezed(&printed(&broker, "consumer show orders billing"));
    for line in ["window 256", "ack-wait 30s", "backoff none", "floor 4", "order none"] {
        assert!(shown.iter().any(|shown| shown == line), "no {line:?} in {shown:?}");
    }
    assert_eq!(objects(&broker, "consumer show orders billing --json")["next-seq"], 5);
    check(&below(&broker, "consumer reset orders billing 2"), "", "");
    sub(&["-n", "3"], "orders/7 2\norders/7 3\norders/8 4\n");
    check(&below(&broker, "consumer rm orders billing"), "", "");
    assert_eq!(objects(&broker, "consumer ls --json"), serde_json::json!([]));
    let gone = below(&broker, "consumer show orders billing");
    fails(&gone, "", 1, &["has no consumer billing", "consumer ls"]);
    let (code, _, stderr) = run(&below(&broker, "consumer reset orders billing soon"));
    assert!(code == Some(2) && stderr.contains("new, all, last"), "{stderr}");
}

#[test]
fn a_follower_prints_what_is_kept_and_changes_nothing() {
    let broker = start("cli-follower");
    for _ in 0..2 {
        check(
            &broker.at("sub", &["orders", "--start", "2", "-n", "2"]),
            "",
            "orders/7 2\norders/7 3\n",
        );
    }
    check(&broker.at("sub", &["orders", "--start", "last", "-n", "1"]), "", "orders/7 3\n");
    fails(&broker.at("sub", &["weather", "--start", "all"]), "", 5, &["no-stream"]);
    fails(&broker.at("sub", &["a", "b", "--start", "all"]), "", 2, &["one topic"]);
    assert_eq!(objects(&broker, "consumer ls --json"), serde_json::json!([]));
}

#[test]
fn a_message_with_an_id_is_kept_once() {
    let broker = start("cli-id");
    for _ in 0..2 {
        check(&broker.at("pub", &["orders/7", "4", "--id", "7-paid"]), "", "");
    }
    assert_eq!(objects(&broker, "stream ls --json")[1]["messages"], 4);
    fails(&broker.at("pub", &["orders/7", "4", "--id", ""]), "", 5, &["1 to 128 bytes"]);
    fails(&broker.at("pub", &["orders/7", "-", "--id", "x"]), "4\n", 2, &["one message"]);
}

#[test]
fn dead_letters_are_listed_retried_and_removed() {
    let broker = start("cli-dead");
    assert_eq!(printed(&broker, "dead ls").lines().count(), 1);
    let mut client = babelmq::Client::connect(&broker.text, crate::support::PATIENCE).unwrap();
    let filter = babelmq::TopicFilter::parse("orders").unwrap();
    for (consumer, first) in [("billing", 1), ("mail", 3)] {
        let how = babelmq::Subscribe::default().consumer(consumer).start(first);
        client.subscribe(&filter, babelmq::Format::Json, how).unwrap();
        for _ in first..=3 {
            let origin = loop {
                if let Some(babelmq::Arrival::Delivery { origin: Some(origin), .. }) =
                    client.next(None).unwrap()
                {
                    break origin;
                }
            };
            client.reject(&origin, "no such\tcustomer").unwrap();
        }
        client.cancel(&filter).unwrap();
        client.flush().unwrap();
    }
    until("the letters are there", || printed(&broker, "dead ls").lines().count() == 5);
    let listed = squeezed(&printed(&broker, "dead ls"));
    assert_eq!(listed[0], "letter consumer stream seq topic attempts reason");
    assert_eq!(listed[1], "1 billing orders 1 orders/7 1 no such\\u0009customer");
    assert_eq!(squeezed(&printed(&broker, "dead ls --consumer mail")).len(), 2);
    assert_eq!(printed(&broker, "dead ls --consumer a/b").lines().count(), 1);
    let line = printed(&broker, "dead ls --consumer mail --json");
    let letter: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&letter["letter"], &letter["seq"]), (&4.into(), &3.into()));
    assert_eq!((&letter["consumer"], &letter["message"]), (&"mail".into(), &3.into()));
    assert_eq!(objects(&broker, "dead show 2")["message"], 2);
    check(&below(&broker, "dead retry 2"), "", "");
    let sub = ["orders", "--consumer", "billing", "-n", "1"];
    check(&broker.at("sub", &sub), "", "orders/7 2\n");
    assert_eq!(
        squeezed(&printed(&broker, "dead ls"))[2],
        "3 billing orders 3 orders/7 1 no such\\u0009customer"
    );
    // The last is the one that is gone, so nothing says that there is no more.
    check(&below(&broker, "dead rm --consumer mail"), "", "");
    assert_eq!(printed(&broker, "dead ls").lines().count(), 3);
    fails(&below(&broker, "dead rm 4"), "", 1, &["no dead letter 4", "dead ls"]);
    fails(&below(&broker, "dead show 9"), "", 1, &["no dead letter 9"]);
    check(&below(&broker, "dead retry --all"), "", "");
    assert_eq!(printed(&broker, "dead ls").lines().count(), 1);
    let sub = ["orders", "--consumer", "billing", "-n", "2"];
    check(&broker.at("sub", &sub), "", "orders/7 1\norders/7 3\n");
    assert_eq!(run(&below(&broker, "dead rm")).0, Some(2), "which?");
}
