//! What publishers are promised.

use super::{Json, orders, scratch, start, start_in, stream};
use crate::support::publish;

#[test]
fn the_same_id_is_stored_once() {
    let folder = scratch("ids");
    let broker = start_in(&folder, &[orders()]);
    let mut producer = Json::connect(&broker);
    let publish = |producer: &mut Json, topic: &str, id: &str, number: i64| {
        producer.send(&format!(
            r#"{{"command":"publish","topic":"{topic}","id":"{id}","message":{number}}}"#
        ));
    };
    for (topic, id, number) in
        [("orders/a", "1", 1), ("orders/a", "1", 2), ("orders/b", "2", 3), ("orders/b", "1", 4)]
    {
        publish(&mut producer, topic, id, number);
    }
    producer.client.is_quiet();
    publish(&mut producer, "orders/a", "2", 5);
    producer.client.is_quiet();
    // Elsewhere an id means nothing.
    let mut live = Json::connect(&broker);
    live.client.subscribe(babelmq::Format::Json, "weather");
    publish(&mut producer, "weather", "1", 6);
    assert_eq!(live.client.next().number(), 6);
    broker.close().unwrap();
    let broker = start_in(&folder, &[orders()]);
    let mut producer = Json::connect(&broker);
    publish(&mut producer, "orders/a", "2", 7);
    publish(&mut producer, "orders/a", "3", 8);
    producer.client.is_quiet();
    let mut reader = Json::connect(&broker);
    reader.subscribe("orders", r#""start":"all""#);
    let read: Vec<_> = (0..3).map(|_| reader.delivery()).collect();
    assert_eq!(read, [(1, 1, 1), (2, 3, 1), (3, 8, 1)]);
    reader.client.is_quiet();
}

/// An id is a stream's: the same in another one is another message, in one read as well.
#[test]
fn the_same_id_is_stored_in_each_stream() {
    let streams = [orders(), stream("bills", "bills/#")];
    let broker = start_in(&scratch("ids-of-two"), &streams);
    let mut client = Json::connect(&broker);
    let frame = |topic: &str, number: i64| {
        let body =
            format!(r#"{{"command":"publish","topic":"{topic}","id":"1","message":{number}}}"#);
        crate::support::frame(0, body.as_bytes())
    };
    let together = [("orders/a", 1), ("bills/a", 2), ("orders/b", 3), ("bills/b", 4)];
    let frames = together.map(|(topic, number)| frame(topic, number)).concat();
    client.client.send_raw(&frames);
    client.client.is_quiet();
    for (name, number) in [("orders", 1), ("bills", 2)] {
        let mut reader = Json::connect(&broker);
        reader.subscribe(name, r#""start":"all""#);
        assert_eq!(reader.delivery(), (1, number, 1));
        reader.client.is_quiet();
    }
}

#[test]
fn a_full_stream_drops_its_oldest_or_refuses() {
    let (mut drops, mut refuses) = (super::stream("drops", "drops"), super::stream("full", "full"));
    drops.messages = Some(3);
    refuses.messages = Some(3);
    refuses.full = babelmq::WhenFull::Refuse;
    let broker = start_in(&scratch("full"), &[drops, refuses]);
    let mut producer = Json::connect(&broker);
    // Who has asked something can be told that it was refused.
    producer.client.is_quiet();
    producer.publish("drops", 0..5);
    producer.publish("full", 0..3);
    producer.client.publish(babelmq::Format::Json, "full", b"3");
    producer.client.next().refuses("stream-full", false);
    for (topic, expected) in [("drops", vec![3, 4, 5]), ("full", vec![1, 2, 3])] {
        let mut reader = Json::connect(&broker);
        reader.subscribe(topic, r#""start":"all""#);
        assert_eq!(reader.seqs(3), expected, "{topic}");
    }
}

#[test]
fn what_is_not_kept_is_what_it_was() {
    let broker = start("beside");
    let mut client = Json::connect(&broker);
    client.client.subscribe(babelmq::Format::Json, "weather");
    client.client.publish(babelmq::Format::Json, "weather/oslo", b"1");
    client.client.next().says(&[("command", "publish"), ("topic", "weather/oslo")]);
    // An ordinary subscription of what a stream keeps is an ordinary subscription.
    client.client.subscribe(babelmq::Format::Json, "orders");
    client.client.publish(babelmq::Format::Json, "orders/1", b"1");
    client.client.next().says(&[("command", "publish"), ("topic", "orders/1")]);
}

#[test]
fn a_message_of_two_streams_is_in_both() {
    let broker = start_in(&scratch("both"), &[orders(), super::stream("eu", "orders/eu")]);
    let mut client = Json::connect(&broker);
    client.publish("orders/eu/1", [1]);
    client.publish("orders/us/1", [2]);
    client.publish("orders/eu/2", [3]);
    client.send(r#"{"command":"subscribe","topic":"orders/eu","start":"all"}"#);
    client.client.next().refuses("no-stream", false);
    client.subscribe("orders/eu", r#""start":"all","stream":"eu""#);
    assert_eq!((client.delivery(), client.delivery()), ((1, 1, 1), (2, 3, 1)));
    let mut other = Json::connect(&broker);
    other.subscribe("orders/eu", r#""start":"all","stream":"orders""#);
    assert_eq!((other.delivery(), other.delivery()), ((1, 1, 1), (3, 3, 1)));
}

#[test]
fn what_goes_elsewhere_leaves_no_hole() {
    let broker = start("elsewhere");
    let mut client = Json::connect(&broker);
    client.consume("orders", "billing", "");
    // In one read, and in one batch. What comes behind it is numbered on.
    let frames: Vec<u8> = (0..20)
        .flat_map(|number: i64| {
            let topic = if number % 2 == 0 { "orders/1" } else { "weather" };
            publish(babelmq::Format::Json, topic, number.to_string().as_bytes())
        })
        .collect();
    client.client.send_raw(&frames);
    for seq in 1..=10 {
        assert_eq!(client.delivery(), (seq, 2 * (seq as i64 - 1), 1));
    }
    client.client.publish(babelmq::Format::Json, "orders/1", b"20");
    assert_eq!(client.delivery(), (11, 20, 1));
}

#[test]
fn consumers_know_what_was_dropped() {
    let mut few = orders();
    few.messages = Some(2);
    let broker = start_in(&scratch("dropped"), &[few]);
    let mut client = Json::connect(&broker);
    client.consume("orders", "billing", "");
    client.send(r#"{"command":"cancel","topic":"orders"}"#);
    client.client.next();
    client.publish("orders/1", 1..=5);
    let consumers = client.list(r#"{"command":"consumers"}"#);
    assert_eq!((&consumers[0]["pending"], &consumers[0]["floor"]), (&2.into(), &3.into()));
}
