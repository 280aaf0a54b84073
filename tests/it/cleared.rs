//! Clearing what a filter names, and subscriptions that are told when a value is gone.

use std::thread;

use crate::support::Field::{Bool, Int, Raw, Str};
use crate::support::process::until;
use crate::support::{Client, FORMATS, Frame, claimed, number, start};
use babelmq::Format::{Json, Xml};
use babelmq::broker::Use;
use babelmq::{BrokerHandle, Format, Overflow};

fn clear(client: &mut Client, format: Format, topic: &str) {
    client.command(format, &[("command", Str("clear")), ("topic", Str(topic))]);
}

/// A connection that is told of what is cleared below a topic.
fn told(broker: &BrokerHandle, format: Format, topic: &str, overflow: Overflow) -> Client {
    let mut client = Client::connect(broker);
    let options = [("cleared", Bool(true)), ("overflow", Str(overflow.as_str()))];
    client.subscribe_with(format, topic, &options);
    client
}

/// What the frames are, in words.
fn said(frames: &[Frame]) -> Vec<String> {
    let one = |frame: &Frame| match frame.field("command").as_str() {
        "publish" => format!("{} {}", frame.field("topic"), frame.number()),
        command => format!("{command} {}", frame.field("topic")),
    };
    frames.iter().map(one).collect()
}

fn topics(broker: &BrokerHandle) -> Vec<String> {
    broker.list_topics().iter().map(ToString::to_string).collect()
}

#[test]
fn a_subscription_that_asks_is_told_of_what_is_cleared_in_order() {
    let broker = start();
    let mut producer = Client::connect(&broker);
    for format in FORMATS {
        for overflow in [Overflow::Disconnect, Overflow::DropOldest, Overflow::Latest] {
            let mut consumer = told(&broker, format, "a", overflow);
            let mut other = Client::connect(&broker);
            other.subscribe(format, "a");
            for topic in ["a/é&<", "a", "b"] {
                producer.publish(Json, topic, b"1");
                producer.flush(Json);
                // One that keeps the latest alone has read it before the next comes.
                let before = said(&consumer.flush(format));
                clear(&mut producer, format, topic);
                // What holds no value cannot lose it.
                clear(&mut producer, format, topic);
                producer.flush(Json);
                let found = [before, said(&consumer.flush(format))].concat();
                let expected = [format!("{topic} 1"), format!("cleared {topic}")];
                assert_eq!(found, if topic == "b" { &[][..] } else { &expected[..] }, "{format}");
            }
            assert_eq!(said(&other.flush(format)), ["a/é&< 1", "a 1"], "it did not ask");
        }
    }
}

#[test]
fn a_subscription_that_asks_is_told_of_what_expires() {
    let broker = start();
    let mut consumer = told(&broker, Xml, "#", Overflow::Disconnect);
    let mut producer = Client::connect(&broker);
    let expires = [
        ("command", Str("publish")),
        ("topic", Str("t")),
        ("ttl", Int(1)),
        ("message", Raw(&number(Json, 1))),
    ];
    producer.command(Json, &expires);
    assert_eq!(consumer.next().number(), 1);
    consumer.next().says(&[("command", "cleared"), ("topic", "t")]);
}

#[test]
fn a_notice_takes_the_place_of_the_newest_value_that_waits() {
    let broker = start();
    let mut consumer = told(&broker, Json, "#", Overflow::Latest);
    // The writer is held up by what its client does not read.
    let long = format!("\"{}\"", "x".repeat(8 << 20));
    let mut producer = Client::connect(&broker);
    producer.publish(Json, "long", long.as_bytes());
    producer.publish(Json, "long", long.as_bytes());
    producer.flush(Json);
    producer.publish(Json, "t", b"1");
    clear(&mut producer, Json, "t");
    producer.flush(Json);
    let frames = consumer.flush(Json);
    let of_t: Vec<String> = frames
        .iter()
        .filter(|frame| frame.field("topic") == "t")
        .map(|frame| frame.field("command"))
        .collect();
    assert_eq!(of_t, ["cleared"]);
}

#[test]
fn a_filter_clears_what_it_names_and_nothing_else() {
    let broker = start();
    let mut client = Client::connect(&broker);
    let all = ["a", "a/b", "a/b/c", "a/d", "ab", "b/c", "/a"];
    for (filter, left) in [
        ("a", &["/a", "a/b", "a/b/c", "a/d", "ab", "b/c"][..]),
        ("a/#", &["/a", "ab", "b/c"]),
        ("a/+", &["/a", "a", "ab", "b/c"]),
        ("+/b", &["/a", "a", "a/d", "ab", "b/c"]),
        ("/#", &["a", "a/b", "a/b/c", "a/d", "ab", "b/c"]),
        ("#", &[]),
    ] {
        all.iter().for_each(|topic| client.publish(Json, topic, b"1"));
        clear(&mut client, Json, filter);
        client.flush(Json);
        assert_eq!(topics(&broker), left, "{filter}");
    }
    clear(&mut client, Json, "a/#/b");
    client.next().refuses("invalid-topic", false);
}

/// A filter with `+` may name nothing and be long to look through all the same.
#[test]
fn a_filter_that_is_long_to_look_through_and_may_name_nothing_is_refused() {
    let broker = start();
    let mut client = Client::connect(&broker);
    (0..1_100).for_each(|topic| client.publish(Json, &format!("a/{topic}"), b"1"));
    for format in FORMATS {
        clear(&mut client, format, "a/+/x");
        let refused = client.next();
        refused.refuses("too-large", false);
        assert_eq!((refused.format, refused.field("topic").as_str()), (format, "a/+/x"));
        // Where there is less to look at, the same is done.
        clear(&mut client, format, "+/1");
        assert_eq!(client.flush(format), []);
        assert!(!topics(&broker).contains(&"a/1".to_owned()));
    }
    clear(&mut client, Json, "a/#");
    client.flush(Json);
    assert_eq!(topics(&broker), [""; 0]);
}

/// Notices wait for those who do not read, and are a part of the broker's memory.
#[test]
fn notices_that_wait_are_counted_with_what_is_on_its_way() {
    let broker = start();
    let mut client = Client::connect(&broker);
    // More than the sockets hold.
    let name = |topic: usize| format!("{}/{topic:05}", "n".repeat(900));
    const TOPICS: usize = 20_000;
    (0..TOPICS).for_each(|topic| client.publish(Json, &name(topic), b"1"));
    client.flush(Json);
    let slow = told(&broker, Json, "#", Overflow::Disconnect);
    clear(&mut client, Json, "#");
    client.flush(Json);
    let waiting = claimed(&broker, Use::InFlight);
    assert!(waiting > 4 << 20, "{waiting} bytes");
    drop(slow);
    until("they are given back", || claimed(&broker, Use::InFlight) == 0);
}

/// Millions may have to be looked at, so it is done in steps.
#[test]
fn what_follows_a_long_clear_waits_for_it_and_nobody_else_does() {
    const TOPICS: usize = 20_000;
    let broker = start();
    let mut client = Client::connect(&broker);
    for topic in 0..TOPICS {
        client.publish(Json, &format!("{}/{topic}", ["a", "b"][topic % 2]), b"1");
    }
    client.flush(Json);
    let mut consumer = told(&broker, Json, "a/1", Overflow::Disconnect);
    let bystander = thread::spawn({
        let mut bystander = Client::connect(&broker);
        move || {
            for round in 0..200 {
                bystander.publish(Json, "b/1", round.to_string().as_bytes());
                bystander.flush(Json);
            }
        }
    });
    clear(&mut client, Json, "a/#");
    client.publish(Json, "a/1", b"2");
    clear(&mut client, Json, "+/3");
    client.publish(Json, "a/3", b"3");
    client.flush(Json);
    let left = topics(&broker);
    assert_eq!(left[..2], ["a/1", "a/3"]);
    assert_eq!(left.len() - 2, TOPICS / 2 - 1, "b/3 is cleared as well");
    assert_eq!(said(&consumer.flush(Json)), ["a/1 2"], "it held no value before");
    bystander.join().unwrap();

    // The same where the client does not wait for it.
    for topic in 0..TOPICS {
        client.publish(Json, &format!("c/{topic}"), b"1");
    }
    clear(&mut client, Json, "c/#");
    client.publish(Json, "c/last", b"4");
    drop(client);
    broker.shutdown();
}
