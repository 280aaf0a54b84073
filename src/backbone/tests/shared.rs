//! What is published comes back, to every line, in one order, once.

use super::fixture::{Line, Plain, message, payload, texts, with_orders};
use super::nats::NatsServer;
use crate::broker::{Position, SharedContent, SharedMessage, SharedPayload};
use crate::codec::Encoding;
use crate::protocol::{Format, Qos, Topic};

#[test]
fn messages_come_back_as_they_were_published() {
    let (server, _plain) = with_orders();
    let mut line = Line::open(&server, None);
    assert_eq!(line.connected(), 1 << 20);
    assert_eq!(line.arrived(0).1.seq, 0);
    let contents = [
        payload(b"{\"a\":1}"),
        SharedPayload { encoding: Some(Encoding::Value(Format::Xml)), ..payload(b"<a/>") },
        SharedPayload { encoding: Some(Encoding::Value(Format::Pickle)), ..payload(b"\x80\x05N.") },
        SharedPayload { encoding: Some(Encoding::Text), ..payload("h\u{e9}".as_bytes()) },
        SharedPayload { encoding: Some(Encoding::Bytes), ..payload(b"\x00\xff\r\n") },
        SharedPayload { encoding: None, ..payload(b"") },
        SharedPayload {
            retain: false,
            ttl: Some(60),
            qos: Some(Qos::ExactlyOnce),
            properties: Box::from(&b"\x01\x02"[..]),
            ..payload(b"1")
        },
    ];
    let mut sent: Vec<_> = contents.into_iter().map(SharedContent::Payload).collect();
    sent.push(SharedContent::Cleared);
    let topics = ["orders", "orders/eu/7", "orders/a.b/%", "orders/\u{e9} *"];
    let messages: Vec<_> = sent
        .into_iter()
        .zip(topics.iter().cycle())
        .map(|(content, topic)| SharedMessage { topic: Topic::parse(topic).unwrap(), content })
        .collect();
    for message in &messages {
        line.publish(message.clone(), None);
    }
    let numbers: Vec<u64> = (0..messages.len()).map(|_| line.stored()).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    let (arrived, position) = line.arrived(8);
    assert_eq!(arrived.iter().map(|incoming| incoming.seq).collect::<Vec<_>>(), numbers);
    assert_eq!(position.seq, 8);
    assert!(arrived.iter().all(|incoming| incoming.time > 1_700_000_000_000));
    let came: Vec<_> = arrived.into_iter().map(|incoming| incoming.message).collect();
    assert_eq!(came, messages);
}

#[test]
fn two_brokers_hear_the_same_in_one_order() {
    let (server, plain) = with_orders();
    let mut lines = [Line::open(&server, None), Line::open(&server, None)];
    for line in &mut lines {
        line.arrived(0);
    }
    for at in 0..3_000 {
        let line = &mut lines[at % 2];
        line.publish_text(&format!("orders/{}", at % 7), &at.to_string());
    }
    let [one, other] = lines.each_mut().map(|line| line.arrived(3_000).0);
    assert_eq!(one, other);
    let of = |parity: usize| -> Vec<usize> {
        let all = texts(&one).into_iter().map(|text| text.parse().unwrap());
        all.filter(|at| at % 2 == parity).collect()
    };
    assert!(of(0).is_sorted() && of(1).is_sorted());
    assert_eq!(plain.messages("orders"), 3_000);
}

#[test]
fn an_id_is_stored_once_whoever_has_it() {
    let (server, plain) = with_orders();
    let mut lines = [Line::open(&server, None), Line::open(&server, None)];
    lines[1].arrived(0);
    for line in &mut lines {
        line.publish(message("orders/1", "7"), Some("cash \u{e9}\r\n7"));
        assert_eq!(line.stored(), 1);
    }
    lines[0].publish_text("orders/1", "8");
    let (arrived, _) = lines[1].arrived(2);
    assert_eq!(texts(&arrived), ["7", "8"]);
    assert_eq!(arrived[0].id.as_deref(), Some("cash \u{e9}\r\n7"));
    assert_eq!(arrived[1].id, None);
    assert_eq!(plain.messages("orders"), 2);
}

#[test]
fn plain_clients_take_part_and_what_is_no_topic_is_passed_over() {
    let (server, plain) = with_orders();
    let mut line = Line::open(&server, None);
    line.arrived(0);
    plain.publish("orders.1", &[], "1");
    plain.publish("orders.a%62", &[], "other spelling");
    plain.publish("orders.2", &[("Babelmq-Ttl", "soon"), ("Content-Type", "text/csv")], "2");
    plain.publish("orders.%2F", &[], "no topic");
    let (arrived, _) = line.arrived(2);
    assert_eq!(texts(&arrived), ["1", "2"]);
    assert_eq!((arrived[0].seq, arrived[1].seq), (1, 3));
    let SharedContent::Payload(payload) = &arrived[1].message.content else { panic!() };
    assert_eq!((payload.encoding, payload.ttl), (Some(Encoding::Text), None));
}

#[test]
fn a_broker_without_values_begins_with_the_last_of_each_topic() {
    let (server, plain) = with_orders();
    for (subject, text) in [("orders.1", "a"), ("orders.2", "b"), ("orders.1", "c")] {
        plain.publish(subject, &[], text);
    }
    let mut line = Line::open(&server, None);
    let (arrived, position) = line.arrived(2);
    assert_eq!(texts(&arrived), ["b", "c"]);
    assert_eq!(position.seq, 3);
    plain.publish("orders.2", &[], "d");
    assert_eq!(texts(&line.arrived(1).0), ["d"]);
}

#[test]
fn a_broker_with_values_goes_on_behind_them() {
    let (server, plain) = with_orders();
    let mut line = Line::open(&server, None);
    line.arrived(0);
    let numbers: Vec<u64> =
        ["a", "b", "c"].iter().map(|text| plain.publish("orders.1", &[], text)).collect();
    let (_, position) = line.arrived(3);
    assert_eq!((&numbers[..], position.seq), (&[1, 2, 3][..], 3));
    drop(line);
    plain.publish("orders.1", &[], "d");
    plain.publish("orders.1", &[], "e");
    // All that it has missed, and not the last alone.
    let mut line = Line::open(&server, Some(position.clone()));
    let (arrived, then) = line.arrived(2);
    assert_eq!((texts(&arrived), then.seq), (vec!["d".to_owned(), "e".to_owned()], 5));
    // Where it has everything, that is said too.
    let mut line = Line::open(&server, Some(then.clone()));
    assert_eq!(line.arrived(0).1, then);
    // A stream of another time is another one.
    let other = Position { epoch: "1".to_owned(), ..position };
    let mut line = Line::open(&server, Some(other));
    let (arrived, again) = line.arrived(1);
    assert_eq!((texts(&arrived), &again.epoch), (vec!["e".to_owned()], &then.epoch));
}

#[test]
fn what_the_stream_has_forgotten_is_made_up_for_by_last_values() {
    let server = NatsServer::start();
    let plain = Plain::connect(&server);
    plain.make("orders/#", |stream| stream.max_messages_per_subject = 1);
    let mut line = Line::open(&server, None);
    plain.publish("orders.1", &[], "a");
    let (_, position) = line.arrived(1);
    drop(line);
    for text in ["b", "c"] {
        plain.publish("orders.1", &[], text);
        plain.publish("orders.2", &[], text);
    }
    let mut line = Line::open(&server, Some(position));
    assert_eq!(texts(&line.arrived(2).0), ["c", "c"]);
}

#[test]
fn what_is_too_large_or_no_ones_is_refused() {
    let server = NatsServer::start_with(&["max_payload: 2000"]);
    let plain = Plain::connect(&server);
    plain.make("orders/#", |stream| {
        stream.max_messages = 1;
        stream.discard = async_nats::jetstream::stream::DiscardPolicy::New;
    });
    let mut line = Line::open(&server, None);
    assert_eq!(line.connected(), 2_000);
    line.publish_text("orders/1", &"x".repeat(2_000));
    let (number, reason) = line.refused();
    assert!(number == 1 && reason.contains("NATS takes 2000"), "{reason}");
    line.publish_text("orders/1", "1");
    assert_eq!(line.stored(), 2);
    line.publish_text("orders/1", "2");
    let (number, reason) = line.refused();
    assert!(number == 3 && reason.contains("maximum messages exceeded"), "{reason}");
    line.publish_text("$orders/1", "2");
    assert_eq!(line.refused().0, 4);
}

/// Whether the server gives last values or all that is new, it gives each once, and no more at once
/// than there is room for.
#[test]
fn many_bytes_come_a_few_at_a_time_as_long_as_nobody_takes_them() {
    let (server, plain) = with_orders();
    let large = "x".repeat(900_000);
    let position = {
        let mut line = Line::open(&server, None);
        line.arrived(0).1
    };
    for at in 0..40 {
        plain.publish(&format!("orders.{at}"), &[], &large);
    }
    for position in [None, Some(position)] {
        let mut line = Line::open(&server, position);
        line.connected();
        // What is held on to is room: 16 MiB of it.
        let (mut held, mut numbers) = (Vec::new(), Vec::new());
        while numbers.len() < 14 {
            let arrived = line.arrived_with_room();
            numbers.extend(arrived.messages.iter().map(|message| message.seq));
            held.push(arrived);
        }
        line.ask_for_a_report();
        while !line.has_none_arrived() {
            let arrived = line.arrived_with_room();
            numbers.extend(arrived.messages.iter().map(|message| message.seq));
            held.push(arrived);
        }
        assert!(numbers.len() < 20, "{numbers:?}");
        held.clear();
        while numbers.len() < 40 {
            let arrived = line.arrived_with_room();
            numbers.extend(arrived.messages.iter().map(|message| message.seq));
        }
        assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    }
}
