//! Subscribers that do not keep up, and what they chose for that case.
#![cfg(feature = "broker")]

use std::collections::BTreeMap;

use babelmq::BrokerHandle;
use babelmq::Format::{Json, Xml};
use babelmq::broker::Use;

use crate::support::Field::{Int, Str};
use crate::support::line::over_every_line;
use crate::support::process::until;
use crate::support::{self, Client, FORMATS, claimed, number, publish, start};

over_every_line! {
    drop_oldest_loses_the_oldest_says_how_many_and_keeps_the_order,
    latest_is_bounded_too,
    a_stuck_subscriber_costs_the_others_nothing,
    a_cancelled_subscription_loses_nothing_that_another_is_due,
    long_answers_that_nobody_reads_are_bounded,
    a_connection_that_was_cut_off_is_not_listened_to_any_more,
}

/// Publishes until the sockets on the way to whoever does not read are full for certain: 20 MiB.
fn fill(producer: &mut Client, topic: &str) -> i64 {
    let payload = format!("\"{}\"", "x".repeat(1 << 20));
    for _ in 0..20 {
        producer.publish(Json, topic, payload.as_bytes());
    }
    producer.flush(Json);
    20
}

/// What a subscription says in its stream.
#[derive(Debug, PartialEq)]
enum Said {
    Number(i64),
    Big,
    Dropped(i64),
}

fn read(client: &mut Client, until: i64) -> Vec<Said> {
    let mut all = Vec::new();
    loop {
        let frame = client.next();
        match frame.field("command").as_str() {
            "dropped" => all.push(Said::Dropped(frame.field("count").parse().unwrap())),
            "publish" if frame.body.len() > 1_000 => all.push(Said::Big),
            "publish" => {
                let number = frame.number();
                all.push(Said::Number(number));
                if number == until {
                    return all;
                }
            }
            other => panic!("{other}"),
        }
    }
}

fn drop_oldest_loses_the_oldest_says_how_many_and_keeps_the_order() {
    for format in FORMATS {
        let broker = start();
        let mut slow = Client::connect(&broker);
        slow.subscribe_with(format, "t", &[("overflow", Str("drop-oldest")), ("queue", Int(100))]);
        let mut producer = Client::connect(&broker);
        let mut sent = fill(&mut producer, "t");
        for count in 0..1_000 {
            producer.publish(format, "t", &number(format, count));
            sent += 1;
            if count % 7 == 0 {
                producer.flush(Json);
            }
        }
        producer.flush(Json);
        let said = read(&mut slow, 999);
        let numbers: Vec<i64> = said
            .iter()
            .filter_map(|said| if let Said::Number(n) = said { Some(*n) } else { None })
            .collect();
        let dropped: i64 =
            said.iter().map(|said| if let Said::Dropped(n) = said { *n } else { 0 }).sum();
        let delivered = said.iter().filter(|said| !matches!(said, Said::Dropped(_))).count();
        assert!(numbers.is_sorted(), "{format:?}");
        assert!(
            numbers.len() >= 100,
            "{format:?}: the queue's worth is kept, and {} came",
            numbers.len()
        );
        assert!(dropped > 0, "{format:?}");
        assert_eq!(
            delivered as i64 + dropped,
            sent,
            "{format:?}: each message comes or is counted"
        );
        assert_eq!(broker.stats().dropped as i64, dropped);
        // Where messages are missing, and only there, it says so.
        let mut expected = 0;
        let mut missing = 0;
        for said in said.iter().skip_while(|said| matches!(said, Said::Big)) {
            match said {
                Said::Dropped(count) => missing += count,
                Said::Number(number) => {
                    assert!(
                        *number == expected || missing > 0,
                        "{format:?}: {number} after {expected}"
                    );
                    (expected, missing) = (number + 1, 0);
                }
                Said::Big => {}
            }
        }
        slow.is_quiet();
    }
}

#[test]
fn latest_keeps_the_newest_of_each_topic() {
    for format in FORMATS {
        let broker = start();
        let mut slow = Client::connect(&broker);
        slow.subscribe_with(format, "#", &[("overflow", Str("latest"))]);
        let mut producer = Client::connect(&broker);
        for topic in 0..30 {
            fill_one(&mut producer, &format!("big/{topic}"));
        }
        for count in 0..1_000 {
            let retain = support::Field::Bool(count % 2 == 0);
            let message = number(format, count);
            let topic = format!("t/{}", count % 10);
            let fields = [
                ("command", Str("publish")),
                ("topic", Str(&topic)),
                ("retain", retain),
                ("message", support::Field::Raw(&message)),
            ];
            producer.command(format, &fields);
        }
        producer.publish(format, "end", &number(format, 0));
        producer.flush(Json);
        let mut newest = BTreeMap::new();
        let mut received = 0;
        loop {
            let frame = slow.next();
            let topic = frame.field("topic");
            match topic.as_str() {
                "end" => break,
                big if big.starts_with("big/") => {}
                _ => {
                    received += 1;
                    let before = newest.insert(topic, frame.number());
                    assert!(
                        before < newest.values().copied().max(),
                        "{format:?}: never an older one after a newer"
                    );
                }
            }
        }
        let expected: BTreeMap<String, i64> =
            (0..10).map(|n| (format!("t/{n}"), 990 + n)).collect();
        assert_eq!(newest, expected, "{format:?}");
        assert!(received < 1_000, "{format:?}: nothing was replaced");
        assert_eq!(broker.stats().dropped, 0, "what is replaced is not dropped");
        slow.is_quiet();
    }
}

fn fill_one(producer: &mut Client, topic: &str) {
    let payload = format!("\"{}\"", "x".repeat(1 << 20));
    producer.publish(Json, topic, payload.as_bytes());
}

/// Two thousand topics do not fit a queue of ten; the oldest go, and it is said.
fn latest_is_bounded_too() {
    let broker = start();
    let mut slow = Client::connect(&broker);
    slow.subscribe_with(Json, "t", &[("overflow", Str("latest")), ("queue", Int(10))]);
    let mut producer = Client::connect(&broker);
    for topic in 0..30 {
        fill_one(&mut producer, &format!("t/big/{topic}"));
    }
    for count in 0..2_000 {
        producer.publish(Json, &format!("t/{count}"), &number(Json, count));
    }
    producer.flush(Json);
    let said = read(&mut slow, 1_999);
    let dropped: i64 =
        said.iter().map(|said| if let Said::Dropped(n) = said { *n } else { 0 }).sum();
    let delivered = said.iter().filter(|said| !matches!(said, Said::Dropped(_))).count() as i64;
    assert_eq!(delivered + dropped, 2_030);
    assert!(said.ends_with(&(1_990..2_000).map(Said::Number).collect::<Vec<_>>()), "{said:?}");
}

#[test]
fn a_cancelled_subscription_says_nothing_more_and_a_new_policy_holds() {
    let broker = start();
    for policy in ["drop-oldest", "latest"] {
        let mut slow = Client::connect(&broker);
        slow.subscribe_with(Xml, "t", &[("overflow", Str(policy))]);
        slow.subscribe(Json, "u");
        let mut producer = Client::connect(&broker);
        fill(&mut producer, "t");
        for count in 0..100 {
            producer.publish(Json, &format!("t/{count}"), &number(Json, count));
        }
        producer.flush(Json);
        slow.command(Json, &[("command", Str("cancel")), ("topic", Str("t"))]);
        until_unsubscribed(&broker);
        for count in 0..100 {
            producer.publish(Json, &format!("t/{count}"), &number(Json, count));
        }
        producer.publish(Json, "u", b"1");
        producer.flush(Json);
        while slow.next().field("command") != "cancelled" {}
        assert_eq!(slow.next().number(), 1, "{policy}");
        slow.is_quiet();
        slow.subscribe_with(Json, "v", &[("overflow", Str(policy)), ("queue", Int(5))]);
        slow.subscribe_with(Json, "v", &[("overflow", Str("disconnect"))]);
        producer.publish(Json, "v", b"2");
        producer.command(Json, &[("command", Str("clear")), ("topic", Str("v"))]);
        assert_eq!(slow.next().number(), 2);
        drop(slow);
        until("it is gone", || broker.stats().subscriptions == 0);
    }
}

fn until_unsubscribed(broker: &BrokerHandle) {
    until("the subscription is over", || broker.stats().subscriptions == 1);
}

/// Others are served while one is stuck with each policy.
fn a_stuck_subscriber_costs_the_others_nothing() {
    let broker = start();
    let mut stuck: Vec<Client> = ["drop-oldest", "latest"]
        .into_iter()
        .map(|policy| {
            let mut client = Client::connect(&broker);
            client.subscribe_with(Json, "#", &[("overflow", Str(policy)), ("queue", Int(50))]);
            client
        })
        .collect();
    let mut producer = Client::connect(&broker);
    fill(&mut producer, "big");
    let mut sober = Client::connect(&broker);
    sober.subscribe(Xml, "t");
    for count in 0..500 {
        producer.publish(Json, "t", &number(Json, count));
        assert_eq!(sober.next().number(), count);
    }
    for client in &mut stuck {
        let last = read(client, 499);
        assert_eq!(last.last(), Some(&Said::Number(499)));
    }
    assert_eq!(broker.stats().slow_consumers, 0);
}

/// A small pickle can be much in another format: it waits as what was sent, and is written for each
/// reader when its turn comes.
#[test]
fn what_small_messages_become_takes_no_memory_while_they_wait() {
    const SENT: usize = 60;
    let broker = start();
    let mut slow = Client::connect(&broker);
    slow.subscribe(Json, "t");
    let mut producer = Client::connect(&broker);
    // A list of 4,000 references to one text of 1 KiB: 10 KB that are 4 MB in JSON.
    let text = "x".repeat(1 << 10);
    let text = support::python::unicode(&text);
    let message = [b"](", &text[..], b"q\x01", &b"h\x01".repeat(4_000), b"e"].concat();
    for _ in 0..SENT {
        producer.publish(babelmq::Format::Pickle, "t", &message);
        producer.is_quiet();
        let claimed = claimed(&broker, Use::InFlight) + claimed(&broker, Use::Writing);
        assert!(
            claimed < 64 << 20,
            "{claimed} bytes for {SENT} messages of {} bytes",
            message.len()
        );
    }
    for _ in 0..SENT {
        assert_eq!(slow.next().message().len(), 4_001 * ((1 << 10) + 3) + 1);
    }
    assert_eq!(broker.stats().slow_consumers, 0);
}

/// Where subscriptions overlap, a message that waits in the queue of one is due to the other as
/// well.
fn a_cancelled_subscription_loses_nothing_that_another_is_due() {
    for policy in ["drop-oldest", "latest"] {
        let broker = start();
        let mut slow = Client::connect(&broker);
        slow.subscribe(Json, "a");
        slow.subscribe_with(Json, "a/b", &[("overflow", Str(policy))]);
        let mut producer = Client::connect(&broker);
        for topic in 0..20 {
            fill_one(&mut producer, &format!("a/b/{topic}"));
        }
        producer.flush(Json);
        slow.command(Json, &[("command", Str("cancel")), ("topic", Str("a/b"))]);
        let mut delivered = 0;
        while slow.next().field("command") == "publish" {
            delivered += 1;
        }
        assert_eq!(delivered, 20, "{policy}");
    }
}

/// Long answers that nobody reads are bounded, hold nobody up, and do not hold the end of the
/// broker up either.
fn long_answers_that_nobody_reads_are_bounded() {
    let broker = start();
    let mut producer = Client::connect(&broker);
    for topic in 0..2_000 {
        producer.publish(Json, &format!("t/{topic}"), b"1");
    }
    producer.flush(Json);
    let mut greedy = Client::connect(&broker);
    let ask = support::frame(0, &support::body(Json, &[("command", Str("list"))]));
    greedy.send_raw(&ask.repeat(1_000));
    until("it is cut off", || broker.stats().slow_consumers == 1);
    producer.publish(Json, "t/0", b"2");
    producer.is_quiet();
    drop(broker);
}

/// It had asked for a thousand answers that nobody would get, and held its place as long as each
/// was looked up.
fn a_connection_that_was_cut_off_is_not_listened_to_any_more() {
    let broker = start();
    let (mut slow, mut producer) = (Client::connect(&broker), Client::connect(&broker));
    slow.subscribe_with(Json, "t", &[("queue", Int(10))]);
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    while broker.stats().slow_consumers == 0 {
        producer.publish(Json, "t", long.as_bytes());
        producer.is_quiet();
    }
    // The connection may have ended already.
    let _ = slow.try_send_raw(&publish(Json, "after", b"1").repeat(100));
    while slow.next().field("command") != "error" {}
    slow.ends();
    assert_eq!(broker.get_topic("after").unwrap(), None);
}
